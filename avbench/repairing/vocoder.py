"""Sound made faster and slower over time at its own pitch.

The way of Halperin, Ephrat and Peleg, "Dynamic Temporal Alignment of Speech to Lips" (2019): a
phase vocoder on short-time spectra, then the iteration of Griffin and Lim ("Signal estimation from
modified short-time Fourier transform", 1984), then the peak of the source.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from avbench.data import FloatArray

WINDOW_S = 0.032
"""Seconds of a spectrum; the next one begins after half of that (512 and 256 samples at 16 kHz)."""
ITERATIONS = 4
"""Rounds of Griffin and Lim's; the released code of DTA has one or more."""


def warp(sound: FloatArray, rate: int, times: FloatArray, fps: float) -> FloatArray:
    """Play sound so that at given instants it has reached given places.

    Parameters
    ----------
    sound
        Shape (C, S).
    rate
        Samples per second.
    times
        Seconds into the source that are to be heard at ``0, 1 / fps, 2 / fps, ...``, never
        falling; shape (N,).
    fps
        Entries of ``times`` per second.

    Returns
    -------
    FloatArray
        As loud as the source at its loudest; shape (C, round(N / fps * rate)), float32.

    Raises
    ------
    ValueError
        If ``times`` fall, or there are none.
    """
    if len(times) == 0 or np.any(np.diff(times) < 0):
        raise ValueError("got times that fall, or none")
    total = round(len(times) / fps * rate)
    hop = max(int(rate * WINDOW_S / 2), 1)
    # The instants of the new spectra, and where in the source they are to be.
    instants = np.arange(total // hop + 2) * hop / rate
    places = np.interp(instants, np.arange(len(times)) / fps, times) * rate / hop
    beyond = instants - (len(times) - 1) / fps
    places += np.where(beyond > 0, beyond * rate / hop, 0)
    out = np.stack([_channel(channel, hop, places, total) for channel in sound])
    peak, new = float(np.abs(sound).max(initial=0)), float(np.abs(out).max(initial=0))
    return np.asarray(out * (peak / new if new > 0 else 1.0), np.float32)


def _channel(sound: FloatArray, hop: int, places: FloatArray, total: int) -> FloatArray:
    spectra = _spectra(sound, hop)
    magnitude, phase = _vocoded(spectra, places, hop)
    for _ in range(ITERATIONS):
        heard = _sound(magnitude * np.exp(1j * phase), hop)
        again = _spectra(heard, hop)[:, : magnitude.shape[1]]
        phase[:, : again.shape[1]] = np.angle(again)
    heard = _sound(magnitude * np.exp(1j * phase), hop)[:total]
    return np.pad(heard, (0, total - len(heard)))


def _spectra(sound: FloatArray, hop: int) -> NDArray[np.complex128]:
    padded = np.pad(np.asarray(sound, np.float64), (0, max(2 * hop - len(sound), 0)))
    return np.asarray(signal.stft(padded, nperseg=2 * hop, noverlap=hop)[2])


def _sound(spectra: NDArray[np.complex128], hop: int) -> FloatArray:
    return np.asarray(signal.istft(spectra, nperseg=2 * hop, noverlap=hop)[1])


def _vocoded(
    spectra: NDArray[np.complex128], places: FloatArray, hop: int
) -> tuple[FloatArray, FloatArray]:
    """Return magnitudes between those of the source, and phases that go on as they do there."""
    held = np.pad(spectra, ((0, 0), (0, 2)))
    last = held.shape[1] - 2
    left = np.floor(places).astype(int).clip(0, last)
    share = (places - left).clip(0, 1)
    size = np.abs(held)
    magnitude = (1 - share) * size[:, left] + share * size[:, left + 1]
    usual = 2 * np.pi * hop * np.arange(len(held))[:, None] / (2 * hop)
    step = np.angle(held[:, left + 1]) - np.angle(held[:, left]) - usual
    step -= 2 * np.pi * np.round(step / (2 * np.pi))
    phase = np.angle(held[:, left[:1]]) + np.cumsum(
        np.concatenate([np.zeros((len(held), 1)), (step + usual)[:, :-1]], axis=1), axis=1
    )
    return magnitude, phase
