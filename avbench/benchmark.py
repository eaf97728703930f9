"""Ask every method the same questions, in one pass over the clips.

Each clip is decoded at most once and embedded once for all methods that share an extractor;
windows, lengths and repeats are slices of those embeddings, and a cache keeps them for the next
run (`avbench.asking`, `avbench.cache`).
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import pandas as pd

from avbench import asking, asking_alignment
from avbench.alignment_task import AlignmentQuestion, AlignmentTask, AnyTask
from avbench.asking import Prepared, Said
from avbench.cache import EmbeddingCache
from avbench.data import JSON, Clip, Item
from avbench.errors import DataError, UsageError
from avbench.methods import Embedder, Method
from avbench.progress import track
from avbench.results import Score, score
from avbench.tasks import Question, Refusal

BATCH_SIZE = 1024
"""Windows compared at once."""
ALIGNED_AT_ONCE = 128
"""Windows aligned at once, at most."""


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
    clips_sha256: str | None
    """Identity of the pictures and sound of the clips; None where one has none."""
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
            "clips_sha256": self.clips_sha256,
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
    clips: Iterable[Clip | Item],
    task: AnyTask,
    *,
    reference: str | None = "syncnet",
    dataset: str = "",
    split: str | None = None,
    total: int | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int = 1,
    cache: EmbeddingCache | None = None,
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
    workers
        Threads that decode and embed; they do not change results either.
    cache
        Where embeddings are looked up and kept, for items with an identity.
    journal
        Answers of clips by key: those in it are not asked again, those missing are added, but
        for those that the cache gives at once.

    Returns
    -------
    Outcome
        Independent of the order of the clips.

    Raises
    ------
    UsageError
        If two methods share a name, or one cannot be asked under the task's protocol.
    DataError
        If two clips share a key, or no clip allows any question.
    """
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"got methods {names}, expected some, each once")
    for method in methods:
        if reason := unfit(method, task):
            raise UsageError(reason)
    asked: list[Question | AlignmentQuestion] = []
    answers: dict[str, list[Said]] = {name: [] for name in names}
    sources: dict[str, str] = {}
    contents: dict[str, str | None] = {}
    refusals: list[Refusal] = []
    pending: list[Prepared[Any, Any]] = []

    def flush() -> None:
        finished = _finish(methods, pending, task, batch_size)
        for ready, said in zip(pending, finished, strict=True):
            asked.extend(ready.questions)
            for name in names:
                answers[name].append(said[name])
            if journal is not None and ready.item.key not in journal:
                _keep(journal, methods, ready.item, said, cache)
        pending.clear()

    def start(item: Clip | Item) -> Callable[[], Prepared[Any, Any]]:
        found = Item.of(item) if isinstance(item, Clip) else item
        if found.key in sources:
            raise DataError(f"two clips have the key {found.key!r}; keys must be unique in a set")
        sources[found.key] = found.source or found.key
        contents[found.key] = found.sha256
        refusals.extend(task.refusals(found))
        record = (journal or {}).get(found.key, {})
        known = {name: Said.read(entry) for name, entry in record.items() if name in answers}
        return lambda: _prepare(methods, found, task, known, cache)

    # A damaged window has embeddings of its own, which are kept until it is asked about.
    enough = min(batch_size, ALIGNED_AT_ONCE if isinstance(task, AlignmentTask) else batch_size)
    try:
        for ready in _in_order(map(start, track(clips, "measuring", total, "clip")), workers):
            if ready.questions:
                pending.append(ready)
            if sum(len(clip.questions) for clip in pending) >= enough:
                flush()
    finally:
        flush()  # an interruption does not lose the clips that are embedded already
    if not asked:
        raise DataError(_nothing_to_ask(set(sources), refusals))
    predictions = _table(task, asked, answers, sources)
    return Outcome(
        predictions=predictions,
        scores=score(predictions, task, reference=reference, dataset=dataset, split=split),
        refusals=sorted(refusals, key=lambda r: (r.key, r.length or 0)),
        num_clips=len(sources),
        questions_sha256=_sha256(repr(row) for question in asked for row in question.rows()),
        clips_sha256=None
        if None in contents.values()
        else _sha256(f"{key} {sha256}" for key, sha256 in contents.items()),
        seconds={name: sum(said.seconds for said in answers[name]) for name in names},
    )


def unfit(method: Method, task: AnyTask) -> str:
    """Say why a method cannot be asked under a task's protocol; empty where it can."""
    if isinstance(task, AlignmentTask):
        return asking_alignment.unfit(method, task)
    return asking.unfit(method, task)


def _prepare(
    methods: Sequence[Method],
    item: Item,
    task: AnyTask,
    known: Mapping[str, Said],
    cache: EmbeddingCache | None,
) -> Prepared[Any, Any]:
    if isinstance(task, AlignmentTask):
        return asking_alignment.prepare(methods, item, task.questions(item), known, cache)
    return asking.prepare(methods, item, task.questions(item), known, cache)


def _finish(
    methods: Sequence[Method], ready: Sequence[Prepared[Any, Any]], task: AnyTask, batch_size: int
) -> list[dict[str, Said]]:
    """Add to each clip the answers of the methods that look at embeddings."""
    if isinstance(task, AlignmentTask):
        return asking_alignment.finish(methods, ready)
    return asking.finish(methods, ready, task, batch_size)


def _keep(
    journal: MutableMapping[str, JSON],
    methods: Iterable[Method],
    item: Item,
    said: Mapping[str, Said],
    cache: EmbeddingCache | None,
) -> None:
    """Put into the journal what could not be had again at once."""
    cached = cache is not None and item.sha256 is not None
    kept = {
        method.name: said[method.name].record()
        for method in methods
        if not (cached and isinstance(method, Embedder))
    }
    if kept:
        journal[item.key] = kept


T = TypeVar("T")


def _in_order(jobs: Iterable[Callable[[], T]], workers: int) -> Iterator[T]:
    """Run jobs on threads and yield their results in order, a few ahead of the reader."""
    if workers == 1:
        for job in jobs:
            yield job()
        return
    with ThreadPoolExecutor(workers, initializer=_single_thread) as pool:
        running: deque[Future[T]] = deque()
        try:
            for job in jobs:
                running.append(pool.submit(job))
                if len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _single_thread() -> None:
    """Keep each worker's networks on its own thread: they run side by side instead."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def _table(
    task: AnyTask,
    asked: Sequence[Question | AlignmentQuestion],
    answers: dict[str, list[Said]],
    sources: Mapping[str, str],
) -> pd.DataFrame:
    rows = [row for question in asked for row in question.rows()]
    questions = pd.DataFrame(rows, columns=task.COLUMNS)
    questions["source"] = questions["key"].map(dict(sources))
    parts = []
    for name, said in answers.items():
        flat = [answer for clip in said for answer in clip.answers]
        part = questions.assign(method=name)
        part["predicted"] = pd.array([answer.predicted for answer in flat], dtype="Int64")
        part["confidence"] = pd.array([answer.confidence for answer in flat], dtype="Float64")
        part["failure"] = pd.array([answer.failure for answer in flat], dtype="string")
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    order = ["method", "length", "repeat", "key", "window"]
    order += [column for column in task.COLUMNS if column == "frame"]
    rest = [column for column in table.columns if column not in order]
    return table.sort_values(order, ignore_index=True)[[*order, *rest]]


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


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
