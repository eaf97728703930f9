"""mend: what ``avbench align`` does, as a method that is measured like others."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from avbench.aligning.similar import BySimilarity
from avbench.aligning.whole import CENTRE, align_rows, to_frames
from avbench.data import Alignment, Clip, Prediction
from avbench.repairing.faces import embed
from avbench.repairing.held import changes, held

from .syncnet_local import SyncNetLocal


class Mend(BySimilarity):
    """Pictures that are shown again are left out, and the others aligned by their likeness.

    Of avbench's own. A picture that is there twice says nothing the second time, and what is left
    can only have lost pictures: half of what could have happened is ruled out before sound and
    lips are compared at all. The clip says itself how often pictures were lost, and each row of
    sound gets the median of what is probable given all of the clip
    (`avbench.aligning.marginal.middle`). Windows of a clip are judged row by row alone.
    """

    name: ClassVar[str] = "mend"
    TRAINED_ON: ClassVar[str] = "drawn faces"

    @classmethod
    def load(cls, checkpoint: Path | None = None) -> Mend:
        """Make one on the extractor of any checkpoint, the shipped ``syncnet-local`` where None."""
        return cls(SyncNetLocal.load(checkpoint))

    def predict(self, clip: Clip) -> Prediction:
        """Align a clip of any length; surer where what is probable lies closer together.

        The confidence is minus the mean doubt, in frames.
        """
        whole = np.array([[0, 0, *clip.frames.shape[2:0:-1]]] * len(clip), np.float64)
        shown = held(changes(clip.frames, whole))
        new = np.flatnonzero(np.diff(shown, prepend=-1))
        rows = embed(self, clip.frames[new], len(new), clip.audio)
        due = shown[CENTRE : CENTRE + len(rows.audio)] - CENTRE
        expected = due.clip(0, len(rows.video) - 1)
        found = align_rows(self, rows, "median", expected=expected)
        last = np.append(new[1:], len(clip)) - 1  # a copied picture belongs to its last copy
        places = last[to_frames(found.video_rows, len(new))]
        return Prediction(clip.key, Alignment(places), -float(found.doubt.mean()))
