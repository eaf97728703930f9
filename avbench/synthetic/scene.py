"""Draw the frames of one shot: heads that move, blink and speak before a background."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike

from avbench.data import UInt8Array
from avbench.synthetic.backdrop import Backdrop, Body, paint_backdrop, paint_body
from avbench.synthetic.features import JAW_DROP, Gaze, jaw_ramp, paint_eyes, paint_mouth
from avbench.synthetic.head import BOTTOM, LEFT, RIGHT, TOP, Head, paint_head
from avbench.synthetic.look import Look
from avbench.synthetic.motion import Pose, draw_gaze, draw_pose, truth_of
from avbench.synthetic.mouth import MouthCurves
from avbench.synthetic.occluder import Occluder, paint_occluder
from avbench.synthetic.paint import drift

_OVERSAMPLE = 1.2
"""Canvas pixels per picture pixel."""


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
class _Player:
    """A painted actor."""

    actor: Actor
    head: Head
    body: Body
    pose: Pose
    gaze: list[Gaze]


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
        self._actors, self._backdrop = actors, backdrop
        self._size, self._num_frames = size, num_frames
        self._image_noise = image_noise
        self._poses = [
            draw_pose(actor.centre, actor.head_height / 2, num_frames, rng) for actor in actors
        ]
        self._gazes = [draw_gaze(num_frames, rng) for _ in actors]
        self._gain = backdrop.gain + drift(rng, num_frames, 0.02, 0.8)
        self._seed = int(rng.integers(2**62))
        self.faces = [
            truth_of(actor.look, pose, actor.mouth)
            for actor, pose in zip(actors, self._poses, strict=True)
        ]
        """The truth about each actor."""

    def frames(self) -> Iterator[UInt8Array]:
        """Draw the shot's T pictures in order; RGB, shape (H, W, 3)."""
        rng = np.random.default_rng(self._seed)
        behind = paint_backdrop(self._backdrop, self._size, rng)
        light = float(rng.uniform(-1, 1))
        players = []
        for actor, pose, gaze in zip(self._actors, self._poses, self._gazes, strict=True):
            unit = actor.head_height / 2
            head = paint_head(actor.look, _OVERSAMPLE * unit, light, rng)
            body = paint_body(actor.look, self._size, actor.centre, unit)
            players.append(_Player(actor, head, body, pose, gaze))
        noise = _NoiseBank(self._size, self._image_noise, rng)
        for t in range(self._num_frames):
            frame = behind.copy()
            for player in players:
                _draw_player(frame, player, t)
            curve = _tone_curve(float(self._gain[t]), self._backdrop)
            yield noise.add(np.asarray(cv2.LUT(frame, curve), np.uint8))


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


def _tone_curve(gain: float, backdrop: Backdrop) -> UInt8Array:
    level = (np.arange(256) / 255) ** backdrop.gamma
    curve = 255 * gain * level[:, None] * np.array(backdrop.tint)
    return np.asarray(np.clip(curve + 0.5, 0, 255), np.uint8)[None]


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
