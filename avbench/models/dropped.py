"""How many frames were dropped before a picture, by how much it differs from those around it.

Where frames were dropped, faces leap. Pictures that were shown twice are left out first
(`avbench.repairing.held`), so that what is looked at lost frames and nothing else. This knows no
sound, and is of avbench's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from avbench.data import IntArray, UInt8Array
from avbench.models.corrupt import Laws, damage
from avbench.models.trainset import Batch, TrainingClip, TrainingSet

BATCH = 256
"""Stacks that are looked at at once."""


@dataclass(frozen=True)
class DropConfig:
    """Size of the network that looks for dropped frames."""

    near: int = 3
    """Pictures before and after the place."""
    width: int = 32
    most: int = 2
    """So many dropped frames, or more, are the last class."""

    @property
    def classes(self) -> int:
        """None dropped, one, ... up to ``most`` and more."""
        return self.most + 1


class DropDetector(nn.Module):
    """A small convolutional network on the pictures around a place, and on their differences."""

    def __init__(self, config: DropConfig) -> None:
        super().__init__()
        self.config = config
        width, wide = config.width, 2 * config.width
        self.net = nn.Sequential(
            *_layer(4 * config.near - 1, width, 5, stride=2),
            *_layer(width, width, 3),
            nn.AvgPool2d(2),
            *_layer(width, wide, 3),
            *_layer(wide, wide, 3),
        )
        self.out = nn.Sequential(nn.Linear(2 * wide, 64), nn.ReLU(), nn.Linear(64, config.classes))

    def forward(self, stacks: torch.Tensor) -> torch.Tensor:
        """Return logits of how many frames were dropped in the middle of each stack.

        Parameters
        ----------
        stacks
            Grey pictures, none shown twice; shape (B, 2 * near, 32, 32).

        Returns
        -------
        torch.Tensor
            Shape (B, most + 1).
        """
        stacks = stacks - stacks.mean(dim=(1, 2, 3), keepdim=True)
        stacks = stacks / stacks.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
        seen: torch.Tensor = self.net(torch.cat((stacks, 4 * stacks.diff(dim=1)), dim=1))
        found: torch.Tensor = self.out(torch.cat((seen.mean((2, 3)), seen.amax((2, 3))), dim=1))
        return found

    def log_probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        """Say how probable it is that none, one, or more frames were dropped before each picture.

        Parameters
        ----------
        pictures
            As from `reduce`, none shown twice; shape (K, 32, 32).

        Returns
        -------
        torch.Tensor
            Natural logarithms; shape (K, most + 1).
        """
        stacks = pictures[_around(np.arange(len(pictures)), len(pictures), self.config.near)]
        # Always so many at once: kernels differ by batch size, and their last bits with them.
        filled = torch.cat((stacks, stacks.new_zeros(-len(stacks) % BATCH, *stacks.shape[1:])))
        logits = torch.cat([self(part) for part in torch.split(filled, BATCH)])[: len(stacks)]
        return F.log_softmax(logits.float(), dim=-1)


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _around(places: IntArray, count: int, near: int) -> torch.Tensor:
    """Return the numbers of the pictures around each place; those at the ends are repeated."""
    return torch.from_numpy((places[:, None] + np.arange(-near, near)).clip(0, count - 1))


def reduce(mouths: UInt8Array) -> torch.Tensor:
    """Shrink mouth pictures with their margin by half; (T, 64, 64) to (T, 32, 32) in [0, 1]."""
    pictures = torch.from_numpy(np.ascontiguousarray(mouths)).float().div_(255)
    return F.avg_pool2d(pictures.unsqueeze(1), 2).squeeze(1)


@dataclass(frozen=True, eq=False)
class DropBatch(Batch):
    """Stacks of pictures, shape (B, 2 * near, 1, 32, 32), and what was dropped in their middles."""

    dropped: torch.Tensor
    """Class of each stack; shape (B,)."""


class DropSet(TrainingSet):
    """Places in damaged clips, to learn from what was dropped there.

    Parameters
    ----------
    data
        The clips; each is damaged anew whenever it is drawn.
    config
        Of the network that learns.
    laws
        Of the damage.
    """

    PLACES = 8
    """Places that are drawn of one damaged clip."""

    def __init__(self, data: TrainingSet, config: DropConfig, laws: Laws) -> None:
        super().__init__(data.clips, data.skipped, complete=data.complete, front=data.front)
        self._config, self._laws = config, laws

    def draw(self, rng: np.random.Generator, count: int, num_frames: int) -> DropBatch:
        """Draw places, brighter, darker or mirrored; ``num_frames`` is of no use here."""
        clips = rng.integers(len(self.clips), size=-(-count // self.PLACES))
        found = [self._places(self.clips[int(index)], rng) for index in clips]
        stacks = torch.cat([stack for stack, _ in found])[:count]
        stacks = stacks * torch.from_numpy(rng.uniform(0.7, 1.3, (len(stacks), 1, 1, 1))).float()
        if rng.random() < 0.5:
            stacks = stacks.flip(-1)
        dropped = torch.cat([classes for _, classes in found])[:count]
        return DropBatch(stacks.unsqueeze(2), torch.empty(0), dropped=dropped)

    def _places(
        self, clip: TrainingClip, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        frames = np.unique(damage(len(clip), rng, self._laws).shown)
        places = rng.integers(1, len(frames), size=self.PLACES)
        dropped = np.minimum(frames[places] - frames[places - 1] - 1, self._config.most)
        wanted = frames[_around(places, len(frames), self._config.near).numpy()]
        some, where = np.unique(wanted, return_inverse=True)
        stacks = reduce(clip.pictures[some])[torch.from_numpy(where.reshape(wanted.shape))]
        return stacks, torch.from_numpy(dropped)
