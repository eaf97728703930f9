"""Follow faces from picture to picture by the motion of points on them.

Between two looks of the detector a box is carried by a grid of points: each is followed into the
next picture and back again (Lucas and Kanade 1981, in pyramids as by Bouguet 2000), points that
do not come back to where they were are dropped, and the box moves by the median of the rest
(forward-backward error and median flow: Kalal, Mikolajczyk and Matas, ICPR 2010). A cut, a hand
or a turn of the head loses the points: then it is time for the detector to look again.

On the way, the part of every picture that the face's crop may need is held, so that the video
need not be read again for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.media import Frame

from .faces import Detections, assign_again
from .regions import Held, Region

_AROUND = 0.25
"""What is compared around the crop, as a share of half the face's longer side."""


@dataclass(frozen=True)
class FlowSettings:
    """How faces are followed between two looks of the detector."""

    face: int = 48
    """Faces more than twice as high are shrunk, by whole blocks, to at least this many pixels."""
    window: int = 11
    """Side in pixels of the patch by which a point is recognised."""
    grid: int = 5
    """Points per side of the grid laid over a face."""
    error: float = 1.0
    """Farthest in pixels from where it began that a point carried on and back may arrive."""
    points: int = 9
    """Fewest points that must come back: a third of them, so that a mouth alone is no face."""
    margin: float = 0.5
    """What is held around the crop on each side, as a share of half the face's longer side: on real
    footage the smoothed crop strays from where the face was followed to by up to that."""
    held_mb: int = 512
    """Most megabytes of pictures held; for what goes beyond, the video is read a second time."""


@dataclass(frozen=True, eq=False)
class Flows:
    """Where detections were carried, by (frame, row of the detection in it)."""

    ahead: Mapping[tuple[int, int], list[FloatArray]] = field(default_factory=dict)
    """Boxes in the frames after it, one after the other, until it was lost or found again."""
    back: Mapping[tuple[int, int], list[FloatArray]] = field(default_factory=dict)
    """Boxes in the frames before it, backwards."""


def carry(
    before: UInt8Array, after: UInt8Array, box: FloatArray, settings: FlowSettings
) -> FloatArray | None:
    """Carry a box from one picture into the next.

    Parameters
    ----------
    before, after
        Grey pictures of the same size; shape (H, W), uint8.
    box
        x0, y0, x1, y1 in pixels; shape (4,).
    settings
        How points are followed.

    Returns
    -------
    FloatArray or None
        The box in the next picture; None where too few points come back.
    """
    points = (box[:2] + _grid(settings.grid) * (box[2:] - box[:2])).astype(np.float32)

    def follow(
        one: UInt8Array, two: UInt8Array, begin: FloatArray
    ) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        end, status, _ = cv2.calcOpticalFlowPyrLK(
            one,
            two,
            begin,
            np.empty_like(begin),
            winSize=(settings.window, settings.window),
            maxLevel=2,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03),
            # Flat patches tell nothing about motion.
            minEigThreshold=1e-3,
        )
        return np.asarray(end, np.float32), np.asarray(status)[:, 0] == 1

    moved, there = follow(before, after, points)
    again, back = follow(after, before, moved)
    good = there & back & (_lengths(again - points) <= settings.error)
    if good.sum() < settings.points:
        return None
    old, new = points[good].astype(np.float64), moved[good].astype(np.float64)
    centre, shift = _median(old), _median(new - old)
    reach = _lengths(old - centre)
    far = reach > _median(reach) / 2
    ratios = _lengths(new - centre - shift)[far] / reach[far]
    scale = float(_median(ratios))
    corners = centre + (box.reshape(2, 2) - centre) * scale + shift
    result: FloatArray = corners.reshape(4)
    return result


@lru_cache(maxsize=4)
def _grid(count: int) -> FloatArray:
    """Return the middles of a grid of cells over the unit square; shape (count * count, 2)."""
    steps = (np.arange(count) + 0.5) / count
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def _lengths(vectors: FloatArray) -> FloatArray:
    result: FloatArray = np.sqrt((vectors * vectors).sum(axis=1))
    return result


def _median(values: FloatArray) -> FloatArray:
    """Return `numpy.median` over the first axis; of few values, in a fifth of its time."""
    ordered, middle = np.sort(values, axis=0), len(values) // 2
    result: FloatArray = (
        ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    )
    return result


class _Followed:
    """One detection on its way through the pictures after it, or before it."""

    def __init__(
        self, box: FloatArray, found: FloatArray, path: list[FloatArray], settings: FlowSettings
    ) -> None:
        self.box, self.found, self.path, self._settings = box, found, path, settings
        self.lost = False
        self._square = _surroundings(box, _AROUND)
        self._shrink = max(int((box[3] - box[1]) / settings.face), 1)
        self._grey: UInt8Array | None = None

    def see(self, frame: Frame) -> Region:
        """Take the picture in which the box is known; return what is to be held of it."""
        self._grey = self._reduce(Region.around(frame, self._square))
        return self._hold(frame)

    def step(self, frame: Frame) -> Region:
        """Follow the face into the next picture; return what is to be held of it."""
        # Pictures are compared where the face was last looked for, so that they fit each other.
        region = Region.around(frame, self._square)
        grey = self._reduce(region)
        if not self.lost:
            corner = np.array([region.left, region.top] * 2)
            old = (self.box - corner) / self._shrink
            past, new = self._grey, None
            if past is not None and grey is not None and grey.shape == past.shape:
                new = carry(past, grey, old, self._settings)
            self.lost = new is None
            if new is not None:
                self.box = new * self._shrink + corner
                self.path.append(self.box)
        self._grey = grey
        return self._hold(frame)

    def _hold(self, frame: Frame) -> Region:
        """Return a copy of what the crop may show, where the face is now."""
        return Region.around(frame, _surroundings(self.box, self._settings.margin)).copy()

    def _reduce(self, region: Region) -> UInt8Array | None:
        """Return the region in grey, shrunk by whole blocks; None if nothing is left of it."""
        rows, columns = (side // self._shrink for side in region.part.size)
        if min(rows, columns) < 2 * self._settings.window:
            return None
        grey = region.part.bright[: rows * self._shrink, : columns * self._shrink]
        if self._shrink > 1:
            small = cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)
            return np.asarray(small, np.uint8)
        return grey.copy()


def _surroundings(box: FloatArray, margin: float) -> FloatArray:
    """Return SyncNet's crop of a box (see `pipelines.crops`) and a margin: left, top, side."""
    half = max(box[2:] - box[:2]) / 2
    x, y = (box[:2] + box[2:]) / 2
    reach = half * (1.4 + margin)
    return np.array([x - reach, y + 0.4 * half - reach, 2 * reach])


class Follower:
    """Carries the faces of each look of the detector until the next, and holds what they show.

    Parameters
    ----------
    settings
        How faces are followed.
    min_iou
        Least overlap of a carried box with a detection of the same face.
    longest
        Frames after which a face that is not found again is given up.
    """

    def __init__(self, settings: FlowSettings, min_iou: float, longest: int) -> None:
        self._settings, self._min_iou, self._longest = settings, min_iou, longest
        self._followed: list[_Followed] = []
        self.held = Held(settings.held_mb << 20)
        self._ahead: dict[tuple[int, int], list[FloatArray]] = {}
        self._back: dict[tuple[int, int], list[FloatArray]] = {}

    @property
    def boxes(self) -> FloatArray:
        """Where the faces are now; shape (K, 4)."""
        return np.array([face.box for face in self._followed]).reshape(-1, 4)

    @property
    def flows(self) -> Flows:
        """All ways so far that were not forgotten."""
        return Flows(self._ahead, self._back)

    def step(self, frame: Frame) -> bool:
        """Follow all faces into the next picture; return whether one of them got lost in it."""
        alarm = False
        for face in self._followed:
            fine = not face.lost
            self.held.add(frame.index, face.step(frame))
            # What could not be followed from the first stands still until the next look.
            alarm |= fine and face.lost and bool(face.path)
        return alarm

    def meet(self, frame: Frame, found: Detections, past: Sequence[Frame]) -> None:
        """Follow what a look at a picture found from there on, and what is new also back.

        Parameters
        ----------
        frame
            The picture; `step` has been there.
        found
            Its faces.
        past
            The pictures since the look before, the newest first.
        """
        last = np.array([face.found for face in self._followed]).reshape(-1, 4)
        pairs = assign_again(self.boxes, last, found.boxes, self._min_iou)
        known = {row for _, row in pairs}
        met = {number for number, _ in pairs}
        going = []
        for number, face in enumerate(self._followed):
            if number not in met and not face.lost and len(face.path) < self._longest:
                # Around the box of now; the way goes on.
                going.append(_Followed(face.box, face.found, face.path, self._settings))
        for row, box in enumerate(found.boxes):
            path = self._ahead.setdefault((frame.index, row), [])
            going.append(_Followed(box, box, path, self._settings))
            if row not in known:
                self._trace(frame, row, box, past)
        for face in going:
            self.held.add(frame.index, face.see(frame))
        self._followed = going

    def _trace(self, frame: Frame, row: int, box: FloatArray, past: Sequence[Frame]) -> None:
        """Follow a new face back to the look before."""
        path = self._back.setdefault((frame.index, row), [])
        face = _Followed(box, box, path, self._settings)
        face.see(frame)
        for earlier in past:
            self.held.add(earlier.index, face.step(earlier))

    def forget(self, stop: int) -> None:
        """Let go of everything before frame ``stop``."""
        self.held.forget(stop)
        for ways in (self._ahead, self._back):
            for key in [key for key in ways if key[0] < stop]:
                del ways[key]
