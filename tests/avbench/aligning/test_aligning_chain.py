"""Chains of votes against every chain there is, and by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from avbench.aligning.chain import longest_chain, tally, weighted_chain
from avbench.data import FloatArray

NAN = float("nan")


def all_chains(candidates: list[dict[int, int]]) -> list[list[tuple[int, int]]]:
    """Every chain that does not go back: pairs of row and candidate."""
    chains: list[list[tuple[int, int]]] = [[]]
    for row, options in enumerate(candidates):
        chains += [
            [*chain, (row, i)]
            for chain in chains
            for i in options
            if not chain or chain[-1][1] <= i
        ]
    return chains


def unsteadiness(chain: list[tuple[int, int]]) -> int:
    return sum(abs(b - a - 1) for (_, a), (_, b) in pairwise(chain))


def counted(votes: FloatArray) -> list[dict[int, int]]:
    return [{int(v): int((row == v).sum()) for v in row[np.isfinite(row)]} for row in votes]


def as_pairs(chosen: FloatArray) -> list[tuple[int, int]]:
    return [(row, int(i)) for row, i in enumerate(chosen) if np.isfinite(i)]


def random_votes(rng: np.random.Generator, rows: int) -> FloatArray:
    votes = rng.integers(0, 7, (rows, 3)).astype(float)
    votes[rng.random(votes.shape) < 0.3] = NAN
    return votes


def test_votes_are_counted() -> None:
    index, count = tally(np.array([[7, 4, 7], [NAN, 5, NAN], [NAN] * 3, [3, 2, 1]]))
    assert index.tolist() == [[-1, 4, 7], [-1, -1, 5], [-1] * 3, [1, 2, 3]]
    assert count.tolist() == [[0, 1, 2], [0, 0, 1], [0] * 3, [1] * 3]


@pytest.mark.parametrize("seed", range(60))
def test_the_weighted_chain_is_the_best_of_all(seed: int) -> None:
    votes = random_votes(np.random.default_rng([1, seed]), 6)
    candidates = counted(votes)

    def rank(chain: list[tuple[int, int]]) -> tuple[object, ...]:
        return -sum(candidates[row][i] for row, i in chain), unsteadiness(chain), chain

    expected = min((c for c in all_chains(candidates) if c), key=rank, default=[])
    assert as_pairs(weighted_chain(*tally(votes))) == expected


@pytest.mark.parametrize("seed", range(60))
def test_every_run_is_the_longest_and_the_steadiest_there_is(seed: int) -> None:
    votes = random_votes(np.random.default_rng([2, seed]), 7)
    most = [{i: n for i, n in row.items() if n == max(row.values())} for row in counted(votes)]
    expected: list[tuple[int, int]] = []
    row = 0
    while row < len(most):
        floor = expected[-1][1] if expected else 0
        later = [{i: 1 for i in options if i >= floor} for options in most[row:]]
        runs = [
            [(row + r, i) for r, i in chain]
            for chain in all_chains(later)
            if chain and [r for r, _ in chain] == list(range(len(chain)))
        ]
        if runs:
            run = min(runs, key=lambda c: (-len(c), unsteadiness(c), [i for _, i in c[::-1]]))
            expected += run
        row += max(len(run) if runs else 0, 1)
    assert as_pairs(longest_chain(*tally(votes))) == expected


def test_a_stray_vote_holds_the_papers_chain_and_not_the_weighted_one() -> None:
    """The paper's search takes the stray row 9, and leaves out all until it is reached."""
    votes = np.array([[0, 0], [1, 1], [9, NAN], [3, 3], [4, 4], [9, 9], [10, 10]])
    run = longest_chain(*tally(votes))
    best = weighted_chain(*tally(votes))
    np.testing.assert_array_equal(run, [0, 1, 9, NAN, NAN, 9, 10])
    np.testing.assert_array_equal(best, [0, 1, NAN, 3, 4, 9, 10])


def test_only_the_candidates_of_most_votes_count_in_the_papers_chain() -> None:
    votes = np.array([[2, 2, 9], [1, 1, 3]])
    np.testing.assert_array_equal(longest_chain(*tally(votes)), [2, NAN])
    np.testing.assert_array_equal(weighted_chain(*tally(votes)), [2, 3])  # 2 + 1 votes


def test_repeats_are_allowed_and_rows_without_votes_are_left_out() -> None:
    votes = np.array([[NAN], [4], [4], [NAN], [4], [5]])
    for chain in (longest_chain, weighted_chain):
        np.testing.assert_array_equal(chain(*tally(votes)), [NAN, 4, 4, NAN, 4, 5])


def test_no_votes_give_no_chain() -> None:
    nothing = np.full((3, 2), NAN)
    assert np.isnan(longest_chain(*tally(nothing))).all()
    assert np.isnan(weighted_chain(*tally(nothing))).all()
