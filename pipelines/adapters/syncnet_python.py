"""What syncnet_python leaves behind: its crops, and what its pickles say of them.

``pycrop/REFERENCE/00000.avi`` and so on are the clips, in SyncNet's own geometry and at 25 fps;
``pywork/REFERENCE`` holds ``tracks.pckl`` (boxes), ``scene.pckl`` (shots), ``faces.pckl``
(detections), ``activesd.pckl`` (distances) and, from some versions, ``offsets.txt``. The pickles
are read by `pipelines.adapters.pickles`, which runs nothing of them.

Offset and confidence that the tool measured are recorded; its sign is avbench's (positive: the
sound is early). The sound is not moved by it: it is a measurement, not the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from avbench.data import JSON, FloatArray
from avbench.errors import DataError
from avbench.timing import FPS

from . import pickles
from .layout import Entry, Layout, below, files, read_text


@dataclass(frozen=True, eq=False)
class Track:
    """One facetrack of the tool."""

    start: int
    """First frame of the 25 fps video."""
    boxes: FloatArray
    """x0, y0, x1, y1 in pixels of that video; shape (T, 4)."""


@dataclass(frozen=True, eq=False)
class Work:
    """What the folder pywork/REFERENCE says; empty where a file is not there."""

    tracks: tuple[Track, ...] = ()
    shots: tuple[tuple[int, int], ...] = ()
    """[start, stop) of every shot."""
    faces: tuple[int, ...] = ()
    """Faces found in every frame."""
    distances: tuple[FloatArray, ...] = ()
    """Distance of every five-frame window at every offset, by track; shape (N, 2 * search + 1)."""
    printed: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    """Offset and confidence of the tracks in offsets.txt."""


@lru_cache(maxsize=4)
def read_work(folder: Path) -> Work:
    """Read pywork/REFERENCE.

    Raises
    ------
    DataError
        If a file is damaged, is not what the tool writes, or asks to run code.
    """
    return Work(
        tracks=_each(folder / "tracks.pckl", _track),
        shots=_each(folder / "scene.pckl", lambda pair: (frame_of(pair[0]), frame_of(pair[1]))),
        faces=_each(folder / "faces.pckl", len),
        distances=_each(folder / "activesd.pckl", lambda d: np.asarray(d, np.float64)),
        printed=_printed(folder / "offsets.txt"),
    )


def _each(path: Path, make: Any) -> tuple[Any, ...]:
    """Return what is made of each entry of a pickled list; nothing where there is no file."""
    if not path.is_file():
        return ()
    try:
        return tuple(make(entry) for entry in pickles.read(path))
    except (TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: is not what syncnet_python writes ({error!r}); make it again."
        ) from error


def _track(entry: Any) -> Track:
    held = entry["track"] if isinstance(entry["track"], dict) else dict(entry)
    frames, boxes = np.asarray(held["frame"]), np.asarray(held["bbox"], np.float64)
    if boxes.shape != (len(frames), 4):
        raise ValueError(f"{len(frames)} frames and boxes of shape {boxes.shape}")
    return Track(int(frames[0]), boxes)


def frame_of(code: pickles.Record) -> int:
    """Return the frame number that a time code of any version of PySceneDetect holds."""
    held = code.attributes
    if "frame_num" in held:
        return int(held["frame_num"])
    time = held["_time"]
    if time.name.endswith("_FrameNumber"):
        return int(time.attributes["value"])
    if time.name.endswith("_Seconds"):
        return round(float(time.attributes["value"]) * FPS)
    return round(float(time.attributes["pts"]) * float(time.attributes["time_base"]) * FPS)


def _printed(path: Path) -> dict[int, tuple[int, float]]:
    rows = [line.split() for line in (read_text(path) or "").splitlines()[1:]]
    try:
        return {int(Path(name).stem): (int(offset), float(conf)) for name, offset, conf in rows}
    except ValueError:
        raise DataError(
            f"{path}: expected FILENAME, OFFSET and CONF a line; make it again."
        ) from None


def measured(distances: FloatArray) -> tuple[int, float]:
    """Return offset and confidence as the tool does: from the mean distance at each offset."""
    mean = distances.mean(axis=0)
    best = int(np.argmin(mean))
    return len(mean) // 2 - best, float(np.median(mean) - mean[best])


def _clips(root: Path) -> Iterator[Entry]:
    """List ``pycrop/REFERENCE/00000.avi`` and so on."""
    found = False
    for path in files(root, "pycrop/*/[0-9]*.avi"):
        if path.stem.isdigit():
            found = True
            reference = path.parent.name
            yield Entry(below(path, root), group=reference)
    if not found:
        raise LAYOUT.wrong_root(root, "it holds no pycrop/REFERENCE/00000.avi")


def _read(root: Path, entry: Entry) -> Entry:
    """Add what the tool's pickles say of a clip."""
    _, reference, name = Path(entry.file).parts
    folder, number = root / "pywork" / reference, int(Path(name).stem)
    work = read_work(folder)
    if not work.tracks:
        raise DataError(f"{folder}: holds no tracks.pckl, which says where {name} was cut.")
    if number >= len(work.tracks):
        raise DataError(f"{folder}: tracks.pckl has {len(work.tracks)} tracks and none for {name}.")
    return replace(entry, facts=facts_of(work, number, reference))


def facts_of(work: Work, number: int, reference: str) -> dict[str, JSON]:
    """Return what is known of one track as JSON."""
    track = work.tracks[number]
    stop = track.start + len(track.boxes)
    facts: dict[str, JSON] = {
        "reference": reference,
        "start": track.start,
        "face_boxes": track.boxes.round(2).tolist(),
    }
    around = [shot for shot in work.shots if shot[0] <= track.start and stop <= shot[1]]
    if around:
        facts["shot"] = list(around[0])
    if seen := work.faces[track.start : stop]:
        facts["most_faces_in_view"] = max(seen)
    if number in work.printed or number < len(work.distances):
        offset, confidence = work.printed.get(number) or measured(work.distances[number])
        facts["measured_offset"], facts["measured_confidence"] = offset, round(confidence, 3)
    return facts


LAYOUT = Layout(
    name="syncnet-python",
    title="output of syncnet_python",
    expected="pycrop/REFERENCE/00000.avi with pywork/REFERENCE/tracks.pckl (its --data_dir)",
    crops=True,
    splits="the tool makes none: whole videos are drawn",
    licence="That of the videos it was run on.",
    cite="Chung, Zisserman: Out of time: automated lip sync in the wild, ACCV workshops, 2016",
    clips=_clips,
    read=_read,
)
