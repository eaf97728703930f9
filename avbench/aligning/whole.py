"""The alignment of a clip of any length, from an aligner that looks at three seconds."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from avbench.aligning.chain import longest_chain, tally, weighted_chain
from avbench.aligning.marginal import middle
from avbench.aligning.posterior import TURN, mean_posteriors, viterbi
from avbench.aligning.smoothing import Rule, adaptive, whole_rows
from avbench.aligning.windows import ask, in_step, votes
from avbench.data import Alignment, Embeddings, FloatArray, IntArray
from avbench.errors import DataError, UnknownName
from avbench.methods import Aligner

How = Literal["chain", "weighted-chain", "viterbi", "median"]
"""How windows become one alignment: run by run as in the paper, as one chain, the likeliest path
(`viterbi`), or the median of what is probable (`avbench.aligning.marginal`)."""
CENTRE, ROW_FRAMES = 2, 5
"""Frame of a row that it speaks for, and frames that it sees."""


class AlignedRows(NamedTuple):
    """An alignment of rows."""

    video_rows: IntArray
    """Row of picture of each row of sound, never falling; shape (A,)."""
    doubt: FloatArray
    """How far from the truth it may be, in rows, by the aligner's own posteriors; NaN where the
    way of aligning does not tell; shape (A,)."""
    drawn: IntArray | None = None
    """Alignments drawn by how probable they are, with ``"median"`` where asked for; (P, A)."""


def whole(
    method: Aligner,
    rows: Embeddings,
    how: How = "weighted-chain",
    *,
    rule: Rule | None = None,
    turn: float = TURN,
) -> Alignment:
    """Align a clip of any length, frame by frame.

    Parameters
    ----------
    method
        The aligner; it is asked about windows (`avbench.aligning.windows`).
    rows
        Embeddings of the clip; shapes (M, D) and (A, D), M and A may differ.
    how
        ``"chain"`` and ``"weighted-chain"`` need nothing but indices; ``"viterbi"`` and
        ``"median"`` need an aligner with posteriors.
    rule
        Of smoothing, for chains (`avbench.aligning.smoothing.adaptive`). None is ``"lowest"`` for
        ``"chain"``, as in the paper, and ``"none"`` for ``"weighted-chain"``: even the least
        smoothing moves a quarter of the frames around every drop by one.
    turn
        Cost of a step that leaves out or repeats a row, for ``"viterbi"``.

    Returns
    -------
    Alignment
        One frame of picture, in ``[0, M + 4)``, for each of the A + 4 frames of sound; it never
        goes back.

    Raises
    ------
    DataError
        If there are no rows, or no row of sound has a match.
    UsageError
        If ``how`` is unknown, or needs posteriors that the method does not give.
    """
    found = align_rows(method, rows, how, rule=rule, turn=turn)
    return Alignment(to_frames(found.video_rows, len(rows.video) + ROW_FRAMES - 1))


def align_rows(
    method: Aligner,
    rows: Embeddings,
    how: How = "weighted-chain",
    *,
    rule: Rule | None = None,
    turn: float = TURN,
    expected: IntArray | None = None,
    draws: int = 0,
    missing: FloatArray | None = None,
) -> AlignedRows:
    """Align a clip of any length, row by row; parameters and errors are those of `whole`.

    Parameters
    ----------
    expected
        Row of picture that is shown with each row of sound, where pictures that are shown several
        times have one row only: the same as that of the row before, or the next; shape (A,).
    draws
        Alignments to draw by how probable they are, with ``"median"``.
    missing
        How much better it explains the pictures that one, or more, are missing before a row of
        picture, as natural logarithms, for ``"median"``; shape (M, 2).

    Returns
    -------
    AlignedRows
        Row of picture of each row of sound, and the doubt.
    """
    if how not in get_args(How):
        raise UnknownName("way to align a clip", how, get_args(How))
    video, audio = rows
    expected = in_step(len(audio)) if expected is None else expected
    answers = ask(method, rows, expected)
    if how in ("chain", "weighted-chain"):
        smoothing = rule or ("lowest" if how == "chain" else "none")
        chained = _chained(votes(answers, len(audio)), how, smoothing, len(video))
        return AlignedRows(chained, np.full(len(audio), np.nan))
    blocks = mean_posteriors(answers, len(video), expected)
    drawn = None
    if how == "viterbi":
        moves = np.diff(expected, prepend=expected[:1])
        offsets, doubt = viterbi(blocks, turn, moves), np.full(len(audio), np.nan)
    else:
        likely = middle(blocks, expected, paths=draws, missing=missing)
        offsets, doubt = likely.offsets, likely.doubt
        drawn = (likely.paths + expected).clip(0, len(video) - 1)
    found = (offsets + expected).clip(0, len(video) - 1)
    return AlignedRows(np.asarray(np.maximum.accumulate(found), np.int64), doubt, drawn)


def _chained(said: FloatArray, how: How, rule: Rule, num_video: int) -> IntArray:
    matches = (longest_chain if how == "chain" else weighted_chain)(*tally(said))
    if not np.isfinite(matches).any():
        raise DataError("no row of sound has a match in the picture")
    return whole_rows(adaptive(matches, rule), num_video)


def to_frames(rows: IntArray, num_frames: int) -> IntArray:
    """Turn rows of picture per row of sound into frames per frame.

    Row t speaks for frame t + 2; the two frames at either end, which no row speaks for, are shown
    in step with their neighbours as far as there are pictures. Where the sound stays at the last
    row, the two pictures after that one's centre follow.

    >>> to_frames(np.array([3, 4, 4]), num_frames=10).tolist()
    [3, 4, 5, 6, 6, 7, 8]
    >>> to_frames(np.array([3, 4, 4]), num_frames=9).tolist()
    [3, 4, 5, 6, 7, 8, 8]
    """
    middle = np.asarray(rows, np.int64) + CENTRE
    beyond = np.asarray(rows) >= num_frames - ROW_FRAMES
    middle += (np.cumsum(beyond) - 1) * beyond
    tail = ROW_FRAMES - 1 - CENTRE
    before = middle[0] - np.arange(CENTRE, 0, -1)
    after = middle[-1] + np.arange(1, tail + 1)
    return np.concatenate([before, middle, after]).clip(0, num_frames - 1)
