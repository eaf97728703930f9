"""The still parts of a drawn head: skin, ears, nose, hair, beard and glasses, painted once."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.synthetic.look import Colour, Look
from avbench.synthetic.paint import (
    cover,
    crease,
    ellipse_points,
    line_mask,
    polygon_mask,
    smooth_noise,
)

LEFT, RIGHT, TOP, BOTTOM = -1.25, 1.25, -1.45, 1.7
"""The canvas in head units."""
CHEEK_V = 0.12
"""Where the head is widest."""


@dataclass(frozen=True, eq=False)
class Head:
    """A painted head, ready to get eyes, a mouth and a place in a picture."""

    look: Look
    scale: float
    """Canvas pixels per head unit."""
    canvas: UInt8Array
    """Premultiplied RGB and coverage; shape (H, W, 4)."""
    glasses: UInt8Array | None
    """Premultiplied RGB and coverage of what lies over the eyes; shape (H, W, 4)."""

    def to_pixels(self, points: FloatArray) -> FloatArray:
        """Convert positions in head units to canvas pixels."""
        return (np.asarray(points, np.float64) - (LEFT, TOP)) * self.scale


def paint_head(look: Look, scale: float, light: float, rng: np.random.Generator) -> Head:
    """Paint the still parts of a head.

    Parameters
    ----------
    look
        Whose head.
    scale
        Canvas pixels per head unit.
    light
        Where the light comes from: -1 left to 1 right.
    rng
        Draws the grain of skin and hair.
    """
    shape = (round((BOTTOM - TOP) * scale), round((RIGHT - LEFT) * scale))
    head = Head(look, scale, np.zeros((*shape, 4), np.uint8), _glasses(look, scale, shape))
    shade = _shading(look, shape, scale, light)
    hair = _hair_field(look, shape, scale, shade, rng)
    _paint_hair_behind(head, hair)
    skin = _skin_field(look, shape, scale, shade, rng)
    for side in (-1, 1):
        ear = ellipse_points((side * (look.half_width + 0.02), 0.12), (0.10, 0.2), side * 8)
        _lay(head, ear, skin * 0.93)
        crease(head.canvas, head.to_pixels(ear[8:30] * (0.97, 0.8) + (0, 0.02)), 0.6, 0.02 * scale)
    _lay(head, outline(look), skin)
    _paint_nose(head, light)
    _paint_lines(head)
    _paint_beard(head, hair, rng)
    _paint_hair_front(head, hair)
    return head


def outline(look: Look) -> FloatArray:
    """Return the edge of the head without hair and ears in head units, shape (n, 2)."""
    above = np.linspace(0, 1, 40)
    upper = (1 - above**2.3) ** (1 / 2.3)
    below = np.linspace(0, 1, 40)
    lower = (1 - below**look.jaw_power) ** (1 / look.chin_power)
    half = np.concatenate([upper[::-1], lower[1:]]) * look.half_width
    v = np.concatenate([CHEEK_V - above[::-1] * (1 + CHEEK_V), CHEEK_V + below[1:] * (1 - CHEEK_V)])
    right = np.stack([half, v], axis=1)
    return np.concatenate([right, right[::-1] * (-1, 1)])


def _tone(colour: Colour, factor: float) -> Colour:
    r, g, b = (min(255.0, x * factor) for x in colour)
    return (r, g, b)


def _grid(shape: tuple[int, int], scale: float) -> tuple[FloatArray, FloatArray]:
    u = np.arange(shape[1], dtype=np.float32) / scale + LEFT
    v = np.arange(shape[0], dtype=np.float32) / scale + TOP
    return u[None, :], v[:, None]


def _lay(head: Head, points: FloatArray, field: FloatArray | Colour) -> None:
    """Paint a polygon (head units) and make the canvas opaque there."""
    mask = polygon_mask(head.canvas.shape[:2], head.to_pixels(points))
    _lay_mask(head, mask, field)


def _lay_mask(head: Head, mask: UInt8Array, field: FloatArray | Colour) -> None:
    # Over an empty canvas, cover() leaves colour times coverage: premultiplied, as wanted.
    cover(head.canvas, mask, field)
    alpha = head.canvas[..., 3]
    alpha[...] = np.maximum(alpha, mask)


def _shading(look: Look, shape: tuple[int, int], scale: float, light: float) -> FloatArray:
    """Return how bright a round head is at each pixel: a lit ellipsoid with soft features."""
    u, v = _grid(shape, scale)
    x, y = u / look.half_width, (v - 0.05) / 1.05
    z = np.sqrt(np.clip(1.15 - x**2 - y**2, 0.02, None))
    lit = 0.62 + 0.42 * np.clip(0.45 * light * x - 0.35 * y + 0.75 * z, 0, 1.2)

    def spot(cu: float, cv: float, ru: float, rv: float) -> FloatArray:
        return np.exp(-(((u - cu) / ru) ** 2) - ((v - cv) / rv) ** 2)

    eye_v, nose_v = look.eye_height, look.eye_height + look.nose_length + 0.08
    for side in (-1, 1):
        lit -= 0.16 * spot(side * look.eye_spacing, eye_v - 0.02, 0.19, 0.11)
        lit -= 0.08 * spot(side * 0.13, eye_v + 0.05, 0.05, 0.14)
        lit += 0.06 * spot(side * 0.42, 0.30, 0.18, 0.13)
        lit -= 0.06 * spot(side * 0.50, 0.60, 0.12, 0.25)
    lit += 0.10 * spot(0.0, eye_v + 0.17, 0.05, 0.22)
    lit -= 0.12 * spot(0.0, nose_v + 0.06, look.nose_width, 0.05)
    lit -= 0.10 * spot(0.0, look.mouth_height + 0.20, 0.15, 0.05)
    lit += 0.05 * spot(0.0, 0.88, 0.14, 0.09)
    lit += 0.07 * spot(0.15 * light, -0.45, 0.35, 0.2)
    return np.asarray(lit, np.float32)


def _skin_field(
    look: Look, shape: tuple[int, int], scale: float, shade: FloatArray, rng: np.random.Generator
) -> FloatArray:
    u, v = _grid(shape, scale)
    blotch = 1 + 0.025 * smooth_noise(rng, shape, (0.22 * scale, 0.22 * scale))
    pores = 1 + 0.02 * smooth_noise(rng, shape, (0.03 * scale, 0.03 * scale))
    field = np.array(look.skin, np.float32) * (shade * blotch * pores)[..., None]
    blush = np.exp(-(((np.abs(u) - 0.42) / 0.16) ** 2) - ((v - 0.34) / 0.14) ** 2)
    field += blush[..., None] * np.array((8, -6, -4), np.float32)
    if look.freckles > 0.0:
        grain = smooth_noise(rng, shape, (0.035 * scale, 0.035 * scale)) > 1.7
        where = grain * (np.abs(v - 0.22) < 0.2) * (np.abs(u) < 0.55)
        field *= 1 - 0.25 * look.freckles * where[..., None]
    return np.asarray(np.clip(field, 0, 255))


def _hair_field(
    look: Look, shape: tuple[int, int], scale: float, shade: FloatArray, rng: np.random.Generator
) -> FloatArray:
    curly = look.hair_style == "afro"
    grain = (0.07 * scale, 0.07 * scale) if curly else (0.5 * scale, 0.025 * scale)
    strands = 1 + 0.22 * smooth_noise(rng, shape, grain)
    tone = np.clip(0.35 + 0.75 * shade, 0.4, 1.3) * np.clip(strands, 0.5, 1.6)
    return np.asarray(np.clip(np.array(look.hair, np.float32) * tone[..., None] + 6, 0, 255))


def _paint_nose(head: Head, light: float) -> None:
    look, scale = head.look, head.scale
    tip = look.eye_height + look.nose_length + 0.02
    dark = _tone(look.skin, 0.55)
    side = -1.0 if light > 0 else 1.0
    bridge = np.array(
        [(side * 0.06, look.eye_height), (side * 0.065, tip - 0.14), (side * look.nose_width, tip)]
    )
    crease(head.canvas, head.to_pixels(bridge), 0.7, 0.035 * scale)
    base = np.linspace(-1, 1, 13)
    under = np.stack([base * look.nose_width, tip + 0.05 - 0.05 * base**2], axis=1)
    crease(head.canvas, head.to_pixels(under), 0.55, 0.03 * scale)
    for wing in (-1, 1):
        nostril = ellipse_points((wing * look.nose_width * 0.5, tip + 0.025), (0.035, 0.018))
        cover(head.canvas, polygon_mask(head.canvas.shape[:2], head.to_pixels(nostril)), dark)


def _paint_lines(head: Head) -> None:
    """Folds from nose to mouth and across the forehead, deeper with age."""
    look, scale = head.look, head.scale
    tip = look.eye_height + look.nose_length
    depth = 0.85 - 0.3 * look.age
    for side in (-1, 1):
        start, stop = look.nose_width + 0.03, look.mouth_width + 0.09
        t = np.linspace(0, 1, 10)
        fold = np.stack(
            [side * (start + (stop - start) * t**0.8), tip + (look.mouth_height - tip) * t], axis=1
        )
        crease(head.canvas, head.to_pixels(fold), depth, 0.03 * scale)
    for row in range(3 if look.age > 0.4 else 0):
        x = np.linspace(-0.35, 0.35, 12)
        wrinkle = np.stack([x, -0.42 + 0.08 * row - 0.05 * x**2], axis=1)
        crease(head.canvas, head.to_pixels(wrinkle), depth, 0.02 * scale)


def _paint_beard(head: Head, hair: FloatArray, rng: np.random.Generator) -> None:
    look, scale = head.look, head.scale
    if look.beard == "none":
        return
    shape = head.canvas.shape[:2]
    u, v = _grid(shape, scale)
    mouth = look.mouth_height
    lip_zone = np.maximum(np.abs(u) / (look.mouth_width + 0.10), np.abs(v - mouth) / 0.22)
    full = (v > mouth - 0.20 + 0.55 * (0.5 - np.abs(u)).clip(0) ** 1.4) | (
        (np.abs(u) > 0.52) & (v > 0.15)
    )
    moustache = (np.abs(u) < look.mouth_width + 0.06) & (np.abs(v - mouth + 0.13) < 0.05)
    chin = (np.abs(u) < 0.24) & (v > mouth + 0.14)
    region = {
        "stubble": full,
        "full": full,
        "moustache": moustache,
        "goatee": moustache | chin | ((lip_zone < 1.15) & (lip_zone > 0.85) & (v > mouth - 0.12)),
    }[look.beard]
    grain = 0.75 + 0.2 * smooth_noise(rng, shape, (0.035 * scale, 0.03 * scale))
    strength = np.clip(grain, 0.3, 1) * (0.35 if look.beard == "stubble" else 0.95)
    soft = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 0.035 * scale) * strength
    inside = polygon_mask(shape, head.to_pixels(outline(look)))
    cover(head.canvas, (soft * inside).astype(np.uint8), hair * 0.9)


def _paint_hair_behind(head: Head, hair: FloatArray) -> None:
    width, style = head.look.half_width, head.look.hair_style
    if style in ("long", "bob"):
        # Two locks beside the face, which leave the neck to be seen, and a crown above it.
        end = 1.5 if style == "long" else 0.75
        _lay(head, ellipse_points((0, -0.22), (width + 0.18, 0.95)), hair * 0.75)
        for side in (-1, 1):
            lock = [(0.45, -0.3), (1.0, -0.3), (1.03, 0.3), (0.96, end), (0.62, end - 0.04)]
            _lay(head, np.array([*lock, (0.6, 0.6)]) * (side * (width + 0.18), 1.0), hair * 0.75)
    elif style == "bun":
        _lay(head, ellipse_points((0, -1.12), (0.3, 0.28)), hair * 0.85)
    elif style == "afro":
        _lay(head, ellipse_points((0, -0.42), (width + 0.3, 0.95)), hair * 0.85)


def _paint_hair_front(head: Head, hair: FloatArray) -> None:
    look = head.look
    if look.hair_style == "bald":
        return
    width, line = look.half_width + 0.035, look.hairline
    x = np.linspace(-1, 1, 41)
    crown = -1.07 + 0.0 * x
    top = np.stack(
        [x * width, CHEEK_V - (CHEEK_V - crown) * (1 - np.abs(x) ** 2.3) ** (1 / 2.3)], 1
    )
    if look.hair_style == "side":
        fringe = line + 0.16 * (x - 0.35) * np.where(x < 0.35, -0.4, 1.2)
    elif look.hair_style == "receding":
        fringe = line - 0.16 + 0.12 * np.cos(np.pi * x * 2)
    elif look.hair_style in ("long", "bob"):
        fringe = line - 0.12 + 0.55 * np.abs(x) ** 2.2
    else:
        fringe = line + 0.04 * np.cos(np.pi * x)
    temple = -0.02 if look.hair_style != "receding" else -0.15
    fringe = np.where(np.abs(x) > 0.86, temple + (np.abs(x) - 0.86) * 2.0, fringe)
    bottom = np.stack([x * width, np.maximum(fringe, top[:, 1])], axis=1)
    _lay(head, np.concatenate([top, bottom[::-1]]), hair)


def _glasses(look: Look, scale: float, shape: tuple[int, int]) -> UInt8Array | None:
    if look.glasses == "none":
        return None
    layer = np.zeros((*shape, 4), np.uint8)
    bare = Head(look, scale, layer, None)
    thickness = {"thin": 0.02, "thick": 0.05, "round": 0.028}[look.glasses] * scale
    radii = (0.2, 0.19) if look.glasses == "round" else (0.23, 0.16)
    mask = np.zeros(shape, np.uint8)
    lines = [ellipse_points((s * look.eye_spacing, look.eye_height), radii) for s in (-1, 1)]
    edge = look.eye_spacing + radii[0]
    bars = [
        np.array([(-look.eye_spacing + radii[0], look.eye_height), (0, look.eye_height - 0.03)]),
        np.array([(look.eye_spacing - radii[0], look.eye_height), (0, look.eye_height - 0.03)]),
        np.array([(edge, look.eye_height - 0.02), (look.half_width, look.eye_height - 0.05)]),
        np.array([(-edge, look.eye_height - 0.02), (-look.half_width, look.eye_height - 0.05)]),
    ]
    for line in lines + bars:
        mask |= line_mask(shape, bare.to_pixels(line), max(1.0, thickness), closed=len(line) > 2)
    tone = 40.0 if look.glasses != "thin" else 110.0
    cover(layer, mask, (tone, tone * 0.9, tone * 0.8))
    layer[..., 3] = mask
    return layer
