"""Retimed sound keeps its pitch and lands where it is sent."""

from __future__ import annotations

import numpy as np
import pytest

from avbench.redub.vocoder import retime_sound

FRAMES = 50


def chirps() -> np.ndarray:
    """A tone that jumps every ten frames, with noise beside it."""
    time = np.arange(FRAMES * 640) / 16000
    hertz = 300 + 200 * (np.arange(len(time)) // 6400)
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * np.cumsum(hertz) / 16000)
    return (0.3 * tone + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


def pitch(sound: np.ndarray, frame: int) -> float:
    """Return the strongest frequency around the middle of a frame."""
    middle = frame * 640 + 320
    piece = sound[middle - 1024 : middle + 1024] * np.hanning(2048)
    return float(np.abs(np.fft.rfft(piece)).argmax() * 16000 / 2048)


def test_sound_at_its_own_time_stays_what_it_is() -> None:
    sound = chirps()
    found = retime_sound(sound, np.arange(FRAMES))
    assert found.dtype == np.float32
    assert len(found) == len(sound)
    assert np.abs(found - sound)[256:-256].max() < 1e-4


@pytest.mark.parametrize("factor", [0.5, 1.6])
def test_tempo_changes_and_pitch_does_not(factor: float) -> None:
    sound = chirps()
    frames = np.arange(0, FRAMES - 1, factor)
    found = retime_sound(sound, frames)
    assert len(found) == len(frames) * 640
    for step in range(1, 4):
        middle = 10 * step + 5  # of the source, amid a tone
        assert pitch(sound, middle) == pytest.approx(300 + 200 * step, abs=8)
        assert pitch(found, round(middle / factor)) == pytest.approx(300 + 200 * step, abs=8)


def test_a_repeated_frame_stands_still() -> None:
    sound = chirps()
    found = retime_sound(sound, np.array([*range(16), *[15] * 30, *range(16, FRAMES)]))
    for frame in range(18, 44, 5):
        assert pitch(found, frame) == pytest.approx(500, abs=8)
    assert np.abs(found[20 * 640 : 40 * 640]).max() > 0.1
    with pytest.raises(ValueError, match="expected frames"):
        retime_sound(sound, [])
