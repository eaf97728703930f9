"""Drawn heads as clips, in memory: nothing is encoded, detected or written."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from avbench.data import Alignment, Clip, FloatArray, UInt8Array
from avbench.synthetic import render_talking
from avbench.timing import FPS

SIZE = 224
"""Side of a crop in pixels, as in a shard."""
_PAD, _GREY, _SMOOTH = 0.4, 110, 13


def draw(index: int, num_frames: int, pool: str, preset: str, seed: int) -> Clip:
    """Draw one talking head and crop its face, in sync.

    Parameters
    ----------
    index, pool, preset, seed
        As for `avbench.synthetic.render_talking`.
    num_frames
        Length, at least 25.

    Raises
    ------
    MissingDependency
        If espeakng-loader is not installed.
    """
    made = render_talking(index, seed=seed, pool=pool, preset=preset, seconds=num_frames / FPS)
    boxes = made.truth.shots[0].faces[0].drawn.boxes
    squares = _squares(boxes)
    frames = [_crop(image, *square) for image, square in zip(made.pictures(), squares, strict=True)]
    truth = Alignment.from_offset(0, num_frames)
    return Clip(f"drawn-head-{index:02d}", np.stack(frames), made.audio, truth)


def _squares(boxes: FloatArray) -> list[list[float]]:
    """Return left, top and side of every frame's crop, in the geometry of SyncNet.

    With s half the longer side of the box, the crop is 2.8 s wide and reaches from s above the
    middle of the face to 1.8 s below (Chung and Zisserman 2016, as their released code crops).
    """
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    track = np.column_stack([half, middle])
    half, x, y = ndimage.median_filter(track, size=(_SMOOTH, 1), mode="nearest").T
    reach = 1 + _PAD
    left, top, side = x - reach * half, y - half, 2 * reach * half
    return [list(square) for square in zip(left.tolist(), top.tolist(), side.tolist(), strict=True)]


def _crop(image: UInt8Array, left: float, top: float, side: float) -> UInt8Array:
    scale = side / SIZE
    corner = scale / 2 - 0.5
    matrix = np.array([[scale, 0, left + corner], [0, scale, top + corner]])
    crop = cv2.warpAffine(
        image,
        matrix,
        (SIZE, SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(_GREY,) * 3,
    )
    return np.asarray(crop, np.uint8)
