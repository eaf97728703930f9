"""How well a predicted alignment follows the true one, and what it does to the picture.

Conventions
-----------
* An alignment gives, for each 40 ms audio frame, the video frame that shows it
  (`avbench.data.Alignment`); its drift, ``video_index - audio_index``, is an offset per frame with
  the sign of `avbench.timing`.
* NaN in a predicted alignment means that a frame got no match: wrong, and without an error.

Metrics
-------
* `evaluate`: the shift errors of `avbench.metrics.offset`, frame by frame. Its ``accuracy@0`` is
  the share of frames aligned exactly (top-1 per frame), ``mean_absolute_error`` and
  ``max_absolute_error`` the mean and maximal shift error.
* `retime`: what becomes of a picture whose frames are rearranged by an alignment: how many are
  shown twice, left out, and shown in their old order.

References
----------
Shalev and Wolf, "End to end lip synchronization with a temporal autoencoder" (2020): Table 3
(shifts that vary locally) and Table 5 (duplicated, deleted, consecutive and unique frames). The
rows of Table 5 cannot all be of outputs of one length: deleted and unique frames add up to 121.10
in both, which is the source's length, but duplicated and unique ones to 107.95 and 114.70, which
would be the output's. Perhaps frames that were filled in were not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avbench.metrics import offset

COUNTS = ("duplicated", "deleted", "consecutive", "unique", "jumps", "backs")
"""What `Retiming.per_100` reports."""


def validate(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Check two alignments and return their drifts, which are offsets in frames; shape (A,).

    Parameters
    ----------
    reference, estimate
        Video frame of each audio frame, true and predicted; NaN in ``estimate`` for no match;
        shape (A,).

    Raises
    ------
    ValueError
        If the shapes differ, or an index is not a whole number.
    """
    truth, said = offset.validate(reference, estimate)
    place = np.arange(len(truth))
    return truth - place, said - place


def evaluate(
    references: Sequence[ArrayLike],
    estimates: Sequence[ArrayLike],
    tolerances: Iterable[int] = (0, 1),
) -> dict[str, float]:
    """Compute the shift errors of alignments over all their frames together.

    Parameters
    ----------
    references, estimates
        True and predicted alignments, one per video; each of shape (A,).
    tolerances
        One ``accuracy@<tolerance>`` each, in frames.

    Returns
    -------
    dict
        Metric name -> value, as from `avbench.metrics.offset.evaluate`; every frame weighs the
        same.

    >>> found = evaluate([[0, 1, 2, 3]], [[0, 1, 1, 5]])
    >>> found["accuracy@0"], found["accuracy@1"], found["mean_absolute_error"]
    (0.5, 0.75, 0.75)
    """
    if len(references) != len(estimates):
        raise ValueError(f"got {len(references)} references for {len(estimates)} estimates")
    drifts = [validate(r, e) for r, e in zip(references, estimates, strict=True)]
    truth, said = (np.concatenate([np.empty(0), *(p[i] for p in drifts)]) for i in (0, 1))
    return offset.evaluate(truth, said, tolerances)


@dataclass(frozen=True)
class Retiming:
    """What an alignment does to the frames of a video; counts add.

    The output shows one source frame per audio frame.
    """

    output: int = 0
    """Frames shown, N."""
    source: int = 0
    """Frames there were to show, M."""
    steps: int = 0
    """Pairs of neighbours in the output: N - 1 for one video."""
    unique: int = 0
    """Source frames that are shown."""
    repeats: int = 0
    """Output frames that show the same source frame as the one before."""
    consecutive: int = 0
    """Output frames that show the source frame after that of the one before."""
    jumps: int = 0
    """Output frames that show a later source frame than that."""
    backs: int = 0
    """Output frames that show an earlier source frame than the one before."""

    def __post_init__(self) -> None:
        """Assert the identities that hold for every alignment, or the counts are not of one."""
        moves = self.repeats + self.consecutive + self.jumps + self.backs
        if moves != self.steps:
            raise ValueError(f"got {moves} moves in {self.steps} steps, expected as many")
        if not 0 <= self.unique <= min(self.output, self.source):
            raise ValueError(
                f"got {self.unique} unique frames of {self.source} shown in {self.output}"
            )
        if self.monotone and self.duplicated != self.repeats:
            raise ValueError(
                f"got {self.duplicated} duplicated frames and {self.repeats} repeats, expected as "
                "many where no frame goes back"
            )

    def __add__(self, other: Retiming) -> Retiming:
        names = [field.name for field in fields(self)]
        return Retiming(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def monotone(self) -> bool:
        """Whether no frame goes back."""
        return self.backs == 0

    @property
    def duplicated(self) -> int:
        """Output frames whose source frame is shown already: N less the unique ones."""
        return self.output - self.unique

    @property
    def deleted(self) -> int:
        """Source frames that are not shown: M less the unique ones."""
        return self.source - self.unique

    def per_100(self) -> dict[str, float]:
        """Return `COUNTS` per hundred frames, so that videos of other lengths compare.

        Deleted frames are counted per hundred frames of source, everything else per hundred
        frames of output; NaN where there are no frames.
        """
        of = dict.fromkeys(COUNTS, self.output) | {"deleted": self.source}
        return {
            name: 100 * getattr(self, name) / of[name] if of[name] else float("nan")
            for name in COUNTS
        }


def retime(video_index: ArrayLike, num_source: int) -> Retiming:
    """Count what an alignment does to the frames of a video.

    Parameters
    ----------
    video_index
        Source frame that each output frame shows, every one of them in ``[0, num_source)``: pad
        and clip first (`fill`), or methods that leave frames unmatched seem to delete less; (N,).
    num_source
        Frames of the source, M.

    Raises
    ------
    ValueError
        If an index is not a whole number inside the source.

    >>> found = retime([0, 0, 1, 3, 4], num_source=6)
    >>> found.unique, found.duplicated, found.deleted, found.consecutive, found.jumps
    (4, 1, 2, 2, 1)
    """
    shown = np.asarray(video_index, dtype=np.float64)
    if shown.ndim != 1 or np.any(shown != np.round(shown)):  # NaN is unequal to itself
        raise ValueError(f"got indices of shape {shown.shape}, expected whole numbers (N,)")
    if len(shown) and (shown.min() < 0 or shown.max() >= num_source):
        raise ValueError(f"got an index outside the source, [0, {num_source}); fill it first")
    move = np.diff(shown)
    return Retiming(
        output=len(shown),
        source=num_source,
        steps=len(move),
        unique=len(np.unique(shown)),
        repeats=int((move == 0).sum()),
        consecutive=int((move == 1).sum()),
        jumps=int((move > 1).sum()),
        backs=int((move < 0).sum()),
    )


def fill(video_index: ArrayLike, num_source: int, num_audio: int) -> NDArray[np.int64]:
    """Make an alignment show something in every audio frame, so that outputs are of one length.

    A frame without a match (NaN), and every one past the end, shows what the frame before it
    shows; those before the first match show what that one does. Indices outside the source show
    its first or last frame.

    Parameters
    ----------
    video_index
        Source frame of each audio frame, NaN for no match; shape (A,).
    num_source
        Frames of the source, M.
    num_audio
        Length wanted, at least A.

    Returns
    -------
    NDArray
        Whole numbers in ``[0, num_source)``; shape (num_audio,).

    >>> fill([float("nan"), 1, 2, float("nan"), 9], num_source=5, num_audio=6).tolist()
    [1, 1, 2, 2, 4, 4]
    """
    given = np.asarray(video_index, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(given))
    if given.ndim != 1 or not len(known) or num_source < 1 or num_audio < len(given):
        raise ValueError(
            f"got an alignment of shape {given.shape} with {len(known)} matches for {num_audio} "
            f"audio and {num_source} video frames, expected (A,), A <= audio frames, and a match"
        )
    latest = np.searchsorted(known, np.arange(num_audio), side="right") - 1
    filled = given[known[latest.clip(min=0)]]
    return np.asarray(filled.clip(0, num_source - 1), dtype=np.int64)


def implied_lengths(duplicated: float, deleted: float, unique: float) -> tuple[float, float]:
    """Return the output and source lengths that printed counts imply, N and M.

    Two methods on the same videos must agree in both.

    >>> implied_lengths(duplicated=1, deleted=2, unique=4)
    (5, 6)
    """
    return unique + duplicated, unique + deleted
