"""Pictures: any video on the 25 fps grid, and stored clips frame by frame."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType

import numpy as np
from av.video.frame import VideoFrame

from avbench.data import UInt8Array
from avbench.errors import DataError
from avbench.media.packets import (
    INDEXED_FORMATS,
    JUMPING_FORMATS,
    Damage,
    decode_from,
    decode_pictures,
    time_of,
)
from avbench.media.picture import Converters, Part, Picture, ToRgb
from avbench.media.probe import SLACK_S, MediaInfo, describe, no_picture, orientation
from avbench.media.source import name_of, open_source
from avbench.timing import FPS

LONGEST_GAP_S = 60
"""Longest time in seconds for which a picture is believed to stand past the declared end."""
_SHORTFALL = 2
"""Grid frames missing at the end that are reported where the picture's own length is declared."""
_VAGUE_SHORTFALL = FPS
"""The same where only the length of the whole file is declared, sound included."""


def _keep_freed_pages() -> None:
    """Teach the C library to keep the memory of freed pictures rather than return it each time.

    glibc hands blocks below a threshold back to the system as soon as twice that much is free, and
    raises the threshold to the largest block freed so far (at most 32 MiB). HD pictures lie just
    there: without this, every picture is paid for with new pages, half as much again as decoding
    it. The block is never written to and so takes no memory.
    """
    np.empty(31 << 20, np.uint8)


_keep_freed_pages()


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture on the 25 fps grid."""

    index: int
    """Number on the grid, from 0."""
    pts_s: float
    """Presentation time in seconds that the source gives this picture."""
    picture: UInt8Array | Picture
    """As it was decoded, or an image."""
    corrupt: bool = False
    """Whether the decoder had to conceal damage in this picture."""
    key: bool = False
    """Whether it is coded by itself, without other pictures."""

    @property
    def image(self) -> UInt8Array:
        """RGB, upright; shape (H, W, 3), uint8; made when it is first asked for."""
        return self.picture.image if isinstance(self.picture, Picture) else self.picture

    @property
    def whole(self) -> Part:
        """The image as it is stored; what is looked at in part need not be converted."""
        return self.picture.whole if isinstance(self.picture, Picture) else Part((self.picture,))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.picture.size if isinstance(self.picture, Picture) else self.picture.shape[:2]


class FrameStream:
    """The pictures of one video on the 25 fps grid, and what was wrong with them.

    An iterator over `Frame` and a context manager. Once the first picture is out, damage does not
    raise: what decodes is delivered, and `warnings` says what is missing.

    Parameters
    ----------
    path
        The video.
    start, stop
        Frames ``[start, stop)`` of the grid; everything before ``start`` is decoded, not converted.
    seek
        Rather begin to decode at a keyframe before ``start``, where the container has an index. The
        frames are then the same if the coder began anew at that keyframe, as most do.

    Raises
    ------
    DataError
        If the file is missing, empty, not a video, or none of its pictures decodes.
    """

    info: MediaInfo
    """The source."""
    lost_frames: int
    """Grid frames that the header promises and that did not come; known at the end."""

    def __init__(
        self, path: Path, *, start: int = 0, stop: int | None = None, seek: bool = False
    ) -> None:
        if start < 0 or (stop is not None and stop < start):
            raise ValueError(f"got {start = }, {stop = }, expected 0 <= start <= stop")
        self.damage = Damage()
        """What was wrong so far with the pictures up to the newest frame."""
        self._range = start, stop
        self.lost_frames = 0
        with ExitStack() as stack:
            source = stack.enter_context(open_source(Path(path)))
            stream = source.picture
            pictures = decode_pictures(source, self.damage)
            first = next(pictures, None)
            if first is None:
                raise no_picture(source.name)
            self.info = describe(Path(path), source, first)
            # Where the clock may jump, the header's length is the distance of two strange clocks.
            self._declared = None if source.format in JUMPING_FORMATS else source.duration
            exact = source.exact_duration is not None
            self._shortfall = _SHORTFALL if exact else _VAGUE_SHORTFALL
            rate = stream.average_rate or stream.guessed_rate or Fraction(FPS)
            self._nominal = min(1 / rate, Fraction(1))
            pictures = chain([first], pictures)
            self._begun, zero = 0, time_of(first)
            if seek and start and zero is not None:
                # A second opening: where no keyframe is found, the first goes on from its start.
                again, met = stack.enter_context(open_source(Path(path))), Damage()
                sought = decode_from(again, zero + Fraction(start, FPS), met)
                if sought is not None:
                    pictures, self._begun, self.damage = sought, start, met
            self._frames = self._run(first, pictures, zero)
            self._stack = stack.pop_all()

    @property
    def warnings(self) -> list[str]:
        """One sentence per kind of damage met so far; complete once the iterator is exhausted."""
        return self.damage.sentences()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> FrameStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; no more frames come."""
        self._frames.close()
        self._stack.close()

    def _run(
        self, first: VideoFrame, pictures: Iterable[VideoFrame], zero: Fraction | None
    ) -> Generator[Frame, None, None]:
        """Convert the grid frames of the wanted range to RGB and settle the account at the end."""
        start, stop = self._range
        size = first.width, first.height
        converters = Converters(size, orientation(first))
        count = self._begun
        clock = self._nominal, self.damage, self._declared
        grid = on_grid(pictures, *clock, start=count, zero=zero)
        for index, picture, time in grid:
            if stop is not None and index >= stop:
                return
            count = index + 1
            if index < start:
                continue
            self.damage.resized += size != (picture.width, picture.height)
            marks = bool(picture.is_corrupt), bool(picture.key_frame)
            yield Frame(index, float(time), Picture(picture, converters), *marks)
        missing = self.info.num_frames - count
        if missing >= self._shortfall and not self.damage.jumps:
            self.lost_frames = missing
            self.damage.notes.append(
                f"the picture stops after {count / FPS:.2f} s of the declared "
                f"{self.info.duration_s:.2f} s ({missing} frames lost)"
            )


def open_frames(
    path: Path, *, start: int = 0, stop: int | None = None, seek: bool = False
) -> FrameStream:
    """Open a video as a `FrameStream`: grid frames, facts about the source, and warnings."""
    return FrameStream(path, start=start, stop=stop, seek=seek)


def has_index(path: Path) -> bool:
    """Return whether a video's container says where its pictures lie, so that one can seek in it.

    Raises
    ------
    DataError
        If it is no media file that can be opened.
    """
    with open_source(Path(path)) as source:
        return source.format in INDEXED_FORMATS


def iter_frames(path: Path, *, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """Yield frames ``[start, stop)`` of a video on the 25 fps grid.

    Frame ``n`` shows the source picture nearest in time to ``n / 25`` s after the first one.

    Raises
    ------
    DataError
        If the file is missing, empty, not a video, or none of its pictures decodes.
    """
    with FrameStream(path, start=start, stop=stop) as frames:
        yield from frames


def read_video(source: Path | bytes) -> UInt8Array:
    """Read a stored clip: every coded frame in order, no resampling.

    Returns
    -------
    ndarray
        RGB pictures; shape (T, H, W, 3), uint8.

    Raises
    ------
    DataError
        If it is not a video, or any of it is damaged.
    """
    return next(read_pieces(source))


def read_pieces(source: Path | bytes, most: int | None = None) -> Iterator[UInt8Array]:
    """Read a stored clip as `read_video` does, ``most`` pictures at a time; all where None.

    What looks at one picture at a time spares itself the memory of all of them in RGB, and the
    time to fill it.
    """
    pictures, _ = stored_pictures(source)
    width, height = pictures[0].width, pictures[0].height
    convert = ToRgb((width, height))
    for start in range(0, len(pictures), most or len(pictures)):
        piece = pictures[start:][:most]
        images = np.empty((len(piece), height, width, 3), np.uint8)
        for image, picture in zip(images, piece, strict=True):
            image[:] = convert(picture)
        yield images


def stored_pictures(source: Path | bytes) -> tuple[list[VideoFrame], Fraction]:
    """Decode every picture of a stored clip as it is coded (YUV); also give its frame rate.

    Raises
    ------
    DataError
        If it is not a video, or any of it is damaged.
    """
    damage = Damage()
    with open_source(source) as opened:
        rate = opened.picture.average_rate or Fraction(FPS)
        pictures = list(decode_pictures(opened, damage))
    damage.concealed = sum(bool(picture.is_corrupt) for picture in pictures)
    if damage.sentences() or not pictures:
        why = "; ".join(damage.sentences()) or "no picture decodes"
        raise DataError(f"{name_of(source)}: is damaged ({why}); build this clip again.")
    return pictures, rate


def on_grid(
    pictures: Iterable[VideoFrame],
    nominal: Fraction,
    damage: Damage,
    declared: Fraction | None = None,
    *,
    start: int = 0,
    zero: Fraction | None = None,
) -> Iterator[tuple[int, VideoFrame, Fraction]]:
    """Yield grid index, nearest picture and its time; a tie goes to the earlier picture.

    Times are exact fractions of a second, so that no frame rate drifts.

    Parameters
    ----------
    pictures
        Decoded pictures in the order of presentation.
    nominal
        Seconds that a picture lasts where the source does not say.
    damage
        Receives the pictures that are damaged or out of order.
    declared
        Seconds that the file says it lasts: times within are believed, whatever the pause before
        them, and the last picture stands no longer than until then.
    start
        First index; the first picture is to be shown at its instant or before.
    zero
        Time of frame 0, that of the first picture where None.
    """
    index, step = start, Fraction(2, FPS)
    held: VideoFrame | None = None
    time, origin = Fraction(0), zero or Fraction(0)
    # Twice the instant of the next frame, against the sum of the times of two pictures.
    due = 2 * origin + start * step
    for picture in pictures:
        damage.concealed += bool(picture.is_corrupt)
        stamp = time_of(picture)
        if held is None:
            held, time = picture, stamp or Fraction(0)
            if zero is None:
                origin = time
                due = 2 * origin + start * step
            continue
        now = time + _lasting(held, nominal) if stamp is None else stamp
        within = declared is not None and now - origin <= declared
        if now <= time or not (within or now - time <= LONGEST_GAP_S):
            damage.disordered += 1
            continue
        middle = time + now
        while due <= middle:
            yield index, held, time
            index, due = index + 1, due + step
        held, time = picture, now
    if held is None:
        return
    end = time + _lasting(held, nominal)
    if declared is not None:
        end = min(end, max(origin + declared, time + nominal))
    end -= SLACK_S
    while origin + Fraction(index, FPS) < end or index == start == 0:
        yield index, held, time
        index += 1


def _lasting(picture: VideoFrame, nominal: Fraction) -> Fraction:
    """Return how many seconds a picture is shown."""
    if not picture.duration or picture.duration < 0 or picture.time_base is None:
        return nominal
    return min(picture.duration * picture.time_base, Fraction(LONGEST_GAP_S))
