"""The Temporal AutoEncoder, with and without attention, and a variant with a monotone field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from avbench import features
from avbench.aligning import How, whole
from avbench.data import Alignment, Clip, Embeddings, FloatArray, Prediction
from avbench.errors import DataError, UnknownName, UsageError
from avbench.methods import Aligned
from avbench.models import checkpoint as checkpoints
from avbench.models.corrupt import Laws
from avbench.models.corrupt_rows import Look, RowSet, WindowBatch
from avbench.models.crf_decoder import CrfDecoderConfig, build
from avbench.models.tae import SMALL, Decoder, TaeConfig, tell
from avbench.models.training import (
    FitReport,
    Log,
    Recipe,
    Watch,
    has_bfloat16,
    new_network,
    optimise,
)
from avbench.models.trainset import Batch, Front, TrainingSet
from avbench.models.two_stream import Extractor, one_thread
from avbench.warping import invert

from ._aligning import SHALEV_2020
from ._fitting import Forcing, Plan
from ._shared import CACHE_MIB, training_set
from .syncnet_local import SyncNetLocal, held_out

BATCH = 32
"""Windows that a decoder reads at once."""
Asks = Literal["sound", "picture"]
SEARCH = 25
"""Largest shift of a frame, as in section 5.1 of the paper."""
COPIES = 6
"""Times that every clip is damaged for training."""


class Tae:
    """A picture row for every row of sound, by an LSTM autoencoder on rows of distances.

    Three seconds of picture and one of sound at a time; longer clips are read window by window
    (`avbench.aligning`). The streams stay as they are: they have seen damaged pictures before
    (``syncnet-local``), and the decoder is trained on clips that were kept from them.

    The shipped decoder is smaller than the paper's and reads distances of unit vectors
    (`avbench.models.tae.SMALL`); `start` also makes one of the paper's size. The paper trains it
    with Adam (0.5, 0.999) at 1e-6, four windows a step, 30 epochs, and the streams with it; the
    released code at 1e-4 for 100 epochs, halved whenever the loss of an epoch rises. Here AdamW
    takes fewer, larger steps on fixed streams.

    References
    ----------
    Shalev and Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020.
    """

    name: ClassVar[str] = "tae"
    BIBTEX: ClassVar[str] = SHALEV_2020
    TRAINED_ON: ClassVar[str] = "drawn faces"
    CONFIG: ClassVar[TaeConfig | CrfDecoderConfig] = SMALL
    RECIPE: ClassVar[Recipe] = Recipe(
        steps=2500, clips=64, warmup=0.1, weight_decay=1e-4, augmentation=None
    )
    RATE: ClassVar[float] = 2e-3
    FORCING: ClassVar[tuple[float, float]] = (0.0, 0.4)
    """Share of true answers that are fed back at first, and share of the steps after which it has
    fallen to zero. The published training feeds back none."""
    LAW: ClassVar[Laws] = "all"
    """Damage of the training windows: single shifts too, which the paper begins with."""
    HOW: ClassVar[How] = "weighted-chain"

    def __init__(
        self,
        extractor: Extractor,
        decoder: Decoder,
        *,
        search: int = SEARCH,
        scale: float = 10.0,
        how: How | None = None,
        asks: Asks = "sound",
    ) -> None:
        if search < 1:
            raise UsageError(f"got search {search}, expected at least 1 frame")
        if asks not in get_args(Asks):
            raise UnknownName("side that asks", asks, get_args(Asks))
        self.asks: Asks = asks
        self.search = search
        self.how: How = how or self.HOW
        self._decoder = decoder.eval()
        self._scale = scale
        self._extractor = extractor
        self.extractor = extractor.id
        self.report: FitReport | None = None

    @classmethod
    def load(
        cls,
        checkpoint: Path | None = None,
        *,
        search: int = SEARCH,
        how: How | None = None,
        asks: Asks = "sound",
    ) -> Any:
        """Make one from a checkpoint, the shipped one where None.

        Parameters
        ----------
        checkpoint
            Written by ``avbench train``.
        search
            Largest shift of a row in frames, against its place in an undamaged window.
        how
            How windows become the alignment of a whole clip (`avbench.aligning.whole`).
        asks
            ``"sound"``: a picture is looked for in three seconds for every frame of sound.
            ``"picture"``: the other way round, without another training, as for warping sound in
            section 6.3 of the paper; a clip's alignment is then turned around.

        Raises
        ------
        UsageError
            If the checkpoint holds no decoder.
        """
        path = checkpoint or checkpoints.shipped(cls.name)
        found = checkpoints.load(path)
        if found.decoder is None:
            raise UsageError(
                f"{path} holds no decoder; give a file from 'avbench train --method {cls.name}'"
            )
        extractor = Extractor(found.extractor)
        return cls(extractor, found.decoder, search=search, scale=found.scale, how=how, asks=asks)

    @classmethod
    def start(
        cls,
        init: Path | None = None,
        *,
        rng: np.random.Generator,
        config: TaeConfig | CrfDecoderConfig | None = None,
        architecture: str | None = None,
    ) -> Any:
        """Make one to train.

        Parameters
        ----------
        init
            Any trained checkpoint, whose streams are taken, and whose decoder if it is of the kind
            of this method; the shipped ``syncnet-local`` where None.
        rng
            Source of the random start of a new decoder.
        config
            Size of a new decoder; None takes the one in ``init``, or that of ``architecture``.
        architecture
            ``tae-2020``: a new decoder of the paper's size, on streams of any; else `CONFIG`.

        Raises
        ------
        UsageError
            If there is no decoder for this architecture.
        """
        if architecture is not None:
            config = cls._published(architecture)
        found = checkpoints.load(init or checkpoints.shipped("syncnet-local"))
        decoder = found.decoder if found.method == cls.name and config is None else None
        if decoder is None:
            size = config or cls.CONFIG
            decoder = new_network(lambda: build(size), rng)
        return cls(Extractor(found.extractor), decoder, scale=found.scale)

    @classmethod
    def _published(cls, architecture: str) -> TaeConfig:
        if architecture != "tae-2020" or not isinstance(cls.CONFIG, TaeConfig):
            raise UsageError(
                f"{cls.name} has no decoder of architecture '{architecture}'; leave it out"
            )
        paper = TaeConfig()
        return paper if cls.CONFIG.attention else replace(paper, attention=0)

    def embed(self, clip: Clip) -> Embeddings:
        """Compute the embeddings of every five-frame window, not normalised; (T - 4, D) each."""
        return self._extractor.embed(clip.frames, clip.audio, unit=False)

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound belongs to.

        The decoder knows distances alone, which are the same from both sides: given sound as
        picture and picture as sound, it says which row of sound each row of picture belongs to.

        Parameters
        ----------
        video, audio
            Embeddings of B windows; shape (B, M, D) and (B, N, D), M at most 75, N at most 25 and
            no more than M.

        Returns
        -------
        Aligned
            With the probabilities that the decoder gave, its earlier answers taken as true.

        Raises
        ------
        DataError
            If a window is larger, or holds more sound than picture.
        """
        sizes = self._decoder.config
        columns, rows = video.shape[-2], audio.shape[-2]
        if not (rows <= sizes.rows and rows <= columns <= sizes.columns):
            raise DataError(
                f"{self.name} aligns at most {sizes.rows} rows of sound with as many and up to "
                f"{sizes.columns} of picture, not {rows} with {columns}"
            )
        shift = np.arange(columns) - np.arange(rows)[:, None] - (columns - rows) // 2
        allowed = torch.from_numpy(np.abs(shift) <= self.search)
        # Always so many at once: kernels differ by batch size, and their last bits with them.
        parts = [
            self._logits(video[at : at + BATCH], audio[at : at + BATCH], allowed)
            for at in range(0, len(video), BATCH)
        ]
        logits = torch.cat([torch.empty(0, rows, columns), *parts]).double()
        found = F.log_softmax(logits, dim=-1)
        return Aligned(found.argmax(dim=-1).double().numpy(), found.numpy())

    def _logits(self, video: FloatArray, audio: FloatArray, allowed: torch.Tensor) -> torch.Tensor:
        return self._batch(self._decoder, video, audio, allowed)

    @staticmethod
    def _batch(
        decoder: nn.Module, video: FloatArray, audio: FloatArray, allowed: torch.Tensor
    ) -> torch.Tensor:
        spare = BATCH - len(video)
        filled = [
            torch.from_numpy(np.pad(rows, ((0, spare), (0, 0), (0, 0))).astype(np.float32))
            for rows in (audio, video)
        ]
        with torch.inference_mode(), one_thread():
            logits: torch.Tensor = decoder(*filled, allowed=allowed)
            return logits[: len(video)]

    def align_clip(self, rows: Embeddings) -> Alignment:
        """Align a clip of any length, as embedded by `embed`."""
        if self.asks == "sound":
            return whole(self, rows, self.how)
        turned = whole(self, Embeddings(video=rows.audio, audio=rows.video), self.how)
        num_frames = len(rows.video) + features.WINDOW - 1
        return Alignment(invert(turned.video_index[None], num_frames)[0])

    def predict(self, clip: Clip) -> Prediction:
        """Align a clip of any length."""
        return Prediction(key=clip.key, alignment=self.align_clip(self.embed(clip)))

    def fit(
        self,
        clips: Iterable[Clip] | TrainingSet,
        *,
        rng: np.random.Generator,
        steps: int | None = None,
        rate: float | None = None,
        batch: int | None = None,
        bfloat16: bool | None = None,
        cache_mib: int = CACHE_MIB,
        state: Path | None = None,
        law: Laws | None = None,
        copies: int = COPIES,
        forcing: float | None = None,
        log: Log | None = None,
    ) -> None:
        """Fit the decoder to windows of damaged clips; `report` tells how it went.

        Every fourth clip is used: those that ``syncnet-local`` leaves out.

        Parameters
        ----------
        clips
            Clips whose constant offset is known (others are skipped); read once.
        rng
            Source of everything random.
        steps
            Batches; as many as the recipe has where None.
        rate
            Peak learning rate; `RATE` where None.
        batch
            Windows per step; those of the recipe where None.
        bfloat16
            Compute embeddings in bfloat16; None: where the CPU has instructions for it.
        cache_mib
            Bound on the memory of the clips; reading stops there.
        state
            Where an unfinished run is kept, to go on from.
        law
            Of the damage, as in `avbench.models.corrupt.damage`; `LAW` where None.
        copies
            Times that every clip is damaged.
        forcing
            Share of true answers fed back at first; that of `FORCING` where None. Published: 0.
        log
            Is told every loss.
        """
        recipe = replace(
            self.RECIPE,
            steps=steps or self.RECIPE.steps,
            clips=batch or self.RECIPE.clips,
            rows=SyncNetLocal.RECIPE.rows,  # so that the same clips are counted off
            bfloat16=has_bfloat16() if bfloat16 is None else bfloat16,
        )
        plan = Plan(
            training_set(clips, recipe, cache_mib, self._front()),
            recipe,
            rate or self.RATE,
            law or self.LAW,
            copies,
            self.FORCING[0] if forcing is None else forcing,
            log,
        )
        self.report = self._fit(plan, rng, state)

    def _front(self) -> Front:
        """Return what is kept of training clips."""
        return self._extractor.network.front

    def _fit(self, plan: Plan, rng: np.random.Generator, state: Path | None) -> FitReport:
        """Fit everything that a plan is for: here the decoder alone."""
        return self._fit_decoder(plan, rng, state)

    def _fit_decoder(self, plan: Plan, rng: np.random.Generator, state: Path | None) -> FitReport:
        decoder = self._decoder
        schedule = Forcing(plan.forcing, round(self.FORCING[1] * plan.recipe.steps))

        def loss_of(window: Batch, rng: np.random.Generator) -> torch.Tensor:
            assert isinstance(window, WindowBatch)
            told = tell(window.target, schedule(), rng)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(rng.integers(2**63)))  # for dropout
                return decoder.loss(window.sound, window.pictures, window.target, told)

        return optimise(
            nn.ModuleDict({"decoder": decoder, "schedule": schedule}),
            {"decoder": plan.rate, "schedule": 0.0},
            loss_of,
            self._windows(plan, rng),
            plan.recipe,
            rng,
            state,
            Watch(log=plan.log, about={**plan.about, "forcing": plan.forcing}),
        )

    def _windows(self, plan: Plan, rng: np.random.Generator, look: Look | None = None) -> RowSet:
        """Damage and embed the clips that the streams have not seen."""
        sizes = self._decoder.config
        return RowSet.embed(
            self._extractor.network,
            held_out(plan.data),
            copies=plan.copies,
            laws=plan.law,
            columns=sizes.columns,
            sound_rows=sizes.rows,
            bfloat16=plan.recipe.bfloat16,
            rng=rng,
            look=look,
        )

    def save(self, path: Path) -> None:
        """Write streams and decoder as safetensors, weights in half precision."""
        checkpoints.save(
            path,
            checkpoints.Checkpoint(
                self._extractor.network, self._scale, None, self.name, self._decoder
            ),
        )


class TaeNoAttention(Tae):
    """The Temporal AutoEncoder whose decoder does not attend: the ablation of Tables 2 and 3."""

    name: ClassVar[str] = "tae-no-attention"
    CONFIG: ClassVar[TaeConfig | CrfDecoderConfig] = replace(SMALL, attention=0)
