"""Sound retimed without changing its pitch: a phase vocoder.

Magnitudes are interpolated between the short-time spectra on either side of where a frame of the
result comes from, and phases advance by what they advance there (Flanagan and Golden, "Phase
vocoder", 1966; Dolson, "The phase vocoder: a tutorial", 1986). DTA retimes sound so (Halperin et
al. 2019, section 3.3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from avbench.data import FloatArray
from avbench.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

WINDOW, HOP = 512, 128
"""Samples: 32 ms every 8 ms."""


def retime_sound(sound: FloatArray, frames: ArrayLike) -> FloatArray:
    """Play a sound so that frame n of the result is its frame ``frames[n]``.

    Parameters
    ----------
    sound
        Mono at 16 kHz; shape (S,).
    frames
        Frame of 40 ms of the sound for each frame of the result; between them time runs evenly, a
        frame that is repeated stands still; shape (N,).

    Returns
    -------
    FloatArray
        Shape (N * 640,), float32.

    Raises
    ------
    ValueError
        If there is no frame.
    """
    places = np.asarray(frames, dtype=np.float64)
    if places.ndim != 1 or not len(places) or not len(sound):
        raise ValueError(f"got {places.shape = }, {len(sound) = }, expected frames and sound")
    transform = ShortTimeFFT(hann(WINDOW, sym=False), HOP, SAMPLE_RATE, fft_mode="onesided")
    spectra = transform.stft(np.asarray(sound, dtype=np.float64)).T  # (K, bins)
    count = len(places) * SAMPLES_PER_FRAME
    slices = np.arange(transform.p_min, transform.p_max(count))
    times = slices * HOP / SAMPLE_RATE  # of the result
    source = np.interp(times * FPS, np.arange(len(places)), places) / FPS
    # Before the first and after the last frame time runs on, or the sound's ends would ring.
    last = (len(places) - 1) / FPS
    source += np.minimum(times, 0) + np.maximum(times - last, 0)
    where = source * SAMPLE_RATE / HOP - transform.p_min
    made = _advance(spectra, where.clip(0, len(spectra) - 1))
    out = transform.istft(made.T, k1=count)
    return np.asarray(out, dtype=np.float32)


def _advance(spectra: np.ndarray, where: FloatArray) -> np.ndarray:
    """Read spectra at fractional places, phases running on from one to the next."""
    # Rounded first: a place a hair below a whole one would read the step before it.
    where = np.round(where, 6)
    below = np.floor(where).astype(np.int64).clip(0, max(len(spectra) - 2, 0))
    above = np.minimum(below + 1, len(spectra) - 1)
    share = (where - below)[:, None]
    size = np.abs(spectra)
    magnitude = (1 - share) * size[below] + share * size[above]
    step = np.angle(spectra[above] * np.conj(spectra[below]))
    start = np.angle(spectra[below[0]])
    phase = start + np.concatenate([np.zeros_like(step[:1]), np.cumsum(step[:-1], axis=0)])
    return np.asarray(magnitude * np.exp(1j * phase))
