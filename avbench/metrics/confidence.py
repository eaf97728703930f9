"""How well the confidence of a method tells its right answers from its wrong ones.

Conventions
-----------
* ``confidence`` is larger where the method is surer; its scale is the method's own, so the
  metrics look at the order alone, save `calibration`, which is for probabilities.
* ``correct`` says whether each answer was right.
* NaN in ``confidence`` means that the method said nothing about it. Such a question is the last
  that anyone would rely on, and ranks below every other. Where nothing has a confidence, the
  metrics are NaN.
* Equal confidences are one group: every order within it is averaged, so that the order of the
  questions never matters.

Metrics
-------
* `auroc`: chance that a right answer has more confidence than a wrong one.
* `risk_coverage`, `aurc`: share of wrong answers among the surest.
* `accuracy_at_coverage`, `coverage_at_accuracy`, `abstain`: what abstaining brings.
* `calibration`: bins of a reliability diagram and the expected calibration error.

References
----------
Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
(ROC) curve", Radiology 143 (1982): ties count half. Geifman and El-Yaniv, "Selective
classification for deep neural networks" (2017): risk and coverage. Geifman, Uziel and El-Yaniv,
"Bias-reduced uncertainty estimation for deep neural classifiers" (2019): AURC. Guo, Pleiss, Sun
and Weinberger, "On calibration of modern neural networks" (2017): ECE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def validate(
    correct: ArrayLike, confidence: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Check answers and their confidences and return them as arrays.

    Parameters
    ----------
    correct
        Whether each answer was right: booleans, or 0 and 1; shape (n,).
    confidence
        Larger where surer, NaN where not stated; shape (n,).

    Returns
    -------
    tuple
        ``correct`` as booleans, ``confidence`` with NaN replaced by -inf; shape (n,).

    Raises
    ------
    ValueError
        If the shapes differ or are not one-dimensional, or ``correct`` is not true or false.
    """
    right, sure = np.asarray(correct), np.asarray(confidence, dtype=np.float64)
    if right.ndim != 1 or right.shape != sure.shape:
        raise ValueError(
            f"got correctness of shape {right.shape} and confidence of shape {sure.shape}, "
            "expected two series of equal length"
        )
    if right.dtype != np.bool_ and not np.all((right == 0) | (right == 1)):
        raise ValueError("got correctness that is not true or false; is it a confidence?")
    return right.astype(np.bool_), np.where(np.isnan(sure), -np.inf, sure)


def auroc(correct: ArrayLike, confidence: ArrayLike) -> float:
    """Return the chance that a right answer has more confidence than a wrong one.

    Parameters
    ----------
    correct, confidence
        As in `validate`; shape (n,).

    Returns
    -------
    float
        In [0, 1], higher is better; 0.5 says nothing, ties count half. NaN where all answers are
        right, all are wrong, or nothing has a confidence.

    >>> auroc([True, True, False, False], [0.9, 0.4, 0.4, 0.1])
    0.875
    """
    right, sure = validate(correct, confidence)
    positives = int(right.sum())
    negatives = len(right) - positives
    if not (positives and negatives) or np.all(np.isneginf(sure)):
        return math.nan
    _, group, size = np.unique(sure, return_inverse=True, return_counts=True)
    hits = np.bincount(group, weights=right, minlength=len(size))
    misses = size - hits
    below = np.cumsum(misses) - misses
    return float((hits * (below + misses / 2)).sum() / (positives * negatives))


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The risk-coverage curve: rely on the k surest answers, for k from 1 to n."""

    coverage: NDArray[np.float64]
    """k / n, ascending; shape (n,)."""
    risk: NDArray[np.float64]
    """Share of wrong ones among the k surest, expected where confidences tie; shape (n,)."""


def risk_coverage(correct: ArrayLike, confidence: ArrayLike) -> RiskCoverage:
    """Return the share of wrong answers among the surest, for every number of them.

    Parameters
    ----------
    correct, confidence
        As in `validate`; shape (n,).
    """
    right, sure = validate(correct, confidence)
    _, group, size = np.unique(-sure, return_inverse=True, return_counts=True)
    wrong = np.bincount(group, weights=~right, minlength=len(size))
    # In a group of ties each answer stands for the group's average.
    expected = np.repeat(wrong / size, size)
    count = np.arange(1, len(right) + 1)
    return RiskCoverage(count / max(len(right), 1), np.cumsum(expected) / count)


def aurc(correct: ArrayLike, confidence: ArrayLike) -> float:
    """Return the area under the risk-coverage curve: the mean risk over all coverages.

    Parameters
    ----------
    correct, confidence
        As in `validate`; shape (n,).

    Returns
    -------
    float
        In [0, 1], lower is better; the share of wrong answers where confidence says nothing. NaN
        where nothing was asked or nothing has a confidence.

    >>> round(aurc([True, False], [0.9, 0.1]), 3), round(aurc([False, True], [0.9, 0.1]), 3)
    (0.25, 0.75)
    """
    _, sure = validate(correct, confidence)
    if np.all(np.isneginf(sure)):
        return math.nan
    return float(risk_coverage(correct, confidence).risk.mean())


def accuracy_at_coverage(correct: ArrayLike, confidence: ArrayLike, coverage: float) -> float:
    """Return the accuracy over the surest answers, as many as cover at least a share of all.

    Parameters
    ----------
    correct, confidence
        As in `validate`; shape (n,).
    coverage
        Share of the questions that must be answered, in (0, 1].

    >>> accuracy_at_coverage([True, True, False, True], [4, 3, 2, 1], 0.5)
    1.0
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"got {coverage = }, expected a share in (0, 1]")
    curve = risk_coverage(correct, confidence)
    if not len(curve.risk):
        return math.nan
    return float(1 - curve.risk[np.searchsorted(curve.coverage, coverage - 1e-12)])


def coverage_at_accuracy(correct: ArrayLike, confidence: ArrayLike, accuracy: float) -> float:
    """Return the largest share of questions that can be answered at an accuracy.

    Parameters
    ----------
    correct, confidence
        As in `validate`; shape (n,).
    accuracy
        Accuracy over the answered questions that must be reached, in [0, 1].

    Returns
    -------
    float
        In [0, 1]; 0 where no share of them reaches it.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"got {accuracy = }, expected a fraction in [0, 1]")
    curve = risk_coverage(correct, confidence)
    reached = curve.coverage[1 - curve.risk >= accuracy - 1e-12]
    return float(reached[-1]) if len(reached) else 0.0


@dataclass(frozen=True)
class Abstention:
    """What comes of answering only where confidence reaches a threshold."""

    coverage: float
    """Share of the questions answered; NaN where nothing was asked."""
    accuracy: float
    """Share of right ones among the answered; NaN where none was."""
    lost: float
    """Share of the right answers that were held back; NaN where none is right."""


def abstain(correct: ArrayLike, confidence: ArrayLike, threshold: float) -> Abstention:
    """Answer only where confidence is at least a threshold.

    Parameters
    ----------
    correct, confidence
        As in `validate`; shape (n,).
    threshold
        Least confidence that is relied on, on the method's own scale.

    >>> abstain([True, False, True, False], [3, 2, 1, 0], threshold=1.5)
    Abstention(coverage=0.5, accuracy=0.5, lost=0.5)
    """
    right, sure = validate(correct, confidence)
    if math.isnan(threshold):
        raise ValueError("got a threshold that is NaN, expected a confidence")
    kept = sure >= threshold
    answered, hits = int(kept.sum()), int((right & kept).sum())
    return Abstention(
        answered / len(right) if len(right) else math.nan,
        hits / answered if answered else math.nan,
        1 - hits / int(right.sum()) if right.any() else math.nan,
    )


@dataclass(frozen=True, eq=False)
class Calibration:
    """A reliability diagram; empty bins are NaN."""

    edges: NDArray[np.float64]
    """Of the bins, in [0, 1]; shape (bins + 1,)."""
    counts: NDArray[np.int64]
    """Answers per bin; shape (bins,)."""
    confidence: NDArray[np.float64]
    """Mean probability per bin; shape (bins,)."""
    accuracy: NDArray[np.float64]
    """Share of right answers per bin; shape (bins,)."""
    unstated: int
    """Answers without a probability: in no bin."""

    @property
    def ece(self) -> float:
        """Expected calibration error in [0, 1], lower is better; NaN where nothing is stated."""
        total = self.counts.sum()
        if not total:
            return math.nan
        gap = np.nan_to_num(np.abs(self.confidence - self.accuracy), nan=0.0)
        return float((self.counts * gap).sum() / total)


def calibration(correct: ArrayLike, probability: ArrayLike, bins: int = 15) -> Calibration:
    """Compare stated probabilities with how often they came true, in bins of equal width.

    Parameters
    ----------
    correct
        Whether each answer was right; shape (n,).
    probability
        Probability that the method gave to its answer, in [0, 1], NaN where it gave none; shape
        (n,). A distance or a margin is no probability and is refused.
    bins
        How many; a bin is open at its lower edge, the first one closed (Guo et al. 2017).

    Raises
    ------
    ValueError
        If a probability is outside [0, 1] or there is no bin.
    """
    right, stated = validate(correct, probability)
    known = ~np.isneginf(stated)
    if np.any((stated[known] < 0) | (stated[known] > 1)):
        raise ValueError("got a probability outside [0, 1]; calibration is for probabilities only")
    if bins < 1:
        raise ValueError(f"got {bins = }, expected at least 1")
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, stated[known], side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    some = np.where(counts > 0, counts, np.nan)
    mean = np.bincount(place, weights=stated[known], minlength=bins) / some
    share = np.bincount(place, weights=right[known], minlength=bins) / some
    return Calibration(edges, counts, mean, share, int((~known).sum()))
