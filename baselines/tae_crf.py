"""An autoencoder with monotone fields inside: a departure from the Temporal AutoEncoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from avbench import features
from avbench.aligning import How
from avbench.data import Clip, Embeddings, FloatArray, IntArray, UInt8Array
from avbench.errors import UsageError
from avbench.methods import Aligned
from avbench.models.corrupt import Laws
from avbench.models.corrupt_rows import WindowBatch
from avbench.models.crf_decoder import CrfDecoder, CrfDecoderConfig
from avbench.models.distinct import KNOWN, distinct_rows, tell, time_line, unknown
from avbench.models.dropped import UNASKED, DropBatch, DropSet, as_pictures
from avbench.models.tae import Decoder, TaeConfig
from avbench.models.training import FitReport, Recipe, Watch, finished, optimise
from avbench.models.trainset import Batch, Front, TrainingClip
from avbench.models.two_stream import Extractor, digest_of, one_thread
from avbench.repairing.held import crop_changes, held

from ._fitting import Plan
from .syncnet_local import without_held_out
from .tae import Tae

ROWS_VERSION = 2
"""Bumped when the same weights would give other rows."""


class TaeCrf(Tae):
    """The autoencoder with a monotone field inside: not the paper's, see the departures it names.

    A clip that shows pictures again was damaged. The streams then look at the pictures that differ,
    a small network sees where frames were dropped between them, and a field of its own aligns
    sound and pictures knowing both. Other clips are read by the decoder.

    References
    ----------
    `avbench.models.crf_decoder`, and Shalev and Wolf, 2020, section 7: monotone constraints.
    """

    name: ClassVar[str] = "tae-crf"
    CONFIG: ClassVar[TaeConfig | CrfDecoderConfig] = CrfDecoderConfig()
    RECIPE: ClassVar[Recipe] = replace(Tae.RECIPE, steps=900, warmup=0.3)
    RATE: ClassVar[float] = 3e-3
    FORCING: ClassVar[tuple[float, float]] = (0.5, 0.4)
    LAW: ClassVar[Laws] = "both"
    HOW: ClassVar[How] = "median"
    DROPS: ClassVar[Recipe] = Recipe(
        steps=4, clips=8, warmup=0.1, weight_decay=1e-3, augmentation=None
    )
    """How the network that sees dropped frames is trained, in full precision; its steps are times
    those asked for."""
    DROPS_RATE: ClassVar[float] = 2e-3

    _decoder: CrfDecoder

    def __init__(self, extractor: Extractor, decoder: Decoder, **options: Any) -> None:
        if not isinstance(decoder, CrfDecoder):
            raise UsageError(
                f"{self.name} needs a decoder with a field inside; give a file from 'avbench train "
                f"--method {self.name}'"
            )
        super().__init__(extractor, decoder, **options)
        self._name_rows()

    def _name_rows(self) -> None:
        """Name what `embed` returns by all it depends on: by this name rows are kept on disk."""
        drops = self._decoder.drops
        told = digest_of(drops, {"config": asdict(drops.config), "rows": ROWS_VERSION})
        self.extractor = f"{self._extractor.id}-{told}"

    def embed(self, clip: Clip) -> Embeddings:
        """Compute the embeddings of every five-frame window; shape (T - 4, D + 4) each.

        Where the clip shows pictures again, the rows of picture are those of its different pictures
        (`avbench.models.distinct`). The sound's last four numbers are zero.
        """
        number = held(crop_changes(clip.frames))
        if number[-1] + 1 == len(clip) or len(clip) < features.WINDOW:
            rows = super().embed(clip)
            video, audio = (unknown(torch.from_numpy(side)).numpy() for side in rows)
            return Embeddings(video, audio)
        sound = self._extractor.embed_sound(clip.audio, unit=False)
        video = self._distinct(clip.frames, number)
        return Embeddings(video, unknown(torch.from_numpy(sound)).numpy())

    def _distinct(self, frames: UInt8Array, number: IntArray) -> FloatArray:
        new = frames[np.flatnonzero(np.diff(number, prepend=-1))]
        with one_thread():
            told = tell(self._decoder.drops, as_pictures(features.face_pictures(new)))
        line = time_line(told)
        seen = line.restore(self._extractor.network.read_pictures(new))
        rows = self._extractor.embed_read(seen, unit=False)[line.row]
        return distinct_rows(torch.from_numpy(rows), told, number).numpy()

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound belongs to, as `Tae.align`.

        Windows of rows that say which pictures differ are aligned by them, each row by the median
        of what is probable; others, and embeddings without the last four numbers, by the decoder.
        """
        dim = video.shape[-1] - KNOWN
        if dim != self._extractor.network.config.dim:
            return super().align(video, audio)
        known = np.asarray((video[..., dim] > 0).all(axis=-1))
        audio = audio[..., :dim]
        logs = np.full((*audio.shape[:2], video.shape[1]), -np.inf)
        for which, columns in ((known, dim + KNOWN), (~known, dim)):
            if which.any():
                some = super().align(video[which][..., :columns], audio[which])
                logs[which] = some.log_posterior
        middle = (np.exp(logs).cumsum(axis=-1) >= 0.5).argmax(axis=-1)
        index = np.where(known[:, None], middle, logs.argmax(axis=-1))
        return Aligned(index.astype(np.float64), logs)

    def _logits(self, video: FloatArray, audio: FloatArray, allowed: torch.Tensor) -> torch.Tensor:
        decide = self._decoder.damaged if video.shape[-1] > audio.shape[-1] else self._decoder
        return self._batch(decide, video, audio, allowed)

    def _front(self) -> Front:
        return replace(super()._front(), faces=features.face_pictures)

    def _fit(self, plan: Plan, rng: np.random.Generator, state: Path | None) -> FitReport:
        """Fit the decoder, what sees dropped frames, and the field that is told of them.

        What sees dropped frames learns from the clips that are not held out for the other two.
        """
        one, two = rng.spawn(2)  # so that each part is the same whatever the others draw
        parts: dict[str, Callable[[Path | None], FitReport]] = {
            "decoder": lambda state: self._fit_decoder(plan, rng, state),
            "drops": lambda state: self._fit_drops(plan, one, state),
            "damaged": lambda state: self._fit_damaged(plan, two, state),
        }
        identity = {
            **asdict(plan.recipe),
            **plan.about,
            "forcing": plan.forcing,
            "clips_seen": len(plan.data),
            "frames": plan.data.num_frames,
            "generator": str(rng.bit_generator.state),
        }
        first, *others = (
            finished(self._decoder, name, train, state, identity) for name, train in parts.items()
        )
        if state is not None:
            for name in parts:
                state.with_name(f"{state.name}.{name}").unlink()
        self._name_rows()
        told = {
            name: {key: getattr(report, key) for key in ("steps", "clips", "first_loss", "loss")}
            for name, report in zip([*parts][1:], others, strict=True)
        }
        return replace(first, recipe={**first.recipe, **told})

    def _fit_drops(self, plan: Plan, rng: np.random.Generator, state: Path | None) -> FitReport:
        detector = self._decoder.drops
        recipe = replace(self.DROPS, steps=self.DROPS.steps * plan.recipe.steps)

        def loss_of(found: Batch, _: np.random.Generator) -> torch.Tensor:
            assert isinstance(found, DropBatch)
            logits = detector(found.pictures.squeeze(2)).flatten(0, 1)
            return F.cross_entropy(logits, found.dropped.flatten(), ignore_index=UNASKED)

        return optimise(
            nn.ModuleDict({"drops": detector}),
            {"drops": self.DROPS_RATE},
            loss_of,
            DropSet(without_held_out(plan.data), detector.config, plan.law),
            recipe,
            rng,
            state,
            Watch(about={"part": "drops", "law": plan.law}),
        )

    def _fit_damaged(self, plan: Plan, rng: np.random.Generator, state: Path | None) -> FitReport:
        network, decoder = self._extractor.network, self._decoder

        def look(clip: TrainingClip, pictures: torch.Tensor, shown: IntArray) -> torch.Tensor:
            frames, number = np.unique(shown, return_inverse=True)
            assert clip.faces is not None, "the front keeps faces"
            told = tell(decoder.drops, as_pictures(clip.faces[frames]))
            line = time_line(told)
            seen = line.restore(pictures[0, frames]).unsqueeze(0)
            rows = network.embed_video(seen)[0].float()[line.row]
            return distinct_rows(rows, told, number)

        def loss_of(window: Batch, _: np.random.Generator) -> torch.Tensor:
            assert isinstance(window, WindowBatch)
            return decoder.damaged.loss(window.sound, window.pictures, window.target)

        return optimise(
            nn.ModuleDict({"damaged": decoder.damaged}),
            {"damaged": plan.rate},
            loss_of,
            self._windows(plan, rng, look),
            plan.recipe,
            rng,
            state,
            Watch(about={"part": "damaged", **plan.about}),
        )
