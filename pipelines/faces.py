"""Face detection: an interface, and the detectors that fit it.

Box convention
--------------
Whatever network found a face, its box here covers the face as WIDER FACE annotates it: from the
hairline to the chin and from ear to ear, as S3FD and RetinaFace report it, so that one crop
geometry and one set of thresholds serve every detector. BlazeFace draws a square from the brows to
below the mouth; `face_box` turns one into the other.

Detectors see one picture at a time and keep no state between pictures, so that a box never
depends on what was looked at before.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from tempfile import TemporaryFile
from typing import Any, Protocol

import cv2
import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.errors import MissingDependency, UnknownName

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

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Any) -> Detections:
        return Detections(self.boxes[rows], self.scores[rows], self.mouths[rows])

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
        )


class Detector(Protocol):
    """Anything that finds faces in one picture."""

    def __call__(self, image: UInt8Array) -> Detections:
        """Find the faces of an RGB picture; shape (H, W, 3)."""
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
            faces.append((weights @ found.boxes[same], weights @ found.mouths[same], row))
            free &= ~(same | nested[row])
    if not faces:
        return Detections.none()
    boxes, mouths, rows = (np.array(column) for column in zip(*faces, strict=True))
    return Detections(boxes, found.scores[rows], mouths)


def face_box(squares: FloatArray) -> FloatArray:
    """Turn BlazeFace's squares into boxes from hairline to chin; (N, 4) to (N, 4).

    The shape is the mean, over 22 real videos with 1,900 faces, of the medians of RetinaFace's
    box relative to BlazeFace's: 0.854 (standard deviation over videos 0.04) as wide, 1.203 (0.06)
    as high, centre 0.085 (0.02) of the square's side higher.
    """
    side = squares[:, 3] - squares[:, 1]
    x = (squares[:, 0] + squares[:, 2]) / 2
    y = (squares[:, 1] + squares[:, 3]) / 2 - 0.085 * side
    half_width, half_height = 0.427 * side, 0.6015 * side
    return np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)


class BlazeFace:
    """MediaPipe's full-range BlazeFace, whose weights come with the package.

    The network sees a picture shrunk to 192 pixels, in which small faces are missed. A long
    picture is therefore looked at as a whole and in the squares that cover it. One in which no
    face is found is looked at again: from further away, with a grey margin, for faces that fill
    it, and a squarish one in its four corners.

    Parameters
    ----------
    confidence
        Least confidence of a face.

    Raises
    ------
    MissingDependency
        If mediapipe is not installed.
    """

    def __init__(self, confidence: float = 0.5) -> None:
        with _quiet():
            try:
                from mediapipe.python.solutions.face_detection import FaceDetection
            except ImportError as error:
                raise MissingDependency(
                    "The face detector 'blazeface' needs the package mediapipe; "
                    "pip install 'avbench[face]'"
                ) from error
            self._network = FaceDetection(model_selection=1, min_detection_confidence=confidence)
            # The first picture makes the network announce itself on standard error.
            self._network.process(np.zeros((32, 32, 3), np.uint8))

    def __call__(self, image: UInt8Array) -> Detections:
        """Find the faces of an RGB picture; shape (H, W, 3)."""
        height, width = image.shape[:2]
        found = Detections.join(
            self._look(image), *(self._look_inside(image, *s) for s in squares(height, width))
        )
        if not len(found):
            margin = max(height, width) // 4
            grey = (PAD_VALUE,) * 3
            far = cv2.copyMakeBorder(image, *(margin,) * 4, cv2.BORDER_CONSTANT, value=grey)
            found = self._look(np.asarray(far, np.uint8), -margin, -margin)
        if not len(found):
            found = Detections.join(
                found, *(self._look_inside(image, *s) for s in corners(height, width))
            )
        return merge(found)

    def _look(self, image: UInt8Array, left: int = 0, top: int = 0) -> Detections:
        """Run the network on part of a picture whose corner lies at (left, top)."""
        height, width = image.shape[:2]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*GetPrototype.*")
            faces = self._network.process(np.ascontiguousarray(image)).detections or []
        rows = []
        for face in faces:
            box = face.location_data.relative_bounding_box
            mouth = face.location_data.relative_keypoints[3]
            x0, y0 = box.xmin * width + left, box.ymin * height + top
            x1, y1 = x0 + box.width * width, y0 + box.height * height
            point = mouth.x * width + left, mouth.y * height + top
            rows.append((x0, y0, x1, y1, face.score[0], *point))
        table = np.array(rows, np.float64).reshape(-1, 7)
        return Detections(face_box(table[:, :4]), table[:, 4], table[:, 5:])

    def _look_inside(self, image: UInt8Array, left: int, top: int, side: int) -> Detections:
        """Look at one square of a picture, leaving out faces that its inner edges cut."""
        found = self._look(image[top : top + side, left : left + side], left, top)
        height, width = image.shape[:2]
        x0, y0, x1, y1 = found.boxes.T
        cut = ((x0 < left) & (left > 0)) | ((x1 > left + side) & (left + side < width))
        cut |= ((y0 < top) & (top > 0)) | ((y1 > top + side) & (top + side < height))
        return found[~cut]


def squares(height: int, width: int) -> list[tuple[int, int, int]]:
    """Return the overlapping squares (x, y, side) that cover a long picture; none for others.

    >>> squares(720, 1280)
    [(0, 0, 720), (560, 0, 720)]
    >>> squares(480, 640)
    []
    """
    short, long = sorted((height, width))
    if long < 1.5 * short:
        return []
    count = ceil(long / short + 0.2)
    places = [(long - short) * number // (count - 1) for number in range(count)]
    return [(0, p, short) if height > width else (p, 0, short) for p in places]


def corners(height: int, width: int) -> list[tuple[int, int, int]]:
    """Return the squares (x, y, side) at the corners of a squarish picture; none for others.

    >>> corners(300, 330)
    [(0, 0, 200), (130, 0, 200), (0, 100, 200), (130, 100, 200)]
    """
    if squares(height, width):
        return []
    side = 2 * min(height, width) // 3
    return [(x, y, side) for y in (0, height - side) for x in (0, width - side)]


DETECTORS: dict[str, Callable[[float], Detector]] = {"blazeface": BlazeFace}
"""Detector name -> what makes one from the least confidence of a face."""


def load_detector(name: str, confidence: float) -> Detector:
    """Return a face detector by name; made once in each process.

    Raises
    ------
    UnknownName
        If there is none of that name.
    MissingDependency
        If it needs a package that is not installed.
    """
    if name not in DETECTORS:
        raise UnknownName("face detector", name, DETECTORS)
    # A network does not survive a fork: each process has its own.
    return _loaded(name, confidence, os.getpid())


@lru_cache(maxsize=2)
def _loaded(name: str, confidence: float, process: int) -> Detector:
    return DETECTORS[name](confidence)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what native code writes to standard error to itself, unless something fails."""
    with TemporaryFile() as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
