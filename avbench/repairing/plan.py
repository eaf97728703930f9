"""From the alignments of faces to what is to be shown and heard when: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avbench.aligning.smoothing import adaptive
from avbench.data import FloatArray, IntArray
from avbench.timing import FPS, offset_to_ms

SMOOTH = 4.0
"""Standard deviation in frames of the Gaussian that ends DTA's smoothing: 10 STFT frames."""


@dataclass(frozen=True, eq=False)
class Part:
    """A stretch of sound whose pictures are known."""

    start: int
    """First frame of sound, in the 25 fps frames of the file."""
    video_index: IntArray
    """Frame of the file's picture for each frame of sound from there on; shape (A,)."""


@dataclass(frozen=True)
class Edit:
    """A stretch of output that shows consecutive frames of the source."""

    start: int
    stop: int
    """Half-open range of output frames, 25 a second."""
    source_start: int
    """Frame of the source that the first one shows."""
    before: int
    """Frames of the source that are left out just before, or -1 for each that is shown again."""

    @property
    def offset(self) -> int:
        """What the source was out by there; positive: its sound was early."""
        return self.source_start - self.start


def join(parts: Sequence[Part], num_audio: int, num_video: int) -> IntArray:
    """Say which frame of the picture belongs to every frame of a file's sound.

    Where no part says so, the offset is that of the nearest end of one, and between two it goes
    from one to the other in a straight line. Nothing goes back.

    Parameters
    ----------
    parts
        Without overlap; at least one.
    num_audio, num_video
        Frames of sound and of picture in the file.

    Returns
    -------
    IntArray
        In ``[0, num_video)``; shape (num_audio,).
    """
    ordered = sorted(parts, key=lambda part: part.start)
    places = np.concatenate([p.start + np.arange(len(p.video_index)) for p in ordered])
    drift = np.concatenate([p.video_index for p in ordered]) - places
    every = np.arange(num_audio)
    found = np.ceil(every + np.interp(every, places, drift) - 0.5).astype(np.int64)
    return np.asarray(np.maximum.accumulate(found.clip(0, num_video - 1)), np.int64)


def edits(video_index: IntArray) -> list[Edit]:
    """Cut an alignment into stretches that show frame after frame.

    >>> [(e.start, e.stop, e.source_start, e.before) for e in edits(np.array([2, 3, 3, 6]))]
    [(0, 2, 2, 2), (2, 3, 3, -1), (3, 4, 6, 2)]
    """
    cuts = np.flatnonzero(np.diff(video_index) != 1) + 1
    starts = [0, *cuts.tolist()]
    stops = [*cuts.tolist(), len(video_index)]
    last = -1
    found = []
    for start, stop in zip(starts, stops, strict=True):
        first = int(video_index[start])
        found.append(Edit(start, stop, first, first - last - 1))
        last = int(video_index[stop - 1])
    return found


def output_times(video_index: IntArray, fps: Fraction) -> FloatArray:
    """Return when the source shows what each picture of the output is to show.

    Within a frame of sound, time goes on as it does in the source, so that a source of more than
    25 pictures a second keeps all of them; it never goes back.

    Parameters
    ----------
    video_index
        Frame of picture of each frame of sound; shape (A,).
    fps
        Pictures per second to write.

    Returns
    -------
    FloatArray
        Seconds from the first picture of the source; shape (round(A / 25 * fps),).
    """
    count = max(round(Fraction(len(video_index), FPS) * fps), 1)
    time = np.arange(count) / float(fps)
    frame = np.floor(time * FPS + 1e-6).astype(int).clip(max=len(video_index) - 1)
    inside = (time - frame / FPS).clip(min=0)
    return np.asarray(np.maximum.accumulate(video_index[frame] / FPS + inside))


def sound_times(video_index: IntArray, num_video: int) -> FloatArray:
    """Return when the source sounds what is to be heard with each frame of its picture.

    The inverse of an alignment, smoothed as in DTA: with a Laplacian filter as far as 50 ms allow,
    then with a Gaussian (Halperin et al., 2019).

    Parameters
    ----------
    video_index
        Frame of picture of each frame of sound; shape (A,).
    num_video
        Frames of picture.

    Returns
    -------
    FloatArray
        Seconds from the start of the sound, never falling; shape (num_video,).
    """
    shown, first, count = np.unique(video_index, return_index=True, return_counts=True)
    known = np.full(num_video, np.nan)
    known[shown] = first + (count - 1) / 2
    smooth = adaptive(known)
    ends = np.flatnonzero(np.isfinite(smooth))
    place = np.arange(num_video)
    deviation = np.interp(place, ends, smooth[ends] - ends)
    found = place + gaussian_filter1d(deviation, SMOOTH, mode="nearest")
    return np.asarray(np.maximum.accumulate(found.clip(0, len(video_index))) / FPS)


def edit_rows(found: Sequence[Edit]) -> list[dict[str, float | int | str]]:
    """Describe edits as the rows of a table, in frames, seconds and words."""
    return [
        {
            "start": edit.start,
            "stop": edit.stop,
            "start_s": round(edit.start / FPS, 3),
            "stop_s": round(edit.stop / FPS, 3),
            "source_start": edit.source_start,
            "source_stop": edit.source_start + edit.stop - edit.start,
            "source_start_s": round(edit.source_start / FPS, 3),
            "offset": edit.offset,
            "offset_ms": offset_to_ms(edit.offset),
            "left_out": max(edit.before, 0),
            "shown_again": max(-edit.before, 0),
        }
        for edit in found
    ]
