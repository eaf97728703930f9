"""Whether methods differ, which share a rank, and what a design can detect.

References
----------
McNemar, "Note on the sampling error of the difference between correlated proportions" (1947).
Holm, "A simple sequentially rejective multiple test procedure" (1979).
Bloom, "Minimum detectable effects" (1995): multiplier of the standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from avbench.data import FloatArray, IntArray
from avbench.statistics.clusters import (
    ALPHA,
    CHUNK,
    POWER,
    RESAMPLES,
    Totals,
    answered,
    caution,
    percentiles,
    resampled_means,
    totals,
    wilson,
)


@dataclass(frozen=True)
class Difference:
    """How much more one method scores than another, and whether chance explains it."""

    value: float
    """First minus second."""
    low: float | None
    high: float | None
    p: float | None
    """Two-sided; None where one cluster alone was seen."""
    test: str
    """``mcnemar-exact``, ``sign-flip`` or ``welch``."""
    standard_error: float | None
    """Over clusters."""
    minimum_detectable: float | None
    """Smallest true difference found with 80 % power at 5 %; None where nothing varied."""
    clusters: int
    caution: str = ""


def minimum_detectable(
    standard_error: float, dof: float, *, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """Return the smallest true difference that a two-sided test would find (Bloom 1995).

    Parameters
    ----------
    standard_error
        Of the difference, over clusters: paired, or ``hypot`` of the two errors where unpaired.
    dof
        Degrees of freedom: clusters - 1 where paired, the clusters of both - 2 where not.
    alpha
        Error of the first kind.
    power
        Probability of finding it.

    Returns
    -------
    float or None
        In the unit of the error; None where nothing varied or the error is unknown.
    """
    if not standard_error > 0 or dof < 1:
        return None
    return float((stats.t.ppf(1 - alpha / 2, dof) + stats.t.ppf(power, dof)) * standard_error)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    items: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compare two methods on the same questions.

    Parameters
    ----------
    a, b
        Their values, question by question; shape (n,).
    clusters, items
        As in `totals`.
    rng
        Source of randomness.
    resamples
        Number of resamples, and of sign flips.

    Returns
    -------
    Difference
        With McNemar's exact test where every cluster holds one question that is right or wrong,
        and a test that flips the signs of the clusters' differences otherwise (every flip where
        there are at most ``resamples``).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = paired_difference([1, 1, 1, 0], [0, 0, 1, 0], list("wxyz"), rng=rng)
    >>> found.value, found.p, found.test
    (0.5, 0.5, 'mcnemar-exact')
    """
    both = answered(a, b)
    return paired_differences(totals(both, clusters, items), [(0, 1)], rng, resamples)[0]


def paired_differences(
    found: Totals,
    pairs: Sequence[tuple[int, int]],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> list[Difference]:
    """Compare pairs of columns that hold the same questions; see `paired_difference`.

    Raises
    ------
    ValueError
        If two columns of a pair hold different numbers of questions of a cluster.
    """
    first, second = (np.array([pair[side] for pair in pairs], dtype=int) for side in (0, 1))
    if np.any(found.counts[:, first] != found.counts[:, second]):
        raise ValueError("got methods with different questions; they cannot be paired")
    gaps = Totals(found.sums[:, first] - found.sums[:, second], found.counts[:, first])
    size, means, errors = len(gaps), gaps.means, gaps.standard_errors
    replicates = resampled_means(gaps, rng, resamples)
    flipped = _flip_p(gaps.sums, rng, resamples)
    whole = bool(np.all(found.counts <= 1) and np.all((found.sums == 0) | (found.sums == 1)))
    made = []
    for column, (value, error) in enumerate(zip(means, errors, strict=True)):
        gap = gaps.sums[:, column]
        low, high = percentiles(replicates[:, column], size)
        if size > 1 and not gap.any():
            # Alike in every cluster seen: bounded by how rare a differing cluster may be.
            high = wilson(0, size)[1]
            low = -high
        p = _mcnemar_p(gap) if whole else float(flipped[column])
        made.append(
            Difference(
                value=float(value),
                low=low,
                high=high,
                p=None if size < 2 else p,
                test="mcnemar-exact" if whole else "sign-flip",
                standard_error=None if size < 2 else float(error),
                minimum_detectable=minimum_detectable(float(error), size - 1),
                clusters=size,
                caution=caution(size),
            )
        )
    return made


def _mcnemar_p(gap: FloatArray) -> float:
    better, worse = int(np.sum(gap > 0)), int(np.sum(gap < 0))
    return float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0


def _flip_p(gaps: FloatArray, rng: np.random.Generator, resamples: int) -> FloatArray:
    """Return how often flipped signs differ as much as the true ones, per column."""
    size = len(gaps)
    # Sums of integers are exact; the rest is compared with room for the last bits.
    least = np.abs(gaps.sum(axis=0)) * (1 - 1e-9)
    if 2**size <= resamples:
        signs = 1.0 - 2.0 * (np.arange(2**size)[:, None] >> np.arange(size) & 1)
        return np.asarray(np.mean(np.abs(signs @ gaps) >= least, axis=0))
    reached, step = np.zeros(gaps.shape[1]), max(1, CHUNK // size)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        signs = 1.0 - 2.0 * rng.integers(2, size=(rows, size), dtype=np.int8)
        reached += np.sum(np.abs(signs @ gaps) >= least, axis=0)
    return np.asarray((reached + 1) / (resamples + 1))


def unpaired_difference(a: Totals, b: Totals, column: int = 0) -> Difference:
    """Compare a column of two sets of clusters that have nothing to do with each other."""
    errors = (float(a.standard_errors[column]), float(b.standard_errors[column]))
    values = (float(a.means[column]), float(b.means[column]))
    return difference_of_scores(values, errors, (len(a), len(b)))


def difference_of_scores(
    values: tuple[float, float], errors: tuple[float, float], clusters: tuple[int, int]
) -> Difference:
    """Compare two scores of which the mean and its standard error are known, unpaired.

    Parameters
    ----------
    values, errors, clusters
        Mean, standard error over clusters and number of clusters of the first and the second.

    Returns
    -------
    Difference
        With Welch's t test and interval over clusters.
    """
    value, size = values[0] - values[1], min(clusters)
    error = float(np.hypot(*errors))
    known = size > 1 and np.isfinite(error)
    low = high = p = None
    if known and error > 0:
        shares = [e**4 / (n - 1) for e, n in zip(errors, clusters, strict=True)]
        dof = error**4 / sum(shares)
        half = float(stats.t.ppf(1 - ALPHA / 2, dof)) * error
        low, high = value - half, value + half
        p = float(2 * stats.t.sf(abs(value) / error, dof))
    elif known:
        low, high, p = value, value, float(value == 0)
    detectable = minimum_detectable(error, sum(clusters) - 2) if known else None
    shown = error if known else None
    return Difference(value, low, high, p, "welch", shown, detectable, size, caution(size))


def holm(p: ArrayLike) -> FloatArray:
    """Adjust p-values of one family of tests, so that any error has the stated chance (Holm 1979).

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    factors = len(given) - np.arange(len(given))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * given[order]))
    return adjusted


def shared_ranks(better: NDArray[np.bool_]) -> IntArray:
    """Rank methods: 1 + the number of methods that are significantly better.

    Methods that cannot be told apart from the same others share a rank; a method that no other is
    better than has rank 1.

    Parameters
    ----------
    better
        Whether method i is better than method j beyond chance; shape (M, M).

    >>> shared_ranks(np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=bool)).tolist()
    [1, 1, 3]
    """
    ranks: IntArray = 1 + np.asarray(better, dtype=np.int64).sum(axis=0)
    return ranks
