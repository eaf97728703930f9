"""What lies behind and below a drawn head: walls, shelves, windows, lights and shoulders."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avbench.data import UInt8Array
from avbench.synthetic.look import Colour, Look
from avbench.synthetic.paint import cover, ellipse_points, polygon_mask, smooth_noise, stroke

KINDS = ("wall", "shelves", "window", "lights", "blur", "panels")


@dataclass(frozen=True)
class Backdrop:
    """A kind of background, its colours and its light; shots that share one look alike."""

    kind: str
    main: Colour
    accent: Colour
    gain: float
    """Brightness of the picture."""
    tint: Colour
    """Gain of red, green and blue on top."""
    gamma: float


def draw_backdrop(rng: np.random.Generator) -> Backdrop:
    """Draw a background."""
    main = rng.uniform(45, 210) + rng.normal(0, 22, 3)
    accent = rng.uniform(40, 220) + rng.normal(0, 40, 3)
    red, green, blue = (float(x) for x in np.clip(rng.normal(1, 0.05, 3), 0.85, 1.15))
    return Backdrop(
        kind=KINDS[int(rng.integers(len(KINDS)))],
        main=_colour(main),
        accent=_colour(accent),
        gain=float(rng.uniform(0.85, 1.1)),
        tint=(red, green, blue),
        gamma=float(rng.uniform(0.85, 1.2)),
    )


def paint_backdrop(
    backdrop: Backdrop, size: tuple[int, int], rng: np.random.Generator
) -> UInt8Array:
    """Paint a background of ``size`` (height, width); ``rng`` draws its arrangement."""
    height, width = size
    left, right = (float(side) for side in rng.uniform(0.85, 1.15, 2))
    ramp = np.linspace(1.12, 0.82, height)[:, None] * np.linspace(left, right, width)
    field = np.array(backdrop.main) * ramp[..., None]
    grain = smooth_noise(rng, size, (height / 5, width / 5))[..., None]
    field = field * (1 + 0.04 * grain)
    image = np.clip(field, 0, 255).astype(np.uint8)
    accent, main = np.array(backdrop.accent), np.array(backdrop.main)
    if backdrop.kind == "shelves":
        _shelves(image, accent, main, rng)
    elif backdrop.kind == "window":
        x, y = rng.uniform(0.02, 0.6) * width, rng.uniform(0.05, 0.2) * height
        _rectangle(image, x, y, 0.36 * width, 0.5 * height, _colour(accent * 0.4 + 150))
        for part in (0.33, 0.66):
            line = np.array(
                [(x + part * 0.36 * width, y), (x + part * 0.36 * width, y + 0.5 * height)]
            )
            stroke(image, line, _colour(main * 0.6), 3)
    elif backdrop.kind == "lights":
        for _ in range(int(rng.integers(8, 20))):
            centre = (rng.uniform(0, width), rng.uniform(0, 0.8 * height))
            radius = rng.uniform(0.02, 0.07) * width
            mask = polygon_mask(size, ellipse_points(centre, (radius, radius)))
            cover(image, (mask * rng.uniform(0.3, 0.8)).astype(np.uint8), _colour(accent + 40))
    elif backdrop.kind == "blur":
        noise = smooth_noise(rng, size, (height / 4, width / 4))
        mask = np.clip(120 * noise + 60, 0, 255).astype(np.uint8)
        cover(image, mask, _colour(accent))
    elif backdrop.kind == "panels":
        for left in np.arange(rng.uniform(-0.1, 0.1), 1.0, 0.22):
            _rectangle(image, left * width, 0, 0.1 * width, height, _colour(main * 0.85))
    return np.asarray(image)


@dataclass(frozen=True, eq=False)
class Body:
    """Neck and shoulders, painted once."""

    layer: UInt8Array
    """Premultiplied RGB and coverage; shape (H, W, 4)."""
    left: int
    top: int
    """Where the layer's corner lies in the picture; it may lie outside."""


def paint_body(look: Look, size: tuple[int, int], centre: tuple[float, float], unit: float) -> Body:
    """Paint neck and shoulders below a head at ``centre`` in a picture of ``size`` (H, W)."""
    left, top = int(centre[0] - 2.0 * unit), int(centre[1] + 0.45 * unit)
    # Reaches below the picture, so that a body that moves up leaves no gap.
    shape = (max(2, int(size[0] + 0.3 * unit) - top), int(4.0 * unit))
    corner = np.array(centre) - (left, top)
    layer = np.zeros((*shape, 4), np.uint8)

    def lay(points: list[tuple[float, float]], colour: Colour) -> None:
        mask = polygon_mask(shape, np.array(points) * unit + corner)
        cover(layer, mask, colour)
        layer[..., 3] = np.maximum(layer[..., 3], mask)

    neck = 0.62 * look.half_width
    skin, cloth = np.array(look.skin), np.array(look.clothes)
    torso = [(-0.5, 1.38), (-1.25, 1.62), (-1.75, 2.05), (-1.95, 6.0)]
    lay([*torso, *((-x, y) for x, y in torso[::-1])], look.clothes)
    throat = [(-neck, 0.5), (-neck, 1.35), (-0.55, 1.5)]
    lay(
        [*throat, (0, 1.85 if look.collar % 2 else 1.6), *((-x, y) for x, y in throat[::-1])],
        _colour(skin * 0.80),
    )
    lay([(-neck, 0.5), (-neck, 1.0), (0, 1.28), (neck, 1.0), (neck, 0.5)], _colour(skin * 0.62))
    if look.collar >= 2:
        for side in (-1, 1):
            lay(
                [(side * 0.6, 1.38), (side * 0.05, 1.75), (side * 0.5, 1.95), (side * 0.8, 1.5)],
                _colour(cloth * 0.75 + 30),
            )
    if look.collar == 3:
        lay([(-0.08, 1.72), (0.08, 1.72), (0.16, 6.0), (-0.16, 6.0)], _colour(255 - cloth))
    return Body(layer, left, top)


def _shelves(
    image: UInt8Array, accent: np.ndarray, main: np.ndarray, rng: np.random.Generator
) -> None:
    height, width = image.shape[:2]
    for top in np.arange(0.05, 1.0, 0.24):
        x = 0.0
        while x < 1.0:
            book = rng.uniform(0.015, 0.045)
            tall = rng.uniform(0.12, 0.2)
            tint = accent * rng.uniform(0.3, 1.0) + main * rng.uniform(0.0, 0.5)
            _rectangle(
                image,
                x * width,
                (top + 0.2 - tall) * height,
                book * width,
                tall * height,
                _colour(tint),
            )
            x += book + 0.004
        _rectangle(image, 0, (top + 0.2) * height, width, 0.015 * height, _colour(main * 0.5))
    image[...] = cv2.GaussianBlur(image, (0, 0), 0.004 * width)


def _rectangle(
    image: UInt8Array, x: float, y: float, width: float, height: float, colour: Colour
) -> None:
    points = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    cover(image, polygon_mask(image.shape[:2], points), colour)


def _colour(values: np.ndarray) -> Colour:
    r, g, b = np.clip(values, 0, 255)
    return (float(r), float(g), float(b))
