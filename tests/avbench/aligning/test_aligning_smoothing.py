"""Filling and smoothing against a dense solver and planted steps."""

from __future__ import annotations

import numpy as np
import pytest

from avbench.aligning.smoothing import CRITERION, adaptive, laplacian, whole_rows

NAN = float("nan")


def test_the_filter_solves_its_equation_where_values_are_missing_too() -> None:
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.integers(0, 3, 20)).astype(float)
    values[[3, 4, 5, 11]] = NAN
    sigma = 2.5
    system = np.zeros((20, 20))
    system[0, 0] = system[-1, -1] = 1
    for t in range(1, 19):
        system[t, t - 1 : t + 2] = -sigma, np.isfinite(values[t]) + 2 * sigma, -sigma
    expected = np.linalg.solve(system, np.nan_to_num(values))
    np.testing.assert_allclose(laplacian(values, sigma), expected, atol=1e-9)


def test_a_straight_line_stays_and_its_gaps_are_filled() -> None:
    line = np.arange(30.0) + 4
    holed = np.where(np.isin(np.arange(30), [0, 1, 7, 8, 9, 29]), NAN, line)
    for rule in ("largest", "lowest", "none"):
        found = adaptive(holed, rule)
        assert np.isnan(found[[0, 1, 29]]).all()
        np.testing.assert_allclose(found[2:29], line[2:29], atol=1e-7)


def test_the_largest_sigma_smooths_until_50_ms_and_the_lowest_less() -> None:
    steps = np.arange(60.0) + np.where(np.arange(60) < 30, 0, 2)
    largest, lowest, none = (adaptive(steps, rule) for rule in ("largest", "lowest", "none"))
    far, near = (float(np.abs(found - steps).max()) for found in (largest, lowest))
    assert 0 < near < far
    # A step of two rows can be blurred by one at most: sigma then goes to its bound.
    assert far == pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(none, steps)
    high = np.arange(60.0) + np.where(np.arange(60) < 30, 0, 5)
    blurred = float(np.abs(adaptive(high, "largest") - high).max())
    assert CRITERION <= blurred < CRITERION * 1.5  # the first of the series that reaches it


def test_rounding_takes_halves_down_never_goes_back_and_pads_the_tail() -> None:
    values = np.array([NAN, NAN, 3.5, 3.5001, 3.2, 6.0, NAN, NAN])
    assert whole_rows(values, 9).tolist() == [1, 2, 3, 4, 4, 6, 6, 6]
    assert whole_rows(np.array([NAN, NAN, 1.0]), 9).tolist() == [0, 0, 1]
    assert whole_rows(np.array([7.0, 8.0, 9.0]), 9).tolist() == [7, 8, 8]


def test_few_matches_are_filled_as_they_are() -> None:
    np.testing.assert_allclose(adaptive(np.array([0, 5, NAN, 6.0])), [0, 5, 5.5, 6])
    with pytest.raises(ValueError, match="no match at all"):
        adaptive(np.full(4, NAN))
