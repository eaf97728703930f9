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
from avbench.media import source as src
from avbench.media.probe import SLACK_S, MediaInfo, describe, no_picture, quarter_turns
from avbench.timing import FPS

LONGEST_GAP_S = 60
"""Longest time in seconds for which one picture is believed to stand."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture on the 25 fps grid."""

    index: int
    """Number on the grid, from 0."""
    pts_s: float
    """Presentation time in seconds that the source gives this picture."""
    image: UInt8Array
    """RGB, upright; shape (H, W, 3), uint8."""
    corrupt: bool = False
    """Whether the decoder had to conceal damage in this picture."""


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

    Raises
    ------
    DataError
        If the file is missing, empty, not a video, or none of its pictures decodes.
    """

    info: MediaInfo
    """The source."""
    lost_frames: int
    """Grid frames that the header promises and that did not come; known at the end."""

    def __init__(self, path: Path, *, start: int = 0, stop: int | None = None) -> None:
        if start < 0 or (stop is not None and stop < start):
            raise ValueError(f"got {start = }, {stop = }, expected 0 <= start <= stop")
        self._damage = src.Damage()
        self._range = start, stop
        self.lost_frames = 0
        path = Path(path)
        with ExitStack() as stack:
            container = stack.enter_context(src.open_input(path))
            stream = src.picture_stream(container, str(path))
            pictures = _pictures(src.decode(container, [stream], self._damage))
            first = next(pictures, None)
            if first is None:
                raise no_picture(path)
            self.info = describe(path, container, stream, first)
            self._nominal = 1 / Fraction(stream.average_rate or stream.guessed_rate or FPS)
            self._frames = self._run(chain([first], pictures))
            self._stack = stack.pop_all()

    @property
    def warnings(self) -> list[str]:
        """One sentence per kind of damage met so far; complete once the iterator is exhausted."""
        return self._damage.sentences()

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

    def _run(self, pictures: Iterable[VideoFrame]) -> Generator[Frame, None, None]:
        """Convert the grid frames of the wanted range to RGB and settle the account at the end."""
        start, stop = self._range
        shape = self.info.height, self.info.width
        shown: VideoFrame | None = None
        image = np.zeros((0, 0, 3), np.uint8)
        count = 0
        for index, picture, time in _on_grid(pictures, self._nominal, self._damage):
            if stop is not None and index >= stop:
                return
            count = index + 1
            if index < start:
                continue
            if picture is shown:
                image = image.copy()
            else:
                shown, image = picture, _upright(picture, shape, self._damage)
            yield Frame(index, float(time), image, bool(picture.is_corrupt))
        self.lost_frames = max(self.info.num_frames - count, 0)
        if self.lost_frames > 1:
            self._damage.notes.append(
                f"the picture stops after {count / FPS:.2f} s of the declared "
                f"{self.info.duration_s:.2f} s ({self.lost_frames} frames lost)"
            )


def open_frames(path: Path, *, start: int = 0, stop: int | None = None) -> FrameStream:
    """Open a video as a `FrameStream`: grid frames, facts about the source, and warnings."""
    return FrameStream(path, start=start, stop=stop)


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
    name = src.name_of(source)
    damage = src.Damage()
    with src.open_input(source) as container:
        stream = src.picture_stream(container, name)
        images = [_rgb(picture) for picture in _pictures(src.decode(container, [stream], damage))]
    if damage.sentences() or not images:
        why = "; ".join(damage.sentences()) or "no picture decodes"
        raise DataError(f"{name}: is damaged ({why}); build this clip again.")
    return np.stack(images)


def _pictures(frames: Iterable[object]) -> Iterator[VideoFrame]:
    """Keep the video frames."""
    return (frame for frame in frames if isinstance(frame, VideoFrame))


def _on_grid(
    pictures: Iterable[VideoFrame], nominal: Fraction, damage: src.Damage
) -> Iterator[tuple[int, VideoFrame, Fraction]]:
    """Yield grid index, nearest picture and its time; a tie goes to the earlier picture.

    All times are exact fractions of a second, so that no rate drifts.
    """
    index = 0
    held: VideoFrame | None = None
    zero = time = Fraction(0)
    for picture in pictures:
        damage.concealed += bool(picture.is_corrupt)
        stamp = src.time_of(picture)
        now = time + nominal if stamp is None else stamp
        if held is None:
            held, zero, time = picture, now, now
            continue
        if now <= time:
            damage.disordered += 1
            continue
        if now - time > LONGEST_GAP_S:
            damage.notes.append(
                f"the clock jumps from {float(time):.2f} s to {float(now):.2f} s; "
                "the rest is left out"
            )
            break
        while 2 * (zero + Fraction(index, FPS)) <= time + now:
            yield index, held, time
            index += 1
        held, time = picture, now
    if held is None:
        return
    lasts = nominal
    if held.duration and held.time_base:
        lasts = min(held.duration * held.time_base, Fraction(LONGEST_GAP_S))
    while zero + Fraction(index, FPS) < time + lasts - SLACK_S or index == 0:
        yield index, held, time
        index += 1


def _rgb(picture: VideoFrame) -> UInt8Array:
    """Convert a picture as stored to RGB, in this thread."""
    image: UInt8Array = picture.to_ndarray(format="rgb24", threads=1).astype(np.uint8, copy=False)
    return image


def _upright(picture: VideoFrame, shape: tuple[int, int], damage: src.Damage) -> UInt8Array:
    """Convert a picture to RGB, turn it upright, and keep the size of the first picture."""
    turns = quarter_turns(picture)
    return np.ascontiguousarray(np.rot90(_rgb(picture), turns)) if turns else _rgb(picture)
