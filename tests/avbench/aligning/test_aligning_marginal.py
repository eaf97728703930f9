"""The middle of what is probable against the sum over every path there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from avbench.aligning.marginal import HALVED, LEAP, MOST_LEFT_OUT, STAY, middle


@pytest.mark.parametrize("seed", range(12))
def test_median_and_doubt_are_those_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logs = rng.normal(size=(4, 5)) * 2
    moves = rng.integers(0, 2, 4) if seed % 2 else np.ones(4, np.int64)
    steps = [STAY, 1 - STAY - LEAP, *(LEAP * HALVED**k for k in range(1, MOST_LEFT_OUT + 1))]
    share = np.zeros((4, 5))
    for path in itertools.product(range(5), repeat=4):
        taken = np.diff(path) + moves[1:]
        if taken.min() < 0 or taken.max() >= len(steps):
            continue
        weight = float(np.prod([steps[int(s)] for s in taken]))
        weight *= float(np.exp(sum(row[i] for row, i in zip(logs, path, strict=True))))
        share[np.arange(4), path] += weight
    share /= share.sum(1, keepdims=True)
    found = middle([logs[:1], logs[1:]], moves if seed % 2 else None)
    medians = [int(np.searchsorted(np.cumsum(row), 0.5)) for row in share]
    np.testing.assert_array_equal(found.offsets + 2, medians)
    spread = [(row * np.abs(np.arange(5) - m)).sum() for row, m in zip(share, medians, strict=True)]
    np.testing.assert_allclose(found.doubt, spread, rtol=1e-4)


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
