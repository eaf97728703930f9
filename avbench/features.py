"""What the networks look at: log-mel sound and small grey mouth pictures.

Both are strictly local, so that the embedding of a window is the same whether it is computed from
the window alone or from the whole clip. Five video frames (`WINDOW`) span 3,200 samples; without
centre padding exactly 18 mel frames of 25 ms every 10 ms fit inside them, and row t takes the mel
frames 4t .. 4t + 17, hence no sample outside 640t .. 640t + 3200.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from avbench.data import JSON, FloatArray, UInt8Array
from avbench.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

if TYPE_CHECKING:
    import torch

WINDOW = 5
"""Video frames that one embedding sees."""
NUM_MELS = 40
MEL_WINDOW = SAMPLE_RATE * 25 // 1000
"""Samples in one mel frame (25 ms)."""
MEL_HOP = SAMPLE_RATE * 10 // 1000
"""Samples between mel frames (10 ms)."""
MELS_PER_FRAME = SAMPLES_PER_FRAME // MEL_HOP
"""Mel frames per video frame (4)."""
WINDOW_MELS = (WINDOW * SAMPLES_PER_FRAME - MEL_WINDOW) // MEL_HOP + 1
"""Mel frames that fit inside one window (18)."""
LOG_FLOOR = 1e-6
"""Added to the mel power of sound in [-1, 1] before the logarithm: about the noise of 12 bits."""

MOUTH_CENTRE = (0.50, 0.55)
"""Centre of the mouth region, x and y as fractions of a face crop.

In crops of SyncNet's geometry, closed mouths of real and of drawn frontal faces lie 0.52 to 0.58
down, and opening moves the lower lip further down."""
MOUTH_SIDE = 0.32
"""Side of the mouth region as a fraction of a face crop."""
MOUTH_PIXELS = 48
"""Side in pixels of the grey picture that a network sees."""
MOUTH_MARGIN = 4 / 3
"""A training picture shows this many times the mouth region, to have something to move into."""
MARGIN_PIXELS = 64
"""Side in pixels of a training picture: `MOUTH_PIXELS` times `MOUTH_MARGIN`."""

FACE_PIXELS = 56
"""Side in pixels of the small grey picture of a whole face crop in which movement is looked for."""


def describe() -> dict[str, JSON]:
    """Return the settings of this module: a network trained under others is of no use here."""
    return {
        "window": WINDOW,
        "mels": [NUM_MELS, MEL_WINDOW, MEL_HOP, LOG_FLOOR],
        "mouth": [*MOUTH_CENTRE, MOUTH_SIDE, MOUTH_PIXELS],
    }


def log_mel(audio: FloatArray) -> torch.Tensor:
    """Compute the log-mel power spectrum without padding.

    Parameters
    ----------
    audio
        Mono sound at 16 kHz in [-1, 1]; shape (S,).

    Returns
    -------
    torch.Tensor
        Natural logarithm of power, float32; frame m sees samples ``160 m .. 160 m + 400`` only;
        shape (40, M) with M = (S - 400) // 160 + 1, or 0 where the sound is shorter.
    """
    import torch

    samples = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
    if samples.ndim != 1:
        raise ValueError(f"got {audio.shape = }, expected (S,)")
    if len(samples) < MEL_WINDOW:
        return torch.zeros(NUM_MELS, 0)
    with torch.no_grad():
        power: torch.Tensor = _mel_transform()(samples)
        return torch.log(power + LOG_FLOOR)


@lru_cache(maxsize=1)
def _mel_transform() -> Any:
    from avbench._torchaudio import torchaudio

    return torchaudio.transforms.MelSpectrogram(
        sample_rate=SAMPLE_RATE,
        n_fft=MEL_WINDOW,
        hop_length=MEL_HOP,
        n_mels=NUM_MELS,
        f_max=SAMPLE_RATE / 2,
        center=False,
    )


def mel_windows(mels: torch.Tensor) -> torch.Tensor:
    """Cut the mel frames of every five-frame window and remove each window's mean level.

    The level goes window by window, not clip by clip, so that nothing outside a window reaches
    its embedding.

    Parameters
    ----------
    mels
        Log-mel frames; shape (..., 40, M).

    Returns
    -------
    torch.Tensor
        Shape (..., N, 40, 18), N = (M - 18) // 4 + 1.
    """
    windows = mels.unfold(-1, WINDOW_MELS, MELS_PER_FRAME).movedim(-2, -3)
    return windows - windows.mean(dim=(-2, -1), keepdim=True)


def mouth_pictures(
    frames: UInt8Array, *, pixels: int = MOUTH_PIXELS, margin: float = 1.0
) -> UInt8Array:
    """Cut the mouth region out of face crops, grey and small.

    The region is a fixed part of the crop (`MOUTH_CENTRE`, `MOUTH_SIDE`); edges repeat where it
    leaves the crop.

    Parameters
    ----------
    frames
        RGB face crops; shape (T, H, W, 3).
    pixels
        Side of a returned picture.
    margin
        Show this many times the region.

    Returns
    -------
    UInt8Array
        Shape (T, pixels, pixels).
    """
    import cv2

    height, width = frames.shape[1:3]
    side = MOUTH_SIDE * margin
    scale = np.array([side * width, side * height]) / pixels
    corner = np.array([MOUTH_CENTRE[0] * width, MOUTH_CENTRE[1] * height]) - scale * pixels / 2
    left, top = np.round(corner).astype(int)
    right, bottom = np.round(corner + scale * pixels).astype(int)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    out = np.empty((len(frames), pixels, pixels), np.uint8)
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    for index, frame in enumerate(frames):
        shown = np.ascontiguousarray(frame[y0:y1, x0:x1])
        grey = cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)
        region = np.ascontiguousarray(grey[np.ix_(rows - y0, columns - x0)])
        out[index] = cv2.resize(region, (pixels, pixels), interpolation=cv2.INTER_AREA)
    return out


def face_pictures(frames: UInt8Array) -> UInt8Array:
    """Shrink face crops, grey; RGB of shape (T, H, W, 3) to (T, FACE_PIXELS, FACE_PIXELS)."""
    import cv2

    out = np.empty((len(frames), FACE_PIXELS, FACE_PIXELS), np.uint8)
    for index, frame in enumerate(frames):
        grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
        out[index] = cv2.resize(grey, out.shape[1:], interpolation=cv2.INTER_AREA)
    return out
