"""Checks that numbers can be what they say: identities, orders and bounds over rows.

A printed number stands for every number that rounds to it, so a check fails only where nothing
inside the rounding can satisfy it. Where several numbers break an identity together, those that
another identity confirms are cleared: three methods' error reductions that follow from one
baseline clear the baseline, and the fourth method's accuracy and reduction are left.

Nothing here is told what to find: `mark` computes what a leaderboard calls suspect.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import TYPE_CHECKING

from avbench import protocols
from avbench.errors import UnknownName
from avbench.leaderboard.spans import EXACT, RANGES, Span, reduction, span_of
from avbench.metrics.offset import chance
from avbench.metrics.perceptual import WINDOWS

if TYPE_CHECKING:
    from avbench.leaderboard.rows import Row

_SURE = math.sqrt(2 * math.log(1e6))
"""A spread this many standard deviations too large has a chance below one in a million."""
_NESTED = re.compile(r"(accuracy|recall)@(\d+)(class)?")
_SHARES = ("accuracy@", "perceptual@", "judged_real")


@dataclass(frozen=True)
class Finding:
    """A row whose number cannot be right, or not together with others."""

    row: Row
    check: str
    """Which check failed: ``range``, ``spread``, ``count``, ``order``, ``reduction``, ``errors``,
    ``frames``, ``mean`` or ``chance``."""
    reason: str
    """One sentence without a full stop."""


@dataclass(frozen=True)
class Claim:
    """Something that must hold between rows."""

    check: str
    rows: tuple[Row, ...]
    holds: bool
    reason: str
    confirms: bool = False
    """Whether it ties the numbers so closely that its holding clears them."""


Rule = Callable[[Sequence["Row"]], Iterator[Claim]]


def check(rows: Iterable[Row]) -> list[Finding]:
    """Hold rows against every rule.

    Parameters
    ----------
    rows
        Reported or measured ones; only rows of one source are held against each other.

    Returns
    -------
    list of Finding
        In the order of the rows; empty where everything can be right.
    """
    known = list(rows)
    claims = [claim for rule in RULES for claim in rule(known)]
    cleared = {id(row) for claim in claims if claim.holds and claim.confirms for row in claim.rows}
    found = []
    for claim in claims:
        if not claim.holds:
            left = [row for row in claim.rows if id(row) not in cleared] or claim.rows
            found += [Finding(row, claim.check, claim.reason) for row in left]
    place = {id(row): number for number, row in enumerate(known)}
    return sorted(found, key=lambda finding: place[id(finding.row)])


def mark(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with what `check` found as their ``suspect``."""
    known = list(rows)
    reasons: dict[int, list[str]] = {}
    for finding in check(known):
        said = reasons.setdefault(id(finding.row), [])
        if finding.reason not in said:
            said.append(finding.reason)
    return [replace(row, suspect="; ".join(reasons.get(id(row), ()))) for row in known]


def _said(row: Row) -> str:
    return row.printed or f"{row.value:.6g}"


def _groups(rows: Iterable[Row], *but: str) -> Iterator[dict[str, list[Row]]]:
    """Yield rows that agree in everything but some fields, by metric."""
    fields = ("method", "dataset", "split", "protocol", "version", "window", "condition")
    same = [name for name in fields if name not in but]
    groups: dict[tuple[object, ...], dict[str, list[Row]]] = {}
    for row in rows:
        key = (row.source, row.run, *(getattr(row, name) for name in same))
        groups.setdefault(key, {}).setdefault(row.metric, []).append(row)
    yield from groups.values()


def _cells(rows: Iterable[Row]) -> Iterator[dict[str, tuple[Row, Span]]]:
    """Yield, for each method under one protocol, its metrics with their spans."""
    for group in _groups(rows):
        spans = {metric: (found[0], span_of(found[0])) for metric, found in group.items()}
        yield {metric: (row, span) for metric, (row, span) in spans.items() if span is not None}


def _protocol(row: Row) -> protocols.Protocol | None:
    try:
        return protocols.get(row.protocol)
    except UnknownName:
        return None


def _micro(row: Row) -> bool:
    """Say whether shares are over questions, not over clips; so where nothing else is known."""
    protocol = _protocol(row)
    return protocol is None or protocol.reduction == "micro"


def _in_range(rows: Sequence[Row]) -> Iterator[Claim]:
    for row in rows:
        span = span_of(row)
        if span is not None:
            low, high = RANGES.get(row.unit, (0.0, math.inf))
            if row.metric.startswith("rer@") or row.unit == "dB":
                low = -math.inf
            if row.metric.endswith("_correlation"):
                low = -1.0
            holds = span.meets(Span(low, high))
            yield Claim("range", (row,), holds, f"{_said(row)} is not within {low} .. {high}")


def _spreads(rows: Sequence[Row]) -> Iterator[Claim]:
    """A share of n fresh questions spreads by no more than sqrt(p (1 - p) / n) over repeats.

    The sample's own spread exceeds that by a factor that concentration of a Gaussian vector's
    norm bounds (Cirelson, Ibragimov and Sudakov 1976).
    """
    for row in rows:
        if row.std is None:
            continue
        yield Claim("spread", (row,), row.std >= 0, f"a spread of {row.std:g} is negative")
        share = row.unit == "percent" and row.metric.startswith(_SHARES) and _micro(row)
        if not (share and row.value is not None and row.n and (row.repeats or 0) > 1):
            continue
        repeats = row.repeats or 1
        p = row.value / 100
        sigma = 100 * math.sqrt(max(p * (1 - p), 0) * repeats / row.n)
        most = sigma * (math.sqrt(repeats - 1) + _SURE) / math.sqrt(repeats)
        reason = (
            f"a spread of {row.std:g} over {repeats} repeats is more than {most:.2g}, which "
            f"{row.n // repeats} questions at {row.value:g} % can have by chance"
        )
        yield Claim("spread", (row,), row.std <= most + EXACT, reason)


def _counts(rows: Sequence[Row]) -> Iterator[Claim]:
    """A share of n questions is a whole number of them; failures are among them and wrong."""
    for row in rows:
        if row.n is None:
            continue
        failed = row.n_failed or 0
        yield Claim("count", (row,), 0 <= failed <= row.n, f"{failed} of {row.n} cannot fail")
        if row.repeats:
            reason = f"{row.n} questions are not {row.repeats} repeats of the same number"
            yield Claim("count", (row,), row.n % row.repeats == 0, reason)
        span, whole = span_of(row), _whole(row)
        if span is None or row.value is None or whole is None:
            continue
        if whole == 100:
            most = Span(0, 100 * (row.n - failed) / row.n)
            reason = f"{_said(row)} is more than the {most.high:g} % that were answered"
            yield Claim("count", (row,), span.meets(most), reason)
        nearest = whole / row.n * round(row.value / whole * row.n)
        reason = f"{_said(row)} is no whole number over {row.n}"
        if whole == 100:
            reason = f"no whole number of {row.n} answers is {_said(row)} %"
        yield Claim("count", (row,), span.meets(Span(nearest, nearest)), reason)


def _whole(row: Row) -> int | None:
    """Return what all of n make up: 100 for shares, 1 for mean counts, None for others."""
    if row.unit == "count":
        return 1
    share = row.unit == "percent" and row.metric.startswith(_SHARES)
    return 100 if share and _micro(row) else None


def _bounds(metric: str) -> tuple[str, int, int] | None:
    """Return what a share tolerates, so that shares that tolerate more can be told."""
    if metric.startswith("perceptual@") and metric.partition("@")[2] in WINDOWS:
        return "accuracy", *WINDOWS[metric.partition("@")[2]].frames()
    matched = _NESTED.fullmatch(metric)
    if matched is None:
        return None
    stem, number, classes = matched.groups()
    return stem + (classes or ""), -int(number), int(number)


def _orders(rows: Sequence[Row]) -> Iterator[Claim]:
    """What tolerates more scores at least as much; a mean is at most the maximum."""
    for cell in _cells(rows):
        for one, other in permutations(cell, 2):
            a, b = _bounds(one), _bounds(other)
            narrower = a and b and a[0] == b[0] and a[1] >= b[1] and a[2] <= b[2]
            ordered = (one, other) in _ORDERED or narrower
            if ordered:
                (row, span), (second, wide) = cell[one], cell[other]
                holds = span.low <= wide.high + EXACT
                reason = f"{one} {_said(row)} is more than {other} {_said(second)}"
                yield Claim("order", (row, second), holds, reason)


_ORDERED = {
    ("mcd_dtw", "mcd"),
    ("mean_absolute_error", "max_absolute_error"),
    ("median_absolute_error", "p95_absolute_error"),
    ("p95_absolute_error", "max_absolute_error"),
}


def _reductions(rows: Sequence[Row]) -> Iterator[Claim]:
    """Relative error reductions follow from the accuracies (Kim et al. 2021, Tables 2 and 3)."""
    for group in _groups(rows, "method"):
        for metric, found in group.items():
            if not metric.startswith("rer@"):
                continue
            accuracies = {r.method: r for r in group.get(metric.replace("rer@", "accuracy@"), ())}
            for row in found:
                own, base = accuracies.get(row.method), accuracies.get(row.reference)
                spans = [span_of(r) for r in (row, own, base) if r is not None]
                if own is None or base is None or None in spans:
                    continue
                said, mine, theirs = (span for span in spans if span is not None)
                follows = reduction(mine, theirs)
                if follows is not None:
                    reason = (
                        f"accuracies {_said(own)} and {_said(base)} ({base.method}) give an error "
                        f"reduction of {follows}, not {_said(row)}"
                    )
                    yield Claim("reduction", (row, own, base), follows.meets(said), reason, True)


def _errors(rows: Sequence[Row]) -> Iterator[Claim]:
    """The mean error follows from the shares within 0, 1, ... frames, up to the largest error.

    Errors are whole frames, and so is the largest.
    """
    for cell in _cells(rows):
        if "mean_absolute_error" not in cell or "accuracy@0" not in cell:
            continue
        mean, said = cell["mean_absolute_error"]
        if mean.n_failed or not _micro(mean):
            continue
        steps = [cell[f"accuracy@{t}"] for t in _consecutive(cell)]
        least = sum(1 - span.high / 100 for _, span in steps)
        most = math.inf
        used = [mean, *(row for row, _ in steps)]
        if "max_absolute_error" in cell:
            largest, longest = cell["max_absolute_error"]
            rest = 1 - steps[-1][1].low / 100
            most = sum(1 - span.low / 100 for _, span in steps[:-1])
            most += rest * max(math.floor(longest.high + EXACT) - (len(steps) - 1), 0)
            used.append(largest)
        shares = ", ".join(f"{_said(row)} % within {t}" for t, (row, _) in enumerate(steps))
        reason = (
            f"{shares} frames leaves a mean error of {Span(max(least, 0), most)}, not {_said(mean)}"
        )
        yield Claim("errors", tuple(used), said.meets(Span(least, most)), reason)


def _consecutive(cell: dict[str, tuple[Row, Span]]) -> list[int]:
    tolerances: list[int] = []
    while f"accuracy@{len(tolerances)}" in cell:
        tolerances.append(len(tolerances))
    return tolerances


def _frames(rows: Sequence[Row]) -> Iterator[Claim]:
    """Frames of a retimed video: unique and deleted make up the picture, the same for all methods.

    Unique and duplicated make up the output, which is as long as the sound and so the same too;
    a frame that follows its predecessor is a new one.
    """
    wholes = (("deleted", "the frames of the picture"), ("duplicated", "those of the sound"))
    for group in _groups(rows, "method"):
        by_method: dict[str, dict[str, Row]] = {}
        for metric in ("duplicated", "deleted", "consecutive", "unique"):
            for row in group.get(metric, ()):
                if span_of(row) is not None:
                    by_method.setdefault(row.method, {})[metric] = row
        for one, other in combinations(by_method.values(), 2):
            for metric, whole in wholes:
                used = [r for part in (one, other) for r in _pair(part, metric)]
                if len(used) == 4:
                    first, second = (_sum(used[i], used[i + 1]) for i in (0, 2))
                    reason = (
                        f"{metric} and unique frames are {whole}, yet {first} for "
                        f"{used[0].method} and {second} for {used[2].method}"
                    )
                    yield Claim("frames", tuple(used), first.meets(second), reason, True)
        for part in by_method.values():
            if "consecutive" in part and "unique" in part:
                row, unique = part["consecutive"], part["unique"]
                low, high = span_of(row), span_of(unique)
                holds = low is None or high is None or low.low <= high.high
                reason = f"{_said(row)} consecutive frames of {_said(unique)} unique ones"
                yield Claim("frames", (row, unique), holds, reason)


def _pair(part: dict[str, Row], metric: str) -> list[Row]:
    return [part[name] for name in (metric, "unique") if name in part]


def _sum(one: Row, other: Row) -> Span:
    a, b = span_of(one), span_of(other)
    assert a is not None
    assert b is not None  # rows without a number are left out above
    return a + b


def _means(rows: Sequence[Row]) -> Iterator[Claim]:
    """A row of the split ``mean<k>`` is the mean of k others; one over all lies among its parts."""
    for group in _groups(rows, "split"):
        for found in group.values():
            for whole in found:
                parts = [row for row in found if row is not whole and span_of(row) is not None]
                if whole.split == f"mean{len(parts)}" and parts:
                    spans = [span for row in parts if (span := span_of(row))]
                    mean = Span(
                        sum(s.low for s in spans) / len(spans),
                        sum(s.high for s in spans) / len(spans),
                    )
                    said = span_of(whole)
                    holds = said is None or said.meets(mean)
                    reason = f"the mean of {len(parts)} parts is {mean}, not {_said(whole)}"
                    yield Claim("mean", (whole, *parts), holds, reason, True)


def _guesses(rows: Sequence[Row]) -> Iterator[Claim]:
    """What guessing scores follows from the protocol."""
    answers = {"uniform-guess": None, "constant-zero": 0}
    for row in rows:
        matched = _NESTED.fullmatch(row.metric)
        protocol = _protocol(row)
        if row.kind != "chance" or matched is None or protocol is None:
            continue
        if row.method not in answers:
            continue
        truth = 0 if protocol.truth == "centre" else None
        tolerance, answer = int(matched[2]), answers[row.method]
        value = 100 * chance(protocol.search, tolerance, truth=truth, answer=answer)
        said = span_of(row)
        holds = said is not None and said.meets(Span(value, value))
        yield Claim("chance", (row,), holds, f"guessing scores {value:.4g}, not {_said(row)}")


RULES: tuple[Rule, ...] = (
    _in_range,
    _spreads,
    _counts,
    _orders,
    _reductions,
    _errors,
    _frames,
    _means,
    _guesses,
)
