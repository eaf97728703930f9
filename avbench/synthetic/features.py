"""The moving parts of a drawn head: eyes, brows and the mouth, painted on every frame."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.synthetic.head import Head
from avbench.synthetic.look import Colour
from avbench.synthetic.paint import cover, ellipse_points, polygon_mask, stroke

JAW_DROP = 0.16
"""How far the chin sinks at the widest opening, in head units."""
LARGEST_GAP = 0.34
"""Between the lips at the widest opening, in head units."""


class MouthShape(NamedTuple):
    """One frame of `avbench.synthetic.mouth.MouthCurves`."""

    opening: float
    width: float
    rounding: float
    tuck: float
    tongue: float


class Gaze(NamedTuple):
    """One frame of the eyes."""

    lids: float
    """1 open, 0 closed."""
    x: float
    y: float
    brows: float
    """How far the brows are raised, in head units."""


def jaw_ramp(v: FloatArray, mouth_v: float) -> FloatArray:
    """Return the share of the jaw's drop that skin at ``v`` takes part in, 0 above the mouth."""
    t = np.clip((v - mouth_v) / 0.22, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


class _Patch:
    """A window of the canvas: strokes and fills in head units, cheap because it is small."""

    def __init__(self, head: Head, canvas: UInt8Array, box: tuple[float, float, float, float]):
        corner = np.floor(head.to_pixels(np.array(box[:2]))).astype(int)
        end = np.ceil(head.to_pixels(np.array(box[2:]))).astype(int)
        self._head = head
        self._corner = corner
        self.pixels = canvas[corner[1] : end[1], corner[0] : end[0]]

    def place(self, points: FloatArray) -> FloatArray:
        return self._head.to_pixels(points) - self._corner

    def mask(self, points: FloatArray) -> UInt8Array:
        return polygon_mask(self.pixels.shape[:2], self.place(points))

    def fill(self, points: FloatArray, colour: Colour) -> None:
        cover(self.pixels, self.mask(points), colour)

    def line(self, points: FloatArray, colour: Colour, thickness: float) -> None:
        stroke(self.pixels, self.place(points), colour, thickness * self._head.scale)


def paint_eyes(head: Head, canvas: UInt8Array, gaze: Gaze) -> None:
    """Paint both eyes and brows onto a copy of the head's canvas."""
    look = head.look
    for side in (-1, 1):
        u, v, size = side * look.eye_spacing, look.eye_height, look.eye_size
        patch = _Patch(head, canvas, (u - 0.3, v - 0.36, u + 0.3, v + 0.22))
        x = np.linspace(-1, 1, 15)
        arch = 1 - x**2
        span = u + 0.135 * size * x
        rise = 0.072 * size * gaze.lids
        upper = np.stack([span, v - rise * arch + 0.01 * side * x], axis=1)
        lower = np.stack([span, v + (0.012 + 0.035 * size * gaze.lids) * arch], axis=1)
        almond = np.concatenate([upper, lower[::-1]])
        opening = patch.mask(almond)
        eye = patch.pixels.copy()
        inside = _Patch(head, eye, (0, 0, 0, 0))
        inside.pixels, inside._corner = eye, patch._corner
        eye[..., :3] = (232, 228, 224)
        centre = (u + 0.05 * gaze.x, v - 0.012 + 0.03 * gaze.y)
        inside.fill(ellipse_points(centre, (0.062 * size, 0.064 * size)), look.eye)
        inside.fill(ellipse_points(centre, (0.028, 0.03)), (14.0, 12.0, 12.0))
        inside.fill(
            ellipse_points((centre[0] + 0.02, centre[1] - 0.022), (0.012, 0.012), count=12),
            (250.0, 250.0, 250.0),
        )
        cover(patch.pixels, opening, eye[..., :3].astype(np.float32))
        r, g, b = look.skin
        patch.line(upper, (r * 0.28, g * 0.25, b * 0.25), 0.026)
        patch.line(lower, (r * 0.7, g * 0.62, b * 0.6), 0.012)
        crease = np.stack([span, v - 0.075 * size * arch - 0.035], axis=1)
        patch.line(crease, (r * 0.72, g * 0.68, b * 0.66), 0.014)
        _paint_brow(head, patch, u, side, gaze.brows)


def _paint_brow(head: Head, patch: _Patch, u: float, side: int, raised: float) -> None:
    look = head.look
    x = np.linspace(-1, 1, 15)
    base = look.eye_height - 0.19 - raised
    middle = base - look.brow_arch * (1 - (x - 0.3 * side) ** 2) + 0.02
    half = look.brow_thickness * (0.55 + 0.45 * np.cos(np.pi * (x + 0.35 * side) / 2))
    span = u + 0.185 * x
    brow = np.concatenate(
        [np.stack([span, middle - half], 1), np.stack([span, middle + half * 0.6], 1)[::-1]]
    )
    r, g, b = look.hair
    dark = 0.7 if r + g + b < 420 else 0.8
    patch.fill(brow, (r * dark, g * dark, b * dark))


class _Lips(NamedTuple):
    """Outlines in final head units, each shape (n, 2), left to right."""

    outer_top: FloatArray
    inner_top: FloatArray
    inner_bottom: FloatArray
    outer_bottom: FloatArray
    gap: float
    half_width: float


def lip_outlines(head: Head, shape: MouthShape) -> _Lips:
    """Return where the lips are, for a mouth shape, before the head moves."""
    look = head.look
    half = look.mouth_width * (1 + 0.20 * shape.width - 0.30 * shape.rounding)
    half *= 1 - 0.10 * shape.opening
    gap = LARGEST_GAP * shape.opening + 0.02 * shape.tuck
    x = np.linspace(-1, 1, 25)
    arch = np.clip(1 - np.abs(x) ** (2.4 - 0.5 * shape.rounding), 0, None)
    line = look.mouth_height - (look.corner + 0.02 * max(shape.width, 0)) * x**2
    thick = 1 + 0.35 * shape.rounding - 0.12 * max(shape.width, 0)
    bow = 1 - 0.22 * np.exp(-((x / 0.14) ** 2)) + 0.10 * np.exp(-(((np.abs(x) - 0.3) / 0.18) ** 2))
    upper = look.upper_lip * thick * np.clip(1 - np.abs(x) ** 1.7, 0, None) ** 0.75 * bow
    lower = look.lower_lip * thick * (1 - 0.55 * shape.tuck)
    lower = lower * np.clip(1 - np.abs(x) ** 2.2, 0, None) ** 0.7
    inner_top = line - 0.22 * gap * arch
    inner_bottom = line + 0.78 * gap * arch
    u = half * x
    return _Lips(
        np.stack([u, inner_top - upper], axis=1),
        np.stack([u, inner_top], axis=1),
        np.stack([u, inner_bottom], axis=1),
        np.stack([u, inner_bottom + lower], axis=1),
        gap,
        half,
    )


def paint_mouth(head: Head, canvas: UInt8Array, shape: MouthShape) -> None:
    """Paint lips, teeth and tongue onto a copy of the head's canvas.

    The canvas is later stretched by the sinking jaw; points are placed so that they end up where
    `lip_outlines` puts them.
    """
    look = head.look
    lips = lip_outlines(head, shape)
    drop = JAW_DROP * shape.opening

    def before_jaw(points: FloatArray) -> FloatArray:
        moved = np.array(points)
        moved[:, 1] -= drop * jaw_ramp(moved[:, 1], look.mouth_height)
        return moved

    box = (-0.55, look.mouth_height - 0.3, 0.55, look.mouth_height + 0.45)
    patch = _Patch(head, canvas, box)
    r, g, b = look.lip
    top = np.concatenate([lips.outer_top, lips.inner_top[::-1]])
    bottom = np.concatenate([lips.inner_bottom, lips.outer_bottom[::-1]])
    patch.fill(before_jaw(bottom), (r, g, b))
    patch.fill(before_jaw(top), (r * 0.86, g * 0.84, b * 0.84))
    inner = np.concatenate([lips.inner_top, lips.inner_bottom[::-1]])
    cavity = patch.pixels.copy()
    _paint_cavity(head, cavity, patch, shape, lips, before_jaw)
    cover(patch.pixels, patch.mask(before_jaw(inner)), cavity[..., :3].astype(np.float32))
    seam = (r * 0.38, g * 0.3, b * 0.3)
    patch.line(before_jaw(lips.inner_top), seam, 0.016)
    if lips.gap > 0.03:
        patch.line(before_jaw(lips.inner_bottom), (r * 0.6, g * 0.5, b * 0.5), 0.01)
    shine = lips.inner_bottom[8:17] + (0.0, 0.5 * look.lower_lip * (1 - 0.5 * shape.tuck))
    bright = (min(r * 1.2 + 25, 255.0), min(g * 1.15 + 25, 255.0), min(b * 1.15 + 25, 255.0))
    patch.line(before_jaw(shine), bright, 0.5 / head.scale)


def _paint_cavity(head, cavity, patch, shape, lips, before_jaw):  # type: ignore[no-untyped-def]
    look = head.look
    cavity[..., :3] = (52, 16, 18)
    inside = _Patch(head, cavity, (0, 0, 0, 0))
    inside.pixels, inside._corner = cavity, patch._corner
    half, gap = lips.half_width, lips.gap
    top = look.mouth_height - 0.22 * gap
    bottom = look.mouth_height + 0.78 * gap
    x = np.linspace(-1, 1, 15)
    tongue_v = bottom - (0.02 + 0.55 * gap * shape.tongue)
    inside.fill(
        before_jaw(ellipse_points((0, tongue_v + 0.05), (half * 0.62, 0.075))), (176.0, 82.0, 84.0)
    )
    white = (236.0, 230.0, 218.0)
    height = 0.075 * (1 - 0.45 * shape.rounding)
    upper = np.concatenate(
        [
            np.stack([x * half * 0.86, top - 0.05 + 0 * x], axis=1),
            np.stack([x * half * 0.86, top + height * (1 - 0.35 * x**2)], axis=1)[::-1],
        ]
    )
    inside.fill(before_jaw(upper), white)
    for tooth in np.linspace(-0.6, 0.6, 5):
        line = np.array([(tooth * half, top - 0.02), (tooth * half, top + height * 0.95)])
        inside.line(before_jaw(line), (186.0, 176.0, 166.0), 0.008)
    if shape.width > 0.15:
        lower = np.concatenate(
            [
                np.stack([x * half * 0.7, bottom - 0.035 + 0.012 * x**2], axis=1),
                np.stack([x * half * 0.7, bottom + 0.05 + 0 * x], axis=1)[::-1],
            ]
        )
        inside.fill(before_jaw(lower), (222.0, 214.0, 202.0))
    shade = cv2.GaussianBlur(cavity, (0, 0), 0.012 * head.scale)
    cavity[...] = shade
