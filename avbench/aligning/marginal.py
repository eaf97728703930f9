"""From the posteriors of all windows to the middle of what is probable, row by row, and the doubt.

Where a second of speech says little, the likeliest path (`avbench.aligning.posterior.viterbi`)
takes all its turns in one place, and may be far from the truth for long. The median of each row's
own probability, given all of the clip, has the least error to be expected, and tells that error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from avbench.data import FloatArray, IntArray

STAY, LEAP = 0.05, 0.02
"""Probability that the picture stays where it is from row to row, and that it leaves rows out."""
HALVED = 0.5
"""Each further row left out is so many times as probable."""
MOST_LEFT_OUT = 4
"""Rows of picture that one step leaves out, at most."""


class Middle(NamedTuple):
    """What is most probable, and how far from the truth it may be."""

    offsets: IntArray
    """Median offset of each row; shape (N,)."""
    doubt: FloatArray
    """Mean distance of the probable offsets from it, in rows; shape (N,)."""


def middle(
    blocks: Iterable[FloatArray],
    moves: IntArray | None = None,
    *,
    stay: float = STAY,
    leap: float = LEAP,
) -> Middle:
    """Weigh every row against all others (forward and backward), and take the median of each.

    Parameters
    ----------
    blocks, moves
        As for `avbench.aligning.posterior.viterbi`; the same rows and offsets.
    stay, leap
        Probabilities of a step of 0 and of one beyond 1.

    Returns
    -------
    Middle
        Its offsets may go back by a row now and then, as each row is judged by itself.
    """
    weights = np.array([stay, 1 - stay - leap, *leap * HALVED ** np.arange(1, MOST_LEFT_OUT + 1)])
    told: list[FloatArray] = []
    ahead: list[FloatArray] = []
    for block in blocks:
        for logs in np.asarray(block, np.float64):
            seen = np.exp(logs - logs.max()) if np.isfinite(logs).any() else np.ones(len(logs))
            carried = _onward(ahead[-1], weights, _move(moves, len(ahead))) if ahead else 1.0
            ahead.append(_share(seen * carried, seen).astype(np.float32))
            told.append(seen.astype(np.float32))
    offsets, doubt = np.zeros(len(ahead), np.int64), np.zeros(len(ahead))
    for row in range(len(ahead) - 1, -1, -1):
        if row + 1 == len(ahead):
            behind: FloatArray = np.ones(len(ahead[row]))
        else:
            came = _back(behind * told[row + 1], weights, _move(moves, row + 1))
            behind = _share(came, np.ones(len(came)))
        share = _share(ahead[row] * behind, ahead[row])
        every = np.arange(len(share)) - len(share) // 2
        offsets[row] = every[min(int(np.searchsorted(np.cumsum(share), 0.5)), len(every) - 1)]
        doubt[row] = float(share @ np.abs(every - offsets[row]))
    return Middle(offsets, doubt)


def _move(moves: IntArray | None, row: int) -> int:
    return 1 if moves is None else int(moves[row])


def _onward(values: FloatArray, weights: FloatArray, move: int) -> FloatArray:
    """Carry probabilities by offset from one row to the next."""
    return np.convolve(values, weights)[move : move + len(values)]


def _back(values: FloatArray, weights: FloatArray, move: int) -> FloatArray:
    """Carry probabilities by offset from one row to the one before."""
    begin = len(weights) - 1 - move
    return np.convolve(values, weights[::-1])[begin : begin + len(values)]


def _share(values: FloatArray, otherwise: FloatArray) -> FloatArray:
    """Scale values to a sum of 1, or others where these are all zero."""
    total = values.sum()
    return np.asarray(values / total if total > 0 else otherwise / otherwise.sum())
