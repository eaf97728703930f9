"""Training examples for methods that align frame by frame: clips with dropped and copied frames.

Conventions
-----------
A clip in sync is damaged by `avbench.distort.drop_duplicate`, which says at every position of the
damaged picture which source frame it shows; its sound stays whole. Rows are those of
`avbench.features`: row t sees frames t .. t + 4 and is centred on frame t + 2. Sound row i belongs
to the picture row (column) that is centred on the frame where its own centre is shown; a dropped
frame is shown by its nearest neighbour, a copied one by its last copy
(`avbench.distort.alignment_of`).

References
----------
Shalev and Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020, section 5.1:
windows of one second of sound and three of picture, the sound at a random place inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from avbench import features
from avbench.data import IntArray
from avbench.distort import Law, alignment_of, drop_duplicate
from avbench.errors import UsageError
from avbench.models.losses import cosine_matrix
from avbench.models.trainset import Batch
from avbench.models.two_stream import Network

CENTRE = features.WINDOW // 2
"""Frames from the start of a row to its centre."""
PAPER_COLUMNS, PAPER_ROWS = 75, 25
"""Picture rows and sound rows of a window: three seconds and one (Shalev and Wolf, section 3.1)."""
_TRIES = 100


@dataclass(frozen=True, eq=False)
class Damage:
    """What happened to one clip."""

    shown: IntArray
    """Source frame at each position of the damaged picture; shape (T',)."""
    column: IntArray
    """Picture row of each sound row, outside ``0 .. columns - 1`` where the damaged picture has
    none; shape (T - 4,)."""

    @property
    def columns(self) -> int:
        """Picture rows of the damaged clip."""
        return len(self.shown) - features.WINDOW + 1


Laws = Literal["tae2020", "symmetric", "single", "both", "all"]
"""A law of damage; none, so that windows differ by a single shift; an even mixture of the two laws;
or an even mixture of the three."""
_MIXTURES: Mapping[Laws, tuple[Laws, ...]] = {
    "both": ("tae2020", "symmetric"),
    "all": ("tae2020", "symmetric", "single"),
}


def damage(num_frames: int, rng: np.random.Generator, laws: Laws = "both") -> Damage:
    """Drop and copy frames of a clip of ``num_frames`` frames.

    Raises
    ------
    UsageError
        If there is no such law.
    """
    if laws not in get_args(Laws):
        raise UsageError(f"got law '{laws}', expected one of {', '.join(get_args(Laws))}")
    mixture = _MIXTURES.get(laws, (laws,))
    law = mixture[int(rng.random() * len(mixture))] if len(mixture) > 1 else laws
    if law == "single":
        shown = np.arange(num_frames)
    else:
        shown = drop_duplicate(num_frames, rng=rng, law=cast(Law, law))
    frame = alignment_of(shown, num_frames).video_index
    # Sound after the last frame that is shown has no picture; alignment_of gives it the last.
    frame = np.where(np.arange(num_frames) > shown[-1], len(shown), frame)
    return Damage(shown, frame[CENTRE : num_frames - CENTRE] - CENTRE)


def windows_at(found: Damage, columns: int, rows: int) -> tuple[IntArray, IntArray]:
    """Return for every first column the sound rows that a window there can start with.

    A window of so many columns and rows is good where every sound row belongs to one of its
    columns; because alignments never go back, the good starts are a range.

    Returns
    -------
    tuple
        First good start and one past the last, equal where there is none; shape
        (found.columns - columns + 1,) each, empty where the clip is too short.
    """
    first = np.arange(found.columns - columns + 1)
    low = np.searchsorted(found.column, first, side="left")
    past = np.searchsorted(found.column, first + columns - 1, side="right")
    return low, np.maximum(low, past - rows + 1)


def draw_window(
    found: Damage, columns: int, rows: int, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Draw a window's first column, then its first sound row, each uniformly; None if none fits."""
    low, past = windows_at(found, columns, rows)
    good = np.flatnonzero(past > low)
    if not len(good):
        return None
    at = int(good[rng.integers(len(good))])
    return at, int(rng.integers(low[at], past[at]))


@dataclass(frozen=True)
class CorruptRecipe:
    """What the streams are fine-tuned on."""

    rows: int = 24
    """Sound rows of a clip."""
    columns: int = 44
    """Picture rows of a clip."""
    source: int = 68
    """Frames of the stretch that is damaged."""
    laws: Laws = "both"


def corrupt_batch(
    network: Network, batch: Batch, recipe: CorruptRecipe, rng: np.random.Generator
) -> tuple[Batch, torch.Tensor]:
    """Damage the clips of a batch, and cut one window out of each.

    Parameters
    ----------
    network
        Says how sound is kept.
    batch
        Clips of ``recipe.source`` frames in sync, as the network sees them.
    recipe
        Sizes and law.
    rng
        Source of randomness.

    Returns
    -------
    tuple
        Batch of ``columns + 4`` frames of picture and ``rows`` windows of sound, and the column of
        each row; shape (B, rows).
    """
    axis, (size, step) = network.front.axis, network.front.window
    pictures, sounds, targets = [], [], []
    for frames, sound in zip(batch.pictures, batch.sound, strict=True):
        found, (column, row) = _draw(len(frames), recipe, rng)
        index = found.shown[column : column + recipe.columns + features.WINDOW - 1]
        pictures.append(frames[torch.from_numpy(index)])
        sounds.append(sound.narrow(axis, row * step, (recipe.rows - 1) * step + size))
        targets.append(torch.from_numpy(found.column[row : row + recipe.rows] - column))
    return Batch(torch.stack(pictures), torch.stack(sounds)), torch.stack(targets)


def _draw(
    num_frames: int, recipe: CorruptRecipe, rng: np.random.Generator
) -> tuple[Damage, tuple[int, int]]:
    for _ in range(_TRIES):
        found = damage(num_frames, rng, recipe.laws)
        window = draw_window(found, recipe.columns, recipe.rows, rng)
        if window is not None:
            return found, window
    raise UsageError(
        f"{num_frames} damaged frames hold no {recipe.columns} columns for {recipe.rows} rows of "
        "sound; take a longer stretch"
    )


class ColumnLoss(nn.Module):
    """Cross-entropy of finding the picture row of every sound row: a softmax of ``w cos``.

    Parameters
    ----------
    scale
        Initial value of the learned w.
    """

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(
        self, audio: torch.Tensor, video: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean over rows; (B, N, D), (B, M, D) and (B, N) of columns."""
        logits = self.scale * cosine_matrix(audio, video)
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())
