from __future__ import annotations

import numpy as np
import pytest

from pipelines.calibration import (
    LEAST_PAIRS,
    Calibration,
    Scale,
    largest_p,
    others_height,
    own_heights,
    scale_of,
    wrapped_means,
)


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    rows = rng.normal(size=(count, 6))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_wrapped_means_are_the_mean_distances_at_every_start() -> None:
    rng = np.random.default_rng(0)
    video, sound = unit(rng, 7), unit(rng, 11)
    means = wrapped_means(video, sound)
    for start in (0, 3, 10):
        rows = sound[(np.arange(7) + start) % 11]
        assert means[start] == pytest.approx(np.linalg.norm(video - rows, axis=1).mean())


def test_height_counts_in_spreads_and_nothing_that_moves_has_none() -> None:
    scale = Scale(level=1.4, spread=0.1)
    assert scale.height(1.0) == pytest.approx(4.0)
    assert scale.height(1.0, share=0.25) == pytest.approx(2.0)
    still = np.ones((40, 6)) / np.sqrt(6)
    assert scale_of(still, still).height(0.0) == 0.0


def test_own_heights_never_see_the_search() -> None:
    rng = np.random.default_rng(1)
    sound, before, search = unit(rng, 200), 25, 5
    video = sound[before - 3 : before - 3 + 60]
    scale = scale_of(video, sound)
    found = own_heights(video, sound, before, search, scale)
    assert len(found) == (200 - 4 * search) // (2 * search + 1)
    assert max(found) < 6 < scale.height(float(wrapped_means(video, sound)[before - 3]))
    assert own_heights(video, sound[: 5 * search], before, search, scale) == []
    assert others_height(video, unit(rng, 80), before, search) < 6


@pytest.mark.parametrize("count", [400, 4000])
def test_p_values_of_wrong_pairs_are_what_they_say(count: int) -> None:
    rng = np.random.default_rng(count)
    calibration = Calibration.of(rng.gumbel(3, 0.6, count))
    fresh = rng.gumbel(3, 0.6, 20_000)
    p_values = np.array([calibration.p_value(height, 60, 15) for height in fresh])
    for level in (0.5, 0.1, 0.02):
        assert np.mean(p_values <= level) == pytest.approx(level, rel=0.6 if count < 1000 else 0.25)
    assert np.all(np.diff(p_values[np.argsort(fresh)]) <= 0)
    for level in (0.3, 0.05, 0.001):
        height = calibration.threshold(level)
        assert height is not None
        assert calibration.p_value(height + 1e-6, 60, 15) == pytest.approx(level, abs=0.01)


def test_few_wrong_pairs_fall_back_to_a_careful_tail() -> None:
    few = Calibration.of(range(LEAST_PAIRS - 1))
    assert not few.usable
    assert few.threshold(0.01) is None
    assert few.p_value(0.0, 60, 15) == 1.0
    assert few.p_value(30.0, 60, 15) < 0.001
    # Short clips must come higher to be believed as much.
    assert few.p_value(7.0, 40, 15) > few.p_value(7.0, 120, 15)


def test_the_order_of_wrong_pairs_does_not_matter() -> None:
    heights = np.random.default_rng(5).gumbel(3, 0.6, 100)
    one, other = Calibration.of(heights), Calibration.of(heights[::-1])
    assert one.p_value(5.0, 60, 15) == other.p_value(5.0, 60, 15)


def test_a_narrow_acceptance_allows_a_larger_p() -> None:
    assert largest_p(0.01, 31, 15) == pytest.approx(0.01)
    assert largest_p(0.5, 7, 15) == 1.0
