"""What the methods share that align every row of sound from embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from avbench.aligning.smoothing import whole_rows
from avbench.aligning.whole import CENTRE, ROW_FRAMES, to_frames
from avbench.data import Alignment, Clip, Embeddings, FloatArray, IntArray, Prediction
from avbench.errors import UsageError
from avbench.methods import Aligned
from avbench.models.two_stream import Extractor
from avbench.warping import Band, band_of

REACH = 25
"""Largest shift of a frame, in frames, in Shalev and Wolf (2020)."""

HALPERIN_2019 = """@inproceedings{halperin2019dynamic,
  title     = {Dynamic Temporal Alignment of Speech to Lips},
  author    = {Halperin, Tavi and Ephrat, Ariel and Peleg, Shmuel},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)},
  year      = {2019}
}"""
SHALEV_2020 = """@inproceedings{shalev2020end,
  title     = {End to End Lip Synchronization with a Temporal AutoEncoder},
  author    = {Shalev, Yoav and Wolf, Lior},
  booktitle = {IEEE Winter Conference on Applications of Computer Vision (WACV)},
  year      = {2020}
}"""


class BandAligner(ABC):
    """A method that finds a path through the costs of pairs near the diagonal.

    Clips of any length are aligned in one piece: memory grows with the length alone.
    """

    name: ClassVar[str]
    BIBTEX: ClassVar[str]
    TRAINED_ON: ClassVar[str] = "drawn faces"

    def __init__(self, extractor: Extractor, *, search: int = REACH) -> None:
        if search < 1:
            raise UsageError(f"got search {search}, expected at least 1 frame")
        self.search = search
        self._extractor = extractor
        self.extractor = extractor.id

    def embed(self, clip: Clip) -> Embeddings:
        """Compute the embeddings of every five-frame window, not normalised; (T - 4, D) each."""
        return self._extractor.embed(clip.frames, clip.audio, unit=False)

    def band(self, video: FloatArray, audio: FloatArray) -> Band:
        """Return the costs that the path goes through."""
        return band_of(video, audio, self.search, "cosine")

    @abstractmethod
    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound belongs to.

        Shape (B, M, D) and (B, N, D) to (B, N).
        """

    def align_clip(self, rows: Embeddings) -> Alignment:
        """Align a clip of any length, in one piece."""
        index = whole_rows(self._rows(rows), len(rows.video))
        return Alignment(to_frames(index, len(rows.video) + ROW_FRAMES - 1))

    def predict(self, clip: Clip) -> Prediction:
        """Align a clip of any length; surer where the path is cheaper than a constant offset.

        The confidence is the median over all constant offsets of their mean cost, less that of
        the path.
        """
        rows = self.embed(clip)
        alignment = self.align_clip(rows)
        band = self.band(rows.video[None], rows.audio[None])
        index = alignment.video_index[CENTRE : CENTRE + len(rows.audio)] - CENTRE
        return Prediction(clip.key, alignment, _confidence(band, index))

    def _rows(self, rows: Embeddings) -> FloatArray:
        found = self.align(rows.video[None], rows.audio[None]).index[0]
        return np.asarray(found, np.float64)


def _confidence(band: Band, index: IntArray) -> float:
    costs = band.costs[0].astype(np.float64)
    inside = np.isfinite(costs)
    lines = np.where(inside, costs, 0).sum(axis=0) / np.maximum(inside.sum(axis=0), 1)
    places = np.arange(len(costs))
    columns = (index - places - band.lead + band.reach).clip(0, costs.shape[1] - 1)
    path = costs[places, columns]
    known = path[np.isfinite(path)]
    if not len(known):
        return float("nan")
    return float(np.median(lines[inside.any(axis=0)]) - known.mean())
