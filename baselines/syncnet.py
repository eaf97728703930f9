"""SyncNet with a sliding window: the "Baseline" of Kim et al."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from avbench.data import Clip, FloatArray
from avbench.errors import UsageError
from avbench.models import checkpoint as checkpoints
from avbench.models import losses, recipes
from avbench.models.architectures import Config, name_of
from avbench.models.architectures import get as architecture_of
from avbench.models.shapes import MouthTruth, ShapeLoss
from avbench.models.streams import LateFusion
from avbench.models.training import (
    FitReport,
    Log,
    Recipe,
    Watch,
    new_network,
    optimise,
    rows_of,
)
from avbench.models.trainset import Batch, TrainingSet
from avbench.models.two_stream import Extractor, Network
from avbench.models.vgg import build
from avbench.similarity import Edge, normalise, sliding_distances

from ._shared import CACHE_MIB, CHUNG_2016, SEARCH, OffsetMethod, training_set, with_options

MOUTH_SHAPE = "mouth-shape"
"""The loss that teaches nothing but to see how mouths move; see `avbench.models.shapes`."""


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
    sees_outside: ClassVar[bool] = True
    RECIPE: ClassVar[Recipe] = Recipe(steps=4000)
    SHAPES: ClassVar[Recipe] = Recipe(steps=2400, clips=96, rows=1)
    """To learn mouth shapes: short pieces of many faces."""

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
        config: Config | None = None,
        architecture: str | None = None,
    ) -> SyncNet:
        """Make one to train, from a checkpoint or with random weights where None.

        Parameters
        ----------
        init
            Any trained checkpoint.
        rng
            Source of random weights.
        config
            Size of a new network; None takes that of ``architecture``.
        architecture
            One of `avbench.models.architectures.ARCHITECTURES`; ``small`` where None.

        Raises
        ------
        UsageError
            If ``init`` holds another architecture.
        """
        if init is not None:
            made = cls.load(init)
            found = name_of(made._extractor.network.config)
            if architecture not in (None, found):
                raise UsageError(
                    f"{init} holds a network '{found}', not '{architecture}'; leave one of them out"
                )
            return made
        size = config or architecture_of(architecture or "small")
        return cls(Extractor(new_network(lambda: build(size), rng)))

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Return minus the mean distance of every candidate offset.

        Shape (B, N, D) and (B, N + 2 * lead, D) to (B, 2 * search + 1), offsets ascending. Where
        the picture is the longer one, only its rows that meet sound count.
        """
        if self.unit:
            video, audio = normalise(video), normalise(audio)
        lead = (audio.shape[1] - video.shape[1]) // 2
        edge = "valid" if lead < 0 else self.edge
        return np.negative(sliding_distances(video, audio, self.search, edge, lead))

    def fit(
        self,
        clips: Iterable[Clip] | TrainingSet,
        *,
        rng: np.random.Generator,
        steps: int | None = None,
        rate: float | None = None,
        augment: float | None = None,
        bfloat16: bool | None = None,
        cache_mib: int = CACHE_MIB,
        state: Path | None = None,
        loss: str | None = None,
        recipe: str | None = None,
        batch: int | None = None,
        validation: Iterable[Clip] | TrainingSet | None = None,
        patience: int | None = None,
        device: str = "cpu",
        log: Log | None = None,
        truth: Sequence[Path] = (),
    ) -> None:
        """Fit the extractor to synced clips; `report` tells how it went.

        Parameters
        ----------
        clips
            Clips whose constant offset is known (others are skipped); read once.
        rng
            Source of everything random.
        steps
            Batches; as many as the recipe has where None.
        rate
            Peak learning rate; that of the published recipe, else 2e-3, where None.
        augment
            Strength of the changes to pictures and sound, up to 1, as which it counts where None.
        bfloat16
            Compute in bfloat16; None: where the CPU has instructions for it.
        cache_mib
            Bound on the memory of the clips, and of those for validation; reading stops there.
        state
            Where an unfinished run is kept, to go on from.
        loss
            One of `avbench.models.losses.LOSSES`; that of the published recipe, else ``angular``,
            where None. `MOUTH_SHAPE` teaches the video stream alone, to see how mouths move.
        recipe
            One of `avbench.models.recipes.RECIPES`; that of avbench, `RECIPE`, where None.
        batch
            Clips per step; those of the recipe where None.
        validation
            Clips that are not trained on: after every pass over the others the loss on them is
            measured, the best weights are kept, and training stops once they gain no more.
        patience
            Passes without a gain before it stops; that of the published recipe, else 3.
        device
            Where to compute; anything but ``cpu`` is compiled, and untested.
        log
            Is told every loss.
        truth
            Folders with the truth files of made videos, for the loss `MOUTH_SHAPE`.

        Raises
        ------
        UsageError
            If one of ``truth`` and that loss is given without the other, or the network does not
            look at pictures one by one.
        """
        network = self._extractor.network
        if (loss == MOUTH_SHAPE) != bool(truth):
            raise UsageError(f"--loss {MOUTH_SHAPE} and --truth need each other; give both")
        if truth and not isinstance(network.video, LateFusion):
            raise UsageError(
                f"--loss {MOUTH_SHAPE} teaches networks that look at pictures one by one, and this "
                f"one is '{name_of(network.config)}'; give --architecture late-fusion"
            )
        published = recipes.get(recipe) if recipe else None
        where = _device(device)
        half = True if bfloat16 is None and where.type != "cpu" else bfloat16
        own = self.SHAPES if truth else self.RECIPE
        plan = with_options(published.recipe if published else own, steps, half, network, augment)
        plan = replace(plan, clips=batch or plan.clips)
        shapes = MouthTruth(truth) if truth else None
        data = training_set(clips, plan, cache_mib, network.front, shapes)
        if published and steps is None:
            plan = replace(plan, steps=published.epochs * recipes.per_epoch(len(data), plan))
        name = loss or (published.loss if published else "angular")
        peak = rate or (published.rate if published else 2e-3)
        watch = Watch(
            None
            if validation is None
            else training_set(validation, plan, cache_mib, network.front, shapes),
            every=recipes.per_epoch(len(data), plan),
            patience=patience or (published.patience if published else 3),
            log=log,
            about={"loss": name, "architecture": name_of(network.config), "rate": peak},
        )
        matching = ShapeLoss() if truth else losses.make(name, self._scale)
        self._optimise(matching, peak, data, plan, rng, state, watch, where)

    def _optimise(
        self,
        matching: losses.RowLoss | ShapeLoss,
        rate: float,
        data: TrainingSet,
        plan: Recipe,
        rng: np.random.Generator,
        state: Path | None,
        watch: Watch,
        device: torch.device,
    ) -> None:
        network = self._extractor.network
        networks = nn.ModuleDict({"extractor": network, "loss": matching}).to(device)
        if device.type != "cpu":
            network.video.compile()
            network.audio.compile()

        def loss_of(batch: Batch, rng: np.random.Generator) -> torch.Tensor:
            if isinstance(matching, ShapeLoss):
                return _shape_loss(matching, network, batch, plan)
            return matching.of_rows(*rows_of(network, batch, plan), rng)

        rates = {"extractor": rate, "loss": rate if isinstance(matching, ShapeLoss) else 10 * rate}
        self.report = optimise(networks, rates, loss_of, data, plan, rng, state, watch)
        networks.to("cpu")
        if isinstance(matching, losses.AngularLoss | losses.CrossDomainLoss):
            self._scale = float(matching.scale.detach())
        self._use(Extractor(network))

    def save(self, path: Path) -> None:
        """Write the extractor as safetensors, weights in half precision."""
        network = self._extractor.network
        checkpoints.save(path, checkpoints.Checkpoint(network, self._scale, method=self.name))


def _shape_loss(matching: ShapeLoss, network: Network, batch: Batch, plan: Recipe) -> torch.Tensor:
    assert batch.shapes is not None
    assert isinstance(network.video, LateFusion)
    where = next(network.parameters()).device
    with torch.autocast(where.type, torch.bfloat16, enabled=plan.bfloat16):
        codes = network.video.codes(batch.pictures.to(where))
    return matching.of_codes(codes.float(), batch.shapes.to(where))


def _device(name: str) -> torch.device:
    """Return a device that works here.

    Raises
    ------
    UsageError
        If it does not.
    """
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"device '{name}' does not work here ({reason}); try cpu") from error
