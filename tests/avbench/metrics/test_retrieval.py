"""Retrieval and pairwise comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest

from avbench.metrics.pairwise import Pairwise, by_step, pairwise
from avbench.metrics.retrieval import ranks, recall_at


def test_ranks_agree_with_sorting() -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.random((50, 9)), rng.integers(0, 9, 50)
    order = np.argsort(-scores, axis=1)
    expected = [1 + order[i].tolist().index(target[i]) for i in range(50)]
    assert ranks(scores, target).tolist() == expected


def test_recall_grows_with_k_to_one() -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.random((50, 9)), rng.integers(0, 9, 50)
    found = [recall_at(scores, target, k) for k in range(1, 10)]
    assert found == sorted(found)
    assert found[-1] == 1


def test_guessing_recalls_k_out_of_all() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((20_000, 40))
    assert recall_at(scores, np.zeros(20_000, int), 10) == pytest.approx(0.25, abs=0.01)


def test_a_constant_score_and_a_missing_one_retrieve_nothing() -> None:
    assert recall_at(np.ones((4, 5)), np.arange(4), k=4) == 0
    missing = np.array([[math.nan, 1.0], [2.0, math.nan]])
    assert recall_at(missing, [0, 0], k=2) == 0.5
    assert recall_at(missing, [0, 0], k=1) == 0.5


@pytest.mark.parametrize(
    ("scores", "target", "complaint"),
    [
        ([1, 2], [0, 1], "candidates"),
        ([[1, 2]], [2], "column"),
        ([[1, 2]] * 2, [0, -1], "column"),
        ([[1, 2]] * 2, [0, 2], "column"),
        ([[1, 2]], [0.5], "column"),
    ],
)
def test_malformed_queries_are_refused(scores, target, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        recall_at(scores, target)
    with pytest.raises(ValueError, match="k ="):
        recall_at([[1, 2]], [0], k=0)


def test_a_pair_is_won_or_lost_but_a_tie_is_not_won() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 500)).astype(float)
    one, other = pairwise(a, b), pairwise(b, a)
    assert one.wins + other.wins + int((a == b).sum()) == one.total == 500
    assert pairwise(np.ones(9), np.ones(9)).over_all == 0


def test_missing_scores_count_in_one_accuracy_and_not_in_the_other() -> None:
    found = pairwise([2, math.nan, 2, math.nan], [1, 1, math.nan, math.nan])
    assert found == Pairwise(wins=1, valid=1, total=4)
    assert (found.over_valid, found.over_all) == (1, 0.25)
    assert math.isnan(pairwise([math.nan], [1]).over_valid)


def test_steps_add_up() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 60))
    steps = rng.choice([-80, -40, 40, 80], 60)
    found = by_step(a, b, steps)
    assert list(found) == [-80, -40, 40, 80]
    assert sum(found.values(), Pairwise(0, 0, 0)) == pairwise(a, b)
    with pytest.raises(ValueError, match="steps"):
        by_step(a, b, steps[:-1])
