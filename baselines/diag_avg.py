"""Diag-avg: the best diagonal of the similarity matrix."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from avbench.data import FloatArray
from avbench.models.checkpoint import load_extractor

from ._shared import KIM_2021, SEARCH, OffsetMethod, along_diagonals


class DiagAvg(OffsetMethod):
    """Mean similarity along each diagonal, over the elements that exist; the highest wins.

    It uses the checkpoint of ``syncnet`` and has nothing of its own to train.

    References
    ----------
    Kim et al., "End-to-End Lip Synchronisation Based on Pattern Classification", 2021, section
    2.3.2.
    """

    name: ClassVar[str] = "diag-avg"
    BIBTEX: ClassVar[str] = KIM_2021
    hears_outside: ClassVar[bool] = True
    sees_outside: ClassVar[bool] = True

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = SEARCH) -> DiagAvg:
        """Make one from a checkpoint, the shipped ``syncnet`` where None."""
        return cls(load_extractor(checkpoint), search=search)

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Return the mean similarity along the diagonal of every candidate offset."""
        return along_diagonals(video, audio, self.search)
