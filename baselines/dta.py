"""Dynamic temporal alignment (DTA), and its search the other way round."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avbench.aligning.smoothing import Rule, adaptive
from avbench.data import FloatArray, IntArray
from avbench.errors import UsageError
from avbench.methods import Aligned
from avbench.models.checkpoint import load_extractor, shipped
from avbench.models.two_stream import Extractor
from avbench.similarity import normalise
from avbench.timing import FPS
from avbench.warping import Band, band_of, invert, warp

from ._aligning import HALPERIN_2019, SHALEV_2020, BandAligner

Path_ = Literal["released", "dijkstra"]
REACH = 50
"""Band of the released code: 200 steps of 10 ms."""
PENALTY, UNIT_PENALTY, FREE = 0.05, 0.2, 2
"""Of moves that are not diagonal, in that code and where unit vectors are compared; and cells
beside the corners that are free (10 steps of 10 ms in that code)."""
BLUR = 10 / 62.5 * FPS
"""Standard deviation in rows of the last smoothing: 10 samples at the rate of the STFT."""


class Dta(BandAligner):
    """The sound is warped: for each picture, the sound on the cheapest path, smoothed.

    The paper looks for the shortest path on the graph of distances (``path="dijkstra"``: moves
    right, down and diagonal, from corner to corner). The code released with it is a dynamic
    programme (``path="released"``, the default): mean squared difference of embeddings, a penalty
    on moves that are not diagonal, a band of two seconds, free ends. Both work at 100 Hz there,
    on pictures that are interpolated, and here at the 25 Hz of the pictures: four steps in one
    cost four times as much, penalty and difference alike.

    The released code compares embeddings as they leave the network, whose loss was about their
    distances. Those of avbench were trained on directions alone, and their lengths mean nothing:
    unit vectors are compared unless ``unit=False``, by one minus the cosine (half their squared
    difference), with a penalty of avbench's own.

    The path is smoothed as far as it stays within 50 ms (``smooth``, see
    `avbench.aligning.smoothing.adaptive`), then by a Gaussian. A benchmark asks for the picture of
    each sound: the last picture that got it, or else the first that got a later one.

    References
    ----------
    Halperin, Ephrat and Peleg, "Dynamic Temporal Alignment of Speech to Lips", 2019.
    """

    name: ClassVar[str] = "dta"
    BIBTEX: ClassVar[str] = HALPERIN_2019
    SMOOTH: ClassVar[Rule] = "largest"

    def __init__(
        self,
        extractor: Extractor,
        *,
        search: int = REACH,
        path: Path_ = "released",
        unit: bool = True,
        penalty: float | None = None,
        smooth: Rule | None = None,
    ) -> None:
        super().__init__(extractor, search=search)
        rule = smooth or self.SMOOTH
        extra = (UNIT_PENALTY if unit else PENALTY) if penalty is None else penalty
        if path not in get_args(Path_) or rule not in get_args(Rule) or not extra >= 0:
            raise UsageError(
                f"got path '{path}', smooth '{rule}' and penalty {extra}, expected a path of "
                f"{', '.join(get_args(Path_))}, smooth of {', '.join(get_args(Rule))} and a "
                "penalty of at least 0"
            )
        self.path, self.unit, self.smooth, self.penalty = path, unit, rule, extra

    @classmethod
    def load(
        cls,
        checkpoint: Path | None = None,
        *,
        search: int = REACH,
        path: Path_ = "released",
        unit: bool = True,
        penalty: float | None = None,
        smooth: Rule | None = None,
    ) -> Any:
        """Make one on the extractor of any checkpoint, the shipped ``syncnet-local`` where None.

        Parameters
        ----------
        checkpoint
            File of any trained method.
        search
            Half the width of the band, in frames.
        path
            ``released`` or ``dijkstra``.
        unit
            Compare unit vectors.
        penalty
            Of moves that are not diagonal, for ``released``; 0.2 for unit vectors, else 0.05,
            where None.
        smooth
            ``largest``, ``lowest`` or ``none``.
        """
        return cls(
            load_extractor(checkpoint or shipped("syncnet-local")),
            search=search,
            path=path,
            unit=unit,
            penalty=penalty,
            smooth=smooth,
        )

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound belongs to.

        Shape (B, M, D) and (B, N, D) to (B, N).
        """
        found = self._smoothed(self._warp(audio, video), audio.shape[1])
        return Aligned(invert(found, audio.shape[1]).astype(np.float64))

    def _warp(self, goal: FloatArray, given: FloatArray) -> IntArray:
        """Return the row of ``goal`` on the path for each row of ``given``."""
        band = self.band(goal, given)
        if self.path == "dijkstra":
            return warp(band, penalty=0.0, free=0)
        return warp(band, self.penalty, FREE)

    def band(self, video: FloatArray, audio: FloatArray) -> Band:
        """Return the costs that the path goes through."""
        if self.path == "dijkstra":
            rows = (normalise(video), normalise(audio)) if self.unit else (video, audio)
            return band_of(*rows, self.search, "distance")
        return band_of(video, audio, self.search, "cosine" if self.unit else "squared")

    def _smoothed(self, index: IntArray, num_rows: int) -> IntArray:
        """Smooth each path between its ends; rows outside of them keep what `warp` says."""
        if self.smooth == "none":
            return index
        found = index.copy()
        for row, given in zip(found, index, strict=True):
            on = np.flatnonzero((given >= 0) & (given < num_rows))
            if len(on):
                deviation = adaptive(given[on].astype(np.float64), self.smooth) - on
                path = np.rint(gaussian_filter1d(deviation, BLUR, mode="nearest") + on)
                row[on] = np.maximum.accumulate(path.clip(0, num_rows - 1))
        return found


class DtaVideo(Dta):
    """Modified DTA: the search is inverted, so that pictures are put in another order.

    For each row of sound the last picture on the path. Shalev and Wolf (2020) compare with it,
    because their sound stays as it is; it was not released, and whether it smooths is not said:
    here it does not, because a smoothed path moves the frames around a drop.

    References
    ----------
    Shalev and Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020, section 6.
    """

    name: ClassVar[str] = "dta-video"
    BIBTEX: ClassVar[str] = f"{HALPERIN_2019}\n{SHALEV_2020}"
    SMOOTH: ClassVar[Rule] = "none"

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound belongs to.

        Shape (B, M, D) and (B, N, D) to (B, N).
        """
        found = self._smoothed(self._warp(video, audio), video.shape[1])
        return Aligned(found.clip(0, video.shape[1] - 1).astype(np.float64))
