"""From the posteriors of all windows to the middle of what is probable, row by row, and the doubt.

Where a second of speech says little, the likeliest path (`avbench.aligning.posterior.viterbi`)
takes all its turns in one place, and may be far from the truth for long. The median of each row's
own probability, given all of the clip, has the least error to be expected, and tells that error.

How often pictures were dropped or copied is not known beforehand: of several laws of how the
picture moves on, the one under which the clip is likeliest is taken. A picture is held where the
sound outlasts it, as a player does, so that steps beyond the last picture lead to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from avbench.data import FloatArray, IntArray
from avbench.distort import rng_for

HALVED = 0.5
"""Each further row left out is so many times as probable."""
MOST_LEFT_OUT = 4
"""Rows of picture that one step leaves out, at most."""
PATHS = 32
"""Alignments that are drawn, where they are."""
TRIED = 2500
"""Rows in the middle of a long clip by which the law is chosen: 100 s."""


class Law(NamedTuple):
    """How the picture moves on from one row of sound to the next."""

    stay: float
    """Probability that it stays, as where a picture was dropped."""
    leap: float
    """Probability that it leaves rows out, as where a picture was copied."""

    def weights(self) -> FloatArray:
        """Return the probabilities of moving on by 0, 1, 2, ...; they sum to 1."""
        leaps = HALVED ** np.arange(1, MOST_LEFT_OUT + 1)
        return np.array([self.stay, 1 - self.stay - self.leap, *self.leap * leaps / leaps.sum()])


LAWS = (
    Law(0.01, 0.01),
    Law(0.05, 0.02),
    Law(0.15, 0.01),
    Law(0.3, 0.01),
    Law(0.15, 0.15),
    Law(0.33, 0.17),
)
"""From recordings in sync, over those that lost pictures, to ones that lost and copied many: the
last is ``symmetric`` of `avbench.distort`, the fourth the same without copies."""


class Middle(NamedTuple):
    """What is most probable, and how far from the truth it may be."""

    offsets: IntArray
    """Median offset of each row; shape (N,)."""
    doubt: FloatArray
    """Mean distance of the probable offsets from it, in rows; shape (N,)."""
    law: Law
    """The law under which the clip is likeliest."""
    paths: IntArray
    """Offsets of alignments drawn by their probability, none of which goes back; shape (P, N)."""


def middle(
    blocks: Iterable[FloatArray],
    moves: IntArray | None = None,
    *,
    laws: Sequence[Law] = LAWS,
    paths: int = 0,
) -> Middle:
    """Weigh every row against all others (forward and backward), and take the median of each.

    Parameters
    ----------
    blocks, moves
        As for `avbench.aligning.posterior.viterbi`; the same rows and offsets.
    laws
        The likeliest one is taken, the first of those where several are.
    paths
        Alignments to draw, from a generator of their own.

    Returns
    -------
    Middle
        Its offsets may go back by a row now and then, as each row is judged by itself.
    """
    told = [_Row.of(logs) for block in blocks for logs in block]
    moved = np.ones(len(told), np.int64) if moves is None else np.asarray(moves, np.int64)
    skip = max(len(told) - TRIED, 0) // 2
    part = slice(skip, skip + TRIED)
    each = np.stack([law.weights() for law in laws])
    law = laws[int(_evidence(told[part], moved[part], each).argmax())] if told else laws[0]
    weights = law.weights()
    ahead: list[FloatArray] = []
    for row, move in zip(told, moved, strict=True):
        came = _onward(ahead[-1][None], weights[None], move, row.last)[0] if ahead else 1.0
        ahead.append(_share(row.seen * came, row.seen).astype(np.float32))
    offsets, doubt = np.zeros(len(told), np.int64), np.zeros(len(told))
    behind: FloatArray = np.ones(0)
    for at in range(len(told) - 1, -1, -1):
        if at + 1 == len(told):
            behind = np.ones(len(ahead[at]))
        else:
            came = _back(behind * told[at + 1].seen, weights, moved[at + 1], told[at + 1].last)
            behind = _share(came, np.ones(len(came)))
        share = _share(ahead[at] * behind, ahead[at])
        every = np.arange(len(share)) - len(share) // 2
        offsets[at] = every[min(int(np.searchsorted(np.cumsum(share), 0.5)), len(every) - 1)]
        doubt[at] = float(share @ np.abs(every - offsets[at]))
    return Middle(offsets, doubt, law, _drawn(ahead, told, weights, moved, paths))


class _Row(NamedTuple):
    """What is said of one row of sound."""

    seen: FloatArray
    """How probable each offset is, up to a factor; (K,)."""
    last: int
    """Place of the clip's last picture among them, K where it lies beyond."""

    @classmethod
    def of(cls, logs: FloatArray) -> _Row:
        known = np.flatnonzero(np.isfinite(logs))
        if not len(known):
            return cls(np.ones(len(logs), np.float32), len(logs))
        last = int(known[-1])
        seen = np.exp(np.asarray(logs, np.float64) - np.max(logs)).astype(np.float32)
        return cls(seen, len(logs) if last + 1 == len(logs) else last)


def _evidence(told: Sequence[_Row], moves: IntArray, weights: FloatArray) -> FloatArray:
    """Return the logarithm of how probable all rows are under each law; (L, S) to (L,)."""
    found = np.zeros(len(weights))
    ahead: FloatArray | None = None
    for row, move in zip(told, moves, strict=True):
        came = 1.0 if ahead is None else _onward(ahead, weights, move, row.last)
        joint = np.broadcast_to(row.seen * came, (len(weights), len(row.seen)))
        total = joint.sum(axis=1)
        found += np.log(total.clip(min=1e-300))
        ahead = joint / total.clip(min=1e-300)[:, None]
    return found


def _onward(values: FloatArray, weights: FloatArray, move: int, last: int) -> FloatArray:
    """Carry probabilities by offset from one row to the next; (L, K) and (L, S) to (L, K)."""
    count, width = values.shape
    found = np.zeros((count, width + weights.shape[1]))
    for step in range(weights.shape[1]):
        found[:, step : step + width] += weights[:, step : step + 1] * values
    found = found[:, move:]
    if last < width:
        found[:, last] += found[:, last + 1 :].sum(axis=1)
        found[:, last + 1 :] = 0.0
    return found[:, :width]


def _back(values: FloatArray, weights: FloatArray, move: int, last: int) -> FloatArray:
    """Carry probabilities by offset from one row to the one before."""
    width, count = len(values), len(weights)
    beyond = values[last] if last < width else 0.0
    reached = np.full(width + count + 1, beyond)
    reached[1 : 1 + min(last, width)] = values[: min(last, width)]
    reached[0] = 0.0
    first = 1 - move  # offset 0 staying put lands one lower where the picture is due to move
    ways = np.lib.stride_tricks.sliding_window_view(reached[first:], count)[:width]
    return np.asarray(ways @ weights)


def _drawn(
    ahead: Sequence[FloatArray],
    told: Sequence[_Row],
    weights: FloatArray,
    moves: IntArray,
    count: int,
) -> IntArray:
    """Draw alignments from the last row to the first; (P, N)."""
    found = np.zeros((count, len(ahead)), np.int64)
    if not (count and len(ahead)):
        return found
    rng = rng_for(0, "alignments")
    chances = rng.random((len(ahead), count))
    steps, tails = np.arange(len(weights)), np.cumsum(weights[::-1])[::-1]
    final = np.cumsum(ahead[-1], dtype=np.float64)
    place = np.searchsorted(final, chances[-1] * final[-1]).clip(max=len(final) - 1)
    found[:, -1] = place
    for at in range(len(ahead) - 2, -1, -1):
        before = place[:, None] + int(moves[at + 1]) - steps
        inside = (before >= 0) & (before < len(ahead[at]))
        held = (place == told[at + 1].last)[:, None]
        share = ahead[at][before.clip(0, len(ahead[at]) - 1)] * np.where(held, tails, weights)
        sums = np.cumsum(np.where(inside, share, 0.0), axis=1)
        chosen = (sums < chances[at][:, None] * sums[:, -1:]).sum(axis=1)
        place = before[np.arange(count), chosen.clip(max=len(steps) - 1)]
        place = place.clip(0, len(ahead[at]) - 1)
        found[:, at] = place
    return np.asarray(found - len(ahead[0]) // 2)


def _share(values: FloatArray, otherwise: FloatArray) -> FloatArray:
    """Scale values to a sum of 1, or others where these are all zero."""
    total = values.sum()
    return np.asarray(values / total if total > 0 else otherwise / otherwise.sum())
