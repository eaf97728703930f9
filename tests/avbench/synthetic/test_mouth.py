"""The movement of a mouth follows its phones."""

from __future__ import annotations

import numpy as np
import pytest

from avbench.distort import rng_for
from avbench.synthetic.mouth import MouthCurves, mouth_curves
from avbench.synthetic.presets import PRESETS
from avbench.synthetic.voice import Phone

EASY, STANDARD = PRESETS["easy-v1"], PRESETS["standard-v1"]


def phones(names: str, length_s: float = 0.12) -> tuple[Phone, ...]:
    return tuple(
        Phone(name, i * length_s, (i + 1) * length_s) for i, name in enumerate(names.split())
    )


def move(
    names: str, *, preset: str = "easy-v1", start_s: float = 0.0, seed: int = 0
) -> MouthCurves:
    row = phones(names)
    return mouth_curves(
        row,
        round(row[-1].stop_s * 25),
        start_s=start_s,
        effort=1.0,
        preset=PRESETS[preset],
        rng=rng_for(seed, "mouth"),
    )


def frame_of(position: int, length_s: float = 0.12) -> int:
    return round((position + 0.5) * length_s * 25)


@pytest.mark.parametrize(("preset", "difference"), [("easy-v1", 0.3), ("standard-v1", 0.07)])
def test_lips_close_for_m_and_open_for_a(preset: str, difference: float) -> None:
    curves = move("m a s a m a s a m", preset=preset)
    closed = curves.opening[[frame_of(i) for i in (0, 4, 8)]]
    opened = curves.opening[[frame_of(i) for i in (1, 3, 5, 7)]]
    assert closed.max() < 0.15
    assert opened.mean() > closed.mean() + difference


def test_lips_round_for_u_and_spread_for_i() -> None:
    curves = move("i: i: i: u: u: u:")
    assert curves.rounding[frame_of(4)] > 0.8
    assert curves.width[frame_of(1)] > 0.6
    assert curves.width[frame_of(4)] < -0.6


def test_a_later_start_shows_the_same_movement_earlier() -> None:
    names = "m a m O: p i: t u: b E f A: m aI z"
    now, later = move(names), move(names, start_s=0.2)
    shared = len(now) - 5
    assert np.corrcoef(later.opening[:shared], now.opening[5:])[0, 1] > 0.97
    assert np.corrcoef(later.opening[:shared], now.opening[:shared])[0, 1] < 0.6


def test_the_standard_mouth_is_smoother_and_moves_less_than_the_easy_one() -> None:
    names = "m a m O: p i: t u: b E f A: m aI z"
    easy, standard = move(names), move(names, preset="standard-v1")
    assert standard.opening.std() < 0.8 * easy.opening.std()
    assert np.abs(np.diff(standard.opening)).mean() < np.abs(np.diff(easy.opening)).mean()


def test_a_silent_mouth_rests() -> None:
    curves = mouth_curves((), 100, start_s=0.0, effort=2.0, preset=STANDARD, rng=rng_for(0, "rest"))
    assert len(curves) == 100
    assert curves.opening.max() < 0.2
    assert curves.opening.std() < 0.03


def test_values_stay_in_range_whatever_the_effort() -> None:
    row = phones("a m a f w i: u: O: T s")
    curves = mouth_curves(row, 30, start_s=0.0, effort=9.0, preset=EASY, rng=rng_for(0))
    for values, low in (
        (curves.opening, 0),
        (curves.width, -1),
        (curves.rounding, 0),
        (curves.tuck, 0),
        (curves.tongue, 0),
    ):
        assert values.min() >= low
        assert values.max() <= 1
