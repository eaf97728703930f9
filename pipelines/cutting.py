"""Judge the tracks of a video, and cut out of its pictures those that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avbench import media
from avbench.data import JSON, FloatArray, Shot

from . import several
from .crops import CropJob, CropSettings, Seen, crop_squares, write_crops, write_held
from .faces import Detections
from .looking import Stretch
from .mouths import NO_MOUTH, Mouth, find_mouth, look, mouth_crops
from .regions import Held
from .settings import FacetrackSettings
from .tracking import LinkedFaces, link, split

KEPT = "kept"
Reopen = Callable[[int, int], AbstractContextManager[Iterable[media.Frame]]]
"""Opens a video once more, for its frames [start, stop)."""


@dataclass(frozen=True, eq=False)
class NamedTrack:
    """A track that passed, under its key."""

    shot: Shot
    index: int
    """Number of the track within the shot, from 0."""
    faces: LinkedFaces
    squares: FloatArray
    """left, top, side of the crop in source pixels; shape (T, 3)."""
    facts: dict[str, JSON]
    """See `LinkedFaces.facts`."""
    mouth: Mouth | None = None
    """Where its mouth is, where mouths are cut, too."""

    @property
    def key(self) -> str:
        """Name of the sample."""
        return f"{self.shot.video_id}-{self.shot.index:04d}-{self.index:02d}"

    def job(self, out: Path, settings: FacetrackSettings) -> CropJob:
        """Return what is to be written of its pictures."""
        faces = self.faces
        strays = np.std((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2, axis=0).max()
        watch = bool(strays < settings.still_motion * faces.height)
        seek = look if settings.mouth.size else None
        return CropJob(out / f"{self.key}.mp4", faces.start, self.squares, watch, seek)


class Tracks:
    """The tracks of one video: those that are written, those that wait, and those refused."""

    def __init__(self) -> None:
        self._written: list[NamedTrack] = []
        self._waiting: list[tuple[NamedTrack, CropJob]] = []
        self._mouths: list[CropJob] = []
        self._counts: Counter[int] = Counter()
        self.rejected: list[dict[str, JSON]] = []
        """As in the report."""

    def take(
        self, stretch: Stretch, heard: tuple[int, int], out: Path, settings: FacetrackSettings
    ) -> None:
        """Link the faces of a stretch, judge the tracks, and write what is kept."""
        if len(stretch.shot) < settings.min_track:
            return
        found = link(stretch.faces, stretch.shot, settings.tracking, stretch.flows)
        # What is hardly ever found again is no face that is seen beside another.
        seen = [track for track in found if track.found(stretch.faces) >= settings.min_found]
        for linked in found:
            others = [(track.start, track.stop) for track in seen if track is not linked]
            for part, reason in judge(linked, heard, stretch.faces, settings, others):
                count = several.beside((part.start, part.stop), others).max(initial=0)
                facts = {**part.facts(stretch.faces), "co_visible": int(count)}
                if reason != KEPT:
                    self.refuse(stretch.shot, facts, reason)
                    continue
                squares = crop_squares(part.boxes, settings.crops)
                track = self.name(stretch.shot, part, squares, facts)
                job = track.job(out, settings)
                written = write_held(stretch.held, job, settings.crops)
                if written is None:
                    self.wait(track, job)
                else:
                    self._settle(track, job, written, stretch.held, settings)

    def name(
        self, shot: Shot, faces: LinkedFaces, squares: FloatArray, facts: dict[str, JSON]
    ) -> NamedTrack:
        """Give a track that passed the next number of its shot."""
        number = self._counts[shot.index]
        self._counts[shot.index] += 1
        return NamedTrack(shot, number, faces, squares, facts)

    def wait(self, track: NamedTrack, job: CropJob) -> None:
        """Let a track wait for `write_waiting`."""
        self._waiting.append((track, job))

    def keep(self, track: NamedTrack) -> None:
        """Take a track whose pictures are written."""
        self._written.append(track)

    def refuse(self, shot: Shot, facts: Mapping[str, JSON], reason: str) -> None:
        """List a track as not kept."""
        self.rejected.append({"shot": shot.index, **facts, "reason": reason})

    def write_waiting(self, reopen: Reopen, settings: FacetrackSettings) -> None:
        """Write what was not held: faces in a second pass over the video, mouths in a third."""
        if self._waiting:
            seen = _write_again(reopen, [job for _, job in self._waiting], settings.crops)
            for track, job in self._waiting:
                self._settle(track, job, seen[job.path], Held(0), settings)
        if self._mouths:
            _write_again(reopen, self._mouths, mouth_crops(settings.crops, settings.mouth))
        self._waiting.clear()
        self._mouths.clear()

    def clips(self) -> list[NamedTrack]:
        """Return the tracks that were written, in the order of shots."""
        return sorted(self._written, key=lambda track: (track.shot.index, track.index))

    def _settle(
        self, track: NamedTrack, job: CropJob, seen: Seen, held: Held, settings: FacetrackSettings
    ) -> None:
        """Keep a track whose face is written, and cut its mouth; or refuse it after all."""
        mouth, reason = None, ""
        if seen.change < settings.still_change:
            reason = "still-picture"
        elif seen.points is not None:
            mouth = find_mouth(seen.points, settings.mouth, settings.crops.smooth)
            reason = "" if mouth else NO_MOUTH
        if reason:
            job.path.unlink()
            self.refuse(track.shot, track.facts, reason)
            return
        self.keep(replace(track, mouth=mouth))
        if mouth is not None:
            again = CropJob(job.path.with_suffix(".mouth.mp4"), job.start, mouth.squares)
            crops = mouth_crops(settings.crops, settings.mouth)
            if write_held(held, again, crops) is None:
                self._mouths.append(again)


def reader(path: Path) -> Reopen:
    """Return what opens a video once more."""
    return lambda start, stop: media.open_frames(path, start=start, stop=stop)


def _write_again(reopen: Reopen, jobs: Sequence[CropJob], crops: CropSettings) -> dict[Path, Seen]:
    """Read a video once more for crops of which not all was held."""
    first, last = min(job.start for job in jobs), max(job.stop for job in jobs)
    with reopen(first, last) as frames:
        return write_crops(frames, jobs, crops)


def judge(
    track: LinkedFaces,
    heard: tuple[int, int],
    looked: Mapping[int, Detections],
    settings: FacetrackSettings,
    others: Sequence[several.Span] = (),
) -> Iterator[tuple[LinkedFaces, str]]:
    """Yield the parts of a track, each with "kept" or the reason why it is not.

    The parts make up the whole track: what has no sound is cut off, what is too long divided.
    ``others`` are the frames [start, stop) of the other faces of the shot.
    """
    reason = KEPT
    if len(track) < settings.min_track:
        reason = "track-too-short"
    elif track.found(looked) < settings.min_found:
        reason = "too-few-detections"
    elif track.height < settings.min_face:
        reason = "face-too-small"
    if reason != KEPT:
        yield track, reason
        return
    start = min(max(track.start, heard[0]), track.stop)
    stop = max(min(track.stop, heard[1]), start)
    if stop - start < settings.min_track:
        yield track, "no-sound"
        return
    for edge in ((track.start, start), (stop, track.stop)):
        if edge[0] < edge[1]:
            yield track.part(*edge), "no-sound"
    yield from parts_of(track.part(start, stop), settings, others)


def parts_of(
    track: LinkedFaces, settings: FacetrackSettings, others: Sequence[several.Span]
) -> Iterator[tuple[LinkedFaces, str]]:
    """Yield a track that passed all else, in parts by the rule for several faces and by length."""
    whole = track.start, track.stop
    shown = others if settings.single_face else ()
    for start, stop, alone in several.alone(whole, shown, settings.min_track):
        part = track.part(start, stop)
        if not alone:
            yield part, several.SEVERAL
            continue
        for piece in split(part, settings.max_track):
            yield piece, KEPT
