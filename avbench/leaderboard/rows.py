"""One number of a leaderboard, reported or measured, and when two may be ranked together.

A leaderboards folder holds ``reported/*.json``, numbers as their sources print them, and
``measured/*/``, the ``scores.jsonl`` and ``run.json`` of runs of ``avbench run``. Both become
rows of one form here, so that everything that shows, checks or draws them reads one thing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from avbench.data import JSON
from avbench.errors import DataError, UnknownName
from avbench.leaderboard import arithmetic
from avbench.leaderboard.reported import REPORTED, load
from avbench.metrics.catalogue import lookup
from avbench.runcard import run_id

MEASURED = "measured"
KINDS = (MEASURED, *REPORTED)

_PLAIN = ("auroc", "aurc", "pairwise_accuracy", "perceptual_score")
"""Fractions that are not shown as percentages; correlations are neither."""


@dataclass(frozen=True)
class Row:
    """One number, reported or measured, with all that it depends on."""

    kind: str
    """``measured``, ``paper``, ``third-party``, ``derived`` or ``chance``."""
    method: str
    dataset: str
    split: str
    protocol: str
    """Name such as ``kim-strict-5``."""
    version: int | None
    """Of the protocol; None for reported rows."""
    window: int | None
    """Window length in frames; None where the protocol has none."""
    condition: str
    """Whatever else was fixed; empty where nothing."""
    metric: str
    """``accuracy@0``, ``rer@0``, ``mean_absolute_error``, ...: the names of avbench.metrics."""
    unit: str
    """``percent``, ``frames``, ``dB``, ``fraction``, ``ms``, ``count`` ..."""
    value: float | None
    """None where undefined, or where the source prints a bound only."""
    std: float | None
    repeats: int | None
    low: float | None
    high: float | None
    interval: str
    """How the 95 % interval from ``low`` to ``high`` was made; empty where there is none."""
    n: int | None
    n_failed: int | None
    reference: str
    """Method that an error reduction is relative to."""
    source: str
    """Paper, repository or run folder."""
    verified: str
    """What a reported number was checked against, and how."""
    note: str
    suspect: str
    """Empty, or why the number cannot be right."""
    run: str
    """Id of the run card for measured rows, else empty."""
    printed: str = ""
    """The number as its source prints it, all digits kept; empty for measured rows."""
    printed_std: str = ""
    printed_name: str = ""
    """What the source calls the method."""
    drawn: bool = False
    """Whether the faces are drawn, not filmed."""
    ranked: bool = True
    """False for what only frames a table: chance, and methods that are shown the truth."""
    questions: str = ""
    """Start of the hash of all that a measured row's run asked; empty where not known."""


def comparable(a: Row, b: Row) -> str:
    """Say whether two rows may be ranked together.

    Returns
    -------
    str
        Empty if they may, else one sentence that says why not.
    """
    if a.drawn != b.drawn:
        return "numbers on drawn faces are never ranked with numbers on recordings"
    if (a.kind == MEASURED) != (b.kind == MEASURED):
        return "a reported number stands beside a measured one and is never ranked with it"
    for name in ("metric", "protocol", "version", "dataset", "split", "window"):
        mine, other = getattr(a, name), getattr(b, name)
        if mine != other:
            what = "protocol version" if name == "version" else name
            return f"the {what} differs: {_said(mine)} and {_said(other)}"
    for name in ("unit", "condition", "reference"):
        mine, other = getattr(a, name), getattr(b, name)
        if mine != other:
            return f"the {name} differs: {_said(mine)} and {_said(other)}"
    if a.questions != b.questions:
        return f"the runs {a.run} and {b.run} asked different questions"
    return ""


def _said(value: object) -> str:
    if value in (None, ""):
        return "none"
    return str(value) if isinstance(value, int) else f"'{value}'"


def read_reported(folder: Path) -> list[Row]:
    """Read what sources report.

    Parameters
    ----------
    folder
        A leaderboards folder; the rows are in its ``reported/*.json``.

    Returns
    -------
    list of Row
        Ordered by file, then as in the file; ``suspect`` says what their arithmetic says.

    Raises
    ------
    DataError
        If a file is damaged or lacks something; the message names it.
    """
    rows: list[Row] = []
    for path in sorted((folder / "reported").glob("*.json")):
        content, fields = load(path)
        rows += [_reported(content["source"], row) for row in fields]
    return arithmetic.mark(rows)


def _reported(source: str, fields: Mapping[str, JSON]) -> Row:
    printed, std = fields["printed"], fields.get("std")
    sign, number = printed[0], float(printed.lstrip("<>"))
    return Row(
        kind=fields["kind"],
        method=fields["method"],
        dataset=fields["dataset"],
        split=fields.get("split", ""),
        protocol=fields["protocol"],
        version=None,
        window=fields.get("window"),
        condition=fields.get("condition", ""),
        metric=fields["metric"],
        unit=fields["unit"],
        value=None if sign in "<>" else number,
        std=None if std is None else float(std),
        repeats=fields.get("repeats"),
        low=number if sign == ">" else None,
        high=number if sign == "<" else None,
        interval="bound, as printed" if sign in "<>" else "",
        n=fields.get("n"),
        n_failed=None,
        reference=fields.get("reference", ""),
        source=source,
        verified=fields["verified"],
        note=fields.get("note", ""),
        suspect="",
        run="",
        printed=printed,
        printed_std=std or "",
        printed_name=fields.get("printed_name", ""),
        ranked=fields["kind"] != "chance",
    )


def read_measured(folder: Path) -> list[Row]:
    """Read what avbench measured.

    Parameters
    ----------
    folder
        A leaderboards folder; the runs are in its ``measured/*/``.

    Returns
    -------
    list of Row
        Ordered by run folder, then as in its ``scores.jsonl``; proportions are in percent.

    Raises
    ------
    DataError
        If a run is damaged or half there.
    """
    paths = sorted((folder / "measured").glob("*/scores.jsonl"))
    return arithmetic.mark([row for path in paths for row in rows_of_run(path.parent)])


def rows_of_run(folder: Path) -> list[Row]:
    """Read the rows of one run.

    Parameters
    ----------
    folder
        Holds ``scores.jsonl`` and ``run.json``.

    Raises
    ------
    DataError
        If one of them is damaged or missing.
    """
    try:
        card = json.loads((folder / "run.json").read_text("utf-8"))
        lines = (folder / "scores.jsonl").read_text("utf-8").splitlines()
        return [_measured(json.loads(line), card, folder.name) for line in lines]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{folder} holds damaged results ({error!r}); copy them from the run again"
        ) from error


def _measured(score: Mapping[str, JSON], card: Mapping[str, JSON], name: str) -> Row:
    metric = score["metric"]
    unit = unit_of(metric)
    scale = 100 if unit == "percent" else 1
    method = card.get("methods", {}).get(score["method"], {})
    sees_truth = bool(method.get("sees_truth"))

    def scaled(field: str) -> float | None:
        value = score.get(field)
        return None if value is None else scale * value

    return Row(
        kind=MEASURED,
        method=score["method"],
        dataset=score["dataset"],
        split=score.get("split") or "",
        protocol=score["protocol"],
        version=score["task_version"],
        window=score["window"] or None,
        condition=str(card.get("condition") or ""),
        metric=metric,
        unit=unit,
        value=scaled("value"),
        std=scaled("std"),
        repeats=score["repeats"],
        low=scaled("low"),
        high=scaled("high"),
        interval=score.get("interval") or "",
        n=score["n"],
        n_failed=score["n_failed"],
        reference=score.get("reference") or "",
        source=f"measured/{name}",
        verified="",
        note=_remarks(score, card, sees_truth),
        suspect="",
        # Before rows named their run, they held a copy of its block.
        run=score["run"] if isinstance(score.get("run"), str) else run_id(card),
        drawn=bool(card.get("synthetic")),
        ranked=not sees_truth and score["method"] != "constant",
        questions=str(card.get("questions_sha256") or "")[:12],
    )


def _remarks(score: Mapping[str, JSON], card: Mapping[str, JSON], sees_truth: bool) -> str:
    """Say what has to be known of a measured number beside itself."""
    said = ["shown the truth"] if sees_truth else []
    said += ["measured with uncommitted changes"] if card.get("commit_changed") else []
    said += [f"only the first {card['limit']} clips"] if card.get("limit") else []
    said += [score["caution"]] if score.get("caution") else []
    return "; ".join(said)


def unit_of(metric: str) -> str:
    """Return the unit that a metric of avbench has in a `Row`.

    >>> unit_of("accuracy@1"), unit_of("mean_absolute_error"), unit_of("auroc")
    ('percent', 'frames', 'fraction')
    """
    try:
        unit = lookup(metric).unit
    except UnknownName:
        return ""
    plain = metric in _PLAIN or metric.endswith("_correlation")
    return "percent" if unit == "fraction" and not plain else unit
