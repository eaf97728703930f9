"""The moving parts of a drawn head: eyes, brows and the mouth, painted on every frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.synthetic.head import Head
from avbench.synthetic.look import Colour, Look
from avbench.synthetic.mouth import MouthShape
from avbench.synthetic.paint import cover, ellipse_points, polygon_mask, stroke

JAW_DROP = 0.16
"""How far the chin sinks at the widest opening, in head units."""
LARGEST_GAP = 0.34
"""Between the lips at the widest opening, in head units."""
_JAW_LENGTH = 0.36
"""Over which the skin below the mouth takes up the jaw's drop; long enough not to fold."""
_UPPER_SHARE = 0.22
"""How much of the gap the upper lip makes by rising."""
_LINE = np.linspace(-1, 1, 25)
_SHORT_LINE = np.linspace(-1, 1, 15)


class Gaze(NamedTuple):
    """One frame of the eyes."""

    lids: float
    """1 open, 0 closed."""
    x: float
    y: float
    brows: float
    """How far the brows are raised, in head units."""


class Lips(NamedTuple):
    """Outlines in head units before the head moves; each shape (n, 2), left to right."""

    outer_top: FloatArray
    inner_top: FloatArray
    inner_bottom: FloatArray
    outer_bottom: FloatArray
    gap: float
    half_width: float


def jaw_ramp(v: FloatArray, mouth_v: float) -> FloatArray:
    """Return the share of the jaw's drop that skin at ``v`` takes part in, 0 above the mouth."""
    t = np.clip((v - mouth_v) / _JAW_LENGTH, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def mouth_half_width(look: Look, shape: MouthShape) -> float:
    """Return half the distance between the corners of a mouth, in head units."""
    spread = 1 + 0.20 * shape.width - 0.30 * shape.rounding
    return look.mouth_width * spread * (1 - 0.10 * shape.opening)


class _Patch:
    """A window of a canvas: strokes and fills in head units, cheap because it is small."""

    def __init__(self, head: Head, pixels: UInt8Array, corner: FloatArray) -> None:
        self._head, self.pixels, self._corner = head, pixels, corner

    @classmethod
    def cut(
        cls, head: Head, canvas: UInt8Array, low: tuple[float, float], high: tuple[float, float]
    ) -> _Patch:
        """Take the window between two corners in head units."""
        x0, y0 = np.floor(head.to_pixels(np.array(low))).astype(int)
        x1, y1 = np.ceil(head.to_pixels(np.array(high))).astype(int)
        return cls(head, canvas[y0:y1, x0:x1], np.array([x0, y0], np.float64))

    def blank(self, colour: Colour) -> _Patch:
        """Return a window of the same place on a sheet of one colour."""
        sheet = np.empty((*self.pixels.shape[:2], 3), np.uint8)
        sheet[...] = np.array(colour, np.uint8)
        return _Patch(self._head, sheet, self._corner)

    def fill(self, points: FloatArray, colour: Colour | FloatArray) -> None:
        at = self._head.to_pixels(points) - self._corner
        cover(self.pixels, polygon_mask((*self.pixels.shape[:2],), at), colour)

    def line(self, points: FloatArray, colour: Colour, thickness: float) -> None:
        at = self._head.to_pixels(points) - self._corner
        stroke(self.pixels, at, colour, thickness * self._head.scale)

    def soften(self, radius: float) -> FloatArray:
        """Return the window's colours, blurred."""
        soft = cv2.GaussianBlur(self.pixels, (0, 0), radius * self._head.scale)
        return np.asarray(soft[..., :3], np.float32)


def paint_eyes(head: Head, canvas: UInt8Array, gaze: Gaze) -> None:
    """Paint both eyes and brows onto a copy of the head's canvas."""
    look = head.look
    red, green, blue = look.skin
    for side in (-1, 1):
        u, v, size = side * look.eye_spacing, look.eye_height, look.eye_size
        patch = _Patch.cut(head, canvas, (u - 0.3, v - 0.36), (u + 0.3, v + 0.22))
        x = _SHORT_LINE
        arch = 1 - x**2
        span = u + 0.135 * size * x
        rise = 0.072 * size * gaze.lids
        upper = np.stack([span, v - rise * arch + 0.01 * side * x], axis=1)
        lower = np.stack([span, v + (0.012 + 0.035 * size * gaze.lids) * arch], axis=1)
        ball = patch.blank((232.0, 228.0, 224.0))
        centre = (u + 0.05 * gaze.x, v - 0.012 + 0.03 * gaze.y)
        glint = (centre[0] + 0.02, centre[1] - 0.022)
        ball.fill(ellipse_points(centre, (0.062 * size, 0.064 * size)), look.eye)
        ball.fill(ellipse_points(centre, (0.028, 0.03)), (14.0, 12.0, 12.0))
        ball.fill(ellipse_points(glint, (0.012, 0.012), count=12), (250.0, 250.0, 250.0))
        patch.fill(np.concatenate([upper, lower[::-1]]), ball.pixels.astype(np.float32))
        patch.line(upper, (red * 0.28, green * 0.25, blue * 0.25), 0.026)
        patch.line(lower, (red * 0.7, green * 0.62, blue * 0.6), 0.012)
        fold = np.stack([span, v - 0.075 * size * arch - 0.035], axis=1)
        patch.line(fold, (red * 0.72, green * 0.68, blue * 0.66), 0.014)
        _paint_brow(look, patch, u, side, gaze.brows)


def _paint_brow(look: Look, patch: _Patch, u: float, side: int, raised: float) -> None:
    x = _SHORT_LINE
    base = look.eye_height - 0.17 - raised
    middle = base - look.brow_arch * (1 - (x - 0.3 * side) ** 2)
    tall = look.brow_thickness * (0.55 + 0.45 * np.cos(np.pi * (x + 0.35 * side) / 2))
    span = u + 0.185 * x
    top = np.stack([span, middle - tall], axis=1)
    bottom = np.stack([span, middle + 0.6 * tall], axis=1)
    red, green, blue = look.hair
    patch.fill(np.concatenate([top, bottom[::-1]]), (red * 0.7, green * 0.7, blue * 0.7))


def lip_outlines(look: Look, shape: MouthShape) -> Lips:
    """Return where the lips are, for a mouth shape, before the head moves."""
    half_width = mouth_half_width(look, shape)
    gap = LARGEST_GAP * shape.opening + 0.02 * shape.tuck
    x, side = _LINE, np.abs(_LINE)
    spread = max(shape.width, 0.0)
    arch = np.clip(1 - side ** (2.4 - 0.5 * shape.rounding), 0, None)
    line = look.mouth_height - (look.corner + 0.02 * spread) * x**2
    thick = 1 + 0.35 * shape.rounding - 0.12 * spread
    bow = 1 - 0.22 * np.exp(-((x / 0.14) ** 2)) + 0.10 * np.exp(-(((side - 0.3) / 0.18) ** 2))
    upper = look.upper_lip * thick * np.clip(1 - side**1.7, 0, None) ** 0.75 * bow
    full = look.lower_lip * thick * (1 - 0.55 * shape.tuck)
    lower = full * np.clip(1 - side**2.2, 0, None) ** 0.7
    inner_top = line - _UPPER_SHARE * gap * arch
    inner_bottom = line + (1 - _UPPER_SHARE) * gap * arch
    u = half_width * x
    return Lips(
        np.stack([u, inner_top - upper], axis=1),
        np.stack([u, inner_top], axis=1),
        np.stack([u, inner_bottom], axis=1),
        np.stack([u, inner_bottom + lower], axis=1),
        gap,
        half_width,
    )


def paint_mouth(head: Head, canvas: UInt8Array, shape: MouthShape) -> None:
    """Paint lips, teeth and tongue onto a copy of the head's canvas.

    The canvas is later stretched by the sinking jaw; points are placed so that they end up where
    `lip_outlines` puts them.
    """
    look = head.look
    lips = lip_outlines(look, shape)
    drop = JAW_DROP * shape.opening

    def place(points: FloatArray) -> FloatArray:
        moved = np.array(points)
        moved[:, 1] -= drop * jaw_ramp(moved[:, 1], look.mouth_height)
        return moved

    v = look.mouth_height
    patch = _Patch.cut(head, canvas, (-0.55, v - 0.3), (0.55, v + 0.45))
    red, green, blue = look.lip
    patch.fill(
        place(np.concatenate([lips.inner_bottom, lips.outer_bottom[::-1]])), (red, green, blue)
    )
    patch.fill(
        place(np.concatenate([lips.outer_top, lips.inner_top[::-1]])),
        (red * 0.86, green * 0.84, blue * 0.84),
    )
    inside = patch.blank((52.0, 16.0, 18.0))
    _paint_inside(look, inside, shape, lips, place)
    inner = np.concatenate([lips.inner_top, lips.inner_bottom[::-1]])
    patch.fill(place(inner), inside.soften(0.012))
    patch.line(place(lips.inner_top), (red * 0.38, green * 0.3, blue * 0.3), 0.016)
    if lips.gap > 0.03:
        patch.line(place(lips.inner_bottom), (red * 0.6, green * 0.5, blue * 0.5), 0.01)
    middle = 0.5 * look.lower_lip * (1 - 0.5 * shape.tuck)
    shine = lips.inner_bottom[8:17] + np.array([0.0, middle])
    bright = (min(red * 1.2 + 25, 255.0), min(green * 1.15 + 25, 255.0), min(blue + 30, 255.0))
    patch.line(place(shine), bright, 0.5 / head.scale)


def _paint_inside(
    look: Look,
    inside: _Patch,
    shape: MouthShape,
    lips: Lips,
    place: Callable[[FloatArray], FloatArray],
) -> None:
    """Paint tongue and teeth."""
    half, gap, x = lips.half_width, lips.gap, _SHORT_LINE
    top = look.mouth_height - _UPPER_SHARE * gap
    bottom = look.mouth_height + (1 - _UPPER_SHARE) * gap
    tongue_v = bottom + 0.03 - 0.55 * gap * shape.tongue
    inside.fill(place(ellipse_points((0, tongue_v), (half * 0.62, 0.075))), (176.0, 82.0, 84.0))
    edge = top + 0.075 * (1 - 0.45 * shape.rounding) * (1 - 0.35 * x**2)
    upper = [
        np.stack([x * half * 0.86, np.full_like(x, top - 0.05)], axis=1),
        np.stack([x * half * 0.86, edge], axis=1)[::-1],
    ]
    inside.fill(place(np.concatenate(upper)), (236.0, 230.0, 218.0))
    for tooth in np.linspace(-0.6, 0.6, 5):
        line = np.array([(tooth * half, top - 0.02), (tooth * half, edge.max() - 0.005)])
        inside.line(place(line), (186.0, 176.0, 166.0), 0.008)
    if shape.width > 0.15:
        lower = [
            np.stack([x * half * 0.7, bottom - 0.035 + 0.012 * x**2], axis=1),
            np.stack([x * half * 0.7, np.full_like(x, bottom + 0.05)], axis=1)[::-1],
        ]
        inside.fill(place(np.concatenate(lower)), (222.0, 214.0, 202.0))
