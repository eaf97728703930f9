from __future__ import annotations

import cmath
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from avbench.errors import MissingDependency
from avbench.metrics import mcd as metrics
from avbench.metrics.mcd import mcd, mcd_dtw, mel_cepstrum, normalise_level, warp


def _voice(seconds: float, seed: int = 0, pitch: float = 120.0) -> np.ndarray:
    """Make a buzz through two moving resonances, loud and quiet by turns."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(16000 * seconds)) / 16000
    buzz = np.sign(np.sin(2 * np.pi * pitch * time)) + 0.05 * rng.standard_normal(len(time))
    for low, depth, rate in ((600, 200, 1.3), (1500, 500, 0.7)):
        centre = low + depth * np.sin(2 * np.pi * rate * time + seed)
        buzz = buzz + 0.7 * np.sin(2 * np.pi * np.cumsum(centre) / 16000) * np.abs(buzz)
    return buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))


def _literal_cepstrum(frame: list[float]) -> list[float]:
    """Compute a mel-cepstrum as textbooks define it, term by term, without any FFT or recursion.

    The log magnitude at 1024 points of the circle, its cosine series, and the substitution
    z^-1 = (w + a) / (1 + a w) into that series, expanded into powers of w.
    """
    size, alpha, order = 1024, 0.42, 59
    window = [
        0.42
        - 0.5 * math.cos(2 * math.pi * t / (size - 1))
        + 0.08 * math.cos(4 * math.pi * t / (size - 1))
        for t in range(size)
    ]
    floor = 1e-3 * 1e-10 * sum(value**2 for value in window)
    turn = [cmath.exp(-2j * math.pi * k / size) for k in range(size)]
    half = size // 2
    logs = []
    for k in range(half + 1):
        bin_ = sum(frame[t] * window[t] * turn[k * t % size] for t in range(size))
        logs.append(math.log(max(abs(bin_) ** 2, floor)) / 2)
    series = []
    for n in range(half + 1):
        total = logs[0] + logs[half] * (-1) ** n
        total += 2 * sum(logs[k] * turn[k * n % size].real for k in range(1, half))
        series.append(total / size * (1 if n in (0, half) else 2))
    # One factor (w + a) / (1 + a w) as a power series in w.
    factor = [alpha] + [(1 - alpha**2) * (-alpha) ** (m - 1) for m in range(1, order + 1)]
    power, warped = [1.0] + [0.0] * order, [0.0] * (order + 1)
    for value in series:
        warped = [w + value * p for w, p in zip(warped, power, strict=True)]
        power = [sum(power[i] * factor[m - i] for i in range(m + 1)) for m in range(order + 1)]
    return warped


def _literal_level(sound: np.ndarray) -> list[float]:
    rms = math.sqrt(sum(x * x for x in sound) / len(sound))
    return [x / rms * 10 ** (-30 / 20) for x in sound.tolist()]


@pytest.fixture(scope="module")
def literal() -> tuple[np.ndarray, np.ndarray, list[list[float]], list[list[float]]]:
    """Two short sounds, the second longer, and their mel-cepstra computed term by term."""
    one, two = _voice(0.07), _voice(0.075, seed=3, pitch=170)
    found = []
    for sound in (one, two):
        level = _literal_level(sound)
        starts = range(0, len(level) - 1024 + 1, 80)
        found.append([_literal_cepstrum(level[s : s + 1024]) for s in starts])
    return one, two, found[0], found[1]


def _literal_distance(a: list[float], b: list[float]) -> float:
    apart = sum((x - y) ** 2 for x, y in zip(a[1:], b[1:], strict=True))
    return 10 * math.sqrt(2) / math.log(10) * math.sqrt(apart)


def test_cepstra_agree_with_the_textbook(literal) -> None:
    one, two, first, second = literal
    assert (len(first), len(second)) == (2, 3)
    assert mel_cepstrum(one) == pytest.approx(np.array(first), abs=1e-9)
    assert mel_cepstrum(two) == pytest.approx(np.array(second), abs=1e-9)


def test_distortion_agrees_with_the_textbook(literal) -> None:
    one, two, first, second = literal
    frame = [_literal_distance(a, b) for a, b in zip(first, second[:2], strict=True)]
    assert mcd(one, two) == pytest.approx(sum(frame) / 2, abs=1e-9)
    assert mcd(two, one) == pytest.approx(sum(frame) / 2, abs=1e-9)


def test_distortion_along_the_warp_agrees_with_every_path(literal) -> None:
    one, two, first, second = literal
    costs = [[_literal_distance(a, b) for b in second] for a in first]
    total, steps = min(_paths(costs, 0, 0))
    assert mcd_dtw(one, two) == pytest.approx(total / steps, abs=1e-9)
    assert mcd_dtw(one, two, normaliser="reference") == pytest.approx(total / 2, abs=1e-9)
    assert mcd_dtw(one, two, normaliser="other") == pytest.approx(total / 3, abs=1e-9)


def _paths(costs, i: int, j: int) -> list[tuple[float, int]]:
    """Return total and length of every monotone path from a cell to the last corner."""
    here = costs[i][j]
    if (i, j) == (len(costs) - 1, len(costs[0]) - 1):
        return [(here, 1)]
    return [
        (here + total, steps + 1)
        for a, b in ((i + 1, j + 1), (i + 1, j), (i, j + 1))
        if a < len(costs) and b < len(costs[0])
        for total, steps in _paths(costs, a, b)
    ]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (4, 5), (6, 3)])
def test_the_warp_is_the_cheapest_of_all_paths(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        costs = rng.random(shape)
        found = warp(costs)
        assert found.total == pytest.approx(min(_paths(costs.tolist(), 0, 0))[0])
        assert costs[tuple(found.path.T)].sum() == pytest.approx(found.total)
        assert found.path[0].tolist() == [0, 0]
        assert found.path[-1].tolist() == [shape[0] - 1, shape[1] - 1]
        moves = np.diff(found.path, axis=0)
        assert moves.min(initial=0) >= 0
        assert moves.max(initial=1) == 1
        assert np.all(moves.sum(axis=1) >= 1)


def test_distortion_grows_with_noise() -> None:
    voice = _voice(0.6)
    noise = np.random.default_rng(0).standard_normal(len(voice))
    for measure in (mcd, mcd_dtw):
        found = [measure(voice, voice + level * noise) for level in (0, 0.001, 0.01, 0.1, 1)]
        assert found[0] == 0
        assert found == sorted(found)
        assert found[-1] > 3


def test_level_does_not_matter() -> None:
    one, two = _voice(0.2), _voice(0.2, seed=2)
    assert mcd(1e-8 * one, 40 * two) == pytest.approx(mcd(one, two), abs=1e-9)
    for level in (1e-200, 1, 1e9):
        rms = np.sqrt(np.mean(normalise_level(level * one) ** 2))
        assert 20 * math.log10(rms) == pytest.approx(-30)


def test_a_warp_forgives_what_was_only_delayed() -> None:
    voice = _voice(0.8)
    late = np.concatenate([0.001 * np.random.default_rng(0).standard_normal(2400), voice])
    assert mcd_dtw(voice, late) < 0.5 * mcd(voice, late)
    assert mcd_dtw(voice, voice[: len(voice) // 2]) > 1  # what is missing is not forgiven


def test_a_warp_is_never_worse_than_none() -> None:
    for seed in range(3):
        one, two = _voice(0.3, seed), _voice(0.3, seed + 5, 140)
        assert mcd_dtw(one, two) <= mcd(one, two)


def test_one_window_of_sound_is_enough() -> None:
    assert mel_cepstrum(_voice(0.064)).shape == (1, 60)
    assert mel_cepstrum(_voice(0.064 + 0.0049)).shape == (1, 60)
    assert mel_cepstrum(_voice(0.064 + 0.005)).shape == (2, 60)


def test_silence_between_words_is_measured() -> None:
    """Digital zeros have no logarithm; the floor gives every such frame the same cepstrum."""
    voice = _voice(0.6)
    gap = voice.copy()
    gap[3000:7000] = 0
    silent = mel_cepstrum(gap)[45]
    window = np.blackman(1024)
    floor = 1e-3 * 1e-10 * (window**2).sum()  # -30 dBFS, and 100 dB below it
    assert silent[0] == pytest.approx(math.log(floor) / 2)
    assert silent[1:] == pytest.approx(0, abs=1e-9)
    assert np.all(np.isfinite(mel_cepstrum(gap)))
    assert mcd(gap, gap) == 0
    assert 0 < mcd(voice, gap) < 200


def test_real_speech_is_nearer_to_itself_in_noise_than_to_others(shared_media: Path) -> None:
    from avbench.media import read_audio

    clips = sorted((shared_media / "grid" / "others").glob("*.mpg"))[:2]
    one, two = (np.asarray(read_audio(path), float)[:24000] for path in clips)
    noise = np.random.default_rng(0).standard_normal(len(one)) * one.std() / 30
    assert 0 < mcd_dtw(one, one + noise) < mcd_dtw(one, two) < mcd(one, two) < 40


def test_pysptk_is_asked_for_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysptk", None)
    with pytest.raises(MissingDependency, match=r"pip install pysptk.*np-freqt"):
        mcd(_voice(0.1), _voice(0.1), "mcd/pysptk-mcep@1")


def test_pysptk_gets_the_same_frames_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that returns a plain cepstrum shows what the real one would be called with."""
    calls = []

    def mcep(frame, order, alpha, *, etype, eps):
        calls.append((len(frame), order, alpha, etype))
        assert 0 < eps < 1e-9
        return frame[: order + 1]

    monkeypatch.setitem(sys.modules, "pysptk", types.SimpleNamespace(mcep=mcep))
    sound = _voice(0.1)
    found = mel_cepstrum(sound, "mcd/pysptk-mcep@1")
    assert found.shape == (1 + (len(sound) - 1024) // 80, 60)
    assert set(calls) == {(1024, 59, 0.42, 1)}
    assert found == pytest.approx(metrics.frames_of(sound)[:, :60])


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: mcd(np.zeros(4000), _voice(0.2)), "silent"),
        (lambda: mcd(_voice(0.06), _voice(0.2)), "1024"),
        (lambda: mcd([math.nan] * 4000, _voice(0.2)), "finite"),
        (lambda: mcd(np.ones((2, 4000)), _voice(0.2)), "shape"),
        (lambda: mel_cepstrum(_voice(0.2), "mcd/other@1"), "version"),
        (lambda: mcd_dtw(_voice(0.2), _voice(0.2), normaliser="none"), "normaliser"),
        (lambda: warp([[-1.0]]), "costs"),
        (lambda: warp(np.empty((0, 3))), "costs"),
    ],
)
def test_malformed_input_is_refused(call, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()
