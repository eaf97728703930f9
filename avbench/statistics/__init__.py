"""How sure a score is: intervals, paired tests, shared ranks and what a design can detect.

Values of questions are not independent: those cut from one recording share its speaker, camera
and noise, and the repeats of one clip share everything but the draw. So values are summed within
**clusters** (the recordings), and whole clusters are resampled; repeats add to a cluster, never to
the number of clusters. A question without an answer is a value of 0 (wrong), given by the caller.

* `wilson`, `mean_interval`: where a proportion or mean may lie.
* `paired_difference`, `unpaired_difference`: whether two methods differ.
* `error_reduction`: relative error reduction with its interval.
* `holm`, `shared_ranks`: many comparisons at once.
* `minimum_detectable`: the difference that a design would find four times out of five.
* `spread`: how much is due to the draws (repeats), how much to the recordings (clusters).

`Totals` and the functions on it do the same for many columns at once. The two modules name the
papers behind them.
"""

from __future__ import annotations

from avbench.statistics.clusters import (
    ALPHA,
    FEW_CLUSTERS,
    POWER,
    RESAMPLES,
    Interval,
    Spread,
    Totals,
    caution,
    coded_totals,
    error_reduction,
    intervals,
    mean_interval,
    multiplicities,
    percentiles,
    reduced,
    reduction_interval,
    resampled_means,
    spread,
    totals,
    wilson,
)
from avbench.statistics.differences import (
    Difference,
    difference_of_scores,
    holm,
    minimum_detectable,
    paired_difference,
    paired_differences,
    shared_ranks,
    unpaired_difference,
)

__all__ = [
    "ALPHA",
    "FEW_CLUSTERS",
    "POWER",
    "RESAMPLES",
    "Difference",
    "Interval",
    "Spread",
    "Totals",
    "caution",
    "coded_totals",
    "difference_of_scores",
    "error_reduction",
    "holm",
    "intervals",
    "mean_interval",
    "minimum_detectable",
    "multiplicities",
    "paired_difference",
    "paired_differences",
    "percentiles",
    "reduced",
    "reduction_interval",
    "resampled_means",
    "shared_ranks",
    "spread",
    "totals",
    "unpaired_difference",
    "wilson",
]
