"""Shots, tracks and offsets held against what was planted in a made video.

Conventions
-----------
Counts are summed over videos and divided once. A cut counts as found where one of the same kind
lies within a tolerance in frames, each at most once. The frames of a planted dissolve show two
shots and belong to neither: a face need not be covered there. A box belongs to the planted face
that it overlaps most, if the intersection over union is above 0.5.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from avbench.data import JSON, FloatArray
from avbench.synthetic.truth import FaceTruth, Truth
from avbench.timing import FRAME_S

from .faces import face_box, iou

OVERLAP = 0.5
"""Least intersection over union of a box with its face."""
ROLES = ("speaking", "dubbed", "silent")


@dataclass(frozen=True)
class ShotTally:
    """Boundaries of shots: planted, found, and both."""

    planted: int = 0
    found: int = 0
    right: int = 0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where nothing was planted or found."""
        both = self.planted + self.found
        return 2 * self.right / both if both else 1.0

    def __add__(self, other: ShotTally) -> ShotTally:
        return ShotTally(*np.add(astuple(self), astuple(other)).tolist())


def tally_shots(report: Mapping[str, JSON], truth: Truth, tolerance: int = 1) -> ShotTally:
    """Compare the cuts and dissolves of a report with those that were planted.

    Parameters
    ----------
    report
        ``shots`` and ``transitions`` of a facetrack report.
    truth
        What was planted.
    tolerance
        In frames, for a cut; a dissolve is found where a transition shares a frame with it.
    """
    spans = [(int(start), int(stop)) for start, stop in report["transitions"]]
    ends = {stop for _, stop in spans}
    cuts = [int(start) for start, _ in report["shots"] if start and start not in ends]
    right = len(_matched(truth.cuts, cuts, tolerance))
    free = list(spans)
    for start, stop in truth.dissolves:
        hit = next((span for span in free if span[0] < stop and start < span[1]), None)
        if hit is not None:
            free.remove(hit)
            right += 1
    planted = len(truth.cuts) + len(truth.dissolves)
    return ShotTally(planted, len(cuts) + len(spans), right)


def _matched(planted: Sequence[int], found: Sequence[int], tolerance: int) -> list[int]:
    """Return the planted frames that have a found one of their own, nearest first."""
    near = [(abs(p - f), p, f) for p in planted for f in found if abs(p - f) <= tolerance]
    taken_p, taken_f = set[int](), set[int]()
    for _, p, f in sorted(near):
        if p not in taken_p and f not in taken_f:
            taken_p.add(p)
            taken_f.add(f)
    return sorted(taken_p)


@dataclass(frozen=True)
class Owner:
    """The planted face that a track follows."""

    shot: int
    face: FaceTruth
    frames: int
    """Frames in which it does."""
    offset: int
    """Planted offset of the shot, in frames."""


@dataclass(frozen=True)
class TrackTally:
    """Frames and overlaps of tracks."""

    frames: int = 0
    """In tracks."""
    owned: int = 0
    """In tracks, on the face that the track follows most."""
    planted: int = 0
    """Of planted faces, in shots that are long enough, dissolves left out."""
    covered: int = 0
    """Those of them that some track shows."""
    overlap: float = 0.0
    """Sum of the intersections over union of owned frames."""
    tracks: int = 0
    faces: int = 0
    """Planted faces, in shots that are long enough."""

    @property
    def purity(self) -> float:
        """Share of the tracks' frames on one face each."""
        return self.owned / self.frames if self.frames else 1.0

    @property
    def coverage(self) -> float:
        """Share of the planted faces' frames that some track shows."""
        return self.covered / self.planted if self.planted else 1.0

    @property
    def mean_iou(self) -> float:
        """Mean intersection over union with the planted face."""
        return self.overlap / self.owned if self.owned else 0.0

    def __add__(self, other: TrackTally) -> TrackTally:
        return TrackTally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def owner_of(start: int, boxes: FloatArray, truth: Truth) -> tuple[Owner | None, float]:
    """Return the planted face that a track follows, and the sum of its overlaps with it.

    Parameters
    ----------
    start
        First frame of the track.
    boxes
        x0, y0, x1, y1 per frame; shape (T, 4).
    truth
        What was planted.
    """
    counts: Counter[tuple[int, int]] = Counter()
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for number, shot in enumerate(truth.shots):
        first, last = max(start, shot.start), min(start + len(boxes), shot.stop)
        if first >= last:
            continue
        own = boxes[first - start : last - start]
        for place, face in enumerate(shot.faces):
            planted = face_box(face.drawn.boxes[first - shot.start : last - shot.start])
            overlaps = np.diag(iou(own, planted))
            hits = overlaps > OVERLAP
            counts[number, place] += int(hits.sum())
            sums[number, place] += float(overlaps[hits].sum())
    if not counts or not max(counts.values()):
        return None, 0.0
    (number, place), frames = max(counts.items(), key=lambda item: (item[1], item[0]))
    shot = truth.shots[number]
    return Owner(number, shot.faces[place], frames, shot.offset), sums[number, place]


def tally_tracks(
    tracks: Iterable[tuple[int, FloatArray]], truth: Truth, shortest: int
) -> TrackTally:
    """Compare tracks with the faces that were planted.

    Parameters
    ----------
    tracks
        First frame and boxes of each.
    truth
        What was planted.
    shortest
        Shots of fewer frames, dissolves left out, cannot hold a track and are not counted.
    """
    total = TrackTally()
    shown: dict[tuple[int, str], set[int]] = {}
    for start, boxes in tracks:
        owner, overlap = owner_of(start, boxes, truth)
        owned = owner.frames if owner else 0
        total += TrackTally(frames=len(boxes), owned=owned, overlap=overlap, tracks=1)
        if owner is not None:
            key = owner.shot, owner.face.identity
            shown.setdefault(key, set()).update(range(start, start + len(boxes)))
    faded = {frame for span in truth.dissolves for frame in range(*span)}
    for number, shot in enumerate(truth.shots):
        frames = set(range(shot.start, shot.stop)) - faded
        for face in shot.faces if len(frames) >= shortest else ():
            covered = len(frames & shown.get((number, face.identity), set()))
            total += TrackTally(planted=len(frames), covered=covered, faces=1)
    return total


@dataclass(frozen=True)
class OffsetTally:
    """Measured offsets of tracks whose sound is heard, against the planted ones."""

    tracks: int = 0
    right: int = 0
    """Within one frame."""
    error_frames: float = 0.0
    """Sum of the distances."""
    foreign: int = 0
    """Tracks of mouths that are not heard: dubbed or silent."""
    refused: int = 0
    """Those of them that are not believed."""

    @property
    def accuracy(self) -> float:
        """Share of offsets within one frame."""
        return self.right / self.tracks if self.tracks else float("nan")

    @property
    def mean_error_ms(self) -> float:
        """Mean distance in milliseconds."""
        return 1000 * FRAME_S * self.error_frames / self.tracks if self.tracks else float("nan")

    def __add__(self, other: OffsetTally) -> OffsetTally:
        return OffsetTally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def tally_offset(owner: Owner | None, measured: int | None, believed: bool) -> OffsetTally:
    """Compare the measured offset of one track with what was planted.

    Parameters
    ----------
    owner
        Whom the track follows; nobody where None.
    measured
        Offset in frames; None where none could be measured.
    believed
        Whether the sync step would keep the track.
    """
    if owner is None:
        return OffsetTally()
    if owner.face.role != ROLES[0]:
        return OffsetTally(foreign=1, refused=int(not believed))
    error = abs(measured - owner.offset) if measured is not None else 25
    return OffsetTally(tracks=1, right=int(error <= 1), error_frames=error)
