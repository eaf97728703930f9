"""LSE-D and LSE-C: how well lips fit the sound, as a SyncNet sees it.

Conventions
-----------
* A curve holds, for one clip, the mean distance of picture and sound at every candidate offset,
  ascending (`avbench.similarity.sliding_distances`); a candidate without evidence is not finite.
* LSE-D is the mean over clips of the least distance, lower is better. LSE-C is the mean over
  clips of median minus least, higher is better. Every clip weighs the same, however long.
* Both are in units of one network's embedding: numbers of two checkpoints say nothing about each
  other, and neither do those of two variants (`Variant`).

References
----------
Prajwal et al., "A lip sync expert is all you need for speech to lip generation in the wild"
(2020): LSE-D and LSE-C with the released SyncNet v2 and candidates of ±15 frames. How the faces
are cut differs between evaluations and moves the numbers: the same recordings (LRS2) score
6.84 / 7.19 in one paper and 8.25 / 6.26 in a re-measurement (LipVoicer#5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

SEARCH = 15
"""Range of candidate offsets of the published numbers, in frames."""

Variant = Literal["facetrack", "whole-frame", "s3fd-track"]
VARIANTS: dict[Variant, str] = {
    "facetrack": "faces as avbench build-shards cut them, not cut again",
    "whole-frame": "the whole frame resized, as on LRS2 and LRS3, whose frames are faces already",
    "s3fd-track": "faces found and cut by the SyncNet pipeline (S3FD), as on other videos",
}
"""How the picture reaches the network."""


def validate(curves: ArrayLike) -> NDArray[np.float64]:
    """Check mean distance curves and return them as floats, what is not finite as NaN.

    Parameters
    ----------
    curves
        Mean distances, one row per clip, offsets ascending; shape (n, 2 * search + 1).

    Raises
    ------
    ValueError
        If the shape is another, or a distance is negative.
    """
    values = np.asarray(curves, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] % 2 == 0:
        raise ValueError(f"got curves of shape {values.shape}, expected (n, 2 * search + 1)")
    if np.any(values < 0):
        raise ValueError("got a negative distance; are these similarities?")
    return np.where(np.isfinite(values), values, np.nan)


def per_clip(curves: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return least distance, and median minus least, of every clip; shape (n,) each.

    Candidates without evidence are left out; a clip without any has NaN.

    >>> least, margin = per_clip([[9, 4, 8, 7, 9], [6, 6, 5, 7, float("inf")]])
    >>> least.tolist(), margin.tolist()
    ([4.0, 5.0], [4.0, 1.0])
    """
    values = validate(curves)
    known = ~np.isnan(values).all(axis=1)
    least, margin = np.full(len(values), np.nan), np.full(len(values), np.nan)
    least[known] = np.nanmin(values[known], axis=1)
    margin[known] = np.nanmedian(values[known], axis=1) - least[known]
    return least, margin


@dataclass(frozen=True)
class Lse:
    """Lip-sync error of a set of clips."""

    distance: float
    """LSE-D, lower is better; NaN where no clip has one."""
    confidence: float
    """LSE-C, higher is better; NaN where no clip has one."""
    clips: int
    undefined: int
    """Clips without any evidence, left out of both means."""
    search: int
    """Range of candidate offsets in frames."""
    variant: Variant


def lse(curves: ArrayLike, variant: Variant) -> Lse:
    """Average least distances and confidences over clips.

    Parameters
    ----------
    curves
        As in `validate`; shape (n, 2 * search + 1).
    variant
        How the picture reached the network, one of `VARIANTS`.

    >>> found = lse([[9, 4, 8, 7, 9], [6, 6, 5, 7, 7]], "facetrack")
    >>> found.distance, found.confidence
    (4.5, 2.5)
    """
    if variant not in VARIANTS:
        raise ValueError(f"got {variant = }, expected one of {', '.join(VARIANTS)}")
    least, margin = per_clip(curves)
    known = ~np.isnan(least)
    means = [float(x[known].mean()) if known.any() else math.nan for x in (least, margin)]
    search = np.shape(curves)[1] // 2
    return Lse(means[0], means[1], len(least), int((~known).sum()), search, variant)
