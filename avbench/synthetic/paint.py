"""A small soft brush: shapes with smooth edges and fields of colour on arrays."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avbench.data import FloatArray, UInt8Array
from avbench.synthetic.look import Colour

_SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates."""


def fixed(points: FloatArray) -> NDArray[np.int32]:
    """Convert pixel positions to OpenCV's fixed point, shape (n, 2)."""
    return np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)


def polygon_mask(shape: tuple[int, int], points: FloatArray) -> UInt8Array:
    """Return the coverage, 0 to 255, of a polygon with smooth edges; ``shape`` is (H, W)."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [fixed(points)], 255, cv2.LINE_AA, _SHIFT)
    return mask


def ellipse_points(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0, count: int = 40
) -> FloatArray:
    """Return points around an ellipse, shape (count, 2)."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
    turn = np.radians(degrees)
    return np.stack(
        [
            centre[0] + x * np.cos(turn) - y * np.sin(turn),
            centre[1] + x * np.sin(turn) + y * np.cos(turn),
        ],
        axis=1,
    )


def cover(image: UInt8Array, mask: UInt8Array, colour: Colour | FloatArray) -> None:
    """Lay ``colour`` (one, or one per pixel) over the RGB of ``image`` where ``mask`` covers it.

    Only the box around the mask is touched; further channels stay as they are.
    """
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return
    box = (slice(y, y + height), slice(x, x + width))
    share = mask[box].astype(np.float32)[..., None] / 255
    paint = np.asarray(colour, np.float32)
    paint = paint[box] if paint.ndim == 3 else paint
    under = image[box][..., :3]
    under[...] = (under + (paint - under) * share + 0.5).astype(np.uint8)


def line_mask(
    shape: tuple[int, int], points: FloatArray, thickness: float, closed: bool = False
) -> UInt8Array:
    """Return the coverage of a smooth line (pixels); thinner than a pixel means fainter."""
    mask = np.zeros(shape, np.uint8)
    strength = round(255 * min(1.0, thickness))
    pen = max(1, round(thickness))
    cv2.polylines(mask, [fixed(points)], closed, strength, pen, cv2.LINE_AA, _SHIFT)
    return mask


def stroke(image: UInt8Array, points: FloatArray, colour: Colour, thickness: float) -> None:
    """Draw a smooth line through ``points`` (pixels)."""
    cover(image, line_mask((image.shape[0], image.shape[1]), points, thickness), colour)


def crease(image: UInt8Array, points: FloatArray, factor: float, thickness: float) -> None:
    """Darken a picture by ``factor`` along a soft line through ``points`` (pixels)."""
    mask = line_mask((image.shape[0], image.shape[1]), points, thickness)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.5, 0.5 * thickness)))
    cover(image, mask, image[..., :3].astype(np.float32) * factor)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[float, float]
) -> FloatArray:
    """Return noise of unit variance whose grain is about ``cells`` (rows, columns) pixels."""
    rows = max(2, int(np.ceil(shape[0] / cells[0])) + 1)
    columns = max(2, int(np.ceil(shape[1] / cells[1])) + 1)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC))


def drift(rng: np.random.Generator, num_frames: int, sd: float, max_hz: float) -> FloatArray:
    """Return a smooth random movement at 25 frames per second, shape (T,).

    A sum of six sinusoids of random phase, slower ones larger.
    """
    time = np.arange(num_frames) / 25
    hertz = rng.uniform(0.05, max_hz, 6)
    amplitude = rng.standard_normal(6) / (0.5 + hertz)
    amplitude *= sd * np.sqrt(2) / max(float(np.linalg.norm(amplitude)), 1e-9)
    phase = rng.uniform(0, 2 * np.pi, 6)
    return np.asarray(np.sin(2 * np.pi * time[:, None] * hertz + phase) @ amplitude)
