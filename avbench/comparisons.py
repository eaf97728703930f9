"""Compare all methods of a run in pairs, question by question.

A cell is one metric at one window length. Its pairs are one family of tests: p-values are Holm's.
Methods that are shown the answer take no part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from avbench.data import JSON, FloatArray
from avbench.distort import rng_for
from avbench.errors import DataError
from avbench.metrics import offset as metrics
from avbench.scoring import MEAN_ERROR, SEED, offsets, recordings
from avbench.statistics import (
    ALPHA,
    POWER,
    RESAMPLES,
    Difference,
    Totals,
    caution,
    holm,
    minimum_detectable,
    paired_differences,
    shared_ranks,
    totals,
)

RULE = (
    "1 + the number of methods that are better in the paired test after Holm's correction over "
    "the pairs of the cell; methods that cannot be told apart share a rank"
)
_ORDER = ["key", "repeat", "window", "frame"]
"""What tells the questions of one length apart, as far as there are such columns."""
_DIGITS = 12


def compare(
    predictions: pd.DataFrame,
    tolerances: Iterable[int] = (0, 1),
    *,
    macro: bool = False,
    errors: bool = False,
    unranked: Collection[str] = (),
) -> dict[str, JSON]:
    """Compare the accuracies of all methods at every window length.

    Parameters
    ----------
    predictions
        As from `avbench.benchmark.evaluate`; all methods answered the same questions.
    tolerances
        One metric ``accuracy@<tolerance>`` each, in frames.
    macro
        Whether accuracy is the mean within clips first.
    errors
        Compare the mean absolute error too, where less is better: of the questions that all of the
        methods answered.
    unranked
        Methods that take no part.

    Returns
    -------
    dict
        ``statistics`` (how it was done) and ``cells``, each with ``methods`` (value and shared
        rank) and ``pairs`` (difference first minus second as a fraction, 95 % interval, p-value
        plain and after Holm, and the differences that would have been found with 80 % power,
        paired and unpaired). The same predictions give the same content.

    Raises
    ------
    DataError
        If two methods were asked different questions.
    """
    rivals = predictions[~predictions["method"].isin(list(unranked))]
    tolerances = list(tolerances)
    return {
        "statistics": {
            "alpha": ALPHA,
            "power": POWER,
            "resamples": RESAMPLES,
            "seed": SEED,
            "clusters": "source" if "source" in predictions else "key",
            "correction": "holm",
            "rank": RULE,
        },
        "cells": [
            cell
            for _, part in rivals.groupby("length", sort=True)
            for cell in _compare_at(part, tolerances, macro, errors)
        ],
    }


def _compare_at(
    part: pd.DataFrame, tolerances: list[int], macro: bool, errors: bool
) -> list[dict[str, JSON]]:
    """Compare at one window length; questions are down, methods across."""
    groups = {str(m): _in_order(rows) for m, rows in part.groupby("method", sort=True)}
    names, first = list(groups), next(iter(groups.values()))
    order = [column for column in (*_ORDER, "offset") if column in first]
    asked = [first[column].to_numpy() for column in order]
    for name, rows in groups.items():
        here = [rows[column].to_numpy() for column in order]
        if not all(map(np.array_equal, here, asked)):
            raise DataError(
                f"{name} and {names[0]} were asked different questions; measure them together"
            )
    said = [offsets(rows) for rows in groups.values()]
    judged = [metrics.outcomes(*pair, tolerances) for pair in said]
    length, wanted = int(first["length"].iloc[0]), [f"accuracy@{t}" for t in tolerances]
    table = np.column_stack([hits[metric] for metric in wanted for hits in judged])
    if errors:
        away = np.column_stack([np.abs(truth - answer) for truth, answer in said])
        away[np.isnan(away).any(axis=1)] = np.nan
        wanted, table = [*wanted, MEAN_ERROR], np.column_stack([table, away])
    found = totals(table, recordings(first).to_numpy(), asked[0] if macro else None)
    # All cells of one length share the draws, of which the most time goes.
    pairs = list(combinations(range(len(names)), 2))
    blocks = [slice(first, first + len(names)) for first in range(0, table.shape[1], len(names))]
    columns = [(block.start + i, block.start + j) for block in blocks for i, j in pairs]
    rng = rng_for(SEED, "comparisons", length)
    made = paired_differences(found, columns, rng) if columns else []
    return [
        {"window": length, "metric": metric}
        | _cell(
            names,
            Totals(found.sums[:, block], found.counts[:, block]),
            dict(zip(pairs, made[k * len(pairs) :], strict=False)),
            sign=-1 if metric == MEAN_ERROR else 1,
        )
        for k, (metric, block) in enumerate(zip(wanted, blocks, strict=True))
    ]


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    known = [column for column in reversed(_ORDER) if column in rows]
    order = np.lexsort([pd.factorize(rows[column], sort=True)[0] for column in known])
    return rows.iloc[order]


def _cell(
    names: list[str],
    found: Totals,
    made: Mapping[tuple[int, int], Difference],
    *,
    sign: int,
) -> dict[str, JSON]:
    """Put one metric at one length into words: ranks and pairs, by the numbers of the methods.

    ``sign`` is -1 where less is better.
    """
    tested = len(found) > 1
    adjusted = holm([d.p for d in made.values() if d.p is not None])
    corrected = dict(zip(made, adjusted, strict=tested))
    better = np.zeros((len(names), len(names)), dtype=bool)
    for (i, j), p in corrected.items():
        if p < ALPHA:
            better[(i, j) if sign * made[i, j].value > 0 else (j, i)] = True
    detectable = [d.minimum_detectable for d in made.values() if d.minimum_detectable is not None]
    return {
        "clusters": len(found),
        "caution": caution(len(found)),
        "minimum_detectable": _rounded(max(detectable, default=None)),
        "methods": [
            {"method": name, "value": _rounded(value), "rank": int(rank)}
            for name, value, rank in zip(names, found.means, shared_ranks(better), strict=True)
        ],
        "pairs": [
            {"a": names[i], "b": names[j], **_pair(difference, corrected.get((i, j)))}
            | {"minimum_detectable_unpaired": _unpaired(found.standard_errors[[i, j]], len(found))}
            for (i, j), difference in made.items()
        ],
    }


def _pair(found: Difference, adjusted: float | None) -> dict[str, JSON]:
    return {
        "difference": _rounded(found.value),
        "low": _rounded(found.low),
        "high": _rounded(found.high),
        "p": _rounded(found.p),
        "p_holm": _rounded(adjusted),
        "significant": adjusted is not None and bool(adjusted < ALPHA),
        "test": found.test,
        "standard_error": _rounded(found.standard_error),
        "minimum_detectable": _rounded(found.minimum_detectable),
    }


def _unpaired(errors: FloatArray, clusters: int) -> float | None:
    return _rounded(minimum_detectable(float(np.hypot(*errors)), 2 * clusters - 2))


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), _DIGITS)
