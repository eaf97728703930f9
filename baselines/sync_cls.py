"""Sync-cls: a pattern classifier on similarity matrices of a fixed extractor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from avbench.data import Clip
from avbench.models.pattern import pattern_loss
from avbench.models.training import Recipe, optimise, similarity_of
from avbench.models.trainset import Batch, TrainingSet

from ._shared import CACHE_MIB, KIM_2021, PatternMethod, training_set


class SyncCls(PatternMethod):
    """The offset as a class, read off the similarity matrix; the extractor stays as it is.

    References
    ----------
    Kim et al., "End-to-End Lip Synchronisation Based on Pattern Classification", 2021, Table 1.
    The paper leaves optimiser, rate and length open; those here are avbench's own.
    """

    name: ClassVar[str] = "sync-cls"
    BIBTEX: ClassVar[str] = KIM_2021
    RECIPE: ClassVar[Recipe] = Recipe(steps=1500, rows=36)
    WINDOWS: ClassVar[int] = 16
    """Windows per clip, head and step."""

    def fit(
        self,
        clips: Iterable[Clip] | TrainingSet,
        *,
        rng: np.random.Generator,
        steps: int | None = None,
        rate: float = 2e-3,
        rows: int | None = None,
        augment: float | None = None,
        bfloat16: bool | None = None,
        cache_mib: int = CACHE_MIB,
        state: Path | None = None,
    ) -> None:
        """Fit the classifier to random windows of synced clips; options as in `SyncNet.fit`.

        ``rows`` are the five-frame windows taken of a clip.
        """
        network, classifier = self._extractor.network, self._classifier
        recipe = self.plan(steps, bfloat16, rows, augment)
        data = training_set(clips, recipe, cache_mib, network.front)

        def loss_of(batch: Batch, rng: np.random.Generator) -> torch.Tensor:
            with torch.no_grad():
                similarity = similarity_of(network, batch, recipe)
            return pattern_loss(classifier, similarity, self.WINDOWS, rng)

        networks = nn.ModuleDict({"classifier": classifier})
        self.report = optimise(networks, {"classifier": rate}, loss_of, data, recipe, rng, state)
