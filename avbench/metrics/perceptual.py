"""Would a viewer notice? Shares of residual errors inside published windows of lip-sync error.

Conventions
-----------
* A residual is what is left of the error once sound was moved by the predicted offset:
  ``true - predicted``, here in milliseconds, so that any frame rate can be judged. Its sign is
  that of `avbench.timing`: positive where audio still leads.
* People accept sound that is late far better than sound that is early, because light outruns
  sound; the windows are lopsided, and a swapped sign changes the result.
* NaN (no answer) is outside every window.
* The windows come from listening tests with standard-definition pictures on cathode-ray tubes,
  and differ by what their authors asked. They are reported beside each other and never mixed.

Metrics
-------
* `inside`, `perceptual_accuracy`: which residuals, and what share of them, lie in a window.
* `perceptual_score`: our own smooth score between two windows.

References
----------
ITU-R BT.1359-1, "Relative timing of sound and vision for broadcasting" (1998), the detectability
of which Chung and Zisserman, "Out of time" (2016), quote as -125 .. +45 ms and use for the
"human-detectable range" of their Table 2; EBU R37 (2007); ATSC IS-191 (2003); ITU-R BR.265 for
film. The numbers were taken from secondary sources, named in each `Window`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avbench.timing import FPS


@dataclass(frozen=True)
class Window:
    """A range of residual lip-sync error, bounds included."""

    name: str
    """As in ``perceptual@<name>``."""
    lag_ms: float
    """Where it begins: at most so much may sound be late; negative."""
    lead_ms: float
    """Where it ends: at most so much may sound be early; positive."""
    meaning: str
    source: str

    def frames(self, fps: float = FPS) -> tuple[int, int]:
        """Return the first and last whole frame inside, at a frame rate.

        >>> WINDOWS["bt1359-detect"].frames(), WINDOWS["ebu-r37"].frames()
        ((-3, 1), (-1, 1))
        """
        first, last = (ms * fps / 1000 for ms in (self.lag_ms, self.lead_ms))
        return math.ceil(first - 1e-9), math.floor(last + 1e-9)


_BT1359 = "ITU-R BT.1359-1, as quoted by tvtechnology.com and broadcastengineering.com"

WINDOWS = {
    window.name: window
    for window in (
        Window(
            "bt1359-detect",
            -125,
            45,
            "an average viewer does not detect the error",
            f"{_BT1359}; Chung and Zisserman (2016), section 1",
        ),
        Window("bt1359-accept", -185, 90, "an average viewer accepts the error", _BT1359),
        Window(
            "ebu-r37",
            -60,
            40,
            "one distribution path may add so much",
            "EBU R37, as tabulated by bnoack.com",
        ),
        Window(
            "atsc-is191",
            -45,
            15,
            "a broadcast encoder may add so much",
            "ATSC IS-191, as quoted by tvtechnology.com and broadcastengineering.com",
        ),
        Window(
            "film-br265",
            -22,
            22,
            "picture and sound of a film agree",
            "ITU-R BR.265, as quoted by broadcastengineering.com",
        ),
    )
}
"""The windows by name, in milliseconds."""


def validate(residual_ms: ArrayLike) -> NDArray[np.float64]:
    """Check residuals and return them as floats.

    Parameters
    ----------
    residual_ms
        Residual errors in milliseconds (positive: audio leads), NaN where there was no answer;
        shape (n,).

    Raises
    ------
    ValueError
        If the shape is not one-dimensional or a residual is infinite.
    """
    values = np.asarray(residual_ms, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"got residuals of shape {values.shape}, expected (n,)")
    if np.any(np.isinf(values)):
        raise ValueError("got a residual that is infinite; only NaN says that there is no answer")
    return values


def to_ms(residual: ArrayLike, fps: float = FPS) -> NDArray[np.float64]:
    """Convert residuals in frames to milliseconds.

    >>> to_ms([-3, 1]).tolist(), to_ms([3], fps=30000 / 1001).round(1).tolist()
    ([-120.0, 40.0], [100.1])
    """
    if not fps > 0:
        raise ValueError(f"got {fps = }, expected more than 0 frames per second")
    return np.asarray(1000.0 * np.asarray(residual, dtype=np.float64) / fps)


def inside(residual_ms: ArrayLike, window: Window) -> NDArray[np.bool_]:
    """Say which residuals lie in a window, bounds included; NaN does not.

    Parameters
    ----------
    residual_ms
        Residual errors in milliseconds (positive: audio leads); shape (n,).
    window
        One of `WINDOWS`, or another.

    >>> inside([-125, -126, 45, 46, float("nan")], WINDOWS["bt1359-detect"]).tolist()
    [True, False, True, False, False]
    """
    values = validate(residual_ms)
    return np.asarray((values >= window.lag_ms) & (values <= window.lead_ms))


def perceptual_accuracy(residual_ms: ArrayLike, window: Window) -> float:
    """Return the fraction of residuals inside a window; NaN where nothing was asked."""
    hit = inside(residual_ms, window)
    return float(hit.mean()) if len(hit) else math.nan


def perceptual_score(
    residual_ms: ArrayLike,
    full: Window = WINDOWS["bt1359-detect"],
    none: Window = WINDOWS["bt1359-accept"],
) -> float:
    """Return the mean of a smooth, lopsided score of residuals.

    The score is avbench's own and no standard. A residual that viewers do not detect scores 1, one
    that they do not accept scores 0, and in between the score falls along half a cosine, on
    either side between that side's two bounds. The four bounds are those of BT.1359; only the
    shape between them is a choice, made so that the score has no corner.

    Parameters
    ----------
    residual_ms
        Residual errors in milliseconds (positive: audio leads), NaN scores 0; shape (n,).
    full, none
        Windows inside the first of which the score is 1, outside the second 0.

    Returns
    -------
    float
        In [0, 1], higher is better; NaN where nothing was asked.

    >>> [round(perceptual_score([ms]), 3) for ms in (-200, -160, -120, 0, 40, 80, 120)]
    [0.0, 0.371, 1.0, 1.0, 1.0, 0.117, 0.0]
    """
    if not (none.lag_ms < full.lag_ms <= 0 <= full.lead_ms < none.lead_ms):
        raise ValueError(f"got windows {full.name} and {none.name}, expected the first inside")
    values = validate(residual_ms)
    if not len(values):
        return math.nan
    late = (full.lag_ms - values) / (full.lag_ms - none.lag_ms)
    early = (values - full.lead_ms) / (none.lead_ms - full.lead_ms)
    depth = np.clip(np.maximum(late, early), 0, 1)
    return float(np.nan_to_num((1 + np.cos(np.pi * depth)) / 2, nan=0.0).mean())
