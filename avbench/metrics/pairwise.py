"""Pairwise accuracy: how often an original scores higher than its perturbed copy.

Conventions
-----------
* One record per original and perturbation; larger scores are better sync.
* Strict: an equal score is wrong, so that a constant score gets nothing.
* A record without both scores (NaN) is not valid. The accuracy over valid records alone can be
  raised by refusing the hard ones, so the one over all records is always given beside it.

References
----------
AV-SyncBench: the comparison of an original with copies displaced by given steps, in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avbench.metrics.offset import Count


@dataclass(frozen=True)
class Pairwise:
    """Records won, valid ones and all."""

    wins: int
    valid: int
    total: int

    def __add__(self, other: Pairwise) -> Pairwise:
        return Pairwise(self.wins + other.wins, self.valid + other.valid, self.total + other.total)

    @property
    def over_valid(self) -> float:
        """Accuracy over the records with both scores; NaN where there are none."""
        return Count(self.wins, self.valid).fraction

    @property
    def over_all(self) -> float:
        """Accuracy over all records, a missing score being wrong; NaN where there are none."""
        return Count(self.wins, self.total).fraction


def validate(original: ArrayLike, perturbed: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Check two series of scores and return them as floats; shape (n,), NaN for no score."""
    first, second = (np.asarray(x, dtype=np.float64) for x in (original, perturbed))
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(
            f"got originals of shape {first.shape} and perturbed of shape {second.shape}, "
            "expected two series of equal length"
        )
    return first, second


def pairwise(original: ArrayLike, perturbed: ArrayLike) -> Pairwise:
    """Count the records whose original scores strictly higher.

    Parameters
    ----------
    original, perturbed
        Scores, larger where better in sync, NaN where there is none; shape (n,).

    >>> pairwise([2, 1, 1, float("nan")], [1, 1, 2, 0])
    Pairwise(wins=1, valid=3, total=4)
    """
    first, second = validate(original, perturbed)
    valid = ~(np.isnan(first) | np.isnan(second))
    return Pairwise(int((first > second).sum()), int(valid.sum()), len(first))


def by_step(original: ArrayLike, perturbed: ArrayLike, step_ms: ArrayLike) -> dict[float, Pairwise]:
    """Count the records won for each size of the perturbation.

    Parameters
    ----------
    original, perturbed
        As in `pairwise`; shape (n,).
    step_ms
        Displacement of each record in milliseconds (positive: audio leads); shape (n,).

    Returns
    -------
    dict
        Step in milliseconds, ascending -> counts; they add up to `pairwise` of all.
    """
    first, second = validate(original, perturbed)
    steps = np.asarray(step_ms, dtype=np.float64)
    if steps.shape != first.shape or np.any(np.isnan(steps)):
        raise ValueError(f"got steps of shape {steps.shape}, expected one number per record")
    return {
        float(step): pairwise(first[steps == step], second[steps == step])
        for step in np.unique(steps)
    }
