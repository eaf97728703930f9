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
    if attempt(replace(subject, method=origin.load()), clip).difference(here) > TIGHT:
        return Finding(
            name,
            "fail",
            "Loading the method again, in this process, gives other results.",
            {},
            "let load give the same method each time; give selftest.run the checkpoint that the "
            "method at hand was loaded from",
            "weights drawn at random, or a method trained further after it was loaded.",
        )
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
