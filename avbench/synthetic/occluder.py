"""Things that come between the camera and a mouth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from avbench.data import JSON, UInt8Array
from avbench.synthetic.paint import cover, ellipse_points, polygon_mask

KINDS = ("microphone", "hand", "caption", "bar")


@dataclass(frozen=True)
class Occluder:
    """Something before a face during part of a shot."""

    kind: str
    start: int
    stop: int
    """Half-open frame range within the shot."""
    side: int
    """-1 left or 1 right."""
    depth: float
    """How far it reaches over the mouth, 0 to 1."""
    colour: tuple[float, float, float]

    def shifted(self, frames: int, length: int) -> Occluder:
        """Return it with its frames moved, within a shot of ``length`` frames."""
        start = min(max(self.start + frames, 0), length)
        return replace(self, start=start, stop=min(max(self.stop + frames, start), length))

    def to_json(self) -> dict[str, JSON]:
        """Return what a truth file says about it."""
        return {"kind": self.kind, "start": self.start, "stop": self.stop}


def draw_occluder(rng: np.random.Generator, num_frames: int, probability: float) -> Occluder | None:
    """Draw an occluder, or None."""
    if rng.random() >= probability:
        return None
    kind = KINDS[int(rng.integers(len(KINDS)))]
    length = num_frames if kind in ("microphone", "caption") else int(rng.integers(20, 50))
    start = int(rng.integers(0, max(1, num_frames - length + 1)))
    r, g, b = rng.uniform(15, 235, 3)
    return Occluder(
        kind,
        start,
        min(num_frames, start + length),
        int(rng.choice([-1, 1])),
        float(rng.uniform(0.0, 1.0)),
        (float(r), float(g), float(b)),
    )


def paint_occluder(
    frame: UInt8Array, occluder: Occluder, centre: tuple[float, float], unit: float, t: int
) -> None:
    """Paint an occluder over frame ``t`` of the shot, for a head at ``centre`` (pixels)."""
    if not occluder.start <= t < occluder.stop:
        return
    through = (t - occluder.start) / max(1, occluder.stop - occluder.start - 1)
    side, depth = occluder.side, occluder.depth
    size = (frame.shape[0], frame.shape[1])

    def lay(points: np.ndarray, colour: tuple[float, float, float]) -> None:
        cover(frame, polygon_mask(size, np.asarray(points) * unit + np.asarray(centre)), colour)

    if occluder.kind == "microphone":
        x, y = side * (0.30 - 0.16 * depth), 0.98 - 0.20 * depth
        lay(
            np.array([(x - 0.07, y), (x + 0.07, y), (side * 0.75, 3.4), (side * 0.6, 3.4)]),
            (40, 40, 44),
        )
        lay(ellipse_points((x, y), (0.19, 0.21)), (28.0, 28.0, 32.0))
        lay(ellipse_points((x - 0.05, y - 0.07), (0.06, 0.06)), (70.0, 70.0, 76.0))
    elif occluder.kind == "hand":
        # Comes up from below, rests beside or before the mouth, and goes again.
        rise = np.sin(np.pi * through)
        x, y = side * (0.55 - 0.4 * depth), 2.0 - 1.25 * rise
        lay(ellipse_points((x, y), (0.26, 0.3)), (205.0, 158.0, 128.0))
        for finger in range(4):
            at = (x - side * (0.24 - 0.13 * finger), y - 0.26)
            lay(ellipse_points(at, (0.062, 0.17), 6 * finger), (214.0, 168.0, 138.0))
    elif occluder.kind == "caption":
        top = 0.86 - 0.14 * depth
        lay(np.array([(-20, top), (20, top), (20, top + 0.3), (-20, top + 0.3)]), occluder.colour)
        for word in np.arange(-1.2, 1.2, 0.34):
            box = [(word, top + 0.1), (word + 0.25, top + 0.1)]
            lay(
                np.array([*box, (word + 0.25, top + 0.19), (word, top + 0.19)]),
                (240.0, 240.0, 240.0),
            )
    else:
        x = side * (2.2 - 4.4 * through)
        lay(np.array([(x - 0.2, -4), (x + 0.2, -4), (x + 0.2, 4), (x - 0.2, 4)]), occluder.colour)
