"""Where a long video is divided, so that several workers share it.

The places depend on the video and the settings alone, never on who works on it. A video of T frames
has a seam at every T / n; from each on, the first cut is taken that stands alone, so that a shot
and its tracks stay in one part. A shot that goes on for longer than one that is looked at in one
piece is divided anyway (see `pipelines.looking`); there the seam itself is taken.

A part is then a video of its own: it begins with a cut, or with a look at the whole picture.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avbench import media

from .settings import FacetrackSettings
from .shots import Boundaries, open_finder

TOGETHER = 12
"""The parts of a video are a multiple of this: 2, 3, 4, 6 or 12 workers end together."""
CALM = 25
"""Frames around a place in which no other shot may end: no decision about a shot looks so far."""
REACH = 50
"""Frames that are looked at before and after all others, so that those are decided."""
_ASK = 25
"""Frames from one question where shots end to the next."""


class Place(NamedTuple):
    """Where a part of a video begins."""

    frame: int
    cut: bool
    """Whether a shot begins there."""


def count_parts(num_frames: int, settings: FacetrackSettings) -> int:
    """Return how many parts a video makes: a multiple of `TOGETHER`, or 0 where it stays whole.

    >>> [count_parts(minutes * 1500, FacetrackSettings()) for minutes in (17, 20, 50, 60, 120)]
    [0, 12, 12, 24, 36]
    """
    length = _length(settings)
    return TOGETHER * round(num_frames / (TOGETHER * length)) if length else 0


def fewest_frames(settings: FacetrackSettings) -> float:
    """Return how many frames every video has that does not stay whole."""
    return TOGETHER * _length(settings) / 2 or float("inf")


def _length(settings: FacetrackSettings) -> int:
    """Return about how many frames a part has, 0 where nothing is divided."""
    return max(settings.stretch, 4 * settings.longest_shot) if settings.stretch else 0


def find_seams(num_frames: int, settings: FacetrackSettings) -> list[int]:
    """Return the frames near which a video is divided; none where it stays whole.

    >>> find_seams(30_000, FacetrackSettings())[:3]
    [2500, 5000, 7500]
    """
    parts = count_parts(num_frames, settings)
    return [num_frames * part // parts for part in range(1, parts)]


def find_place(path: Path, seam: int, settings: FacetrackSettings) -> Place:
    """Look at the pictures around a seam, and say where to divide the video.

    Raises
    ------
    DataError
        If the file is not a video that can be read.
    """
    calm = max(CALM, settings.min_track)
    first = max(seam - calm - REACH, 0)
    window = seam - first, seam - first + settings.longest_shot
    finder = open_finder(settings.shot_detector, settings.shots, settings.scenes)
    stop = first + window[1] + calm + REACH
    with media.open_frames(path, start=first, stop=stop, seek=True) as frames:
        for number, frame in enumerate(frames):
            finder.push(frame.whole.sampled(finder.side) if finder.side else frame.image)
            if number % _ASK == 0:
                cut = lone_cut(finder.settled(), window, calm)
                if cut is not None:
                    return Place(first + cut, True)
    found = finder.finish()
    cut = lone_cut(found, window, calm)
    return Place(first + (calmest(found, window, calm) if cut is None else cut), cut is not None)


def lone_cut(found: Boundaries, window: tuple[int, int], calm: int) -> int | None:
    """Return the first cut in a range of frames around which no other shot ends, if there is one.

    >>> lone_cut(Boundaries(200, (60, 70, 130), ((160, 170),)), (50, 200), 25)
    130
    """
    for cut in found.cuts:
        near = set(range(cut - calm + 1, cut + calm)) - {cut}
        inside = window[0] <= cut < window[1] and cut + calm <= found.num_frames
        if inside and not near & _ends(found):
            return cut
    return None


def calmest(found: Boundaries, window: tuple[int, int], calm: int) -> int:
    """Return the first frame of a range from which every end of a shot is ``calm`` frames away.

    Where there is none, the one that lies farthest from them.

    >>> calmest(Boundaries(200, (60, 70), ()), (50, 160), 25)
    95
    """
    ends = np.array(sorted(_ends(found)) or [-calm])
    frames = np.arange(*window)
    far = np.abs(frames[:, None] - ends[None, :]).min(axis=1)
    return window[0] + int(np.argmax(np.minimum(far, calm)))


def _ends(found: Boundaries) -> set[int]:
    """Return the frames at which a shot begins or ends, with those between two shots."""
    between = (range(start, stop + 1) for start, stop in found.transitions)
    return {*found.cuts, *chain.from_iterable(between)}
