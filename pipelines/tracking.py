"""Link the faces found in the frames of one shot into tracks.

Each frame's boxes are assigned one-to-one to the last boxes of the running tracks so that the sum
of overlaps is greatest; what is left begins new tracks. A track that meets nothing for longer than
``max_gap`` frames ends. Since a call sees one shot, no identity crosses a cut.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from avbench.data import JSON, FloatArray, IntArray, Shot

from .faces import Detections, iou


@dataclass(frozen=True)
class TrackSettings:
    """How boxes are linked."""

    min_iou: float = 0.3
    """Least overlap of a box with a track's last one."""
    max_gap: int = 12
    """Most frames in a row without a detection inside a track; about half a second."""


@dataclass(frozen=True, eq=False)
class LinkedFaces:
    """One face through part of a shot, a box for every frame."""

    start: int
    """First frame in the 25 fps video."""
    boxes: FloatArray
    """x0, y0, x1, y1 in source pixels, interpolated where the face was missed; shape (T, 4)."""
    scores: FloatArray
    """Detector confidence, NaN where the box is interpolated; shape (T,)."""
    mouths: FloatArray
    """x, y of the mouth's centre in source pixels, interpolated likewise; shape (T, 2)."""

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return self.start + len(self.boxes)

    @property
    def height(self) -> float:
        """Median height of the face in pixels."""
        return float(np.median(self.boxes[:, 3] - self.boxes[:, 1]))

    def found(self, looked: Container[int]) -> float:
        """Return the share of the frames looked at in which the face was found."""
        tried = sum(frame in looked for frame in range(self.start, self.stop))
        return int(np.isfinite(self.scores).sum()) / max(tried, 1)

    def facts(self, looked: Container[int]) -> dict[str, JSON]:
        """Return what a report says about a track, kept or not."""
        scores = self.scores[np.isfinite(self.scores)]
        return {
            "start": self.start,
            "stop": self.stop,
            "face": round(self.height, 1),
            "score": round(float(scores.mean()), 3) if len(scores) else None,
            "found": round(self.found(looked), 3),
        }

    def part(self, start: int, stop: int) -> LinkedFaces:
        """Cut out the frames ``[start, stop)`` of the video."""
        rows = slice(start - self.start, stop - self.start)
        return LinkedFaces(start, self.boxes[rows], self.scores[rows], self.mouths[rows])


@dataclass
class _Running:
    """A track while it is being built: the frames in which the face was found."""

    frames: list[int] = field(default_factory=list)
    boxes: list[FloatArray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    mouths: list[FloatArray] = field(default_factory=list)

    def add(self, frame: int, found: Detections, row: int) -> None:
        self.frames.append(frame)
        self.boxes.append(found.boxes[row])
        self.scores.append(float(found.scores[row]))
        self.mouths.append(found.mouths[row])

    def finish(self, unseen: Set[int]) -> LinkedFaces:
        """Make the track; beyond its ends it lasts through frames that nobody looked at."""
        start, stop = self.frames[0], self.frames[-1] + 1
        while start - 1 in unseen:
            start -= 1
        while stop in unseen:
            stop += 1
        every = np.arange(start, stop)
        scores = np.full(len(every), np.nan)
        scores[np.array(self.frames) - start] = self.scores
        return LinkedFaces(
            start=start,
            boxes=_fill(every, self.frames, np.stack(self.boxes)),
            scores=scores,
            mouths=_fill(every, self.frames, np.stack(self.mouths)),
        )


def _fill(every: IntArray, frames: Sequence[int], values: FloatArray) -> FloatArray:
    """Interpolate each column of ``values``, known at ``frames``; beyond them it stands still."""
    columns = [np.interp(every, frames, column) for column in values.T]
    return np.stack(columns, axis=1)


def assign(last: FloatArray, boxes: FloatArray, min_iou: float) -> list[tuple[int, int]]:
    """Pair tracks with boxes one-to-one so that the sum of overlaps is greatest.

    Parameters
    ----------
    last
        Last box of each track; shape (K, 4).
    boxes
        Boxes of the frame; shape (N, 4).
    min_iou
        Pairs that overlap less are not made.

    Returns
    -------
    list of (track, box)
        Row numbers, ascending.
    """
    overlap = iou(last, boxes)
    overlap = np.where(overlap < min_iou, 0.0, overlap)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if overlap[row, column] > 0
    ]


def link(
    detections: Mapping[int, Detections], shot: Shot, settings: TrackSettings
) -> list[LinkedFaces]:
    """Link the detections of one shot.

    Parameters
    ----------
    detections
        Frame number -> faces, perhaps none, for the frames that were looked at.
    shot
        Frames outside it are ignored.
    settings
        How boxes are linked.

    Returns
    -------
    list of LinkedFaces
        Every detection of the shot is in exactly one of them; ordered by start, then from left
        to right.
    """
    running: list[_Running] = []
    ended: list[_Running] = []
    for frame in range(shot.start, shot.stop):
        found = detections.get(frame)
        if found is None or not len(found):
            continue
        alive: list[_Running] = []
        for track in running:
            (alive if frame - track.frames[-1] <= settings.max_gap + 1 else ended).append(track)
        running = alive
        left = set(range(len(found)))
        if running:
            last = np.stack([track.boxes[-1] for track in running])
            for track_row, box_row in assign(last, found.boxes, settings.min_iou):
                running[track_row].add(frame, found, box_row)
                left.remove(box_row)
        for row in sorted(left):
            track = _Running()
            track.add(frame, found, row)
            running.append(track)
    unseen = set(range(shot.start, shot.stop)) - detections.keys()
    tracks = [track.finish(unseen) for track in ended + running]
    return sorted(tracks, key=lambda track: (track.start, *track.boxes[0]))


def split(track: LinkedFaces, longest: int) -> list[LinkedFaces]:
    """Divide a track into equal parts of at most ``longest`` frames.

    >>> long = LinkedFaces(100, np.zeros((9, 4)), np.zeros(9), np.zeros((9, 2)))
    >>> [(part.start, part.stop) for part in split(long, 4)]
    [(100, 103), (103, 106), (106, 109)]
    """
    parts = -(-len(track) // longest)
    edges = [track.start + len(track) * part // parts for part in range(parts + 1)]
    return [track.part(a, b) for a, b in pairwise(edges)]
