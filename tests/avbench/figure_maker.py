"""A small run, comparisons and rows of a leaderboard to draw, and one figure of each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from matplotlib.figure import Figure
from simulated import Simulated, clip

from avbench import plots
from avbench.benchmark import Outcome, evaluate
from avbench.data import JSON
from avbench.leaderboard.rows import Row
from avbench.results import Score
from avbench.similarity import similarity_matrix
from avbench.tasks import OffsetTask
from baselines.constant import Constant

TASK = OffsetTask(lengths=(11, 20), repeats=5)


def an_outcome() -> Outcome:
    methods = [Simulated("clear"), Simulated("noisy", noise=2.5), Constant()]
    return evaluate(methods, [clip(number) for number in range(10)], TASK)


def with_intervals(rows: list[Score]) -> list[Score]:
    return [
        replace(row, low=max(0.0, row.value - 0.06), high=min(1.0, row.value + 0.03))
        if row.value is not None and row.metric.startswith("accuracy@")
        else row
        for row in rows
    ]


def reported_rows() -> list[Row]:
    rows = []
    for kind, dataset, drawn in (("paper", "lrs2", False), ("measured", "demo", True)):
        for place, method in enumerate(("syncnet", "diag-avg", "sync-e2e")):
            for window in (11, 13, 20):
                given: dict[str, object] = dict.fromkeys(Row.__dataclass_fields__)
                text = ("condition", "interval", "reference", "note", "suspect", "run", "split")
                given |= dict.fromkeys(text, "")
                value = 40.0 + 5 * place + window
                given |= {
                    "kind": kind,
                    "method": method,
                    "dataset": dataset,
                    "drawn": drawn,
                    "protocol": "kim-strict-5",
                    "version": 1 if drawn else None,
                    "window": window,
                    "metric": "accuracy@0",
                    "unit": "percent",
                    "value": value,
                    "std": 0.4,
                    "low": value - 3 if drawn else None,
                    "high": value + 2 if drawn else None,
                    "source": "measured/demo" if drawn else "Kim et al. (2021): End-to-end",
                    "printed": "",
                    "ranked": True,
                }
                rows.append(Row(**given))  # type: ignore[arg-type]
    return rows


def comparisons() -> dict[str, JSON]:
    """Return paired comparisons of three methods at two window lengths."""
    gaps = {("a", "b"): -0.04, ("a", "long-name"): -0.1, ("b", "long-name"): -0.01}
    return {
        "cells": [
            {
                "metric": "accuracy@0",
                "window": window,
                "methods": [],
                "pairs": [
                    {
                        "a": a,
                        "b": b,
                        "difference": gap - window / 1000,
                        "low": gap - window / 1000 - 0.02,
                        "high": gap - window / 1000 + 0.03,
                        "significant": abs(gap) > 0.02,
                    }
                    for (a, b), gap in gaps.items()
                ],
            }
            for window in (11, 20)
        ]
    }


KINDS = (
    "accuracy",
    "confusion",
    "risk-coverage",
    "confidence",
    "errors",
    "differences",
    "reported",
    "similarity",
    "drift",
    "responses",
    "pairs",
    "before-after",
    "gradients",
)


def synced_rows(count: int = 6, frames: int = 120, noise: float = 0.5) -> list[plots.SyncedRows]:
    """Return rows of simulated clips, each of a speaker of its own."""
    method = Simulated(noise=noise)
    clips = [clip(number, frames) for number in range(count)]
    return [plots.SyncedRows.of(one.key, one.key, method.embed(one), 0) for one in clips]


def twins(offsets: tuple[int, ...] = (-2, 1, 5)) -> list[plots.Twin]:
    """Return windows as a noisy and a less noisy extractor see them."""
    found = []
    for number, offset in enumerate(offsets):
        window = clip(number).window(10, 20, offset)
        seen = [Simulated(noise=noise).embed(window) for noise in (0.8, 0.3)]
        top, bottom = (similarity_matrix(rows.audio, rows.video) for rows in seen)
        found.append(plots.Twin(window.key, offset, top, bottom))
    return found


def draw(outcome: Outcome, kind: str, **options: float) -> Figure:
    """Draw one figure of each kind from the same small run."""
    said = {"methods": ["clear", "noisy"], "length": 11, **options}
    rows = Simulated(noise=0.1).embed(clip(2).window(10, 20, -2))
    matrix = similarity_matrix(rows.audio, rows.video)
    drawn: dict[str, Callable[[], Figure]] = {
        "accuracy": lambda: plots.accuracy(with_intervals(outcome.scores), search=5, **options),
        "confusion": lambda: plots.confusion(outcome.predictions, **said),
        "risk-coverage": lambda: plots.risk_coverage(outcome.predictions, **said),
        "confidence": lambda: plots.confidence(outcome.predictions, **said),
        "errors": lambda: plots.errors(outcome.predictions, **said),
        "differences": lambda: plots.differences(comparisons(), **options),
        "reported": lambda: plots.reported(reported_rows(), **options),
        "drift": lambda: plots.drift(
            {law: plots.drawn_offsets(law, clips=20, length=60) for law in plots.LAWS}, **options
        ),
        "responses": lambda: plots.responses(
            plots.response_curves(synced_rows(), search=10, shift=-4), **options
        ),
        "pairs": lambda: plots.pairs(plots.drawn_pairs(synced_rows()), title="a net", **options),
        "before-after": lambda: plots.before_after(twins(), **options),
        "gradients": lambda: plots.gradients(twins(), **options),
        "similarity": lambda: plots.similarity(
            matrix, offset=-2, search=5, title="clip, 20 frames, offset -2", **options
        ),
    }
    return drawn[kind]()
