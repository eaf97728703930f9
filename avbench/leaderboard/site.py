"""The leaderboard as a folder of static pages that open without a server or a network.

Everything that a page shows or its script needs stands in it; style and script are one file each
beside the pages. Raw rows, run cards and the files that they come from are copied along. The
same data gives the same bytes: there is no clock in it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import count, groupby
from pathlib import Path, PurePosixPath

import jinja2

from avbench import __version__
from avbench.data import JSON
from avbench.errors import DataError, UsageError
from avbench.leaderboard import site_words as words
from avbench.leaderboard.reported import load
from avbench.leaderboard.rows import MEASURED, Row, read_measured, read_reported
from avbench.leaderboard.site_model import (
    Board,
    Places,
    Rank,
    Section,
    boards,
    entries_of_board,
    entries_of_index,
    has_interval,
    slug,
)
from avbench.shards import to_json, write_atomic

LIST = "site.json"
"""Names every file of a site, so that a later one can replace it and nothing else."""
_COPIED = (".json", ".jsonl", ".csv", ".md", ".parquet")
_ASSETS = "avbench.leaderboard.site_assets"


@dataclass(frozen=True)
class Card:
    """A run of which there are numbers, and the files that it left."""

    name: str
    source: str
    """As in `Row.source`."""
    ids: tuple[str, ...]
    """What its rows call it."""
    page: str
    files: tuple[str, ...]
    """Where its files are in the site."""
    block: Mapping[str, JSON]
    """The contents of ``run.json``."""
    comparisons: Mapping[str, JSON]
    """The contents of ``comparisons.json``; empty where there is none."""


def write_site(folder: Path, out: Path) -> list[str]:
    """Write the site of a leaderboards folder.

    Parameters
    ----------
    folder
        A leaderboards folder with ``reported`` and ``measured``; only read.
    out
        Absent, empty, or an earlier site, which is replaced.

    Returns
    -------
    list of str
        The files of the site, relative to `out`.

    Raises
    ------
    UsageError
        If `folder` is none, or `out` holds something else or lies inside `folder`.
    DataError
        If a file of `folder` is damaged; the message names it.
    """
    if not any((folder / part).is_dir() for part in ("measured", "reported")):
        raise UsageError(
            f"{folder} is no leaderboards folder: it has neither 'measured' nor 'reported'; "
            "give the right one with --folder"
        )
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out} lies inside {folder}, which is only read; choose another --out")
    old = _earlier(out)
    site = pages(folder)
    # First of all a list of what is about to be there, so that a broken-off site is known as one.
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / LIST, to_json({"files": sorted({*old, *site})}).encode())
    for name, content in site.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        if name != LIST:
            write_atomic(out / name, content)
    for name in sorted(old - set(site)):
        (out / name).unlink(missing_ok=True)
    write_atomic(out / LIST, site[LIST])
    return sorted(site)


def pages(folder: Path) -> dict[str, bytes]:
    """Return what every file of the site holds, by its path with slashes."""
    rows = [*read_measured(folder), *read_reported(folder)]
    copies = _copies(folder)
    cards = _cards(folder, rows, copies)
    found = boards(rows, _places(cards.values()))
    site = copies | _tables("data/rows", rows)
    for board in found:
        site |= _tables(f"data/boards/{board.slug}", board.rows())
    digest = _digest(rows, copies)
    render = _Renderer(digest)
    papers = [_paper(path) for path in sorted(folder.glob("reported/*.json"))]
    site["index.html"] = render.index(found, cards, copies)
    for board in found:
        site[f"boards/{board.slug}.html"] = render.board(board, cards, papers)
    for card in cards.values():
        site[card.page] = render.card(card, found)
    for name in ("site.css", "site.js"):
        site[name] = (files(_ASSETS) / name).read_bytes()
    listed = {"avbench": __version__, "data": digest, "files": sorted([*site, LIST])}
    return dict(sorted(site.items())) | {LIST: to_json(listed).encode()}


def _earlier(out: Path) -> set[str]:
    """Return the files of the site that is there; refuse a folder that holds anything else."""
    if out.is_dir() and not any(out.iterdir()):
        return set()
    if not out.exists():
        return set()
    try:
        names = json.loads((out / LIST).read_text("utf-8"))["files"]
        own = {name for name in names if not PurePosixPath(name).is_absolute()}
        return {name for name in own if ".." not in PurePosixPath(name).parts}
    except (OSError, ValueError, TypeError, KeyError):
        raise UsageError(
            f"{out} is there and is no leaderboard site; choose a new or empty folder"
        ) from None


def _copies(folder: Path) -> dict[str, bytes]:
    """Return the files to copy, by their place in the site."""
    found = sorted([*folder.glob("measured/*/*"), *folder.glob("reported/*.json")])
    return {
        f"data/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in found
        if path.suffix in _COPIED and path.is_file() and not path.is_symlink()
    }


def _cards(folder: Path, rows: Sequence[Row], copies: Mapping[str, bytes]) -> dict[str, Card]:
    """Return the run cards by the source that measured rows name."""
    measured = [row for row in rows if row.kind == MEASURED]
    sources = dict.fromkeys(row.source for row in measured)
    names: dict[str, Card] = {}
    pages_taken: set[str] = set()
    for source in sources:
        name = source.removeprefix("measured/")
        page = f"runs/{slug(name)}.html"
        if page in pages_taken:
            page = f"runs/{slug(name)}-{hashlib.sha256(name.encode()).hexdigest()[:6]}.html"
        pages_taken.add(page)
        names[source] = Card(
            name=name,
            source=source,
            ids=tuple(dict.fromkeys(row.run for row in measured if row.source == source)),
            page=page,
            files=tuple(path for path in copies if path.startswith(f"data/{source}/")),
            block=_json(folder / source / "run.json"),
            comparisons=_json(folder / source / "comparisons.json", optional=True),
        )
    return names


def _paper(path: Path) -> dict[str, JSON]:
    """Return what a file of reported rows says of its source, nothing missing."""
    content = load(path)[0]
    said = {name: str(content.get(name) or "") for name in ("source", "citation", "versions")}
    url = str(content.get("url") or "")
    lists = {name: list(content.get(name) or []) for name in ("notes", "bibtex")}
    # Only such an address becomes a link: another scheme could run something.
    return said | lists | {"url": url if url.startswith("https://") else ""}


def _json(path: Path, *, optional: bool = False) -> dict[str, JSON]:
    if optional and not path.exists():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no names and values")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); copy it from the run again") from error
    return content


def _places(cards: Iterable[Card]) -> Places:
    """Return the ranks that the comparisons of the runs found."""
    places: dict[tuple[str, str, int | None, str], Rank] = {}
    for card in cards:
        try:
            for cell in card.comparisons.get("cells", []):
                ranks = {m["method"]: m["rank"] for m in cell["methods"] if m["rank"] is not None}
                taken = list(ranks.values())
                for method, rank in ranks.items():
                    key = (card.source, cell["metric"], cell["window"], method)
                    places[key] = Rank(int(rank), shared=taken.count(rank) > 1)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{card.source}/comparisons.json is damaged ({error!r}); copy it from the run again"
            ) from error
    return places


def _tables(path: str, rows: Sequence[Row]) -> dict[str, bytes]:
    """Return rows as CSV and as JSON lines."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    lines = "".join(json.dumps(asdict(row), sort_keys=True) + "\n" for row in rows)
    return {f"{path}.csv": text.getvalue().encode(), f"{path}.jsonl": lines.encode()}


def _digest(rows: Iterable[Row], copies: Mapping[str, bytes]) -> str:
    """Return 12 hex digits that change with any number or file."""
    found = hashlib.sha256(json.dumps([asdict(row) for row in rows], sort_keys=True).encode())
    for name, content in sorted(copies.items()):
        found.update(f"\n{name}\n{len(content)}\n".encode() + content)
    return found.hexdigest()[:12]


class _Renderer:
    """Fills the templates; what they say of the site itself is the same on every page."""

    def __init__(self, digest: str) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FunctionLoader(lambda name: (files(_ASSETS) / name).read_text("utf-8")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._shared = {"version": __version__, "digest": digest, "dash": words.DASH}

    def _page(self, template: str, root: str, **context: object) -> bytes:
        text = self._templates.get_template(template).render(self._shared, root=root, **context)
        return text.encode()

    def index(
        self, found: Sequence[Board], cards: Mapping[str, Card], copies: Iterable[str]
    ) -> bytes:
        number = count()
        own, others = [], []
        for name, same in groupby(found, key=lambda board: board.protocol):
            groups = [_group(next(number), b, s) for b in same for s in b.sections]
            said = words.protocol_words(name, None)
            if said:
                own.append({"name": name, "words": said, "groups": groups})
            else:
                others += groups
        rows = [row for board in found for row in board.rows()]
        return self._page(
            "index.html",
            "",
            protocols=own,
            others=others,
            choices=_choices(rows, everywhere=True),
            entries=entries_of_index(found),
            cards=list(cards.values()),
            reported_files=[name for name in copies if name.startswith("data/reported/")],
        )

    def board(
        self, board: Board, cards: Mapping[str, Card], papers: Iterable[Mapping[str, JSON]]
    ) -> bytes:
        rows = board.rows()
        cited = {note.source for note in board.notes}
        number = count()
        used = [cards[source] for source in dict.fromkeys(r.source for r in rows if r.run)]
        sections = [_section(section, number, used) for section in board.sections]
        return self._page(
            "board.html",
            "../",
            board=board,
            words=words.protocol_words(board.protocol, board.version),
            sections=sections,
            numbers=[(next(number), _number(row, cards)) for row in rows],
            cards=cards,
            used=used,
            papers=[paper for paper in papers if paper["source"] in cited],
            ranks=any(
                v.rank for s in board.sections for li in s.lines for c in li.cells for v in c
            ),
            choices=_choices(rows),
            entries=entries_of_board(board),
        )

    def card(self, card: Card, found: Iterable[Board]) -> bytes:
        plain = {k: v for k, v in card.block.items() if not isinstance(v, dict | list)}
        blocks = {
            k: v for k, v in card.block.items() if isinstance(v, dict | list) and k != "methods"
        }
        methods = card.block.get("methods", {})
        return self._page(
            "run.html",
            "../",
            card=card,
            drawn=bool(card.block.get("synthetic")),
            boards=[b for b in found if any(row.source == card.source for row in b.rows())],
            plain=[(_said(k), v) for k, v in plain.items()],
            methods=[(k, _named(v)) for k, v in methods.items()],
            blocks=[(_said(k), _named(v)) for k, v in blocks.items()],
        )


def _group(number: int, board: Board, section: Section) -> dict[str, object]:
    windows = dict.fromkeys(c.window for c in section.columns if c.window is not None)
    return {
        "entry": number,
        "board": board,
        "section": section,
        "title": words.metric_words(section.metric),
        "windows": ", ".join(map(str, sorted(windows))),
        "measured": section.methods("measured"),
        "reported": section.methods("reported"),
    }


def _section(section: Section, number: Iterator[int], used: Iterable[Card]) -> dict[str, object]:
    sides = [(side, len(list(same))) for side, same in groupby(c.side for c in section.columns)]
    starts = [next(c for c in section.columns if c.side == side) for side, _ in sides]
    ends = section.scale and tuple(f"{end:g}" for end in section.scale)
    return {
        "group": section,
        "title": words.metric_words(section.metric),
        "summary": words.metric_summary(section.metric),
        "unit": words.unit_words(section.unit),
        "lines": [(next(number), line) for line in section.lines],
        "sides": sides,
        "starts": starts,
        "framed": any(column.window is not None for column in section.columns),
        "scale": ends,
        "cautions": _cautions(section, used),
    }


def _cautions(section: Section, used: Iterable[Card]) -> list[str]:
    """Return what the comparisons warn of, once each."""
    cells = [cell for card in used for cell in card.comparisons.get("cells", [])]
    said = [c.get("caution") for c in cells if c.get("metric") == section.metric]
    asked = {row.questions for row in section.rows() if row.kind == MEASURED}
    if len(asked) > 1:
        said.append("The runs asked different questions; ranks hold within a run.")
    return list(dict.fromkeys(str(caution) for caution in said if caution))


def _number(row: Row, cards: Mapping[str, Card]) -> dict[str, str]:
    card = cards.get(row.source) if row.kind == MEASURED else None
    ends = [words.number(end, row.unit) for end in (row.low, row.high)]
    name = f"{row.method} ({row.condition})" if row.condition else row.method
    return {
        "method": name,
        "metric": row.metric,
        "window": words.DASH if row.window is None else str(row.window),
        "kind": row.kind,
        "value": row.printed or words.number(row.value, row.unit),
        "interval": f"{ends[0]} to {ends[1]}" if has_interval(row) else words.DASH,
        "made": row.interval,
        "spread": row.printed_std or words.number(row.std, row.unit),
        "questions": words.DASH if row.n is None else f"{row.n:,}",
        "failed": words.DASH if row.n_failed is None else f"{row.n_failed:,}",
        "source": row.source,
        "page": card.page if card else "",
    }


def _choices(rows: Sequence[Row], *, everywhere: bool = False) -> dict[str, list[tuple[str, str]]]:
    """Return what the filters offer: value and text."""
    kinds = {row.kind for row in rows}
    offered = [(MEASURED, MEASURED)] if MEASURED in kinds else []
    others = sorted(kinds - {MEASURED})
    offered += [("reported", "reported")] if others else []
    offered += [(kind, f"reported: {kind}") for kind in others] if len(others) > 1 else []
    metrics = sorted({row.metric for row in rows}, key=words.metric_order)
    windows = sorted({row.window for row in rows if row.window is not None})
    named = {name: sorted({getattr(row, name) for row in rows}) for name in ("dataset", "protocol")}
    return {
        "kind": offered,
        "metric": [(metric, words.metric_words(metric)) for metric in metrics],
        "window": [(str(window), f"{window} frames") for window in windows],
        **{name: [(x, x) for x in found] if everywhere else [] for name, found in named.items()},
    }


def _said(name: str) -> str:
    return name.replace("_", " ")


def _named(value: JSON) -> JSON:
    """Return nested facts with their names in words."""
    if isinstance(value, dict):
        return {_said(str(name)): _named(item) for name, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list) else value
