"""Which pictures of a video are the one before, shown again, and where pictures are missing.

A picture that is shown again says nothing new, and where it was put in by mistake it is to go: an
alignment is found among the others alone. Coding leaves small differences between copies, so that
a picture counts as held where the face changes far less than it usually does. Where pictures are
gone it changes by more, which tells less surely, as faces do not move evenly.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import stats

from avbench.data import FloatArray, IntArray, UInt8Array

SHARE = 0.15
"""A face that changes by less than this share of what is usual near by is held."""
USUAL = 0.75
"""Quantile of the changes near by that is usual: most pictures may be held."""
NEAR = 25
"""Pictures before and after that count as near by."""
LEAST = 0.02
"""A usual change below this, in grey levels, means a still picture, of which none is held."""


BESIDE, CALM = 5, 0.4
"""Pictures before and after that a change is compared with, and their quantile that stands for a
change with nothing missing."""
GROWTH = 0.3
"""A change across n pictures is ``n ** GROWTH`` times as large: less than n times, as faces swing
to and fro and pictures are noisy."""
TAILS = 3.0
"""Degrees of freedom of Student's distribution, by which large departures happen now and then."""
TIGHTEST = 0.1
"""Least scale of the logarithm of a change that is believed."""


def change(before: UInt8Array, after: UInt8Array, box: FloatArray) -> float:
    """Return by how many grey levels a face differs between two pictures, on average.

    Parameters
    ----------
    before, after
        RGB; shape (H, W, 3).
    box
        x0, y0, x1, y1 of the face in pixels.
    """
    height, width = after.shape[:2]
    x0, y0, x1, y1 = np.round(box).astype(int)
    part = np.s_[max(y0, 0) : min(max(y1, 1), height), max(x0, 0) : min(max(x1, 1), width), 1]
    old, new = before[part], after[part]
    if not new.size:
        return float("nan")
    return float(np.abs(old.astype(np.int16) - new).mean())


def changes(images: Iterable[UInt8Array], boxes: FloatArray) -> FloatArray:
    """Return how much a face changes before each of its pictures, inf for the first; shape (T,).

    Parameters
    ----------
    images
        RGB, in order, T or more.
    boxes
        Of the face; shape (T, 4).
    """
    found = np.full(len(boxes), np.inf)
    before = None
    for number, (image, box) in enumerate(zip(images, boxes, strict=False)):
        if before is not None:
            found[number] = change(before, image, box)
        before = image
    return found


def crop_changes(frames: UInt8Array) -> FloatArray:
    """Return `changes` of pictures that show a face and little else.

    Parameters
    ----------
    frames
        RGB face crops; shape (T, H, W, 3).
    """
    height, width = frames.shape[1:3]
    return changes(frames, np.tile([0.0, 0.0, width, height], (len(frames), 1)))


def held(moved: FloatArray) -> IntArray:
    """Say which pictures show what the one before them shows.

    Parameters
    ----------
    moved
        As from `changes`; shape (T,).

    Returns
    -------
    IntArray
        Number of each picture among those that are not held; shape (T,).

    >>> held(np.array([np.inf, 2.0, 0.1, 2.1, 1.9, 0.0, 0.1])).tolist()
    [0, 1, 1, 2, 3, 3, 3]
    """
    values = np.nan_to_num(moved, nan=np.inf)
    usual = np.empty(len(values))
    for place in range(len(values)):
        near = values[max(place - NEAR, 0) : place + NEAR + 1]
        near = near[np.isfinite(near)]
        usual[place] = np.quantile(near, USUAL) if len(near) else 0.0
    still = (values < SHARE * usual) & (usual > LEAST)
    still[:1] = False
    return np.cumsum(~still) - 1


def missing(moved: FloatArray) -> FloatArray:
    """Say how much better it explains the changes that pictures are missing.

    Parameters
    ----------
    moved
        Change before each picture that is not held, inf for the first; shape (T,).

    Returns
    -------
    FloatArray
        Natural logarithms of how much likelier the change before each picture is if one picture is
        missing there, and if more (as for two); shape (T, 2).
    """
    out = np.zeros((len(moved), 2))
    known = np.flatnonzero(np.isfinite(moved))
    if len(known) < 2 * BESIDE:
        return out
    logs = np.log(np.asarray(moved, np.float64)[known] + 1e-3)
    near = [logs[max(at - BESIDE, 0) : at + BESIDE + 1] for at in range(len(logs))]
    excess = logs - np.array([np.quantile(some, CALM) for some in near])
    below = -excess[excess < 0]  # nothing is missing there, so that they tell the spread
    if not len(below):
        return out
    scale = max(float(np.median(below)) / stats.norm.ppf(0.75), TIGHTEST)
    usual = stats.t.logpdf(excess / scale, TAILS)
    for column, pictures in enumerate((2, 3)):
        wider = excess - GROWTH * np.log(pictures)
        out[known, column] = stats.t.logpdf(wider / scale, TAILS) - usual
    return out
