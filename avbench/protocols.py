"""Protocols: the rules under which numbers may be compared, as typed, versioned objects.

A protocol moves an accuracy more than the method does: a 15-frame window scores 99.1 % under the
rules of Perfect Match, with thirty more frames of sound around it, and 88.05 % under the strict
rules of Kim et al. for the same family of method. So every number carries the name and version of
its protocol, and numbers of two protocols are never ranked together (`check_same`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Literal

from avbench.data import JSON
from avbench.errors import UnknownName, UsageError

Kind = Literal["offset", "alignment", "redub"]
Sound = Literal["window", "outside"]
"""Sound that a method gets: that of the window, or ``search`` frames more on either side."""
Truth = Literal["uniform", "centre"]
"""Where the true offset lies: anywhere in the range alike, or always in its middle."""
Reduction = Literal["micro", "macro"]
"""Mean over all questions, or over each clip's and then over the clips."""


@dataclass(frozen=True)
class Protocol:
    """Rules of asking and of scoring; what is asked of a data set has a hash of its own."""

    family: str
    """Name without the search range."""
    version: int
    """Raised whenever the same method could get another score."""
    task: Kind
    lengths: tuple[int, ...]
    """Frames of picture that a method gets; empty: the whole clip."""
    search: int
    """Range of candidates, and of true offsets, in frames either way."""
    sound: Sound = "window"
    edge: str = "method"
    """What stands in for sound outside the window: each method's own rule (recorded with its
    options), or ``none`` where every candidate has sound of its own."""
    tolerances: tuple[int, ...] = (0, 1)
    """Largest errors that count as correct, in frames."""
    reduction: Reduction = "micro"
    repeats: int = 10
    """Fresh draws of all offsets and windows."""
    windows_per_clip: int | None = 1
    """Windows per clip, length and repeat; None: every one that fits."""
    truth: Truth = "uniform"
    law: str = "constant"
    """How picture and sound are displaced: ``constant``, or a drop/duplicate law
    (`avbench.distort`)."""
    source: str = ""
    """Where the rules come from, and in words how they ask."""
    measured: bool = True
    """Whether avbench measures it; the others give names to reported numbers."""
    ranged: bool = True
    """Whether the name ends in the search range."""
    columns: tuple[str, ...] = ()
    """Metrics that the tables have as columns; empty: window lengths are, accuracies below each
    other."""

    @property
    def name(self) -> str:
        """Name of the rules, such as ``kim-strict-5``."""
        return f"{self.family}-{self.search}" if self.ranged else self.family

    def describe(self) -> dict[str, JSON]:
        """Return every rule as JSON."""
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {"name": self.name, **lists}


_TAE_COLUMNS = ("mean_absolute_error", "max_absolute_error", "accuracy@0", "accuracy@1")
"""Those of Tables 2 and 3 of Shalev and Wolf (2020), and the accuracy within a frame."""

_KNOWN = (
    Protocol(
        family="kim-strict",
        version=1,
        task="offset",
        lengths=(11, 13, 15, 20),
        search=5,
        source="Kim et al. 2021, section 3: a short window whose sound is displaced by an offset "
        "uniform over the range, nothing outside the window; ten repeats.",
    ),
    Protocol(
        family="pm-window",
        version=1,
        task="offset",
        lengths=(5, 7, 9, 11, 13, 15),
        search=15,
        sound="outside",
        edge="none",
        tolerances=(1, 0),
        reduction="macro",
        repeats=1,
        windows_per_clip=None,
        truth="centre",
        source="Chung, Chung and Kang 2019 (Perfect Match) and the evaluations after it: every "
        "window of a synced clip against its own sound at every candidate, with the sound of the "
        "range around it; the truth is the middle of the range; mean within a clip, then over "
        "clips.",
    ),
    Protocol(
        family="tae-single",
        version=1,
        task="offset",
        lengths=(75,),
        search=25,
        repeats=1,
        source="Shalev and Wolf 2020, section 6.1: three seconds whose sound is displaced by an "
        "offset uniform over the range. Both signs are asked; the released evaluator asks "
        "positive ones only.",
        columns=_TAE_COLUMNS,
    ),
    Protocol(
        family="tae-local",
        version=1,
        task="alignment",
        lengths=(75,),
        search=25,
        repeats=1,
        law="tae2020",
        source="Shalev and Wolf 2020, section 6.2: frames dropped and duplicated at random by the "
        "released, biased law; the middle second of sound against three seconds of picture (75 "
        "stacks of five frames); the shift of every frame of sound is asked.",
        ranged=False,
        columns=_TAE_COLUMNS,
    ),
    Protocol(
        family="tae-local-symmetric",
        version=1,
        task="alignment",
        lengths=(75,),
        search=25,
        repeats=1,
        law="symmetric",
        source="As tae-local, with a law of drops and duplicates that does not drift on average.",
        ranged=False,
        columns=_TAE_COLUMNS,
    ),
    Protocol(
        family="whole-clip-symmetric",
        version=1,
        task="alignment",
        lengths=(),
        search=25,
        repeats=1,
        law="symmetric",
        source="avbench: the picture of a whole clip dropped and duplicated without drift on "
        "average, its sound as it is, cut to the shorter of the two; every frame of sound is "
        "asked.",
        ranged=False,
        columns=_TAE_COLUMNS,
    ),
    Protocol(
        family="redub",
        version=1,
        task="redub",
        lengths=(),
        search=25,
        repeats=1,
        law="another speaker",
        source="Shalev and Wolf 2020, section 6.4: the picture of one speaker retimed to another's "
        "voice saying the same sentence (40 pairs of TCD-TIMIT).",
        measured=False,
        ranged=False,
    ),
)
_DEFAULTS = {protocol.name: protocol for protocol in _KNOWN}
_FAMILIES = {protocol.family: protocol for protocol in _KNOWN}


def available() -> list[str]:
    """Return the names of the protocols as published; other ranges are got by their number."""
    return sorted(_DEFAULTS)


def get(name: str) -> Protocol:
    """Return a protocol by name; ``kim-strict-8`` is the strict one with a range of ±8 frames.

    Raises
    ------
    UnknownName
        If there is none of that name.

    >>> get("kim-strict-5").lengths, get("kim-strict-8").search
    ((11, 13, 15, 20), 8)
    """
    if name in _DEFAULTS:
        return _DEFAULTS[name]
    family, _, number = name.rpartition("-")
    found = _FAMILIES.get(family)
    if found is None or not found.ranged or not re.fullmatch(r"[1-9]\d{0,2}", number):
        raise UnknownName("protocol", name, available())
    return replace(found, search=int(number))


@lru_cache
def of_family(family: str, search: int) -> Protocol:
    """Return the protocol of a family with a search range in frames.

    Raises
    ------
    UnknownName
        If there is no such family.
    UsageError
        If it has another range, and none but that.
    """
    if family not in _FAMILIES:
        raise UnknownName("protocol", family, sorted(_FAMILIES))
    found = _FAMILIES[family]
    if not found.ranged and search != found.search:
        raise UsageError(
            f"protocol {family} has a range of ±{found.search} frames and no other; leave out the "
            f"search of {search}"
        )
    return replace(found, search=search)


def check_same(rules: Iterable[tuple[str, int]]) -> None:
    """Refuse to rank numbers that were asked for under different rules.

    Parameters
    ----------
    rules
        Name and version of the protocol of each number.

    Raises
    ------
    UsageError
        If they are not all the same; the message says which differ.
    """
    found = sorted(set(rules))
    if len(found) > 1:
        named = ", ".join(f"{name} v{version}" for name, version in found)
        raise UsageError(
            f"numbers of different protocols are never ranked together ({named}): windows, sound "
            "and range differ, and they move a score more than the method does; choose one"
        )
