from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pytest
import site_folder
from site_folder import ACCURACY, HOSTILE, RANKS

from avbench.leaderboard import checkout_folder
from avbench.leaderboard.rows import MEASURED, Row, read_measured, read_reported
from avbench.leaderboard.site import pages
from avbench.leaderboard.site_model import Board, Rank, Section, boards
from avbench.leaderboard.site_words import metric_words, protocol_words, value_words

VOID = {"meta", "link", "input", "br", "rect", "img", "hr", "col"}


class Page(HTMLParser):
    """The elements of a page, with what is wrong with their nesting."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self.texts: list[str] = []
        self.scripts: dict[str, str] = {}
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(content.decode())
        self.close()
        self.wrong += [f"{tag} stays open" for tag, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            self.wrong.append(f"{tag} closed at line {self.getpos()[0]}")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "script":
            name = self._open[-1][1].get("id") or ""
            self.scripts[name] = self.scripts.get(name, "") + data
        elif data.strip():
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return site_folder.make(tmp_path / "leaderboards")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return site_folder.make_hostile(tmp_path / "leaderboards")


def rows_of(folder: Path) -> list[Row]:
    return [*read_measured(folder), *read_reported(folder)]


def html(site: dict[str, bytes]) -> dict[str, Page]:
    return {name: Page(content) for name, content in site.items() if name.endswith(".html")}


def board_of(folder: Path, dataset: str = "lrs2") -> Board:
    places = {
        ("measured/lrs2", "accuracy@0", window, method): Rank(place, place == 1 and window == 15)
        for window, ranks in RANKS.items()
        for method, place in ranks.items()
    }
    found = boards(rows_of(folder), places)
    return next(b for b in found if (b.protocol, b.dataset) == ("kim-strict-5", dataset))


def accuracy_of(board: Board) -> Section:
    return next(section for section in board.sections if section.metric == "accuracy@0")


def test_every_row_stands_on_exactly_one_board(folder: Path) -> None:
    rows = rows_of(folder)
    shown = [row for board in boards(rows, {}) for row in board.rows()]
    assert len(shown) == len(rows)
    assert {id(row) for row in shown} == {id(row) for row in rows}


def test_the_committed_leaderboards_make_a_site_with_every_number() -> None:
    folder = checkout_folder()
    rows = rows_of(folder)
    assert len(rows) > 200
    site = pages(folder)
    for board in boards(rows, {}):
        text = site[f"boards/{board.slug}.html"].decode()
        assert text.count('<span class="value"') == len(board.rows())
    assert site["data/rows.jsonl"].count(b"\n") == len(rows)
    for name, page in html(site).items():
        assert not page.wrong, f"{name}: {page.wrong[:3]}"


def test_measured_and_reported_numbers_never_share_a_column(folder: Path) -> None:
    for board in boards(rows_of(folder), {}):
        for section in board.sections:
            for line in section.lines:
                for column, cell in zip(section.columns, line.cells, strict=True):
                    for value in cell:
                        assert (value.row.kind == MEASURED) == (column.side == "measured")
                        assert value.row.window == column.window
                        assert value.rank is None or value.row.kind == MEASURED


def test_a_reported_number_stands_beside_the_measured_one_of_its_method(folder: Path) -> None:
    section = accuracy_of(board_of(folder))
    line = next(line for line in section.lines if line.method == "alpha")
    texts = {
        (column.side, column.window): [value.text for value in cell]
        for column, cell in zip(section.columns, line.cells, strict=True)
    }
    assert texts["measured", 11] == ["50.00"]
    assert texts["reported", 11] == ["61.20"]


def test_lines_come_by_rank_then_what_frames_the_table_then_what_is_only_reported(
    folder: Path,
) -> None:
    names = [line.method for line in accuracy_of(board_of(folder)).lines]
    assert names == ["alpha", "beta", "gamma", "oracle", "constant", "delta"]


def test_bars_lie_on_one_scale_in_the_order_of_the_numbers(folder: Path) -> None:
    section = accuracy_of(board_of(folder))
    assert section.scale is not None
    start, end = section.scale
    drawn = [v for line in section.lines for cell in line.cells for v in cell if v.bar]
    assert len(drawn) == 6  # three ranked methods at two lengths
    for value in drawn:
        row, bar = value.row, value.bar
        assert bar is not None
        assert row.low is not None
        assert row.high is not None
        assert 0 <= bar.start < bar.middle < bar.end <= 100
        assert start + (end - start) * bar.start / 100 == pytest.approx(row.low, abs=0.02)
        assert start + (end - start) * bar.end / 100 == pytest.approx(row.high, abs=0.02)
    assert start <= min(v.row.low or 0 for v in drawn)
    assert end >= max(v.row.high or 0 for v in drawn)


@pytest.mark.parametrize("value", [0.0, 41.3, 100.0])
def test_an_interval_without_length_has_a_place_too(folder: Path, value: float) -> None:
    row = replace(rows_of(folder)[0], value=value, low=value, high=value)
    cell = boards([row], {})[0].sections[0].lines[0].cells[0]
    assert cell[0].bar is not None
    assert 0 <= cell[0].bar.start == cell[0].bar.middle == cell[0].bar.end <= 100


def test_shared_ranks_read_as_equal(folder: Path) -> None:
    ranks = {
        (line.method, value.row.window): value.rank.text()
        for line in accuracy_of(board_of(folder)).lines
        for cell in line.cells
        for value in cell
        if value.rank
    }
    assert ranks["alpha", 15] == ranks["beta", 15] == "=1"
    assert (ranks["beta", 11], ranks["alpha", 11], ranks["gamma", 15]) == ("1", "2", "3")
    assert not {"oracle", "constant", "delta"} & {method for method, _ in ranks}


def test_the_ranks_of_the_comparisons_reach_the_page(folder: Path) -> None:
    site = pages(folder)
    text = site["boards/kim-strict-5-v1-lrs2-test.html"].decode()
    found = re.findall(r'<span class="rank">([^<]+)</span>', text)
    assert sorted(found) == sorted(["1", "2", "3", "=1", "=1", "3"])
    assert "Few recordings: the intervals are too narrow." in text
    assert 'class="rank"' not in site["boards/kim-strict-5-v1-demo-test-drawn.html"].decode()


def test_every_two_ranked_methods_stand_compared(folder: Path) -> None:
    texts = Page(pages(folder)["boards/kim-strict-5-v1-lrs2-test.html"]).texts
    rows = [texts[i : i + 10] for i, text in enumerate(texts) if text == "cannot be told apart"]
    assert len(rows) == len(RANKS)  # one pair a window; no rank, no comparison with constant
    assert " ".join(texts).count(
        "alpha beta accuracy@0 11 1.25 -0.75 to 3.25 0.4 cannot be told apart 3.10 sign-flip"
    ) == 1  # fmt: skip
    assert "one more than the methods that are better" in " ".join(texts)


def test_versions_and_drawn_faces_have_boards_of_their_own(folder: Path) -> None:
    rows = rows_of(folder)
    newer = [replace(row, version=2) for row in rows if row.kind == MEASURED and not row.drawn]
    drawn = [replace(row, drawn=True) for row in newer]
    found = {(b.version, b.drawn): b for b in boards([*rows, *newer, *drawn], {})
             if (b.protocol, b.dataset) == ("kim-strict-5", "lrs2")}  # fmt: skip
    assert set(found) == {(1, False), (2, False), (2, True)}
    sides = {key: {row.kind for row in board.rows()} for key, board in found.items()}
    assert sides[1, False] == sides[2, True] == {MEASURED}
    assert sides[2, False] == {MEASURED, "paper"}


def test_boards_whose_names_fall_together_have_files_of_their_own(folder: Path) -> None:
    row = rows_of(folder)[0]
    names = ("a b", "a/b", "A-b", "<>", "??")
    found = boards([replace(row, dataset=name) for name in names], {})
    assert len({board.slug for board in found}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", board.slug) for board in found)


def test_sources_are_numbered_as_they_appear(folder: Path) -> None:
    board = board_of(folder)
    marks = [
        value.mark
        for section in board.sections
        for line in section.lines
        for cell in line.cells
        for value in cell
        if value.row.kind != MEASURED
    ]
    assert marks == [1, 2]
    assert [note.note for note in board.notes] == ["", "read off a figure"]


def test_all_that_is_known_of_a_number_is_said_in_words(folder: Path) -> None:
    row = next(r for r in rows_of(folder) if r.method == "gamma" and r.window == 11)
    assert value_words(row, "=2") == (
        "30.00 %; 95 % interval 27.00 to 34.00 (cluster-bootstrap); standard deviation 1.00 over "
        "10 repeats; 4,000 questions, 7 without an answer; rank 2, shared"
    )
    assert value_words(replace(row, value=None, low=None, std=None, n=None)) == "undefined"


def test_a_suspect_number_is_marked_with_the_reason(folder: Path) -> None:
    row = replace(rows_of(folder)[-1], suspect="accuracy above one hundred")
    board = boards([row], {})[0]
    assert board.notes[0].suspect == "accuracy above one hundred"
    measured = replace(rows_of(folder)[0], suspect="more failed than asked")
    assert [note.suspect for note in boards([measured], {})[0].notes] == ["more failed than asked"]
    assert "suspect: accuracy above one hundred" in value_words(row)


def test_the_committed_misprint_is_flagged_on_its_page() -> None:
    folder = checkout_folder()
    suspects = [row for row in rows_of(folder) if row.suspect]
    assert suspects
    text = "\n".join(c.decode() for n, c in pages(folder).items() if n.startswith("boards/"))
    assert text.count('class="badge suspect"') == 2 * len(suspects)  # in both tables
    notes = [note for board in boards(rows_of(folder), {}) for note in board.notes]
    assert text.count("Suspect: ") == sum(bool(note.suspect) for note in notes)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("accuracy@0", "Accuracy without tolerance"),
        ("rer@1", "Relative error reduction within ±1 frame"),
        ("accuracy@x", "Accuracy@x"),
        ("perceptual@ebu-r37", "Errors that EBU R37 allows"),
        ("own_score", "Own score"),
        ("", ""),
    ],
)
def test_metrics_have_words(metric: str, words: str) -> None:
    assert metric_words(metric) == words


def test_protocols_have_words_and_other_versions_a_warning() -> None:
    words = " ".join(protocol_words("kim-strict-5", 1))
    assert "11, 13, 15, 20 frames" in words
    assert "±5" in words
    assert "version 7" not in words
    assert "version 7" in " ".join(protocol_words("kim-strict-5", 7))
    assert protocol_words("rules of nobody", None) == []


def test_drawn_faces_carry_a_banner_and_recordings_none(folder: Path) -> None:
    site = pages(folder)
    banner = 'class="banner"'
    assert banner in site["boards/kim-strict-5-v1-demo-test-drawn.html"].decode()
    assert banner in site["runs/demo.html"].decode()
    assert banner in site["index.html"].decode()
    assert banner not in site["boards/kim-strict-5-v1-lrs2-test.html"].decode()
    assert banner not in site["runs/lrs2.html"].decode()


def test_the_run_card_shows_every_fact_of_the_run(folder: Path) -> None:
    texts = " ".join(Page(pages(folder)["runs/lrs2.html"]).texts)
    for fact in ("2.4.6", "62.28.102", "0123456789abcdef", "1337", "8a0000a6079fa0a6", "1.5",
                 "avbench, run, --method, all", "too short", "3fa94c0b12de", "oracle"):  # fmt: skip
        assert fact in texts, fact


def test_pages_are_well_formed_and_every_link_leads_somewhere(hostile: Path) -> None:
    site = pages(hostile)
    for name, page in html(site).items():
        assert not page.wrong, f"{name}: {page.wrong[:3]}"
        ids = {attributes["id"] for _, attributes in page.found if attributes.get("id")}
        for link in page.all("a"):
            target = link["href"] or ""
            if target.startswith("https://"):
                continue
            path, _, part = target.partition("#")
            assert "?" not in path
            if not path:
                assert part in ids, f"{name}: {target}"
                continue
            place = os.path.normpath((PurePosixPath(name).parent / unquote(path)).as_posix())
            assert place in site, f"{name}: {target}"


def test_pages_load_their_own_style_and_script_and_nothing_else(hostile: Path) -> None:
    for name, page in html(pages(hostile)).items():
        depth = "../" * name.count("/")
        assert [link["href"] for link in page.all("link")] == [f"{depth}site.css"]
        scripts = page.all("script")
        assert [s["src"] for s in scripts if "src" in s] == [f"{depth}site.js"]
        assert all(s.get("type") == "application/json" for s in scripts if "src" not in s)
        assert not {"img", "iframe", "object", "embed", "style", "base", "video", "audio"} & {
            tag for tag, _ in page.found
        }
        for tag, attributes in page.found:
            assert not [a for a in attributes if a.startswith("on") or a == "style"], tag
            for address in ("src", "href", "action", "xlink:href"):
                assert not (attributes.get(address) or "").startswith(("javascript", "http:", "//"))
        policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
        assert policy is not None
        assert policy.split("; ") == [
            "default-src 'none'",
            "script-src 'self' file:",
            "style-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        ]


def test_style_and_script_name_no_address(folder: Path) -> None:
    site = pages(folder)
    for name in ("site.css", "site.js"):
        text = site[name].decode()
        assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|eval\(|innerHTML", text)


def test_hostile_names_stay_text(hostile: Path) -> None:
    site = pages(hostile)
    mentioned = 0
    for name, page in html(site).items():
        assert not page.wrong, f"{name}: {page.wrong[:3]}"
        assert not [text for text in page.scripts.values() if "</" in text]
        mentioned += " ".join(page.texts).count(HOSTILE)
        if "data" in page.scripts:
            json.loads(page.scripts["data"])
    assert mentioned > 10
    for name in site:
        assert ".." not in PurePosixPath(name).parts
        if name.endswith(".html"):
            assert re.fullmatch(r"[a-z0-9/.-]+", name)


def test_the_embedded_data_holds_what_filters_and_sorting_need(folder: Path) -> None:
    site = pages(folder)
    page = Page(site["boards/kim-strict-5-v1-lrs2-test.html"])
    entries = json.loads(page.scripts["data"])["entries"]
    used = [int(tr["data-entry"] or -1) for tr in page.all("tr") if "data-entry" in tr]
    assert used == list(range(len(entries)))
    first = entries[0]
    assert first["sort"][0] == "alpha"
    assert first["sort"][1:3] == pytest.approx([100 * x for x in ACCURACY["alpha"]])
    assert ["alpha", "measured", 11] in first["facts"]
    index = Page(site["index.html"])
    groups = json.loads(index.scripts["data"])["entries"]
    assert [int(tr["data-entry"] or -1) for tr in index.all("tr") if "data-entry" in tr] == list(
        range(len(groups))
    )
