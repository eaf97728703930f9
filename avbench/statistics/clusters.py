"""Where a mean may lie when questions come in clusters.

References
----------
Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
Hesterberg, "What teachers should know about the bootstrap" (2015): expanded percentile interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from avbench.data import FloatArray, IntArray

ALPHA = 0.05
"""Error of the first kind; intervals are at 1 - ALPHA."""
POWER = 0.8
RESAMPLES = 10_000
FEW_CLUSTERS = 10
"""Below this many clusters, intervals and tests are rough and say so."""
CHUNK = 2_000_000
"""Draws multiplied at once: they bound memory, and many small products would wait for threads."""
_CACHED = 200_000
"""Draws counted at once: few enough to stay in the cache of a processor."""


@dataclass(frozen=True)
class Interval:
    """Where a mean may lie, at 95 %."""

    low: float | None
    """None where one cluster alone was seen, or resamples have too few values or but one."""
    high: float | None
    method: str | None
    """``wilson`` or ``cluster-bootstrap``; None where there is none."""
    clusters: int
    caution: str = ""
    """Why not to lean on it; empty where there is no reason."""


@dataclass(frozen=True)
class Spread:
    """The two reasons why a mean would be another one next time."""

    over_repeats: float
    """Population standard deviation of the repeats' means: other draws (what papers print)."""
    standard_error: float | None
    """Standard error over clusters: other recordings. None below two clusters."""


@dataclass(frozen=True, eq=False)
class Totals:
    """Sum and number of the values of each cluster, for any number of columns."""

    sums: FloatArray
    """Shape (G, M): G clusters, M columns such as methods."""
    counts: FloatArray
    """Values behind each sum; shape (G, M)."""

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def within(self) -> FloatArray:
        """Mean within each cluster, NaN where it holds no value; shape (G, M)."""
        return _ratio(self.sums, self.counts)

    @property
    def means(self) -> FloatArray:
        """Mean over all values, NaN where there are none; shape (M,)."""
        return _ratio(self.sums.sum(axis=0), self.counts.sum(axis=0))

    @property
    def standard_errors(self) -> FloatArray:
        """Standard error over clusters of a ratio of sums; NaN below two clusters; shape (M,)."""
        size = len(self)
        if size < 2:
            return np.full(self.sums.shape[1], np.nan)
        residuals = _ratio(self.sums - self.means * self.counts, self.counts.mean(axis=0))
        error: FloatArray = residuals.std(axis=0, ddof=1) / np.sqrt(size)
        return error


def totals(values: ArrayLike, clusters: ArrayLike, items: ArrayLike | None = None) -> Totals:
    """Sum values within clusters.

    Parameters
    ----------
    values
        One per question, NaN where it does not count; shape (n,), or (n, M) for M columns.
    clusters
        Name of the recording behind each question; shape (n,).
    items
        Where given, the values of one item are averaged first and an item counts once, however
        many repeats it has (a macro mean); shape (n,).

    Raises
    ------
    ValueError
        If nothing was given, or an item lies in two clusters.
    """
    names = np.asarray(clusters)
    _, codes = np.unique(names, return_inverse=True)
    of = None if items is None else np.unique(np.asarray(items), return_inverse=True)[1]
    return coded_totals(values, codes, int(codes.max(initial=-1)) + 1, of)


def coded_totals(
    values: ArrayLike, codes: IntArray, size: int, items: IntArray | None = None
) -> Totals:
    """Sum values within clusters that are numbered already; see `totals`.

    Parameters
    ----------
    values
        Shape (n,) or (n, M).
    codes
        Number of the cluster of each question, below ``size``; shape (n,).
    size
        Clusters, those without a question included.
    items
        Number of the item of each question; shape (n,).
    """
    table: FloatArray = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) == 0 or len(table) != len(codes):
        raise ValueError(f"got {len(codes)} clusters for values of shape {np.shape(values)}")
    if items is not None:
        _, first, of = np.unique(items, return_index=True, return_inverse=True)
        if np.any(codes != codes[first][of]):
            raise ValueError("got an item that lies in two clusters")
        table, codes = _ratio(*_sum_by(of, len(first), table)), codes[first]
    return Totals(*_sum_by(codes, size, table))


def _sum_by(codes: IntArray, size: int, table: FloatArray) -> tuple[FloatArray, FloatArray]:
    width = table.shape[1]
    flat = (codes[:, None] * width + np.arange(width)).ravel()
    known = ~np.isnan(table)
    sums, counts = (
        np.bincount(flat, weights.ravel(), size * width).reshape(size, width).astype(np.float64)
        for weights in (np.where(known, table, 0.0), known)
    )
    return sums, counts


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = np.where(below > 0, above / below, np.nan)
    return found


def wilson(hits: int, n: int, alpha: float = ALPHA) -> tuple[float, float]:
    """Return Wilson's interval of a proportion of independent questions.

    >>> low, high = wilson(4750, 7100)
    >>> round(50 * (high - low), 2)
    1.09
    """
    found = stats.binomtest(int(hits), int(n)).proportion_ci(1 - alpha, method="wilson")
    return float(found.low), float(found.high)


def multiplicities(
    clusters: int, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Iterator[FloatArray]:
    """Yield how often each cluster is drawn in each resample, in chunks of shape (r, G)."""
    step, least = (max(1, size // clusters) for size in (CHUNK, _CACHED))
    for start in range(0, resamples, step):
        chosen = np.empty((min(step, resamples - start), clusters))
        for first in range(0, len(chosen), least):
            part = chosen[first : first + least]
            drawn = rng.integers(clusters, size=part.shape, dtype=np.int32)
            flat = (drawn + np.arange(len(part))[:, None] * clusters).ravel()
            part[:] = np.bincount(flat, minlength=part.size).reshape(part.shape)
        yield chosen


def resampled_means(
    found: Totals, rng: np.random.Generator, resamples: int = RESAMPLES
) -> FloatArray:
    """Return the means over resampled clusters; all columns share the draws; shape (R, M)."""
    width = found.sums.shape[1]
    both = np.hstack([found.sums, found.counts])
    parts = [chosen @ both for chosen in multiplicities(len(found), rng, resamples)]
    return np.vstack([_ratio(part[:, :width], part[:, width:]) for part in parts])


def percentiles(means: FloatArray, clusters: int) -> tuple[float | None, float | None]:
    """Return the 95 % interval of one column of resampled means.

    The percentiles are Hesterberg's, widened as Student's t is for few clusters. None where more
    than one resample in 40 has no value, because a bound may lie among those, and where all have
    the same, because that says nothing about other recordings.
    """
    known = means[~np.isnan(means)]
    if clusters < 2 or len(known) < (1 - ALPHA / 2) * len(means):
        return None, None
    wide = np.sqrt(clusters / (clusters - 1)) * stats.t.ppf(1 - ALPHA / 2, clusters - 1)
    tail = float(stats.norm.cdf(-wide))
    low, high = np.quantile(known, [tail, 1 - tail])
    return (float(low), float(high)) if low < high else (None, None)


def caution(clusters: int) -> str:
    """Say that there are too few clusters to lean on an interval; empty where there are enough.

    >>> caution(4)
    'only 4 clusters: intervals and tests are rough below 10'
    """
    if clusters >= FEW_CLUSTERS:
        return ""
    if clusters == 1:
        return "only 1 cluster: nothing is known about others"
    return f"only {clusters} clusters: intervals and tests are rough below {FEW_CLUSTERS}"


def intervals(found: Totals, means: FloatArray, proportion: Sequence[bool]) -> list[Interval]:
    """Return an interval per column from its resampled means.

    Parameters
    ----------
    found
        What was seen.
    means
        From `resampled_means`; shape (R, M).
    proportion
        Which columns are proportions. Those are Wilson's where every cluster holds one question,
        and where all or none are right: no resample varies there, so that Wilson's bound for as
        many questions as clusters is the honest one.
    """
    made: list[Interval] = []
    low: float | None
    high: float | None
    for column, is_proportion in enumerate(proportion):
        sums, counts = found.sums[:, column], found.counts[:, column]
        seen = int(np.count_nonzero(counts))
        single = bool(np.all(counts <= 1) and np.all((sums == 0) | (sums == 1)))
        constant = bool(np.all(sums == 0) or np.all(sums == counts))
        if seen < 2:
            made.append(Interval(None, None, None, seen, caution(seen) if seen else ""))
        elif is_proportion and (single or constant):
            low, high = wilson(seen if sums.any() and constant else int(sums.sum()), seen)
            made.append(Interval(low, high, "wilson", seen, caution(seen)))
        else:
            low, high = percentiles(means[:, column], seen)
            method = None if low is None else "cluster-bootstrap"
            made.append(Interval(low, high, method, seen, caution(seen)))
    return made


def mean_interval(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    items: ArrayLike | None = None,
    proportion: bool = True,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the interval of a mean by resampling whole clusters.

    Parameters
    ----------
    values, clusters, items
        As in `totals`.
    rng
        Source of randomness: equal states give equal intervals.
    proportion
        Whether values are 0 and 1; see `intervals`.
    resamples
        Number of resamples.
    """
    found = totals(values, clusters, items)
    means = resampled_means(found, rng, resamples)
    return intervals(found, means, [proportion] * found.sums.shape[1])[0]


def spread(values: ArrayLike, repeats: ArrayLike, clusters: ArrayLike) -> Spread:
    """Split the spread of a mean into that of the draws and that of the recordings."""
    error = float(totals(values, clusters).standard_errors[0])
    per_repeat = totals(values, repeats).within[:, 0]
    return Spread(float(np.std(per_repeat)), None if np.isnan(error) else error)


def error_reduction(
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> tuple[float, Interval]:
    """Return the part of the errors of ``b`` that ``a`` avoids, with a paired interval.

    The value is NaN where ``b`` makes no error; see `avbench.metrics.offset.rer`.
    """
    both = answered(a, b)
    found = totals(both, clusters)
    means = resampled_means(found, rng, resamples)
    made = reduction_interval(means[:, 0], means[:, 1], len(found))
    return float(reduced(found.means[:1], found.means[1:])[0]), made


def answered(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Set the values of two methods side by side; shape (n, 2).

    Raises
    ------
    ValueError
        If their numbers differ or one is NaN: without an answer a question is wrong, not absent.
    """
    both = np.column_stack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    if np.any(np.isnan(both)):
        raise ValueError("got a value that is NaN; a question without an answer is a 0")
    return both


def reduced(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the relative error reduction of accuracies ``a`` against ``b``, NaN at b = 1."""
    return _ratio(a - b, 1 - b)


def reduction_interval(a: FloatArray, b: FloatArray, clusters: int) -> Interval:
    """Return the interval of an error reduction from accuracies over the same resamples."""
    low, high = percentiles(reduced(a, b), clusters)
    method = None if low is None else "cluster-bootstrap"
    return Interval(low, high, method, clusters, caution(clusters))
