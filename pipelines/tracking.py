"""Link the faces found in the frames of one shot into tracks.

The boxes found in a frame are assigned one-to-one to those of the running tracks, carried there by
the motion of the picture (see `pipelines.flow`), so that the sum of overlaps is greatest; what is
left over, to where the tracks were found last, for a hand that passes carries a box away with it.
The rest begins new tracks. A track that meets nothing for longer than
``max_gap`` frames ends. Since a call sees one shot, no identity crosses a cut.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from avbench.data import JSON, FloatArray, IntArray, Shot

from .faces import Detections, assign_again, iou
from .flow import Flows


@dataclass(frozen=True)
class TrackSettings:
    """How boxes are linked."""

    min_iou: float = 0.3
    """Least overlap of a box with a track's last one."""
    max_gap: int = 25
    """Most frames in a row without a detection inside a track: one second."""


@dataclass(frozen=True, eq=False)
class LinkedFaces:
    """One face through part of a shot, a box for every frame."""

    start: int
    """First frame in the 25 fps video."""
    boxes: FloatArray
    """x0, y0, x1, y1 in source pixels, carried or interpolated where the face was
    not looked for or missed; shape (T, 4)."""
    scores: FloatArray
    """Detector confidence, NaN where the box is carried or interpolated; shape (T,)."""
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

    flows: Flows
    min_iou: float
    frames: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    boxes: list[FloatArray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    mouths: list[FloatArray] = field(default_factory=list)

    def add(self, frame: int, found: Detections, row: int) -> None:
        self.frames.append(frame)
        self.rows.append(row)
        self.boxes.append(found.boxes[row])
        self.scores.append(float(found.scores[row]))
        self.mouths.append(found.mouths[row])

    def expected(self, frame: int) -> FloatArray:
        """Return the box to look for in a later frame: where it was carried, or the last one."""
        way = self.flows.ahead.get((self.frames[-1], self.rows[-1]), [])
        return way[step] if (step := frame - self.frames[-1] - 1) < len(way) else self.boxes[-1]

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
        boxes = self._boxes(start, stop)
        # The mouth keeps its place in the box from one detection to the next.
        found = np.stack(self.boxes)
        places = (np.stack(self.mouths) - found[:, :2]) / (found[:, 2:] - found[:, :2])
        sizes = boxes[:, 2:] - boxes[:, :2]
        mouths = boxes[:, :2] + _fill(every, self.frames, places) * sizes
        return LinkedFaces(start=start, boxes=boxes, scores=scores, mouths=mouths)

    def _boxes(self, start: int, stop: int) -> FloatArray:
        """Return a box for every frame: found, carried, or interpolated between such."""
        known = dict(zip(self.frames, self.boxes, strict=True))
        first, last = (self.frames[0], self.rows[0]), (self.frames[-1], self.rows[-1])
        for back, box in enumerate(self.flows.back.get(first, [])):
            known[first[0] - 1 - back] = _resized(box, self.boxes[0])
        for ahead, box in enumerate(self.flows.ahead.get(last, [])):
            known[last[0] + 1 + ahead] = _resized(box, self.boxes[-1])
        for (a, row), (b, _) in pairwise(zip(self.frames, self.rows, strict=True)):
            way = self.flows.ahead.get((a, row), [])[: b - a]
            if len(way) == b - a and iou(way[-1][None], known[b][None])[0, 0] < self.min_iou:
                continue  # Something else was followed, from a frame on that nobody knows.
            # What the box drifted by until it was found again is spread evenly over its way.
            drift = known[b] - way[-1] if len(way) == b - a else np.zeros(4)
            for step, box in enumerate(way[: b - a - 1], start=1):
                known[a + step] = box + drift * step / (b - a)
        frames = sorted(frame for frame in known if start <= frame < stop)
        table = np.stack([known[frame] for frame in frames])
        return _fill(np.arange(start, stop), frames, table)


def _resized(box: FloatArray, like: FloatArray) -> FloatArray:
    """Return a box with the size of another: a growing mouth is no growing face."""
    centre, half = (box[:2] + box[2:]) / 2, (like[2:] - like[:2]) / 2
    return np.concatenate([centre - half, centre + half])


def _fill(every: IntArray, frames: Sequence[int], values: FloatArray) -> FloatArray:
    """Interpolate each column of ``values``, known at ``frames``; beyond them it stands still."""
    columns = [np.interp(every, frames, column) for column in values.T]
    return np.stack(columns, axis=1)


def link(
    detections: Mapping[int, Detections],
    shot: Shot,
    settings: TrackSettings,
    flows: Flows | None = None,
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
    flows
        Where the detections were carried, if they were followed.

    Returns
    -------
    list of LinkedFaces
        Every detection of the shot is in exactly one of them; ordered by start, then from left
        to right.
    """
    flows = flows or Flows()
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
            carried = np.stack([track.expected(frame) for track in running])
            last = np.stack([track.boxes[-1] for track in running])
            pairs = assign_again(carried, last, found.boxes, settings.min_iou)
            for track_row, box_row in pairs:
                running[track_row].add(frame, found, box_row)
                left.remove(box_row)
        for row in sorted(left):
            track = _Running(flows, settings.min_iou)
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
