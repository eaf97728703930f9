"""Writing the pages of a set into a folder, one source in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from avbench import media, progress
from avbench.errors import UnknownName, UsageError
from avbench.pages.clips import Measure, data_uri
from avbench.pages.model import Source, gather, read_ledger
from avbench.pages.render import Renderer, Tally, page_of
from avbench.shards import open_set, to_json, write_atomic

Films = Literal["auto", "embed", "beside"]
HEAVY = 64 * 2**20
"""Bytes of clips beyond which a page does not hold them itself, unless told to."""
LIST = "pages.json"
"""Names every file of the pages, so that later ones can replace them and nothing else."""


def write_pages(
    directory: Path,
    out: Path,
    *,
    sources: Sequence[str] = (),
    films: Films = "auto",
    measure: Measure | None = None,
) -> list[str]:
    """Write the pages of a shard set.

    Parameters
    ----------
    directory
        The set; it is only read.
    out
        Absent, empty, or earlier pages, which are replaced.
    sources
        Ids of the only sources to write pages of; all where empty.
    films
        Whether the clips stand in the pages (each works alone) or lie beside them; auto: inside,
        unless the clips of a source are more than `HEAVY` bytes.
    measure
        Measures the sync curve of each clip; without it only stored curves are drawn.

    Returns
    -------
    list of str
        The files written, relative to `out`.

    Raises
    ------
    UsageError
        If `out` holds something else.
    UnknownName
        If a source is not in the set.
    DataError
        If the set is damaged.
    """
    found = open_set(directory)
    ledger = read_ledger(directory)
    index = found.index()
    column = "video_id" if "video_id" in index else "key"
    known = {*index[column].astype(str)} if len(index) else set()
    known |= {entry.video_id for entry in ledger or () if entry.frames and entry.video_id}
    for name in sources:
        if name not in known:
            raise UnknownName("source", name, known)
    planned = {page_of(name) for name in known} | {_film(key) for key in index.get("key", ())}
    folder = _Folder(out, planned | {"index.html"})
    renderer, tally = Renderer(found, measure), Tally()
    wanted = list(sources) or None
    total = len(wanted) if wanted else len(known)
    for source in progress.track(gather(found, wanted), "pages", total, "source"):
        addresses = _films(source, films, folder)
        folder.write(page_of(source.entry.video_id), renderer.source(source, addresses))
        tally.add(source)
    passed = found.manifest["recipe"].get("files", {}).get("passed_over", {})
    folder.write("index.html", renderer.index(tally, ledger, passed))
    return folder.finish()


def _films(source: Source, films: Films, folder: _Folder) -> dict[str, str]:
    """Return where each clip plays from, by key, after writing what lies beside the page."""
    made = {
        track.key: media.join(track.sample.video, track.sample.sound)
        for track in source.tracks
        if track.sample is not None
    }
    heavy = sum(map(len, made.values())) > HEAVY
    if films == "embed" or (films == "auto" and not heavy):
        return {key: data_uri("video/mp4", film) for key, film in made.items()}
    for key, film in made.items():
        folder.write(_film(key), film)
    return {key: _film(key) for key in made}


def _film(key: str) -> str:
    return f"clips/{key}.mp4"


class _Folder:
    """An output folder that knows which files in it are its own."""

    def __init__(self, root: Path, planned: set[str]) -> None:
        self._root, self._old = root, _earlier(root)
        self._written: set[str] = set()
        # First of all a list, so that a folder that was broken off is known for what it is.
        root.mkdir(parents=True, exist_ok=True)
        self._known = self._old | planned
        self._list(self._known)

    def write(self, name: str, content: bytes) -> None:
        """Write one file, which is listed before it is there."""
        if name not in self._known:
            self._known.add(name)
            self._list(self._known)
        self._written.add(name)
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)

    def finish(self) -> list[str]:
        """Remove what earlier pages left and these do not have; return what there is."""
        for name in sorted(self._old - self._written):
            (self._root / name).unlink(missing_ok=True)
        self._list(self._written)
        return sorted([*self._written, LIST])

    def _list(self, names: set[str]) -> None:
        write_atomic(self._root / LIST, to_json({"files": sorted(names)}).encode())


def _earlier(root: Path) -> set[str]:
    """Return the files of the pages that are there; refuse a folder that holds anything else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return set()
    try:
        names = json.loads((root / LIST).read_text("utf-8"))["files"]
        paths = [PurePosixPath(name) for name in names]
        return {str(path) for path in paths if not path.is_absolute() and ".." not in path.parts}
    except (OSError, ValueError, TypeError, KeyError):
        raise UsageError(
            f"{root} is there and holds no pages of a set; choose a new or empty folder"
        ) from None
