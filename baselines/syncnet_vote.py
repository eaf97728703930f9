"""SyncNet in the "accurate mode": short windows vote."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from avbench.data import FloatArray
from avbench.errors import UsageError
from avbench.models.checkpoint import load_extractor
from avbench.models.two_stream import Extractor
from avbench.similarity import normalise
from avbench.warping import band_of

from ._shared import CHUNG_2016, SEARCH, OffsetMethod


class SyncNetVote(OffsetMethod):
    """Every window of five frames names its nearest offset; the most frequent one wins.

    The comparison of Shalev and Wolf (2020) with SyncNet, as released with it: windows do not
    overlap, nothing is padded, and of offsets named equally often the one named first wins. Where
    sound and picture differ in length, the windows are those of the shorter one.

    References
    ----------
    Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016. Shalev and Wolf, "End
    to End Lip Synchronization with a Temporal AutoEncoder", 2020, section 6.1.
    """

    name: ClassVar[str] = "syncnet-vote"
    BIBTEX: ClassVar[str] = CHUNG_2016
    hears_outside: ClassVar[bool] = True
    sees_outside: ClassVar[bool] = True

    def __init__(
        self, extractor: Extractor, *, search: int = SEARCH, stride: int = 5, unit: bool = True
    ) -> None:
        super().__init__(extractor, search=search)
        if stride < 1:
            raise UsageError(f"got stride {stride}, expected at least 1 frame")
        self.stride, self.unit = stride, unit

    @classmethod
    def load(
        cls,
        checkpoint: Path | None = None,
        *,
        search: int = SEARCH,
        stride: int = 5,
        unit: bool = True,
    ) -> SyncNetVote:
        """Make one on the extractor of any checkpoint, the shipped ``syncnet`` where None.

        ``stride`` is the number of frames from one window to the next; unit vectors are compared
        unless ``unit=False``, which is how the released code compares those of its network.
        """
        return cls(load_extractor(checkpoint), search=search, stride=stride, unit=unit)

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Return the votes for every candidate offset; what was named first counts half more.

        Shape (B, V, D) and (B, A, D) to (B, 2 * search + 1), offsets ascending.
        """
        if self.unit:
            video, audio = normalise(video), normalise(audio)
        if video.shape[1] > audio.shape[1]:
            costs = band_of(video, audio, self.search, "distance").costs[:, :: self.stride]
        else:
            costs = band_of(audio, video, self.search, "distance").costs[:, :: self.stride, ::-1]
        named = costs.argmin(axis=2)[..., None] == np.arange(costs.shape[2])
        first = np.where(named.any(axis=1), named.argmax(axis=1), named.shape[1])
        return np.asarray(named.sum(axis=1) + 0.5 * (1 - first / named.shape[1]))
