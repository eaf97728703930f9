"""The middle of what is probable against the sum over every path there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from avbench.aligning.marginal import (
    AFTER,
    ANOTHER,
    BEFORE,
    HALVED,
    LAWS,
    MORE,
    MOST_LEFT_OUT,
    OWN,
    Law,
    middle,
)
from avbench.data import FloatArray, IntArray
from avbench.distort import alignment_of, drop_duplicate

LAW = Law(0.2, 0.1)


def chance(before: tuple[int, int], after: tuple[int, int], law: Law, held: bool) -> float:
    """Say how probable a step from (role, picture) to (role, picture) is."""
    (old, here), (new, there) = before, after
    step = there - here
    leaps = HALVED ** np.arange(1, MOST_LEFT_OUT + 1)
    on = [1 - law.leap, *(law.leap * leaps / leaps.sum())]
    found = {
        (OWN, AFTER, 0): 0.0 if held else law.stay * MORE,
        (BEFORE, BEFORE, 0): ANOTHER,
        (BEFORE, OWN, 0): 1 - ANOTHER,
        (AFTER, AFTER, 0): ANOTHER,
        (OWN, OWN, 0): float(held),
    }
    for n, share in enumerate(on, 1):
        found[OWN, OWN, n] = (1 - law.stay) * share
        found[OWN, BEFORE, n] = law.stay * (1 - MORE) * share
        found[AFTER, BEFORE, n] = (1 - ANOTHER) * share
    return found.get((old, new, step), 0.0)


def weigh_all_paths(
    logs: FloatArray, expected: IntArray, law: Law, missing: FloatArray | None = None
) -> tuple[FloatArray, float]:
    """Sum over every path; the last picture is held where the sound goes on."""
    width = logs.shape[1]
    share = np.zeros(logs.shape)
    told = np.zeros((40, 2))  # rows of picture from -10 on
    if missing is not None:
        told[10 : 10 + len(missing)] = missing
    for states in itertools.product(itertools.product(range(3), range(width)), repeat=len(logs)):
        weight = {OWN: 1.0, BEFORE: law.stay, AFTER: 0.0}[states[0][0]]
        weight *= float(np.exp(sum(row[i] for row, (_, i) in zip(logs, states, strict=True))))
        pictures = [int(e) + i - width // 2 for e, (_, i) in zip(expected, states, strict=True)]
        for row in range(1, len(logs)):
            place = states[row][1]
            held = place + 1 < width and not np.isfinite(logs[row, place + 1])
            roles = states[row - 1][0], states[row][0]
            before, after = zip(roles, pictures[row - 1 : row + 1], strict=True)
            weight *= chance(before, after, law, held)
            if roles == (OWN, BEFORE):
                weight *= float(np.exp(told[10 + pictures[row], 0]))
            if roles == (OWN, AFTER):
                weight *= float(np.exp(told[11 + pictures[row], 1]))
        share[np.arange(len(logs)), [i for _, i in states]] += weight
    return share / share.sum(1, keepdims=True), float(share[0].sum())


def case(seed: int) -> tuple[FloatArray, IntArray, FloatArray | None]:
    """Return rows that say something; from seed 6 on the picture ends before the sound."""
    rng = np.random.default_rng(seed)
    logs = rng.normal(size=(4, 3)) * 2
    moves = rng.integers(0, 2, 4) if seed % 2 else np.ones(4, np.int64)
    moves[0] = 0
    if seed >= 6:
        for row, last in zip(logs[1:], 2 - np.cumsum(moves[1:]), strict=True):
            row[max(last, 0) + 1 :] = -np.inf
    return logs, 1 + np.cumsum(moves), rng.normal(size=(8, 2)) if seed % 3 else None


@pytest.mark.parametrize("seed", range(12))
def test_median_doubt_and_drawn_paths_are_those_of_all_paths(seed: int) -> None:
    logs, expected, missing = case(seed)
    share, _ = weigh_all_paths(logs, expected, LAW, missing)
    found = middle([logs[:1], logs[1:]], expected, laws=[LAW], paths=3000, missing=missing)
    medians = [int(np.searchsorted(np.cumsum(row), 0.5)) for row in share]
    np.testing.assert_array_equal(found.offsets + 1, medians)
    spread = [(row * np.abs(np.arange(3) - m)).sum() for row, m in zip(share, medians, strict=True)]
    np.testing.assert_allclose(found.doubt, spread, rtol=1e-4)
    drawn = np.stack([(found.paths + 1 == place).mean(axis=0) for place in range(3)], axis=1)
    np.testing.assert_allclose(drawn, share, atol=0.04)
    taken = np.diff(found.paths, axis=1) + np.diff(expected)
    assert taken.min() >= 0


@pytest.mark.parametrize("seed", range(6))
def test_the_law_is_the_one_under_which_the_clip_is_likeliest(seed: int) -> None:
    logs, expected, missing = case(seed)
    logs, expected = logs[:3], expected[:3]
    weights = [weigh_all_paths(logs, expected, law, missing)[1] for law in LAWS]
    assert middle([logs], expected, missing=missing).law == LAWS[int(np.argmax(weights))]


@pytest.mark.parametrize(("law", "expected"), [("symmetric", LAWS[-1]), (None, LAWS[0])])
def test_what_was_done_to_a_clip_shows_in_its_law(law: str | None, expected: Law) -> None:
    shown = np.arange(400)
    if law is not None:
        shown = drop_duplicate(400, rng=np.random.default_rng(3), law="symmetric")
    truth = alignment_of(shown).video_index
    logs = np.full((len(truth), 61), -4.0)
    logs[np.arange(len(truth)), truth - np.arange(len(truth)) + 30] = 0.0
    found = middle([logs])
    assert found.law == expected
    assert np.abs(found.offsets - (truth - np.arange(len(truth)))).mean() < 0.3


def test_sound_that_outlasts_the_picture_holds_the_last_one() -> None:
    logs = np.where(np.arange(61) == 30, 0.0, -6.0)[None].repeat(40, axis=0)
    for row in range(20, 40):  # picture 19 is the last
        logs[row] = np.where(np.arange(61) <= 30 + 19 - row, -2.0, -np.inf)
    found = middle([logs], laws=[Law(0.01, 0.01)])
    np.testing.assert_array_equal(found.offsets[22:], 19 - np.arange(22, 40))


def test_doubt_is_where_nothing_is_said() -> None:
    logs = np.full((60, 21), -9.0)
    logs[:20, 10] = logs[40:, 12] = 0  # the offset changes by two somewhere between
    found = middle([logs])
    assert set(found.offsets[:15]) == {0}
    assert set(found.offsets[45:]) == {2}
    assert found.doubt[30] > 20 * found.doubt[5]


def test_rows_that_exclude_everything_are_passed_over() -> None:
    logs = np.zeros((5, 3))
    logs[2] = -np.inf
    assert len(middle([logs]).offsets) == 5
    assert len(middle([]).offsets) == 0
    assert middle([], paths=3).paths.shape == (3, 0)


def test_pictures_that_change_by_much_say_where_the_sound_waits() -> None:
    logs = np.full((60, 21), -2.0)
    logs[:20, 10] = logs[40:, 9] = 2.0  # one picture is missing somewhere between
    told = np.zeros((80, 2))
    told[27, 0] = 4.0
    found = middle([logs], missing=told)
    np.testing.assert_array_equal(found.offsets[24:32], [0, 0, 0, 0, -1, -1, -1, -1])
    assert found.doubt[20:40].mean() < 0.5 * middle([logs]).doubt[20:40].mean()
