"""The ceiling: the truth itself, which finds faults of the harness."""

from __future__ import annotations

from pathlib import Path

from avbench.data import Clip, Prediction
from avbench.errors import UsageError


class Oracle:
    """Answer with the truth: a benchmark on which it is not perfect is broken.

    The only method that is shown the truth; its rows are marked in every table.
    """

    name = "oracle"
    BIBTEX = ""
    sees_media = False
    sees_truth = True

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = 5) -> Oracle:
        """Make the method; it has no parameters, so a checkpoint is refused.

        Raises
        ------
        UsageError
            If a checkpoint is given.
        """
        if checkpoint is not None:
            raise UsageError(f"oracle has no parameters to read from {checkpoint}")
        return cls()

    def predict(self, clip: Clip) -> Prediction:
        """Repeat the alignment that the clip carries.

        Raises
        ------
        ValueError
            If the clip's truth is withheld or unknown.
        """
        if clip.alignment is None:
            raise ValueError(f"clip {clip.key!r} carries no truth for the oracle to repeat")
        return Prediction(clip.key, clip.alignment)
