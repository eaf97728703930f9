"""Filling the gaps of an alignment and smoothing it, as far as 50 ms allow.

Halperin, Ephrat and Peleg, "Dynamic Temporal Alignment of Speech to Lips" (2019), smooth a path
with a Laplacian filter of width sigma; Shalev and Wolf (2020), section 4, fill missing matches with
it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.linalg import solve_banded

from avbench.data import FloatArray, IntArray
from avbench.timing import FPS

Rule = Literal["largest", "lowest", "none"]
"""Which sigma, if any: the two papers contradict each other, see `adaptive`."""
CRITERION = 0.050 * FPS
"""Largest departure from a match in rows: 50 ms, in the code released with DTA."""
FACTOR, MOST = 1.5, 10_000.0
"""Step and bound of the search for sigma, in that code."""
SHORTEST = 6
"""Matches of fewer rows are not smoothed there."""


def laplacian(values: FloatArray, sigma: float) -> FloatArray:
    """Smooth a sequence whose ends stay, and fill what is missing.

    Solves ``(w + 2 sigma) x[t] - sigma x[t - 1] - sigma x[t + 1] = w values[t]`` with w = 1, and
    w = 0 where a value is missing, so that gaps become straight lines.

    Parameters
    ----------
    values
        NaN where missing, not at the ends; shape (N,).
    sigma
        Width, above 0.
    """
    known = np.isfinite(values)
    inner = np.arange(len(values)) % (len(values) - 1 or 1) > 0
    bands = np.zeros((3, len(values)))
    bands[0, 1:] = np.where(inner[:-1], -sigma, 0.0)
    bands[1] = np.where(inner, known + 2 * sigma, 1.0)
    bands[2, :-1] = np.where(inner[1:], -sigma, 0.0)
    return np.asarray(solve_banded((1, 1), bands, np.where(known, values, 0.0)))


def adaptive(values: FloatArray, rule: Rule = "largest") -> FloatArray:
    """Fill a sequence and smooth it with one sigma for the whole of it.

    Parameters
    ----------
    values
        Rows of picture, NaN where missing, at least one known; shape (N,).
    rule
        ``"largest"``: sigma grows from 1 by factors of 1.5 until a value departs from its match by
        50 ms, as the code released with DTA does. ``"lowest"``: sigma stays 1, the lowest of that
        series, which is the letter of Shalev and Wolf (2020). ``"none"``: matches stay as they
        are, and gaps become straight lines.

    Returns
    -------
    FloatArray
        Rows before the first and after the last match are missing still; shape (N,).

    Raises
    ------
    ValueError
        If nothing is known.
    """
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        raise ValueError("got no match at all, expected at least one")
    part = np.asarray(values, np.float64)[known[0] : known[-1] + 1]
    told = np.isfinite(part)
    found = np.full(len(values), np.nan)
    if rule == "none" or len(part) < SHORTEST:
        filled = np.interp(np.arange(len(part)), np.flatnonzero(told), part[told])
        found[known[0] : known[-1] + 1] = filled
        return found
    sigma = 1.0
    smooth = laplacian(part, sigma)
    while rule == "largest" and sigma < MOST:
        if np.abs(smooth - part)[told].max() >= CRITERION:
            break
        sigma *= FACTOR
        smooth = laplacian(part, sigma)
    found[known[0] : known[-1] + 1] = smooth
    return found


def whole_rows(values: FloatArray, num_video: int) -> IntArray:
    """Round a filled sequence to rows of picture that never go back.

    Halves are rounded down. Rows before the first match are shown in step with it, and those after
    the last one show what that one does (Shalev and Wolf, 2020, section 4).

    Parameters
    ----------
    values
        NaN before the first and after the last match alone; shape (N,).
    num_video
        Rows of picture.

    >>> whole_rows(np.array([np.nan, 2.5, 2.4, 4.6, np.nan]), num_video=9).tolist()
    [1, 2, 2, 5, 5]
    """
    known = np.flatnonzero(np.isfinite(values))
    first, last = known[0], known[-1]
    rows = np.ceil(np.nan_to_num(values) - 0.5 - 1e-9).astype(np.int64)
    rows[:first] = rows[first] - np.arange(first, 0, -1)
    rows[last + 1 :] = rows[last]
    return np.asarray(np.maximum.accumulate(rows.clip(0, num_video - 1)), np.int64)
