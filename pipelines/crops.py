"""Cut the square around a face out of every frame of its track, and the sound that belongs to it.

Geometry
--------
That of SyncNet: with ``s`` half the longer side of the smoothed face box and (x, y) its centre,
the crop holds the rows ``y - s .. y + 1.8 s`` and the columns ``x - 1.4 s .. x + 1.4 s``, a square
of side 2.8 s whose centre lies 0.4 s below the centre of the face, scaled to 224 pixels. What lies
outside the picture is grey 110. Positions are not rounded to whole pixels: on a small face, which
is enlarged, rounding would shake the mouth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from avbench.data import FloatArray, UInt8Array
from avbench.errors import DataError
from avbench.media import (
    FULL_SCALE,
    Frame,
    MediaInfo,
    Part,
    VideoWriter,
    iter_audio,
    to_int16,
)
from avbench.timing import FPS, SAMPLES_PER_FRAME

from .faces import PAD_VALUE
from .regions import Held, Region


@dataclass(frozen=True)
class CropSettings:
    """How crops are cut and stored."""

    size: int = 224
    """Side of a crop in pixels."""
    pad: float = 0.4
    """Margin around the face, as a share of s."""
    smooth: int = 13
    """Frames, odd, of the median filter on centre and size: half a second."""
    crf: int = 18
    """x264 quality of the stored crop; 18 is hardly told from the original."""
    preset: str = "superfast"
    """x264 speed preset."""
    tune: str = "fastdecode"
    """x264 tuning, or nothing. Without CABAC and the loop filter, by which a crop at this quality
    hardly gains, every reading of it takes two fifths to two thirds of the time."""

    def writer(self, path: Path) -> VideoWriter:
        """Return what writes crops to a file."""
        return VideoWriter(path, crf=self.crf, preset=self.preset, tune=self.tune or None)


def median_filter(values: FloatArray, length: int) -> FloatArray:
    """Return the running median over ``length`` (odd) rows of each column; shape (T, C).

    Beyond its ends the track is taken to stand still: zeros there, as in `scipy.signal.medfilt`,
    would pull the first and last crops towards the corner of the picture.
    """
    result: FloatArray = ndimage.median_filter(values, size=(length, 1), mode="nearest")
    return result


def crop_squares(boxes: FloatArray, settings: CropSettings) -> FloatArray:
    """Return the square of every frame: left, top and side in source pixels; (T, 4) to (T, 3)."""
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    x = (boxes[:, 0] + boxes[:, 2]) / 2
    y = (boxes[:, 1] + boxes[:, 3]) / 2
    half, x, y = median_filter(np.stack([half, x, y], axis=1), settings.smooth).T
    reach = 1 + settings.pad
    return np.stack([x - reach * half, y - half, 2 * reach * half], axis=1)


def cut(image: UInt8Array, square: FloatArray, size: int, grey: int = PAD_VALUE) -> UInt8Array:
    """Cut a square out of a picture and scale it.

    Parameters
    ----------
    image
        RGB, or one plane of a picture; shape (H, W, 3) or (H, W).
    square
        left, top, side in pixels, not necessarily whole, possibly outside the picture.
    size
        Side of the result.
    grey
        What lies outside.

    Returns
    -------
    ndarray
        Shape (size, size, 3) or (size, size), uint8.
    """
    left, top, side = (float(value) for value in square)
    height, width = image.shape[:2]
    x0, y0 = int(np.floor(left)) - 2, int(np.floor(top)) - 2
    x1, y1 = int(np.ceil(left + side)) + 2, int(np.ceil(top + side)) + 2
    inside = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if not inside.size:
        return np.full((size, size, *image.shape[2:]), grey, np.uint8)
    margins = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    region = inside
    if any(margins):
        filled = cv2.copyMakeBorder(
            inside, *margins, borderType=cv2.BORDER_CONSTANT, value=(grey,) * 3
        )
        region = np.asarray(filled, np.uint8)
    # Bilinear sampling skips pixels beyond a factor of two: average whole blocks first.
    shrink = max(int(side / size), 1)
    if shrink > 1:
        rows, columns = (-(-edge // shrink) for edge in region.shape[:2])
        more = rows * shrink - region.shape[0], columns * shrink - region.shape[1]
        whole = cv2.copyMakeBorder(region, 0, more[0], 0, more[1], cv2.BORDER_REPLICATE)
        small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
        region = np.asarray(small, np.uint8)
    # Pixel centres: result pixel u shows the source at left + (u + 0.5) * side / size - 0.5.
    scale = side / size / shrink
    shift_x = (left - x0 + side / size / 2) / shrink - 0.5
    shift_y = (top - y0 + side / size / 2) / shrink - 0.5
    matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]])
    result = cv2.warpAffine(
        region,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(result, np.uint8)


def cut_part(part: Part, square: FloatArray, size: int) -> Part:
    """Cut a square out of a picture plane by plane, as `cut` does."""
    if size % 2:
        return Part((cut(part.image, square, size),))
    coding = part.coding
    plans = zip(part.planes, coding.steps, coding.grey(PAD_VALUE), strict=True)
    planes = [cut(plane, square / step, size // step, grey) for plane, step, grey in plans]
    return Part(tuple(planes), coding)


def region_change(first: UInt8Array, last: UInt8Array) -> float:
    """Return how much the lower face changes between two crops, relative to its contrast.

    Parameters
    ----------
    first, last
        Crops of the same square; shape (S, S, 3).

    Returns
    -------
    float
        Mean absolute difference over standard deviation: below 0.01 in a photograph, above 0.04
        in every one of 30 tracks of people who sit still.
    """
    rows, columns = (slice(round(a * len(first)), round(b * len(first))) for a, b in _LOWER_FACE)
    one, two = (crop[rows, columns].mean(axis=2) for crop in (first, last))
    # The 5 grey levels keep the noise of a flat, dark face from counting as motion.
    return float(np.abs(two - one).mean() / (two.std() + 5))


_LOWER_FACE = (0.25, 0.8), (0.25, 0.75)
_WATCH_SIZE = 56
_WATCH_STEP = 5


@dataclass(frozen=True, eq=False)
class CropJob:
    """One crop to write."""

    path: Path
    """The MP4 file."""
    start: int
    """First frame in the 25 fps video."""
    squares: FloatArray
    """left, top, side per frame; shape (T, 3)."""
    watch: bool = False
    """Whether to measure how much the face moves within its median square."""
    look: Callable[[UInt8Array], FloatArray] | None = None
    """Finds points in each crop before it is coded: x, y in units of its side; shape (P, 2)."""

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return self.start + len(self.squares)

    @property
    def middle(self) -> FloatArray:
        """The median square."""
        result: FloatArray = np.median(self.squares, axis=0)
        return result


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of a face while its crop was written."""

    change: float = np.inf
    """Median of `region_change` over five frames; infinite unless it was to be watched."""
    points: FloatArray | None = None
    """What was found in each crop, in source pixels; shape (T, P, 2). None where nothing was looked
    for."""


class _Writing:
    """A crop while it is being written."""

    def __init__(self, job: CropJob, writer: VideoWriter, close: Callable[[], None]) -> None:
        self.job = job
        self._changes: list[float] = []
        self._points: list[FloatArray] = []
        self._writer, self._close = writer, close
        self._past: deque[UInt8Array] = deque(maxlen=_WATCH_STEP)

    def take(self, index: int, region: Region, size: int) -> bool:
        """Write this frame's crop; return whether it was not the last."""
        corner = np.array([region.left, region.top, 0])
        square = self.job.squares[index - self.job.start] - corner
        crop = cut_part(region.part, square, size)
        self._writer.write(crop)
        if self.job.look is not None:
            self._points.append(self.job.look(crop.image) * square[2] + (square + corner)[:2])
        if self.job.watch:
            now = cut_part(region.part, self.job.middle - corner, _WATCH_SIZE).image
            if len(self._past) == _WATCH_STEP:
                self._changes.append(region_change(self._past[0], now))
            self._past.append(now)
        if index + 1 < self.job.stop:
            return True
        self._close()
        return False

    @property
    def seen(self) -> Seen:
        """What was seen of the face."""
        change = float(np.median(self._changes)) if self._changes else np.inf
        return Seen(change, np.stack(self._points) if self._points else None)


def write_crops(
    frames: Iterable[Frame], jobs: Sequence[CropJob], settings: CropSettings
) -> dict[Path, Seen]:
    """Write all crops in one pass over the frames, holding one frame at a time.

    Returns
    -------
    dict
        Path -> what was seen.

    Raises
    ------
    DataError
        If the frames end before a crop is complete; no unfinished file stays behind.
    """
    waiting = sorted(jobs, key=lambda job: (job.start, str(job.path)), reverse=True)
    running: list[_Writing] = []
    seen: dict[Path, Seen] = {}
    with ExitStack() as everything:
        for frame in frames:
            while waiting and waiting[-1].start == frame.index:
                job = waiting.pop()
                stack = everything.enter_context(ExitStack())
                writer = stack.enter_context(settings.writer(job.path))
                running.append(_Writing(job, writer, stack.close))
            going = []
            for writing in running:
                if writing.take(frame.index, Region.whole(frame), settings.size):
                    going.append(writing)
                else:
                    seen[writing.job.path] = writing.seen
            running = going
        unfinished = waiting + [writing.job for writing in running]
        if unfinished:
            raise DataError(
                f"{unfinished[0].path.stem}: its frames [{unfinished[0].start}, "
                f"{unfinished[0].stop}) did not come when the video was read again; "
                "is the file still being written?"
            )
    return seen


def write_held(held: Held, job: CropJob, settings: CropSettings) -> Seen | None:
    """Write a crop from what is held of its frames.

    Returns
    -------
    Seen or None
        None, and no file, if not all that the crop shows is held.
    """
    regions = []
    for index, square in enumerate(job.squares, start=job.start):
        region = held.find(index, square)
        if region is None or (job.watch and not region.covers(job.middle)):
            return None
        regions.append(region)
    with settings.writer(job.path) as writer:
        writing = _Writing(job, writer, lambda: None)
        for index, region in enumerate(regions, start=job.start):
            writing.take(index, region, settings.size)
    return writing.seen


@dataclass(frozen=True, eq=False)
class Sound:
    """The sound of a video against its picture."""

    audio: NDArray[np.int16]
    """Mono at 16 kHz; shape (S,). With as many bits as are stored in the end: of two hours it takes
    230 MB."""
    heard: tuple[int, int]
    """Half-open range of frames for which the source has sound."""
    warnings: list[str]
    lead: int = 0
    """Frames of sound before the instant of frame 0."""

    @classmethod
    def read(cls, path: Path, info: MediaInfo) -> Sound:
        """Read the sound of a video, and where it begins and ends."""
        held = bytearray()
        warnings: list[str] = []
        if info.audio_codec is None:
            return cls(np.frombuffer(held, np.int16), (0, 0), [])
        for block in iter_audio(path, warnings=warnings):
            held += to_int16(block).data
        audio = np.frombuffer(held, np.int16)
        late = (info.audio_start_s or 0.0) - info.video_start_s
        # A frame that is heard in part counts: coders end sound up to a frame early.
        start = int(np.floor(max(late, 0.0) * FPS))
        stop = -(-len(audio) // SAMPLES_PER_FRAME)
        return cls(audio, (min(start, stop), stop), warnings)

    def around(self, start: int, stop: int, context: int) -> tuple[FloatArray, dict[str, int]]:
        """Cut out frames ``[start - context, stop + context)``, zeros where there is no sound.

        Returns
        -------
        audio
            Shape ((stop - start + 2 * context) * 640,), float32.
        context
            "before", "after": how many of the frames on that side are the source's own sound.
        """
        first = (self.lead + start - context) * SAMPLES_PER_FRAME
        last = (self.lead + stop + context) * SAMPLES_PER_FRAME
        inside = self.audio[max(first, 0) : max(last, 0)]
        padded = np.zeros(last - first, np.float32)
        padded[max(-first, 0) : max(-first, 0) + len(inside)] = inside / np.float32(FULL_SCALE)
        whole = len(self.audio) // SAMPLES_PER_FRAME - self.lead
        real = {
            "before": int(np.clip(start - self.heard[0], 0, context)),
            "after": int(np.clip(whole - stop, 0, context)),
        }
        return padded, real
