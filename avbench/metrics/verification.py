"""Telling two kinds apart by a score: same or other speaker, in sync or not, speaking or silent.

Conventions
-----------
* ``positive`` is true for the pairs that belong together; ``score`` is larger where the method is
  surer of that.
* A pair is accepted where its score is at least the threshold. Thresholds are the scores that
  occur, so pairs of equal score are accepted together and the order of the pairs never matters.
* NaN in ``score`` (no answer) is below every threshold: the pair is never accepted.
* Rates are fractions.

Metrics
-------
* `roc`: false and true positive rate at every threshold.
* `equal_error_rate`: where false accepts and false rejects balance.
* `average_precision`: precision averaged over recall, which benchmarks call AP or mAP.
* `binary_accuracy`: accuracy at a fixed threshold, balanced and per class.

References
----------
The equal error rate is that of the public ``syncnet_trainer`` (Chung et al.), as used for the
biometric experiments of "Seeing voices and hearing voices" (2020). Average precision without
interpolation is that of scikit-learn; the AVA evaluation (Roth et al. 2020) interpolates it, which
is the ``interpolated`` option (Everingham et al., PASCAL VOC 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def validate(
    positive: ArrayLike, score: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Check pairs and their scores and return them as arrays.

    Parameters
    ----------
    positive
        Whether each pair belongs together: booleans, or 0 and 1; shape (n,).
    score
        Larger where surer, NaN where there is no answer; shape (n,).

    Returns
    -------
    tuple
        ``positive`` as booleans, ``score`` with NaN replaced by -inf; shape (n,).

    Raises
    ------
    ValueError
        If the shapes differ or are not one-dimensional, or ``positive`` is not true or false.
    """
    truth, values = np.asarray(positive), np.asarray(score, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(
            f"got labels of shape {truth.shape} and scores of shape {values.shape}, "
            "expected two series of equal length"
        )
    if truth.dtype != np.bool_ and not np.all((truth == 0) | (truth == 1)):
        raise ValueError("got labels that are not true or false; are they scores?")
    return truth.astype(np.bool_), np.where(np.isnan(values), -np.inf, values)


@dataclass(frozen=True, eq=False)
class Roc:
    """Rates at every threshold, from accepting nothing to accepting all that has a score."""

    threshold: NDArray[np.float64]
    """Descending; the first is inf, where nothing is accepted; shape (k,)."""
    false_positive: NDArray[np.float64]
    """Share of negatives accepted; shape (k,)."""
    true_positive: NDArray[np.float64]
    """Share of positives accepted; shape (k,)."""

    @property
    def false_negative(self) -> NDArray[np.float64]:
        """Share of positives rejected; shape (k,)."""
        return 1 - self.true_positive

    @property
    def balance(self) -> int:
        """Index of the threshold where the two error rates are closest, the highest on ties."""
        gap = np.abs(self.false_negative - self.false_positive)
        # A tie that rounding would break is a tie.
        return int(np.flatnonzero(gap <= gap.min() + 1e-12)[0])


def roc(positive: ArrayLike, score: ArrayLike) -> Roc:
    """Return the rates of false and true accepts at every threshold.

    Parameters
    ----------
    positive, score
        As in `validate`; shape (n,).

    Raises
    ------
    ValueError
        If all pairs are positive, or none is.
    """
    truth, values = validate(positive, score)
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not (positives and negatives):
        raise ValueError(f"got {positives} positive of {len(truth)} pairs, expected some of each")
    levels, group = np.unique(-values, return_inverse=True)
    accepted = np.cumsum(np.bincount(group, minlength=len(levels)))
    true = np.cumsum(np.bincount(group, weights=truth, minlength=len(levels)))
    threshold = np.concatenate([[np.inf], -levels])
    answered = threshold > -np.inf
    return Roc(
        threshold[answered],
        np.concatenate([[0.0], (accepted - true) / negatives])[answered],
        np.concatenate([[0.0], true / positives])[answered],
    )


def equal_error_rate(positive: ArrayLike, score: ArrayLike) -> float:
    """Return the larger error rate at the threshold where the two are closest.

    Parameters
    ----------
    positive, score
        As in `validate`; shape (n,).

    Returns
    -------
    float
        In [0, 1], lower is better; 0.5 says nothing. Not interpolated: the threshold is one of the
        scores, as in the reference code. Every score is tried; the reference code leaves out those
        between two others on a straight line of its ROC, and may stop one score away.

    Raises
    ------
    ValueError
        If all pairs are positive, or none is.

    >>> equal_error_rate([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1])
    0.5
    """
    curve = roc(positive, score)
    at = curve.balance
    return float(max(curve.false_positive[at], curve.false_negative[at]))


def average_precision(
    positive: ArrayLike, score: ArrayLike, *, interpolated: bool = False
) -> float:
    """Return precision averaged over recall, each step of recall weighing its length.

    Parameters
    ----------
    positive, score
        As in `validate`; shape (n,).
    interpolated
        Take at each recall the best precision at that recall or above it, as AVA does.

    Returns
    -------
    float
        In [0, 1], higher is better; NaN where no pair is positive. Positives without a score are
        never recalled.

    >>> round(average_precision([1, 0, 1], [0.9, 0.8, 0.7]), 4)
    0.8333
    """
    truth, values = validate(positive, score)
    if not truth.any():
        return math.nan
    levels, group = np.unique(-values, return_inverse=True)
    accepted = np.cumsum(np.bincount(group, minlength=len(levels)))
    true = np.cumsum(np.bincount(group, weights=truth, minlength=len(levels)))
    answered = levels < np.inf
    precision, recall = (true / accepted)[answered], (true / truth.sum())[answered]
    if interpolated:
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def mean_average_precision(values: ArrayLike) -> float:
    """Return the mean of average precisions over classes or videos; undefined ones are left out."""
    found = np.asarray(values, dtype=np.float64)
    known = found[~np.isnan(found)]
    return float(known.mean()) if len(known) else math.nan


@dataclass(frozen=True)
class BinaryAccuracy:
    """How many pairs fall on the right side of a threshold."""

    accuracy: float
    """Over all pairs; depends on how many of each kind there are."""
    positive: float
    """Over positives alone: in-sync pairs taken for such; NaN where there are none."""
    negative: float
    """Over negatives alone: off-sync pairs taken for such; NaN where there are none."""

    @property
    def balanced(self) -> float:
        """Mean over the two kinds; 0.5 says nothing."""
        return (self.positive + self.negative) / 2


def binary_accuracy(positive: ArrayLike, score: ArrayLike, threshold: float) -> BinaryAccuracy:
    """Return the accuracy of accepting scores above a threshold, in all and of each kind.

    State which one is printed: 91 % on off-sync pairs alone, at a cosine of 0.5, became 80 % when
    measured on both (Wav2Lip#111, Wav2Lip#363).

    Parameters
    ----------
    positive, score
        As in `validate`; shape (n,).
    threshold
        Scores above it are accepted; equal ones are not.

    >>> binary_accuracy([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1], 0.5).balanced
    0.5
    """
    truth, values = validate(positive, score)
    right = (values > threshold) == truth
    share = [float(r.mean()) if len(r) else math.nan for r in (right, right[truth], right[~truth])]
    return BinaryAccuracy(*share)
