"""Which split a file is in: drawn by shares, or read from a list.

A list makes a benchmark that anyone with the recordings can build again. It is a CSV with the
columns ``file`` and ``split``, and where wanted ``speaker`` (clips of one speaker are not
independent, and statistics must know) and ``sha256`` (so that a name means the same bytes
everywhere). Files that are not in it stay out.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from avbench.errors import DataError, UsageError

from .units import Source

SPLITS = ("train", "val", "test")
GroupBy = Literal["video", "folder"]

_COLUMNS = ("file", "split", "speaker", "sha256")


@dataclass(frozen=True)
class Listed:
    """One row of a list."""

    file: str
    """Path, or the end of one, with ``/``."""
    split: str
    speaker: str = ""
    sha256: str = ""

    def names(self, source: Source) -> bool:
        """Return whether a source's path ends in this one."""
        parts = PurePosixPath(self.file).parts
        return PurePosixPath(source.root, source.relative).parts[-len(parts) :] == parts


@dataclass(frozen=True)
class SplitList:
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

    def objection(self, source: Source) -> str:
        """Say why a source stays out; empty where it is listed with these bytes."""
        row = self.find(source)
        if row is None:
            return "not in the split list"
        if row.sha256 and row.sha256 != source.sha256:
            return "the split list names other bytes of this name"
        return ""


def read_list(path: Path) -> SplitList:
    """Read a list of files with their splits.

    Raises
    ------
    UsageError
        If there is no such file, or it lacks a column.
    DataError
        If a row names no file or an unknown split, or a file is listed twice.
    """
    try:
        data = path.read_bytes()
        reader = csv.DictReader(data.decode("utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the split list {path} cannot be read: {error}") from None
    if missing := {"file", "split"} - set(reader.fieldnames or ()):
        raise UsageError(
            f"the split list {path} has no column {' and no column '.join(sorted(missing))}; "
            "it needs file and split, and may have speaker and sha256"
        )
    rows: dict[str, list[Listed]] = {}
    for number, entry in enumerate(reader, 2):
        row = Listed(
            *((entry.get(k) or "").strip() for k in ("file", "split", "speaker", "sha256"))
        )
        same = rows.setdefault(PurePosixPath(row.file).name, [])
        if not row.file or row.split not in SPLITS:
            raise DataError(
                f"{path}, line {number}: got file '{row.file}' in split '{row.split}', expected a "
                f"file in one of {', '.join(SPLITS)}"
            )
        if any(other.file == row.file for other in same):
            raise DataError(f"{path}, line {number}: {row.file} is listed twice")
        same.append(row)
    return SplitList(path.name, hashlib.sha256(data).hexdigest(), rows)


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
