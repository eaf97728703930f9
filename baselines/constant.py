"""The floor: one answer for everything."""

from __future__ import annotations

from pathlib import Path

from avbench.data import Alignment, Clip, Prediction
from avbench.errors import UsageError


class Constant:
    """Predict the same offset for every clip: the floor that any method must leave behind.

    Where the truth is uniform over ``-5 .. 5``, a constant is right once in eleven times.
    """

    name = "constant"
    BIBTEX = ""
    sees_media = False

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = 5, offset: int = 0) -> Constant:
        """Make the method; it has no parameters, so a checkpoint is refused.

        Raises
        ------
        UsageError
            If a checkpoint is given, or the offset is outside the search range.
        """
        if checkpoint is not None:
            raise UsageError(f"constant has no parameters to read from {checkpoint}")
        if abs(offset) > search:
            raise UsageError(f"got {offset = }, expected one within {search = }")
        return cls(offset)

    def predict(self, clip: Clip) -> Prediction:
        """Answer with the constant."""
        return Prediction(clip.key, Alignment.from_offset(self.offset, len(clip)))
