"""Parts of pictures that are held in memory until it is known what becomes of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.media import Frame

_EDGE = 2
"""Pixels beyond a square that cutting it out looks at, see `pipelines.crops.cut`."""


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle of a picture; the whole picture is one, too."""

    left: int
    top: int
    """Its corner in the picture, in pixels."""
    pixels: UInt8Array
    """RGB; shape (h, w, 3)."""
    height: int
    width: int
    """Size of the whole picture."""

    @classmethod
    def whole(cls, image: UInt8Array) -> Region:
        """Return a picture as a region of itself."""
        return cls(0, 0, image, *image.shape[:2])

    @classmethod
    def around(cls, frame: Frame, square: FloatArray) -> Region:
        """Copy what a picture shows of a square: left, top, side; nothing if it lies outside."""
        height, width = frame.size
        x0, y0, x1, y1 = _pixels(square, height, width)
        return cls(x0, y0, frame.part(x0, y0, x1, y1), height, width)

    def covers(self, square: FloatArray) -> bool:
        """Return whether all that the picture shows of a square lies in this region."""
        x0, y0, x1, y1 = _pixels(square, self.height, self.width)
        rows, columns = self.pixels.shape[:2]
        inside = self.left <= x0 and self.top <= y0
        return inside and x1 <= self.left + columns and y1 <= self.top + rows


def _pixels(square: FloatArray, height: int, width: int) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of the pixels that cutting a square out of a picture looks at."""
    left, top, side = (float(value) for value in square)
    x0, y0 = int(np.floor(left)) - _EDGE, int(np.floor(top)) - _EDGE
    x1, y1 = int(np.ceil(left + side)) + _EDGE, int(np.ceil(top + side)) + _EDGE
    x0, x1 = (min(max(x, 0), width) for x in (x0, x1))
    y0, y1 = (min(max(y, 0), height) for y in (y0, y1))
    return x0, y0, x1, y1


class Held:
    """The regions held of each frame, up to a number of bytes; what is beyond is not held.

    Parameters
    ----------
    most
        Bytes of pixels.
    """

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._regions: defaultdict[int, list[Region]] = defaultdict(list)

    def add(self, frame: int, region: Region) -> None:
        """Hold a region of a frame if there is room."""
        if self._size + region.pixels.nbytes <= self._most:
            self._size += region.pixels.nbytes
            self._regions[frame].append(region)

    def forget(self, stop: int) -> None:
        """Let go of the frames before ``stop``."""
        for frame in [frame for frame in self._regions if frame < stop]:
            self._size -= sum(region.pixels.nbytes for region in self._regions.pop(frame))

    def find(self, frame: int, square: FloatArray) -> Region | None:
        """Return a region of a frame that covers a square, if one is held."""
        regions = self._regions.get(frame, ())
        return next((region for region in regions if region.covers(square)), None)
