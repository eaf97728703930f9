"""Everything that a method computes from a clip, and how much two of these differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avbench.data import Clip, FloatArray
from avbench.selftest.subject import ROUNDING, Subject, explain, offset_of

TIGHT, LOOSE = ROUNDING, 1e-3
"""Differences relative to the spread of the values: rounding up to the first, faults beyond."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of one clip: arrays, or a failure."""

    arrays: tuple[FloatArray, ...] = ()
    """Rows of picture and sound and the scores of the clip as one window; or offset, confidence
    and scores of the prediction where there are no embeddings."""
    failure: str = ""

    def difference(self, other: Outcome) -> float:
        """Return the largest relative difference; inf between a failure and anything else."""
        if self.failure or other.failure:
            return 0.0 if self.failure == other.failure else float("inf")
        return largest_difference(self.arrays, other.arrays)

    def save(self, path: Path) -> None:
        """Write it as an .npz file."""
        named = {str(number): array for number, array in enumerate(self.arrays)}
        np.savez(path, failure=np.array(self.failure), **named)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> Outcome:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as held:
            arrays = tuple(held[str(number)] for number in range(len(held.files) - 1))
            return cls(arrays, str(held["failure"]))


def compute(subject: Subject, clip: Clip) -> Outcome:
    """Let a method compute all it can from a clip; whatever it raises comes through."""
    if subject.embedding is not None:
        rows = subject.embed(clip)
        return Outcome((*rows, subject.compare(rows.video[None], rows.audio[None])))
    said = subject.predict(clip)
    scores = () if said.scores is None else (np.asarray(said.scores),)
    answer = np.array([offset_of(said)], np.float64), np.array([said.confidence], np.float64)
    return Outcome((*answer, *scores))


def attempt(subject: Subject, clip: Clip) -> Outcome:
    """Let a method compute all it can from a clip; a failure becomes the outcome."""
    try:
        return compute(subject, clip)
    except Exception as error:
        return Outcome(failure=explain(error))


def largest_difference(one: tuple[FloatArray, ...], other: tuple[FloatArray, ...]) -> float:
    """Return the largest `relative_difference` of arrays pair by pair; inf if not as many."""
    if len(one) != len(other):
        return float("inf")
    return max((relative_difference(a, b, a) for a, b in zip(one, other, strict=True)), default=0.0)


def relative_difference(one: FloatArray, other: FloatArray, scale: FloatArray) -> float:
    """Return the largest difference of two arrays over the spread of ``scale``; inf if shaped so.

    Equal infinities do not differ; NaN differs from everything but NaN. Where ``scale`` is one
    number, or all its numbers are equal, their magnitude stands for the spread.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.shape != other.shape:
        return float("inf")
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if same.all():
        return 0.0
    finite = np.asarray(scale, np.float64)
    finite = finite[np.isfinite(finite)]
    spread = (float(finite.std()) or float(np.abs(finite).max())) if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        worst = float(np.abs(one - other)[~same].max())
    if np.isnan(worst):
        return float("inf")
    return worst / spread if spread > 0 else float("inf")


def describe_difference(difference: float) -> str:
    """Say how equal two results are: to the bit, or up to what."""
    return "bit by bit" if difference == 0 else f"up to {difference:.1g} of their spread"
