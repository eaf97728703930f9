"""Checks that an answer depends on the question alone: not on company, order, threads or layout."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from avbench.data import JSON, Clip, FloatArray
from avbench.selftest.locality import rows_of
from avbench.selftest.outcome import (
    LOOSE,
    TIGHT,
    attempt,
    compute,
    describe_difference,
    relative_difference,
)
from avbench.selftest.report import Finding
from avbench.selftest.subject import Subject, answers_of, explain

BATCHES = (1, 3, 7, 64)
THREADS = 4


def inputs(subject: Subject, clip: Clip) -> Finding:
    """Check that the method leaves what it is given as it is."""
    plain = replace(subject, copies=False)
    kept = (clip.frames, clip.audio)
    own = replace(clip, frames=clip.frames.copy(), audio=clip.audio.copy())
    plain.ask(own)
    changed = _differs("predict", kept, (own.frames, own.audio))
    if subject.embedding is not None:
        own = replace(clip, frames=clip.frames.copy(), audio=clip.audio.copy())
        # What fails here is reported by the checks of embed and compare.
        with suppress(Exception):
            rows = plain.embed(own)
            changed += _differs("embed", kept, (own.frames, own.audio))
            before = (rows.video[None].copy(), rows.audio[None].copy())
            after = (before[0].copy(), before[1].copy())
            subject.embedding.compare(*after)
            changed += _differs("compare", before, after)
    if not changed:
        return Finding("inputs", "pass", "It leaves pictures, sound and embeddings as they are.")
    return Finding(
        "inputs",
        "fail",
        f"It changes what it is given: {', '.join(changed)}. Every method after it in a run would "
        "get the changed clip.",
        {"changed": list(changed)},
        "work on a copy: x = x - x.mean(), not x -= x.mean()",
        "an operation in place, or torch.from_numpy followed by one.",
    )


def _differs(call: str, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> list[str]:
    return [
        f"the {what} given to {call}"
        for what, one, other in zip(("picture", "sound"), before, after, strict=True)
        if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    ]


def repeats(subject: Subject, clip: Clip) -> Finding:
    """Check that the same call gives the same bytes twice."""
    outcomes = [compute(subject, clip) for _ in range(3)]
    answers = [subject.ask(clip) for _ in range(3)]
    difference = max(outcomes[0].difference(other) for other in outcomes[1:])
    steady = difference <= TIGHT and all(answer.like(answers[0]) for answer in answers)
    measured: dict[str, JSON] = {
        "difference": difference,
        "answers": [answer.offset for answer in answers],
    }
    if steady and not difference:
        return Finding("repeats", "pass", "The same call gives the same bytes again.", measured)
    sentence = (
        f"The same call gives the same only {describe_difference(difference)}: scores cannot be "
        "made again to the last digit."
        if steady
        else "The same call on the same clip does not give the same result again."
    )
    return Finding(
        "repeats",
        "warn" if steady else "fail",
        sentence,
        measured,
        "put networks into eval mode; draw random numbers, if any, from a generator seeded by the "
        "clip's content; torch.use_deterministic_algorithms(True) where only the last bits differ",
        "dropout left on, batch normalisation in training mode, random augmentation, a cache or "
        "state that calls change, or sums in no fixed order on a GPU.",
    )


def settings(subject: Subject, clip: Clip) -> Finding:
    """Check that a call leaves the settings of the whole process as they are."""
    before = _settings()
    subject.ask(clip)
    after = _settings()
    changed = [what for what, value in before.items() if after[what] != value]
    if not changed:
        return Finding("settings", "pass", "A call changes no setting of the process.")
    return Finding(
        "settings",
        "warn",
        f"A call changes {', '.join(changed)} of the whole process, hence of other methods too.",
        {"changed": list(changed)},
        "draw from a generator of your own (numpy.random.default_rng), and put settings back",
        "np.random.seed or np.random.rand, torch.set_num_threads, np.seterr, os.chdir.",
    )


def _settings() -> dict[str, object]:
    """Return settings and states that all code of a process shares."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 (to see whether others use it)
    torch = sys.modules.get("torch")
    return {
        "the global random numbers of NumPy": str(legacy),
        "those of Python": hash(random.getstate()),
        "the floating point errors of NumPy": str(np.geterr()),
        "the working directory": str(Path.cwd()),
        "the threads of PyTorch": torch.get_num_threads() if torch else None,
    }


def order(subject: Subject, clips: Sequence[Clip]) -> Finding:
    """Check that answers do not depend on what was asked before."""
    forwards = [attempt(subject, clip) for clip in clips]
    backwards = [attempt(subject, clip) for clip in reversed(clips)][::-1]
    differences = [a.difference(b) for a, b in zip(forwards, backwards, strict=True)]
    worst, moved = max(differences), sum(d > TIGHT for d in differences)
    measured: dict[str, JSON] = {"clips": len(clips), "changed": moved, "difference": worst}
    if not moved:
        return Finding(
            "order",
            "pass",
            f"Answers do not depend on the order asked in, {describe_difference(worst)}.",
            measured,
        )
    return Finding(
        "order",
        "fail",
        f"{moved} of {len(clips)} clips give other results when they are asked in reverse order "
        f"({describe_difference(worst)}).",
        measured,
        "keep nothing between calls but the weights",
        "running statistics, a cache under a key that is not unique, or a recurrent layer's state.",
    )


def batches(subject: Subject, clip: Clip, length: int) -> Finding:
    """Check that `compare` scores a window alike, alone and in company."""
    if subject.embedding is None:
        return Finding("batches", "not-applicable", "It compares no embeddings in batches.")
    video, audio = rows_of(subject, clip, length, max(BATCHES))
    alone = np.concatenate(
        [subject.compare(video[i : i + 1], audio[i : i + 1]) for i in range(max(BATCHES))]
    )
    worst, flips = 0.0, 0
    by_size: dict[str, float] = {}
    for size in BATCHES:
        scores = _in_batches(subject, video, audio, size)
        by_size[str(size)] = relative_difference(scores, alone, alone)
        worst = max(worst, by_size[str(size)])
        flips += sum(
            a.offset != b.offset for a, b in zip(answers_of(scores), answers_of(alone), strict=True)
        )
    measured: dict[str, JSON] = {"difference by batch size": by_size, "other answers": flips}
    if worst <= TIGHT:
        return Finding(
            "batches",
            "pass",
            f"Batches of {', '.join(map(str, BATCHES))} windows score alike, "
            f"{describe_difference(worst)}.",
            measured,
        )
    return Finding(
        "batches",
        "warn" if worst <= LOOSE and not flips else "fail",
        f"The scores of a window depend on the windows compared with it "
        f"({describe_difference(worst)}; {flips} other answers).",
        measured,
        "let no statistic run over the first axis of compare",
        "batch normalisation in training mode, a softmax or a mean over the batch, or padding to "
        "the longest of a batch.",
    )


def _in_batches(subject: Subject, video: FloatArray, audio: FloatArray, size: int) -> FloatArray:
    parts = [
        subject.compare(video[i : i + size], audio[i : i + size])
        for i in range(0, len(video), size)
    ]
    return np.concatenate(parts)


def threads(subject: Subject, clips: Sequence[Clip]) -> Finding:
    """Check that calls from several threads at once give what calls one by one give."""
    jobs = [*clips, *clips]
    alone = [attempt(subject, clip) for clip in jobs]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(lambda clip: attempt(subject, clip), jobs))
    differences = [a.difference(b) for a, b in zip(alone, together, strict=True)]
    worst, moved = max(differences), sum(d > TIGHT for d in differences)
    measured: dict[str, JSON] = {
        "calls": len(jobs),
        "threads": THREADS,
        "changed": moved,
        "difference": worst,
    }
    if not moved:
        return Finding(
            "threads",
            "pass",
            f"{THREADS} threads at once give the same as one, {describe_difference(worst)}.",
            measured,
        )
    return Finding(
        "threads",
        "fail",
        f"{moved} of {len(jobs)} calls from {THREADS} threads at once give other results than one "
        f"by one ({describe_difference(worst)}).",
        measured,
        "keep intermediate results in local variables; guard what must be shared with a lock",
        "buffers or hidden state kept on the object between two lines of a call.",
    )


def layout(subject: Subject, clip: Clip) -> Finding:
    """Check that arrays may be views, read-only, reversed in memory, or of double precision."""
    here = compute(subject, clip)
    forms: dict[str, Callable[[], Clip]] = {
        "views with gaps": lambda: replace(
            clip, frames=_gaps(clip.frames), audio=_gaps(clip.audio)
        ),
        "columns first": lambda: replace(clip, frames=np.asfortranarray(clip.frames)),
        "read-only": lambda: replace(clip, frames=_frozen(clip.frames), audio=_frozen(clip.audio)),
        "float64 sound": lambda: replace(clip, audio=clip.audio.astype(np.float64)),
    }
    other: dict[str, float] = {}
    refused: dict[str, str] = {}
    plain = replace(subject, copies=False)
    for what, make in forms.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns of read-only arrays
                found = compute(plain, make())
        except Exception as error:
            refused[what] = explain(error)
            continue
        other[what] = here.difference(found)
    wrong = [what for what, difference in other.items() if difference > LOOSE]
    measured: dict[str, JSON] = {"difference": other, "refused": refused}
    if wrong:
        return Finding(
            "layout",
            "fail",
            f"The same values in another layout of memory ({', '.join(wrong)}) give other results.",
            measured,
            "start with np.ascontiguousarray(clip.audio, dtype=np.float32), and so for the frames",
            "the raw buffer read as if it were contiguous.",
        )
    if refused:
        return Finding(
            "layout",
            "warn",
            f"It cannot take {', '.join(refused)}: {next(iter(refused.values()))}.",
            measured,
            "start with np.ascontiguousarray(clip.audio, dtype=np.float32), and so for the frames",
            "torch.from_numpy takes no negative or odd strides; a dtype that is not converted.",
        )
    return Finding(
        "layout", "pass", "Views, read-only arrays and double precision give the same.", measured
    )


def _gaps(values: np.ndarray) -> np.ndarray:
    """Return an equal array whose elements are not neighbours in memory."""
    wide = np.repeat(values, 2, axis=-1)
    return wide[..., ::2]


def _frozen(values: np.ndarray) -> np.ndarray:
    copy = values.copy()
    copy.flags.writeable = False
    return copy
