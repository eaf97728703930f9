"""The method under test, and the one way in which the checks talk to it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from avbench.data import JSON, Clip, Embeddings, FloatArray, Prediction, UInt8Array
from avbench.errors import AvbenchError
from avbench.methods import EmbeddingMethod, Method
from avbench.similarity import pick_offset

ROUNDING = 1e-4
"""Relative differences up to which two results count as one."""
_HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Origin:
    """How a method was made, so that it can be made again."""

    cls: type
    checkpoint: Path | None = None
    options: Mapping[str, JSON] = field(default_factory=dict)
    name: str | None = None
    """The name under which it is installed; None where it was handed over as an object."""

    def load(self, **changes: JSON) -> Method:
        """Make the method again, with other options where given."""
        made = cast("Any", self.cls).load(self.checkpoint, **{**self.options, **changes})
        return cast("Method", made)

    @property
    def unknown(self) -> bool:
        """Whether the method was handed over without the file that it came from, if any."""
        return self.name is None and self.checkpoint is None

    @property
    def importable(self) -> bool:
        """Whether another process can import the class."""
        return self.cls.__module__ != "__main__" and "<locals>" not in self.cls.__qualname__


class Answer(NamedTuple):
    """What a method said about one window."""

    offset: int | None
    """Frames; the median where the alignment varies; None where it failed."""
    confidence: float = float("nan")
    failure: str | None = None
    varies: bool = False
    """Whether the alignment was not a constant offset."""

    def like(self, other: Answer) -> bool:
        """Whether another answer says the same, up to rounding."""
        return (self.offset, self.failure is None) == (other.offset, other.failure is None) and (
            bool(np.isclose(self.confidence, other.confidence, rtol=ROUNDING, equal_nan=True))
        )


@dataclass(frozen=True)
class Subject:
    """A method under test."""

    method: Method
    origin: Origin
    search: int
    """Largest candidate offset in frames."""
    length: int = 40
    """Window length in frames that the checks ask about."""
    short: int | None = None
    """A shorter length that the method also answers; None where there is none."""
    copies: bool = False
    """Hand over copies, because the method changes what it is given."""

    @property
    def embedding(self) -> EmbeddingMethod | None:
        """The method where it compares embeddings, as the benchmark sees it; else None."""
        return self.method if isinstance(self.method, EmbeddingMethod) else None

    @property
    def sees_truth(self) -> bool:
        """Whether the method says that it is shown the truth."""
        return bool(getattr(self.method, "sees_truth", False))

    def seen(self, clip: Clip) -> Clip:
        """Return a clip as this method is shown it."""
        return self._own(clip if self.sees_truth else clip.without_truth())

    def _own(self, clip: Clip) -> Clip:
        """Return a copy where the method changes what it is given."""
        if not self.copies:
            return clip
        return replace(clip, frames=clip.frames.copy(), audio=clip.audio.copy())

    def predict(self, clip: Clip) -> Prediction:
        """Let the method predict; whatever it raises comes through."""
        return self.method.predict(self.seen(clip))

    def ask(self, clip: Clip, *, with_truth: bool = False) -> Answer:
        """Let the method predict, truth in plain sight or not; failures are answers too."""
        try:
            shown = clip if with_truth or self.sees_truth else clip.without_truth()
            prediction = self.method.predict(self._own(shown))
            varies = prediction.offset is None
            return Answer(offset_of(prediction), float(prediction.confidence), varies=varies)
        except Exception as error:
            return Answer(None, failure=explain(error))

    def embed(self, clip: Clip) -> Embeddings:
        """Embed a clip.

        Raises
        ------
        TypeError
            If the method has no embeddings.
        """
        if self.embedding is None:
            raise TypeError(f"{self.method.name} has no embeddings")
        rows = self.embedding.embed(self.seen(clip))
        return Embeddings(np.asarray(rows.video), np.asarray(rows.audio))

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Compare copies of windows; shape (B, N, D) each to (B, 2 * search + 1)."""
        if self.embedding is None:
            raise TypeError(f"{self.method.name} has no embeddings")
        return np.asarray(self.embedding.compare(video.copy(), audio.copy()))

    def decode(self, path: Path) -> UInt8Array | None:
        """Let the method decode a file where it offers to; RGB pictures, shape (T, H, W, 3)."""
        own = getattr(self.method, "decode", None)
        return np.asarray(own(path)) if callable(own) else None


def offset_of(prediction: Prediction) -> int:
    """Return the constant offset of a prediction, or the median one where it varies."""
    if prediction.offset is not None:
        return prediction.offset
    index = prediction.alignment.video_index
    return int(np.median(index - np.arange(len(index))))


def answers_of(scores: FloatArray) -> list[Answer]:
    """Read answers off scores as the benchmark does; shape (B, 2 * search + 1)."""
    chosen = [pick_offset(-row, len(row) // 2) for row in np.asarray(scores)]
    return [Answer(offset, confidence) for offset, _, confidence in chosen]


def from_method(error: BaseException) -> bool:
    """Whether an exception came out of a method, which is only ever called from this file."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename == __file__ for frame in frames)


def explain(error: BaseException) -> str:
    """Put an exception into one line; what avbench did not word gets its type and its place."""
    text = " ".join(str(error).split())[:200]
    if isinstance(error, AvbenchError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and _HERE not in f.filename]
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {text}{place}"
