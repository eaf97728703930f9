"""How far two mouths open and widen together, from face landmarks.

Conventions
-----------
* Landmarks follow the 68-point scheme of iBUG and OpenFace, counted from 0, in pixels with y
  downwards. The inner lips are 60 .. 67: 60 and 64 the corners, 62 and 66 the middles of the upper
  and the lower lip. Shalev and Wolf count from 1 (61, 65, 63, 67); those columns, read from 0,
  would measure diagonals.
* A frame without a face is NaN, and left out of a correlation.
* A shape that does not change has no correlation: NaN, counted, and left out of the mean.

Versions
--------
The numbers of two versions are not to be mixed; `VERSIONS` names them. The paper measures the
vertical distance of the lips and the horizontal distance of the corners in pixels.

References
----------
Shalev and Wolf, "End to end lip synchronization with a temporal autoencoder" (2020), section 6.3
and Table 4: a video retimed to another speaker's voice against the video of that speaker.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

UPPER, LOWER, LEFT, RIGHT = 62, 66, 60, 64
"""Inner lips: middle of the upper and of the lower, corners."""
EYES = (36, 45)
"""Outer corners of the eyes."""

Version = Literal["axis", "euclidean", "axis-interocular", "euclidean-interocular"]
VERSIONS: dict[Version, str] = {
    "axis": "mouth/axis@1",
    "euclidean": "mouth/euclidean@1",
    "axis-interocular": "mouth/axis-interocular@1",
    "euclidean-interocular": "mouth/euclidean-interocular@1",
}
"""Along one axis of the picture (the paper), or the distance of the points however the head is
tilted; in pixels, or divided by the distance of the outer eye corners in each frame."""


def validate(landmarks: ArrayLike) -> NDArray[np.float64]:
    """Check landmarks and return them as floats.

    Parameters
    ----------
    landmarks
        x and y of 68 points per frame, further coordinates ignored; shape (T, 68, >= 2).

    Raises
    ------
    ValueError
        If the shape is another or a coordinate is infinite.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim != 3 or points.shape[1] != 68 or points.shape[2] < 2:
        raise ValueError(f"got landmarks of shape {points.shape}, expected (T, 68, 2)")
    if np.any(np.isinf(points)):
        raise ValueError("got a landmark at infinity; a frame without a face is NaN")
    return points[:, :, :2]


def height(landmarks: ArrayLike, version: Version = "axis") -> NDArray[np.float64]:
    """Return how far the mouth is open in each frame.

    Parameters
    ----------
    landmarks
        As in `validate`; shape (T, 68, 2).
    version
        One of `VERSIONS`.

    Returns
    -------
    NDArray
        Pixels, or inter-ocular distances; NaN without a face; shape (T,).
    """
    return _distance(landmarks, UPPER, LOWER, axis=1, version=version)


def width(landmarks: ArrayLike, version: Version = "axis") -> NDArray[np.float64]:
    """Return how wide the mouth is in each frame; like `height`."""
    return _distance(landmarks, LEFT, RIGHT, axis=0, version=version)


def _distance(
    landmarks: ArrayLike, first: int, second: int, axis: int, version: Version
) -> NDArray[np.float64]:
    if version not in VERSIONS:
        raise ValueError(f"got {version = }, expected one of {', '.join(VERSIONS)}")
    points = validate(landmarks)
    apart = points[:, second] - points[:, first]
    found = np.abs(apart[:, axis]) if version.startswith("axis") else np.linalg.norm(apart, axis=1)
    if version.endswith("interocular"):
        eyes = np.linalg.norm(points[:, EYES[1]] - points[:, EYES[0]], axis=1)
        found = found / np.where(eyes > 0, eyes, np.nan)
    return np.asarray(found)


def pearson(first: ArrayLike, second: ArrayLike) -> float:
    """Return the Pearson correlation of two series, cut to their common length.

    Parameters
    ----------
    first, second
        One value per frame, NaN for none; shape (T,) and (U,). Frames with both count.

    Returns
    -------
    float
        In [-1, 1]; NaN where fewer than two frames count or a series does not change in them.

    >>> round(pearson([1, 2, 3, 9], [2, 4, 6]), 6), pearson([1, 1], [1, 2])
    (1.0, nan)
    """
    one, two = (np.asarray(x, dtype=np.float64) for x in (first, second))
    if one.ndim != 1 or two.ndim != 1:
        raise ValueError(f"got shapes {one.shape} and {two.shape}, expected two series")
    common = min(len(one), len(two))
    one, two = one[:common], two[:common]
    known = ~(np.isnan(one) | np.isnan(two))
    one, two = one[known], two[known]
    # Exactly constant: a mean of equal numbers may differ from them by rounding.
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return math.nan
    one, two = (x / np.abs(x).max() for x in (one - one.mean(), two - two.mean()))
    value = float((one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum()))
    return min(1.0, max(-1.0, value))


@dataclass(frozen=True)
class MeanCorrelation:
    """Correlations of several videos."""

    mean: float
    """Over the videos that have one; NaN where none has."""
    videos: int
    undefined: int
    """Videos without a correlation."""
    version: str


def mean_correlation(
    modified: Sequence[ArrayLike],
    original: Sequence[ArrayLike],
    shape: Literal["height", "width"] = "height",
    version: Version = "axis",
) -> MeanCorrelation:
    """Correlate the mouths of videos pair by pair and average.

    Parameters
    ----------
    modified, original
        Landmarks of each retimed video and of the one whose voice it got; each (T, 68, 2).
    shape
        Height or width of the mouth.
    version
        One of `VERSIONS`.
    """
    measure = {"height": height, "width": width}[shape]
    if len(modified) != len(original):
        raise ValueError(f"got {len(modified)} modified and {len(original)} original videos")
    found = np.array(
        [
            pearson(measure(a, version), measure(b, version))
            for a, b in zip(modified, original, strict=True)
        ]
    )
    known = found[~np.isnan(found)]
    mean = float(known.mean()) if len(known) else math.nan
    return MeanCorrelation(mean, len(found), len(found) - len(known), VERSIONS[version])
