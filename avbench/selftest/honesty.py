"""Checks that answers come from picture and sound, not from the truth beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    changed, followed, needed = 0, 0, 0
    for window in windows:
        hidden = subject.ask(window)
        shown = _told(subject, window, 0)
        false = _told(subject, window, _LIE)
        needed += hidden.failure is not None and shown.failure is None
        changed += len({hidden.key, shown.key, false.key}) > 1
        moved = None not in (shown.offset, false.offset)
        followed += moved and false.offset == _offset(window) + _LIE
    measured: dict[str, JSON] = {
        "windows": len(windows),
        "changed": changed,
        "fail without the truth": needed,
        f"follow a truth that is {_LIE} off": followed,
    }
    if not changed:
        return Finding("truth", "pass", "It answers the same with and without the truth.", measured)
    return Finding(
        "truth",
        "fail",
        f"Its answer to {changed} of {len(windows)} windows depends on the truth and provenance "
        "that a clip may carry.",
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
    if len({answer.key for answer in answers}) == 1:
        return Finding("key", "pass", "It answers the same whatever the clip is called.", said)
    return Finding(
        "key",
        "fail",
        "Its answer depends on the name of the clip.",
        said,
        _LEAKED,
        "a cache or a table of known answers under the clip's key.",
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
