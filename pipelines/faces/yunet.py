"""YuNet through OpenCV: a small network for faces of 10 to 300 pixels.

Reference: Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence
Research 20, 2023. It was trained on WIDER FACE, so its boxes are kept as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avbench.data import UInt8Array
from avbench.errors import UsageError

from .boxes import Detections

LONGEST = 640
"""Longer pictures are shrunk to this many pixels: the network knows no very large faces."""
OVERLAP = 0.3
"""Boxes of a greater IoU show the same face, as in OpenCV's own example."""
MULTIPLE = 32
"""OpenCV pads pictures to multiples of this before it shows them to the network."""


class YuNet:
    """OpenCV's FaceDetectorYN.

    Parameters
    ----------
    confidence
        Least confidence of a face.
    weights
        The ``.onnx`` file. OpenCV 4 cannot load one whose picture size is left open: it is
        written into a copy in memory.

    Raises
    ------
    UsageError
        If OpenCV cannot load the file.
    """

    def __init__(self, confidence: float, weights: Path) -> None:
        self._model, self._confidence, self._weights = weights.read_bytes(), confidence, weights
        self._network = lru_cache(maxsize=4)(self._load)
        self._network(LONGEST, LONGEST)

    def __call__(self, image: UInt8Array) -> Detections:
        """Find the faces of an RGB picture; shape (H, W, 3)."""
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        if scale < 1:
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = np.asarray(small, np.uint8)
        height, width = image.shape[:2]
        network = self._network(width, height)
        _, table = network.detect(np.ascontiguousarray(image[..., ::-1]))
        if table is None:
            return Detections.none()
        # Columns: x, y, width, height; eyes, nose and ends of the mouth, left first; score.
        faces = np.asarray(table, np.float64)
        boxes = np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4]], axis=1)
        points = faces[:, 4:14].reshape(-1, 5, 2)
        found = Detections(boxes, faces[:, 14], points[:, 3:].mean(axis=1), points[:, :2])
        return found.scaled(1 / scale)

    def _load(self, width: int, height: int) -> Any:
        padded = [-(-side // MULTIPLE) * MULTIPLE for side in (height, width)]
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            model = np.frombuffer(fix_input(self._model, (1, 3, *padded)), np.uint8)
            empty = np.zeros(0, np.uint8)
            return cv2.FaceDetectorYN.create(
                "onnx", model, empty, (width, height), self._confidence, OVERLAP
            )
        except (cv2.error, ValueError, IndexError) as error:
            raise UsageError(
                f"{self._weights} does not load as YuNet in OpenCV {cv2.__version__}; give another "
                "file with --detector-weights, or another --detector"
            ) from error
        finally:
            cv2.utils.logging.setLogLevel(level)


def fix_input(model: bytes, shape: tuple[int, ...]) -> bytes:
    """Write the shape of its input into an ONNX model that leaves part of it open.

    An ONNX file is a protocol buffer; the shape is in the graph (field 7 of the model), its input
    (11), its type (2), tensor type (1) and shape (2) (onnx/onnx.proto). All other bytes stay.

    Parameters
    ----------
    model
        The bytes of the file.
    shape
        The sizes of the input's axes.
    """
    axes = b"".join(_message(1, b"\x08" + _varint(size)) for size in shape)

    def fixed(old: bytes) -> bytes:
        # Field 2 of an axis is a name instead of a size: only such a shape is open.
        is_open = any(
            2 in [number for number, _, _ in _fields(axis)] for _, _, axis in _fields(old)
        )
        return axes if is_open else old

    return _replaced(model, (7, 11, 2, 1, 2), fixed)


def _replaced(message: bytes, path: tuple[int, ...], change: Callable[[bytes], bytes]) -> bytes:
    if not path:
        return change(message)
    parts = [
        _message(number, _replaced(content, path[1:], change)) if number == path[0] else whole
        for number, whole, content in _fields(message)
    ]
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, all bytes and content of the fields of a protocol buffer."""
    start = 0
    while start < len(message):
        tag, at = _read_varint(message, start)
        kind = tag & 7
        if kind == 2:
            size, at = _read_varint(message, at)
            end = at + size
        elif kind == 0:
            _, end = _read_varint(message, at)
        elif kind in (1, 5):
            end = at + (8 if kind == 1 else 4)
        else:
            raise ValueError("this is no protocol buffer")
        if end > len(message):
            raise ValueError("this protocol buffer is cut short")
        yield tag >> 3, message[start:end], message[at:end]
        start = end


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1


def _varint(value: int) -> bytes:
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content
