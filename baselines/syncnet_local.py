"""SyncNet whose streams were trained on pictures with dropped and copied frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from avbench.data import Clip
from avbench.models import checkpoint as checkpoints
from avbench.models.corrupt import ColumnLoss, CorruptRecipe, Laws, corrupt_batch
from avbench.models.training import Log, Recipe, Watch, optimise, rows_of
from avbench.models.trainset import Batch, TrainingSet
from avbench.models.two_stream import Extractor

from ._shared import CACHE_MIB, training_set, with_options
from .syncnet import SyncNet

HELD_OUT = 4
"""Every so-many-th clip is kept from the streams, for what is trained on their embeddings."""


class SyncNetLocal(SyncNet):
    """The streams that the aligners share; as a method of its own it is SyncNet.

    Five frames of which some were dropped or copied look like no mouth that moves. Streams that
    have seen such pictures tell the frames of a damaged video apart better. They start from a
    trained pair and learn to find for every sound row its column among those of a damaged stretch
    (`avbench.models.corrupt`).

    References
    ----------
    Shalev and Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020, sections
    3.4 and 5.1: damage and two phases. Theirs trains the streams on single shifts first and then
    everything together; loss, sizes and rate of this phase are avbench's own.
    """

    name: ClassVar[str] = "syncnet-local"
    RECIPE: ClassVar[Recipe] = Recipe(steps=2600, clips=12, rows=64)

    @classmethod
    def start(  # type: ignore[override]
        cls, init: Path | None = None, *, rng: np.random.Generator
    ) -> SyncNetLocal:
        """Make one to train from a checkpoint of any trained method; ``syncnet`` where None."""
        return cls.load(init or checkpoints.shipped("syncnet"))  # type: ignore[return-value]

    def fit(  # type: ignore[override]
        self,
        clips: Iterable[Clip] | TrainingSet,
        *,
        rng: np.random.Generator,
        steps: int | None = None,
        rate: float = 1e-3,
        batch: int | None = None,
        augment: float | None = None,
        bfloat16: bool | None = None,
        cache_mib: int = CACHE_MIB,
        state: Path | None = None,
        law: Laws = "both",
        log: Log | None = None,
    ) -> None:
        """Fit the streams to damaged stretches; other options as in `SyncNet.fit`.

        Every fourth clip is left out, for the aligners to be trained on.

        Parameters
        ----------
        law
            Of the damage: ``tae2020``, ``symmetric``, or ``both`` in turn by chance.
        """
        network = self._extractor.network
        sizes = CorruptRecipe(laws=law)
        recipe = with_options(self.RECIPE, steps, bfloat16, network, augment)
        recipe = replace(recipe, clips=batch or recipe.clips)
        data = without_held_out(training_set(clips, recipe, cache_mib, network.front))
        matching = ColumnLoss(self._scale)

        def loss_of(batch: Batch, rng: np.random.Generator) -> torch.Tensor:
            damaged, target = corrupt_batch(network, batch, sizes, rng)
            sound, pictures = rows_of(network, damaged, recipe)
            loss: torch.Tensor = matching(sound, pictures, target)
            return loss

        networks = nn.ModuleDict({"extractor": network, "loss": matching})
        rates = {"extractor": rate, "loss": 10 * rate}
        watch = Watch(log=log, about={"law": law, "rate": rate})
        self.report = optimise(networks, rates, loss_of, data, recipe, rng, state, watch)
        self._scale = float(matching.scale.detach())
        self._use(Extractor(network))


def without_held_out(data: TrainingSet) -> TrainingSet:
    """Return what the streams are trained on: all clips but every fourth."""
    kept = [clip for at, clip in enumerate(data.clips) if at % HELD_OUT or len(data) < HELD_OUT]
    return TrainingSet(kept, data.skipped, complete=data.complete, front=data.front)


def held_out(data: TrainingSet) -> TrainingSet:
    """Return every fourth clip, or all of them where there are fewer."""
    kept = data.clips[::HELD_OUT] if len(data) >= HELD_OUT else data.clips
    return TrainingSet(kept, data.skipped, complete=data.complete, front=data.front)
