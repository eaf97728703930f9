from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.metrics import offset, perceptual
from avbench.metrics.perceptual import WINDOWS, Window

FRAMES = {
    "bt1359-detect": (-3, 1),
    "bt1359-accept": (-4, 2),
    "ebu-r37": (-1, 1),
    "atsc-is191": (-1, 0),
    "film-br265": (0, 0),
}
"""First and last whole frame at 25 fps."""
MILLISECONDS = {
    "bt1359-detect": (-125, 45),
    "bt1359-accept": (-185, 90),
    "ebu-r37": (-60, 40),
    "atsc-is191": (-45, 15),
    "film-br265": (-22, 22),
}
"""As the sources give them, lag and lead."""
named = pytest.mark.parametrize("name", WINDOWS)


def test_windows_are_those_of_the_sources() -> None:
    assert {name: (w.lag_ms, w.lead_ms) for name, w in WINDOWS.items()} == MILLISECONDS


@named
def test_windows_hold_the_frames_of_25_fps(name: str) -> None:
    assert WINDOWS[name].frames() == FRAMES[name]
    inside = [r for r in range(-9, 10) if offset.evaluate([r], [0])[f"perceptual@{name}"] == 1]
    assert inside == list(range(FRAMES[name][0], FRAMES[name][1] + 1))


@named
@pytest.mark.parametrize("fps", [25, 30000 / 1001, 30, 50])
def test_the_same_milliseconds_are_judged_at_any_frame_rate(name: str, fps: float) -> None:
    first, last = WINDOWS[name].frames(fps)
    residual = perceptual.to_ms(np.arange(-20, 21), fps)
    inside = np.arange(-20, 21)[perceptual.inside(residual, WINDOWS[name])]
    assert (inside[0], inside[-1]) == (first, last)
    assert WINDOWS[name].lag_ms <= 1000 * first / fps
    assert 1000 * last / fps <= WINDOWS[name].lead_ms


def test_one_frame_of_tolerance_is_the_window_of_ebu_r37() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(-5, 6, (2, 500))
    found = offset.evaluate(truth, said)
    assert found["perceptual@ebu-r37"] == found["accuracy@1"]
    assert found["perceptual@film-br265"] == found["accuracy@0"]


def test_early_sound_is_forgiven_less_than_late_sound() -> None:
    """Two frames of lag are not detected, two frames of lead are: the sign is not to be swapped."""
    detect = "perceptual@bt1359-detect"
    audio_late = offset.evaluate(reference=[-2], estimate=[0])
    audio_early = offset.evaluate(reference=[2], estimate=[0])
    assert (audio_late[detect], audio_early[detect]) == (1, 0)


@given(st.lists(st.integers(-300, 300), min_size=1, max_size=30))
def test_a_flipped_sign_mirrors_the_windows(residual: list[int]) -> None:
    for window in WINDOWS.values():
        mirror = Window("mirror", -window.lead_ms, -window.lag_ms, "", "")
        here = perceptual.inside(residual, window)
        there = perceptual.inside(np.negative(residual), mirror)
        assert np.array_equal(here, there)


def test_windows_nest_as_their_bounds_do() -> None:
    residual = perceptual.to_ms(np.random.default_rng(0).integers(-6, 7, 400))
    share = {name: perceptual.perceptual_accuracy(residual, w) for name, w in WINDOWS.items()}
    assert share["bt1359-accept"] >= share["bt1359-detect"] >= share["atsc-is191"]
    assert share["bt1359-detect"] >= share["ebu-r37"] >= share["film-br265"]


def test_the_smooth_score_falls_away_from_sync_and_faster_for_early_sound() -> None:
    ms = np.arange(0.0, 300.0, 0.5)
    early = np.array([perceptual.perceptual_score([x]) for x in ms])
    late = np.array([perceptual.perceptual_score([-x]) for x in ms])
    for side in (early, late):
        assert np.all(np.diff(side) <= 0)
        assert np.abs(np.diff(side)).max() < 0.02  # no jump, half a millisecond apart
        assert np.abs(np.diff(side, 2)).max() < 0.002  # no corner
        assert (side[0], side[-1]) == (1, 0)
    assert np.all(late >= early)
    assert early[90] == 1  # 45 ms: not detected
    assert early[180] == 0  # 90 ms: not accepted
    assert late[250] == 1
    assert late[370] == 0


def test_no_answer_is_in_no_window() -> None:
    assert not perceptual.inside([math.nan], WINDOWS["bt1359-accept"])[0]
    assert perceptual.perceptual_score([math.nan, 0]) == 0.5
    assert math.isnan(perceptual.perceptual_accuracy([], WINDOWS["ebu-r37"]))


@pytest.mark.parametrize("bad", [[[0.0]], [math.inf]])
def test_malformed_residuals_are_refused(bad: list[object]) -> None:
    with pytest.raises(ValueError, match="got"):
        perceptual.perceptual_score(bad)


def test_a_window_that_is_not_inside_the_other_is_refused() -> None:
    with pytest.raises(ValueError, match="inside"):
        perceptual.perceptual_score([0], WINDOWS["bt1359-accept"], WINDOWS["bt1359-detect"])
    with pytest.raises(ValueError, match="fps"):
        perceptual.to_ms([1], fps=0)
