"""Reported beside measured: blocks that share their columns and are never ranked together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from avbench.errors import DataError
from avbench.labels import label as label_of
from avbench.leaderboard.rows import MEASURED, Row, comparable
from avbench.tables.build import Shown
from avbench.tables.model import Block, Cell, Table

NEVER_RANKED = (
    "No number is marked as best: reported and measured numbers are never ranked together, nor "
    "are numbers of different data or protocols."
)
DRAWN = (
    "Numbers on drawn faces are never to be compared with numbers on LRS2 or any other recordings."
)
WHOLE_CLIP = "clip"
"""Column of the numbers that know no window length."""


def beside_table(
    rows: Iterable[Row],
    *,
    metrics: Sequence[str] = ("accuracy@0", "accuracy@1"),
    shown: Shown = "repeats",
    caption: str = "",
) -> Table:
    """Arrange reported and measured numbers as one table.

    Parameters
    ----------
    rows
        As from `avbench.leaderboard.rows`; those of chance are left out.
    metrics
        Those to show, in order; error reductions stand in brackets beside their accuracy.
    shown
        What stands beside a measured number; a reported one keeps what its source prints.
    caption
        Printed above.

    Returns
    -------
    Table
        One block for each set of rows that may be compared, the reported first; its title says
        who reports it, on which data and under which protocol. Numbers are given as their source
        prints them, a dagger marks those that cannot be right.

    Raises
    ------
    DataError
        If there is nothing to show.
    """
    everything = [row for row in rows if row.kind != "chance"]
    chosen = [
        row
        for row in everything
        if row.metric in metrics and not (row.value is None and not row.interval)
    ]
    if not chosen:
        raise DataError(f"there are no rows of {', '.join(metrics)} to show")
    gains = {_key(row): row for row in everything if row.metric.startswith("rer@")}
    columns = tuple(sorted({row.window for row in chosen if row.window is not None}))
    every: tuple[int | str, ...] = columns
    every += (WHOLE_CLIP,) if any(row.window is None for row in chosen) else ()
    groups = sorted(groups_of(chosen), key=lambda group: _place(group[0], metrics))
    blocks = [Block(title(group[0]), _lines(group, every, gains, shown)) for group in groups]
    notes = [NEVER_RANKED]
    notes += [DRAWN] if any(row.drawn for row in chosen) else []
    notes += _doubts(chosen, gains)
    return Table(caption, every, tuple(blocks), tuple(notes))


def groups_of(rows: Iterable[Row]) -> list[list[Row]]:
    """Share rows out to groups whose members differ only in method and window length.

    Two rows are in one group if, at one window length, they could be ranked together, and if
    the same source reports them.
    """
    groups: list[list[Row]] = []
    for row in rows:
        for group in groups:
            first = group[0]
            same = comparable(replace(row, window=first.window), first) == ""
            if same and _kin(row) == _kin(first):
                group.append(row)
                break
        else:
            groups.append([row])
    return groups


def title(row: Row) -> str:
    """Say in one line whose numbers these are, of what and under which protocol."""
    version = "" if row.version is None else f" v{row.version}"
    data = " ".join(filter(None, (row.dataset, row.split)))
    faces = " (drawn faces)" if row.drawn else ""
    condition = f", {row.condition}" if row.condition else ""
    what = "Measured" if row.kind == MEASURED else f"Reported by {row.source}"
    what = f"Derived by {row.source}" if row.kind == "derived" else what
    return f"{what}: {data}{faces}, {row.protocol}{version}{condition}. {metric_title(row)}"


def metric_title(row: Row) -> str:
    """Name the metric of a row with the unit that the row has; papers choose their own."""
    text = label_of(row.metric).title
    unit = {"percent": "%", "fraction": ""}.get(row.unit, row.unit)
    own = re.search(r" \(([^()]*)\)", text)
    if own is None:
        return f"{text} ({unit})" if unit else text
    return text.replace(own.group(), f" ({unit})" if unit else "", 1)


def _kin(row: Row) -> tuple[str, str]:
    return row.source, row.kind


def _place(row: Row, metrics: Sequence[str]) -> tuple[object, ...]:
    return (
        list(metrics).index(row.metric),
        row.kind == MEASURED,
        row.protocol,
        row.dataset,
        row.split,
        row.source,
        row.condition,
    )


def _key(row: Row) -> tuple[object, ...]:
    tolerance = row.metric.partition("@")[2]
    shared = (row.method, row.dataset, row.split, row.protocol, row.version, row.window)
    return (*shared, row.condition, *_kin(row), tolerance)


def _lines(
    group: Sequence[Row],
    columns: Sequence[int | str],
    gains: dict[tuple[object, ...], Row],
    shown: Shown,
) -> tuple[tuple[str, tuple[Cell | None, ...]], ...]:
    """Return one line a method, the weakest first."""
    lines = []
    by_name = sorted(group, key=_name)
    for name, found in groupby(by_name, key=_name):
        cells = {r.window or WHOLE_CLIP: _cell(r, gains.get(_key(r)), shown) for r in found}
        lines.append((name, tuple(cells.get(column) for column in columns)))
    sign = 1 if label_of(group[0].metric).higher_is_better else -1

    def strength(line: tuple[str, tuple[Cell | None, ...]]) -> float:
        means = [cell.mean for cell in line[1] if cell]
        return sign * sum(means) / len(means)

    return tuple(sorted(lines, key=strength))


def _name(row: Row) -> str:
    printed = row.printed_name
    known = printed and printed.lower() != row.method
    return f"{row.method} ({printed})" if known else row.method


def _cell(row: Row, gain: Row | None, shown: Shown) -> Cell:
    how = label_of(row.metric)
    bound, value = "", row.value
    if value is None:
        bound, value = (">", row.low) if row.low is not None else ("<", row.high)
    ours = row.kind == MEASURED
    spread = shown == "repeats" and (row.repeats or 0) > 1 if ours else row.std is not None
    within = ours and shown == "interval"
    return Cell(
        mean=value or 0.0,
        std=row.std if spread else None,
        rer=None if gain is None else gain.value,
        low=row.low if within else None,
        high=row.high if within else None,
        digits=_decimals(row.printed) if row.printed else how.digits,
        bound=bound,
        rer_digits=_decimals(gain.printed) if gain is not None and gain.printed else 2,
        doubt=bool(row.suspect or (gain is not None and gain.suspect)),
    )


def _decimals(printed: str) -> int:
    """Count the decimals of a number as printed.

    >>> _decimals("45.17"), _decimals(">90"), _decimals("98.0")
    (2, 0, 1)
    """
    return len(printed.partition(".")[2])


def _doubts(rows: Sequence[Row], gains: dict[tuple[object, ...], Row]) -> list[str]:
    """Say under the table why numbers cannot be right."""
    notes = []
    for row in rows:
        for doubtful in (row, gains.get(_key(row))):
            if doubtful is not None and doubtful.suspect:
                where = f", {row.window} frames" if row.window else ""
                notes.append(f"† {row.method}{where}: {doubtful.suspect}")
    return list(dict.fromkeys(notes))
