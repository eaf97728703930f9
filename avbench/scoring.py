"""Turn predictions into score rows, each with what is known about its uncertainty.

The value of a metric is that of `avbench.metrics.offset`. Its spread over the repeats says what
other draws would change; its interval and standard error over clusters (`avbench.statistics`) say
what other recordings would. All methods at one window length share the resamples, so that an error
reduction has an interval too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from avbench.data import FloatArray, IntArray
from avbench.distort import rng_for
from avbench.metrics import offset as metrics
from avbench.statistics import (
    Interval,
    Totals,
    coded_totals,
    intervals,
    reduction_interval,
    resampled_means,
)
from avbench.tasks import Task

MEAN_ERROR = "mean_absolute_error"
SEED = 0
"""Of the resamples: a constant of the statistics, not of what is asked."""
_DIGITS = 12
"""Of an interval: the last bits of a sum depend on the processor."""


@dataclass(frozen=True)
class Score:
    """One metric of one method at one window length."""

    method: str
    task: str
    task_version: int
    protocol: str
    dataset: str
    split: str | None
    window: int
    """Window length in frames; rows of picture, or 0 for whole clips, where frames are asked."""
    metric: str
    """``accuracy@<tolerance>``, ``rer@<tolerance>``, or a shift error in frames."""
    value: float | None
    """Accuracies and error reductions as fractions; None where undefined."""
    std: float | None
    """Population standard deviation over the repeats; None where not defined."""
    repeats: int
    n: int
    """Questions, or frames asked about, over all repeats."""
    n_failed: int
    """Those without an answer; they count as wrong."""
    reference: str | None = None
    """The method that an error reduction is relative to."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the value; None where there is none."""
    interval: str | None = None
    """How the interval was made: ``wilson`` or ``cluster-bootstrap``."""
    clusters: int | None = None
    """Recordings that the questions came from."""
    standard_error: float | None = None
    """Over the recordings."""
    caution: str = ""
    """Why the interval is not to be relied on; empty where it is."""


def score(
    predictions: pd.DataFrame,
    task: Task,
    *,
    reference: str | None = None,
    dataset: str = "",
    split: str | None = None,
) -> list[Score]:
    """Turn predictions into score rows.

    Parameters
    ----------
    predictions
        One row per method and question: ``method``, ``length``, ``repeat``, ``key``, ``offset``
        and ``predicted`` (NA where there was no answer), ``source`` (the recording; the key where
        it is missing) and ``confidence`` where there is one.
    task
        What was asked. Under macro reduction, proportions and the mean error are means within
        clips first, then over clips; the other metrics are over all questions always.
    reference
        Method that error reductions are relative to; none are computed where it is absent.
    dataset, split
        Copied into the rows.

    Returns
    -------
    list of Score
        Ordered by method, window length and metric. Proportions, their error reductions and the
        mean error have an interval.
    """
    rows: list[Score] = []
    for _, part in predictions.groupby("length", sort=True):
        cells = _cells(part, task)
        columns = [(cell.method, name) for cell in cells for name in cell.stds]
        found = Totals(*(np.hstack([getattr(c.found, n) for c in cells]) for n in _TOTALS))
        rng = rng_for(SEED, "intervals", int(part["length"].iloc[0]))
        means = resampled_means(found, rng)
        made = intervals(found, means, [name != MEAN_ERROR for _, name in columns])
        known = dict(zip(columns, zip(made, found.standard_errors, strict=True), strict=True))
        here = [row for cell in cells for row in _rows(cell, known, task, dataset, split)]
        where = {column: number for number, column in enumerate(columns)}
        rows += here
        for gain in reductions(here, reference):
            metric = gain.metric.replace("rer@", "accuracy@")
            a, b = (means[:, where[name, metric]] for name in (gain.method, str(reference)))
            rows.append(_with_interval(gain, reduction_interval(a, b, gain.clusters or 0)))
    return sorted(rows, key=lambda s: (s.method, s.window, s.metric))


_TOTALS = ("sums", "counts")


@dataclass(frozen=True, eq=False)
class _Cell:
    """One method at one window length."""

    method: str
    window: int
    values: Mapping[str, float]
    stds: Mapping[str, float | None]
    """Spread over the repeats, of the metrics that are means, in the order of the columns."""
    found: Totals
    repeats: int
    n: int
    n_failed: int


def _cells(part: pd.DataFrame, task: Task) -> list[_Cell]:
    """Return the cells of one window length; clusters have the same numbers in all of them."""
    clusters, names = pd.factorize(recordings(part), sort=True)
    keys = pd.factorize(part["key"])[0] if task.reduction == "macro" else None
    cells = []
    for method, rows in part.groupby("method", sort=True).indices.items():
        items = None if keys is None else keys[rows]
        cells.append(_cell(str(method), part.iloc[rows], task, clusters[rows], len(names), items))
    return cells


def _cell(
    method: str,
    part: pd.DataFrame,
    task: Task,
    clusters: IntArray,
    size: int,
    items: IntArray | None,
) -> _Cell:
    truth, said = offsets(part)
    judged = metrics.outcomes(truth, said, task.tolerances)
    table = np.column_stack([*judged.values(), np.abs(truth - said)]).astype(np.float64)
    found = coded_totals(table, clusters, size, items)
    names = [*judged, MEAN_ERROR]
    values = metrics.evaluate(truth, said, task.tolerances, _confidence(part))
    if items is not None:
        values |= dict(zip(names, map(float, found.means), strict=True))
    repeats, drawn = pd.factorize(part["repeat"], sort=True)
    pairs = None if items is None else repeats + len(drawn) * items
    each = coded_totals(table, repeats, len(drawn), pairs).within
    stds = [float(x) for x in np.std(each, axis=0)]
    return _Cell(
        method=method,
        window=int(part["length"].iloc[0]),
        values=values,
        stds=dict(zip(names, [*stds[:-1], None], strict=True)),
        found=found,
        repeats=len(drawn),
        n=len(part),
        n_failed=int(np.isnan(said).sum()),
    )


def _rows(
    cell: _Cell,
    known: Mapping[tuple[str, str], tuple[Interval, float]],
    task: Task,
    dataset: str,
    split: str | None,
) -> list[Score]:
    rows = []
    for metric, value in cell.values.items():
        row = Score(
            method=cell.method,
            task=task.name,
            task_version=task.version,
            protocol=task.protocol,
            dataset=dataset,
            split=split,
            window=cell.window,
            metric=metric,
            value=_known(value),
            std=cell.stds.get(metric),
            repeats=cell.repeats,
            n=cell.n,
            n_failed=cell.n_failed,
            clusters=int(np.count_nonzero(cell.found.counts[:, 0])),
        )
        if (cell.method, metric) in known:
            interval, error = known[cell.method, metric]
            row = _with_interval(replace(row, standard_error=_rounded(error)), interval)
        rows.append(row)
    return rows


def _with_interval(row: Score, found: Interval) -> Score:
    return replace(
        row,
        low=_rounded(found.low),
        high=_rounded(found.high),
        interval=found.method,
        caution=found.caution,
    )


def recordings(predictions: pd.DataFrame) -> pd.Series[Any]:
    """Return the recording behind each question: ``source``, or the key where there is none."""
    if "source" not in predictions:
        return predictions["key"]
    return predictions["source"].fillna(predictions["key"])


def offsets(predictions: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Return true and predicted offsets in frames, NaN where there was no answer."""
    said = predictions["predicted"].to_numpy(dtype=np.float64, na_value=np.nan)
    return predictions["offset"].to_numpy(dtype=np.float64), said


def _confidence(part: pd.DataFrame) -> FloatArray | None:
    """Return the confidences, None where the method never has one."""
    if "confidence" not in part:
        return None
    stated = part["confidence"].to_numpy(dtype=np.float64, na_value=np.nan)
    return None if np.all(np.isnan(stated)) else stated


def reductions(rows: Iterable[Score], reference: str | None) -> list[Score]:
    """Return the relative error reductions that follow from accuracies.

    Parameters
    ----------
    rows
        Scores of one task and data set.
    reference
        Method that the reductions are relative to; it gets none itself.

    Returns
    -------
    list of Score
        ``rer@<tolerance>`` for every accuracy whose reference was measured too.
    """
    accuracies = [row for row in rows if row.metric.startswith("accuracy@")]
    base = {(row.window, row.metric): row.value for row in accuracies if row.method == reference}
    found = []
    for row in accuracies:
        against = base.get((row.window, row.metric))
        if row.method == reference or against is None or row.value is None:
            continue
        fields = asdict(row) | {
            "metric": row.metric.replace("accuracy@", "rer@"),
            "value": _known(metrics.rer(row.value, against)),
            "std": None,
            "standard_error": None,
            "low": None,
            "high": None,
            "interval": None,
            "reference": reference,
        }
        found.append(Score(**fields))
    return found


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), _DIGITS)
