"""From phones to the movement of a mouth.

Each phone has a target shape. Shapes blend by dominance, as in Cohen and Massaro, "Modeling
Coarticulation in Synthetic Visual Speech" (1993): a phone's weight falls off exponentially with
the time from its centre, so a mouth is always on its way between several sounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avbench.data import FloatArray
from avbench.synthetic.paint import drift
from avbench.synthetic.presets import Preset
from avbench.synthetic.voice import Phone
from avbench.timing import FPS


class Viseme(NamedTuple):
    """A target shape of the mouth and how strongly a phone insists on it."""

    opening: float
    """Gap between the lips, 0 closed to 1 widest."""
    width: float
    """-1 narrow to 1 spread."""
    rounding: float
    """0 flat to 1 pursed."""
    tuck: float = 0.0
    """Lower lip drawn under the upper teeth, as in f."""
    tongue: float = 0.0
    """Tongue raised to the teeth, as in th."""
    strength: float = 1.0


class MouthShape(NamedTuple):
    """The shape of a mouth at one instant; the fields are those of `Viseme`."""

    opening: float
    width: float
    rounding: float
    tuck: float
    tongue: float


@dataclass(frozen=True, eq=False)
class MouthCurves:
    """The shape of one mouth over time; every array has shape (T,)."""

    opening: FloatArray
    width: FloatArray
    rounding: FloatArray
    tuck: FloatArray
    tongue: FloatArray

    def __len__(self) -> int:
        return len(self.opening)

    def at(self, t: int) -> MouthShape:
        """Return the shape in frame ``t``."""
        return MouthShape(*(float(getattr(self, name)[t]) for name in MouthShape._fields))

    def cut(self, start: int, stop: int) -> MouthCurves:
        """Return the movement in frames [start, stop)."""
        return MouthCurves(*(getattr(self, name)[start:stop] for name in MouthShape._fields))


REST = Viseme(0.04, 0.0, 0.05)
_CLOSED = Viseme(-0.15, 0.0, 0.05, strength=7.0)
_LABIODENTAL = Viseme(0.10, 0.15, 0.0, tuck=1.0, strength=5.0)
_DENTAL = Viseme(0.24, 0.10, 0.0, tongue=1.0, strength=2.0)
_ALVEOLAR = Viseme(0.18, 0.15, 0.0, tongue=0.5, strength=1.0)
_SIBILANT = Viseme(0.10, 0.45, 0.0, strength=1.6)
_POSTALVEOLAR = Viseme(0.16, -0.35, 0.6, strength=2.0)
_VELAR = Viseme(0.28, 0.0, 0.0, strength=0.6)
_OPEN = Viseme(0.95, 0.05, 0.0, strength=1.3)
_FRONT = Viseme(0.60, 0.45, 0.0, strength=1.2)
_MID = Viseme(0.42, 0.05, 0.05, strength=0.9)
_SPREAD = Viseme(0.28, 0.95, 0.0, strength=1.3)
_SMALL_SPREAD = Viseme(0.30, 0.5, 0.0, strength=1.0)
_ROUND = Viseme(0.22, -0.95, 1.0, strength=1.6)
_HALF_ROUND = Viseme(0.52, -0.6, 0.75, strength=1.4)
_OPEN_ROUND = Viseme(0.78, -0.3, 0.4, strength=1.3)

_SIMPLE: dict[str, Viseme] = {
    "_": REST,
    ";": REST._replace(strength=0.2),
    **dict.fromkeys(("p", "b", "m"), _CLOSED),
    **dict.fromkeys(("f", "v"), _LABIODENTAL),
    **dict.fromkeys(("T", "D"), _DENTAL),
    **dict.fromkeys(("t", "d", "n", "l"), _ALVEOLAR),
    **dict.fromkeys(("s", "z"), _SIBILANT),
    **dict.fromkeys(("S", "Z", "tS", "dZ"), _POSTALVEOLAR),
    **dict.fromkeys(("k", "g", "N", "h", "?", "x"), _VELAR),
    "r": Viseme(0.25, -0.4, 0.5, strength=1.2),
    "w": Viseme(0.10, -1.0, 1.0, strength=3.0),
    "j": Viseme(0.22, 0.6, 0.0, strength=1.0),
    **dict.fromkeys(("a", "aa", "A", "A@"), _OPEN),
    **dict.fromkeys(("E", "e@"), _FRONT),
    **dict.fromkeys(("@", "3", "@L", "V", "VR"), _MID),
    "V": Viseme(0.62, 0.0, 0.0, strength=1.1),
    **dict.fromkeys(("i", "i@"), _SPREAD),
    **dict.fromkeys(("I", "IR"), _SMALL_SPREAD),
    **dict.fromkeys(("u", "U", "U@"), _ROUND),
    **dict.fromkeys(("O", "O@", "o@", "o"), _HALF_ROUND),
    "0": _OPEN_ROUND,
}
_DIPHTHONGS: dict[str, tuple[Viseme, Viseme]] = {
    "aI": (_OPEN, _SMALL_SPREAD),
    "aU": (_OPEN, _ROUND),
    "eI": (_FRONT, _SPREAD),
    "OI": (_HALF_ROUND, _SMALL_SPREAD),
    "oU": (_HALF_ROUND, _ROUND),
}


def visemes_of(name: str) -> tuple[Viseme, ...]:
    """Return the shapes that phone ``name`` passes through, in order.

    A length, variant or numeral mark after a mnemonic does not change its shape.

    Raises
    ------
    KeyError
        If no shape is known for the phone.

    >>> visemes_of("i:") == visemes_of("i")
    True
    >>> len(visemes_of("aI2"))
    2
    """
    for end in range(len(name), 0, -1):
        if name[:end] in _DIPHTHONGS:
            return _DIPHTHONGS[name[:end]]
        if name[:end] in _SIMPLE:
            return (_SIMPLE[name[:end]],)
    raise KeyError(f"no mouth shape for the phone {name!r}")


def mouth_curves(
    phones: tuple[Phone, ...],
    num_frames: int,
    *,
    start_s: float,
    effort: float,
    preset: Preset,
    rng: np.random.Generator,
) -> MouthCurves:
    """Move a mouth to ``phones``; frame t shows it at ``start_s + t / 25`` of their time.

    Parameters
    ----------
    phones
        What is spoken; empty for a mouth at rest.
    num_frames
        Length T of the curves.
    start_s
        Time of the first frame on the phones' clock, in seconds.
    effort
        How far the mouth moves from rest; 1 is the plain blend of the targets.
    preset
        Coarticulation, jitter, hypo-articulation and lead.
    rng
        Draws jitter, lead and the play of the face between sounds.
    """
    times = start_s + np.arange(num_frames) / FPS
    lead = rng.normal(preset.lead_mean_s, preset.lead_sd_s)
    centres, targets, strengths = [], [], []
    for phone in phones:
        shapes = visemes_of(phone.name)
        shift = rng.normal(0.0, preset.timing_jitter_s) - lead
        pull = rng.uniform(0.0, preset.hypo_articulation)
        span = phone.stop_s - phone.start_s
        for part, shape in enumerate(shapes):
            centres.append(phone.start_s + span * (part + 0.5) / len(shapes) + shift)
            targets.append((1 - pull) * np.array(shape[:5]) + pull * np.array(REST[:5]))
            strengths.append(shape.strength * (1 - 0.5 * pull))
    if not centres:
        centres, targets, strengths = [0.0], [np.array(REST[:5])], [1.0]
    log_weight = np.log(strengths) - preset.dominance_rate * np.abs(
        times[:, None] - np.array(centres)
    )
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    blend = weight @ np.array(targets) / weight.sum(axis=1, keepdims=True)
    opening, width, rounding, tuck, tongue = effort * blend.T
    return MouthCurves(
        opening=np.clip(opening + drift(rng, num_frames, 0.01, 0.5), 0.0, 1.0),
        width=np.clip(width + drift(rng, num_frames, 0.06, 0.3), -1.0, 1.0),
        rounding=np.clip(rounding, 0.0, 1.0),
        tuck=np.clip(tuck, 0.0, 1.0),
        tongue=np.clip(tongue, 0.0, 1.0),
    )
