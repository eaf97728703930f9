"""Decoded pictures that are taken apart as they are stored, and become RGB only where they must.

Most pictures of a long video are of interest in a corner, or as a few thousand samples: to convert
all of each would take as long as a good part of decoding it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from avbench.data import UInt8Array
from avbench.media.probe import Orientation

_DIRECT = ("yuv420p", "yuvj420p")
_FULL_RANGE = 2
_LIKE_BT601 = (2, 5, 6)
"""Unspecified, which means the same to libswscale, BT.470BG and BT.601 (ITU-T H.273, table 4)."""


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


class Coding(Protocol):
    """How the planes of a picture make up its colours."""

    steps: tuple[int, ...]
    """How many times as many rows and columns as each plane the picture has."""

    def grey(self, level: int) -> tuple[int, ...]:
        """Return what a grey of that level, 0..255, is in each plane."""
        ...

    def bright(self, planes: tuple[UInt8Array, ...]) -> UInt8Array:
        """Return the brightness; shape (H, W)."""
        ...

    def rgb(self, planes: tuple[UInt8Array, ...]) -> UInt8Array:
        """Return the picture in RGB; shape (H, W, 3)."""
        ...

    def alike(self, planes: tuple[UInt8Array, ...]) -> UInt8Array:
        """Return planes that are all of one size, whatever ``steps``, in RGB."""
        ...


class Rgb:
    """One plane with three values per pixel."""

    steps: tuple[int, ...] = (1,)

    def grey(self, level: int) -> tuple[int, ...]:
        """Return the level."""
        return (level,)

    def bright(self, planes: tuple[UInt8Array, ...]) -> UInt8Array:
        """Return the brightness; shape (H, W)."""
        return np.asarray(cv2.cvtColor(planes[0], cv2.COLOR_RGB2GRAY), np.uint8)

    def rgb(self, planes: tuple[UInt8Array, ...]) -> UInt8Array:
        """Return the plane."""
        return planes[0]

    alike = rgb


class Yuv420:
    """Brightness, and blue and red at half the size, as nearly all video is stored.

    Parameters
    ----------
    like
        A picture that is stored so.
    """

    steps: tuple[int, ...] = (1, 2, 2)

    def __init__(self, like: VideoFrame) -> None:
        self._format = like.format.name
        self._colours = like.colorspace, like.color_range
        self._full = self._format == "yuvj420p" or like.color_range == _FULL_RANGE
        self._converters: dict[tuple[int, ...], ToRgb] = {}

    @property
    def standard(self) -> bool:
        """Whether it is BT.601 in the limited range, as crops are written."""
        return not self._full and self._colours[0] in _LIKE_BT601

    def grey(self, level: int) -> tuple[int, ...]:
        """Return what a grey of that level is in each plane."""
        return level if self._full else round(16 + level * 219 / 255), 128, 128

    def bright(self, planes: tuple[UInt8Array, ...]) -> UInt8Array:
        """Return the brightness as it is stored."""
        return planes[0]

    def rgb(self, planes: tuple[UInt8Array, ...]) -> UInt8Array:
        """Return the picture in RGB; its sides are even."""
        return self._converter(planes[0].shape)(self.frame(planes))

    def alike(self, planes: tuple[UInt8Array, ...]) -> UInt8Array:
        """Return planes that are all of one size in RGB."""
        height, width = planes[0].shape
        # Two equal bytes make one number of 16 bits: far faster than to resize.
        wide = (planes[0].astype(np.uint16) * 0x0101).view(np.uint8)
        frame = self._empty((2 * height, 2 * width))
        bright, *colours = planes_of(frame)
        bright[::2], bright[1::2] = wide, wide
        for target, plane in zip(colours, planes[1:], strict=True):
            target[:] = plane
        doubled = self._converter((2 * height, 2 * width))(frame)
        # Every second pixel, without gaps in memory: those would slow down all that follows.
        nearest = cv2.INTER_NEAREST
        return np.asarray(cv2.resize(doubled, (width, height), interpolation=nearest), np.uint8)

    def frame(self, planes: tuple[UInt8Array, ...]) -> VideoFrame:
        """Return the picture as PyAV has it."""
        frame = self._empty(planes[0].shape)
        for target, plane in zip(planes_of(frame), planes, strict=True):
            target[:] = plane
        return frame

    def _empty(self, size: tuple[int, ...]) -> VideoFrame:
        """Return a picture of that height and width, yet to be filled."""
        height, width = size
        frame = VideoFrame(width, height, self._format)
        frame.colorspace, frame.color_range = self._colours
        return frame

    def _converter(self, size: tuple[int, ...]) -> ToRgb:
        """Return what converts pictures of that size: changing sizes takes time."""
        if size not in self._converters:
            if len(self._converters) == 16:
                del self._converters[next(iter(self._converters))]
            self._converters[size] = ToRgb()
        return self._converters[size]


RGB = Rgb()


@dataclass(frozen=True, eq=False)
class Part:
    """A rectangle of a picture, or the whole, by the planes in which it is stored."""

    planes: tuple[UInt8Array, ...]
    coding: Coding = RGB

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.planes[0].shape[:2]
        return height, width

    @property
    def nbytes(self) -> int:
        """Bytes of all planes."""
        return sum(plane.nbytes for plane in self.planes)

    @property
    def image(self) -> UInt8Array:
        """RGB; shape (H, W, 3), uint8."""
        return self.coding.rgb(self.planes)

    @property
    def bright(self) -> UInt8Array:
        """Brightness; shape (H, W), uint8."""
        return self.coding.bright(self.planes)

    def part(self, x0: int, y0: int, x1: int, y1: int) -> Part:
        """Return columns [x0, x1) and rows [y0, y1); even numbers, unless they are the size."""
        planes = [
            plane[y0 // step : y1 // step, x0 // step : x1 // step]
            for plane, step in zip(self.planes, self.coding.steps, strict=True)
        ]
        return Part(tuple(planes), self.coding)

    def copy(self) -> Part:
        """Return this part in memory of its own."""
        return Part(tuple(plane.copy() for plane in self.planes), self.coding)

    def sampled(self, side: int) -> UInt8Array:
        """Return RGB, each the mean of four pixels on a regular grid; shape (side, side, 3)."""
        return self.coding.alike(tuple(sampled(plane, side) for plane in self.planes))


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

    @cached_property
    def whole(self) -> Part:
        """The picture as it is stored, where that is upright and of a common form; else RGB."""
        coding = self._converters.coding(self._stored)
        return Part((self.image,)) if coding is None else Part(planes_of(self._stored), coding)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of `image`."""
        width, height = self._converters.size
        return (width, height) if self._converters.turn.transpose else (height, width)


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
        self._codings: dict[tuple[str, int, int], Yuv420] = {}

    def coding(self, stored: VideoFrame) -> Yuv420 | None:
        """Return how a picture is stored, None where its planes are not those of the image."""
        size = stored.width, stored.height
        even = size[0] % 2 == size[1] % 2 == 0
        if stored.format.name not in _DIRECT or any(self.turn) or size != self.size or not even:
            return None
        form = stored.format.name, int(stored.colorspace), int(stored.color_range)
        if form not in self._codings:
            self._codings[form] = Yuv420(stored)
        return self._codings[form]


def planes_of(stored: VideoFrame) -> tuple[UInt8Array, ...]:
    """Return the planes of a picture as they lie in memory, without what fills up their rows."""
    return tuple(
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : plane.height, : plane.width
        ]
        for plane in stored.planes
    )


def sampled(image: UInt8Array, side: int) -> UInt8Array:
    """Return the means of four pixels each of an image, (H, W) or (H, W, 3), on a regular grid.

    Single pixels tell the colours of a large picture as well as all of them, and far faster.
    """
    sparse = cv2.resize(image, (2 * side, 2 * side), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(sparse, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
