"""Draw the frames of one shot: heads that move, blink and speak before a background."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike

from avbench.data import FloatArray, UInt8Array
from avbench.synthetic.backdrop import Backdrop, Body, paint_backdrop, paint_body
from avbench.synthetic.features import (
    JAW_DROP,
    Gaze,
    jaw_ramp,
    mouth_half_width,
    paint_eyes,
    paint_mouth,
)
from avbench.synthetic.head import BOTTOM, LEFT, RIGHT, TOP, Head, paint_head
from avbench.synthetic.look import Look
from avbench.synthetic.mouth import MouthCurves
from avbench.synthetic.occluder import Occluder, paint_occluder
from avbench.synthetic.paint import drift

_OVERSAMPLE = 1.2
"""Canvas pixels per picture pixel."""
_BOX_UNITS = (-0.80, -0.42, 0.80, 1.06)
"""What a face detector boxes, in head units; the first and third scale with the head's width."""


@dataclass(frozen=True, eq=False)
class Actor:
    """A head in a shot and everything it does."""

    look: Look
    centre: tuple[float, float]
    """Middle of the head in the picture, x and y in pixels."""
    head_height: float
    """Crown to chin in pixels."""
    mouth: MouthCurves
    occluder: Occluder | None = None


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


def draw_pose(actor: Actor, num_frames: int, rng: np.random.Generator) -> Pose:
    """Draw the movement of a head; it knows nothing of what the mouth does."""
    unit = actor.head_height / 2
    return Pose(
        x=actor.centre[0] + unit * drift(rng, num_frames, 0.09, 0.6),
        y=actor.centre[1] + unit * drift(rng, num_frames, 0.05, 0.9),
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
    glance_x, glance_y = (
        rng.normal(0, 0.35, num_frames)[step],
        rng.normal(0, 0.25, num_frames)[step],
    )
    brows = np.clip(drift(rng, num_frames, 0.02, 0.8), -0.02, 0.07)
    return [Gaze(*row) for row in zip(lids, glance_x.clip(-1, 1), glance_y, brows, strict=True)]


@dataclass(frozen=True, eq=False)
class _Player:
    """An actor ready to be drawn."""

    actor: Actor
    head: Head
    pose: Pose
    gaze: list[Gaze]
    body: Body


class Scene:
    """One shot, ready to be drawn any number of times with the same result.

    Parameters
    ----------
    actors
        The heads, farthest first; their mouths have the shot's length T.
    backdrop
        What is behind them.
    size
        Height and width of the picture.
    num_frames
        Length T of the shot.
    image_noise
        Standard deviation of the pixel noise in grey levels.
    rng
        Draws movement, light and noise.
    """

    def __init__(
        self,
        actors: tuple[Actor, ...],
        backdrop: Backdrop,
        size: tuple[int, int],
        num_frames: int,
        *,
        image_noise: float,
        rng: np.random.Generator,
    ) -> None:
        self._size, self._num_frames = size, num_frames
        self._behind = paint_backdrop(backdrop, size, rng)
        light = float(rng.uniform(-1, 1))
        self._players = [_prepare(actor, size, num_frames, light, rng) for actor in actors]
        self._gain = rng.uniform(0.82, 1.1) + drift(rng, num_frames, 0.025, 0.8)
        self._tint = np.clip(rng.normal(1, 0.05, 3), 0.85, 1.15)
        self._gamma = float(rng.uniform(0.85, 1.2))
        self._image_noise = image_noise
        self._noise_seed = int(rng.integers(2**62))
        self.faces = [_truth(player) for player in self._players]
        """The truth about each actor."""

    def frames(self) -> Iterator[UInt8Array]:
        """Draw the shot's T pictures in order; RGB, shape (H, W, 3)."""
        noise = _NoiseBank(self._size, self._image_noise, np.random.default_rng(self._noise_seed))
        for t in range(self._num_frames):
            frame = self._behind.copy()
            for player in self._players:
                _draw_player(frame, player, t)
            curve = _tone_curve(float(self._gain[t]), self._tint, self._gamma)
            yield noise.add(np.asarray(cv2.LUT(frame, curve), np.uint8))


def _prepare(
    actor: Actor,
    size: tuple[int, int],
    num_frames: int,
    light: float,
    rng: np.random.Generator,
) -> _Player:
    unit = actor.head_height / 2
    return _Player(
        actor,
        paint_head(actor.look, _OVERSAMPLE * unit, light, rng),
        draw_pose(actor, num_frames, rng),
        draw_gaze(num_frames, rng),
        paint_body(actor.look, size, actor.centre, unit),
    )


def _draw_player(frame: UInt8Array, player: _Player, t: int) -> None:
    actor, pose = player.actor, player.pose
    sway = (0.45 * (pose.x[t] - actor.centre[0]), 0.45 * (pose.y[t] - actor.centre[1]))
    _lay_body(frame, player.body, sway)
    shape = actor.mouth.at(t)
    canvas = player.head.canvas.copy()
    paint_eyes(player.head, canvas, player.gaze[t])
    paint_mouth(player.head, canvas, shape)
    if player.head.glasses is not None:
        _over(canvas[..., :3], player.head.glasses)
    _warp_head(frame, player.head, canvas, pose, t, shape.opening)
    if actor.occluder is not None:
        paint_occluder(frame, actor.occluder, (pose.x[t], pose.y[t]), actor.head_height / 2, t)


def _lay_body(frame: UInt8Array, body: Body, sway: tuple[float, float]) -> None:
    height, width = frame.shape[:2]
    x0, y0 = max(body.left, 0), max(body.top, 0)
    x1 = min(body.left + body.layer.shape[1], width)
    y1 = min(body.top + body.layer.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return
    move = np.array([[1, 0, body.left - x0 + sway[0]], [0, 1, body.top - y0 + sway[1]]], np.float32)
    _over(frame[y0:y1, x0:x1], cv2.warpAffine(body.layer, move, (x1 - x0, y1 - y0)))


def _over(under: UInt8Array, layer: MatLike) -> None:
    """Lay a premultiplied layer over a picture of the same size, in place."""
    rest = cv2.cvtColor(255 - layer[..., 3], cv2.COLOR_GRAY2RGB)
    dimmed = cv2.multiply(under, rest, scale=1 / 255)
    under[...] = cv2.add(dimmed, cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB))


def _warp_head(
    frame: UInt8Array, head: Head, canvas: UInt8Array, pose: Pose, t: int, opening: float
) -> None:
    """Turn, stretch and place the head's canvas in the picture in one resampling."""
    unit, x, y = float(pose.unit[t]), float(pose.x[t]), float(pose.y[t])
    reach = unit * 1.06
    x0, x1 = max(0, int(x + LEFT * reach - 2)), min(frame.shape[1], int(x + RIGHT * reach + 3))
    y0, y1 = max(0, int(y + TOP * reach - 2)), min(frame.shape[0], int(y + BOTTOM * reach + 3))
    if x0 >= x1 or y0 >= y1:
        return
    right = (np.arange(x0, x1, dtype=np.float32) - np.float32(x))[None] / np.float32(unit)
    down = (np.arange(y0, y1, dtype=np.float32) - np.float32(y))[:, None] / np.float32(unit)
    cos, sin = np.float32(np.cos(pose.roll[t])), np.float32(np.sin(pose.roll[t]))
    u, v = cos * right + sin * down, cos * down - sin * right
    half = np.float32(head.look.half_width)
    depth = np.clip(1 - (u / (1.1 * half)) ** 2 - (v / 1.15) ** 2, 0, None)
    u = u - np.float32(pose.yaw[t]) * depth
    v = v - np.float32(pose.pitch[t]) * depth
    inside = np.clip((1.05 * half - np.abs(u)) / (0.25 * half), 0, 1)
    drop = np.float32(JAW_DROP * opening)
    v = v - drop * inside * jaw_ramp(v, head.look.mouth_height).astype(np.float32)
    scale = np.float32(head.scale)
    layer = cv2.remap(
        canvas,
        (u - np.float32(LEFT)) * scale,
        (v - np.float32(TOP)) * scale,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    _over(frame[y0:y1, x0:x1], layer)


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


def _truth(player: _Player) -> DrawnFace:
    look, pose = player.actor.look, player.pose
    u0, v0, u1, v1 = _BOX_UNITS
    middle = _to_picture(pose, np.array([[0.0, (v0 + v1) / 2]]), look.half_width)[:, 0]
    half = np.stack([pose.unit * (u1 - u0) / 2, pose.unit * (v1 - v0) / 2], axis=1)
    mouth = _to_picture(pose, np.array([[0.0, look.mouth_height]]), look.half_width)[:, 0]
    curves = player.actor.mouth
    widths = [mouth_half_width(look, shape) for shape in map(curves.at, range(len(curves)))]
    return DrawnFace(
        boxes=np.concatenate([middle - half, middle + half], axis=1),
        mouth_centre=mouth,
        mouth_width=2 * np.array(widths) * pose.unit,
    )


def _tone_curve(gain: float, tint: FloatArray, gamma: float) -> UInt8Array:
    level = (np.arange(256) / 255) ** gamma
    return np.clip(255 * gain * level[:, None] * tint + 0.5, 0, 255).astype(np.uint8)[None]


class _NoiseBank:
    """Camera noise: a larger field drawn once, shown at another place on every frame."""

    _MARGIN = 48

    def __init__(self, size: tuple[int, int], sd: float, rng: np.random.Generator) -> None:
        self._size, self._rng = size, rng
        shape = (size[0] + self._MARGIN, size[1] + self._MARGIN)
        grey = rng.standard_normal((*shape, 1), dtype=np.float32)
        colour = rng.standard_normal((*shape, 3), dtype=np.float32)
        self._field = np.round(sd * (0.85 * grey + 0.53 * colour)).astype(np.int16)

    def add(self, frame: UInt8Array) -> UInt8Array:
        y, x = self._rng.integers(0, self._MARGIN, 2)
        field = self._field[y : y + self._size[0], x : x + self._size[1]]
        if self._rng.random() < 0.5:
            field = field[:, ::-1]
        return np.asarray(cv2.add(frame, field, dtype=cv2.CV_8U))
