"""Checks that an answer depends on the question alone: not on company, order, threads or layout."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from avbench.data import JSON, Clip, FloatArray
from avbench.selftest.locality import LOOSE, TIGHT, describe_difference, relative_difference
from avbench.selftest.locality import rows_of as windows_of
from avbench.selftest.report import Finding
from avbench.selftest.subject import Subject, answers_of, bytes_of, explain

BATCHES = (1, 3, 7, 64)
THREADS = 4
CHILD_LIMIT_S = 180.0


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
    hashes = [bytes_of(subject, clip) for _ in range(3)]
    answers = [subject.ask(clip) for _ in range(3)]
    measured: dict[str, JSON] = {
        "different results": len(set(hashes)),
        "answers": [answer.offset for answer in answers],
    }
    if len(set(hashes)) == 1 and len({answer.key for answer in answers}) == 1:
        return Finding("repeats", "pass", "The same call gives the same bytes again.", measured)
    return Finding(
        "repeats",
        "fail",
        "The same call on the same clip does not give the same result again.",
        measured,
        "put networks into eval mode; draw random numbers, if any, from a generator seeded by the "
        "clip's key (avbench.distort.rng_for)",
        "dropout left on, batch normalisation in training mode, random augmentation, a cache or "
        "state that calls change.",
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
    forwards = [(bytes_of(subject, clip), subject.ask(clip).key) for clip in clips]
    backwards = [(bytes_of(subject, clip), subject.ask(clip).key) for clip in reversed(clips)][::-1]
    moved = sum(a != b for a, b in zip(forwards, backwards, strict=True))
    measured: dict[str, JSON] = {"clips": len(clips), "changed": moved}
    if not moved:
        return Finding("order", "pass", "Answers do not depend on the order asked in.", measured)
    return Finding(
        "order",
        "fail",
        f"{moved} of {len(clips)} clips give other results when they are asked in reverse order.",
        measured,
        "keep nothing between calls but the weights",
        "running statistics, a cache under a key that is not unique, or a recurrent layer's state.",
    )


def batches(subject: Subject, clip: Clip, length: int) -> Finding:
    """Check that `compare` scores a window alike, alone and in company."""
    if subject.embedding is None:
        return Finding("batches", "not-applicable", "It compares no embeddings in batches.")
    video, audio = windows_of(subject, clip, length, max(BATCHES))
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
    jobs = [clip for clip in clips for _ in range(2)]
    alone = [_outcome(subject, clip) for clip in jobs]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(lambda clip: _outcome(subject, clip), jobs))
    wrong = [b for a, b in zip(alone, together, strict=True) if a != b]
    measured: dict[str, JSON] = {"calls": len(jobs), "threads": THREADS, "changed": len(wrong)}
    if not wrong:
        return Finding(
            "threads", "pass", f"{THREADS} threads at once give the same bytes as one.", measured
        )
    return Finding(
        "threads",
        "fail",
        f"{len(wrong)} of {len(jobs)} calls from {THREADS} threads at once give other results than "
        "one by one.",
        measured,
        "keep intermediate results in local variables; guard what must be shared with a lock",
        "buffers or hidden state kept on the object between two lines of a call.",
    )


def _outcome(subject: Subject, clip: Clip) -> str:
    try:
        return bytes_of(subject, clip)
    except Exception as error:
        return explain(error)


def process(subject: Subject, clip: Clip) -> Finding:
    """Check that a fresh process, which loads the method itself, gives the same bytes."""
    name, origin = "process", subject.origin
    if not origin.importable:
        return Finding(
            name,
            "not-applicable",
            f"Another process cannot import {origin.cls.__qualname__}, which was defined in a "
            "script or a function.",
            remedy="put the class into a module",
        )
    here = _outcome(subject, clip)
    if _outcome(replace(subject, method=origin.load()), clip) != here:
        return Finding(
            name,
            "fail",
            "Loading the method again, in this process, gives other results.",
            {},
            "let load give the same method each time; give selftest.run the checkpoint that the "
            "method at hand was loaded from",
            "weights drawn at random, or a method trained further after it was loaded.",
        )
    there = _ask_child(subject, clip)
    measured: dict[str, JSON] = {"here": here[:16], "there": there[:16]}
    if there == here:
        return Finding(name, "pass", "A fresh process gives the same bytes.", measured)
    return Finding(
        name,
        "fail",
        "A fresh process does not give the same bytes as this one"
        + (f": {there}" if len(there) != len(here) else "."),
        measured,
        "seed nothing from hash(), id() or time; set all that the method needs inside load",
        "hash() of strings, which differs between processes, a global seed, or settings made by "
        "another module.",
    )


def _ask_child(subject: Subject, clip: Clip) -> str:
    """Return the hash of the results in a fresh process, or the last line of its complaint."""
    origin = subject.origin
    request = {
        "module": origin.cls.__module__,
        "name": origin.cls.__qualname__,
        "checkpoint": None if origin.checkpoint is None else str(origin.checkpoint.resolve()),
        "options": dict(origin.options),
        "key": clip.key,
        "path": [entry for entry in sys.path if entry],
        "sees_truth": subject.sees_truth,
    }
    with tempfile.TemporaryDirectory(prefix="avbench-selftest-") as folder:
        truth = clip.alignment.video_index if clip.alignment is not None else np.zeros(0, np.int64)
        np.savez(Path(folder) / "clip.npz", frames=clip.frames, audio=clip.audio, truth=truth)
        (Path(folder) / "request.json").write_text(json.dumps(request), "utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "avbench.selftest.child", folder],
                capture_output=True,
                text=True,
                timeout=CHILD_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {CHILD_LIMIT_S:.0f} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def layout(subject: Subject, clip: Clip) -> Finding:
    """Check that arrays may be views, read-only, reversed in memory, or of double precision."""
    here = _values(subject, clip)
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
                found = _values(plain, make())
        except Exception as error:
            refused[what] = explain(error)
            continue
        other[what] = _largest_difference(here, found)
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


def _largest_difference(one: list[FloatArray], other: list[FloatArray]) -> float:
    if len(one) != len(other):
        return float("inf")
    return max(relative_difference(a, b, a) for a, b in zip(one, other, strict=True))


def _values(subject: Subject, clip: Clip) -> list[FloatArray]:
    """Return what a method computes from a clip as arrays."""
    if subject.embedding is not None:
        return list(subject.embed(clip))
    said = subject.predict(clip)
    scores = [] if said.scores is None else [np.asarray(said.scores)]
    return [said.alignment.video_index.astype(np.float64), *scores]


def _gaps(values: np.ndarray) -> np.ndarray:
    """Return an equal array whose elements are not neighbours in memory."""
    wide = np.repeat(values, 2, axis=-1)
    return wide[..., ::2]


def _frozen(values: np.ndarray) -> np.ndarray:
    copy = values.copy()
    copy.flags.writeable = False
    return copy
