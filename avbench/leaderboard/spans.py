"""The numbers that a printed one may stand for, and arithmetic on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avbench.leaderboard.rows import Row

EXACT = 1e-9
"""Relative width of a measured number: that of a float64 sum."""
RANGES = {"percent": (0.0, 100.0), "fraction": (0.0, 1.0)}
"""Unit -> what a share in it can be."""


@dataclass(frozen=True)
class Span:
    """The numbers that a printed one may stand for, both ends included."""

    low: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def meets(self, other: Span) -> bool:
        """Say whether some number lies in both.

        >>> Span(1, 2).meets(Span(2, 3)), Span(1, 2).meets(Span(2.1, 3))
        (True, False)
        """
        finite = [abs(end) for end in (self.low, other.low) if math.isfinite(end)]
        slack = EXACT * max(1.0, *finite)
        return self.low <= other.high + slack and other.low <= self.high + slack

    def __str__(self) -> str:
        return f"{self.low:.6g} .. {self.high:.6g}"


def span_of(row: Row) -> Span | None:
    """Return the numbers that a row may stand for.

    Returns
    -------
    Span
        Half a unit of the last printed digit either way; as good as a point for measured rows;
        from the bound on where a bound is printed; None where there is no number.
    """
    if row.printed.startswith((">", "<")):
        ends = RANGES.get(row.unit, (-math.inf, math.inf))
        return Span(ends[0] if row.low is None else row.low, row.high or ends[1])
    if row.value is None:
        return None
    if row.printed:
        half = 0.5 * 10.0 ** -len(row.printed.partition(".")[2])
    else:
        half = EXACT * max(1.0, abs(row.value))
    return Span(row.value - half, row.value + half)


def reduction(accuracy: Span, reference: Span) -> Span | None:
    """Return the error reductions in percent that follow from two accuracies.

    Returns
    -------
    Span
        100 (a - b) / (100 - b) over both spans: it grows with a and falls with b. None where the
        reference leaves no error.

    >>> str(reduction(Span(66.875, 66.885), Span(45.165, 45.175)))
    '39.5805 .. 39.6097'
    """
    if reference.high >= 100:
        return None

    def of(a: float, b: float) -> float:
        return 100 * (a - b) / (100 - b)

    return Span(of(accuracy.low, reference.high), of(accuracy.high, reference.low))
