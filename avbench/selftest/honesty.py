"""Checks that answers come from picture and sound, not from the truth beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avbench.data import JSON, Alignment, Clip
from avbench.selftest.report import Finding
from avbench.selftest.subject import Answer, Subject
from avbench.selftest.sweep import Sweep, read

_LIE = 2
"""Frames by which the false truth is off."""
_LEAKED = (
    "leave clip.alignment, clip.meta and clip.key alone; answer from clip.frames and clip.audio"
)


def truth(subject: Subject, windows: Sequence[Clip]) -> Finding:
    """Ask with the truth shown, hidden and false: the answer must not care."""
    if subject.sees_truth:
        return Finding(
            "truth",
            "not-applicable",
            "It declares sees_truth: it is shown the truth, and marked in every table.",
        )
    hidden = [subject.ask(window) for window in windows]
    if not all(subject.ask(w).like(answer) for w, answer in zip(windows, hidden, strict=True)):
        return Finding("truth", "not-applicable", "No answer comes twice alike, see repeats.")
    changed, followed, needed = 0, 0, 0
    for window, answer in zip(windows, hidden, strict=True):
        shown, false = _told(subject, window, 0), _told(subject, window, _LIE)
        needed += answer.failure is not None and shown.failure is None
        changed += not (answer.like(shown) and answer.like(false))
        followed += false.offset == _offset(window) + _LIE != answer.offset
    measured: dict[str, JSON] = {
        "windows": len(windows),
        "changed": changed,
        "fail without the truth": needed,
        f"follow a truth that is {_LIE} off": followed,
    }
    if not changed:
        return Finding("truth", "pass", "It answers the same with and without the truth.", measured)
    only = ", and it gives none without" if needed else ""
    return Finding(
        "truth",
        "fail",
        f"Its answer to {changed} of {len(windows)} windows depends on the truth and provenance "
        f"that a clip may carry{only}.",
        measured,
        _LEAKED + "; a ceiling that repeats the truth declares sees_truth = True",
        "clip.alignment or clip.meta read while predicting, often left over from training.",
    )


def _told(subject: Subject, window: Clip, lie: int) -> Answer:
    """Ask with a truth that is ``lie`` frames off in plain sight."""
    said = _offset(window) + lie
    told = replace(
        window,
        alignment=Alignment.from_offset(said, len(window)),
        meta={**window.meta, "offset": said},
    )
    return subject.ask(told, with_truth=True)


def _offset(window: Clip) -> int:
    offset = None if window.alignment is None else window.alignment.offset
    return 0 if offset is None else offset


def key(subject: Subject, window: Clip) -> Finding:
    """Ask about the same clip under other names."""
    names = (window.key, "another-name", "zz-0001")
    answers = [subject.ask(replace(window, key=name)) for name in names]
    said: dict[str, JSON] = {name: a.offset for name, a in zip(names, answers, strict=True)}
    if all(answer.like(answers[0]) for answer in answers):
        return Finding("key", "pass", "It answers the same whatever the clip is called.", said)
    return Finding(
        "key",
        "fail",
        "Its answer depends on the name of the clip.",
        said,
        _LEAKED,
        "a cache or a table of known answers under the clip's key.",
    )


def blind(subject: Subject, windows: Sequence[Clip]) -> Finding:
    """Check that a method that says it looks at nothing answers the same about nothing.

    The benchmark decodes no clip for methods with ``sees_media = False``.
    """
    if getattr(subject.method, "sees_media", True):
        return Finding("blind", "not-applicable", "It looks at pictures and sound, as it should.")
    changed = 0
    for window in windows:
        nothing = replace(
            window,
            frames=np.zeros((len(window), 1, 1, 3), np.uint8),
            audio=np.zeros_like(window.audio),
        )
        changed += not subject.ask(nothing).like(subject.ask(window))
    measured: dict[str, JSON] = {"windows": len(windows), "changed": changed}
    if not changed:
        return Finding(
            "blind", "pass", "It declares sees_media = False, and looks at nothing.", measured
        )
    return Finding(
        "blind",
        "fail",
        f"It declares sees_media = False, and {changed} of {len(windows)} answers change without "
        "picture and sound: the benchmark would show it black and silence.",
        measured,
        "leave sees_media away",
        "a declaration inherited or copied from a baseline.",
    )


def unrelated(sweep: Sweep, sees_truth: bool) -> Finding:
    """Judge answers about clips whose picture and sound do not belong together.

    Their windows are displaced like any others, but nothing in picture and sound tells by how
    much: whoever finds out has another source.

    Parameters
    ----------
    sweep
        Answers about such clips.
    sees_truth
        Whether the method declares that it is shown the truth.
    """
    if sees_truth:
        return Finding("unrelated", "not-applicable", "It declares sees_truth, see truth.")
    reading = read(sweep)
    measured: dict[str, JSON] = {
        "exact": float((sweep.predicted == sweep.offsets).mean()) if sweep.predicted.size else 0.0,
        "chance": 1 / len(sweep.offsets),
        "windows": len(sweep.predicted),
    }
    if not reading.known:
        return Finding(
            "unrelated",
            "pass",
            "On clips whose picture and sound do not belong together it does no better than "
            "guessing.",
            measured,
        )
    return Finding(
        "unrelated",
        "fail",
        f"It is right about {reading.exact:.0%} of the windows whose picture and sound do not "
        "belong together: the answer reaches it by another way.",
        measured,
        "answer from the values of clip.frames and clip.audio alone",
        "the memory behind the arrays (array.base, addresses), state kept from the whole clip, or "
        "a mark in picture and sound, such as a burnt-in clock.",
    )
