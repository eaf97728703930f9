"""Sound as the published networks see it: 20 steps of 10 ms per window, MFCC or log-mel.

Twenty frames of 25 ms every 10 ms span 215 ms, 15 ms more than five video frames. A row must see
nothing outside its own five frames, so each window is cut to its 0.2 s first and mirrored at its
end; this moves only the last two of the twenty steps. ``local=False`` instead takes the 15 ms
that follow, as the released code of SyncNet does on a whole clip.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from avbench import features
from avbench.data import JSON, FloatArray
from avbench.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

STEPS = 20
"""Feature frames in one window."""
FRAME = SAMPLE_RATE * 25 // 1000
"""Samples in a feature frame."""
HOP = SAMPLE_RATE * 10 // 1000
"""Samples between feature frames."""
SPAN = (STEPS - 1) * HOP + FRAME
"""Samples that the feature frames of one window touch (3,440)."""
INSIDE = features.WINDOW * SAMPLES_PER_FRAME
"""Samples of one window (3,200)."""
FFT = 512
FULL_SCALE = 32768.0
"""The published networks see sound as 16-bit numbers."""
PRE_EMPHASIS = 0.97
NUM_CEPSTRA = 13
NUM_FILTERS = 26
LIFTER = 22
NUM_MELS = 40
LOG_FLOOR = 1e-6

_EPS = float(np.finfo(np.float64).eps)

Kind = Literal["mfcc", "log-mel"]


def describe(kind: Kind) -> dict[str, JSON]:
    """Return the settings of one kind: a network trained under others is of no use here."""
    common: list[JSON] = [STEPS, FRAME, HOP, FFT, FULL_SCALE]
    if kind == "mfcc":
        return {"mfcc": [*common, PRE_EMPHASIS, NUM_CEPSTRA, NUM_FILTERS, LIFTER]}
    return {"log-mel": [*common, NUM_MELS, LOG_FLOOR, "hamming"]}


def sound_windows(audio: FloatArray, kind: Kind, *, local: bool = True) -> FloatArray:
    """Compute the sound picture of every five-frame window.

    Parameters
    ----------
    audio
        Mono sound at 16 kHz in [-1, 1]; shape (T * 640,).
    kind
        ``"mfcc"``: 13 cepstra as `mfcc` has them. ``"log-mel"``: 40 bands as `log_mel` has them.
    local
        Look at nothing outside a window; see the module's docstring.

    Returns
    -------
    FloatArray
        float32; row t belongs to samples 640 t .. 640 t + 3200; shape (T - 4, 13 or 40, 20).
    """
    samples = np.asarray(audio, np.float64) * FULL_SCALE
    if samples.ndim != 1:
        raise ValueError(f"got {audio.shape = }, expected (S,)")
    if len(samples) < INSIDE:
        rows = NUM_CEPSTRA if kind == "mfcc" else NUM_MELS
        return np.zeros((0, rows, STEPS), np.float32)
    cut = _cut(samples, PRE_EMPHASIS if kind == "mfcc" else 0.0, local)
    frames = np.lib.stride_tricks.sliding_window_view(cut, FRAME, axis=-1)[:, ::HOP]
    spectrum = mfcc(frames) if kind == "mfcc" else log_mel(frames)
    return np.ascontiguousarray(spectrum.swapaxes(-1, -2), dtype=np.float32)


def _cut(samples: FloatArray, emphasis: float, local: bool) -> FloatArray:
    """Return the samples that each window's frames touch, emphasised; shape (N, 3440)."""
    if local:
        inside = np.lib.stride_tricks.sliding_window_view(samples, INSIDE)[::SAMPLES_PER_FRAME]
        whole = np.pad(inside, ((0, 0), (1, SPAN - INSIDE)), mode="reflect")
        return np.asarray(whole[:, 1:] - emphasis * whole[:, :-1])
    before = np.concatenate([[0.0], samples[:-1]])
    whole = np.pad(samples - emphasis * before, (0, SPAN - INSIDE))
    return np.lib.stride_tricks.sliding_window_view(whole, SPAN)[::SAMPLES_PER_FRAME]


def mfcc(frames: FloatArray) -> FloatArray:
    """Compute cepstra with the defaults of python_speech_features 0.6, which SyncNet used.

    Rectangular frames, power spectrum over 512 points divided by 512, 26 triangular mel filters
    between whole bins from 0 to 8 kHz, logarithm, orthonormal DCT-II, 13 cepstra, sinusoidal
    lifter 22, and the log of the whole energy in place of the first.

    Parameters
    ----------
    frames
        Emphasised samples; shape (..., 400).

    Returns
    -------
    FloatArray
        Shape (..., 13).
    """
    import scipy.fft

    power = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT
    bands = _log(power @ _psf_filters().T)
    cepstra = scipy.fft.dct(bands, type=2, axis=-1, norm="ortho")[..., :NUM_CEPSTRA]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(NUM_CEPSTRA) / LIFTER)
    cepstra[..., 0] = _log(power.sum(axis=-1))
    return np.asarray(cepstra)


def log_mel(frames: FloatArray) -> FloatArray:
    """Compute 40 log-mel bands, 0 to 8 kHz, of Hamming frames (Chung et al., 2020, section 2.1).

    Parameters
    ----------
    frames
        Samples; shape (..., 400).

    Returns
    -------
    FloatArray
        Natural logarithm of power; shape (..., 40).
    """
    power = np.abs(np.fft.rfft(frames * np.hamming(FRAME + 1)[:-1], FFT)) ** 2
    return np.asarray(np.log(power @ _mel_filters() + LOG_FLOOR))


def _log(values: FloatArray) -> FloatArray:
    """Take logarithms, with the least number above zero in place of zero."""
    return np.asarray(np.log(np.where(values == 0, _EPS, values)))


@lru_cache(maxsize=1)
def _psf_filters() -> FloatArray:
    """Return triangles between whole bins; shape (26, 257)."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, NUM_FILTERS + 2) / 2595) - 1)
    edges = np.floor((FFT + 1) * hertz / SAMPLE_RATE)
    left, middle, right = (edges[i : i + NUM_FILTERS, None] for i in range(3))
    bins = np.arange(FFT // 2 + 1)
    rising = (bins - left) / (middle - left)
    falling = (right - bins) / (right - middle)
    inside = (bins >= left) & (bins < right)
    return np.where(inside, np.where(bins < middle, rising, falling), 0.0)


@lru_cache(maxsize=1)
def _mel_filters() -> FloatArray:
    """Return torchaudio's triangles; shape (257, 40)."""
    from avbench._torchaudio import torchaudio

    filters = torchaudio.functional.melscale_fbanks(
        FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, NUM_MELS, SAMPLE_RATE
    )
    return np.asarray(filters.numpy(), np.float64)
