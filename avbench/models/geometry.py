"""A two-stream network that sees where the lips are instead of what they look like.

A rival of the published networks: points of the face in place of pixels know nothing of skin, light
or a codec, and a network with two layers a stream learns from one speaker what holds for others.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from avbench import features, landmarks
from avbench.data import JSON, FloatArray, UInt8Array
from avbench.models.architectures import GeometryConfig
from avbench.models.trainset import Front
from avbench.models.two_stream import Network, one_thread

LIPS = landmarks.OUTER_LIP + landmarks.INNER_LIP
POINTS = LIPS + landmarks.CHIN + landmarks.EYES + landmarks.NOSE
_MOUTH = slice(0, len(LIPS) + len(landmarks.CHIN))
_RIGHT, _LEFT, _NOSE = slice(25, 27), slice(27, 29), 29
_OUTER_TOP, _OUTER_BOTTOM = 3, 9
_CORNERS, _INNER = (12, 16), (14, 18)
_FEATURES = 2 * (_MOUTH.stop) + 3


class LipGeometryNet(Network):
    """Two layers a stream: lips and chin of five frames, and 18 log-mel frames.

    Of each window the points are moved to the face's middle, turned level and divided by the
    distance of the eyes; the window's mean shape, the shapes less that mean, and the change from
    frame to frame go in. A frame without a face counts as one that looks like the mean.
    """

    chunk: ClassVar[int] = 512
    single_thread: ClassVar[bool] = True
    sound_axis: ClassVar[int] = 1
    sound_window: ClassVar[tuple[int, int]] = (features.WINDOW_MELS, features.MELS_PER_FRAME)

    config: GeometryConfig

    def __init__(self, config: GeometryConfig) -> None:
        super().__init__()
        self.config = config
        shapes = _FEATURES * (2 * features.WINDOW)
        self.video = _stream(shapes, config)
        self.audio = _stream(features.NUM_MELS * features.WINDOW_MELS, config)

    @property
    def front(self) -> Front:
        """How clips are kept to train it."""
        return REFINED if self.config.refined else LANDMARKS

    def describe(self) -> dict[str, JSON]:
        """Return the settings of the features that the network was made for."""
        return {**features.describe(), "landmarks": list(POINTS)}

    def read_pictures(self, frames: UInt8Array) -> torch.Tensor:
        """Return the points of the face; (T, H, W, 3) to (T, 30, 2), NaN without a face."""
        return torch.from_numpy(landmarks.find(frames, POINTS, refined=self.config.refined))

    def read_sound(self, audio: FloatArray) -> torch.Tensor:
        """Return the log-mel frames of mono sound; (T * 640,) to (40, 4 T - 2)."""
        with one_thread():
            return features.log_mel(audio)

    def embed_video(self, pictures: torch.Tensor) -> torch.Tensor:
        """Embed every five-frame window of points; (B, T, 30, 2) to (B, T - 4, D)."""
        windows = pictures.unfold(1, features.WINDOW, 1).permute(0, 1, 4, 2, 3)
        batch, rows = windows.shape[:2]
        shapes = _shapes(windows)
        known = torch.isfinite(shapes)
        filled = torch.where(known, shapes, 0.0)
        mean = filled.sum(2, keepdim=True) / known.sum(2, keepdim=True).clamp_min(1)
        motion = torch.where(known, shapes - mean, 0.0)
        change = self.config.gradient * (motion[:, :, 1:] - motion[:, :, :-1])
        parts = (mean.flatten(2), motion.flatten(2), change.flatten(2))
        out: torch.Tensor = self.video(torch.cat(parts, -1).flatten(0, 1))
        return out.view(batch, rows, -1)

    def embed_audio(self, sound: torch.Tensor) -> torch.Tensor:
        """Embed every five-frame window of log-mel frames; (B, 40, 4 T - 2) to (B, T - 4, D)."""
        windows = features.mel_windows(sound)
        batch, rows = windows.shape[:2]
        out: torch.Tensor = self.audio(windows.flatten(0, 1).flatten(1))
        return out.view(batch, rows, -1)


def _stream(inputs: int, config: GeometryConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(inputs),
        nn.Linear(inputs, config.hidden, bias=False),
        nn.BatchNorm1d(config.hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, config.dim),
    )


def _shapes(windows: torch.Tensor) -> torch.Tensor:
    """Bring points to one size and attitude; (..., 5, 30, 2) to (..., 5, 53), NaN kept."""
    right, left = windows[..., _RIGHT, :].mean(-2), windows[..., _LEFT, :].mean(-2)
    line = torch.nanmean(left - right, dim=-2, keepdim=True)
    size = torch.linalg.vector_norm(line, dim=-1, keepdim=True).clamp_min(1e-3)
    across = line / size
    down = torch.stack((-across[..., 1], across[..., 0]), -1)
    middle = (right + left) / 4 + windows[..., _NOSE, :] / 2
    points = (windows[..., _MOUTH, :] - middle.unsqueeze(-2)) / size.unsqueeze(-2)
    level = torch.stack(
        ((points * across.unsqueeze(-2)).sum(-1), (points * down.unsqueeze(-2)).sum(-1)), -1
    )
    pairs = (_INNER, _CORNERS, (_OUTER_TOP, _OUTER_BOTTOM))
    lengths = [level[..., one, :] - level[..., other, :] for one, other in pairs]
    spans = [torch.linalg.vector_norm(length, dim=-1) for length in lengths]
    return torch.cat((level.flatten(-2), torch.stack(spans, -1)), -1)


def _mels(audio: FloatArray) -> FloatArray:
    return np.asarray(features.log_mel(audio).numpy().astype(np.float16))


def _front(refined: bool) -> Front:
    return Front(
        partial(landmarks.find, points=POINTS, refined=refined),  # type: ignore[arg-type]
        _mels,
        1,
        (features.WINDOW_MELS, features.MELS_PER_FRAME),
        255,
    )


LANDMARKS, REFINED = _front(False), _front(True)
"""Points of the face, (T, 30, 2), and log-mel frames in half precision, (40, 4 T - 2)."""
