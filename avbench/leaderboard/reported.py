"""The files of reported rows: one JSON file per source, in one canonical form.

A file says where its numbers come from (``source``, ``citation``, ``bibtex`` ...), what all its
rows share (``common``) and then one row per line. Numbers are strings, exactly as printed: the
digits say how far a number was rounded, and every check of its arithmetic needs that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from avbench.data import JSON
from avbench.errors import DataError

REPORTED = ("paper", "third-party", "derived", "chance")
"""Kinds of reported rows: printed by its authors, by others, computed from such, or analytic."""

HEAD = (
    *("source", "title", "authors", "venue", "year", "arxiv", "url"),
    *("citation", "bibtex", "versions", "notes", "common", "rows"),
)
"""Fields of a file in their order; `NEEDED` of them always."""
NEEDED = ("source", "citation", "rows")
FIELDS = (
    *("kind", "method", "printed_name", "dataset", "split", "protocol", "window", "condition"),
    *("metric", "unit", "printed", "std", "repeats", "n", "reference", "verified", "note"),
)
"""Fields of a row in their order."""
ORDER = ("protocol", "dataset", "split", "condition", "metric", "kind", "method", "window")
"""Rows are sorted by these, so that a file has one form."""
_TEXT = ("kind", "method", "dataset", "protocol", "metric", "unit", "printed", "verified")
_NUMBER = re.compile(r"[<>]?-?\d+(\.\d+)?")


def load(path: Path) -> tuple[dict[str, JSON], list[dict[str, JSON]]]:
    """Read a file of reported rows.

    Parameters
    ----------
    path
        The JSON file.

    Returns
    -------
    tuple
        The file as it stands, and its rows with the common fields filled in.

    Raises
    ------
    DataError
        If it is no such file or a row lacks something or has an unknown field.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if missing := [name for name in NEEDED if name not in content]:
            raise ValueError(f"it has no '{missing[0]}'")
        _known(content, HEAD, "the file")
        rows = [content.get("common", {}) | row for row in content["rows"]]
        for number, row in enumerate(rows, start=1):
            _check(row, f"row {number}")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not a file of reported rows: {error}; "
            "leaderboards/README.md says what one holds"
        ) from error
    return content, rows


def _known(found: Mapping[str, JSON], names: tuple[str, ...], where: str) -> None:
    if unknown := [name for name in found if name not in names]:
        raise ValueError(f"{where} has an unknown field '{unknown[0]}'")


def _check(row: Mapping[str, JSON], where: str) -> None:
    _known(row, FIELDS, where)
    for name in _TEXT:
        if not isinstance(row.get(name), str) or not row[name]:
            raise ValueError(f"{where} needs text as its '{name}'")
    if row["kind"] not in REPORTED:
        raise ValueError(f"{where} is of kind '{row['kind']}', not {', '.join(REPORTED)}")
    for name in ("printed", "std"):
        if name in row and not _NUMBER.fullmatch(str(row[name])):
            raise ValueError(f"{where} has '{row[name]}' as its '{name}', expected digits")
    for name in ("window", "repeats", "n"):
        if not isinstance(row.get(name), int | None):
            raise ValueError(f"{where} needs a whole number as its '{name}'")


def dumps(content: Mapping[str, JSON]) -> str:
    """Write a file's content in the canonical form.

    Parameters
    ----------
    content
        As `load` returns it first; rows in any order, shared fields under ``common`` or not.

    Returns
    -------
    str
        Fields in the order of `HEAD` and `FIELDS`, what all rows share under ``common``, and one
        row per line, sorted by `ORDER`.
    """
    rows = [dict(content.get("common", {}) | row) for row in content["rows"]]
    rows.sort(key=lambda row: [_sortable(row.get(name)) for name in ORDER])
    shared = {
        name: rows[0][name]
        for name in FIELDS
        if len(rows) > 1 and all(name in row and row[name] == rows[0][name] for row in rows)
    }
    own = [{n: row[n] for n in FIELDS if n in row and n not in shared} for row in rows]
    parts = []
    for name in HEAD:
        if name == "common" and shared:
            parts.append(f' "common": {_block(shared)}')
        elif name == "rows":
            lines = ",\n".join(f"  {_line(row)}" for row in own)
            parts.append(f' "rows": [\n{lines}\n ]')
        elif name not in ("common", "rows") and name in content:
            parts.append(f' "{name}": {_block(content[name])}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _sortable(value: JSON) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, value or "")


def _line(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def _block(value: JSON) -> str:
    """Return a list or mapping with one entry per line, anything else on one line."""
    if isinstance(value, list) and value:
        inner = [_line(item) for item in value]
        return "[\n" + ",\n".join(f"  {item}" for item in inner) + "\n ]"
    if isinstance(value, dict) and value:
        inner = [f"{_line(name)}: {_line(item)}" for name, item in value.items()]
        return "{\n" + ",\n".join(f"  {item}" for item in inner) + "\n }"
    return _line(value)
