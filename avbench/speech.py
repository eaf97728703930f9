"""Which frames of a recording speak.

A window of silence shows a still mouth: no method can tell its offset. Corpora that are cut to
sentences have none; others, such as GRID, begin and end with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avbench.data import FloatArray
from avbench.timing import SAMPLES_PER_FRAME

LOUD = 95.0
"""Percentile of the frames' levels that stands for the loudness of the speech."""
REACH_DB = 25.0
"""A frame speaks that is at most so much below it."""
_FLOOR = 1e-10
"""Power of digital silence, -100 dB of full scale."""


def speaking(audio: FloatArray) -> NDArray[np.bool_]:
    """Say which frames of 40 ms are loud enough to be speech.

    Loudness alone decides: where noise is less than `REACH_DB` below the speech, every frame
    counts as spoken.

    Parameters
    ----------
    audio
        Mono sound at 16 kHz in [-1, 1]; shape (S,). What is left of the last frame is not heard.

    Returns
    -------
    NDArray
        Shape (S // 640,). Silence throughout does not speak.

    Examples
    --------
    >>> sound = np.repeat([0.001, 0.5, 0.3, 0.002], 640) * np.resize([1, -1], 4 * 640)
    >>> speaking(sound).tolist()
    [False, True, True, False]
    """
    frames = np.asarray(audio, np.float64)
    frames = frames[: len(frames) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
    power = np.mean(frames.reshape(-1, SAMPLES_PER_FRAME) ** 2, axis=1)
    if not len(power):
        return np.zeros(0, np.bool_)
    level = 10 * np.log10(power + _FLOOR)
    loud = np.percentile(level, LOUD)
    return np.asarray((level >= loud - REACH_DB) & (power > _FLOOR))
