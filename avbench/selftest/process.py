"""Check that a fresh process, which loads the method itself, agrees with this one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from avbench.data import JSON, Clip
from avbench.errors import AvbenchError
from avbench.selftest.child import CLIP, OUTCOME, REQUEST
from avbench.selftest.outcome import TIGHT, Outcome, attempt, describe_difference
from avbench.selftest.report import Finding
from avbench.selftest.subject import Subject

CHILD_LIMIT_S = 180.0


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
    here = attempt(subject, clip)
    try:
        one, two = (replace(subject, method=origin.load()) for _ in range(2))
    except AvbenchError as error:
        if not origin.unknown:
            raise
        return Finding(name, "not-applicable", f"It cannot be loaded again: {error}")
    first = attempt(one, clip)
    if first.difference(attempt(two, clip)) > TIGHT or identity(one) != identity(two):
        return Finding(
            name,
            "fail",
            "Two loads of the same method give other results, or another extractor id.",
            {"extractor": [identity(one), identity(two)]},
            "let load give the same method each time, and name its extractor after its weights",
            "weights or a name drawn at random, or counted.",
        )
    if first.difference(here) > TIGHT:
        return Finding(
            name,
            "not-applicable" if origin.unknown else "fail",
            "The method at hand is not the one that load makes.",
            {"extractor": [identity(subject), identity(one)]},
            "save it, and give selftest.run the checkpoint",
            "a method trained further after it was loaded, or an option that was not told.",
        )
    try:
        json.dumps(dict(origin.options))
    except TypeError:
        return Finding(name, "not-applicable", "Its options cannot be told to another process.")
    there = ask_child(subject, clip)
    difference = here.difference(there)
    measured: dict[str, JSON] = {"difference": difference}
    if difference <= TIGHT:
        return Finding(
            name,
            "pass",
            f"A fresh process gives the same, {describe_difference(difference)}.",
            measured,
        )
    return Finding(
        name,
        "fail",
        "A fresh process does not give the same as this one: "
        + (f"{there.failure}." if there.failure else f"{describe_difference(difference)}."),
        measured,
        "seed nothing from hash(), id() or time; set all that the method needs inside load",
        "hash() of strings, which differs between processes, a global seed, or settings made by "
        "another module.",
    )


def identity(subject: Subject) -> str | None:
    """Return the id of the extractor; None where there is none."""
    return None if subject.embedding is None else str(subject.embedding.extractor)


def ask_child(subject: Subject, clip: Clip) -> Outcome:
    """Return what comes of a clip in a fresh process; its last complaint where it breaks down."""
    origin = subject.origin
    request = {
        "module": origin.cls.__module__,
        "name": origin.cls.__qualname__,
        "checkpoint": None if origin.checkpoint is None else str(origin.checkpoint.resolve()),
        "options": dict(origin.options),
        "key": clip.key,
        "path": [entry for entry in sys.path if entry],
    }
    with tempfile.TemporaryDirectory(prefix="avbench-selftest-") as name:
        folder = Path(name)
        truth = clip.alignment.video_index if clip.alignment is not None else np.zeros(0, np.int64)
        np.savez(folder / CLIP, frames=clip.frames, audio=clip.audio, truth=truth)
        (folder / REQUEST).write_text(json.dumps(request), "utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "avbench.selftest.child", name],
                capture_output=True,
                text=True,
                timeout=CHILD_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(failure=f"no answer within {CHILD_LIMIT_S:.0f} s")
        if done.returncode == 0:
            return Outcome.read(folder / OUTCOME)
    lines = done.stderr.strip().splitlines()
    return Outcome(failure=lines[-1] if lines else f"exit status {done.returncode}")
