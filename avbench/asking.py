"""How a method is asked: embeddings once per clip, windows as slices of them, faults kept.

A method sees a window without its truth and provenance. When it fails on a question, the message
is kept and the question counts as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as once
from itertools import groupby
from time import perf_counter
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np

from avbench.answers import Answer, best_offsets, message, one_by_one, shifts
from avbench.cache import EmbeddingCache, Kept
from avbench.data import JSON, Clip, Embeddings, FloatArray, Item
from avbench.methods import Aligned, Aligner, Embedder, EmbeddingMethod, Method
from avbench.similarity import pick_offsets
from avbench.tasks import OffsetTask, Question
from avbench.timing import SAMPLES_PER_FRAME

ROW_FRAMES = 5
"""Video frames that one row of an embedding sees."""
SECOND_ROWS = 25
"""Rows of sound that an aligner reads at once, as in Shalev and Wolf, 2020, section 3.1."""


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


Q = TypeVar("Q")
F = TypeVar("F")


@dataclass(frozen=True, eq=False)
class Prepared(Generic[Q, F]):
    """A clip with all that its pictures and sound were needed for."""

    item: Item
    questions: list[Q]
    said: dict[str, Said]
    """Method -> answers that are known already."""
    features: dict[str, F]
    """Extractor -> embeddings."""


Ready: TypeAlias = Prepared[Question, Features]


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
        if isinstance(method, Embedder):
            if method.extractor not in features:
                features[method.extractor] = embed(method, item, load, cache)
        else:
            clip = load() if getattr(method, "sees_media", True) else blank(item)
            started = perf_counter()
            answers = [_predict(method, question.cut(clip)) for question in questions]
            found[method.name] = Said(answers, perf_counter() - started)
    return Prepared(item, questions, found, features)


def blank(item: Item) -> Clip:
    """Make a clip as long as an item, with its truth, for methods that do not look."""
    frames = np.zeros((len(item), 1, 1, 3), np.uint8)
    sound = np.zeros(len(item) * SAMPLES_PER_FRAME, np.float32)
    return Clip(item.key, frames, sound, item.alignment)


def embed(
    method: Embedder, item: Item, load: Callable[[], Clip], cache: EmbeddingCache | None
) -> Features:
    """Embed a clip, or look its embeddings up; a failure is kept as a message."""
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


def finish(
    methods: Sequence[Method], ready: Sequence[Ready], task: OffsetTask, batch_size: int
) -> list[dict[str, Said]]:
    """Add to each clip the answers of the methods that look at embeddings.

    Parameters
    ----------
    methods
        All of them.
    ready
        Clips as `prepare` left them.
    task
        What was asked.
    batch_size
        Windows compared at once.
    """
    lead = task.search if task.rules.sound == "outside" else 0
    said = [dict(clip.said) for clip in ready]
    for group in by_extractor(methods):
        # A clip whose answers were read back has no embeddings.
        open_ = [i for i, clip in enumerate(ready) if group[0].extractor in clip.features]
        if open_:
            found = compare(group, [ready[i] for i in open_], lead, task.search, batch_size)
            for place, answers in zip(open_, found, strict=True):
                said[place] = answers | said[place]
    return said


def unfit(method: Method, task: OffsetTask) -> str:
    """Say why a method cannot be asked under a task's protocol; empty where it can."""
    if task.rules.sound == "window" and not getattr(method, "local", True):
        return (
            f"{method.name} cannot be asked under {task.protocol}, where a window hears nothing "
            "outside itself, because the rows of its checkpoint see beyond their five frames; "
            "import the weights without --as-released"
        )
    if isinstance(method, Aligner) and not isinstance(method, EmbeddingMethod):
        least = 2 * task.search + ROW_FRAMES
        if min(task.lengths) < least or task.rules.sound == "outside":
            return (
                f"{method.name} cannot be asked under {task.protocol}, whose windows are too short "
                f"for a method that places every frame of sound (least length: {least} frames)"
            )
    elif task.rules.sound == "outside" and not getattr(method, "hears_outside", False):
        return (
            f"{method.name} cannot be asked under {task.protocol}, which gives a window the sound "
            "around it, because it compares picture and sound of equal length"
        )
    return ""


def compare(
    methods: Sequence[Embedder],
    ready: Sequence[Ready],
    lead: int,
    search: int,
    batch_size: int,
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
    search
        Largest offset in frames.
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
            said = _answers(method, video, audio, search, [question.key for _, question in batch])
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


def _answers(
    method: Embedder, video: FloatArray, audio: FloatArray, search: int, keys: Sequence[str]
) -> list[Answer]:
    """Answer questions of one length."""

    def ask(some: slice) -> list[Answer]:
        if isinstance(method, EmbeddingMethod):
            return _compare(method, video[some], audio[some])
        assert isinstance(method, Aligner)
        return _vote(method, video[some], audio[some], search)

    return one_by_one(ask, lambda lost: lost, method, keys)


def _compare(method: EmbeddingMethod, video: FloatArray, audio: FloatArray) -> list[Answer]:
    offsets, confidences = best_offsets(method, video, audio)
    return list(map(Answer, offsets.tolist(), confidences.tolist()))


def _vote(method: Aligner, video: FloatArray, audio: FloatArray, search: int) -> list[Answer]:
    """Answer with the shift that most rows speak for, every row with one voice or its posterior.

    Sound is read a second at a time, in five places from end to end. Rows whose picture lies
    outside the window say anything, but not the same.
    """
    rows = video.shape[1]
    second = min(SECOND_ROWS, rows)
    support = np.zeros((len(video), 2 * search + 1))
    for start in sorted({part * (rows - second) // 4 for part in range(5)}):
        first, last = max(0, start - search), min(rows, start + second + search)
        aligned = method.align(video[:, first:last], audio[:, start : start + second])
        support += _voices(aligned, last - first, start - first, search)
    offsets, _, _ = pick_offsets(np.negative(support), search)
    answers = []
    for offset, voices in zip(offsets.tolist(), support, strict=True):
        if not voices.any():
            answers.append(Answer(None, None, "no match for any frame"))
        else:
            answers.append(Answer(offset, float(voices[offset + search] / voices.sum())))
    return answers


def _voices(aligned: Aligned, columns: int, lead: int, search: int) -> FloatArray:
    """Return what rows say for every shift, -search .. search, added up; (B, 2 * search + 1).

    Row i of sound has the picture row ``lead + i`` at shift zero.
    """
    index = np.asarray(aligned.index, dtype=np.float64)
    said = shifts(aligned, columns, index.shape[1], len(index))  # checks it
    if aligned.log_posterior is None:
        middle = (columns - index.shape[1]) // 2 - lead
        wanted = np.arange(-search, search + 1)
        return np.asarray((said[..., None] + middle == wanted).sum(axis=1), dtype=np.float64)
    share = np.exp(np.asarray(aligned.log_posterior, dtype=np.float64))
    padded = np.pad(share, ((0, 0), (0, 0), (search, search + index.shape[1])))
    return np.asarray(
        sum(
            padded[:, row, lead + row : lead + row + 2 * search + 1]
            for row in range(index.shape[1])
        )
    )


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


def by_extractor(methods: Iterable[Method]) -> list[list[Embedder]]:
    """Group the methods that look at embeddings by the extractor that they share."""
    groups: dict[str, list[Embedder]] = {}
    for method in methods:
        if isinstance(method, Embedder):
            groups.setdefault(method.extractor, []).append(method)
    return list(groups.values())
