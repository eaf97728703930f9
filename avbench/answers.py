"""What methods say, checked: offsets from scores, shifts from alignments, faults as messages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from avbench.data import FloatArray, IntArray
from avbench.errors import AvbenchError
from avbench.methods import Aligned, EmbeddingMethod, Method
from avbench.similarity import pick_offsets

log = logging.getLogger(__name__)

A = TypeVar("A")


class Answer(NamedTuple):
    """What a method said to one question."""

    predicted: int | None
    """Offset in frames; None where it failed."""
    confidence: float | None
    """Higher is surer; None where undefined."""
    failure: str | None = None
    """The message of the failure; None where there is an answer."""


def one_by_one(
    ask: Callable[[slice], list[A]],
    failed: Callable[[Answer], A],
    method: Method,
    keys: Sequence[str],
) -> list[A]:
    """Ask about a batch; where it fails as a whole, about each member by itself.

    Parameters
    ----------
    ask
        Answers the members of a slice.
    failed
        What stands for a member on which the method fails.
    method
        Who is asked, for messages.
    keys
        Clip of each member.
    """
    try:
        return ask(slice(0, len(keys)))
    except Exception as error:
        if len(keys) == 1:
            return [failed(Answer(None, None, message(method, keys[0], error)))]
    out: list[A] = []
    for at, key in enumerate(keys):
        try:
            out += ask(slice(at, at + 1))
        except Exception as error:
            out.append(failed(Answer(None, None, message(method, key, error))))
    return out


def best_offsets(
    method: EmbeddingMethod, video: FloatArray, audio: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return the offsets that fit best, with their confidences; shape (B,) each.

    Raises
    ------
    ValueError
        If the scores are none.
    """
    scores = np.asarray(method.compare(video, audio))
    if scores.ndim != 2 or len(scores) != len(video) or scores.shape[1] % 2 == 0:
        raise ValueError(
            f"compared {len(video)} windows into scores of shape {scores.shape}, expected "
            f"({len(video)}, 2 * search + 1)"
        )
    # A candidate without evidence is -inf; a row must have evidence for one at least.
    if np.any(np.isnan(scores)) or not np.all(np.isfinite(scores).any(axis=1)):
        raise ValueError("compared windows into scores that are NaN or all infinite")
    # Scores are negated distances, so that one rule picks the answer everywhere.
    offsets, _, confidences = pick_offsets(np.negative(scores), scores.shape[1] // 2)
    return offsets, confidences


def shifts(aligned: Aligned, num_video: int, num_audio: int, batch: int) -> FloatArray:
    """Return what an aligner says as offsets in frames, NaN for no match; shape (B, N).

    Raises
    ------
    ValueError
        If it says anything but whole rows of the picture.
    """
    index = np.asarray(aligned.index, dtype=np.float64)
    known = index[~np.isnan(index)]
    if index.shape != (batch, num_audio):
        raise ValueError(
            f"aligned into shape {index.shape}, expected a row of picture for each of "
            f"{num_audio} rows of sound of {batch} windows"
        )
    if np.any(known != np.round(known)) or np.any((known < 0) | (known >= num_video)):
        raise ValueError(f"aligned to something that is no row of picture, 0 to {num_video - 1}")
    return np.asarray(index - np.arange(num_audio) - (num_video - num_audio) // 2)


def message(method: Method, key: str, error: Exception) -> str:
    """Put a failure into one line, and its traceback into the debug log."""
    log.debug("%s failed on clip %s", method.name, key, exc_info=error)
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, AvbenchError) else f"{type(error).__name__}: {text}"
