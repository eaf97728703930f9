"""What a method is, and how to get one by name.

A method predicts how the sound of a clip belongs to its picture. It sees the clip without its
truth and provenance. Methods are plug-ins: a name in the entry point group ``avbench.methods``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from avbench import plugins
from avbench.data import Alignment, Clip, Embeddings, FloatArray, Prediction
from avbench.errors import AvbenchError, UsageError


@runtime_checkable
class Method(Protocol):
    """Anything that predicts.

    A method class also has ``load(checkpoint=None, **options)``, which makes one ready to
    predict, from the shipped checkpoint where no other is named. One that never looks at a clip,
    but for its length, may say so with ``sees_media = False``: nothing is then decoded for it.
    """

    name: ClassVar[str]
    BIBTEX: ClassVar[str]

    def predict(self, clip: Clip) -> Prediction:
        """Say how the sound of one clip belongs to its picture."""
        ...


@runtime_checkable
class Embedder(Method, Protocol):
    """A method that looks at embeddings, which a benchmark computes once per clip.

    Because a row sees nothing outside its own five frames, the embeddings of a window are a
    slice of the embeddings of its clip, and every window of it is scored from one pass. `embed`
    may be called from several threads at once.
    """

    extractor: str
    """Identity of the embedding (checkpoint hash): equal strings mean equal embeddings."""

    def embed(self, clip: Clip) -> Embeddings:
        """Compute the embeddings of every five-frame window of a clip."""
        ...


@runtime_checkable
class EmbeddingMethod(Embedder, Protocol):
    """A method that compares embeddings and says which constant offset fits best.

    One whose rows see more than their own five frames says so with ``local = False``, and is
    refused where a window must see nothing outside itself.

    A class with ``hears_outside = True`` also compares windows whose sound is longer than their
    picture by ``lead`` rows on either side; only such can be asked under protocols like
    ``pm-window-15``. One with ``sees_outside = True`` compares windows whose picture is the
    longer one, which protocols like ``tae-local`` ask for.
    """

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Score every candidate offset of a batch of windows.

        Parameters
        ----------
        video, audio
            Embeddings of B windows of N rows; shape (B, N, D). What is said of a window must not
            depend on the others of its batch.

        Returns
        -------
        FloatArray
            Higher is better, offsets ascending; shape (B, 2 * search + 1).
        """
        ...


class Aligned(NamedTuple):
    """Which picture row each row of sound belongs to."""

    index: FloatArray  # type: ignore[assignment]  # the name of a method of tuples
    """Whole numbers in [0, M), NaN where there is no match; shape (B, N)."""
    log_posterior: FloatArray | None = None
    """Each row sums to 1 as probabilities; shape (B, N, M). None where a method has none."""


@runtime_checkable
class Aligner(Embedder, Protocol):
    """A method that aligns every row of sound by itself, from embeddings.

    Its `predict` takes clips of any length, and may answer with an alignment that varies.
    """

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound belongs to, for a batch of windows.

        Parameters
        ----------
        video, audio
            Embeddings of B windows; shape (B, M, D) and (B, N, D), M >= N. Undamaged and in sync,
            sound row i belongs to picture row i + (M - N) // 2. What is said of a window must not
            depend on the others of its batch.
        """
        ...


@runtime_checkable
class ClipAligner(Aligner, Protocol):
    """An aligner that can also align a whole clip from its embeddings.

    A benchmark of whole clips then embeds each once for all methods that share an extractor, as
    it does for windows; other aligners are asked with `predict`, which must say the same.
    """

    def align_clip(self, rows: Embeddings) -> Alignment:
        """Align a clip of any length; one frame of picture per frame of sound."""
        ...


@runtime_checkable
class Trainable(Method, Protocol):
    """A method with parameters to fit, as ``avbench train`` uses it.

    After `fit`, its attribute ``report`` holds an `avbench.models.training.FitReport`, which is
    recorded beside the checkpoint.
    """

    @classmethod
    def start(cls, init: Path | None = None, *, rng: np.random.Generator) -> Trainable:
        """Make one to train, from a checkpoint or as the method begins where None."""
        ...

    def fit(self, clips: Sequence[Clip], *, rng: np.random.Generator, **options: Any) -> None:
        """Fit the parameters to clips whose truth is known."""
        ...

    def save(self, path: Path) -> None:
        """Write the parameters as safetensors."""
        ...


def available() -> list[str]:
    """Return the names of the installed methods, importing none of them."""
    return plugins.available(plugins.METHODS)


def load_class(name: str) -> type[Method]:
    """Import and return the class behind a method's name.

    Raises
    ------
    UnknownName
        If no installed package offers it.
    AvbenchError
        If what it points to is not an avbench method.
    """
    found = plugins.load(plugins.METHODS, name)
    if not (isinstance(found, type) and all(hasattr(found, a) for a in ("predict", "load"))):
        raise AvbenchError(
            f"method '{name}' points to {found!r} of {getattr(found, '__module__', '?')}, which "
            "has no predict and load; expected a class as in avbench.methods.Method"
        )
    return cast("type[Method]", found)


def load(name: str, checkpoint: Path | None = None, **options: Any) -> Method:
    """Make a method ready to predict, by name.

    Parameters
    ----------
    name
        One of `available`.
    checkpoint
        A file written by ``avbench train``; the shipped one where None.
    options
        Passed to the method, such as ``search`` (range of candidate offsets in frames).

    Raises
    ------
    UsageError
        If the method has no such option.
    """
    found = cast("Any", load_class(name))
    known = inspect.signature(found.load).parameters
    open_ = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    if unknown := sorted(set(options) - set(known)) if not open_ else []:
        raise UsageError(
            f"method '{name}' has no option '{unknown[0]}'; it takes "
            f"{', '.join(sorted(set(known) - {'checkpoint'})) or 'none'}"
        )
    try:
        return cast("Method", found.load(checkpoint, **options))
    except AvbenchError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"method '{name}' cannot be made with {options or 'its defaults'}: {error}"
        ) from error
