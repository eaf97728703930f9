"""Run every check on a method, causes before their effects."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from avbench import methods
from avbench.data import JSON, Clip
from avbench.errors import DataError, UnknownName, UsageError
from avbench.methods import Method
from avbench.progress import track
from avbench.selftest import (
    doubt,
    honesty,
    interface,
    locality,
    material,
    offsets,
    process,
    stability,
    storage,
)
from avbench.selftest.bench import Bench
from avbench.selftest.material import Material
from avbench.selftest.report import Finding, Report
from avbench.selftest.subject import Origin, Subject, explain, from_method
from avbench.selftest.sweep import WINDOWS

SEARCH = 5
"""Search range in frames of a method that does not tell its own."""


class Check(NamedTuple):
    """One check of the suite."""

    name: str
    find: Callable[[Bench], Finding]
    speech: bool = False
    """Whether it needs clips of speech."""
    blocking: bool = False
    """Whether nothing else can be judged where it fails."""
    after: tuple[str, ...] = ()
    """Checks whose failure would make this one fail too, for no reason of its own."""


_STEADY = ("repeats",)
SUITE: tuple[Check, ...] = (
    Check("names", lambda b: interface.names(b.subject)),
    Check("inputs", lambda b: stability.inputs(b.subject, b.clip)),
    Check("truth", lambda b: honesty.truth(b.subject, b.displaced), blocking=True),
    Check("embed", lambda b: interface.embed(b.subject, b.clip), blocking=True),
    Check("compare", lambda b: interface.compare(b.subject, b.few[0]), blocking=True),
    Check("predict", lambda b: interface.predict(b.subject, (b.few[0], b.clip)), blocking=True),
    Check("search", lambda b: interface.search(b.subject, b.few[0])),
    Check("shortest", lambda b: interface.shortest(b.subject, b.clip)),
    Check("repeats", lambda b: stability.repeats(b.subject, b.few[0])),
    Check("settings", lambda b: stability.settings(b.subject, b.few[0])),
    Check("order", lambda b: stability.order(b.subject, b.few), after=_STEADY),
    Check("key", lambda b: honesty.key(b.subject, b.few[0]), after=_STEADY),
    Check(
        "layout",
        lambda b: stability.layout(b.subject, b.few[0]),
        after=("inputs", "repeats", "order"),
    ),
    Check("locality", lambda b: locality.locality(b.subject, b.clip), after=_STEADY),
    Check(
        "batches",
        lambda b: stability.batches(b.subject, b.material.clips[0], b.shortest_asked),
        after=_STEADY,
    ),
    Check("threads", lambda b: stability.threads(b.subject, b.few), after=("repeats", "order")),
    Check("process", lambda b: process.process(b.subject, b.few[0]), after=("repeats", "order")),
    Check("decoder", lambda b: storage.decoder(storage.read_back(b.subject))),
    Check("survives", lambda b: doubt.survives(b.spoilt)),
    Check("not-a-number", lambda b: doubt.not_numbers(b.subject, b.few[0])),
    Check("blind", lambda b: honesty.blind(b.subject, b.displaced)),
    Check("failures", Bench.failures),
    Check("skill", lambda b: offsets.skill(b.sweep, b.material.drawn), speech=True),
    Check("sign", lambda b: offsets.sign(b.sweep), speech=True),
    Check("bias", lambda b: offsets.bias(b.sweep), speech=True),
    Check("one-sided", lambda b: offsets.one_sided(b.sweep), speech=True),
    Check("shift", lambda b: offsets.shift(b.sweep), speech=True),
    Check("edges", Bench.edges, speech=True),
    Check("longer", Bench.longer, speech=True),
    Check("outside", Bench.outside, speech=True, after=("sign", "bias")),
    Check("reversal", Bench.reversal, speech=True),
    Check(
        "stored",
        lambda b: storage.stored_answers(b.subject, b.few),
        speech=True,
        after=("repeats", "layout", "skill"),
    ),
    Check("unrelated", lambda b: honesty.unrelated(b.unrelated_sweep, b.subject.sees_truth)),
    Check("confidence", Bench.confidence, speech=True, after=("repeats", "skill")),
    Check(
        "click-and-flash",
        lambda b: doubt.click_and_flash(b.subject, b.clip.frames.shape[1:3], b.knows),
    ),
)
"""All checks; where several fail, the first is the one to mend first."""


def run(
    method: str | Method,
    *,
    checkpoint: Path | None = None,
    options: Mapping[str, JSON] | None = None,
    clips: Iterable[Clip] | None = None,
    heads: int = material.NUM_CLIPS,
    windows: int = WINDOWS,
    only: Iterable[str] = (),
    progress: bool = False,
) -> Report:
    """Test whether a method keeps the contract that the benchmark relies on.

    Parameters
    ----------
    method
        Name of an installed method, or one that is ready to predict.
    checkpoint, options
        What the method is loaded with, or was loaded with: some checks load it again.
    clips
        Clips of speech with known constant offsets; drawn heads where None.
    heads
        Number of drawn heads, two or more.
    windows
        Windows per clip that are asked about at every offset: fewer for slow methods.
    only
        Names of checks: run these and those that they rest on; all where empty.
    progress
        Whether to show how far it is, on standard error.

    Raises
    ------
    AvbenchError
        If the method cannot be loaded, the clips do not do, or a check does not exist.
    """
    started = perf_counter()
    suite = _selected(set(only))
    if heads < 2 or windows < 1:
        raise UsageError(f"got {heads = }, {windows = }, expected at least 2 and 1")
    origin, made = _origin(method, checkpoint, dict(options or {}))
    name = getattr(made, "name", origin.cls.__qualname__)
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("default")
        subject = Subject(made, origin, _search(made, origin))
        if clips is None:
            ground = material.drawn_heads(subject.search, heads, progress=progress)
        else:
            ground = material.given(clips)
        bench = _bench(subject, ground, windows)
        found = _findings(suite, bench)
        findings = list(track(found, f"testing {name}", len(suite), "check") if progress else found)
    findings.append(_warnings(noted))
    about: dict[str, JSON] = {
        "class": f"{origin.cls.__module__}.{origin.cls.__qualname__}",
        "checkpoint": None if checkpoint is None else checkpoint.name,
        "options": dict(origin.options),
        "material": bench.material.description,
        "checks": [check.name for check in suite] if len(suite) < len(SUITE) else "all",
        "search": bench.subject.search,
        "lengths": [bench.subject.length, bench.subject.short],
        "seconds": round(perf_counter() - started, 1),
    }
    return Report(str(name), about, tuple(findings))


def _origin(
    method: str | Method, checkpoint: Path | None, options: dict[str, JSON]
) -> tuple[Origin, Method]:
    if not isinstance(method, str):
        return Origin(type(method), checkpoint, options), method
    origin = Origin(methods.load_class(method), checkpoint, options, method)
    if unknown := [name for name in options if not interface.takes(origin.cls, name)]:
        raise UsageError(
            f"{method} has no option {', '.join(unknown)}; {origin.cls.__module__}."
            f"{origin.cls.__qualname__}.load lists what it takes"
        )
    return origin, origin.load()


def _bench(subject: Subject, ground: Material, windows: int) -> Bench:
    """Find out what lengths of window the method answers."""
    subject = interface.find_lengths(subject, ground.clips[0])
    bench = Bench(subject, ground, windows)
    if not bench.few:
        raise DataError(
            f"the clips are shorter than {subject.length + 2 * subject.search} frames, the window "
            f"and twice the search range of {subject.method.name}; give longer clips"
        )
    return bench


def _search(method: Method, origin: Origin) -> int:
    """Return the search range that a method has: its attribute, its option, or the usual one."""
    value = getattr(method, "search", origin.options.get("search", SEARCH))
    return int(value) if isinstance(value, (int, np.integer)) and value >= 1 else SEARCH


def _selected(names: set[str]) -> list[Check]:
    """Return the checks of these names with all that they rest on, in order; all if none."""
    known = {check.name for check in SUITE}
    for name in sorted(names - known):
        raise UnknownName("check", name, known)
    wanted = set(names) | {"inputs"} if names else known
    for check in reversed(SUITE):
        if check.blocking:
            wanted.add(check.name)
        elif check.name in wanted:
            wanted.update(check.after)
    return [check for check in SUITE if check.name in wanted]


def _findings(suite: Iterable[Check], bench: Bench) -> Iterator[Finding]:
    """Run the suite; what cannot be judged because of an earlier finding says so."""
    blocked = ""
    failed: set[str] = set()
    for check in suite:
        first = blocked or next((name for name in check.after if name in failed), "")
        if first:
            yield Finding(check.name, "not-applicable", f"Not asked: mend {first} first.")
            continue
        if check.speech and bench.material.missing:
            yield Finding(
                check.name,
                "not-applicable",
                f"It needs clips of speech: {bench.material.missing}.",
                remedy="install espeak-ng, or give clips with --shards",
            )
            continue
        finding = _guarded(check, bench)
        if finding.status == "fail":
            failed.add(check.name)
            if check.name == "inputs":
                bench = replace(bench, subject=replace(bench.subject, copies=True))
            if check.blocking:
                blocked = check.name
        yield finding


def _guarded(check: Check, bench: Bench) -> Finding:
    """Run one check; what the method raises where none of it was expected is a finding."""
    try:
        return check.find(bench)
    except Exception as error:
        if not from_method(error):
            raise
        return Finding(
            check.name,
            "fail",
            f"The method raised in the middle of this check: {explain(error)}",
            {},
            "look at the place that the message names",
            "an input of this check that the method did not expect.",
        )


def _warnings(noted: Iterable[warnings.WarningMessage]) -> Finding:
    """Report the warnings that were given; those of installed packages are only listed."""
    own: dict[str, None] = {}
    foreign: dict[str, None] = {}
    for note in noted:
        text = " ".join(str(note.message).split())[:200]
        line = f"{note.category.__name__}: {text} ({Path(note.filename).name}:{note.lineno})"
        (foreign if "site-packages" in note.filename else own)[line] = None
    measured: dict[str, JSON] = {"own": list(own), "of installed packages": list(foreign)}
    if not own:
        return Finding("warnings", "pass", "No code of its own gave a warning.", measured)
    more = f" and {len(own) - 1} more" if len(own) > 1 else ""
    return Finding(
        "warnings",
        "warn",
        f"Code that ran meanwhile warned: {next(iter(own))}{more}.",
        measured,
        "read them; silence those that are meant, where they arise",
        "arithmetic with NaN or infinity, or a function that will change.",
    )
