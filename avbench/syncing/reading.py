"""Reading one offset off a similarity matrix, and how sure it is.

The offset is the diagonal along which sound and picture agree best on average. How surely it is no
accident is read from the same face and the same sound put together wrongly: shifted against each
other by far more than the search, and with the order of the sound reversed. Their diagonal means
say how high chance comes. They are neighbours of one another and too few to be ranked in a short
clip (ranks called 27 of 100 strangers' sounds significant at 2 %), so that their mean and spread
are used: the confidence is the height of the best diagonal above that mean in those units of
spread, and its p-value comes from Student's t, times the number of diagonals (Bonferroni).

Neither the spread nor the tail is that of a normal distribution: `MOST_DEGREES` and
`ROWS_A_DEGREE` were chosen so that the p-value says how often sound paired with strangers' faces
comes so high, which ``benchmarks/sync_shifts.py`` measures.

References
----------
Y. J. Kim et al., "End-to-End Lip Synchronisation Based on Pattern Classification", SLT 2021:
offsets as diagonals of the matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avbench.data import FloatArray
from avbench.similarity import diagonal_means, pick_offset

MOST_DEGREES, ROWS_A_DEGREE = 8, 12
"""Degrees of freedom of the t distribution: one for every 12 rows (half a second), at most 8."""
GOOD, FAIR = 0.01, 0.05
"""Largest p-values that are called good and fair."""
_SAME = 1e-4
"""A spread of cosines below this means that nothing changes, as in silence."""


@dataclass(frozen=True)
class Reading:
    """One offset and how sure it is."""

    offset: int
    """In 25 fps frames; positive: the sound is early."""
    confidence: float
    """Height of the best diagonal over those of wrongly joined sound, in their spread."""
    p_value: float
    """How often sound that does not belong comes so high, about."""
    sharpness: float
    """(maximum - median) / (1.48 x median absolute deviation) of the curve."""
    curve: tuple[float, ...]
    """Mean similarity, less that of rows and columns, at every offset; -search to search."""

    @property
    def at_edge(self) -> bool:
        """Whether the best offset is the last that was tried: the true one may lie beyond."""
        return abs(self.offset) == len(self.curve) // 2

    @property
    def grade(self) -> str:
        """``good``, ``fair`` or ``low``."""
        if self.at_edge or self.p_value >= FAIR:
            return "low"
        return "good" if self.p_value < GOOD else "fair"


def least_rows(search: int) -> int:
    """Return the rows that a reading needs: wrong shifts must lie twice the search away."""
    return 4 * search + 2


def read_offset(
    similarity: FloatArray, search: int, start: int = 0, stop: int | None = None
) -> Reading | None:
    """Read the offset of a face, or of a part of it, and how sure it is.

    Parameters
    ----------
    similarity
        Rows audio, columns video, of the whole face; shape (T, T), T >= `least_rows`.
    search
        Largest offset tried, in frames.
    start, stop
        Columns ``[start, stop)`` of the picture to read; they are compared with all of the sound.

    Returns
    -------
    Reading or None
        None where nothing changes: silence, or a face that was never found.

    Raises
    ------
    ValueError
        If the matrix is not square or too small.
    """
    rows = len(similarity)
    if similarity.shape != (rows, rows) or rows < least_rows(search):
        raise ValueError(
            f"got {similarity.shape = }, expected a square of {least_rows(search)} or more"
        )
    from scipy import stats

    stop = rows if stop is None else stop
    centred = _centred(similarity)
    chance = _chance(centred, search, start, stop)
    spread = float(chance.std())
    if not spread > _SAME:
        return None
    curve = diagonal_means(centred[:, start:stop], search, lead=start)
    height = (curve - chance.mean()) / spread
    # A mean over fewer rows varies more.
    scores = height * np.sqrt(_elements(rows, search, start, stop) / (stop - start))
    offset, lowest, _ = pick_offset(np.negative(scores), search)
    tail = float(stats.t.sf(-lowest, min(rows / ROWS_A_DEGREE, MOST_DEGREES)))
    return Reading(
        offset, -lowest, min(1.0, (2 * search + 1) * tail), _sharpness(curve), tuple(curve.tolist())
    )


def _centred(similarity: FloatArray) -> FloatArray:
    """Take the mean of each row and column away: some sounds resemble every picture."""
    rows, columns = similarity.mean(1, keepdims=True), similarity.mean(0, keepdims=True)
    return np.asarray(similarity - rows - columns + similarity.mean(), np.float64)


def _chance(centred: FloatArray, search: int, start: int, stop: int) -> FloatArray:
    """Return the mean of every diagonal of sound that is joined wrongly."""
    rows = len(centred)
    shifted = _wrapped_means(centred, start, stop)[2 * search + 1 : rows - 2 * search]
    return np.concatenate([shifted, _wrapped_means(centred[::-1], start, stop)])


def _wrapped_means(centred: FloatArray, start: int, stop: int) -> FloatArray:
    """Return the mean of columns [start, stop) along every diagonal, wrapped around; shape (T,)."""
    rows = np.arange(len(centred))
    columns = np.arange(start, stop)
    return np.asarray(centred[(columns - rows[:, None]) % len(rows), columns].mean(1))


def _elements(rows: int, search: int, start: int, stop: int) -> FloatArray:
    """Return how many of columns [start, stop) have sound at each offset; shape (2 search + 1,)."""
    offsets = np.arange(-search, search + 1)
    first, last = np.maximum(start - offsets, 0), np.minimum(stop - offsets, rows)
    return np.asarray(np.maximum(last - first, 0), np.float64)


def _sharpness(curve: FloatArray) -> float:
    known = curve[np.isfinite(curve)]
    middle = np.median(known)
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    return float(known.max() - middle) / spread if spread > 0 else math.nan
