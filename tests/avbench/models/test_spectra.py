"""Sound pictures: the values of the library that SyncNet used, and nothing outside a window."""

from __future__ import annotations

import numpy as np
import pytest

from avbench.models import spectra

NUMBERS = np.arange(6400)
TONES = np.round(
    8000 * np.sin(2 * np.pi * 220 * NUMBERS / 16000)
    + 3000 * np.sin(2 * np.pi * 1850 * NUMBERS / 16000 + NUMBERS / 900)
)
FRAME_0 = [
    20.0149, 8.4982, -16.9822, 16.9135, 36.4315, -10.2702, -41.5568, -10.1606, 6.3345, -30.4059,
    -45.1782, -12.6708, 2.4461,
]  # fmt: skip
FRAME_7 = [
    20.0152, 5.9138, -14.7683, 23.7279, 43.9592, -5.2716, -39.8641, -10.2295, 6.2657, -29.8938,
    -44.6418, -12.1655, 3.0402,
]  # fmt: skip
"""What python_speech_features 0.6 gives for TONES, its own defaults."""


def noise(num_frames, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(640 * num_frames)


def literal_mfcc(samples):
    """One frame of 400 emphasised samples, step by step."""
    power = np.abs(np.fft.fft(samples, 512)[:257]) ** 2 / 512
    points = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    edges = [int(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in points]
    bands = []
    for left, middle, right in zip(edges, edges[1:], edges[2:], strict=False):
        total = 0.0
        for k in range(left, middle):
            total += power[k] * (k - left) / (middle - left)
        for k in range(middle, right):
            total += power[k] * (right - k) / (right - middle)
        bands.append(np.log(total))
    out = []
    for n in range(13):
        scale = np.sqrt((1 if n == 0 else 2) / 26)
        cosine = [np.cos(np.pi * n * (2 * i + 1) / 52) for i in range(26)]
        out.append(scale * np.dot(bands, cosine) * (1 + 11 * np.sin(np.pi * n / 22)))
    out[0] = np.log(power.sum())
    return out


def test_mfcc_are_those_of_the_library_that_syncnet_used():
    windows = spectra.sound_windows(TONES / 32768, "mfcc", local=False)
    assert windows.shape == (6, 13, 20)
    assert windows[0, :, 0] == pytest.approx(FRAME_0, abs=2e-4)
    assert windows[0, :, 7] == pytest.approx(FRAME_7, abs=2e-4)
    assert windows[1, :, 3] == pytest.approx(FRAME_7, abs=2e-4)


def test_mfcc_are_their_definition():
    frames = np.random.default_rng(0).standard_normal((3, 400)) * 1000
    expected = [literal_mfcc(frame) for frame in frames]
    assert spectra.mfcc(frames) == pytest.approx(np.array(expected))


def test_log_mel_of_a_tone_peaks_in_its_band():
    bands = []
    for hertz in (200, 1000, 4000):
        tone = 0.1 * np.sin(2 * np.pi * hertz * np.arange(3200) / 16000)
        bands.append(int(spectra.sound_windows(tone, "log-mel")[0].mean(axis=-1).argmax()))
    mels = [2595 * np.log10(1 + hertz / 700) for hertz in (200, 1000, 4000)]
    expected = [41 * mel / (2595 * np.log10(1 + 8000 / 700)) - 1 for mel in mels]
    assert bands == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("kind", ["mfcc", "log-mel"])
def test_a_window_is_the_slice_of_its_clip(kind):
    sound = noise(30)
    whole = spectra.sound_windows(sound, kind)
    assert whole.shape == (26, 13 if kind == "mfcc" else 40, 20)
    assert whole.dtype == np.float32
    for row in (0, 11, 25):
        alone = spectra.sound_windows(sound[640 * row : 640 * row + 3200], kind)
        assert np.array_equal(alone[0], whole[row])


@pytest.mark.parametrize("kind", ["mfcc", "log-mel"])
def test_local_windows_differ_from_the_released_ones_at_their_edges_only(kind):
    sound = noise(12)
    local = spectra.sound_windows(sound, kind)
    released = spectra.sound_windows(sound, kind, local=False)
    far = np.abs(local - released).max(axis=(0, 1)) > 1e-4
    # The sample before a window, which pre-emphasis looks at, and the 15 ms after it.
    assert far.nonzero()[0].tolist() == ([0, 18, 19] if kind == "mfcc" else [18, 19])


@pytest.mark.parametrize("kind", ["mfcc", "log-mel"])
def test_silence_is_finite_and_short_sound_has_no_window(kind):
    assert np.isfinite(spectra.sound_windows(np.zeros(6400), kind)).all()
    assert len(spectra.sound_windows(np.zeros(3199), kind)) == 0
    with pytest.raises(ValueError, match="expected"):
        spectra.sound_windows(np.zeros((2, 3200)), kind)


def test_louder_sound_moves_one_row_of_the_mfcc():
    quiet, loud = (spectra.sound_windows(g * noise(5), "mfcc")[0] for g in (0.5, 1.0))
    assert loud[0] - quiet[0] == pytest.approx(np.full(20, np.log(4)), abs=1e-4)
    assert loud[1:] == pytest.approx(quiet[1:], abs=1e-3)
