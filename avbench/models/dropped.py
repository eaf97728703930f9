"""How many frames were dropped before a picture, by how it moves on from those around it.

Heads move smoothly: where frames were dropped, a face goes on as before, but further at once. So
the change from each picture to the next is compared with the changes before and after it, in every
part of the face: their products say how far, and in which sense, each goes along with the others.
Pictures that were shown twice are left out first (`avbench.repairing.held`), so that what is looked
at lost frames and nothing else. This knows no sound, and is of avbench's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from avbench import features
from avbench.data import IntArray, UInt8Array
from avbench.models.corrupt import Laws, damage
from avbench.models.trainset import Batch, TrainingClip, TrainingSet

CHUNK = 256
"""Pictures that are judged at once."""
NOISE = 1e-6
"""Square of a change that is none, pictures in [0, 1]: added before logarithms."""
UNASKED = -100
"""Class of a place that nothing is to be learned from."""
_KERNEL = 5
"""Places that a convolution over time sees."""


@dataclass(frozen=True)
class DropConfig:
    """Size of the network that looks for dropped frames."""

    near: int = 8
    """Changes before and after one that it is compared with."""
    cell: int = 8
    """Side in pixels of the smallest parts of a face."""
    width: int = 96
    heads: int = 8
    """Ways of weighing the parts of the face."""
    mix: int = 128
    """Width of the convolutions over time."""
    layers: int = 4
    most: int = 2
    """So many dropped frames, or more, are the last class."""

    @property
    def classes(self) -> int:
        """None dropped, one, ... up to ``most`` and more."""
        return self.most + 1

    @property
    def reach(self) -> int:
        """Pictures before and after one that what is said of it depends on, at most."""
        return self.near + 1 + self.layers * (_KERNEL // 2)

    @property
    def parts(self) -> int:
        """Parts of a face: the cells, and larger ones that overlap, up to the whole for 7 cells."""
        sides = [features.FACE_PIXELS // self.cell]
        while sides[-1] >= 3:
            sides.append((sides[-1] - 3) // 2 + 1)
        return sum(side**2 for side in sides)


class DropDetector(nn.Module):
    """A small network on the products of changes, part by part, and then over time."""

    first: torch.Tensor
    lag: torch.Tensor
    alone: torch.Tensor

    def __init__(self, config: DropConfig) -> None:
        super().__init__()
        self.config = config
        span = 2 * config.near + 1
        first, second = torch.triu_indices(span, span)
        self.register_buffer("first", first - config.near, persistent=False)
        self.register_buffer("lag", second - first, persistent=False)
        self.register_buffer("alone", (second == first).nonzero().flatten(), persistent=False)
        width, mix = config.width, config.mix
        self.compare = nn.Sequential(
            nn.Linear(len(first) + 2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.part = nn.Parameter(torch.zeros(config.parts, width))
        self.weigh = nn.Linear(width, config.heads)
        self.enter = nn.Conv1d(config.heads * width, mix, 1)
        self.over_time = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(mix, mix, _KERNEL, padding=_KERNEL // 2), nn.BatchNorm1d(mix), nn.ReLU()
            )
            for _ in range(config.layers)
        )
        self.out = nn.Conv1d(mix, config.classes, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return logits of how many frames were dropped before each picture.

        Parameters
        ----------
        pictures
            As from `as_pictures`, none shown twice; shape (B, K, 56, 56).

        Returns
        -------
        torch.Tensor
            Shape (B, K, most + 1). Of the first picture, nothing can be known.
        """
        seen = self.compare(self._compared(pictures)) + self.part
        weights = self.weigh(seen).softmax(dim=2)
        found = torch.einsum("bkpw,bkph->bkhw", seen, weights).flatten(2)
        found = self.enter(found.transpose(1, 2))
        for layer in self.over_time:
            found = found + layer(found)
        logits: torch.Tensor = self.out(found).transpose(1, 2)
        return logits

    def _compared(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the products of all pairs of changes around each place; shape (B, K, parts, F).

        They are relative to the mean square of these changes, whose logarithm follows, and that of
        the change at the place itself.
        """
        near = self.config.near
        places = torch.arange(pictures.shape[1], device=pictures.device)
        products = _products(pictures, near, self.config.cell)
        around = products[:, near + places[:, None] + self.first, self.lag].transpose(2, 3)
        squares = around[..., self.alone]
        scale = squares.mean(dim=-1, keepdim=True) + NOISE
        own = squares[..., near : near + 1] + NOISE
        return torch.cat((around / scale, scale.log(), own.log()), dim=-1)

    def log_probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        """Say how probable it is that none, one, or more frames were dropped before each picture.

        Parameters
        ----------
        pictures
            As from `as_pictures`, none shown twice; shape (K, 56, 56).

        Returns
        -------
        torch.Tensor
            Natural logarithms; shape (K, most + 1).
        """
        logits, reach = [], self.config.reach
        for start in range(0, len(pictures), CHUNK):
            before = min(start, reach)
            part = pictures[start - before : start + CHUNK + reach]
            logits.append(self(part.unsqueeze(0))[0, before : before + CHUNK])
        return F.log_softmax(torch.cat(logits).float(), dim=-1)


def _products(pictures: torch.Tensor, near: int, cell: int) -> torch.Tensor:
    """Return the mean product of changes ``lag`` apart, in every part of the picture.

    Shape (B, near + K + near, 2 * near + 1, parts): place ``near + k`` has the products of the
    change that leads to picture k with those that lead to k, k + 1, ... Where there is no change,
    it is zero.
    """
    changes = F.pad(pictures.diff(dim=1), (0, 0, 0, 0, near + 1, near))
    many = changes.shape[1]
    lags = [
        F.pad(
            F.avg_pool2d(changes[:, lag:] * changes[:, : many - lag], cell), (0, 0) * 2 + (0, lag)
        )
        for lag in range(2 * near + 1)
    ]
    layers = [torch.stack(lags, dim=2).flatten(0, 1)]
    while layers[-1].shape[-1] >= 3:
        layers.append(F.avg_pool2d(layers[-1], 3, 2))
    parts = torch.cat([layer.flatten(2) for layer in layers], dim=2)
    return parts.view(-1, many, *parts.shape[1:])


def as_pictures(faces: UInt8Array) -> torch.Tensor:
    """Return small faces as numbers in [0, 1]; any shape."""
    return torch.from_numpy(np.ascontiguousarray(faces)).float().div_(255)


@dataclass(frozen=True, eq=False)
class DropBatch(Batch):
    """Stretches of pictures, shape (B, K, 1, 56, 56), and what was dropped before each."""

    dropped: torch.Tensor
    """Class of each place, `UNASKED` where it is unknown; shape (B, K)."""


class DropSet(TrainingSet):
    """Stretches of damaged clips, to learn from what was dropped in them.

    Parameters
    ----------
    data
        The clips, with their faces; each is damaged anew whenever it is drawn.
    config
        Of the network that learns.
    laws
        Of the damage.
    """

    STRETCH = 48
    """Pictures of a stretch."""

    def __init__(self, data: TrainingSet, config: DropConfig, laws: Laws) -> None:
        super().__init__(data.clips, data.skipped, complete=data.complete, front=data.front)
        self._config, self._laws = config, laws

    def draw(self, rng: np.random.Generator, count: int, num_frames: int) -> DropBatch:
        """Draw stretches, each brighter or darker, some mirrored, some run backwards.

        ``num_frames`` is of no use here.
        """
        found = [
            self._stretch(self.clips[int(index)], rng)
            for index in rng.integers(len(self.clips), size=count)
        ]
        pictures, dropped = (torch.stack(values) for values in zip(*found, strict=True))
        return DropBatch(pictures.unsqueeze(2), torch.empty(0), dropped=dropped)

    def _stretch(
        self, clip: TrainingClip, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert clip.faces is not None, "the front keeps faces"
        frames, dropped = self._places(len(clip), rng)
        pictures = as_pictures(clip.faces[frames]) * float(rng.uniform(0.7, 1.3))
        return pictures.flip(-1) if rng.random() < 0.5 else pictures, torch.from_numpy(dropped)

    def _places(self, num_frames: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Draw which frames are seen, the last one again where a clip is too short."""
        frames = np.unique(damage(num_frames, rng, self._laws).shown)
        start = int(rng.integers(max(1, len(frames) - self.STRETCH + 1)))
        frames = frames[start : start + self.STRETCH]
        if rng.random() < 0.5:
            frames = frames[::-1]
        dropped = np.minimum(np.abs(np.diff(frames)) - 1, self._config.most)
        spare = self.STRETCH - len(frames)
        return (
            np.pad(frames, (0, spare), mode="edge"),
            np.pad(dropped, (1, spare), constant_values=UNASKED),
        )
