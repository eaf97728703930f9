"""Which split a file is in: drawn by shares, told by its date, or read from a list.

A list makes a benchmark that anyone with the recordings can build again. It is a CSV with the
columns ``file`` and ``split``, and where wanted ``speaker`` (clips of one speaker are not
independent, and statistics must know), ``date`` and ``sha256`` (so that a name means the same
bytes everywhere). Files that are not in it stay out. A list without splits tells the dates and
speakers of files whose names do not.

References
----------
``bbc2016``: the dates of Chung and Zisserman, "Out of time: automated lip sync in the wild"
(2016), Table 1.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, Protocol

from avbench import dates
from avbench.data import JSON
from avbench.errors import DataError, UsageError

from .units import Source

SPLITS = ("train", "val", "test")
GroupBy = Literal["video", "folder", "speaker"]
PERIODS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "bbc2016": {
        "train": ("2013-07-01", "2015-08-31"),
        "val": ("2015-09-01", "2015-12-31"),
        "test": ("2016-01-01", "2016-05-31"),
    }
}
"""Named divisions in time: split -> first and last day."""
NOT_LISTED = "not in the split list"


@dataclass(frozen=True)
class Listed:
    """One row of a list."""

    file: str
    """Path, or the end of one, with ``/``."""
    split: str = ""
    speaker: str = ""
    date: str = ""
    """ISO."""
    sha256: str = ""

    def names(self, source: Source) -> bool:
        """Return whether a source's path ends in this one."""
        parts = PurePosixPath(self.file).parts
        return PurePosixPath(source.root, source.relative).parts[-len(parts) :] == parts


_COLUMNS = tuple(Listed.__dataclass_fields__)


@dataclass(frozen=True)
class FileList:
    """The rows of a list by the name of their file."""

    name: str
    sha256: str
    """Of the list itself."""
    rows: Mapping[str, Sequence[Listed]] = field(repr=False)

    def find(self, source: Source) -> Listed | None:
        """Return the row that names a source, or None; the longest path wins."""
        named = PurePosixPath(source.relative).name
        found = [row for row in self.rows.get(named, ()) if row.names(source)]
        return max(found, key=lambda row: len(row.file), default=None)


def read_list(path: Path, *, with_splits: bool = True) -> FileList:
    """Read what a table says of files: splits, and where wanted dates and speakers.

    Raises
    ------
    UsageError
        If there is no such file, or it lacks a column.
    DataError
        If a row names no file, an unknown split or no clear date, or a file is listed twice.
    """
    needed = ("file", "split") if with_splits else ("file",)
    data, entries = _read_table(path, needed, "may have speaker, date and sha256")
    rows: dict[str, list[Listed]] = {}
    for number, entry in entries:
        row = Listed(**{name: entry.get(name, "") for name in _COLUMNS})
        same = rows.setdefault(PurePosixPath(row.file).name, [])
        if not row.file or (with_splits and row.split not in SPLITS):
            raise DataError(
                f"{path}, line {number}: got file '{row.file}' in split '{row.split}', expected a "
                f"file in one of {', '.join(SPLITS)}"
            )
        if any(other.file == row.file for other in same):
            raise DataError(f"{path}, line {number}: {row.file} is listed twice")
        if row.date:
            row = Listed(**{**vars(row), "date": _day(row.date, path, number)})
        same.append(row)
    return FileList(path.name, hashlib.sha256(data).hexdigest(), rows)


def _read_table(
    path: Path, needed: Sequence[str], further: str = ""
) -> tuple[bytes, list[tuple[int, dict[str, str]]]]:
    """Return the bytes of a CSV and its rows with the numbers of their lines."""
    try:
        data = path.read_bytes()
        reader = csv.DictReader(data.decode("utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the table {path} cannot be read: {error}") from None
    if missing := sorted(set(needed) - set(reader.fieldnames or ())):
        raise UsageError(
            f"the table {path} has no column {' and no column '.join(missing)}; it needs "
            f"{' and '.join(needed)}{', and ' if further else ''}{further}"
        )
    rows = [
        {name: (value or "").strip() for name, value in entry.items() if isinstance(name, str)}
        for entry in reader
    ]
    return data, list(enumerate(rows, 2))


def _day(text: str, path: Path, line: int) -> str:
    date = dates.parse(text)
    if date is None:
        raise DataError(
            f"{path}, line {line}: got date '{text}', expected one that can be read in one way "
            "only, such as 2016-01-31"
        )
    return date


class Place(NamedTuple):
    """Where a file belongs, or why nowhere; and who speaks when, where that is known."""

    split: str
    objection: str = ""
    """Why it stays out; empty where it has a split."""
    speaker: str = ""
    date: str = ""


class Rule(Protocol):
    """A way to divide files into splits."""

    def place(self, source: Source) -> Place:
        """Return where a file belongs."""
        ...

    def recipe(self) -> dict[str, JSON]:
        """Return everything that the division depends on."""
        ...


@dataclass(frozen=True)
class ByList:
    """As a list says; what it does not name stays out."""

    listed: FileList

    def place(self, source: Source) -> Place:
        """Return where the list puts a file, if it means these bytes."""
        row = self.listed.find(source)
        if row is None:
            return Place("", NOT_LISTED)
        if row.sha256 and row.sha256 != source.sha256:
            return Place("", "the split list names other bytes of this name")
        return Place(row.split, "", row.speaker, row.date)

    def recipe(self) -> dict[str, JSON]:
        """Return the name of the list and its hash."""
        return {"shares": self.listed.name, "by": "list", "sha256": self.listed.sha256}


@dataclass(frozen=True)
class ByShares:
    """Drawn from a hash of the seed and of what stays together."""

    text: str
    """As given: ``80/10/10``, or one split for everything."""
    by: GroupBy
    seed: int
    about: FileList | None = None

    def place(self, source: Source) -> Place:
        """Return the split of a file's group."""
        row = _facts(self.about, source)
        group = source.video_id
        if self.by == "folder":
            group = f"{source.root}/{source.relative}".rpartition("/")[0]
        elif self.by == "speaker":
            if not row.speaker:
                listed = "no table was given" if self.about is None else f"not in {self.about.name}"
                return Place(
                    "", f"its speaker is not known ({listed}); name the speaker with --about", "",
                    row.date,
                )  # fmt: skip
            group = row.speaker
        split = split_of(self.seed, group, parse_split(self.text))
        return Place(split, "", row.speaker, row.date)

    def recipe(self) -> dict[str, JSON]:
        """Return the shares, the group and the seed."""
        drawn = {"shares": self.text, "by": self.by, "seed": self.seed}
        return {**drawn, **_recipe(self.about)}


@dataclass(frozen=True)
class ByDate:
    """By the day of the recording, so that no programme is in two splits."""

    name: str
    periods: Mapping[str, tuple[str, str]]
    """Split -> first and last day, ISO."""
    about: FileList | None = None

    def place(self, source: Source) -> Place:
        """Return the split of a file's day: as the table says, else as its name does."""
        row = _facts(self.about, source)
        found = [row.date] if row.date else dates.readings_of_path(source.relative)
        if len(found) != 1:
            doubt = f"its name may mean {' or '.join(found)}" if found else "its name tells no date"
            return Place(
                "", f"{doubt}; give the date with --about, or in the name as in 20160131_news.mp4",
                row.speaker,
            )  # fmt: skip
        (date,) = found
        for split, (first, last) in self.periods.items():
            if first <= date <= last:
                return Place(split, "", row.speaker, date)
        return Place("", f"recorded on {date}, in no period of {self.name}", row.speaker, date)

    def recipe(self) -> dict[str, JSON]:
        """Return the periods."""
        spans = {split: list(span) for split, span in self.periods.items()}
        return {"shares": self.name, "by": "date", "periods": spans, **_recipe(self.about)}


def _facts(about: FileList | None, source: Source) -> Listed:
    row = about.find(source) if about else None
    return row or Listed(source.relative)


def _recipe(about: FileList | None) -> dict[str, JSON]:
    return {"about": about.name, "about_sha256": about.sha256} if about else {}


def read_periods(text: str) -> ByDate:
    """Return a named division in time, or one from a CSV with the columns split, first and last.

    Raises
    ------
    UsageError
        If there is no division of that name, and no such table.
    DataError
        If a row names an unknown split or no clear days, or two periods share a day.
    """
    if text in PERIODS:
        return ByDate(text, PERIODS[text])
    path = Path(text)
    if path.suffix.lower() != ".csv":
        raise UsageError(
            f"got --split-dates '{text}', expected {' or '.join(PERIODS)}, or a CSV with the "
            "columns split, first and last"
        )
    periods: dict[str, tuple[str, str]] = {}
    for number, entry in _read_table(path, ("split", "first", "last"))[1]:
        span = (_day(entry["first"], path, number), _day(entry["last"], path, number))
        split = entry["split"]
        if split not in SPLITS or split in periods or span[0] > span[1]:
            raise DataError(
                f"{path}, line {number}: got split '{split}' from {span[0]} to {span[1]}, expected "
                f"each of {', '.join(SPLITS)} once at most, and a first day before the last"
            )
        for other, (first, last) in periods.items():
            if span[0] <= last and first <= span[1]:
                raise DataError(f"{path}, line {number}: {split} and {other} share days")
        periods[split] = span
    if not periods:
        raise DataError(f"{path} holds no period; give one line per split")
    return ByDate(path.name, periods)


def parse_split(text: str) -> dict[str, float]:
    """Read ``80/10/10`` (train/val/test in percent) or the name of one split for everything.

    >>> parse_split("80/10/10")
    {'train': 0.8, 'val': 0.1, 'test': 0.1}
    >>> parse_split("test")
    {'test': 1.0}
    """
    if text in SPLITS:
        return {text: 1.0}
    try:
        shares = [float(part) for part in text.split("/")]
    except ValueError:
        shares = []
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 100) > 1e-6:
        raise UsageError(
            f"got --split '{text}', expected train/val/test in percent that sum to 100, such as "
            f"80/10/10, or one of {', '.join(SPLITS)}"
        )
    return {name: share / 100 for name, share in zip(SPLITS, shares, strict=True) if share}


def split_of(seed: int, group: str, shares: Mapping[str, float]) -> str:
    """Choose the split of a group of clips that must stay together, from (seed, group) alone.

    Adding or removing other groups never moves it; the shares hold on average only.
    """
    digest = hashlib.sha256(f"split\x1f{seed}\x1f{group}".encode()).digest()
    point, edge = int.from_bytes(digest[:8], "big") / 2**64, 0.0
    for name, share in shares.items():
        edge += share
        if point < edge:
            return name
    return list(shares)[-1]
