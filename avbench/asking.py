"""How a method is asked: embeddings once per clip, windows as slices of them, faults kept.

A method sees a window without its truth and provenance. When it fails on a question, the message
is kept and the question counts as wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as once
from itertools import groupby
from time import perf_counter
from typing import NamedTuple

import numpy as np

from avbench.cache import EmbeddingCache, Kept
from avbench.data import JSON, Clip, Embeddings, FloatArray, Item
from avbench.errors import AvbenchError
from avbench.methods import EmbeddingMethod, Method
from avbench.similarity import pick_offsets
from avbench.tasks import Question
from avbench.timing import SAMPLES_PER_FRAME

log = logging.getLogger(__name__)

ROW_FRAMES = 5
"""Video frames that one row of an embedding sees."""


class Answer(NamedTuple):
    """What a method said to one question."""

    predicted: int | None
    """Offset in frames; None where it failed."""
    confidence: float | None
    """Higher is surer; None where undefined."""
    failure: str | None = None
    """The message of the failure; None where there is an answer."""


class Said(NamedTuple):
    """What a method said to all questions about one clip."""

    answers: list[Answer]
    seconds: float
    """Time that it took, with the embeddings that it would need on its own."""

    @classmethod
    def read(cls, record: Mapping[str, JSON]) -> Said:
        """Take over what a journal holds."""
        return cls([Answer(*answer) for answer in record["answers"]], record["seconds"])

    def record(self) -> dict[str, JSON]:
        """Return it as JSON."""
        return {"answers": [list(answer) for answer in self.answers], "seconds": self.seconds}


class Features(NamedTuple):
    """The embeddings of one clip, or why there are none."""

    rows: Embeddings | None
    failure: str
    seconds: float


@dataclass(frozen=True, eq=False)
class Ready:
    """A clip with all that its pictures and sound were needed for."""

    item: Item
    questions: list[Question]
    said: dict[str, Said]
    """Method -> answers that are known already."""
    features: dict[str, Features]
    """Extractor -> embeddings."""


def prepare(
    methods: Sequence[Method],
    item: Item,
    questions: list[Question],
    said: Mapping[str, Said],
    cache: EmbeddingCache | None,
) -> Ready:
    """Do everything about one clip that needs it decoded; it is decoded at most once.

    Parameters
    ----------
    methods
        Those with embeddings get them made; the others are asked.
    item
        The clip.
    questions
        What is asked about it.
    said
        Answers that are known already; those methods are left alone.
    cache
        Where embeddings are looked up and kept.
    """
    load = once(item.load)
    features: dict[str, Features] = {}
    found = dict(said)
    for method in methods:
        if method.name in found:
            continue
        if isinstance(method, EmbeddingMethod):
            if method.extractor not in features:
                features[method.extractor] = _embed(method, item, load, cache)
        else:
            clip = load() if getattr(method, "sees_media", True) else _blank(item)
            started = perf_counter()
            answers = [_predict(method, question.cut(clip)) for question in questions]
            found[method.name] = Said(answers, perf_counter() - started)
    return Ready(item, questions, found, features)


def _blank(item: Item) -> Clip:
    frames = np.zeros((len(item), 1, 1, 3), np.uint8)
    sound = np.zeros(len(item) * SAMPLES_PER_FRAME, np.float32)
    return Clip(item.key, frames, sound, item.alignment)


def _embed(
    method: EmbeddingMethod, item: Item, load: Callable[[], Clip], cache: EmbeddingCache | None
) -> Features:
    if cache and item.sha256 and (kept := cache.get(item.sha256, method)):
        return Features(kept.rows, "", kept.seconds)
    clip = load().without_truth()
    started = perf_counter()
    try:
        rows = method.embed(clip)
        expected = len(clip) - ROW_FRAMES + 1
        if not (len(rows.video) == len(rows.audio) == expected):
            raise ValueError(
                f"embedded {len(rows.video)} rows of picture and {len(rows.audio)} of sound for "
                f"{len(clip)} frames, expected {expected}"
            )
    except Exception as error:
        return Features(None, message(method, clip.key, error), perf_counter() - started)
    seconds = perf_counter() - started
    if cache and item.sha256:
        cache.put(item.sha256, method, Kept(rows, seconds))
    return Features(rows, "", seconds)


def compare(
    methods: Sequence[EmbeddingMethod], ready: Sequence[Ready], lead: int, batch_size: int
) -> list[dict[str, Said]]:
    """Answer from embeddings for methods of one extractor, the windows of all clips together.

    Parameters
    ----------
    methods
        They share their extractor.
    ready
        Clips with its embeddings.
    lead
        Rows of sound on either side of a window that the methods get beside its own.
    batch_size
        Windows compared at once.

    Returns
    -------
    list of dict
        Per clip, method -> answers in the order of its questions.
    """
    extractor = methods[0].extractor
    answers: list[dict[str, list[Answer]]] = [{} for _ in ready]
    seconds = dict.fromkeys((method.name for method in methods), 0.0)
    for batch in _batches(ready, extractor, batch_size):
        video, audio = _windows(ready, extractor, batch, lead)
        for method in methods:
            started = perf_counter()
            said = _compare(method, video, audio, [question.key for _, question in batch])
            seconds[method.name] += perf_counter() - started
            for (place, _), answer in zip(batch, said, strict=True):
                answers[place].setdefault(method.name, []).append(answer)
    out: list[dict[str, Said]] = []
    for clip, found in zip(ready, answers, strict=True):
        features = clip.features[extractor]
        lost = [Answer(None, None, features.failure)] * len(clip.questions)
        out.append(
            {
                name: Said(found.get(name, lost), features.seconds + spent / len(ready))
                for name, spent in seconds.items()
            }
        )
    return out


_Asked = tuple[int, Question]


def _batches(ready: Sequence[Ready], extractor: str, size: int) -> Iterator[list[_Asked]]:
    """Yield questions of one length each, clip by clip, in the order in which they were asked."""
    lengths: dict[int, list[_Asked]] = {}
    for place, clip in enumerate(ready):
        if clip.features[extractor].rows is not None:
            for length, same in groupby(clip.questions, key=lambda question: question.length):
                lengths.setdefault(length, []).extend((place, question) for question in same)
    for asked in lengths.values():
        for first in range(0, len(asked), size):
            yield asked[first : first + size]


def _windows(
    ready: Sequence[Ready], extractor: str, batch: Sequence[_Asked], lead: int
) -> tuple[FloatArray, FloatArray]:
    """Cut the embeddings of windows of one length out of those of their clips."""
    count = batch[0][1].length - ROW_FRAMES + 1
    seen, heard = np.arange(count), np.arange(-lead, count + lead)
    video, audio = [], []
    for place, same in groupby(batch, key=lambda asked: asked[0]):
        rows = ready[place].features[extractor].rows
        assert rows is not None
        places = np.array([(q.start, q.start + q.displacement) for _, q in same])
        video.append(rows.video[places[:, :1] + seen])
        audio.append(rows.audio[places[:, 1:] + heard])
    return np.concatenate(video), np.concatenate(audio)


def _compare(
    method: EmbeddingMethod, video: FloatArray, audio: FloatArray, keys: Sequence[str]
) -> list[Answer]:
    """Answer questions of one length; where they fail together, each is tried alone."""
    try:
        scores = np.asarray(method.compare(video, audio))
        if scores.ndim != 2 or len(scores) != len(keys) or scores.shape[1] % 2 == 0:
            raise ValueError(
                f"compared {len(keys)} windows into scores of shape {scores.shape}, expected "
                f"({len(keys)}, 2 * search + 1)"
            )
        # A candidate without evidence is -inf; a row must have evidence for one at least.
        if np.any(np.isnan(scores)) or not np.all(np.isfinite(scores).any(axis=1)):
            raise ValueError("compared windows into scores that are NaN or all infinite")
    except Exception as error:
        if len(keys) > 1:
            alone = (slice(i, i + 1) for i in range(len(keys)))
            return [_compare(method, video[i], audio[i], keys[i])[0] for i in alone]
        return [Answer(None, None, message(method, keys[0], error))]
    # Scores are negated distances, so that one rule picks the answer everywhere.
    offsets, _, confidences = pick_offsets(np.negative(scores), scores.shape[1] // 2)
    return list(map(Answer, offsets.tolist(), confidences.tolist()))


def _predict(method: Method, window: Clip) -> Answer:
    """Answer from one window, with its truth only for a method that is meant to see it."""
    try:
        seen = window if getattr(method, "sees_truth", False) else window.without_truth()
        prediction = method.predict(seen)
        if prediction.offset is None:
            raise ValueError("predicted an alignment that is not a constant offset")
        confidence = float(prediction.confidence)
    except Exception as error:
        return Answer(None, None, message(method, window.key, error))
    return Answer(prediction.offset, confidence if np.isfinite(confidence) else None)


def message(method: Method, key: str, error: Exception) -> str:
    """Put a failure into one line, and its traceback into the debug log."""
    log.debug("%s failed on clip %s", method.name, key, exc_info=error)
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, AvbenchError) else f"{type(error).__name__}: {text}"


def by_extractor(methods: Iterable[Method]) -> list[list[EmbeddingMethod]]:
    """Group the methods that compare embeddings by the extractor that they share."""
    groups: dict[str, list[EmbeddingMethod]] = {}
    for method in methods:
        if isinstance(method, EmbeddingMethod):
            groups.setdefault(method.extractor, []).append(method)
    return list(groups.values())
