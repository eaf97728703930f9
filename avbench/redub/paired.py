"""Whether methods differ on the same pairs of speakers.

Both directions and all sentences of two speakers stand and fall together: they are one cluster of
the bootstrap and of the sign-flip test (`avbench.statistics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avbench.data import JSON
from avbench.distort import rng_for
from avbench.redub.measuring import Measured
from avbench.statistics import ALPHA, Difference, holm, paired_difference

SEED = 0
MOUTH = ("width", "height", "truth_width", "truth_height")
FRAMES = ("duplicated", "deleted", "consecutive", "unique")
"""What is compared: correlations, and frames of a pair."""


@dataclass(frozen=True)
class Gap:
    """One method less another, in one quantity."""

    method: str
    against: str
    quantity: str
    found: Difference
    p_holm: float | None
    """Corrected over all gaps that were made together; None where there is no test."""

    @property
    def told_apart(self) -> bool:
        """Whether the difference is none of chance."""
        return self.p_holm is not None and self.p_holm < ALPHA

    def to_json(self) -> dict[str, JSON]:
        """Return everything as JSON."""
        values = {name: getattr(self.found, name) for name in ("value", "low", "high", "p")}
        rounded = {name: None if v is None else round(float(v), 6) for name, v in values.items()}
        names = {"method": self.method, "against": self.against, "quantity": self.quantity}
        return {
            **names,
            **rounded,
            "p_holm": None if self.p_holm is None else round(self.p_holm, 6),
            "clusters": self.found.clusters,
        }


def speakers_of(pair: str) -> str:
    """Return the two speakers of a pair's name, whoever is seen.

    >>> speakers_of("b>a:s") == speakers_of("a>b:t")
    True
    """
    return " ".join(sorted(pair.rpartition(":")[0].split(">")))


def gaps(found: Sequence[Measured], against: str) -> list[Gap]:
    """Compare every other method with one, quantity by quantity.

    A pair without a value on one of the two sides is left out.

    Parameters
    ----------
    found
        All pairs with all methods, as from `avbench.redub.measure`.
    against
        Name of the method that is taken away; without it there is nothing to compare.
    """
    by_method: dict[str, dict[str, Measured]] = {}
    for one in found:
        by_method.setdefault(one.method, {})[one.pair] = one
    base = by_method.pop(against, {})
    made: list[tuple[str, str, Difference]] = []
    for name, pairs in by_method.items() if base else ():
        for quantity in (*MOUTH, *FRAMES):
            table = np.array([[_value(s[p], quantity) for s in (pairs, base)] for p in base])
            known = np.isfinite(table).all(axis=1)
            if not known.any():
                continue
            clusters = np.array([speakers_of(pair) for pair in base])[known]
            rng = rng_for(SEED, "redub", name, against, quantity)
            difference = paired_difference(table[known, 0], table[known, 1], clusters, rng=rng)
            made.append((name, quantity, difference))
    tested = [difference.p for _, _, difference in made if difference.p is not None]
    corrected = iter(holm(tested))
    return [
        Gap(name, against, quantity, d, None if d.p is None else float(next(corrected)))
        for name, quantity, d in made
    ]


def _value(one: Measured, quantity: str) -> float:
    return float(getattr(one.frames if quantity in FRAMES else one, quantity))


def gaps_table(found: Sequence[Gap], names: dict[str, str]) -> str:
    """Write gaps as text, one line a method, a star where they are told apart from zero.

    Parameters
    ----------
    found
        All against one method.
    names
        Heading of each quantity to show.
    """
    if not found:
        return ""
    methods = list(dict.fromkeys(gap.method for gap in found))
    lines = [[f"less {found[0].against}", *names.values()]]
    for method in methods:
        by = {gap.quantity: gap for gap in found if gap.method == method}
        lines.append([method, *(_cell(by.get(quantity)) for quantity in names)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(wide) if place == 0 else cell.rjust(wide)
            for place, (cell, wide) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cell(gap: Gap | None) -> str:
    if gap is None:
        return "-"
    digits = 2 if gap.quantity in MOUTH else 1
    ends = (gap.found.low, gap.found.high)
    span = "" if None in ends else f" [{ends[0]:+.{digits}f}, {ends[1]:+.{digits}f}]"
    return f"{gap.found.value:+.{digits}f}{span}{'*' if gap.told_apart else ' '}"
