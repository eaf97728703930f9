"""How a method is asked where each frame of sound belongs.

Every question is a damaged window with embeddings of its own. Methods that align are asked for
every row of sound; those that know one offset only give it to every frame; where a clip is asked
about as a whole, each method does what it does for its user.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache as once
from itertools import groupby
from time import perf_counter
from typing import TypeAlias

import numpy as np

from avbench.alignment_task import WHOLE, AlignmentQuestion, AlignmentTask
from avbench.answers import Answer, best_offsets, message, one_by_one, shifts
from avbench.asking import Features, Prepared, Said, blank, by_extractor, embed
from avbench.cache import EmbeddingCache
from avbench.data import Clip, Embeddings, FloatArray, IntArray, Item
from avbench.methods import Aligner, ClipAligner, Embedder, EmbeddingMethod, Method

Ready: TypeAlias = Prepared[AlignmentQuestion, list[Features]]
NO_MATCH = "no match for a frame"


def unfit(method: Method, task: AlignmentTask) -> str:
    """Say why a method cannot be asked under a task's protocol; empty where it can."""
    told = getattr(method, "sees_truth", False) or not getattr(method, "sees_media", True)
    if task.whole or told or isinstance(method, Aligner) or _sees_outside(method):
        return ""
    return (
        f"{method.name} cannot be asked under {task.protocol}, which gives a window the picture "
        "around its sound, because it compares picture and sound of equal length"
    )


def prepare(
    methods: Sequence[Method],
    item: Item,
    questions: list[AlignmentQuestion],
    said: Mapping[str, Said],
    cache: EmbeddingCache | None,
) -> Ready:
    """Do everything about one clip that needs it decoded, as `avbench.asking.prepare` does."""
    load = once(item.load)
    features: dict[str, list[Features]] = {}
    found = dict(said)
    for method in methods:
        if method.name in found:
            continue
        windows = all(question.length != WHOLE for question in questions)
        if isinstance(method, Embedder) and (windows or _places_clips(method)):
            if method.extractor not in features:
                features[method.extractor] = [
                    embed(method, window := damaged(item, question, load), window.load, cache)
                    for question in questions
                ]
        else:
            clip = load() if getattr(method, "sees_media", True) else blank(item)
            started = perf_counter()
            answers = [a for question in questions for a in _predict(method, question, clip)]
            found[method.name] = Said(answers, perf_counter() - started)
    return Prepared(item, questions, found, features)


def finish(methods: Sequence[Method], ready: Sequence[Ready]) -> list[dict[str, Said]]:
    """Add to each clip the answers from embeddings, the windows of all clips together.

    Returns
    -------
    list of dict
        Per clip, method -> answers, frame by frame in the order of its questions.
    """
    said = [dict(clip.said) for clip in ready]
    for group in by_extractor(methods):
        extractor = group[0].extractor
        open_ = [(at, clip) for at, clip in enumerate(ready) if extractor in clip.features]
        asked = [
            (question, features)
            for _, clip in open_
            for question, features in zip(clip.questions, clip.features[extractor], strict=True)
        ]
        for method in group:
            started = perf_counter()
            answers = iter(_answers(method, asked))
            spent = (perf_counter() - started) / max(1, len(open_))
            for at, clip in open_:
                mine = [a for _ in clip.questions for a in next(answers)]
                own = sum(features.seconds for features in clip.features[extractor])
                said[at].setdefault(method.name, Said(mine, own + spent))
    return said


def damaged(item: Item, question: AlignmentQuestion, load: Callable[[], Clip]) -> Item:
    """Offer the damaged window of a question as an item, whose identity knows the damage."""
    parts = (item.sha256, question.start + question.displacement, question.shown)
    sha256 = hashlib.sha256(repr(parts).encode()).hexdigest() if item.sha256 else None
    cut = _cut(question, load)
    return Item(item.key, len(question.shown), None, cut, item.source, sha256)


def _cut(question: AlignmentQuestion, load: Callable[[], Clip]) -> Callable[[], Clip]:
    return lambda: question.cut(load())


def _answers(
    method: Embedder, asked: Sequence[tuple[AlignmentQuestion, Features]]
) -> list[list[Answer]]:
    """Answer every question of a method that looks at embeddings, those of one shape together."""
    out: list[list[Answer]] = []
    for _, same in groupby(asked, key=lambda pair: (len(pair[0].shown), pair[1].rows is None)):
        some = list(same)
        question, first = some[0]
        if first.rows is None:
            out += [[Answer(None, None, f.failure)] * len(q.asked) for q, f in some]
            continue
        if question.length == WHOLE:
            out += [_whole(method, q, f.rows) for q, f in some if f.rows is not None]
            continue
        heard = slice(question.lead, question.lead + len(question.asked))
        rows = [features.rows for _, features in some if features.rows is not None]
        video = np.stack([found.video for found in rows])
        audio = np.stack([found.audio[heard] for found in rows])
        out += _ask(method, video, audio, [q.key for q, _ in some])
    return out


def _whole(method: Embedder, question: AlignmentQuestion, rows: Embeddings) -> list[Answer]:
    """Answer about a whole clip from its embeddings."""
    count = len(question.asked)
    try:
        if isinstance(method, ClipAligner):
            shown = method.align_clip(rows).video_index
            return [_answer(float(shift), np.nan) for shift in _drift(shown, question)]
        assert isinstance(method, EmbeddingMethod)
        offsets, sure = best_offsets(method, rows.video[None], rows.audio[None])
        return [Answer(int(offsets[0]), float(sure[0]))] * count
    except Exception as error:
        return [Answer(None, None, message(method, question.key, error))] * count


def _drift(shown: IntArray, question: AlignmentQuestion) -> IntArray:
    """Return the shifts of the frames that were asked about."""
    if len(shown) != len(question.shown):
        raise ValueError(f"predicted {len(shown)} frames of {len(question.shown)}")
    places = np.array(question.asked)
    return np.asarray(shown[places] - places)


def _ask(
    method: Embedder, video: FloatArray, audio: FloatArray, keys: Sequence[str]
) -> list[list[Answer]]:
    """Answer windows of one shape: one answer per row of sound."""
    frames = audio.shape[1]

    def ask(some: slice) -> list[list[Answer]]:
        if isinstance(method, Aligner):
            return _aligned(method, video[some], audio[some])
        assert isinstance(method, EmbeddingMethod)
        offsets, sure = best_offsets(method, video[some], audio[some])
        pairs = zip(offsets.tolist(), sure.tolist(), strict=True)
        return [[Answer(offset, confidence)] * frames for offset, confidence in pairs]

    return one_by_one(ask, lambda lost: [lost] * frames, method, keys)


def _aligned(method: Aligner, video: FloatArray, audio: FloatArray) -> list[list[Answer]]:
    found = method.align(video, audio)
    count, num_video, num_audio = len(video), video.shape[1], audio.shape[1]
    said = shifts(found, num_video, num_audio, count)
    sure = np.full(said.shape, np.nan)
    if found.log_posterior is not None:
        logs = np.asarray(found.log_posterior)
        if logs.shape != (count, num_audio, num_video):
            raise ValueError(
                f"got posteriors of shape {logs.shape}, expected {(count, num_audio, num_video)}"
            )
        chosen = np.nan_to_num(np.asarray(found.index)).astype(np.int64)[..., None]
        sure = np.exp(np.take_along_axis(logs, chosen, axis=2)[..., 0])
    return [list(map(_answer, *pair)) for pair in zip(said, sure, strict=True)]


def _answer(shift: float, confidence: float) -> Answer:
    if np.isnan(shift):
        return Answer(None, None, NO_MATCH)
    return Answer(int(shift), float(confidence) if np.isfinite(confidence) else None)


def _predict(method: Method, question: AlignmentQuestion, clip: Clip) -> list[Answer]:
    """Answer from one damaged window, with its truth only for a method that is meant to see it."""
    try:
        window = question.cut(clip)
        seen = window if getattr(method, "sees_truth", False) else window.without_truth()
        prediction = method.predict(seen)
        found = _drift(prediction.alignment.video_index, question)
        confidence = float(prediction.confidence)
    except Exception as error:
        return [Answer(None, None, message(method, question.key, error))] * len(question.asked)
    return [_answer(float(shift), confidence) for shift in found]


def _sees_outside(method: Method) -> bool:
    return isinstance(method, EmbeddingMethod) and getattr(method, "sees_outside", False)


def _places_clips(method: Embedder) -> bool:
    return isinstance(method, ClipAligner | EmbeddingMethod)
