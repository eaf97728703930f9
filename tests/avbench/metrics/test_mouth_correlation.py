from __future__ import annotations

import math

import numpy as np
import pytest

from avbench.metrics import mouth
from avbench.metrics.mouth import VERSIONS, mean_correlation, pearson


def _face(opening: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Draw faces whose inner lips are ``opening`` apart and ``spread`` wide; (T, 68, 2)."""
    points = np.zeros((len(opening), 68, 2))
    points[:] = np.random.default_rng(1).uniform(0, 100, (68, 2))
    points[:, 62], points[:, 66] = (50, 60), (50, 60)
    points[:, 66, 1] += opening
    points[:, 60], points[:, 64] = (40, 65), (40, 65)
    points[:, 64, 0] += spread
    points[:, 36], points[:, 45] = (30, 30), (70, 30)
    return points


T = 50
OPENING = 5 + 4 * np.sin(np.arange(T) / 3)
SPREAD = 20 + 3 * np.cos(np.arange(T) / 5)
FACE = _face(OPENING, SPREAD)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_drawn_is_measured(version: mouth.Version) -> None:
    scale = 40 if version.endswith("interocular") else 1
    assert mouth.height(FACE, version) == pytest.approx(OPENING / scale)
    assert mouth.width(FACE, version) == pytest.approx(SPREAD / scale)


def test_columns_counted_from_one_would_measure_something_else() -> None:
    """63/67 and 61/65 of the paper are 62/66 and 60/64 of the array."""
    shifted = np.roll(FACE, 1, axis=1)
    assert not np.allclose(mouth.height(shifted), OPENING)


def test_a_tilted_head_leaves_the_distance_alone_and_moves_the_axis() -> None:
    angle = math.radians(30)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    tilted = FACE @ turn.T
    assert mouth.height(tilted, "euclidean") == pytest.approx(OPENING)
    assert mouth.height(tilted, "axis") == pytest.approx(OPENING * math.cos(angle))


def test_coming_closer_is_no_talking_once_normalised() -> None:
    zoom = np.linspace(1, 3, T)[:, None, None]
    still = _face(np.full(T, 5.0), np.full(T, 20.0))
    assert np.ptp(mouth.height(still * zoom)) > 5
    assert np.ptp(mouth.height(still * zoom, "euclidean-interocular")) < 1e-12


def test_correlation_agrees_with_numpy_and_ignores_scale() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 80))
    expected = np.corrcoef(a, b)[0, 1]
    assert pearson(a, b) == pytest.approx(expected)
    assert pearson(1e-9 * a + 7, 1e6 * b - 3) == pytest.approx(expected, abs=1e-6)
    assert pearson(a, -b) == pytest.approx(-expected)
    assert pearson(a, np.concatenate([b, b])) == pytest.approx(expected)


def test_frames_without_a_face_are_left_out() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 40))
    a[::7], b[::9] = math.nan, math.nan
    known = ~(np.isnan(a) | np.isnan(b))
    assert pearson(a, b) == pytest.approx(np.corrcoef(a[known], b[known])[0, 1])


@pytest.mark.parametrize("still", [[2.0] * 5, [0.1] * 5, [math.nan] * 5, [1.0]])
def test_a_mouth_that_does_not_move_has_no_correlation(still: list[float]) -> None:
    assert math.isnan(pearson(still, np.arange(5.0)))


def test_undefined_videos_are_counted_and_left_out_of_the_mean() -> None:
    still = _face(np.full(T, 5.0), SPREAD)
    flipped = _face(-OPENING + 10, SPREAD)
    found = mean_correlation([FACE, still, flipped], [FACE[:30], FACE, FACE])
    assert (found.videos, found.undefined) == (3, 1)
    assert found.mean == pytest.approx((1 - 1) / 2, abs=1e-9)
    assert found.version == "mouth/axis@1"
    width = mean_correlation([FACE, still], [FACE, FACE], "width", "euclidean-interocular")
    assert width.mean == pytest.approx(1)
    assert math.isnan(mean_correlation([still], [FACE]).mean)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: mouth.height(np.zeros((3, 5, 2))), "68"),
        (lambda: mouth.height(np.full((1, 68, 2), np.inf)), "infinity"),
        (lambda: mouth.width(FACE, "pixels"), "version"),
        (lambda: pearson([[1]], [1]), "series"),
        (lambda: mean_correlation([FACE], []), "1 modified"),
    ],
)
def test_malformed_input_is_refused(call, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()
