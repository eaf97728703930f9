"""mend: what ``avbench align`` does, as a method that is measured like others."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from avbench.aligning.similar import BySimilarity
from avbench.aligning.whole import CENTRE, align_rows, to_frames
from avbench.data import Alignment, Clip, FloatArray, Prediction
from avbench.errors import UsageError
from avbench.methods import Aligned, Embedder
from avbench.repairing.faces import embed
from avbench.repairing.held import crop_changes, held, missing

from ._aligning import REACH
from .syncnet_local import SyncNetLocal


class Mend(BySimilarity):
    """Pictures that are shown again are left out, and the others aligned by their likeness.

    Of avbench's own. A picture that is there twice says nothing the second time, and what is left
    can only have lost pictures: half of what could have happened is ruled out before sound and
    lips are compared at all. Where pictures were lost the next one differs by more
    (`avbench.repairing.held.missing`). The clip says itself how often that happened, and each row
    of sound gets the median of what is probable given all of the clip
    (`avbench.aligning.marginal.middle`). Windows of a clip are judged row by row alone.
    """

    name: ClassVar[str] = "mend"
    TRAINED_ON: ClassVar[str] = "drawn faces"

    def __init__(self, method: Embedder, *, search: int = REACH) -> None:
        super().__init__(method)
        if search < 1:
            raise UsageError(f"got search {search}, expected at least 1 frame")
        self.search = search

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = REACH) -> Mend:
        """Make one on the extractor of any checkpoint, the shipped ``syncnet-local`` where None.

        ``search`` is the largest shift of a row in frames, against its place in an undamaged
        window.
        """
        return cls(SyncNetLocal.load(checkpoint), search=search)

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound is most like, and how probable each is.

        Shapes (B, M, D) and (B, N, D) to (B, N) and (B, N, M).
        """
        logs = super().align(video, audio).log_posterior
        assert logs is not None
        rows, columns = logs.shape[1:]
        shift = np.arange(columns) - np.arange(rows)[:, None] - (columns - rows) // 2
        logs = np.where(np.abs(shift) <= self.search, logs, -np.inf)
        logs = logs - np.logaddexp.reduce(logs, axis=-1, keepdims=True)
        return Aligned(logs.argmax(axis=-1).astype(np.float64), logs)

    def predict(self, clip: Clip) -> Prediction:
        """Align a clip of any length; surer where what is probable lies closer together.

        The confidence is minus the mean doubt, in frames.
        """
        moved = crop_changes(clip.frames)
        shown = held(moved)
        new = np.flatnonzero(np.diff(shown, prepend=-1))
        rows = embed(self, clip.frames[new], len(new), clip.audio)
        due = shown[CENTRE : CENTRE + len(rows.audio)] - CENTRE
        expected = due.clip(0, len(rows.video) - 1)
        gone = missing(moved[new])[CENTRE : CENTRE + len(rows.video)]
        found = align_rows(self, rows, "median", expected=expected, missing=gone)
        last = np.append(new[1:], len(clip)) - 1  # a copied picture belongs to its last copy
        places = last[to_frames(found.video_rows, len(new))]
        return Prediction(clip.key, Alignment(places), -float(found.doubt.mean()))
