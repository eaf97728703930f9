"""The papers' own arithmetic: what they print follows from these functions, or is known not to."""

from __future__ import annotations

import math

import pytest

from avbench.metrics.alignment import implied_lengths
from avbench.metrics.offset import chance, rer

KIM_TABLE_2 = {
    "baseline": (45.17, 56.46, 63.66, 73.66),
    "diag-avg": ((63.34, 31.32), (67.46, 25.26), (71.91, 22.70), (77.95, 16.27)),
    "sync-cls": ((64.12, 34.56), (69.43, 29.79), (73.69, 27.59), (79.02, 20.34)),
    "sync-e2e": ((66.88, 39.59), (70.76, 32.84), (74.38, 29.50), (79.26, 21.25)),
}
"""Kim et al. 2021: accuracy in percent and, in brackets there, the error reduction, for windows of
11, 13, 15 and 20 frames; without tolerance."""
KIM_TABLE_3 = {
    "baseline": (76.73, 83.85, 88.05, 93.34),
    "diag-avg": ((85.05, 35.73), (88.38, 28.08), (90.88, 23.71), (94.35, 15.08)),
    "sync-cls": ((86.52, 42.05), (90.49, 41.10), (92.10, 33.92), (95.18, 27.64)),
    "sync-e2e": ((88.42, 50.22), (90.79, 43.00), (92.60, 38.06), (95.18, 27.51)),
}
"""The same with a tolerance of one frame."""
TAE_TABLE_5 = {"modified-dta": (67.10, 80.25, 40.85), "tae": (38.45, 44.85, 76.25)}
"""Shalev and Wolf 2020: duplicated, deleted and unique frames."""


def _off(table: dict[str, tuple]) -> dict[tuple[str, int], float]:
    """Return the error reductions that do not follow from the accuracies, as they should be.

    Both are printed to two decimals, so each may be off by half a hundredth before dividing.
    """
    found = {}
    for method in ("diag-avg", "sync-cls", "sync-e2e"):
        for place, (accuracy, printed) in enumerate(table[method]):
            base = table["baseline"][place]
            computed = 100 * rer(accuracy / 100, base / 100)
            slack = 0.005 + 100 * 0.01 / (100 - base)
            if abs(computed - printed) > slack:
                found[method, (11, 13, 15, 20)[place]] = round(computed, 2)
    return found


def test_the_error_reductions_of_kim_follow_but_one() -> None:
    assert _off(KIM_TABLE_2) == {("diag-avg", 11): 33.14}
    assert _off(KIM_TABLE_3) == {}


def test_the_odd_one_would_follow_from_another_accuracy() -> None:
    """31.32 belongs to 62.34, one digit away from the 63.34 that is printed."""
    assert 100 * rer(0.6234, 0.4517) == pytest.approx(31.32, abs=0.01)


@pytest.mark.parametrize(
    ("value", "percent"),
    [
        (chance(5, 0), 9.09),
        (chance(5, 1), 25.62),
        (chance(5, 1, answer=0), 27.27),
        (chance(15, 1, truth=0), 9.68),
    ],
)
def test_chance_in_percent(value: float, percent: float) -> None:
    assert round(100 * value, 2) == percent


def test_saying_zero_is_best_at_chance_and_edges_are_worst() -> None:
    """A constant answer of 0 wins 3 of 11 with tolerance, one at the edge only 2."""
    found = [chance(5, 1, answer=k) for k in range(-5, 6)]
    assert max(found) == found[5] == pytest.approx(3 / 11)
    assert found[0] == found[-1] == pytest.approx(2 / 11)
    assert sum(found) / 11 == pytest.approx(chance(5, 1))


def test_chance_of_unequal_laws() -> None:
    half = [0.5, 0, 0.5]
    assert chance(1, 0, truth=half, answer=-1) == 0.5
    assert chance(1, 0, truth=half, answer=half) == 0.5
    assert chance(1, 1, truth=half, answer=0) == 1
    assert chance(25, 0) == pytest.approx(1 / 51)
    for wrong in ([0.5, 0.5], [0.5, 0.5, 0.5], [2, -1, 0], 4):
        with pytest.raises(ValueError, match="got"):
            chance(1, 0, truth=wrong)


def test_the_counts_of_shalev_and_wolf_are_of_one_source_but_of_two_outputs() -> None:
    lengths = {name: implied_lengths(*counts) for name, counts in TAE_TABLE_5.items()}
    (dta_output, dta_source), (tae_output, tae_source) = lengths["modified-dta"], lengths["tae"]
    assert dta_source == pytest.approx(tae_source) == pytest.approx(121.10)
    assert (dta_output, tae_output) == pytest.approx((107.95, 114.70))
    assert not math.isclose(dta_output, tae_output, abs_tol=0.01)
