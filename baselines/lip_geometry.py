"""lip-geometry: where the lips are, in place of what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from avbench.data import FloatArray
from avbench.models.architectures import Config
from avbench.models.augment import GeometryAugmentation
from avbench.models.training import Recipe

from ._shared import along_diagonals
from .syncnet import SyncNet


class LipGeometry(SyncNet):
    """Mean similarity of sound and lip shapes along each diagonal; the highest wins.

    A small rival of the published methods, of avbench's own: points of the lips and chin from a
    face landmarker go in where the others see pixels. It needs mediapipe, and is the one to use on
    recordings of people, because what it learned from a few speakers holds for others.
    """

    name: ClassVar[str] = "lip-geometry"
    BIBTEX: ClassVar[str] = ""
    TRAINED_ON: ClassVar[str] = "drawn faces and 250 sentences of speaker s1 of GRID"
    RECIPE: ClassVar[Recipe] = Recipe(steps=5000, rows=36, augmentation=GeometryAugmentation())

    @classmethod
    def start(
        cls,
        init: Path | None = None,
        *,
        rng: np.random.Generator,
        config: Config | None = None,
        architecture: str | None = None,
    ) -> SyncNet:
        """Make one to train, from a checkpoint or with random weights where None."""
        return super().start(
            init, rng=rng, config=config, architecture=architecture or "lip-geometry"
        )

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Return the mean similarity along the diagonal of every candidate offset."""
        return along_diagonals(video, audio, self.search)
