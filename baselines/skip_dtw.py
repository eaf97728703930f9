"""skip-dtw: the cheapest path that never goes back."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from avbench.data import Embeddings, FloatArray
from avbench.errors import UsageError
from avbench.methods import Aligned
from avbench.models.checkpoint import load_extractor, shipped
from avbench.models.two_stream import Extractor
from avbench.warping import skip_posteriors, skips

from ._aligning import REACH, BandAligner

STEPS = 5
"""Steps 0 to 4: a duplicated frame is shown four times at most."""


class SkipDtw(BandAligner):
    """Dynamic time warping in steps of 0 to 4 pictures, each but 1 at a penalty.

    A strong and simple rival of avbench's own: it knows the kind of fault (`avbench.distort`) and
    has nothing to train. It uses the checkpoint of ``syncnet``, or any other.
    """

    name: ClassVar[str] = "skip-dtw"
    BIBTEX: ClassVar[str] = ""

    def __init__(self, extractor: Extractor, *, search: int = REACH, penalty: float = 0.2) -> None:
        super().__init__(extractor, search=search)
        if not penalty >= 0:
            raise UsageError(f"got penalty {penalty}, expected at least 0")
        self.penalty = penalty

    @classmethod
    def load(
        cls, checkpoint: Path | None = None, *, search: int = REACH, penalty: float = 0.2
    ) -> SkipDtw:
        """Make one on the extractor of any checkpoint, the shipped ``syncnet-local`` where None.

        Parameters
        ----------
        checkpoint
            File of any trained method.
        search
            Largest shift of a frame, in frames.
        penalty
            Of every step but 1, in units of one minus the cosine.
        """
        return cls(
            load_extractor(checkpoint or shipped("syncnet-local")), search=search, penalty=penalty
        )

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound belongs to, and how likely each is.

        The posterior is over all paths, at the heat that makes a step other than 1 a tenth as
        likely. Shape (B, M, D) and (B, N, D) to (B, N) and (B, N, M).
        """
        band, penalties = self.band(video, audio), self._penalties
        return Aligned(skips(band, penalties).astype(np.float64), skip_posteriors(band, penalties))

    @property
    def _penalties(self) -> list[float]:
        return [0.0 if step == 1 else self.penalty for step in range(STEPS)]

    def _rows(self, rows: Embeddings) -> FloatArray:
        # The posterior of a whole clip would grow with the square of its length.
        band = self.band(rows.video[None], rows.audio[None])
        return np.asarray(skips(band, self._penalties)[0], np.float64)
