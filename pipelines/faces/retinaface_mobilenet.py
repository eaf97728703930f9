"""RetinaFace on a quarter-width MobileNet: a detector of 0.4 M weights for the CPU.

The network is built here to fit, name by name, the weights that were released with the PyTorch
implementation of RetinaFace (``mobilenet0.25_Final.pth``).

References
----------
Deng, Guo, Zhou, Yu, Kotsia and Zafeiriou, "RetinaFace: single-shot multi-level face localisation
in the wild", CVPR 2020 (anchors, heads, five landmarks). Howard et al., "MobileNets", 2017 (the
body). Lin et al., "Feature pyramid networks", CVPR 2017. Najibi et al., "SSH: single stage
headless face detector", ICCV 2017 (the context modules).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avbench.data import FloatArray, UInt8Array
from avbench.models.two_stream import one_thread

from .boxes import Detections, merge
from .state import load_state

MEAN = (104.0, 117.0, 123.0)
"""Blue, green and red that are taken from every pixel, as in training."""
STRIDES = (8, 16, 32)
"""Pixels between the anchors of the three levels."""
SIDES = ((16, 32), (64, 128), (256, 512))
"""Sides in pixels of the anchors at each place of a level."""
VARIANCES = (0.1, 0.2)
"""Units in which places and logarithms of sizes are predicted."""
LONGEST = 640
"""Longer pictures are shrunk to this many pixels; the largest anchor nearly fills one."""
_SLOPE = 0.1
"""Of the leaky ReLUs, where their input is negative."""


def _conv(
    inputs: int, outputs: int, size: int = 3, stride: int = 1, groups: int = 1, act: bool = True
) -> list[nn.Module]:
    """Return a convolution without bias, batch normalisation and, if asked for, a leaky ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return [*layers, nn.LeakyReLU(_SLOPE)] if act else layers


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return MobileNet's block: every channel by itself, then all channels at each place."""
    depth = _conv(inputs, inputs, stride=stride, groups=inputs)
    return nn.Sequential(*depth, *_conv(inputs, outputs, size=1))


def _body() -> nn.ModuleDict:
    first = [nn.Sequential(*_conv(3, 8, stride=2))]
    first += [_separable(a, b, s) for a, b, s in ((8, 16, 1), (16, 32, 2), (32, 32, 1))]
    first += [_separable(32, 64, 2), _separable(64, 64)]
    second = [_separable(64, 128, 2), *(_separable(128, 128) for _ in range(5))]
    third = [_separable(128, 256, 2), _separable(256, 256)]
    stages = zip(("stage1", "stage2", "stage3"), (first, second, third), strict=True)
    return nn.ModuleDict({name: nn.Sequential(*blocks) for name, blocks in stages})


class _Pyramid(nn.Module):
    """Carry what coarse levels see down to the finer ones; all levels get 64 channels."""

    def __init__(self, channels: tuple[int, ...] = (64, 128, 256), width: int = 64) -> None:
        super().__init__()
        for number, inputs in enumerate(channels, 1):
            setattr(self, f"output{number}", nn.Sequential(*_conv(inputs, width, size=1)))
        self.merge1 = nn.Sequential(*_conv(width, width))
        self.merge2 = nn.Sequential(*_conv(width, width))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = (getattr(self, f"output{n}")(x) for n, x in enumerate(levels, 1))
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[2:]))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[2:]))
        return [fine, middle, coarse]


class _Context(nn.Module):
    """SSH's context module: 3x3, 5x5 and 7x7 surroundings side by side, from 3x3 layers."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = nn.Sequential(*_conv(width, half, act=False))
        self.conv5X5_1 = nn.Sequential(*_conv(width, quarter))
        self.conv5X5_2 = nn.Sequential(*_conv(quarter, quarter, act=False))
        self.conv7X7_2 = nn.Sequential(*_conv(quarter, quarter))
        self.conv7x7_3 = nn.Sequential(*_conv(quarter, quarter, act=False))

    def forward(self, x: Tensor) -> Tensor:
        shared = self.conv5X5_1(x)
        parts = [self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return F.relu(torch.cat(parts, dim=1))


class _Head(nn.Module):
    """Predict ``values`` numbers for each of the two anchors at a place."""

    def __init__(self, values: int, width: int = 64) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(width, 2 * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.conv1x1(x).permute(0, 2, 3, 1).reshape(len(x), -1, self.values)
        return rows


class Network(nn.Module):
    """The whole network: pictures to two logits, four box values and ten of points per anchor."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _body()
        self.fpn = _Pyramid()
        self.ssh1, self.ssh2, self.ssh3 = _Context(), _Context(), _Context()
        self.ClassHead = nn.ModuleList(_Head(2) for _ in STRIDES)
        self.BboxHead = nn.ModuleList(_Head(4) for _ in STRIDES)
        self.LandmarkHead = nn.ModuleList(_Head(10) for _ in STRIDES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take blue, green and red less `MEAN`, shape (B, 3, H, W); give (B, anchors, ...)."""
        levels = []
        for stage in self.body.values():
            images = stage(images)
            levels.append(images)
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        seen = [ssh(level) for ssh, level in zip(contexts, self.fpn(levels), strict=True)]
        logits, boxes, points = (
            torch.cat([head(level) for head, level in zip(heads, seen, strict=True)], dim=1)
            for heads in (self.ClassHead, self.BboxHead, self.LandmarkHead)
        )
        return logits, boxes, points


@lru_cache(maxsize=4)
def anchors(height: int, width: int) -> FloatArray:
    """Return centre x, centre y and side of all anchors of a picture; shape (anchors, 3).

    >>> anchors(32, 64)[[0, 1, 2, -1]].tolist()
    [[4.0, 4.0, 16.0], [4.0, 4.0, 32.0], [12.0, 4.0, 16.0], [48.0, 16.0, 512.0]]
    """
    rows = [
        ((x + 0.5) * stride, (y + 0.5) * stride, side)
        for stride, sides in zip(STRIDES, SIDES, strict=True)
        for y, x, side in product(range(-(-height // stride)), range(-(-width // stride)), sides)
    ]
    return np.array(rows, np.float64)


def decode(places: FloatArray, boxes: FloatArray, points: FloatArray) -> tuple[FloatArray, ...]:
    """Turn what the network says about anchors into pixels.

    Parameters
    ----------
    places
        Anchors; shape (N, 3).
    boxes
        Displacement of the centre and logarithm of the size, relative to the anchor; (N, 4).
    points
        Displacements of five points; shape (N, 10).

    Returns
    -------
    boxes, points
        x0, y0, x1, y1 in pixels, shape (N, 4); x, y in pixels, shape (N, 5, 2).
    """
    centres, sides = places[:, None, :2], places[:, None, 2:]
    middles = (centres + boxes[:, None, :2] * VARIANCES[0] * sides)[:, 0]
    halves = sides[:, 0] * np.exp(boxes[:, 2:] * VARIANCES[1]) / 2
    corners = np.concatenate([middles - halves, middles + halves], axis=1)
    return corners, centres + points.reshape(-1, 5, 2) * VARIANCES[0] * sides


class RetinaFaceMobileNet:
    """RetinaFace with the small body, on the CPU.

    Parameters
    ----------
    confidence
        Least confidence of a face.
    weights
        The released file of weights (a state dict).

    Raises
    ------
    UsageError
        If the file holds anything else.
    """

    def __init__(self, confidence: float, weights: Path) -> None:
        self._confidence = confidence
        self._network = load_network(weights)

    def __call__(self, image: UInt8Array) -> Detections:
        """Find the faces of an RGB picture; shape (H, W, 3)."""
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        if scale < 1:
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = np.asarray(small, np.uint8)
        height, width = image.shape[:2]
        pixels = image[..., ::-1].astype(np.float32) - np.array(MEAN, np.float32)
        with torch.inference_mode(), one_thread():
            batch = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
            logits, boxes, points = (part[0] for part in self._network(batch))
            scores = logits.softmax(dim=-1)[:, 1].numpy().astype(np.float64)
            rows = np.flatnonzero(scores >= self._confidence)
            values = [part.numpy()[rows].astype(np.float64) for part in (boxes, points)]
        corners, five = decode(anchors(height, width)[rows], *values)
        # The points are the eyes, the nose and the ends of the mouth, the picture's left first.
        found = Detections(corners, scores[rows], five[:, 3:].mean(axis=1), five[:, :2])
        return merge(found).scaled(1 / scale)


def load_network(weights: Path) -> Network:
    """Return the network with weights from a file, every tensor of which must have its place.

    Raises
    ------
    UsageError
        If the file does not hold exactly the network's tensors.
    """
    network = Network()
    load_state(
        weights,
        network.load_state_dict,
        "does not hold the tensors of RetinaFace's mobilenet 0.25; give the released "
        "mobilenet0.25_Final.pth with --detector-weights",
    )
    return network.eval()
