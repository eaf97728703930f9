"""A leaderboards folder with planted numbers, for the tests of the site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HOSTILE = '<img src=x onerror="window.owned=1">\'</script><script>window.owned=1</script>&amp;'
"""What nobody may get into a page through the name of a method, a note or a file."""

WINDOWS = (11, 15)
ACCURACY = {
    "alpha": (0.50, 0.70),
    "beta": (0.55, 0.69),
    "gamma": (0.30, 0.40),
    "oracle": (1.0, 1.0),
    "constant": (0.09, 0.09),
}
"""Method -> accuracy@0 at each of the window lengths; alpha and beta share the first rank at 15."""
RANKS = {11: {"beta": 1, "alpha": 2, "gamma": 3}, 15: {"alpha": 1, "beta": 1, "gamma": 3}}


def score(method: str, window: int, value: float, **fields: Any) -> dict[str, Any]:
    """Return a line of scores.jsonl."""
    return {
        "method": method,
        "task": "offset",
        "task_version": 1,
        "protocol": "kim-strict-5",
        "dataset": "lrs2",
        "split": "test",
        "window": window,
        "metric": "accuracy@0",
        "value": value,
        "std": 0.0 if value in (0, 1) else 0.01,
        "repeats": 10,
        "n": 4000,
        "n_failed": 7 if method == "gamma" else 0,
        "reference": None,
        "low": max(0.0, value - 0.03),
        "high": min(1.0, value + 0.04),
        "interval": "cluster-bootstrap",
        "run": "3fa94c0b12de",
        **fields,
    }


def card(**fields: Any) -> dict[str, Any]:
    """Return a run card."""
    methods = {name: {"sees_truth": name == "oracle", "seconds": 1.5} for name in ACCURACY}
    return {
        "dataset": "lrs2",
        "split": "test",
        "synthetic": False,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "questions_sha256": "8a0000a6079fa0a6" * 4,
        "threads": 1,
        "versions": {"python": "3.11.7", "numpy": "2.4.6"},
        "decoder": {"libavcodec": "62.28.102"},
        "task": {"protocol": "kim-strict-5", "seed": 1337, "tolerances": [0, 1]},
        "methods": methods,
        "refusals": [{"key": "clip-1", "reason": "too short", "length": 15}],
        "command": ["avbench", "run", "--method", "all"],
        **fields,
    }


def comparisons() -> dict[str, Any]:
    """Return the ranks of `RANKS` as a run leaves them."""
    cells = [
        {
            "window": window,
            "metric": "accuracy@0",
            "clusters": 20,
            "caution": "Few recordings: the intervals are too narrow.",
            "methods": [{"method": m, "value": 0.5, "rank": r} for m, r in ranks.items()],
            "pairs": [pair(a, b) for a, b in (("alpha", "beta"), ("alpha", "constant"))],
        }
        for window, ranks in RANKS.items()
    ]
    return {"statistics": {"rank": "one more than the methods that are better"}, "cells": cells}


def pair(a: str, b: str) -> dict[str, Any]:
    """Return the comparison of two methods."""
    return {
        "a": a,
        "b": b,
        "difference": 0.0125,
        "low": -0.0075,
        "high": 0.0325,
        "p": 0.2,
        "p_holm": 0.4,
        "significant": False,
        "minimum_detectable": 0.031,
        "test": "sign-flip",
    }


def write_run(
    folder: Path, name: str, scores: list[dict[str, Any]], block: dict[str, Any], ranks: Any
) -> None:
    """Write a folder of measured results."""
    run = folder / "measured" / name
    run.mkdir(parents=True)
    (run / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scores), "utf-8")
    (run / "run.json").write_text(json.dumps(block), "utf-8")
    if ranks is not None:
        (run / "comparisons.json").write_text(json.dumps(ranks), "utf-8")


def measured_scores(**fields: Any) -> list[dict[str, Any]]:
    """Return all planted scores, an error in frames included."""
    rows = [
        score(method, window, value, **fields)
        for method, values in ACCURACY.items()
        for window, value in zip(WINDOWS, values, strict=True)
    ]
    errors = {"std": None, "low": None, "high": None, "interval": None, **fields}
    metric = {"metric": "mean_absolute_error", **errors}
    return rows + [score("alpha", w, 1.25, **metric) for w in WINDOWS]


def reported(rows: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """Return a file of reported rows."""
    common = {
        "kind": "paper",
        "dataset": "lrs2",
        "split": "test",
        "protocol": "kim-strict-5",
        "metric": "accuracy@0",
        "unit": "percent",
        "verified": "Table 1 read twice",
    }
    given = {
        "source": "Doe 2020",
        "citation": "Jane Doe: Syncing. 2020.",
        "url": "https://example.org/doe",
        "common": common,
        "rows": rows,
    }
    return given | fields


def make(folder: Path, extra: dict[str, Any] | None = None) -> Path:
    """Write a folder with a run on recordings, one on drawn faces and two papers."""
    write_run(folder, "lrs2", measured_scores(), card(), comparisons())
    drawn = {"dataset": "demo", "run": "aaaabbbbcccc"}
    write_run(folder, "demo", measured_scores(**drawn), card(synthetic=True, dataset="demo"), None)
    (folder / "reported").mkdir()
    rows = [
        {"method": "alpha", "window": 11, "printed": "61.20", "std": "0.35"},
        {"method": "delta", "window": 20, "printed": ">90", "note": "read off a figure"},
    ]
    other = [
        {
            "method": "epsilon",
            "metric": "own_score",
            "unit": "score",
            "printed": "3",
            "protocol": "own",
        }
    ]
    papers = {"doe2020": reported(rows), "other": reported(other, source="Roe 2021")}
    for name, content in (papers | (extra or {})).items():
        (folder / "reported" / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


def make_hostile(folder: Path) -> Path:
    """Write a folder whose names, notes and card try to get out of the page."""
    bad = {"method": HOSTILE, "window": 11, "printed": "1.0", "note": HOSTILE, "condition": HOSTILE}
    link = "javascript:window.owned=1"
    paper = reported([bad], source=HOSTILE, citation=HOSTILE, url=link, notes=[HOSTILE])
    make(folder, {"hostile": paper})
    row = score(HOSTILE, 11, 0.5, dataset=HOSTILE, split=HOSTILE, run=HOSTILE)
    block = card(command=[HOSTILE], note=HOSTILE) | {"methods": {HOSTILE: {"x": HOSTILE}}}
    name = "h'><script>window.owned=1<#?100%41"
    cell = {"caution": HOSTILE, "metric": "accuracy@0", "window": 11, "methods": []}
    ranks = {"cells": [cell | {"pairs": [pair(HOSTILE, HOSTILE)]}], "statistics": {"rank": HOSTILE}}
    write_run(folder, name, [row], block, ranks)
    return folder
