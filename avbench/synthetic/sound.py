"""Rooms and noise: from clean speech to what a microphone hears."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from avbench.data import FloatArray
from avbench.synthetic.voice import SPEECH_RMS
from avbench.timing import SAMPLE_RATE

_SLOPES = {"white": 0.0, "pink": 0.5, "rumble": 1.0, "speech-shaped": 0.0}
NOISES = tuple(_SLOPES)
"""Kinds of background noise."""


def in_room(speech: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Colour speech as a room and a microphone do, without moving it in time.

    The direct sound arrives first and is strongest; a weak exponential tail follows.
    """
    tail_s = rng.uniform(0.05, 0.25)
    time = np.arange(round(tail_s * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.standard_normal(len(time)) * np.exp(-6.9 * time / tail_s)
    response *= rng.uniform(0.1, 0.35) / np.linalg.norm(response)
    response[0] = 1.0
    wet = fftconvolve(speech, response)[: len(speech)]
    return _like(_tilt(wet, rng.uniform(-0.25, 0.15)), speech)


def background(num_samples: int, snr_db: float, kind: str, rng: np.random.Generator) -> FloatArray:
    """Return noise ``snr_db`` below the mean loudness of speech, shape (num_samples,).

    Parameters
    ----------
    num_samples
        Length at 16 kHz.
    snr_db
        Speech-to-noise ratio in decibels.
    kind
        One of `NOISES`.
    rng
        Draws the noise.
    """
    noise = _tilt(rng.standard_normal(num_samples), -_SLOPES[kind])
    if kind == "speech-shaped":
        spectrum = np.fft.rfft(noise)
        hertz = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)
        spectrum *= 1 / (1 + (hertz / 500) ** 2) ** 0.6 * (hertz > 80)
        noise = np.fft.irfft(spectrum, num_samples)
        knots = rng.uniform(0.4, 1.6, max(4, num_samples * 4 // SAMPLE_RATE))
        noise *= np.interp(
            np.linspace(0, len(knots) - 1, num_samples), np.arange(len(knots)), knots
        )
    rms = float(np.sqrt(np.mean(noise**2)))
    return np.asarray(noise * SPEECH_RMS * 10 ** (-snr_db / 20) / max(rms, 1e-12))


def _tilt(sound: FloatArray, power: float) -> FloatArray:
    """Multiply the spectrum by frequency to ``power``, flat below 100 Hz."""
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * (np.maximum(hertz, 100) / 1000) ** power, len(sound))


def _like(sound: FloatArray, model: FloatArray) -> FloatArray:
    loudness = np.sqrt(np.mean(sound**2))
    return np.asarray(sound * np.sqrt(np.mean(model**2)) / max(float(loudness), 1e-12))
