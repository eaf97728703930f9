"""The regression gate: the same questions, asked again, must get the same answers.

An expectation holds what every method answered to every question of a small pinned set, and the
counts that follow. Where packages, processor, clips and checkpoints are the same, the answers must
be too (exact tier): any other count means that the code moved it. Elsewhere floating point may tip
near ties, and a share may move by ``max(epsilon, 2 SE)``, where the standard error is that of the
difference by clip: of paired questions where the clips are the same, of two samples where not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from avbench.leaderboard.card import PROPORTIONS, differences, same_clips
from avbench.leaderboard.expected import TRUTH, Answers, Cell, Expected, Tally
from avbench.results import Run
from avbench.statistics import Totals

EPSILON = 0.02
"""Share of the questions that may always move where the platform is another one: two in a hundred.
Other instruction sets of one processor tipped no near tie of the pinned set; other packages may."""
ANSWERS = "answers"
"""Name of the count of questions that get the very answer they got before."""

Tier = Literal["exact", "paired", "unpaired"]
_KIND = Literal["stale", "changed", "missing", "moved", "new"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as expected."""

    kind: _KIND
    text: str
    method: str = ""
    window: int | None = None
    metric: str = ""

    @property
    def fails(self) -> bool:
        """Whether the gate fails by it; something new alone does not."""
        return self.kind != "new"

    def line(self) -> str:
        """Return it as one line: kind, row, what was expected and found."""
        row = f"{self.method} at {self.window} frames, {self.metric}: " if self.window else ""
        return f"{self.kind:<8} {row}{self.text}"


@dataclass(frozen=True)
class Report:
    """What came of a comparison."""

    tier: Tier
    why: tuple[str, ...]
    """Why the tier is not the exact one; empty where it is."""
    findings: tuple[Finding, ...]
    checked: int
    """Numbers compared."""
    tolerances: tuple[float, float] | None = None
    """Least and largest difference allowed, as shares; None in the exact tier."""

    @property
    def passed(self) -> bool:
        """Whether nothing moved, went missing or went stale."""
        return not any(finding.fails for finding in self.findings)

    def lines(self) -> list[str]:
        """Return the report as text, the verdict last."""
        counts = {kind: 0 for kind in ("moved", "changed", "missing", "stale", "new")}
        for finding in self.findings:
            counts[finding.kind] += 1
        said = ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
        verdict = "passes" if self.passed else "fails"
        total = f"{self.checked} numbers compared: {said or 'all as expected'}."
        body = [finding.line() for finding in self.findings]
        return [*self._tier_lines(), *body, f"{total} The gate {verdict}."]

    def _tier_lines(self) -> list[str]:
        if not self.checked:
            return []  # all is stale: nothing was compared in any tier
        if self.tier == "exact":
            return ["Tier exact: same platform, clips and questions, so every count must be equal."]
        paired = self.tier == "paired"
        how = "of the same questions, paired by clip" if paired else "of two samples of clips"
        lines = [
            f"Tier statistical, {self.tier}: a share may move by twice the standard error {how}, "
            "and by epsilon in any case."
        ]
        if self.tolerances:
            low, high = (f"{100 * t:.1f}" for t in self.tolerances)
            lines.append(f"  smallest and largest difference allowed: {low} and {high} points")
        return [*lines, *(f"  because {reason}" for reason in self.why)]


def compare(expected: Expected, run: Run, epsilon: float = EPSILON) -> Report:
    """Hold a run against an expectation.

    Parameters
    ----------
    expected
        What the set gave before.
    run
        What it gives now.
    epsilon
        Share of the questions that may always move outside the exact tier.

    Returns
    -------
    Report
        Which tier applied and why, and everything that is not as expected.
    """
    before, now = expected.identity, Expected.of(run)
    tier, why, findings = _tier(before, now.identity)
    if any(finding.kind == "stale" for finding in findings):
        return Report(tier, tuple(why), tuple(findings), 0)
    stale = _stale_metrics(before["metrics"], now.identity["metrics"])
    findings += stale
    changed = _changed_parameters(before["parameters"], now.identity["parameters"])
    findings += changed
    skipped = {finding.metric for finding in stale}
    loosened = {finding.method for finding in changed}
    old, new = expected.tallies(), now.tallies()
    findings += _coverage(old, new, skipped)
    shared = [cell for cell in sorted(old) if cell in new and cell[2] not in skipped]
    allowed: list[float] = []
    shown = {(row.method, row.window, row.metric): row for row in run.scores}
    for cell in shared:
        own: Tier = "paired" if tier == "exact" and cell[0] in loosened else tier
        tolerance = 0.0 if own == "exact" else _tolerance(old[cell], new[cell], own, epsilon)
        allowed += [] if own == "exact" else [tolerance]
        findings += _moved(cell, old[cell], new[cell], tolerance, own, _interval(shown.get(cell)))
    if tier == "exact":
        findings += _other_answers(expected.answers, now.answers, loosened)
    bounds = (min(allowed), max(allowed)) if allowed else None
    return Report(tier, tuple(why), tuple(_ordered(findings)), len(shared), bounds)


def _ordered(findings: list[Finding]) -> list[Finding]:
    order = ("stale", "changed", "missing", "moved", "new")
    return sorted(
        findings, key=lambda f: (order.index(f.kind), f.method, f.window or 0, f.metric, f.text)
    )


def _tier(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[Tier, list[str], list[Finding]]:
    """Choose how to compare; a stale finding means that nothing can be compared."""
    remedy = "measure under the expected rules, or renew the expectation with 'update --expected'"
    if asked := differences(before["task"], now["task"]):
        text = f"the expectation was made under other rules ({'; '.join(asked)}); {remedy}"
        return "unpaired", [], [Finding("stale", text)]
    moved, same = differences(before["platform"], now["platform"]), same_clips(before, now)
    same_questions = before["questions_sha256"] == now["questions_sha256"]
    if same and not same_questions:
        text = (
            "other questions are asked of the same clips under the same rules: their drawing "
            "changed without a new version of the protocol"
        )
        return "unpaired", [], [Finding("stale", text)]
    why = [f"the platform is another one: {'; '.join(moved)}"] if moved else []
    if same:
        return ("paired" if moved else "exact"), why, []
    why.append("the shards are others, so questions cannot be paired")
    found = []
    if not moved:
        text = (
            f"the shards are others on the same platform ({before['shards_sha256'][:12]} -> "
            f"{now['shards_sha256'][:12]}): what draws, cuts or packs clips has changed"
        )
        found.append(Finding("changed", text))
    return "unpaired", why, found


def _stale_metrics(before: Mapping[str, str], now: Mapping[str, str]) -> list[Finding]:
    return [
        Finding("stale", f"{metric} means something else now ({version} -> {now[metric]}): the "
                "expectation of it is void; renew it with 'update --expected'", metric=metric)
        for metric, version in sorted(before.items())
        if metric.startswith(PROPORTIONS) and metric in now and now[metric] != version
    ]  # fmt: skip


def _changed_parameters(before: Mapping[str, str], now: Mapping[str, str]) -> list[Finding]:
    return [
        Finding("changed", f"{name}: {before[name]} -> {now[name]}", method=name)
        for name in sorted(before)
        if name in now and now[name] != before[name]
    ]


def _coverage(old: Mapping[Cell, Tally], new: Mapping[Cell, Tally], skipped: set[str]) -> list[
    Finding
]:  # fmt: skip
    """Report methods, and single rows of methods known to both, that one side lacks."""
    were, are = {cell[0] for cell in old}, {cell[0] for cell in new}
    found = [
        Finding("missing", f"{name}: expected, and not measured now", method=name)
        for name in sorted(were - are)
    ]
    found += [
        Finding("new", f"{name}: measured now, nothing expected of it yet", method=name)
        for name in sorted(are - were)
    ]
    both = were & are
    gone = {c for c in {*old} - {*new} if c[0] in both and c[2] not in skipped}
    fresh = {c for c in {*new} - {*old} if c[0] in both}
    found += [Finding("missing", "expected, and not measured now", *cell) for cell in sorted(gone)]
    return found + [Finding("new", "nothing expected of it yet", *cell) for cell in sorted(fresh)]


def standard_error(old: Tally, new: Tally, paired: bool) -> float:
    """Return the standard error of the difference of two shares.

    Clips, not questions, are independent (`avbench.statistics.Totals`): of paired questions the
    differences of each clip count, of unpaired ones the two variances add. It is 0 where one clip
    alone was seen.
    """
    if not paired:
        return math.hypot(*(_error(tally.hits, tally.asked) for tally in (old, new)))
    return _error({key: new.hits[key] - old.hits[key] for key in old.hits}, old.asked)


def _error(hits: Mapping[str, int], asked: Mapping[str, int]) -> float:
    sums, counts = (
        np.array([[values[key]] for key in sorted(hits)], dtype=np.float64)
        for values in (hits, asked)
    )
    return float(np.nan_to_num(Totals(sums, counts).standard_errors[0]))


def _tolerance(old: Tally, new: Tally, tier: Tier, epsilon: float) -> float:
    return max(epsilon, 2 * standard_error(old, new, tier == "paired"))


def _moved(
    cell: Cell, old: Tally, new: Tally, tolerance: float, tier: Tier, interval: str
) -> list[Finding]:
    difference = abs(new.share - old.share)
    if difference == 0 or difference < tolerance:
        return []
    allowed = "0 questions" if tier == "exact" else f"{100 * tolerance:.2f} points"
    text = (
        f"expected {old.total}/{old.n} ({100 * old.share:.2f} %), got {new.total}/{new.n} "
        f"({100 * new.share:.2f} %{interval}), tolerance {allowed}"
    )
    if tier != "unpaired":
        text += f"; {_clips(old, new)}"
    return [Finding("moved", text, *cell)]


def _clips(old: Tally, new: Tally) -> str:
    """Name the clips that moved most."""
    changes = {key: new.hits.get(key, 0) - old.hits[key] for key in old.hits}
    moved = sorted((k for k in changes if changes[k]), key=lambda k: (-abs(changes[k]), k))
    most = ", ".join(f"{key} {changes[key]:+d}" for key in moved[:3])
    return f"in {len(moved)} of {len(changes)} clips, most in {most}"


def _interval(row: Any) -> str:
    low, high = getattr(row, "low", None), getattr(row, "high", None)
    return "" if low is None or high is None else f", 95 % {100 * low:.2f} to {100 * high:.2f}"


def _other_answers(before: Answers, now: Answers, loosened: set[str]) -> list[Finding]:
    """Find answers that changed, also where the counts stayed equal by chance."""
    found = []
    for method in sorted(set(before) & set(now) - loosened - {TRUTH}):
        for window in sorted(set(before[method]) & set(now[method])):
            pairs = [
                (a, b)
                for key, said in before[method][window].items()
                for a, b in zip(said, now[method][window][key], strict=True)
            ]
            same = sum(a == b for a, b in pairs)
            if same < len(pairs):
                text = f"expected {len(pairs)} as before, got {same}, tolerance 0 questions"
                found.append(Finding("moved", text, method, window, ANSWERS))
    return found
