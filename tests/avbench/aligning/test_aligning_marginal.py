"""The middle of what is probable against the sum over every path there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from avbench.aligning.marginal import LAWS, Law, middle
from avbench.data import FloatArray, IntArray
from avbench.distort import alignment_of, drop_duplicate

LAW = Law(0.2, 0.1)


def weigh_all_paths(logs: FloatArray, moves: IntArray, law: Law) -> tuple[FloatArray, float]:
    """Sum over every path; steps beyond the last picture lead to it."""
    steps, width = law.weights(), logs.shape[1]
    share = np.zeros(logs.shape)
    for path in itertools.product(range(width), repeat=len(logs)):
        weight = float(np.exp(sum(row[i] for row, i in zip(logs, path, strict=True))))
        for row in range(1, len(logs)):
            taken = path[row] + int(moves[row]) - path[row - 1]
            at_last = path[row] + 1 < width and not np.isfinite(logs[row, path[row] + 1])
            if not 0 <= taken < len(steps):
                weight = 0.0
            else:
                weight *= float(steps[taken:].sum() if at_last else steps[taken])
        share[np.arange(len(logs)), path] += weight
    return share / share.sum(1, keepdims=True), float(share[0].sum())


def case(seed: int) -> tuple[FloatArray, IntArray]:
    """Return rows that say something; from seed 6 on the picture ends before the sound."""
    rng = np.random.default_rng(seed)
    logs = rng.normal(size=(4, 5)) * 2
    moves = rng.integers(0, 2, 4) if seed % 2 else np.ones(4, np.int64)
    if seed >= 6:
        for row, last in zip(logs[1:], 4 - np.cumsum(moves[1:]), strict=True):
            row[last + 1 :] = -np.inf
    return logs, moves


@pytest.mark.parametrize("seed", range(12))
def test_median_doubt_and_drawn_paths_are_those_of_all_paths(seed: int) -> None:
    logs, moves = case(seed)
    share, _ = weigh_all_paths(logs, moves, LAW)
    found = middle([logs[:1], logs[1:]], moves, laws=[LAW], paths=3000)
    medians = [int(np.searchsorted(np.cumsum(row), 0.5)) for row in share]
    np.testing.assert_array_equal(found.offsets + 2, medians)
    spread = [(row * np.abs(np.arange(5) - m)).sum() for row, m in zip(share, medians, strict=True)]
    np.testing.assert_allclose(found.doubt, spread, rtol=1e-4)
    drawn = np.stack([(found.paths + 2 == place).mean(axis=0) for place in range(5)], axis=1)
    np.testing.assert_allclose(drawn, share, atol=0.04)
    taken = np.diff(found.paths, axis=1) + moves[1:]
    assert taken.min() >= 0


@pytest.mark.parametrize("seed", range(6))
def test_the_law_is_the_one_under_which_the_clip_is_likeliest(seed: int) -> None:
    logs, moves = case(seed)
    weights = [weigh_all_paths(logs, moves, law)[1] for law in LAWS]
    assert middle([logs], moves).law == LAWS[int(np.argmax(weights))]


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
