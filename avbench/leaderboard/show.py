"""Reported beside measured: selecting rows and laying them out.

Rows that could be ranked with each other but for their window length and metric share a table;
nothing is ever ranked across tables. A number that cannot be right carries a dagger and its
reason, and has no rank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from avbench.data import JSON
from avbench.errors import UnknownName, UsageError
from avbench.labels import label
from avbench.leaderboard.rows import MEASURED, Row, read_measured, read_reported
from avbench.tables.model import Block, Cell, Table

if TYPE_CHECKING:
    import pandas as pd

FILTERS = ("protocol", "dataset", "metric", "method", "window", "kind")
NEVER_ACROSS = (
    "Tables are never ranked against each other: window, data and protocol move a number more "
    "than the method does."
)
DRAWN = "Measured on drawn faces: never to be compared with recordings."
WHOLE = "value"
"""Column of the numbers that know no window length."""


def read(folder: Path) -> list[Row]:
    """Read a leaderboards folder, the reported rows first.

    Raises
    ------
    UsageError
        If there is no such folder, or nothing in it.
    DataError
        If a file in it is damaged.
    """
    if not folder.is_dir():
        raise UsageError(
            f"there is no leaderboards folder at {folder}: it belongs to a checkout of avbench, "
            "not to the installed package; name one with --folder"
        )
    rows = read_reported(folder) + read_measured(folder)
    if not rows:
        raise UsageError(f"{folder} holds neither reported/*.json nor measured/*/scores.jsonl")
    return rows


def select(rows: Iterable[Row], wanted: Mapping[str, Sequence[str]]) -> list[Row]:
    """Return the rows that match every filter.

    Parameters
    ----------
    rows
        To choose from.
    wanted
        Any of `FILTERS`, each with names or shell patterns of which one must match; an empty
        list matches everything. The kind ``reported`` stands for all that is not measured.

    Raises
    ------
    UnknownName
        If a name matches no row at all.
    UsageError
        If the filters match rows one by one, but none matches all of them.
    """
    known = list(rows)
    chosen = known
    for name, patterns in wanted.items():
        values = {row: _values(row, name) for row in known}
        everything = {value for found in values.values() for value in found}
        for pattern in patterns:
            if not any(fnmatchcase(value, pattern) for value in everything):
                raise UnknownName(name, pattern, everything)
        if patterns:
            chosen = [
                row
                for row in chosen
                if any(fnmatchcase(value, p) for value in values[row] for p in patterns)
            ]
    if not chosen:
        asked = ", ".join(f"{name} {' or '.join(found)}" for name, found in wanted.items() if found)
        raise UsageError(f"no row has all of {asked}; leave one of them out")
    return chosen


def _values(row: Row, name: str) -> tuple[str, ...]:
    if name == "kind" and row.kind != MEASURED:
        return row.kind, "reported"
    return (str(getattr(row, name)),)


def families(rows: Iterable[Row]) -> list[list[Row]]:
    """Share rows out to tables: those that differ in no more than method, metric and window.

    Returns
    -------
    list of list of Row
        By protocol and data set, reported before measured.
    """
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        data = (row.protocol, row.drawn, row.dataset, row.split, row.condition)
        found.setdefault((*data, row.kind == MEASURED, row.version or 0), []).append(row)
    return [found[key] for key in sorted(found, key=lambda key: tuple(map(str, key)))]


def tables(rows: Iterable[Row], beside: str = "interval") -> list[Table]:
    """Lay rows out for reading.

    Parameters
    ----------
    rows
        As selected.
    beside
        What stands beside a number: ``interval`` (95 %, the spread over repeats where there is
        none), ``repeats`` (that spread) or ``none``.

    Returns
    -------
    list of Table
        One for each of `families`, with a block for each metric and a column for each window.
    """
    return [_table(family, beside) for family in families(rows)]


def _table(family: Sequence[Row], beside: str) -> Table:
    windows = sorted({row.window for row in family if row.window is not None})
    columns: list[int | str] = [*windows]
    columns += [WHOLE] if any(row.window is None for row in family) else []
    several = len({row.source for row in family}) > 1
    blocks = []
    for metric, reference in sorted({(row.metric, row.reference) for row in family}):
        lines: dict[str, dict[int | str, Cell]] = {}
        for row in family:
            if (row.metric, row.reference) == (metric, reference):
                name = _name(row, several)
                lines.setdefault(name, {})[row.window or WHOLE] = _cell(row, beside)
        against = f", against {reference}" if reference else ""
        body = tuple((name, tuple(map(lines[name].get, columns))) for name in sorted(lines))
        blocks.append(Block(f"{_title(metric, family)}{against}", body))
    notes = [DRAWN] if family[0].drawn else []
    corner = "frames" if windows else ""
    return Table(_caption(family), tuple(columns), tuple(blocks), (*notes, *doubts(family)), corner)


def _title(metric: str, family: Sequence[Row]) -> str:
    """Name a metric with the unit that these rows have, which need not be avbench's own."""
    unit = next(row.unit for row in family if row.metric == metric)
    name = label(metric).title
    name = name[0].upper() + name[1:]
    if not name.endswith(")") and "(%)" in name:
        return name
    name = name.rpartition(" (")[0] if name.endswith(")") else name
    shown = {"percent": "%", "distance": ""}.get(unit, unit)
    return f"{name} ({shown})" if shown else name


def _caption(family: Sequence[Row]) -> str:
    first = family[0]
    sources = sorted({row.source for row in family})
    version = "" if first.version is None else f" v{first.version}"
    what = "Measured" if first.kind == MEASURED else "Reported"
    data = ", ".join(filter(None, (f"{first.dataset} {first.split}".strip(), first.condition)))
    return f"{what}: {first.protocol}{version}, {data} ({'; '.join(sources)})"


def _name(row: Row, several: bool) -> str:
    """Say whose number it is; where it comes from too, where sources are mixed."""
    extra = [row.printed_name] if row.printed_name.lower() not in ("", row.method) else []
    extra += [row.kind] if row.kind in ("derived", "chance", "third-party") else []
    extra += [row.source] if several else []
    return f"{row.method} ({', '.join(extra)})" if extra else row.method


def _cell(row: Row, beside: str) -> Cell:
    value, bound = row.value, ""
    if value is None:
        bound, value = (">", row.low) if row.low is not None else ("<", row.high)
    digits = len(row.printed.partition(".")[2]) if row.printed else label(row.metric).digits
    interval = beside == "interval" and not bound
    return Cell(
        mean=math.nan if value is None else value,
        std=None if beside == "none" else row.std,
        low=row.low if interval else None,
        high=row.high if interval else None,
        digits=digits,
        bound=bound,
        doubt=bool(row.suspect),
    )


def doubts(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return, for each reason why rows cannot be right, a sentence that names them and it."""
    where: dict[str, list[str]] = {}
    for row in rows:
        if row.suspect:
            window = f" at {row.window} frames" if row.window else ""
            where.setdefault(row.suspect, []).append(f"{row.method}, {row.metric}{window}")
    return tuple(f"† {'; '.join(dict.fromkeys(n))}: {why}." for why, n in where.items())


def ranking(rows: Sequence[Row], found: Sequence[int | None], how: str, beside: str) -> Table:
    """Lay comparable rows out by rank (`avbench.leaderboard.ranking`), those without one last."""
    order = sorted(
        zip(rows, found, strict=True),
        key=lambda pair: (pair[1] is None, pair[1] or 0, pair[0].method, pair[0].source),
    )
    several = len({row.source for row in rows}) > 1
    body = tuple(
        (
            _name(row, several),
            (None if rank is None else Cell(rank, digits=0), _cell(row, beside)),
        )
        for row, rank in order
    )
    window = rows[0].window or WHOLE
    notes = [DRAWN] if rows[0].drawn else []
    notes += [how, *doubts(rows)]
    block = Block(_title(rows[0].metric, rows), body)
    corner = "frames" if rows[0].window else ""
    return Table(_caption(rows), ("rank", window), (block,), tuple(notes), corner)


def frame(rows: Sequence[Row], found: Sequence[int | None] | None = None) -> pd.DataFrame:
    """Return rows as a data frame, one number each.

    Parameters
    ----------
    rows
        As selected.
    found
        Their ranks, where they were ranked.

    Returns
    -------
    DataFrame
        ``table`` (whatever shares it may be compared, window by window and metric by metric),
        a column for every field of `Row`, and ``rank`` where ranked.
    """
    import pandas as pd

    numbers = {id(row): n for n, family in enumerate(families(rows), 1) for row in family}
    names = [field.name for field in fields(Row)]
    data = pd.DataFrame([asdict(row) for row in rows], columns=names)
    for name in ("version", "window", "repeats", "n", "n_failed"):
        data[name] = data[name].astype("Int64")
    for name in ("value", "std", "low", "high"):
        data[name] = data[name].astype("Float64")
    data.insert(0, "table", [numbers[id(row)] for row in rows])
    return data if found is None else data.assign(rank=pd.array(list(found), dtype="Int64"))


def to_json(rows: Sequence[Row], found: Sequence[int | None] | None = None) -> str:
    """Return rows as a JSON list of objects with the fields of `Row`, and ``rank`` if ranked."""
    content: list[dict[str, JSON]] = [asdict(row) for row in rows]
    if found is not None:
        content = [row | {"rank": rank} for row, rank in zip(content, found, strict=True)]
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
