"""SyncNet with a sliding window: the "Baseline" of Kim et al."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from avbench.data import Clip, FloatArray
from avbench.errors import UsageError
from avbench.models import checkpoint as checkpoints
from avbench.models.losses import AngularLoss
from avbench.models.training import FitReport, Recipe, new_network, optimise, similarity_of
from avbench.models.trainset import Batch, TrainingSet
from avbench.models.two_stream import Extractor, TwoStream, TwoStreamConfig
from avbench.similarity import Edge, normalise, sliding_distances

from ._shared import CACHE_MIB, CHUNG_2016, SEARCH, OffsetMethod, training_set, with_options


class SyncNet(OffsetMethod):
    """Mean distance between pictures and displaced sound; the least wins.

    Sound outside the window counts as a zero embedding, as the papers say, and embeddings are
    compared as they leave the network, as in the released code. Much of the gap to Diag-avg comes
    from these two, so both are options: ``edge="valid"`` averages over the pairs that exist, and
    ``unit=True`` compares unit vectors, which is what the angular loss looks at.

    References
    ----------
    Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016: sliding window and
    confidence. Kim et al., "End-to-End Lip Synchronisation Based on Pattern Classification", 2021:
    loss (Eq. 3) and zero padding (section 2.3.1).
    """

    name: ClassVar[str] = "syncnet"
    BIBTEX: ClassVar[str] = CHUNG_2016
    hears_outside: ClassVar[bool] = True
    RECIPE: ClassVar[Recipe] = Recipe(steps=4000)

    def __init__(
        self,
        extractor: Extractor,
        *,
        search: int = SEARCH,
        edge: Edge = "zero",
        unit: bool = False,
        scale: float = 10.0,
    ) -> None:
        super().__init__(extractor, search=search)
        if edge not in ("zero", "valid"):
            raise UsageError(f"got edge '{edge}', expected 'zero' or 'valid'")
        self.edge: Edge = edge
        self.unit = unit
        self._scale = scale
        self.report: FitReport | None = None

    @classmethod
    def load(
        cls,
        checkpoint: Path | None = None,
        *,
        search: int = SEARCH,
        edge: Edge = "zero",
        unit: bool = False,
    ) -> SyncNet:
        """Make one from a checkpoint, the shipped one where None."""
        found = checkpoints.load(checkpoint or checkpoints.shipped(cls.name))
        extractor = Extractor(found.extractor)
        return cls(extractor, search=search, edge=edge, unit=unit, scale=found.scale)

    @classmethod
    def start(
        cls,
        init: Path | None = None,
        *,
        rng: np.random.Generator,
        config: TwoStreamConfig | None = None,
    ) -> SyncNet:
        """Make one to train, from a checkpoint or with random weights where None."""
        if init is not None:
            return cls.load(init)
        size = config or TwoStreamConfig()
        return cls(Extractor(new_network(lambda: TwoStream(size), rng)))

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Return minus the mean distance of every candidate offset.

        Shape (B, N, D) and (B, N + 2 * lead, D) to (B, 2 * search + 1), offsets ascending.
        """
        if self.unit:
            video, audio = normalise(video), normalise(audio)
        lead = (audio.shape[1] - video.shape[1]) // 2
        return np.negative(sliding_distances(video, audio, self.search, self.edge, lead))

    def fit(
        self,
        clips: Iterable[Clip] | TrainingSet,
        *,
        rng: np.random.Generator,
        steps: int | None = None,
        rate: float = 2e-3,
        bfloat16: bool | None = None,
        cache_mib: int = CACHE_MIB,
        state: Path | None = None,
    ) -> None:
        """Fit the extractor to synced clips with the angular loss; `report` tells how it went.

        Parameters
        ----------
        clips
            Clips whose constant offset is known (others are skipped); read once.
        rng
            Source of everything random.
        steps
            Batches of 16 clips; that of `RECIPE` where None.
        rate
            Peak learning rate.
        bfloat16
            Compute in bfloat16; None: where the CPU has instructions for it.
        cache_mib
            Bound on the memory of the clips; reading stops there.
        state
            Where an unfinished run is kept, to go on from.
        """
        recipe = with_options(self.RECIPE, steps, bfloat16)
        data = training_set(clips, recipe, cache_mib)
        network, angular = self._extractor.network, AngularLoss(self._scale)

        def loss_of(batch: Batch, _: np.random.Generator) -> torch.Tensor:
            loss: torch.Tensor = angular(similarity_of(network, batch, recipe))
            return loss

        networks = nn.ModuleDict({"extractor": network, "angular": angular})
        rates = {"extractor": rate, "angular": 10 * rate}
        self.report = optimise(networks, rates, loss_of, data, recipe, rng, state)
        self._scale = float(angular.scale.detach())
        self._use(Extractor(network))

    def save(self, path: Path) -> None:
        """Write the extractor as safetensors, weights in half precision."""
        network = self._extractor.network
        checkpoints.save(path, checkpoints.Checkpoint(network, self._scale, method=self.name))
