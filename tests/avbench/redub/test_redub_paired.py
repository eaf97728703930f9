"""Differences between methods on the same pairs of speakers; they are planted."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from avbench.metrics.alignment import Retiming, retime
from avbench.redub.measuring import NONE, Measured
from avbench.redub.paired import Gap, gaps, speakers_of
from avbench.redub.reporting import paired_tables

SPEAKERS = [f"speaker-{n}" for n in range(7)]
PAIRS = [f"{a}>{b}:sentence-{s}" for a, b in permutations(SPEAKERS, 2) for s in range(2)]


def measured(method: str, height: float, counts: Retiming, seed: int) -> list[Measured]:
    """Make all pairs; those of the same two speakers are alike, whatever the method."""
    shared = np.random.default_rng(0)
    own = np.random.default_rng(seed)
    hard = {who: shared.normal() for who in sorted({speakers_of(p) for p in PAIRS})}
    return [
        Measured(
            method,
            pair,
            counts,
            height + 0.3 * hard[speakers_of(pair)] + 0.02 * own.normal(),
            math.nan if pair == PAIRS[0] else 0.5 + 0.02 * own.normal(),
            0.1,
        )
        for pair in PAIRS
    ]


@pytest.fixture(scope="module")
def found() -> list[Measured]:
    smooth, rough = retime(np.arange(90), 90), retime(np.repeat(np.arange(45), 2), 90)
    return [
        *measured(NONE, 0.2, smooth, 1),
        *measured("dta-video", 0.5, rough, 2),
        *measured("tae", 0.6, smooth, 3),
    ]


def of(some: list[Gap], method: str, quantity: str) -> Gap:
    return next(g for g in some if (g.method, g.quantity) == (method, quantity))


def test_planted_differences_are_found_though_speakers_differ_far_more(
    found: list[Measured],
) -> None:
    against = gaps(found, "dta-video")
    gap = of(against, "tae", "height")
    assert gap.found.value == pytest.approx(0.1, abs=0.01)
    assert gap.found.low is not None
    assert gap.found.low > 0.08
    assert gap.told_apart
    assert gap.found.clusters == 21  # pairs of seven speakers
    assert of(against, NONE, "height").found.value == pytest.approx(-0.3, abs=0.01)
    assert of(against, "tae", "duplicated").found.value == -45
    assert of(against, "tae", "consecutive").found.value == 45


def test_equals_are_not_told_apart_and_undefined_pairs_are_left_out(found: list[Measured]) -> None:
    gap = of(gaps(found, NONE), "tae", "width")
    assert not gap.told_apart
    assert math.isfinite(gap.found.value)
    assert "truth_height" not in {g.quantity for g in gaps(found, NONE)}
    assert gaps(found, "absent") == []


def test_the_tables_name_what_is_taken_away(found: list[Measured]) -> None:
    text = paired_tables([gaps(found, NONE), gaps(found, "dta-video"), []])
    lines = text.strip().splitlines()
    assert lines[0].split()[:2] == ["less", NONE]
    assert any(line.startswith("less dta-video") for line in lines)
    assert "+0.10 [+0.1" in text
    assert "21 pairs of speakers" in lines[-1]
    assert paired_tables([[]]) == ""
