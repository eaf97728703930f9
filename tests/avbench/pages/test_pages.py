from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pages_maker
import pytest
from click.testing import CliRunner, Result
from pages_maker import HOSTILE, HOSTILE_FILE

from avbench import media
from avbench.cli import main
from avbench.errors import DataError, UnknownName, UsageError
from avbench.pages import write, write_pages
from avbench.pages.clips import sync_facts
from avbench.pages.model import Source, gather, read_ledger, reason_of
from avbench.pages.write import LIST
from avbench.shards import open_set

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """The elements and texts of a page, and what is wrong with their nesting."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(content.decode())
        self.close()
        self.wrong += [f"{tag} stays open" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"{tag} closed at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return pages_maker.make(tmp_path_factory.mktemp("built"), patch)


@pytest.fixture(scope="module")
def written(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pages") / "out"
    write_pages(built, out)
    return out


def page(written: Path, name: str) -> Page:
    return Page((written / name).read_bytes())


def sources(built: Path) -> dict[str, Source]:
    return {source.entry.video_id: source for source in gather(open_set(built))}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["pages", *map(str, arguments)])


def test_every_source_with_frames_is_known_with_all_its_tracks(built: Path) -> None:
    found = sources(built)
    assert len(found) == 4
    two = found["two-faces"]
    assert [track.key for track in two.kept] == ["two-faces-0000-00"]
    assert [(t.start, t.stop) for t in two.tracks] == [(0, 4), (5, 35), (15, 60), (40, 60)]
    lost = {track.key: track.reason for track in two.rejected if track.key}
    assert lost == {"two-faces-0000-01": "sync: offset beyond 3 frames"}
    assert two.rejected[1].sync["offset"] == -9
    assert two.shots == [(0, 35), (38, 60)]
    assert two.missing == []
    assert found["plain"].kept[0].sync["confidence"] == 0.3
    assert found["none-here"].kept == []
    (hostile,) = [name for name in found if name not in ("two-faces", "plain", "none-here")]
    assert [t.reason for t in found[hostile].rejected if t.key] == ["sync: confidence below 0.12"]


def test_the_receipt_of_other_settings_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pages_maker.make(tmp_path, monkeypatch)
    other = {"key": "two-faces-0000-00", "start": 6, "stop": 35}
    pages_maker.plant_receipt(built, "two-faces", tracks=[other, {**other, "key": "x"}])
    pages_maker.plant_receipt(built, "plain", num_frames=59)
    found = sources(built)
    assert found["two-faces"].shots == [(0, 35), (38, 60)]
    assert found["plain"].shots == [(0, 35), (38, 60)]


def test_what_is_gone_is_named_and_the_rest_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pages_maker.make(tmp_path, monkeypatch)
    pages_maker.forget(built, "work")
    plain = sources(built)["plain"]
    assert plain.shots is None
    assert len(plain.kept) == 1
    assert "shots and rejected tracks are not known" in plain.missing[0]
    write_pages(built, tmp_path / "pages")
    assert plain.missing[0] in page(tmp_path / "pages", "plain.html").text
    index = page(tmp_path / "pages", "index.html").text
    assert f"{plain.missing[0]} (4 sources)" in index
    pages_maker.forget(built, "ledger.parquet")
    write_pages(built, tmp_path / "pages")
    assert "The set has no ledger.parquet" in page(tmp_path / "pages", "index.html").text
    assert not (tmp_path / "pages" / "none-here.html").exists()


def test_the_scores_of_rejected_tracks_may_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pages_maker.make(tmp_path, monkeypatch)
    pages_maker.forget(built, "work/sync")
    (built / "sync.parquet").unlink()
    two = sources(built)["two-faces"]
    assert two.missing == ["The scores of the tracks that sync rejected are no longer there."]
    lost = next(track for track in two.rejected if track.key)
    assert (lost.reason, lost.sync) == ("sync: offset beyond 3 frames", {})


def test_a_set_that_nobody_built_has_pages_too(tmp_path: Path) -> None:
    bare = pages_maker.make_bare(tmp_path)
    write_pages(bare, tmp_path / "pages")
    steady, drifting = (page(tmp_path / "pages", f"{name}.html") for name in ("a-0", "b-0"))
    assert "label +3 frames, no fault was drawn" in steady.text
    assert "varies over time" in drifting.text
    assert len(drifting.all("polyline")) == 1
    assert steady.all("polyline") == []
    assert "Sync was not measured" in steady.text


def test_the_pages_say_what_became_of_everything(written: Path) -> None:
    index = page(written, "index.html")
    assert index.wrong == []
    funnel = {a["aria-label"] for a in index.all("svg") if a.get("aria-label")}
    steps = {
        "6 files found", "5 files tried", "4 readable", "3 with a face", "3 with a track",
        "2 with a kept clip",
    }  # fmt: skip
    assert steps <= funnel
    # 30 + 55 frames kept of 4 times 60; what the second face of a frame shows is counted once.
    assert "frames in 240 100 % kept 85 35.4 %" in index.text
    assert "add up" not in index.text
    assert "tracks in 12 100 % kept 2 16.7 %" in index.text
    assert "track-too-short 4 33.3 %" in index.text
    assert "junk.mp4" in index.text
    two = page(written, "two-faces.html")
    assert two.wrong == []
    for words in (
        "1 clip of 4 tracks, 60 frames (0:02.40)",
        "frames 5–34 (30), 0:00.20–0:01.40, shot 0",  # noqa: RUF001
        "+2 frames: sound is 80 ms early (audio leads by 2 frames)",
        "two-faces-0000-01 sync: offset beyond 3 frames",
        "-9 frames, confidence 0.4",
        "sync in the source -9 frames: sound is 360 ms late (video leads by 9 frames)",
        "something odd in two-faces.mp4",
        "Kept where the confidence is at least 0.12 and the offset at most 3 frames",
    ):
        assert words in two.text, words
    hollow = [c for c in two.all("circle") if c["class"] == "rejected"]
    assert len(two.all("circle")) == 2
    assert len(hollow) == 1
    assert "None." in page(written, "none-here.html").text


def test_frames_that_do_not_add_up_are_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pages_maker.make(tmp_path, monkeypatch)
    pages_maker.rewrite_ledger(built, lambda record: record.update(kept_frames=7))
    write_pages(built, tmp_path / "pages")
    index = page(tmp_path / "pages", "index.html").text
    assert "Here the parts do not make up the whole." in index
    assert "The frames of these do not add up: films/" in index
    assert "These do not add up." in page(tmp_path / "pages", "plain.html").text


def test_all_links_lead_somewhere_and_nothing_is_fetched(written: Path) -> None:
    for path in written.glob("*.html"):
        content = Page(path.read_bytes())
        anchors = {a["id"] for _, a in content.found if "id" in a}
        assert len(anchors) == sum("id" in a for _, a in content.found)
        for link in content.all("a"):
            name, _, anchor = str(link["href"]).partition("#")
            assert (written / name).is_file() if name else anchor in anchors
        addresses = [a.get("src") for tag in ("img", "video", "script") for a in content.all(tag)]
        assert all(address is None or address.startswith("data:") for address in addresses)


def test_names_are_text_wherever_they_stand(written: Path) -> None:
    seen = 0
    for path in written.glob("*.html"):
        content = Page(path.read_bytes())
        assert content.wrong == []
        assert all(str(a.get("src", "")).startswith("data:image/") for a in content.all("img"))
        assert len(content.all("script")) == 1
        assert not [a for _, a in content.found if any(name.startswith("on") for name in a)]
        seen += f"{HOSTILE}/{HOSTILE_FILE}" in content.text
    assert seen == 2  # its own page and the index


def test_the_film_of_a_page_is_the_stored_clip_bit_by_bit(built: Path, written: Path) -> None:
    (sample,) = [s for s in open_set(built).samples() if s.key == "plain-0000-00"]
    (video,) = page(written, "plain.html").all("video")
    kind, _, content = str(video["src"]).partition(",")
    film = base64.b64decode(content)
    assert kind == "data:video/mp4;base64"
    assert np.array_equal(media.read_video(film), media.read_video(sample.video))
    assert np.array_equal(media.read_sound(film), media.read_sound(sample.sound))


def test_films_can_lie_beside_the_pages(built: Path, tmp_path: Path) -> None:
    done = run(built, "--out", tmp_path / "pages", "--clips", "beside")
    assert done.exit_code == 0, done.output
    (video,) = page(tmp_path / "pages", "plain.html").all("video")
    assert video["src"] == "clips/plain-0000-00.mp4"
    assert (tmp_path / "pages" / "clips" / "plain-0000-00.mp4").stat().st_size > 1000
    assert run(built, "--out", tmp_path / "pages").exit_code == 0
    assert list((tmp_path / "pages" / "clips").iterdir()) == []


def test_heavy_clips_lie_beside_their_page(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "HEAVY", 100_000)
    write_pages(built, tmp_path)
    (light,) = page(tmp_path, "plain.html").all("video")
    heavy = page(tmp_path, "two-faces.html").all("video")
    assert str(light["src"]).startswith("data:")
    names = ["clips/two-faces-0000-00.mp4", "clips/two-faces-0000-01.mp4"]
    assert [video["src"] for video in heavy] == names
    assert sum((tmp_path / name).stat().st_size for name in names) > 100_000


def test_a_clip_that_sync_rejected_can_be_seen_and_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pages_maker.make(tmp_path, monkeypatch)
    write_pages(built, tmp_path / "pages", films="beside")
    film = tmp_path / "pages" / "clips" / "two-faces-0000-01.mp4"
    source = tmp_path / "films" / "two-faces.mp4"
    own = media.read_audio(source, 60)[15 * 640 : 60 * 640]
    assert np.array_equal(media.read_audio(film, 45), own)
    assert len(media.read_video(film)) == 45
    card = page(tmp_path / "pages", "two-faces.html").text
    assert card.count("two-faces-0000-01 sync: offset beyond 3 frames") == 2  # its line and itself
    assert "0 11 22 33 44" in card
    for left in (built / "work" / "facetracks").glob("two-*/*.flac"):
        left.unlink()
    write_pages(built, tmp_path / "pages", films="beside")
    assert not film.exists()
    assert film.with_name("two-faces-0000-00.mp4").exists()


def test_the_same_set_gives_the_same_bytes(built: Path, written: Path, tmp_path: Path) -> None:
    write_pages(built, tmp_path / "again")
    first, again = (
        {p.name: p.read_bytes() for p in folder.iterdir()}
        for folder in (written, tmp_path / "again")
    )
    assert first == again


def test_only_what_was_asked_for_is_written(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "pages"
    assert run(built, "--out", out, "--source", "plain").exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["index.html", LIST, "plain.html"]
    assert "Pages were asked for of some sources only" in page(out, "index.html").text
    with pytest.raises(UnknownName, match="Did you mean 'plain'"):
        write_pages(built, out, sources=["plane"])


def test_a_folder_that_is_no_pages_is_left_alone(built: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no pages of a set"):
        write_pages(built, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    done = run(built, "--out", tmp_path / "new", "--checkpoint", "x.safetensors")
    assert done.exit_code == 2
    assert "--checkpoint is for --curves" in done.output


def test_a_damaged_ledger_or_receipt_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pages_maker.make(tmp_path, monkeypatch)
    receipt = next((built / "work" / "facetracks").glob("plain-*/receipt.json"))
    receipt.write_text("{")
    with pytest.raises(DataError, match=r"receipt\.json is damaged"):
        sources(built)
    (built / "ledger.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"ledger\.parquet is damaged"):
        read_ledger(built)


def test_measured_curves_are_drawn(built: Path, tmp_path: Path) -> None:
    def measure(sample: object) -> list[float]:
        return [1.0, 0.9, 0.2, 0.9, 1.0, 1.0, 1.1]

    write_pages(built, tmp_path / "pages", sources=["plain"], measure=measure)
    content = page(tmp_path / "pages", "plain.html")
    assert len(content.all("polyline")) == 1
    assert "offset -1, distance 0.2000" in content.text


@pytest.mark.slow
def test_curves_find_the_fault_that_was_drawn(tmp_path: Path) -> None:
    films, built, out = tmp_path / "films", tmp_path / "set", tmp_path / "pages"
    quick = ["--engine", "local", "--split", "test", "--sync", "off", "--distort", "global"]
    for arguments in (
        ["synth", "--out", films, "--videos", 1, "--pool", "test"],
        ["build-shards", films, "--out", built, *quick],
        ["pages", built, "--out", out, "--curves"],
    ):
        done = CliRunner().invoke(main, [str(word) for word in arguments])
        assert done.exit_code == 0, done.output
    (sample,) = open_set(built).samples()
    offset = sample.alignment.offset
    assert offset
    content = page(out, f"{sample.key.rpartition('-0000-')[0]}.html")
    assert f"offset {offset:+d}, distance" in content.text


@pytest.mark.parametrize(
    ("score", "named", "reason"),
    [
        ({}, ["no-face", "sync: offset beyond 3 frames"], "sync: offset beyond 3 frames"),
        ({"offset": 9, "confidence": 0.01}, ["sync: a", "sync: confidence below 0.12"],
         "sync: confidence below 0.12"),
        ({"note": "too short to score: 9 frames"}, [], "sync: too short to score"),
        ({"offset": 0, "confidence": 0.9}, [], "no reason is recorded"),
    ],
)  # fmt: skip
def test_the_reason_of_a_scored_track(
    score: dict[str, object], named: list[str], reason: str
) -> None:
    rules = {"mode": "filter", "min_confidence": 0.12, "max_offset": 3}
    assert reason_of(score, rules, named) == reason


def test_measures_that_are_not_known_here_are_shown_by_name() -> None:
    facts = dict(sync_facts({"offset": 0, "p_value": 0.01, "curve": [1, 2], "search": 15}))
    assert facts["sync in the source"] == "+0 frames: in sync"
    assert facts["p value"] == "0.01"
    assert "curve" not in facts
    assert re.fullmatch(r"-15 to \+15", facts["offsets tried"])
