"""Lips in the 68-point scheme, from FaceMesh: what `avbench.metrics.mouth` takes."""

from __future__ import annotations

import numpy as np

from avbench import landmarks
from avbench.data import UInt8Array
from avbench.metrics import mouth

_FIRST = 60
"""First point of the inner lips in the scheme, counted from 0."""
_POINTS = (*landmarks.INNER_LIP, landmarks.EYES[0], landmarks.EYES[3])


def lips(frames: UInt8Array) -> np.ndarray:
    """Find the inner lips and the outer corners of the eyes, frame by frame.

    Parameters
    ----------
    frames
        RGB face crops; shape (T, H, W, 3).

    Returns
    -------
    ndarray
        Pixels of the crop; points 60 to 67, 36 and 45 of 68, the others NaN, as all are where no
        face is found; shape (T, 68, 2), float64.

    Raises
    ------
    MissingDependency
        If mediapipe is not installed.
    """
    found = landmarks.find(frames, _POINTS).astype(np.float64)
    _, height, width, _ = frames.shape
    out = np.full((len(frames), 68, 2), np.nan)
    inner = len(landmarks.INNER_LIP)
    out[:, _FIRST : _FIRST + inner] = found[:, :inner]
    out[:, list(mouth.EYES)] = found[:, inner:]
    return out * (width, height)
