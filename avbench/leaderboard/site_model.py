"""What the pages of the leaderboard site say, as plain data: no HTML and no files here.

Rows of one protocol, version, data set and split make a `Board`; those of one metric in it a
`Section`, which is what may be compared; a method in it is a `Line`, and a number a `Value`.
Measured and reported numbers stand beside each other and never in one column.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor, log10

from avbench.data import JSON
from avbench.leaderboard.rows import MEASURED, Row
from avbench.leaderboard.site_words import (
    is_protocol,
    lower_is_better,
    metric_order,
    number,
    value_words,
)


@dataclass(frozen=True)
class Rank:
    """A place among the methods of one run, one metric and one window length."""

    place: int
    shared: bool
    """Whether others stand there too, because the difference may be chance."""

    def text(self) -> str:
        """Return the place, marked where shared.

        >>> Rank(2, shared=True).text(), Rank(1, shared=False).text()
        ('=2', '1')
        """
        return f"={self.place}" if self.shared else str(self.place)


Places = Mapping[tuple[str, str, int | None, str], Rank]
"""(source, metric, window, method) -> rank, from the comparisons of each run."""


@dataclass(frozen=True)
class Bar:
    """A 95 % interval on the scale of its section, in percent of the scale's length."""

    start: float
    end: float
    middle: float


@dataclass(frozen=True)
class Value:
    """One number as it is shown."""

    row: Row
    text: str
    spread: str
    rank: Rank | None
    bar: Bar | None
    mark: int
    """Number of its entry in the sources and notes of the board; 0 for none."""
    words: str
    """All that is known about it, as one sentence for hovering and for screen readers."""


@dataclass(frozen=True)
class Line:
    """The numbers of one method, as they were measured in one run and as sources report them."""

    method: str
    condition: str
    run: str
    """Id of the run that measured it; empty where nobody did."""
    source: str
    frame: str
    """Why it only frames the table; empty for a method that may be ranked."""
    kinds: tuple[str, ...]
    cells: tuple[tuple[Value, ...], ...]
    """One per column of the section; the values there, mostly one or none."""


@dataclass(frozen=True)
class Column:
    """One window length of one side of a section."""

    side: str
    """``measured`` or ``reported``."""
    window: int | None

    @property
    def label(self) -> str:
        """Heading of the column."""
        return "none given" if self.window is None else str(self.window)


@dataclass(frozen=True)
class Section:
    """One group of comparable numbers: a metric of a board."""

    metric: str
    unit: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    scale: tuple[float, float] | None
    """Ends of the bars' common scale; None where no number has an interval."""
    references: tuple[str, ...]
    """Methods that error reductions are relative to."""

    def methods(self, side: str) -> int:
        """Count the methods of a side."""
        wanted = [i for i, column in enumerate(self.columns) if column.side == side]
        return len({line.method for line in self.lines if any(line.cells[i] for i in wanted)})

    def rows(self) -> list[Row]:
        """Return every row in the order shown."""
        return [value.row for line in self.lines for cell in line.cells for value in cell]


@dataclass(frozen=True)
class Note:
    """Where numbers come from and what is to be said about them."""

    kind: str
    source: str
    verified: str
    note: str
    suspect: str


@dataclass(frozen=True)
class Board:
    """All that was asked under one protocol of one split of one data set."""

    protocol: str
    version: int | None
    """None where nothing was measured."""
    dataset: str
    split: str
    drawn: bool
    slug: str
    sections: tuple[Section, ...]
    notes: tuple[Note, ...]

    def rows(self) -> list[Row]:
        """Return every row in the order shown."""
        return [row for section in self.sections for row in section.rows()]


_Key = tuple[str, int | None, str, str, bool]


def boards(rows: Iterable[Row], places: Places) -> list[Board]:
    """Arrange rows as boards.

    Parameters
    ----------
    rows
        Measured and reported, in any order; reported ones keep theirs.
    places
        Ranks of the measured ones.

    Returns
    -------
    list of Board
        Protocols that avbench knows first, then by name; measured boards first, then by data set,
        split and version. Reported rows stand on the board of the newest version that was
        measured, or on one of their own.
    """
    groups: dict[_Key, list[Row]] = {}
    everything = list(rows)
    newest: dict[tuple[str, str, str, bool], int] = {}
    for row in everything:
        if row.version is not None:
            place = (row.protocol, row.dataset, row.split, row.drawn)
            newest[place] = max(newest.get(place, 0), row.version)
    for row in everything:
        place = (row.protocol, row.dataset, row.split, row.drawn)
        version = newest.get(place) if row.version is None else row.version
        groups.setdefault((row.protocol, version, *place[1:]), []).append(row)
    order = sorted(groups, key=_order)
    slugs = _slugs(order)
    return [_board(key, groups[key], slugs[key], places) for key in order]


def _order(key: _Key) -> tuple[JSON, ...]:
    protocol, version, dataset, split, drawn = key
    known = is_protocol(protocol)
    return not known, protocol, version is None, dataset, split, drawn, -(version or 0)


def slug(text: str) -> str:
    """Return a text as a file name that is safe everywhere.

    >>> slug("Kim strict/5 <b>")
    'kim-strict-5-b'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80] or "unnamed"


def _slugs(keys: Sequence[_Key]) -> dict[_Key, str]:
    """Name the boards; those whose names fall together get a hash of their own."""
    plain = {}
    for key in keys:
        protocol, version, dataset, split, drawn = key
        parts = [protocol, "" if version is None else f"v{version}", dataset, split]
        plain[key] = slug(" ".join([*parts, "drawn" if drawn else ""]))
    count = Counter(plain.values())
    return {
        key: name
        if count[name] == 1
        else f"{name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:6]}"
        for key, name in plain.items()
    }


def _board(key: _Key, rows: Sequence[Row], name: str, places: Places) -> Board:
    metrics: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        metrics.setdefault((row.metric, row.unit), []).append(row)
    order = sorted(metrics, key=lambda m: (metric_order(m[0]), m))
    lines = [_Sectioner(metrics[m], places, {}) for m in order]
    # Sources are numbered as the eye meets them, which is known once the lines are in order.
    shown = [row for each in lines for row in each.section().rows() if _is_noted(row)]
    marks = {note: i for i, note in enumerate(dict.fromkeys(map(_note, shown)), start=1)}
    sections = tuple(replace(each, marks=marks).section() for each in lines)
    return Board(*key, slug=name, sections=sections, notes=tuple(marks))


def _is_noted(row: Row) -> bool:
    """Say whether a number needs an entry: where it is reported, or cannot be right."""
    return row.kind != MEASURED or bool(row.suspect)


def _note(row: Row) -> Note:
    return Note(row.kind, row.source, row.verified, row.note, row.suspect)


@dataclass(frozen=True)
class _Sectioner:
    """Turns the rows of one metric into a section."""

    rows: Sequence[Row]
    places: Places
    marks: Mapping[Note, int]

    @cached_property
    def spanned(self) -> list[Row]:
        """Rows whose intervals are drawn; what only frames a table would press the others flat."""
        found = [row for row in self.rows if has_interval(row)]
        return [row for row in found if row.ranked] or found

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        return _scale(self.spanned)

    def section(self) -> Section:
        sides = {(row.kind == MEASURED, row.window) for row in self.rows}
        order = sorted(sides, key=lambda s: (not s[0], s[1] is None, s[1] or 0))
        columns = tuple(Column("measured" if mine else "reported", w) for mine, w in order)
        lines = [self._line(rows, columns) for rows in self._grouped()]
        references = dict.fromkeys(row.reference for row in self.rows if row.reference)
        first = self.rows[0]
        return Section(
            first.metric, first.unit, columns, tuple(lines), self.scale, tuple(references)
        )

    def _grouped(self) -> list[list[Row]]:
        """Return the rows of each line: measured ones first; in both the best first."""
        lines: dict[tuple[str, str, str, str], list[Row]] = {}
        beside: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            if row.kind == MEASURED:
                key = (row.method, row.condition, row.source, row.run)
                lines.setdefault(key, []).append(row)
                beside.setdefault(key[:2], lines[key])
        ordered = sorted(lines.values(), key=self._strength)
        others: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            if row.kind != MEASURED:
                name = (row.method, row.condition)
                (beside.get(name) or others.setdefault(name, [])).append(row)
        return ordered + sorted(others.values(), key=self._strength)

    def _strength(self, rows: Sequence[Row]) -> tuple[bool, float, float, str]:
        longest = max(rows, key=lambda r: -1 if r.window is None else r.window)
        rank = self._rank(longest)
        value = float("-inf") if longest.value is None else longest.value
        signed = value if lower_is_better(longest.metric) else -value
        place = float("inf") if rank is None else rank.place
        return not longest.ranked, place, signed, longest.method

    def _rank(self, row: Row) -> Rank | None:
        key = (row.source, row.metric, row.window, row.method)
        return self.places.get(key) if row.kind == MEASURED and row.ranked else None

    def _line(self, rows: Sequence[Row], columns: Sequence[Column]) -> Line:
        cells: list[list[Value]] = [[] for _ in columns]
        where = {(column.side, column.window): i for i, column in enumerate(columns)}
        for row in rows:
            side = "measured" if row.kind == MEASURED else "reported"
            cells[where[side, row.window]].append(self._value(row))
        first = rows[0]
        return Line(
            method=first.method,
            condition=first.condition,
            run=first.run,
            source=first.source if first.kind == MEASURED else "",
            frame=_frame(rows),
            kinds=tuple(dict.fromkeys(row.kind for row in rows)),
            cells=tuple(map(tuple, cells)),
        )

    def _value(self, row: Row) -> Value:
        rank = self._rank(row)
        return Value(
            row=row,
            text=row.printed or number(row.value, row.unit),
            spread=row.printed_std or ("" if row.std is None else number(row.std, row.unit)),
            rank=rank,
            bar=_bar(row, self.scale) if row in self.spanned else None,
            mark=self.marks.get(_note(row), 0) if _is_noted(row) else 0,
            words=value_words(row, rank.text() if rank else ""),
        )


def _frame(rows: Sequence[Row]) -> str:
    if all(row.ranked for row in rows):
        return ""
    if all(row.kind == "chance" for row in rows):
        return "chance"
    return next((row.note for row in rows if row.note and row.kind == MEASURED), "not ranked")


def has_interval(row: Row) -> bool:
    """Say whether a row carries a 95 % interval with both ends."""
    return row.low is not None and row.high is not None and row.value is not None


def _scale(rows: Iterable[Row]) -> tuple[float, float] | None:
    """Return round ends that hold every interval, or None where there is none."""
    known = list(rows)
    if not known:
        return None
    low = min(min(row.low or 0.0, row.value or 0.0) for row in known)
    high = max(max(row.high or 0.0, row.value or 0.0) for row in known)
    step = 10.0 ** floor(log10(high - low)) if high > low else 1.0
    return step * floor(low / step), step * ceil(high / step) if high > low else low + step


def _bar(row: Row, scale: tuple[float, float] | None) -> Bar | None:
    if scale is None:
        return None
    start, end = scale

    def at(value: float | None) -> float:
        return round(100 * ((value or 0.0) - start) / (end - start), 2)

    return Bar(at(row.low), at(row.high), at(row.value))
