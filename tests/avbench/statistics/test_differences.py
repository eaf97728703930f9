from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from avbench.statistics import (
    ALPHA,
    Difference,
    difference_of_scores,
    holm,
    minimum_detectable,
    paired_difference,
    paired_differences,
    shared_ranks,
    totals,
    unpaired_difference,
)

Floats = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def planted(
    clusters: int, experiments: int, *, gap: float = 0.0, seed: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    """Draw the answers of two methods to the same questions; a column per method and experiment.

    Recordings differ in how easy they are for both methods, and in which method they suit; over
    recordings, the first method is better by ``gap``.
    """
    source = rng(seed)
    names = np.repeat(np.arange(clusters), source.integers(3, 12, clusters))
    ease = source.uniform(0.35, 0.65, (clusters, experiments))
    suits = source.uniform(-0.2, 0.2, (clusters, experiments)) + gap / 2
    chances = np.hstack([ease + suits, ease - suits])
    hits = source.random((len(names), 2 * experiments)) < chances[names]
    return hits.astype(np.float64), names


def compared(values: Floats, names: NDArray[np.int64], resamples: int = 1000) -> list[Difference]:
    experiments = values.shape[1] // 2
    pairs = [(number, number + experiments) for number in range(experiments)]
    return paired_differences(totals(values, names), pairs, rng(1), resamples)


def found_share(made: Sequence[Difference]) -> float:
    return float(np.mean([d.p is not None and d.p < ALPHA for d in made]))


# With eight recordings there are 256 flips, many of equal sums: the test is on the safe side.
@pytest.mark.parametrize(("clusters", "least"), [(8, 0.01), (30, 0.03), (150, 0.03)])
def test_equal_methods_differ_in_one_test_of_twenty(clusters: int, least: float) -> None:
    made = compared(*planted(clusters, 800))
    assert {d.test for d in made} == {"sign-flip"}
    assert least <= found_share(made) <= 0.072


def test_treating_questions_as_independent_would_cry_wolf() -> None:
    source = rng(3)
    names = np.repeat(np.arange(20), 40)
    alarms = 0
    for _ in range(200):
        suits = source.uniform(-0.3, 0.3, 20)[names]
        a, b = (source.random(len(names)) < 0.5 + sign * suits for sign in (1, -1))
        alarms += stats.binomtest(int(np.sum(a & ~b)), int(np.sum(a != b))).pvalue < ALPHA
    assert alarms / 200 > 0.3


def test_mcnemar_keeps_its_level() -> None:
    source = rng(4)
    values = (source.random((120, 1200)) < 0.7).astype(np.float64)
    made = compared(values, np.arange(120), resamples=10)
    assert {d.test for d in made} == {"mcnemar-exact"}
    assert 0.015 <= found_share(made) <= 0.06  # an exact test of counts stays below its level


def test_power_rises_with_the_difference_and_with_the_recordings() -> None:
    shares = [
        [found_share(compared(*planted(n, 150, gap=g))) for g in (0, 0.1, 0.2)] for n in (20, 80)
    ]
    for row in shares:
        assert row[0] < row[1] < row[2]
    assert shares[1][1] > shares[0][1] + 0.2
    assert shares[1][2] > 0.95


@pytest.mark.parametrize("clusters", [12, 60])
def test_the_detectable_difference_is_found_four_times_out_of_five(clusters: int) -> None:
    without = [d.minimum_detectable for d in compared(*planted(clusters, 200))]
    gap = float(np.mean([x for x in without if x is not None]))
    assert found_share(compared(*planted(clusters, 400, gap=gap, seed=5))) == pytest.approx(
        0.8, abs=0.07
    )


def test_intervals_of_differences_cover_the_truth() -> None:
    made = compared(*planted(40, 500, gap=0.1))
    inside = [d.low <= 0.1 <= d.high for d in made if d.low is not None and d.high is not None]
    assert len(inside) == 500
    assert 0.92 <= np.mean(inside) <= 0.98


@given(better=st.integers(0, 12), worse=st.integers(0, 12), same=st.integers(1, 5))
@settings(deadline=None)
def test_mcnemar_is_the_binomial_of_the_questions_that_differ(
    better: int, worse: int, same: int
) -> None:
    a = np.r_[np.ones(better), np.zeros(worse), np.ones(same), np.zeros(1)]
    b = np.r_[np.zeros(better), np.ones(worse), np.ones(same), np.zeros(1)]
    found = paired_difference(a, b, np.arange(len(a)), rng=rng(), resamples=50)
    n, least = better + worse, min(better, worse)
    tail = sum(math.comb(n, k) for k in range(least + 1)) / 2**n
    assert found.test == "mcnemar-exact"
    assert found.p == pytest.approx(min(1.0, 2 * tail))
    assert found.value == pytest.approx((better - worse) / len(a))


def test_all_flips_are_tried_where_they_are_few() -> None:
    values, names = planted(8, 1)
    found = totals(values, names)
    gap = found.sums[:, 0] - found.sums[:, 1]
    reached = [abs(np.dot(signs, gap)) >= abs(gap.sum()) for signs in product((1, -1), repeat=8)]
    assert paired_difference(*values.T, names, rng=rng()).p == pytest.approx(np.mean(reached))


def test_flips_agree_with_scipy() -> None:
    values, names = planted(40, 1, gap=0.08)
    found = totals(values, names)
    theirs = stats.permutation_test(
        (found.sums[:, 0] - found.sums[:, 1],),
        lambda gap, axis: gap.sum(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=rng(2),
    )
    ours = paired_difference(*values.T, names, rng=rng())
    assert 0.001 < theirs.pvalue < 0.9
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.012)


def test_swapping_the_methods_swaps_the_sign() -> None:
    values, names = planted(30, 1, gap=0.1)
    one = paired_difference(*values.T, names, rng=rng())
    other = paired_difference(*values.T[::-1], names, rng=rng())
    assert one.low is not None
    assert one.high is not None
    assert one.value == pytest.approx(-other.value)
    assert (one.low, one.high) == pytest.approx((-(other.high or 0), -(other.low or 0)))
    assert one.p == other.p
    assert one.minimum_detectable == pytest.approx(other.minimum_detectable)


def test_the_order_of_questions_and_their_repeats_do_not_matter() -> None:
    values, names = planted(30, 1, gap=0.05)
    order = rng(9).permutation(len(names))
    one = paired_difference(*values.T, names, rng=rng())
    assert one == paired_difference(*values[order].T, names[order], rng=rng())
    again = np.tile(values, (5, 1))
    fivefold = paired_difference(*again.T, np.tile(names, 5), rng=rng())
    assert (fivefold.p, fivefold.clusters) == (one.p, one.clusters)
    assert fivefold.standard_error == pytest.approx(one.standard_error)


def test_the_same_answers_are_no_difference_and_no_proof_of_none() -> None:
    values, names = planted(50, 1)
    found = paired_difference(values[:, 0], values[:, 0], names, rng=rng())
    assert (found.value, found.p, found.minimum_detectable) == (0, 1, None)
    assert found.high is not None
    assert found.low == -found.high
    assert 0.05 < found.high < 0.1


def test_questions_must_be_the_same() -> None:
    values = np.array([[1.0, 1.0], [0.0, np.nan], [1.0, 0.0]])
    with pytest.raises(ValueError, match="different questions"):
        paired_differences(totals(values, [1, 2, 3]), [(0, 1)], rng())
    with pytest.raises(ValueError, match="without an answer"):
        paired_difference([1, np.nan], [1, 0], [1, 2], rng=rng())


def test_no_number_of_flips_proves_anything_for_sure() -> None:
    names = np.repeat(np.arange(40), 3)
    found = paired_difference(np.ones(120), np.zeros(120), names, rng=rng(), resamples=999)
    assert found.p == 1 / 1000
    # Every recording says the same: there is nothing to draw an interval from.
    assert (found.value, found.low, found.high) == (1, None, None)


def test_differences_that_cancel_are_no_difference() -> None:
    names = np.repeat(np.arange(40), 2)
    a = (names % 2).astype(float)  # right wherever the other is wrong, and as often
    found = paired_difference(a, 1 - a, names, rng=rng())
    assert (found.value, found.p) == (0, 1)


def test_one_recording_tells_nothing_about_others() -> None:
    found = paired_difference([1, 1, 1, 0], [0, 0, 1, 0], ["x"] * 4, rng=rng())
    assert found.value == 0.5
    assert (found.low, found.high, found.p, found.standard_error) == (None,) * 4
    assert "only 1 cluster:" in found.caution


def test_pairing_detects_smaller_differences() -> None:
    source = rng(6)
    names = np.repeat(np.arange(80), 6)
    ease = source.uniform(0, 1, 80)[names]
    a, b = (source.random((2, len(names))) < ease).astype(float)
    paired = paired_difference(a, b, names, rng=rng())
    apart = unpaired_difference(totals(a, names), totals(b, names))
    assert paired.value == pytest.approx(apart.value)
    assert paired.minimum_detectable is not None
    assert apart.minimum_detectable is not None
    assert paired.minimum_detectable < 0.75 * apart.minimum_detectable


def test_unpaired_is_welch_over_recordings() -> None:
    a, b = rng(1).random((30, 4)), 0.1 + 0.5 * rng(2).random((45, 4))
    sides = [totals(x.ravel(), np.repeat(np.arange(len(x)), 4)) for x in (a, b)]
    found = unpaired_difference(sides[0], sides[1])
    theirs = stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False)
    bounds = theirs.confidence_interval(0.95)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    assert (found.test, found.clusters) == ("welch", 30)
    assert found.standard_error is not None
    assert found.minimum_detectable == minimum_detectable(found.standard_error, 30 + 45 - 2)


@pytest.mark.parametrize(
    ("e2e", "cls", "z"),
    [(66.88, 64.12, 3.46), (74.38, 73.69, 0.94), (79.26, 79.02, 0.35)],
)
def test_published_scores_compared_without_pairing(e2e: float, cls: float, z: float) -> None:
    """Sync-e2e and Sync-cls at 11, 15 and 20 frames (Kim et al. 2021, Table 2), n = 7,100."""
    values = (e2e / 100, cls / 100)
    errors = tuple(math.sqrt(p * (1 - p) / 7100) for p in values)
    found = difference_of_scores(values, (errors[0], errors[1]), (7100, 7100))
    assert found.standard_error is not None
    assert found.value / found.standard_error == pytest.approx(z, abs=0.006)
    assert found.p == pytest.approx(2 * stats.norm.sf(z), abs=0.005)
    assert (found.p < ALPHA) == (z > 1.96)


def test_scores_without_variation_are_compared_as_numbers() -> None:
    same = difference_of_scores((1.0, 1.0), (0.0, 0.0), (50, 50))
    assert (same.value, same.p, same.minimum_detectable) == (0, 1, None)
    assert difference_of_scores((1.0, 0.9), (0.0, 0.0), (50, 50)).p == 0
    unknown = difference_of_scores((1.0, 0.9), (math.nan, 0.1), (1, 50))
    assert (unknown.p, unknown.low, unknown.standard_error) == (None, None, None)


def test_what_can_be_detected_shrinks_with_the_root_of_the_recordings() -> None:
    few, many = (minimum_detectable(0.5 / math.sqrt(n), n - 1) for n in (100, 10_000))
    assert few is not None
    assert many is not None
    assert few / many == pytest.approx(10, rel=0.03)
    # Of many recordings: z at 97.5 % plus z at 80 %, times the standard error.
    assert many == pytest.approx((1.95996 + 0.84162) * 0.005, rel=1e-3)
    certain = minimum_detectable(0.005, 9999, power=0.99)
    assert certain is not None
    assert certain > many
    assert minimum_detectable(0.0, 10) is None
    assert minimum_detectable(math.nan, 10) is None
    assert minimum_detectable(0.1, 0) is None


THOUSANDTHS = st.integers(0, 1000).map(lambda n: n**2 / 1e6)  # many of them small


@given(p=st.lists(THOUSANDTHS, min_size=1, max_size=12))
def test_holm_is_stepping_down(p: list[float]) -> None:
    adjusted = holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-12)  # never past Bonferroni
    rejected = set[int]()
    for step, index in enumerate(np.argsort(p, kind="stable")):
        if p[index] * (len(p) - step) >= ALPHA:
            break
        rejected.add(int(index))
    assert {i for i, value in enumerate(adjusted) if value < ALPHA} == rejected


@given(p=st.lists(THOUSANDTHS, min_size=2, max_size=8), seed=st.integers(0, 9))
def test_holm_does_not_mind_the_order(p: list[float], seed: int) -> None:
    order = rng(seed).permutation(len(p))
    np.testing.assert_allclose(holm(np.array(p)[order]), holm(p)[order])
    assert holm(p[:1])[0] == p[0]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_methods_that_cannot_be_told_apart_share_a_rank() -> None:
    none = np.zeros((3, 3), dtype=bool)
    assert shared_ranks(none).tolist() == [1, 1, 1]
    ladder = np.array([[i < j for j in range(4)] for i in range(4)])
    assert shared_ranks(ladder).tolist() == [1, 2, 3, 4]
    # The second is not told apart from the first, nor from the third, but those two are.
    chain = np.zeros((3, 3), dtype=bool)
    chain[0, 2] = True
    assert shared_ranks(chain).tolist() == [1, 1, 2]
