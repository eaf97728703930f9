"""Windows to train an aligner on: embeddings of damaged clips, computed once.

A decoder is small and its streams stay as they are, so clips are damaged and embedded before
training starts, several times each, and windows are cut out of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from avbench.data import IntArray
from avbench.models import augment
from avbench.models.corrupt import Damage, Laws, damage, draw_window, windows_at
from avbench.models.trainset import Batch, TrainingClip, TrainingSet
from avbench.models.two_stream import Network
from avbench.progress import track


@dataclass(frozen=True, eq=False)
class WindowBatch(Batch):
    """Windows of embeddings: M rows of picture (B, M, D), and N of sound (B, N, D)."""

    target: torch.Tensor
    """Picture row of each row of sound; shape (B, N)."""


@dataclass(frozen=True, eq=False)
class DamagedRows:
    """One clip, damaged once."""

    pictures: torch.Tensor
    """Embeddings of the damaged picture, in half precision; shape (T' - 4, D)."""
    sound: torch.Tensor
    """Embeddings of the whole sound, in half precision; shape (T - 4, D)."""
    damage: Damage


Look = Callable[[TrainingClip, torch.Tensor, IntArray], torch.Tensor]
"""From a clip, its pictures as the network sees them, shape (1, T, ...), and the frame shown at
each of T' positions to rows of picture; shape (T' - 4, D)."""


class RowSet(TrainingSet):
    """Embeddings of damaged clips to draw windows from.

    Parameters
    ----------
    data
        The clips that they were made of.
    rows
        Embeddings; each holds a window of ``columns`` and ``sound_rows``.
    columns, sound_rows
        Picture rows and sound rows of a window.
    """

    def __init__(
        self, data: TrainingSet, rows: list[DamagedRows], columns: int, sound_rows: int
    ) -> None:
        super().__init__(data.clips, data.skipped, complete=data.complete, front=data.front)
        self.rows = rows
        self.columns, self.sound_rows = columns, sound_rows

    @classmethod
    def embed(
        cls,
        network: Network,
        data: TrainingSet,
        *,
        copies: int,
        laws: Laws,
        columns: int,
        sound_rows: int,
        bfloat16: bool,
        rng: np.random.Generator,
        look: Look | None = None,
    ) -> RowSet:
        """Damage every clip ``copies`` times and embed what comes out, unchanged otherwise.

        A damaged clip that holds no window is drawn again, ten times at most, and then left out.
        How pictures become rows is said by ``look``; as they are shown, one after the other, where
        it is None.
        """
        look = look or (lambda _, pictures, shown: network.embed_video(pictures[:, shown])[0])
        network.eval()
        kept: list[DamagedRows] = []
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            for clip in track(data.clips, "embedding", unit="clip"):
                alone = TrainingSet([clip], front=data.front)
                whole = augment.centre(alone.draw(rng, 1, len(clip)))
                sound = network.embed_audio(whole.sound)[0].half()
                for _ in range(copies):
                    found = _fitting(len(clip), laws, columns, sound_rows, rng)
                    if found is None:
                        continue
                    pictures = look(clip, whole.pictures, found.shown).half()
                    kept.append(DamagedRows(pictures, sound, found))
        return cls(data, kept, columns, sound_rows)

    def draw(self, rng: np.random.Generator, count: int, num_frames: int) -> WindowBatch:
        """Draw windows of different damaged clips; ``num_frames`` is of no use here."""
        chosen = rng.choice(len(self.rows), size=count, replace=len(self.rows) < count)
        pictures, sounds, targets = [], [], []
        for entry in (self.rows[index] for index in chosen):
            window = draw_window(entry.damage, self.columns, self.sound_rows, rng)
            assert window is not None, "every entry holds a window"
            column, row = window
            pictures.append(entry.pictures[column : column + self.columns])
            sounds.append(entry.sound[row : row + self.sound_rows])
            targets.append(entry.damage.column[row : row + self.sound_rows] - column)
        return WindowBatch(
            pictures=torch.stack(pictures).float(),
            sound=torch.stack(sounds).float(),
            target=torch.from_numpy(np.stack(targets)),
        )


def _fitting(
    num_frames: int, laws: Laws, columns: int, rows: int, rng: np.random.Generator
) -> Damage | None:
    for _ in range(10):
        found = damage(num_frames, rng, laws)
        low, past = windows_at(found, columns, rows)
        if np.any(past > low):
            return found
    return None
