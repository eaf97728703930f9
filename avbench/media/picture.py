"""Decoded pictures that become RGB only when, and where, they are looked at.

Most pictures of a long video are of interest in a corner, or as a few thousand samples: to convert
all of each would take as long as a good part of decoding it. A part has the same values as it has
in the whole.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from avbench.data import UInt8Array
from avbench.media.probe import Orientation

_DIRECT = ("yuv420p", "yuvj420p")
_BLOCK = 32
"""The converter works on blocks of so many columns; at their borders a part may begin."""


class ToRgb:
    """Converts pictures as stored to RGB in this thread, scaled to one size where one is given.

    The arrays share no memory with the decoder or with each other.
    """

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self._reformatter = VideoReformatter()  # one each per picture would take megabytes
        self._size = size

    def __call__(self, picture: VideoFrame) -> UInt8Array:
        """Return one picture; shape (H, W, 3), uint8."""
        width, height = self._size or (picture.width, picture.height)
        converted = self._reformatter.reformat(
            picture, width=width, height=height, format="rgb24", threads=1
        )
        return converted.to_ndarray().astype(np.uint8, copy=converted is picture)


class Converters:
    """What the pictures of one video are converted by.

    Parameters
    ----------
    size
        Width and height that every picture is scaled to.
    turn
        How to show it upright.
    """

    def __init__(self, size: tuple[int, int], turn: Orientation) -> None:
        self.size, self.turn, self.whole = size, turn, ToRgb(size)
        self._parts: dict[tuple[int, int], ToRgb] = {}

    def part(self, picture: VideoFrame) -> UInt8Array:
        """Convert a part, by a converter for its size: changing sizes takes time."""
        size = picture.width, picture.height
        if size not in self._parts:
            if len(self._parts) == 16:
                del self._parts[next(iter(self._parts))]
            self._parts[size] = ToRgb(size)
        return self._parts[size](picture)


class Picture:
    """One decoded picture.

    Parameters
    ----------
    stored
        As it came from the decoder.
    converters
        Of its video.
    """

    def __init__(self, stored: VideoFrame, converters: Converters) -> None:
        self._stored, self._converters = stored, converters

    @cached_property
    def image(self) -> UInt8Array:
        """RGB, upright; shape (H, W, 3), uint8."""
        return self._converters.turn.apply(self._converters.whole(self._stored))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of `image`."""
        width, height = self._converters.size
        return (width, height) if self._converters.turn.transpose else (height, width)

    @property
    def _direct(self) -> bool:
        """Whether parts can be told from the stored picture as it lies there."""
        stored, converters = self._stored, self._converters
        plain = stored.format.name in _DIRECT and not any(converters.turn)
        same = (stored.width, stored.height) == converters.size
        return plain and same and stored.width % 2 == stored.height % 2 == 0

    def part(self, x0: int, y0: int, x1: int, y1: int) -> UInt8Array:
        """Return columns [x0, x1) and rows [y0, y1) of `image`; shape (y1 - y0, x1 - x0, 3)."""
        if "image" in self.__dict__ or not self._direct or x0 >= x1 or y0 >= y1:
            return self.image[y0:y1, x0:x1].copy()
        left, top = x0 - x0 % _BLOCK, y0 - y0 % 2
        right = min(x1 + -x1 % _BLOCK, self._stored.width)
        bottom = y1 + y1 % 2
        bright, blue, red = self._planes()
        rows, columns = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        image = self._convert(
            bright[top:bottom, left:right], blue[rows, columns], red[rows, columns]
        )
        return image[y0 - top : y1 - top, x0 - left : x1 - left]

    def sampled(self, side: int) -> UInt8Array:
        """Return pixels of `image` on a regular grid; shape (side, side, 3).

        They are those that OpenCV's nearest-neighbour scaling picks.
        """
        if "image" in self.__dict__ or not self._direct:
            return sampled(self.image, side)
        bright, blue, red = (sampled(plane, side) for plane in self._planes())
        # Each sample becomes a block of four pixels, which share their colour.
        return sampled(self._convert(sampled(bright, 2 * side), blue, red), side)

    def _planes(self) -> list[UInt8Array]:
        """Return brightness and the two colours, these half as large, as they are stored."""
        return [
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
                : plane.height, : plane.width
            ]
            for plane in self._stored.planes
        ]

    def _convert(self, bright: UInt8Array, blue: UInt8Array, red: UInt8Array) -> UInt8Array:
        stored = self._stored
        flat = np.concatenate([bright.ravel(), blue.ravel(), red.ravel()])
        packed = flat.reshape(-1, bright.shape[1])
        part = VideoFrame.from_ndarray(packed, format=stored.format.name)
        part.colorspace, part.color_range = stored.colorspace, stored.color_range
        return self._converters.part(part)


def sampled(image: UInt8Array, side: int) -> UInt8Array:
    """Return pixels of an image, (H, W) or (H, W, 3), on a regular grid; side by side of them."""
    picked = cv2.resize(image, (side, side), interpolation=cv2.INTER_NEAREST)
    return np.asarray(picked, np.uint8)
