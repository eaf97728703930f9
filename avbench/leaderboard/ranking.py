"""Which of several comparable numbers is better, as far as that can be told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from avbench.errors import DataError, UsageError
from avbench.labels import label
from avbench.leaderboard.rows import MEASURED, Row, comparable
from avbench.leaderboard.spans import span_of
from avbench.statistics.clusters import wilson


def check_comparable(rows: Sequence[Row]) -> None:
    """Refuse rows that may not be ranked together.

    Raises
    ------
    UsageError
        If some two of them may not; the message says why.
    """
    for row in rows[1:]:
        if why := comparable(rows[0], row):
            raise UsageError(
                f"these {len(rows)} rows are not ranked: {why}; narrow the selection with "
                "--protocol, --dataset, --metric, --window or --kind"
            )


def ranks(rows: Sequence[Row], paired: Mapping[str, int] | None = None) -> list[int | None]:
    """Rank comparable rows.

    Parameters
    ----------
    rows
        Rows that `check_comparable` lets pass.
    paired
        Shared ranks by method from paired comparisons, which see more than intervals do.

    Returns
    -------
    list of int or None
        One more than the number of rows that are surely better: those whose 95 % interval, or
        whose rounded number where there is none, lies wholly on the better side. None for what
        only frames a table, for what cannot be right and for what has no number.

    Raises
    ------
    UsageError
        If some two rows may not be ranked together.
    """
    check_comparable(rows)
    ranges = [_range(row) for row in rows]
    sign = 1 if rows and label(rows[0].metric).higher_is_better else -1
    known = [ends for ends in ranges if ends is not None]

    def rank(ends: tuple[float, float]) -> int:
        best = max(sign * end for end in ends)
        return 1 + sum(min(sign * end for end in other) > best for other in known)

    found = [None if ends is None else rank(ends) for ends in ranges]
    if not paired:
        return found
    theirs = [
        None if r is None else paired.get(row.method, r) for r, row in zip(found, rows, strict=True)
    ]
    # Among some of a run's methods the first are first again.
    return [None if r is None else 1 + sum(o < r for o in theirs if o is not None) for r in theirs]


def _range(row: Row) -> tuple[float, float] | None:
    if not row.ranked or row.suspect:
        return None
    interval = interval_of(row)
    span = span_of(row)
    return interval or (None if span is None else (span.low, span.high))


def interval_of(row: Row) -> tuple[float, float] | None:
    """Return a row's 95 % interval: its own, or for a reported share what its clips allow.

    Repeats ask the same clips again, so that a share of n questions in r repeats counts as one
    of n / r (Wilson's interval); None where the number of clips is not known.
    """
    if row.low is not None and row.high is not None:
        return row.low, row.high
    share = row.unit == "percent" and row.metric.startswith(("accuracy@", "perceptual@"))
    if row.kind == MEASURED or not share or row.n is None or row.value is None:
        return None
    clips = row.n // (row.repeats or 1)
    low, high = wilson(round(row.value / 100 * clips), clips)
    return 100 * low, 100 * high


def how_ranked(rows: Sequence[Row], paired: Mapping[str, int] | None) -> str:
    """Say in a sentence what ranks rest on."""
    if paired:
        return "Ranks are shared where a paired comparison does not tell methods apart."
    kept = [row for row in rows if row.ranked and not row.suspect]
    if any(interval_of(row) is None for row in kept):
        return "Ranked by the numbers alone, without intervals: neighbours may not differ."
    if all(row.low is not None for row in kept):
        return "Ranks are shared where 95 % intervals meet."
    return (
        "Ranks are shared where 95 % intervals meet; the source prints none, so they are "
        "Wilson's for its number of clips."
    )


def paired_ranks(folder: Path, rows: Sequence[Row]) -> dict[str, int] | None:
    """Look up the ranks that paired comparisons gave, where the rows are of one run that has some.

    Raises
    ------
    DataError
        If the comparisons of the run are damaged.
    """
    sources = {row.source for row in rows}
    if len(sources) != 1 or any(row.kind != MEASURED for row in rows):
        return None
    path = folder / sources.pop() / "comparisons.json"
    if not path.is_file():
        return None
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        for cell in cells:
            if (cell["metric"], cell["window"]) == (rows[0].metric, rows[0].window):
                return {each["method"]: each["rank"] for each in cell["methods"]}
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error!r}); copy it from the run again") from error
    return None
