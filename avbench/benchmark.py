"""Ask every method the same questions, in one pass over the clips.

Each clip is decoded once and embedded once for all methods that share an extractor; windows,
lengths and repeats are slices of those embeddings. A method sees a window without its truth and
provenance. When it fails on a question, the message is kept and the question counts as wrong.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import groupby
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from avbench.data import JSON, Clip, Embeddings
from avbench.errors import AvbenchError, DataError, UsageError
from avbench.methods import EmbeddingMethod, Method
from avbench.progress import track
from avbench.results import Score, score
from avbench.similarity import pick_offset
from avbench.tasks import OffsetTask, Question, Refusal

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


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of an evaluation."""

    predictions: pd.DataFrame
    """One row per method and question: what was asked, what was true, what was said."""
    scores: list[Score]
    refusals: list[Refusal]
    """What could not be asked, and why."""
    num_clips: int
    """Clips seen, refused ones included."""
    questions_sha256: str
    """Identity of the questions: equal for any two methods that were asked the same."""
    seconds: dict[str, float]
    """Method -> time it took, with the embeddings it would need on its own."""

    @property
    def failures(self) -> dict[str, Counter[str]]:
        """Method -> message -> number of questions it failed on."""
        failed = self.predictions.dropna(subset=["failure"])
        return {str(m): Counter(part["failure"]) for m, part in failed.groupby("method")}

    def describe(self, block: Mapping[str, JSON]) -> dict[str, JSON]:
        """Complete the block of a run (see `avbench.results`) with what was found out."""
        failures = self.failures
        return {
            **block,
            "clips": self.num_clips,
            "questions_sha256": self.questions_sha256,
            "refusals": [asdict(refusal) for refusal in self.refusals],
            "methods": {
                name: {
                    **facts,
                    "seconds": round(self.seconds[name], 3),
                    "failures": dict(failures.get(name, {})),
                }
                for name, facts in block["methods"].items()
            },
        }


def evaluate(
    methods: Sequence[Method],
    clips: Iterable[Clip],
    task: OffsetTask,
    *,
    reference: str | None = "syncnet",
    dataset: str = "",
    split: str | None = None,
    total: int | None = None,
    batch_size: int = 256,
    journal: MutableMapping[str, JSON] | None = None,
) -> Outcome:
    """Measure methods on clips.

    Parameters
    ----------
    methods
        Ready to predict; names must differ.
    clips
        With their truth, in any order; read once, never held together.
    task
        What to ask.
    reference
        Method that error reductions are relative to, where it is among ``methods``.
    dataset, split
        Copied into the scores.
    total
        Number of clips, for the progress bar.
    batch_size
        Windows compared at once; it bounds memory and does not change results.
    journal
        Answers of clips by key: those in it are not asked again, those missing are added.

    Returns
    -------
    Outcome
        Independent of the order of the clips.

    Raises
    ------
    UsageError
        If two methods share a name.
    DataError
        If two clips share a key, or no clip allows any question.
    """
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"got methods {names}, expected some, each once")
    asked: list[Question] = []
    answers: dict[str, list[Answer]] = {name: [] for name in names}
    refusals: list[Refusal] = []
    seconds = dict.fromkeys(names, 0.0)
    keys: set[str] = set()
    for clip in track(clips, "measuring", total, "clip"):
        if clip.key in keys:
            raise DataError(f"two clips have the key {clip.key!r}; keys must be unique in a set")
        keys.add(clip.key)
        refusals += task.refusals(clip)
        if not (questions := task.questions(clip)):
            continue
        record = journal.get(clip.key) if journal is not None else None
        if record is None:
            record = _ask(methods, clip, questions, batch_size)
            if journal is not None:
                journal[clip.key] = record
        asked += questions
        for name in names:
            answers[name] += [Answer(*answer) for answer in record[name]["answers"]]
            seconds[name] += record[name]["seconds"]
    if not asked:
        raise DataError(_nothing_to_ask(keys, refusals))
    predictions = _table(asked, answers)
    return Outcome(
        predictions=predictions,
        scores=score(predictions, task, reference=reference, dataset=dataset, split=split),
        refusals=sorted(refusals, key=lambda r: (r.key, r.length or 0)),
        num_clips=len(keys),
        questions_sha256=_identity(asked),
        seconds=seconds,
    )


def _ask(
    methods: Sequence[Method], clip: Clip, questions: list[Question], batch_size: int
) -> dict[str, JSON]:
    """Ask every method all questions about one clip; the record is ready for JSON."""
    cache: dict[str, _Features] = {}
    record: dict[str, JSON] = {}
    for method in methods:
        spent, started = 0.0, perf_counter()
        if isinstance(method, EmbeddingMethod):
            if method.extractor not in cache:
                cache[method.extractor] = _embed(method, clip.without_truth())
                started = perf_counter()
            features = cache[method.extractor]
            spent = features.seconds
            found = _compare_all(method, features, questions, batch_size)
        else:
            found = [_predict(method, question.cut(clip)) for question in questions]
        record[method.name] = {
            "answers": [list(answer) for answer in found],
            "seconds": spent + perf_counter() - started,
        }
    return record


class _Features(NamedTuple):
    """The embeddings of one clip, or why there are none."""

    rows: Embeddings | None
    failure: str
    seconds: float


def _embed(method: EmbeddingMethod, clip: Clip) -> _Features:
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
        return _Features(None, _message(method, clip.key, error), perf_counter() - started)
    return _Features(rows, "", perf_counter() - started)


def _compare_all(
    method: EmbeddingMethod, features: _Features, questions: list[Question], batch_size: int
) -> list[Answer]:
    """Answer from embeddings, the windows of one length together."""
    if features.rows is None:
        return [Answer(None, None, features.failure)] * len(questions)
    answers: list[Answer] = []
    for _, same in groupby(questions, key=lambda question: question.length):
        batch = list(same)
        for first in range(0, len(batch), batch_size):
            answers += _compare(method, features.rows, batch[first : first + batch_size])
    return answers


def _compare(method: EmbeddingMethod, rows: Embeddings, questions: list[Question]) -> list[Answer]:
    """Answer questions of one length; where they fail together, each is tried alone."""
    count = questions[0].length - ROW_FRAMES + 1
    try:
        video = np.stack([rows.video[q.start : q.start + count] for q in questions])
        heard = [q.start + q.displacement for q in questions]
        audio = np.stack([rows.audio[start : start + count] for start in heard])
        scores = np.asarray(method.compare(video, audio))
        if scores.ndim != 2 or len(scores) != len(questions) or scores.shape[1] % 2 == 0:
            raise ValueError(
                f"compared {len(questions)} windows into scores of shape {scores.shape}, expected "
                f"({len(questions)}, 2 * search + 1)"
            )
        # A candidate without evidence is -inf; a row must have evidence for one at least.
        if np.any(np.isnan(scores)) or not np.all(np.isfinite(scores).any(axis=1)):
            raise ValueError("compared windows into scores that are NaN or all infinite")
    except Exception as error:
        if len(questions) > 1:
            return [_compare(method, rows, [question])[0] for question in questions]
        return [Answer(None, None, _message(method, questions[0].key, error))]
    # Scores are negated distances, so that one rule picks the answer everywhere.
    chosen = [pick_offset(-row, len(row) // 2) for row in scores]
    return [Answer(offset, confidence) for offset, _, confidence in chosen]


def _predict(method: Method, window: Clip) -> Answer:
    """Answer from one window, with its truth only for a method that is meant to see it."""
    try:
        seen = window if getattr(method, "sees_truth", False) else window.without_truth()
        prediction = method.predict(seen)
        if prediction.offset is None:
            raise ValueError("predicted an alignment that is not a constant offset")
        confidence = float(prediction.confidence)
    except Exception as error:
        return Answer(None, None, _message(method, window.key, error))
    return Answer(prediction.offset, confidence if np.isfinite(confidence) else None)


def _message(method: Method, key: str, error: Exception) -> str:
    """Put a failure into one line, and its traceback into the debug log."""
    log.debug("%s failed on clip %s", method.name, key, exc_info=error)
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, AvbenchError) else f"{type(error).__name__}: {text}"


def _table(asked: list[Question], answers: dict[str, list[Answer]]) -> pd.DataFrame:
    columns = ("key", "length", "repeat", "window", "start", "displacement", "offset")
    questions = pd.DataFrame([astuple(question) for question in asked], columns=columns)
    parts = []
    for name, said in answers.items():
        part = questions.assign(method=name)
        part["predicted"] = pd.array([answer.predicted for answer in said], dtype="Int64")
        part["confidence"] = pd.array([answer.confidence for answer in said], dtype="Float64")
        part["failure"] = pd.array([answer.failure for answer in said], dtype="string")
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    order = ["method", "length", "repeat", "key", "window"]
    rest = [column for column in table.columns if column not in order]
    return table.sort_values(order, ignore_index=True)[[*order, *rest]]


def _identity(asked: list[Question]) -> str:
    lines = sorted(repr(astuple(question)) for question in asked)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _nothing_to_ask(keys: set[str], refusals: list[Refusal]) -> str:
    if not keys:
        return "there are no clips to measure on"
    reasons = Counter(refusal.reason for refusal in refusals).most_common(3)
    remedy = (
        "use shorter windows"
        if any(refusal.length for refusal in refusals)
        else "build the set with --distort none or global"
    )
    return (
        f"none of the {len(keys)} clips can be asked about "
        f"({'; '.join(reason for reason, _ in reasons)}); {remedy}"
    )
