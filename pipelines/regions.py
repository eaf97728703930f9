"""Parts of pictures that are held in memory until it is known what becomes of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from math import ceil, floor

from avbench.data import FloatArray
from avbench.media import Frame, Part

_EDGE = 4
"""Pixels beyond a square that cutting it out looks at: two of a colour at half the size, see
`pipelines.crops.cut`."""


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle of a picture; the whole picture is one, too."""

    left: int
    top: int
    """Its corner in the picture, in pixels."""
    part: Part
    height: int
    width: int
    """Size of the whole picture."""

    @classmethod
    def whole(cls, frame: Frame) -> Region:
        """Return a picture as a region of itself."""
        return cls(0, 0, frame.whole, *frame.size)

    @classmethod
    def around(cls, frame: Frame, square: FloatArray) -> Region:
        """Return what a picture shows of a square: left, top, side; nothing if it lies outside.

        It keeps the picture alive; `copy` does not.
        """
        height, width = frame.size
        x0, y0, x1, y1 = _pixels(square, height, width)
        return cls(x0, y0, frame.whole.part(x0, y0, x1, y1), height, width)

    def copy(self) -> Region:
        """Return this region in memory of its own."""
        return replace(self, part=self.part.copy())

    def covers(self, square: FloatArray) -> bool:
        """Return whether all that the picture shows of a square lies in this region."""
        x0, y0, x1, y1 = _pixels(square, self.height, self.width)
        rows, columns = self.part.size
        inside = self.left <= x0 and self.top <= y0
        return inside and x1 <= self.left + columns and y1 <= self.top + rows


def _pixels(square: FloatArray, height: int, width: int) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of the pixels that cutting a square out of a picture looks at.

    They are even, unless they are the size of the picture.
    """
    left, top, side = square.tolist()

    def between(start: float, most: int) -> tuple[int, int]:
        low, high = floor(start) - _EDGE, ceil(start + side) + _EDGE
        return min(max(low - low % 2, 0), most), min(max(high + high % 2, 0), most)

    (x0, x1), (y0, y1) = between(left, width), between(top, height)
    return x0, y0, x1, y1


class Held:
    """The regions held of each frame, up to a number of bytes; what is beyond is not held.

    Parameters
    ----------
    most
        Bytes of pictures.
    """

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._regions: defaultdict[int, list[Region]] = defaultdict(list)

    def add(self, frame: int, region: Region) -> None:
        """Hold a region of a frame if there is room."""
        if self._size + region.part.nbytes <= self._most:
            self._size += region.part.nbytes
            self._regions[frame].append(region)

    def forget(self, stop: int) -> None:
        """Let go of the frames before ``stop``."""
        for frame in [frame for frame in self._regions if frame < stop]:
            self._size -= sum(region.part.nbytes for region in self._regions.pop(frame))

    def find(self, frame: int, square: FloatArray) -> Region | None:
        """Return a region of a frame that covers a square, if one is held."""
        regions = self._regions.get(frame, ())
        return next((region for region in regions if region.covers(square)), None)
