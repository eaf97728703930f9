"""Sync-e2e: pattern classifier and extractor trained together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from avbench.data import Clip
from avbench.models.losses import AngularLoss
from avbench.models.pattern import pattern_loss
from avbench.models.training import Recipe, optimise, similarity_of
from avbench.models.trainset import Batch, TrainingSet
from avbench.models.two_stream import Extractor

from ._shared import CACHE_MIB, KIM_2021, PatternMethod, training_set


class SyncE2E(PatternMethod):
    """Sync-cls whose classification loss also trains the extractor.

    It starts from a trained pair (give ``sync-cls``'s checkpoint to `start`). The paper trains on
    the cross-entropy alone; here the angular loss stays beside it, which kept the space in shape
    in trials on the embedded corpus.

    References
    ----------
    Kim et al., "End-to-End Lip Synchronisation Based on Pattern Classification", 2021, section
    2.3.2.
    """

    name: ClassVar[str] = "sync-e2e"
    BIBTEX: ClassVar[str] = KIM_2021
    RECIPE: ClassVar[Recipe] = Recipe(steps=1200, rows=28)
    WINDOWS: ClassVar[int] = 16
    """Windows per clip, head and step."""

    def fit(
        self,
        clips: Iterable[Clip] | TrainingSet,
        *,
        rng: np.random.Generator,
        steps: int | None = None,
        rate: float = 3e-4,
        rows: int | None = None,
        augment: float | None = None,
        bfloat16: bool | None = None,
        cache_mib: int = CACHE_MIB,
        state: Path | None = None,
    ) -> None:
        """Fit both to random windows of synced clips; options as in `SyncNet.fit`.

        The extractor learns at half of ``rate``; ``rows`` are the five-frame windows taken of a
        clip.
        """
        network, classifier = self._extractor.network, self._classifier
        recipe = self.plan(steps, bfloat16, rows, augment)
        data = training_set(clips, recipe, cache_mib, network.front)
        angular = AngularLoss(self._scale)

        def loss_of(batch: Batch, rng: np.random.Generator) -> torch.Tensor:
            similarity = similarity_of(network, batch, recipe)
            matching: torch.Tensor = angular(similarity)
            return matching + pattern_loss(classifier, similarity, self.WINDOWS, rng)

        networks = nn.ModuleDict(
            {"extractor": network, "angular": angular, "classifier": classifier}
        )
        rates = {"extractor": rate / 2, "angular": rate, "classifier": rate}
        self.report = optimise(networks, rates, loss_of, data, recipe, rng, state)
        self._scale = float(angular.scale.detach())
        self._use(Extractor(network))
