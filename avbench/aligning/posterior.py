"""From the posteriors of all windows to the likeliest alignment of a clip that never goes back.

Not in the papers: what the windows that see a row of sound say of it is averaged, and a Viterbi
search over the whole clip then weighs every row against its neighbours. Scores are kept by offset
(row of picture less the one that is shown with the row of sound) in `-REACH .. REACH`, which is all
that a window can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from avbench.aligning.windows import LEAD, PICTURE, SOUND, Answers
from avbench.data import FloatArray, IntArray
from avbench.errors import UsageError

REACH = LEAD + SOUND - 1
"""Largest offset that a window can tell of."""
TURN = 1.0
"""Natural logarithm of how much less likely it is that a step leaves out or repeats one row."""
FLOOR = 1e-4
"""Least probability of an offset, so that no row alone decides."""


def mean_posteriors(
    answers: Iterable[Answers], num_video: int, expected: IntArray
) -> Iterator[FloatArray]:
    """Average what all windows say of each row of sound, block by block.

    Parameters
    ----------
    answers
        From `avbench.aligning.windows.ask`.
    num_video
        Rows of picture.
    expected
        Row of picture that is shown with each row of sound; shape (A,).

    Yields
    ------
    FloatArray
        Natural logarithms by offset, ascending, `FLOOR` included; -inf where the row of picture
        does not exist; shape (n, 2 * REACH + 1), in all (A, 2 * REACH + 1).

    Raises
    ------
    UsageError
        If the method has no posteriors.
    """
    held, done, num_audio = np.zeros((0, 2 * REACH + 1)), 0, len(expected)
    seen = np.zeros(0)
    for some in answers:
        if some.log_posterior is None:
            raise UsageError("this method says no probabilities; ask with a chain instead")
        need = int(some.starts[-1]) + SOUND - done
        held = np.pad(held, ((0, max(need - len(held), 0)), (0, 0)))
        seen = np.pad(seen, (0, len(held) - len(seen)))
        for start, log, first in zip(some.starts, some.log_posterior, some.first, strict=True):
            columns = first - expected[start:][:SOUND] + REACH
            for row, column, at in zip(held[start - done :], columns, np.exp(log), strict=False):
                row[column:][:PICTURE] += at
            seen[start - done :][:SOUND] += 1
        ready = min(int(some.starts[-1]) + 1, num_audio) - done  # no later window sees these
        yield _logarithms(held[:ready], seen[:ready], expected[done:][:ready], num_video)
        held, seen, done = held[ready:], seen[ready:], done + ready
    ready = num_audio - done
    yield _logarithms(held[:ready], seen[:ready], expected[done:][:ready], num_video)


def _logarithms(
    held: FloatArray, seen: FloatArray, expected: IntArray, num_video: int
) -> FloatArray:
    picture = expected[:, None] + np.arange(-REACH, REACH + 1)
    logs = np.log(held / seen[:, None].clip(min=1) + FLOOR)
    return np.where((picture >= 0) & (picture < num_video), logs, -np.inf)


def viterbi(
    blocks: Iterable[FloatArray], turn: float = TURN, moves: IntArray | None = None
) -> IntArray:
    """Find the likeliest offsets that never go back in the picture.

    From row to row the picture moves on by a step of 0 or more, which costs
    ``turn * |step - 1|``. Time and memory grow with the number of rows, one byte per row and
    offset being kept.

    Parameters
    ----------
    blocks
        Logarithms of probabilities by offset, in order; shape (n, K) each, K odd and at most 255.
        A row of -inf alone says nothing: its offset is that of the row before, or after.
    turn
        Cost of leaving out or repeating a row.
    moves
        How far the expected row of picture moves before each row of sound, 0 or 1; 1 where None;
        shape (N,), the first is not looked at.

    Returns
    -------
    IntArray
        Offset of each row, in ``-(K // 2) .. K // 2``; shape (N,).
    """
    score: FloatArray | None = None
    ways: list[FloatArray] = []
    for block in blocks:
        for row in np.asarray(block, np.float64):
            told = row if np.isfinite(row).any() else np.zeros_like(row)
            if score is None:
                score = told
                ways.append(np.arange(len(row), dtype=np.uint8))
                continue
            moved = moves is None or bool(moves[len(ways)])
            came, way = _step(score, turn) if moved else _step_held(score, turn)
            ways.append(way.astype(np.uint8))
            score = came + told
    if score is None:
        return np.zeros(0, np.int64)
    at = _nearest_best(score)
    found = np.empty(len(ways), np.int64)
    for row in range(len(ways) - 1, -1, -1):
        found[row] = at
        at = int(ways[row][at])
    return found - len(score) // 2


def _nearest_best(score: FloatArray) -> int:
    """Return the best place, the one nearest to offset 0 where several are."""
    best = np.flatnonzero(score == score.max())
    return int(best[np.argmin(np.abs(best - len(score) // 2))])


def _step(score: FloatArray, turn: float) -> tuple[FloatArray, IntArray]:
    """Return the best score that reaches each offset in one step, and where it comes from."""
    came, way = _onward(score, turn)
    back = np.append(score[1:] - turn, -np.inf)  # the picture stays, the sound moves on
    stays = back > came
    return np.where(stays, back, came), np.where(stays, np.arange(1, len(score) + 1), way)


def _step_held(score: FloatArray, turn: float) -> tuple[FloatArray, IntArray]:
    """Do as `_step` where the picture that is shown with the sound is the one of the row before."""
    came, way = _onward(np.append(-np.inf, score[:-1]), turn)
    stays = score - turn > came
    return np.where(stays, score - turn, came), np.where(stays, np.arange(len(score)), way - 1)


def _onward(score: FloatArray, turn: float) -> tuple[FloatArray, IntArray]:
    """Let scores move to higher offsets, at the cost of leaving rows of picture out."""
    place = np.arange(len(score))
    lifted = score + turn * place
    highest = np.maximum.accumulate(lifted)
    way = np.maximum.accumulate(np.where(lifted == highest, place, 0))
    return highest - turn * place, way
