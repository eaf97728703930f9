"""What a drawn person looks like: every parameter, drawn once per identity.

Lengths are in head units: half the height from crown to chin. ``u`` runs right and ``v`` down
from the middle of the head, so the crown is at -1 and the chin at 1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np

from avbench.data import JSON
from avbench.distort import rng_for

Colour: TypeAlias = tuple[float, float, float]
"""Red, green, blue in 0..255."""

_SKINS: tuple[Colour, ...] = (
    (250, 222, 200),
    (240, 200, 172),
    (226, 180, 145),
    (205, 155, 118),
    (176, 124, 88),
    (142, 96, 66),
    (108, 72, 50),
    (84, 56, 42),
)
_HAIRS: tuple[Colour, ...] = (
    (28, 24, 24),
    (52, 36, 28),
    (88, 58, 36),
    (128, 84, 44),
    (196, 156, 92),
    (226, 198, 140),
    (150, 62, 30),
    (150, 148, 146),
    (216, 214, 210),
)
_EYES: tuple[Colour, ...] = (
    (70, 44, 28),
    (96, 66, 36),
    (60, 96, 130),
    (84, 110, 72),
    (96, 104, 112),
)
_MENS_STYLES = ("short", "side", "afro", "bald", "receding", "long")
_WOMENS_STYLES = ("short", "side", "long", "bun", "afro", "bob", "bob", "long")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "thin", "thick", "round")


@dataclass(frozen=True)
class Look:
    """The appearance of one identity."""

    identity: str
    skin: Colour
    half_width: float
    """Of the head at the cheeks."""
    jaw_power: float
    """Higher is squarer."""
    chin_power: float
    """Higher is blunter."""
    hair: Colour
    hair_style: str
    hairline: float
    """Where the forehead ends, in v."""
    beard: str
    glasses: str
    eye: Colour
    eye_spacing: float
    """Of each eye from the middle."""
    eye_height: float
    """In v."""
    eye_size: float
    brow_thickness: float
    brow_arch: float
    nose_length: float
    nose_width: float
    mouth_height: float
    """Of the line between the lips, in v."""
    mouth_width: float
    """Half of it, at rest."""
    upper_lip: float
    lower_lip: float
    lip: Colour
    corner: float
    """How far the corners of the mouth turn up."""
    age: float
    """0 smooth to 1 wrinkled."""
    freckles: float
    clothes: Colour
    collar: int
    effort: float
    """How much the mouth moves when speaking."""

    def to_json(self) -> dict[str, JSON]:
        """Return the look as a JSON object."""
        return {
            name: [round(x) for x in value] if isinstance(value, tuple) else _short(value)
            for name, value in asdict(self).items()
            if name != "identity"
        }


def draw_look(seed: int, pool: str, identity: str) -> Look:
    """Draw a look from the stream that belongs to ``(seed, pool, identity)`` alone."""
    rng = rng_for(seed, "look", pool, identity)
    complexion = int(rng.integers(len(_SKINS)))
    skin = _vary(rng, _SKINS[complexion], 8)
    lip_mix = rng.uniform(0.35, 0.75)
    lip_tint = _pick(rng, ((178, 84, 84), (190, 70, 80), (160, 80, 70), (150, 60, 66)))
    masculine = rng.random() < 0.5
    lipstick = not masculine and rng.random() < 0.35
    lip = (176.0, 28.0, 52.0) if lipstick else _mix(_scale(skin, 0.82), lip_tint, lip_mix)
    styles = _MENS_STYLES if masculine else _WOMENS_STYLES
    # Dark skin mostly goes with dark hair, or grey.
    hairs = _HAIRS if complexion < 4 else _HAIRS[:3] + _HAIRS[-2:]
    beard_odds = (0.35, 0.2, 0.12, 0.13, 0.2) if masculine else (1.0, 0.0, 0.0, 0.0, 0.0)
    return Look(
        identity=identity,
        skin=skin,
        half_width=float(rng.uniform(0.68, 0.80)),
        jaw_power=float(rng.uniform(2.0, 3.4) if masculine else rng.uniform(1.8, 2.6)),
        chin_power=float(rng.uniform(1.7, 2.6)),
        hair=_vary(rng, _pick(rng, hairs), 10),
        hair_style=styles[int(rng.integers(len(styles)))],
        hairline=float(rng.uniform(-0.66, -0.50)),
        beard=BEARDS[int(rng.choice(len(BEARDS), p=beard_odds))],
        glasses=GLASSES[int(rng.choice(len(GLASSES), p=(0.7, 0.12, 0.09, 0.09)))],
        eye=_vary(rng, _pick(rng, _EYES), 8),
        eye_spacing=float(rng.uniform(0.29, 0.35)),
        eye_height=float(rng.uniform(-0.08, 0.0)),
        eye_size=float(rng.uniform(0.90, 1.15)),
        brow_thickness=float(rng.uniform(0.035, 0.07) if masculine else rng.uniform(0.022, 0.045)),
        brow_arch=float(rng.uniform(0.02, 0.09)),
        nose_length=float(rng.uniform(0.30, 0.38)),
        nose_width=float(rng.uniform(0.11, 0.17)),
        mouth_height=float(rng.uniform(0.55, 0.62)),
        mouth_width=float(rng.uniform(0.24, 0.31)),
        upper_lip=float(rng.uniform(0.045, 0.085)),
        lower_lip=float(rng.uniform(0.065, 0.11)),
        lip=lip,
        corner=float(rng.uniform(-0.015, 0.03)),
        age=float(rng.random() ** 2),
        freckles=float(max(0.0, rng.uniform(-2.0, 1.0))),
        clothes=_vary(rng, tuple(rng.uniform(20, 235, 3)), 0),
        collar=int(rng.integers(4)),
        effort=float(rng.uniform(1.5, 2.1)),
    )


def _short(value: JSON) -> JSON:
    return round(value, 4) if isinstance(value, float) else value


def _pick(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    first, second = rng.integers(len(palette), size=2)
    near = palette[int(np.clip(second, first - 1, first + 1))]
    return _mix(palette[int(first)], near, rng.uniform(0.0, 0.5))


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    r, g, b = ((1 - share) * x + share * y for x, y in zip(first, second, strict=True))
    return (float(r), float(g), float(b))


def _scale(colour: Colour, factor: float) -> Colour:
    r, g, b = (float(np.clip(x * factor, 0, 255)) for x in colour)
    return (r, g, b)


def _vary(rng: np.random.Generator, colour: tuple[float, ...], sd: float) -> Colour:
    """Change mostly the brightness and a little the hue."""
    light = rng.normal(0, sd)
    r, g, b = (float(np.clip(x + light + rng.normal(0, 0.25 * sd), 0, 255)) for x in colour)
    return (r, g, b)
