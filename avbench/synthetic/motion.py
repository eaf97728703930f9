"""How a drawn head moves, blinks and looks about, and where that puts it in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avbench.data import FloatArray
from avbench.synthetic.features import Gaze, mouth_half_width
from avbench.synthetic.look import Look
from avbench.synthetic.mouth import MouthCurves
from avbench.synthetic.paint import drift

_BOX_UNITS = (-0.80, -0.53, 0.80, 1.05)
"""What a face detector boxes, in head units; the first and third scale with the head's width."""


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a head is; every array has shape (T,)."""

    x: FloatArray
    y: FloatArray
    unit: FloatArray
    """Picture pixels per head unit."""
    roll: FloatArray
    """Radians, clockwise."""
    yaw: FloatArray
    """Head units by which the middle of the face moves sideways."""
    pitch: FloatArray


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """What is true of one face through one shot."""

    boxes: FloatArray
    """x0, y0, x1, y1 of the face region in pixels, as a detector boxes it; shape (T, 4)."""
    mouth_centre: FloatArray
    """x, y of the middle of the mouth in pixels; shape (T, 2)."""
    mouth_width: FloatArray
    """Width of the mouth in pixels; shape (T,)."""


def draw_pose(
    centre: tuple[float, float], unit: float, num_frames: int, rng: np.random.Generator
) -> Pose:
    """Draw the movement of a head about ``centre``; it knows nothing of what the mouth does."""
    return Pose(
        x=centre[0] + unit * drift(rng, num_frames, 0.09, 0.6),
        y=centre[1] + unit * drift(rng, num_frames, 0.05, 0.9),
        unit=unit * (1 + drift(rng, num_frames, 0.02, 0.4)),
        roll=drift(rng, num_frames, 0.06, 0.7) + rng.normal(0, 0.04),
        yaw=np.clip(drift(rng, num_frames, 0.06, 0.6) + rng.normal(0, 0.05), -0.2, 0.2),
        pitch=np.clip(drift(rng, num_frames, 0.03, 0.9), -0.1, 0.1),
    )


def draw_gaze(num_frames: int, rng: np.random.Generator) -> list[Gaze]:
    """Draw blinks, glances and brows."""
    lids = np.full(num_frames, float(rng.uniform(0.8, 1.0)))
    blink = np.array([0.6, 0.15, 0.0, 0.25, 0.7])
    start = int(rng.integers(10, 60))
    while start + len(blink) < num_frames:
        lids[start : start + len(blink)] *= blink
        start += int(rng.integers(35, 130))
    hold = rng.integers(8, 40, num_frames).cumsum()
    step = np.searchsorted(hold, np.arange(num_frames))
    x = rng.normal(0, 0.35, num_frames)[step].clip(-1, 1)
    y = rng.normal(0, 0.25, num_frames)[step]
    brows = np.clip(drift(rng, num_frames, 0.02, 0.8), -0.02, 0.07)
    return [Gaze(*row) for row in zip(lids, x, y, brows, strict=True)]


def _to_picture(pose: Pose, points: FloatArray, half_width: float) -> FloatArray:
    """Move head-unit points (n, 2) into every frame; shape (T, n, 2)."""
    u, v = points[:, 0], points[:, 1]
    depth = np.clip(1 - (u / (1.1 * half_width)) ** 2 - (v / 1.15) ** 2, 0, None)
    u = u + pose.yaw[:, None] * depth
    v = v + pose.pitch[:, None] * depth
    cos, sin = np.cos(pose.roll)[:, None], np.sin(pose.roll)[:, None]
    unit = pose.unit[:, None]
    x = pose.x[:, None] + unit * (cos * u - sin * v)
    y = pose.y[:, None] + unit * (sin * u + cos * v)
    return np.stack([x, y], axis=2)


def truth_of(look: Look, pose: Pose, mouth: MouthCurves) -> DrawnFace:
    """Return where a moving face and its mouth are."""
    u0, v0, u1, v1 = _BOX_UNITS
    middle = _to_picture(pose, np.array([[0.0, (v0 + v1) / 2]]), look.half_width)[:, 0]
    half = np.stack([pose.unit * (u1 - u0) / 2, pose.unit * (v1 - v0) / 2], axis=1)
    lips = _to_picture(pose, np.array([[0.0, look.mouth_height]]), look.half_width)[:, 0]
    widths = [mouth_half_width(look, shape) for shape in map(mouth.at, range(len(mouth)))]
    return DrawnFace(
        boxes=np.concatenate([middle - half, middle + half], axis=1),
        mouth_centre=lips,
        mouth_width=2 * np.array(widths) * pose.unit,
    )
