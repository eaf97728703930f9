"""Scores as one row per number, for pandas, R and spreadsheets."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import pandas as pd

from avbench.results import Score


def to_frame(
    scores: Iterable[Score], ranks: Mapping[tuple[str, int, str], int] | None = None
) -> pd.DataFrame:
    """Return scores as a table of one row per number.

    Parameters
    ----------
    scores
        Values stay as they are stored: proportions are fractions.
    ranks
        Shared rank by metric, window length and method, where known.

    Returns
    -------
    DataFrame
        A column for every field of `avbench.results.Score`, and ``rank`` (NA where unknown).
    """
    rows = list(scores)
    names = list(Score.__dataclass_fields__)
    frame = pd.DataFrame([asdict(row) for row in rows], columns=names)
    for name in ("value", "std", "low", "high"):
        frame[name] = frame[name].astype("Float64")
    for name in ("task_version", "window", "repeats", "n", "n_failed", "clusters"):
        frame[name] = frame[name].astype("Int64")
    known = ranks or {}
    found = [known.get((row.metric, row.window, row.method)) for row in rows]
    return frame.assign(rank=pd.array(found, dtype="Int64"))


def to_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8, numbers with all their digits; absent values are empty."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return a table as Parquet; the same table gives the same bytes."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
