"""What differs between two results: every number, with a test where the answers are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from avbench.data import JSON
from avbench.distort import rng_for
from avbench.errors import UsageError
from avbench.leaderboard.card import same_clips, task_of
from avbench.leaderboard.rows import unit_of
from avbench.leaderboard.store import Key, Measured
from avbench.metrics.offset import outcomes
from avbench.protocols import check_same
from avbench.results import Run
from avbench.statistics import (
    Difference,
    Totals,
    holm,
    paired_differences,
    totals,
    unpaired_difference,
)

ALPHA = 0.05
_QUESTION = ["length", "repeat", "key", "window"]


@dataclass(frozen=True)
class Change:
    """One number before and after; None where there is none."""

    key: Key
    before: float | None
    after: float | None
    test: Difference | None = None
    """Of after minus before; None where the answers are not at hand."""
    paired: bool = False
    """Whether the test is of the same recordings."""
    p: float | None = None
    """Of the test, adjusted for all tests of the metric (Holm)."""
    intervals: tuple[str, str] = ("", "")
    """95 % intervals of before and after, as text; empty where there are none."""

    @property
    def kind(self) -> str:
        """``new``, ``gone``, ``moved`` or ``same``."""
        if self.before is None and self.after is not None:
            return "new"
        if self.after is None and self.before is not None:
            return "gone"
        return "same" if self.before == self.after else "moved"

    def line(self) -> str:
        """Return it as one line of text."""
        method, window, metric = self.key
        values = [
            f"{_shown(metric, value)}{interval}"
            for value, interval in zip((self.before, self.after), self.intervals, strict=True)
            if value is not None
        ]
        text = f"{self.kind:<6} {method} at {window} frames, {metric}: {' -> '.join(values)}"
        if self.before is None or self.after is None:
            return text
        text += f" ({_shown(metric, self.after - self.before, signed=True)}"
        test = self.test
        if test is not None and test.low is not None and test.high is not None:
            low, high = (_shown(metric, x, signed=True) for x in (test.low, test.high))
            text += f", {'paired' if self.paired else 'unpaired'} 95 % {low} to {high}"
        if test is not None and test.p is not None:
            text += f", p {test.p:.3g}, {self.p:.3g} among its like"
        return f"{text})"


def _shown(metric: str, value: float, signed: bool = False) -> str:
    percent = unit_of(metric) == "percent"
    number = f"{100 * value if percent else value:{'+' if signed else ''}.2f}"
    return number if signed or not percent else f"{number} %"


def changes(old: Measured | None, new: Measured) -> list[Change]:
    """Return every number of two results, ordered by method, window length and metric."""
    before, after = old.by_key if old else {}, new.by_key
    found = []
    for key in sorted({*before, *after}):
        rows = (before.get(key, {}), after.get(key, {}))
        first, second = (row.get("value") for row in rows)
        intervals = (_interval(key[2], rows[0]), _interval(key[2], rows[1]))
        found.append(Change(key, first, second, intervals=intervals))
    return found


def _interval(metric: str, row: Mapping[str, JSON]) -> str:
    low, high = row.get("low"), row.get("high")
    if low is None or high is None:
        return ""
    scale = 100 if unit_of(metric) == "percent" else 1
    return f" [{scale * low:.2f}, {scale * high:.2f}]"


def check_comparable(a: Mapping[str, JSON], b: Mapping[str, JSON]) -> None:
    """Refuse two run cards whose numbers must not stand beside each other.

    Raises
    ------
    UsageError
        If protocol or data set differ; the message says which.
    """
    check_same((card["task"]["protocol"], card["task"]["version"]) for card in (a, b))
    places = [f"{card['dataset']}, split {card['split']}" for card in (a, b)]
    if places[0] != places[1]:
        raise UsageError(
            f"the results are on different data ({places[0]}; {places[1]}), so their difference "
            "says nothing about a method"
        )


def with_tests(found: Sequence[Change], a: Run, b: Run) -> list[Change]:
    """Add a test to every share of questions that both runs hold answers for.

    Paired by the recordings that clips were cut from where both runs asked the same clips equally
    often, of two samples of recordings otherwise. The p values are adjusted for the number of
    tests of a metric, for metrics repeat each other.
    """
    tests = _tests(a, b)
    adjusted: dict[Key, Change] = {}
    for metric in sorted({change.key[2] for change in found}):
        known = [c for c in found if c.key[2] == metric and c.key in tests]
        ps = [1.0 if (p := tests[change.key][0].p) is None else p for change in known]
        for change, p in zip(known, holm(ps).tolist() if ps else [], strict=True):
            test, paired = tests[change.key]
            adjusted[change.key] = replace(change, test=test, paired=paired, p=p)
    return [adjusted.get(change.key, change) for change in found]


def _tests(a: Run, b: Run) -> dict[Key, tuple[Difference, bool]]:
    """Test every share of the methods and lengths of both runs; whether each test is paired."""
    task, same = task_of(a.block), same_clips(a.block, b.block)
    sides = [_parts(run.predictions) for run in (a, b)]
    found: dict[Key, tuple[Difference, bool]] = {}
    for method, window in sorted(set(sides[0]) & set(sides[1])):
        parts = [side[method, window] for side in sides]
        hits = [_hits(part, task.tolerances) for part in parts]
        metrics = sorted(hits[0])
        first, second = (
            totals(
                np.column_stack([hit[metric] for metric in metrics]).astype(np.float64),
                part["source"],
                part["key"] if task.reduction == "macro" else None,
            )
            for part, hit in zip(parts, hits, strict=True)
        )
        asked = [part["key"].value_counts().sort_index() for part in parts]
        paired = same and asked[0].equals(asked[1])
        if paired:
            both = Totals(
                np.hstack([second.sums, first.sums]), np.hstack([second.counts, first.counts])
            )
            pairs = [(column, column + len(metrics)) for column in range(len(metrics))]
            tests = paired_differences(both, pairs, rng_for(0, "leaderboard-diff", method, window))
        else:
            tests = [unpaired_difference(second, first, i) for i in range(len(metrics))]
        found |= {(method, window, m): (t, paired) for m, t in zip(metrics, tests, strict=True)}
    return found


def _parts(predictions: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    table = predictions.sort_values(_QUESTION, kind="stable")
    if "source" not in table:
        table = table.assign(source=table["key"])
    return {
        (str(method), int(part["length"].iloc[0])): part
        for (method, _), part in table.groupby(["method", "length"], sort=True)
    }


def _hits(part: pd.DataFrame, tolerances: Sequence[int]) -> dict[str, np.ndarray]:
    said = part["predicted"].to_numpy(dtype=np.float64, na_value=np.nan)
    return dict(outcomes(part["offset"].to_numpy(dtype=np.float64), said, tolerances))


def summary(found: Sequence[Change]) -> str:
    """Say how many numbers differ, and how many of them by more than chance explains."""
    moved = [change for change in found if change.kind != "same"]
    sure = [change for change in moved if change.p is not None and change.p < ALPHA]
    text = f"{len(moved)} of {len(found)} numbers differ"
    if any(change.test is not None for change in found):
        text += f", {len(sure)} by more than chance explains (adjusted p < {ALPHA:g})"
    return f"{text}."
