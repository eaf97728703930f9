"""Where the mouth is: a steady square around it, from the points of the face in every frame.

Geometry
--------
The square lies around the mean of twelve points on the outer edge of the lips. Its side is 1.1
times the distance of the outer corners of the eyes, about two widths of a mouth at rest, so that
it reaches from the tip of the nose to the chin; the mouth itself opens and rounds, and can be no
measure. A head that turns brings the corners of its eyes together, but not eyes and mouth: the
larger of the two distances counts, the second by its ratio to the first in a face seen from the
front (as in the model face of FaceMesh). The square is upright, as that of the whole face is.

Points are looked for in the crops of the face as they are cut, before anything is coded, every
frame by itself; then centre and side pass the same median filter as those of the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from avbench.data import JSON, FloatArray, UInt8Array
from avbench.errors import UsageError

from .crops import CropSettings, median_filter

NO_MOUTH = "no-mouth"
"""Reason of a track in which the points of the face were found too seldom."""
_LIPS, _EYES = slice(0, 12), slice(12, 14)
_EYES_TO_MOUTH = 1.27
"""Distance of the outer corners of the eyes over that of their middle from the mouth."""


@dataclass(frozen=True)
class MouthSettings:
    """How mouths are cut, where that is wanted."""

    size: int = 0
    """Side of a mouth crop in pixels; none are cut where 0."""
    reach: float = 1.1
    """Side of the square as a share of the distance of the outer corners of the eyes."""
    min_found: float = 0.5
    """Least share of a track's frames in which the points of the face are found."""

    def __post_init__(self) -> None:
        if self.size < 0 or self.size % 2 or 0 < self.size < 32:
            raise UsageError(
                f"got mouth.size {self.size}, expected 0 (none) or an even number from 32 on"
            )
        if not (self.reach > 0 and 0 < self.min_found <= 1):
            raise UsageError(
                f"got mouth.reach {self.reach} and mouth.min_found {self.min_found}; expected "
                "more than 0, and a share above 0"
            )


@dataclass(frozen=True, eq=False)
class Mouth:
    """The way of a mouth through a track."""

    squares: FloatArray
    """left, top, side in source pixels; shape (T, 3)."""
    missed: Sequence[int]
    """Frames of the track, from 0, in which no points were found: there it is interpolated."""

    def as_json(self, size: int) -> dict[str, JSON]:
        """Return what is recorded of it."""
        return {
            "size": size,
            "squares": np.round(self.squares, 3).tolist(),
            "interpolated": list(self.missed),
            "cut_from": "the pictures of the source",
        }


def look(crop: UInt8Array) -> FloatArray:
    """Find lips and eyes in the crop of a face; shape (14, 2), in units of its side, or NaN.

    Raises
    ------
    MissingDependency
        If mediapipe is not installed.
    """
    from avbench import landmarks

    right, *_, left = landmarks.EYES
    points = landmarks.find(crop[None], (*landmarks.OUTER_LIP, right, left))
    found: FloatArray = points[0].astype(np.float64)
    return found


def find_mouth(points: FloatArray, settings: MouthSettings, smooth: int) -> Mouth | None:
    """Lay a square around the mouth in every frame.

    Parameters
    ----------
    points
        What `look` found, in source pixels, NaN where nothing; shape (T, 14, 2).
    settings
        How large the squares are.
    smooth
        Frames, odd, of the median filter.

    Returns
    -------
    Mouth or None
        None where points were found too seldom.
    """
    found = np.isfinite(points).all(axis=(1, 2))
    if not found.any() or found.mean() < settings.min_found:
        return None
    centre = points[found][:, _LIPS].mean(axis=1)
    right, left = points[found][:, _EYES].transpose(1, 0, 2)
    width = np.linalg.norm(left - right, axis=1)
    height = np.linalg.norm(centre - (left + right) / 2, axis=1)
    side = settings.reach * np.maximum(width, _EYES_TO_MOUTH * height)
    known, every = np.flatnonzero(found), np.arange(len(points))
    columns = [np.interp(every, known, column) for column in (*centre.T, side)]
    x, y, side = median_filter(np.stack(columns, axis=1), smooth).T
    squares = np.stack([x - side / 2, y - side / 2, side], axis=1)
    return Mouth(squares, np.flatnonzero(~found).tolist())


def mouth_crops(crops: CropSettings, settings: MouthSettings) -> CropSettings:
    """Return how the crops of mouths are stored: as those of faces, but for their size."""
    return replace(crops, size=settings.size)
