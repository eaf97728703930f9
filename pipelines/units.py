"""The unit of work: which files there are, what they are called, and what is already done.

A unit is one video. It is named by a stable id (a slug of its path below the source it was found
in) and addressed by a digest of everything its result depends on: the bytes of the file, the
settings that matter and the version of the step. The result is a folder that appears under its
name only when it is complete, receipt included, so present means done.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avbench import media
from avbench.data import JSON
from avbench.errors import DataError, UsageError
from avbench.shards import write_json

from .files import clean, mark_of, read_json
from .guard import memory_cap, set_limit

RECEIPT = "receipt.json"
MAX_SLUG = 56
"""Longest video id before a suffix: a tar member name holds at most 100 bytes."""
_NOT_VIDEO = """
.txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .cfg .log .html .htm .pdf
.py .sh .ipynb .npy .npz .pkl .parquet .safetensors .pt .pth .onnx .zip .tar .gz .7z .rar
.srt .vtt .ass .lab .textgrid .align .jpg .jpeg .png .bmp .webp .tif .tiff .svg
.wav .flac .mp3 .m4a .ogg .opus .aac .part .sha256 .db .lock
"""
NOT_VIDEO = frozenset(_NOT_VIDEO.split())
"""Extensions of files in a source folder that are passed over; all others are tried."""


@dataclass(frozen=True)
class Source:
    """One input file."""

    path: Path
    """Absolute; opened for reading only."""
    root: str
    """Name of the SOURCE it was found in."""
    relative: str
    """Path below that SOURCE, with ``/``; undecodable bytes are escaped."""
    skip: str = ""
    """Why it is not tried at all; empty for a candidate."""
    unreadable: bool = False
    """Whether ``skip`` is for a fault rather than for what the file is."""
    video_id: str = ""
    sha256: str = ""
    mark: tuple[int, int] = (0, 0)
    """Size and time of change just before it was hashed."""

    def as_json(self) -> dict[str, JSON]:
        """Return all but where and since when it lies on this machine."""
        return {name: value for name, value in vars(self).items() if name not in ("path", "mark")}


def discover(sources: Sequence[Path], exclude: Path | None = None) -> list[Source]:
    """Find the input files in files and folders, each once, in a stable order.

    Parameters
    ----------
    sources
        Files (always tried) or folders (searched recursively; links followed, cycles cut).
    exclude
        A folder that is never searched: where the output goes.

    Raises
    ------
    UsageError
        If a source does not exist.
    """
    found: list[Source] = []
    seen: set[tuple[int, int]] = set()
    for source in sources:
        root = source.expanduser().absolute()
        if not root.exists():
            raise UsageError(f"source {source} does not exist; give a video or a folder of videos")
        inside = [(root, "")] if root.is_file() else _walk(root, exclude)
        for path, skip in inside:
            relative = path.relative_to(root.parent if root.is_file() else root)
            name = clean(relative.as_posix())
            entry = Source(path, clean(root.name), name, skip, "cannot be read" in skip)
            identity = _identity(path)
            if identity is None or identity not in seen:
                found.append(entry)
            if identity is not None:
                seen.add(identity)
    return found


def _walk(root: Path, exclude: Path | None) -> list[tuple[Path, str]]:
    unread: list[tuple[Path, str]] = []
    files: list[tuple[Path, str]] = []
    folders: set[tuple[int, int]] = set()
    banned = exclude.resolve() if exclude is not None else None

    def blocked(error: OSError) -> None:
        unread.append((Path(error.filename), f"folder cannot be read ({error.strerror})"))

    for folder, names, members in os.walk(root, onerror=blocked, followlinks=True):
        here = Path(folder)
        identity = _identity(here)
        if (banned is not None and here.resolve() == banned) or identity in folders:
            names.clear()
            continue
        if identity is not None:
            folders.add(identity)
        names[:] = sorted(name for name in names if not name.startswith("."))
        files.extend((here / name, _reason_to_skip(here / name)) for name in members)
    return sorted(files + unread)


def _reason_to_skip(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden file"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    if path.suffix.lower() in NOT_VIDEO:
        return f"not a video ({path.suffix.lower()})"
    return ""


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def slug(relative: str) -> str:
    """Turn a relative path into a name of ``[a-z0-9-]``, without the extension.

    >>> slug("Day 1/Ärzte_talk.v2.MP4")
    'day-1-arzte-talk-v2'
    """
    stem = relative.rpartition(".")[0] if "." in relative.rpartition("/")[2] else relative
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def identify(
    found: Sequence[Source],
    hash_all: Callable[[Sequence[Path]], Sequence[str]],
    limit: int | None = None,
) -> list[Source]:
    """Give every candidate its content hash and a unique video id; the rest stay as they are.

    The id is the slug of the path. Where two files share one, or it is empty or too long, the
    first eight digits of the content hash follow, so that an id never depends on the order or
    number of the files.

    Parameters
    ----------
    found
        What `discover` returned.
    hash_all
        Returns the SHA-256 of each file, or an empty string for one that cannot be read.
    limit
        Candidates beyond this many are left out of the result.
    """
    slugs = {entry: slug(entry.relative) for entry in found if not entry.skip}
    shared = Counter(slugs.values())
    chosen = list(slugs)[:limit]
    marks = {entry: mark_of(entry.path) for entry in chosen}
    hashes = dict(zip(chosen, hash_all([entry.path for entry in chosen]), strict=True))
    taken: set[str] = set()
    result: list[Source] = []
    for entry in found:
        if entry.skip:
            result.append(entry)
        elif entry in hashes:
            named = _name(entry, hashes[entry], shared[slugs[entry]] > 1, taken)
            result.append(replace(named, mark=marks[entry]))
    return result


def _name(entry: Source, digest: str, collides: bool, taken: set[str]) -> Source:
    if not digest:
        return replace(entry, skip="cannot be read", unreadable=True)
    base = slug(entry.relative)
    name = base[:MAX_SLUG].strip("-")
    if collides or name != base or not base:
        name = f"{name or 'video'}-{digest[:8]}"
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    taken.add(unique)
    return replace(entry, video_id=unique, sha256=digest)


def read_receipt(folder: Path) -> dict[str, JSON] | None:
    """Return what a finished result says about itself, or None where it is not finished."""
    return read_json(folder / RECEIPT)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Give a private folder to write a result into, removed again unless it was published."""
    part = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def publish(part: Path, folder: Path, receipt: Mapping[str, JSON]) -> None:
    """Make a staged result the finished one: receipt last, everything synced, then renamed.

    Where another process finished the same result first, this one is dropped: they are equal.
    """
    for path in part.iterdir():
        _sync(path)
    write_json(part / RECEIPT, receipt)
    _sync(part)
    try:
        part.rename(folder)
    except OSError:
        if read_receipt(folder) is None:
            raise
    _sync(folder.parent)


def sweep(root: Path) -> None:
    """Remove the staging folders that a killed run left behind."""
    for part in root.glob("*.part"):
        shutil.rmtree(part, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


Process = Callable[[Path, str, Path, Any], Any]
"""A facetrack step, like `pipelines.facetracks.process_video`."""

LONGEST_S = 86_400.0
"""A video that claims to be longer than this is not given more time for it."""
THINNEST = 1000.0
"""A video of fewer bytes per second than this is not believed to be so long."""
SLOWEST = 10.0
"""Seconds granted per second of video, on top of the time limit."""


def warm_up(process: Process, settings: Any, payload: Mapping[str, JSON]) -> JSON:
    """Load what takes longest to load: the modules of the facetrack step, and its detector."""
    from .faces import load_detector

    load_detector(settings.detector, settings.confidence, settings.detector_weights)
    return None


def facetrack_unit(process: Process, settings: Any, payload: Mapping[str, JSON]) -> JSON:
    """Run the facetrack step on one video; a file that is at fault gets a receipt that says so.

    Parameters
    ----------
    process
        The step.
    settings
        Its settings.
    payload
        ``path``, ``mark`` (size and time of change when it was hashed), ``video_id``,
        ``time_limit`` in seconds, ``memory_limit`` in MiB, and ``folder``, where the result goes.

    Raises
    ------
    RuntimeError
        If the file changes while it is read.
    MemoryError
        If it needs more than its share.
    """
    path, folder = Path(payload["path"]), Path(payload["folder"])
    with memory_cap(payload["memory_limit"]), staging(folder) as part:
        try:
            believed = min(LONGEST_S, payload["mark"][0] / THINNEST)
            duration = min(media.probe(path).duration_s, believed)
            set_limit(payload["time_limit"] + SLOWEST * duration)
            report = process(path, payload["video_id"], part, settings).as_json()
        except DataError as error:
            reason = " ".join(str(error).replace(str(path), path.name).split())
            receipt: dict[str, JSON] = {"rejected": reason, "decoder": media.complaints(path)}
            for leftover in part.iterdir():
                leftover.unlink()
        else:
            receipt = {"report": report}
            if report.get("warnings"):
                receipt["decoder"] = media.complaints(path)
        if mark_of(path) != tuple(payload["mark"]):
            raise RuntimeError("the file changed after it was hashed; run again")
        publish(part, folder, clean(receipt))
    return None
