"""The pattern classifier of Kim et al.: an offset read off a similarity matrix as off an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

PAPER_ROWS = (7, 9, 11, 16)
"""Rows N of the papers' windows of 11, 13, 15 and 20 frames (N = F - 4)."""


@dataclass(frozen=True)
class PatternConfig:
    """Size of a classifier; the paper has widths (256, 256, 128)."""

    rows: tuple[int, ...] = PAPER_ROWS
    """One head for each of these N."""
    widths: tuple[int, int, int] = (32, 64, 64)
    """Filters of the first three convolutions."""
    search: int = 5
    """Largest offset in frames: 2 * search + 1 classes, class = offset + search."""

    def __post_init__(self) -> None:
        if not self.rows or min(self.rows) <= self.search or self.search < 1:
            raise ValueError(f"got {self.rows = }, {self.search = }, expected rows > search >= 1")


class PatternClassifier(nn.Module):
    """One small network per matrix size.

    Layers (Kim et al., Table 1): convolution 3x3 with padding 1, so that the next one fits; NxN
    without padding; 1x1; 1x1 to the classes; batch normalisation and ReLU after all but the last.
    There is no stride and no pooling: indifference to place would hide the offset.
    """

    def __init__(self, config: PatternConfig) -> None:
        super().__init__()
        self.config = config
        self.heads = nn.ModuleDict({str(rows): _head(rows, config) for rows in config.rows})

    def forward(self, similarity: torch.Tensor) -> torch.Tensor:
        """Return class logits, offsets ascending; shape (B, N, N) to (B, 2 * search + 1)."""
        logits: torch.Tensor = self.heads[str(similarity.shape[-1])](similarity.unsqueeze(1))
        return logits.flatten(1)


def _head(rows: int, config: PatternConfig) -> nn.Sequential:
    first, second, third = config.widths
    return nn.Sequential(
        *_block(1, first, 3, padding=1),
        *_block(first, second, rows),
        *_block(second, third, 1),
        nn.Conv2d(third, 2 * config.search + 1, 1),
    )


def _block(inputs: int, outputs: int, kernel: int, padding: int = 0) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def draw_windows(
    similarity: torch.Tensor, rows: int, search: int, count: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut square windows with random offsets out of matrices of aligned rows.

    Many questions come cheap from one pass of the extractor: the rows are computed once, and every
    window is what a clip of ``rows + 4`` frames with displaced sound would give.

    Parameters
    ----------
    similarity
        Rows audio, columns video, row t belongs to column t; shape (B, T, T), T >= rows.
    rows
        Side N of a window.
    search
        Offsets are uniform over -search .. search, as far as a window fits into the matrix.
    count
        Windows per matrix.
    rng
        Source of randomness.

    Returns
    -------
    tuple
        Windows, shape (B * count, N, N), and classes (offset + search), shape (B * count,).
    """
    batch, total, _ = similarity.shape
    if total < rows:
        raise ValueError(f"got a similarity of {total} rows, expected at least {rows = }")
    reach = min(search, total - rows)
    offsets = rng.integers(-reach, reach + 1, batch * count)
    room = total - rows - np.abs(offsets)
    video = np.floor(rng.random(batch * count) * (room + 1)).astype(np.int64)
    video += np.maximum(0, -offsets)
    step = np.arange(rows)
    clip = np.repeat(np.arange(batch), count)[:, None, None]
    sounds = (video + offsets)[:, None, None] + step[:, None]
    pictures = video[:, None, None] + step
    picked = similarity[
        torch.from_numpy(clip), torch.from_numpy(sounds), torch.from_numpy(pictures)
    ]
    return picked, torch.from_numpy(offsets + search)


def pattern_loss(
    classifier: PatternClassifier,
    similarity: torch.Tensor,
    count: int,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Return the mean cross-entropy over heads, ``count`` random windows per matrix and head."""
    config = classifier.config
    losses = []
    for rows in config.rows:
        windows, target = draw_windows(similarity, rows, config.search, count, rng)
        losses.append(F.cross_entropy(classifier(windows).float(), target))
    return torch.stack(losses).mean()
