"""The units of a long video: its plan, its sound, the places where it is divided, and its parts.

Each leaves a receipt, and what is done is not done again. A part is taken apart like a video of its
own, with frames that count from 0 and its share of the sound, which is decoded once as a whole.

Proof
-----
That decoding which begins in the middle gives what a whole pass gives is not taken on trust. Every
part reads `CHECKED` frames further than its own and notes what they show; the next part notes the
same of its first. Part 0 is read from the start of the file, so where all notes agree, all parts
were read as one pass would have read them (see `pipelines.joining`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from avbench import media
from avbench.data import JSON
from avbench.errors import DataError
from avbench.media import Frame
from avbench.media.packets import Damage
from avbench.timing import FPS, SAMPLES_PER_FRAME

from . import files, units
from .crops import Sound
from .cutting import Reopen
from .facetracks import take_apart
from .guard import memory_cap, set_limit
from .settings import FacetrackSettings
from .stretches import fewest_frames, find_place, find_seams
from .units import Process, publish, staging

PARTS_VERSION = 1
"""Goes up whenever long videos may give other facetracks and short ones may not."""
CHECKED = 25
"""Frames behind each part that are compared with the first of the next."""
SOUND = "sound.npy"


def may_be_long(size: int, settings: FacetrackSettings) -> bool:
    """Return whether a file of so many bytes is believed to be as long as those that are shared."""
    return size / units.THINNEST * FPS >= fewest_frames(settings)


def plan_unit(process: Process, settings: FacetrackSettings, payload: Mapping[str, JSON]) -> JSON:
    """Run the facetrack step on one video or, where it is long, write down where to divide it.

    Parameters
    ----------
    process, settings, payload
        As for `pipelines.units.facetrack_unit`, and ``parts``: what the names of the folders of
        its parts begin with.
    """
    path, folder = Path(payload["path"]), part_folder(payload["parts"], "plan")
    if units.read_receipt(folder) is not None:
        return None
    seams: list[int] = []
    # What is no video is rejected below.
    with suppress(DataError):
        if may_be_long(payload["mark"][0], settings) and media.has_index(path):
            believed = min(units.LONGEST_S, payload["mark"][0] / units.THINNEST)
            frames = min(media.probe(path).num_frames, int(believed * FPS))
            seams = find_seams(frames, settings)
    if not seams:
        return units.facetrack_unit(process, settings, payload)
    with staging(folder) as out:
        publish(out, folder, {"frames": frames, "seams": seams})
    return None


def part_folder(parts: str, kind: str, number: int | None = None) -> Path:
    """Return where the result of a unit of a long video belongs."""
    return Path(f"{parts}-{kind}" if number is None else f"{parts}-{kind}-{number:04d}")


def first_unit(settings: FacetrackSettings, payload: Mapping[str, JSON]) -> JSON:
    """Find one place to divide a video, or read its sound.

    Parameters
    ----------
    settings
        The thresholds.
    payload
        As for `pipelines.units.facetrack_unit`; ``seconds`` of the video that are looked at, and
        ``seam``: near which frame, None for the sound.
    """

    def place(path: Path, out: Path) -> dict[str, JSON]:
        return find_place(path, payload["seam"], settings)._asdict()

    def sound(path: Path, out: Path) -> dict[str, JSON]:
        read = Sound.read(path, media.probe(path))
        np.save(out / SOUND, read.audio)
        return {"heard": list(read.heard), "warnings": read.warnings}

    return _run(sound if payload["seam"] is None else place, payload)


def part_unit(settings: FacetrackSettings, payload: Mapping[str, JSON]) -> JSON:
    """Take one part of a video apart.

    Parameters
    ----------
    settings
        The thresholds.
    payload
        As for `pipelines.units.facetrack_unit`; ``seconds``, ``start`` and ``stop`` (None for the
        end) in frames, and ``sound``, the folder of what `first_unit` read.
    """
    start, stop = payload["start"], payload["stop"]

    def work(path: Path, out: Path) -> dict[str, JSON]:
        sound = _share(Path(payload["sound"]), start, stop, settings.context)
        last = None if stop is None else stop + CHECKED
        with media.open_frames(path, start=start, stop=last, seek=True) as stream:
            frames = _Counted(stream, start, stop)
            report = take_apart(
                frames,
                _reader(path, start),
                payload["video_id"],
                stream.info,
                sound,
                out,
                settings,
            )
        notes = {"first": frames.first.hexdigest(), "next": frames.next.hexdigest()}
        return {"report": report.as_json(), "damage": asdict(frames.damage), **notes}

    return _run(work, payload)


class _Counted:
    """The frames of a part, counted from 0, with notes of its first frames and of those behind it.

    Parameters
    ----------
    stream
        From ``start`` on, and `CHECKED` frames further than the part.
    start, stop
        Of the part.
    """

    def __init__(self, stream: media.FrameStream, start: int, stop: int | None) -> None:
        self._stream, self._start, self._stop = stream, start, stop
        self.first, self.next = hashlib.sha256(), hashlib.sha256()
        self.damage = Damage()
        """What was wrong with these frames and no others."""

    def __iter__(self) -> Iterator[Frame]:
        before = Damage()
        for frame in self._stream:
            number = frame.index - self._start
            if number == 0 and self._start:
                before = replace(self._stream.damage)
            if number < CHECKED:
                _note(self.first, frame)
            if self._stop is None or frame.index < self._stop:
                yield replace(frame, index=number)
                continue
            if frame.index == self._stop:
                self.damage = _since(before, self._stream.damage)
            _note(self.next, frame)
        if self._stop is None:
            self.damage = _since(before, self._stream.damage)


def _note(digest: Any, frame: Frame) -> None:
    digest.update(repr((frame.pts_s, frame.corrupt)).encode())
    for plane in frame.whole.planes:
        digest.update(np.ascontiguousarray(plane).data)


def _since(before: Damage, now: Damage) -> Damage:
    """Return what came to the damage since it was ``before``."""
    names = [field.name for field in fields(Damage) if field.name != "notes"]
    counts = {name: getattr(now, name) - getattr(before, name) for name in names}
    return Damage(**counts, notes=list(now.notes))


def _share(folder: Path, start: int, stop: int | None, context: int) -> Sound:
    """Return the sound of a part and as much around it as its clips are stored with."""
    first = max(start - context, 0)
    last = None if stop is None else (stop + context) * SAMPLES_PER_FRAME
    whole = np.load(folder / SOUND, mmap_mode="r", allow_pickle=False)
    heard = (units.read_receipt(folder) or {})["heard"]
    audio = np.array(whole[first * SAMPLES_PER_FRAME : last])
    return Sound(audio, (heard[0] - start, heard[1] - start), [], lead=start - first)


def _reader(path: Path, origin: int) -> Reopen:
    """Return what opens a part once more; its frames count from ``origin``."""

    @contextmanager
    def reopen(start: int, stop: int) -> Iterator[Iterable[Frame]]:
        span = {"start": origin + start, "stop": origin + stop}
        with media.open_frames(path, **span, seek=True) as stream:
            yield (replace(frame, index=frame.index - origin) for frame in stream)

    return reopen


def _run(work: Callable[[Path, Path], Mapping[str, JSON]], payload: Mapping[str, JSON]) -> JSON:
    """Run a unit within its limits; where the file is at fault, the receipt says that it is unfit.

    Raises
    ------
    RuntimeError
        If the file changed while it was read.
    MemoryError
        If the unit needs more than its share.
    """
    path, folder = Path(payload["path"]), Path(payload["folder"])
    with memory_cap(payload["memory_limit"]), staging(folder) as out:
        set_limit(payload["time_limit"] + units.SLOWEST * payload["seconds"])
        try:
            receipt = dict(work(path, out))
        except DataError as error:
            receipt = {"unfit": str(error)}
            for leftover in out.iterdir():
                leftover.unlink()
        if files.mark_of(path) != tuple(payload["mark"]):
            raise RuntimeError("the file changed after it was hashed; run again")
        publish(out, folder, files.clean(receipt))
    return None
