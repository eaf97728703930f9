"""How high sound that does not belong scores, and so how sure a measured offset is.

A fixed least confidence means something else for every network, and for clips of another length.
Here the height of a track's best offset is compared with heights of the very same kind that are
known to be accidents: the track's pictures with its own sound shifted by more than the search, and
with the sound of other tracks. Their pool, over a whole set, gives the p-value of every track, and
with it the share of strangers' sounds that a threshold keeps.

A height counts in units of the spread of mean distances over all pairings of the track's pictures
with its sound in reverse order, which fit nowhere: it needs nothing but the track, so that heights
of faces that move much and little, in short and long tracks, can be compared.

References
----------
J. S. Chung and A. Zisserman, "Out of time: automated lip sync in the wild", 2016, section 3.1:
clips above a threshold of distance are refused. The threshold itself is not printed there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from avbench.data import FloatArray
from avbench.syncing.reading import MOST_DEGREES, ROWS_A_DEGREE

LEAST_PAIRS = 40
"""Fewer wrong pairs than these say too little about rare heights."""
TAIL = 0.1
"""Share of the wrong pairs, the highest, whose excess is taken to fall off exponentially."""
FLOOR = 0.1
"""So many wrong pairs, of all, are the rarest event that a pool is believed to tell of."""
_TINY = 1e-6
"""A spread of distances below this means that nothing changes."""


@dataclass(frozen=True)
class Scale:
    """Mean and spread of the mean distance of a track's pictures to sound that fits nowhere."""

    level: float
    spread: float

    def height(self, distance: float, share: float = 1.0) -> float:
        """Return how far a mean distance lies below chance, in spreads.

        Parameters
        ----------
        distance
            Mean over the rows that have sound.
        share
            Share of the rows that do: a mean over fewer varies more.
        """
        if self.spread < _TINY:
            return 0.0
        return float((self.level - distance) / self.spread * np.sqrt(share))


def scale_of(video: FloatArray, sound: FloatArray) -> Scale:
    """Measure the scale of a track: its pictures with its sound in reverse order, at every shift.

    Parameters
    ----------
    video, sound
        Unit embeddings; shape (N, D) and (M, D).
    """
    means = wrapped_means(video, sound[::-1])
    return Scale(float(means.mean()), float(means.std()))


def wrapped_means(video: FloatArray, sound: FloatArray) -> FloatArray:
    """Return the mean distance of all pictures to sound that starts at row s, wrapped; shape (M,).

    Parameters
    ----------
    video, sound
        Unit embeddings; shape (N, D) and (M, D).
    """
    cosines = np.asarray(video, np.float64) @ np.asarray(sound, np.float64).T
    distances = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    rows = np.arange(len(video))
    starts = np.arange(len(sound))[:, None]
    return np.asarray(distances[rows, (rows + starts) % len(sound)].mean(axis=1))


def own_heights(
    video: FloatArray, sound: FloatArray, before: int, search: int, scale: Scale
) -> list[float]:
    """Return the greatest height in every run of offsets beyond the search.

    The sound is wrapped around. A run is as long as the search, so that its greatest height is
    chosen from as many as that of the track itself; runs lie at least ``search`` frames outside
    the search, and none overlaps another.
    """
    means = wrapped_means(video, sound)
    length = 2 * search + 1
    first, last = before + 2 * search + 1, before - 2 * search + len(sound)
    starts = range(first, last - length + 1, length)
    runs = [means[np.arange(start, start + length) % len(sound)] for start in starts]
    return [scale.height(float(run.min())) for run in runs]


def others_height(video: FloatArray, sound: FloatArray, before: int, search: int) -> float:
    """Return the greatest height of pictures with the sound of another track, wrapped around."""
    means = wrapped_means(video, sound)
    run = means[(before + np.arange(-search, search + 1)) % len(sound)]
    return scale_of(video, sound).height(float(run.min()))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Heights of wrong pairs, ascending, and what they say about others."""

    wrong: FloatArray

    @classmethod
    def of(cls, heights: Iterable[float]) -> Calibration:
        """Pool heights of wrong pairs; their order does not matter."""
        return cls(np.sort(np.array(list(heights), np.float64)))

    @property
    def usable(self) -> bool:
        """Whether there are enough of them."""
        return len(self.wrong) >= LEAST_PAIRS

    def p_value(self, height: float, rows: int, search: int) -> float:
        """Return how often sound that does not belong comes so high, at whichever offset.

        The share of wrong pairs that do; beyond the highest `TAIL` of them an exponential that is
        fitted to their excess. Where there are too few, Student's t as `avbench.syncing` uses it,
        which is more careful.

        Parameters
        ----------
        height
            Of the track's best offset.
        rows
            Its embeddings.
        search
            Largest offset tried.
        """
        if not self.usable:
            from scipy import stats

            tail = float(stats.t.sf(height, min(rows / ROWS_A_DEGREE, MOST_DEGREES)))
            return min(1.0, (2 * search + 1) * tail)
        knee, excess = self._tail()
        if height > knee:
            extrapolated = float(TAIL * np.exp(-(height - knee) / excess))
            return max(extrapolated, FLOOR / len(self.wrong))
        above = len(self.wrong) - int(np.searchsorted(self.wrong, height, side="left"))
        return max(above / len(self.wrong), TAIL)

    def threshold(self, p_value: float) -> float | None:
        """Return the height whose p-value this is; None where there are too few wrong pairs."""
        if not self.usable:
            return None
        knee, excess = self._tail()
        if p_value < TAIL:
            return float(knee + excess * np.log(TAIL / p_value))
        return float(np.quantile(self.wrong, 1 - min(p_value, 1.0)))

    def _tail(self) -> tuple[float, float]:
        """Return where the tail begins, and by how much it goes beyond on average."""
        knee = float(np.quantile(self.wrong, 1 - TAIL))
        beyond = self.wrong[self.wrong > knee] - knee
        return knee, max(float(beyond.mean()) if len(beyond) else 0.0, _TINY)


def largest_p(false_keep: float, accepted: int, search: int) -> float:
    """Return the largest p-value to keep, so that a share of strangers' sounds stays.

    The best offset of sound that does not belong lies anywhere in the search with equal
    probability, and is accepted at ``accepted`` of the ``2 search + 1`` offsets only.

    >>> round(largest_p(0.01, 7, 15), 4)
    0.0443
    """
    return min(1.0, false_keep * (2 * search + 1) / accepted)
