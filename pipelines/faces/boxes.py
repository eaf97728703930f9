"""What every detector returns, and what is done to boxes whoever found them.

Box convention
--------------
Whatever network found a face, its box here covers the face as WIDER FACE annotates it: from the
hairline to the chin and from ear to ear, as S3FD and RetinaFace report it, so that one crop
geometry and one set of thresholds serve every detector.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.optimize import linear_sum_assignment

from avbench.data import FloatArray, UInt8Array

PAD_VALUE = 110
"""Grey of what lies outside the picture, as in SyncNet's crops."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The faces found in one picture."""

    boxes: FloatArray
    """x0, y0, x1, y1 in pixels, hairline to chin; may reach outside the picture; shape (N, 4)."""
    scores: FloatArray
    """Confidence in [0, 1]; shape (N,)."""
    mouths: FloatArray
    """x, y of the mouth's centre in pixels, NaN where a detector does not say; shape (N, 2)."""
    eyes: FloatArray = field(default_factory=lambda: np.zeros((0, 2, 2)))
    """x, y of the eyes in pixels, the picture's left one first; NaN where a detector does not
    say, which is also what leaving them out means; shape (N, 2, 2)."""

    def __post_init__(self) -> None:
        if len(self.eyes) != len(self.boxes):
            object.__setattr__(self, "eyes", np.full((len(self.boxes), 2, 2), np.nan))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Any) -> Detections:
        return Detections(self.boxes[rows], self.scores[rows], self.mouths[rows], self.eyes[rows])

    @classmethod
    def none(cls) -> Detections:
        """Make the result for a picture without faces."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 2)))

    @classmethod
    def join(cls, *parts: Detections) -> Detections:
        """Put the detections of several looks at the same picture in one list."""
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.mouths for part in parts]),
            np.concatenate([part.eyes for part in parts]),
        )

    def scaled(self, factor: float) -> Detections:
        """Return the same faces in a picture ``factor`` times as large."""
        values = (self.boxes * factor, self.scores, self.mouths * factor, self.eyes * factor)
        return Detections(*values)


class Detector(Protocol):
    """Anything that finds faces in one picture."""

    def __call__(self, image: UInt8Array) -> Detections:
        """Find the faces of an RGB picture; shape (H, W, 3)."""
        ...


@runtime_checkable
class CloseDetector(Detector, Protocol):
    """One that can also look at places where faces were a moment ago, in less time."""

    def near(self, image: UInt8Array, boxes: FloatArray) -> Detections:
        """Find the faces around the given boxes of an RGB picture; (H, W, 3) and (N, 4)."""
        ...


def iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return intersection over union of every box with every other; (N, 4), (M, 4) to (N, M).

    >>> iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).round(3)
    array([[0.333, 0.   ]])
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    total = areas[0][:, None] + areas[1][None, :] - shared
    result: FloatArray = shared / np.maximum(total, 1e-9)
    return result


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


def assign_again(
    first: FloatArray, second: FloatArray, boxes: FloatArray, min_iou: float
) -> list[tuple[int, int]]:
    """Pair tracks with boxes as `assign` does, and what is left over by a second guess.

    Parameters
    ----------
    first, second
        Where each track may be now; shape (K, 4) each.
    boxes, min_iou
        As for `assign`.

    Returns
    -------
    list of (track, box)
        Row numbers, ascending.
    """
    pairs = assign(first, boxes, min_iou)
    tracks = [row for row in range(len(first)) if row not in {track for track, _ in pairs}]
    left = [row for row in range(len(boxes)) if row not in {box for _, box in pairs}]
    again = assign(second[tracks], boxes[left], min_iou)
    return sorted(pairs + [(tracks[track], left[box]) for track, box in again])


def merge(found: Detections, overlap: float = 0.4, within: float = 0.8) -> Detections:
    """Make one detection of all that show the same face, most confident first.

    The mean of the boxes, weighted by confidence, moves less from frame to frame than the best of
    them, which may come now from one look at the picture and now from another.

    Parameters
    ----------
    found
        The faces of one picture.
    overlap
        Boxes of a greater IoU with the most confident are averaged with it.
    within
        A box is dropped where this share of the smaller of it and a more confident one is common
        to both: a part of a face, or a face and its hair.
    """
    # Ties go to the box further left, so that the order never depends on where a box came from.
    found = found[np.lexsort((found.boxes[:, 0], -found.scores))]
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=-1)
    shares = iou(found.boxes, found.boxes)
    common = shares / (1 + shares) * (areas[:, None] + areas[None, :])
    nested = common > within * np.minimum(areas[:, None], areas[None, :])
    free = np.ones(len(found), bool)
    faces = []
    for row in range(len(found)):
        if free[row]:
            same = free & (shares[row] > overlap)
            weights = found.scores[same] / found.scores[same].sum()
            eyes = np.tensordot(weights, found.eyes[same], 1)
            faces.append((weights @ found.boxes[same], weights @ found.mouths[same], eyes, row))
            free &= ~(same | nested[row])
    if not faces:
        return Detections.none()
    boxes, mouths, eyes, rows = (np.array(column) for column in zip(*faces, strict=True))
    return Detections(boxes, found.scores[rows], mouths, eyes)
