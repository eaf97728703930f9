"""MediaPipe's BlazeFace, the embedded detector: its weights come inside the package."""

from __future__ import annotations

import warnings
from math import ceil

import cv2
import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.errors import MissingDependency
from avbench.quiet import hushed

from .boxes import PAD_VALUE, Detections, merge

CLOSE = 2.5
"""Side of the square in which a face is looked for again, in longer sides of its box."""


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
        with hushed():
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

    def near(self, image: UInt8Array, boxes: FloatArray) -> Detections:
        """Find the faces around the given boxes of an RGB picture; (H, W, 3) and (N, 4).

        Each is looked for in a square around its box, of which it takes about the part that it
        takes of the whole picture in a close-up.
        """
        height, width = image.shape[:2]
        parts = [Detections.none()]
        for x0, y0, x1, y1 in boxes:
            side = min(round(CLOSE * max(x1 - x0, y1 - y0)), height, width)
            left = round((x0 + x1 - side) / 2)
            top = round((y0 + y1 - side) / 2)
            left, top = min(max(left, 0), width - side), min(max(top, 0), height - side)
            parts.append(self._look_inside(image, left, top, side))
        return merge(Detections.join(*parts))

    def _look(self, image: UInt8Array, left: int = 0, top: int = 0) -> Detections:
        """Run the network on part of a picture whose corner lies at (left, top)."""
        height, width = image.shape[:2]
        shown = np.ascontiguousarray(image).view()
        shown.flags.writeable = False  # else the network copies it once more
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*GetPrototype.*")
            faces = self._network.process(shown).detections or []
        rows = []
        for face in faces:
            box = face.location_data.relative_bounding_box
            left_eye, right_eye, _, mouth = face.location_data.relative_keypoints[:4]
            x0, y0 = box.xmin * width + left, box.ymin * height + top
            x1, y1 = x0 + box.width * width, y0 + box.height * height
            points = [
                (point.x * width + left, point.y * height + top)
                for point in (mouth, left_eye, right_eye)
            ]
            rows.append((x0, y0, x1, y1, face.score[0], *points[0], *points[1], *points[2]))
        table = np.array(rows, np.float64).reshape(-1, 11)
        eyes = table[:, 7:].reshape(-1, 2, 2)
        return Detections(face_box(table[:, :4]), table[:, 4], table[:, 5:7], eyes)

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
