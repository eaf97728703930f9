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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path, PurePosixPath

from avbench import __version__
from avbench.data import JSON
from avbench.errors import DataError, UsageError
from avbench.leaderboard.reported import load
from avbench.leaderboard.rows import MEASURED, Row, read_measured, read_reported
from avbench.leaderboard.site_model import Rank, boards, slug
from avbench.leaderboard.site_pages import ASSETS, Card, Renderer
from avbench.leaderboard.site_pairs import NONE, Comparisons, comparisons_of
from avbench.results import COMPARISONS, RUN
from avbench.shards import to_json, write_atomic

LIST = "site.json"
"""Names every file of a site, so that a later one can replace it and nothing else."""
_COPIED = (".json", ".jsonl", ".csv", ".md", ".parquet")


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
    places: dict[tuple[str, str, int | None, str], Rank] = {
        (card.source, *key): rank
        for card in cards.values()
        for key, rank in card.comparisons.ranks.items()
    }
    found = boards(rows, places)
    site = copies | _tables("data/rows", rows)
    for board in found:
        site |= _tables(f"data/boards/{board.slug}", board.rows())
    digest = _digest(rows, copies)
    render = Renderer(digest)
    papers = [_paper(path) for path in sorted(folder.glob("reported/*.json"))]
    site["index.html"] = render.index(found, cards, copies)
    for board in found:
        site[f"boards/{board.slug}.html"] = render.board(board, cards, papers)
    for card in cards.values():
        site[card.page] = render.card(card, found)
    for name in ("site.css", "site.js"):
        site[name] = (files(ASSETS) / name).read_bytes()
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
            block=_json(folder / source / RUN),
            comparisons=_comparisons(folder / source / COMPARISONS),
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


def _comparisons(path: Path) -> Comparisons:
    return comparisons_of(_json(path), str(path)) if path.exists() else NONE


def _json(path: Path) -> dict[str, JSON]:
    try:
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no names and values")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); copy it from the run again") from error
    return content


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
