from __future__ import annotations

import math
from time import thread_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from avbench.metrics.offset import rer
from avbench.statistics import (
    Interval,
    caution,
    error_reduction,
    intervals,
    mean_interval,
    multiplicities,
    resampled_means,
    spread,
    totals,
    wilson,
)

Floats = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def planted(
    clusters: int, experiments: int, *, mean: float = 0.7, alike: float = 0.3, seed: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    """Draw right and wrong answers in recordings of unequal size, a column per experiment.

    The chance of a right answer differs between recordings (beta) and has the given mean; two
    answers of one recording correlate by ``alike``.
    """
    source = rng(seed)
    sizes = source.integers(4, 17, clusters)
    names = np.repeat(np.arange(clusters), sizes)
    strength = (1 - alike) / alike
    chances = source.beta(mean * strength, (1 - mean) * strength, (clusters, experiments))
    hits = source.random((len(names), experiments)) < chances[names]
    return hits.astype(np.float64), names


def all_intervals(values: Floats, names: NDArray[np.int64], **options: int) -> list[Interval]:
    found = totals(values, names)
    means = resampled_means(found, rng(1), **options)
    return intervals(found, means, [True] * values.shape[1])


def coverage(made: list[Interval], truth: float) -> float:
    inside = [i.low <= truth <= i.high for i in made if i.low is not None and i.high is not None]
    assert len(inside) == len(made)
    return float(np.mean(inside))


@pytest.mark.parametrize(
    ("percent", "n", "half_width"),
    [
        # Sampling half-widths at the test set of Kim et al. (2021): Sync-e2e at 11, 20 frames.
        (66.9, 7100, 1.09),
        (79.3, 7100, 0.94),
        (95.2, 7100, 0.50),
    ],
)
def test_half_widths_at_a_published_size(percent: float, n: int, half_width: float) -> None:
    low, high = wilson(round(n * percent / 100), n)
    assert 50 * (high - low) == pytest.approx(half_width, abs=0.006)


@given(n=st.integers(1, 5000), part=st.floats(0, 1))
def test_wilson_solves_its_equation(n: int, part: float) -> None:
    """Its bounds are the proportions p with \\|seen - p\\| = z sqrt(p (1 - p) / n)."""
    hits = round(n * part)
    z = float(stats.norm.ppf(0.975))
    bounds = wilson(hits, n)
    for bound in bounds:
        error = z * math.sqrt(max(0.0, bound * (1 - bound)) / n)
        assert abs(hits / n - bound) == pytest.approx(error, abs=1e-9)
    assert 0 <= bounds[0] <= hits / n <= bounds[1] <= 1


def test_resampling_is_what_it_says() -> None:
    values, names = planted(12, 1)
    chosen = np.vstack(list(multiplicities(12, rng(3), 200)))
    literal = [
        np.mean(np.concatenate([values[names == g, 0] for g in np.repeat(range(12), times)]))
        for times in chosen.astype(int)
    ]
    found = resampled_means(totals(values, names), rng(3), 200)
    np.testing.assert_allclose(found[:, 0], literal, rtol=1e-12)


def test_every_resample_draws_as_many_clusters_as_there_are() -> None:
    chosen = np.vstack(list(multiplicities(700, rng(), 6000)))  # more than one chunk
    assert chosen.shape == (6000, 700)
    assert np.all(chosen.sum(axis=1) == 700)
    assert chosen.mean() == pytest.approx(1)
    assert chosen.var() == pytest.approx(699 / 700, rel=0.01)


def test_the_spread_of_resamples_agrees_with_scipy() -> None:
    values = rng(5).random((40, 6)) + rng(6).random((40, 1))
    names = np.repeat(np.arange(40), 6)
    found = totals(values.ravel(), names)
    ours = resampled_means(found, rng(7))[:, 0].std(ddof=1)
    theirs = stats.bootstrap(
        (values.mean(axis=1),), np.mean, n_resamples=10_000, method="percentile", rng=rng(8)
    )
    assert ours == pytest.approx(theirs.standard_error, rel=0.03)
    plain = stats.sem(values.mean(axis=1))
    assert found.standard_errors[0] == pytest.approx(plain)
    made = mean_interval(values.ravel(), names, rng=rng(7), proportion=False)
    assert made.low is not None
    assert made.high is not None
    t = stats.t.ppf(0.975, 39)
    assert made.high - made.low == pytest.approx(2 * t * plain, rel=0.05)


@pytest.mark.parametrize(("clusters", "least"), [(10, 0.90), (30, 0.92), (100, 0.93)])
def test_intervals_cover_the_truth_as_often_as_they_say(clusters: int, least: float) -> None:
    values, names = planted(clusters, 600)
    assert least <= coverage(all_intervals(values, names, resamples=2000), 0.7) <= 0.985


def test_treating_questions_as_independent_would_not_cover() -> None:
    values, names = planted(30, 600)
    naive = [wilson(int(column.sum()), len(names)) for column in values.T]
    assert np.mean([low <= 0.7 <= high for low, high in naive]) < 0.8


def test_single_questions_get_wilsons_interval() -> None:
    values = (rng(2).random((150, 400)) < 0.9).astype(np.float64)
    made = all_intervals(values, np.arange(150), resamples=100)
    assert {i.method for i in made} == {"wilson"}
    assert 0.93 <= coverage(made, 0.9) <= 0.98
    assert (made[0].low, made[0].high) == wilson(int(values[:, 0].sum()), 150)


@pytest.mark.parametrize(("value", "bound"), [(1.0, "low"), (0.0, "high")])
def test_all_right_or_all_wrong_is_no_certainty(value: float, bound: str) -> None:
    names = np.repeat(np.arange(20), 50)
    made = mean_interval(np.full(1000, value), names, rng=rng())
    assert made.method == "wilson"
    assert (made.low, made.high) == wilson(int(20 * value), 20)
    # Twenty recordings say what twenty independent questions would: the rule of three.
    assert abs(getattr(made, bound) - value) == pytest.approx(3.84 / 20, rel=0.25)


def test_more_repeats_of_the_same_do_not_narrow() -> None:
    values, names = planted(25, 1)
    once = mean_interval(values[:, 0], names, rng=rng())
    tenfold = mean_interval(np.tile(values[:, 0], 10), np.tile(names, 10), rng=rng())
    assert once == tenfold


def test_an_item_counts_once_however_often_it_is_asked() -> None:
    # Clip a is asked four times and right thrice, clip b once and wrong; both of recording x.
    values, clips = [1, 1, 1, 0, 0, 1], ["a", "a", "a", "a", "b", "c"]
    names = ["x", "x", "x", "x", "x", "y"]
    found = totals(values, names, clips)
    assert found.sums[:, 0].tolist() == [0.75, 1.0]
    assert found.counts[:, 0].tolist() == [2, 1]
    assert found.means[0] == pytest.approx((0.75 + 0 + 1) / 3)
    assert totals(values, names).means[0] == pytest.approx(4 / 6)
    with pytest.raises(ValueError, match="two clusters"):
        totals(values, names, ["a", "a", "a", "a", "b", "b"])


def test_the_order_of_questions_does_not_matter() -> None:
    values, names = planted(15, 1)
    order = rng(9).permutation(len(names))
    one = mean_interval(values[:, 0], names, rng=rng())
    assert one == mean_interval(values[order, 0], names[order], rng=rng())
    assert one != mean_interval(values[:, 0], names, rng=rng(1))


def test_the_names_of_recordings_do_not_matter_much() -> None:
    values, names = planted(40, 1)
    one = mean_interval(values[:, 0], names, rng=rng())
    other = mean_interval(values[:, 0], 40 - names, rng=rng())
    assert one.low == pytest.approx(other.low, abs=0.005)
    assert one.high == pytest.approx(other.high, abs=0.005)


@settings(max_examples=60, deadline=None)
@given(
    hits=st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40),
)
def test_intervals_of_proportions_stay_in_bounds(hits: list[tuple[int, bool]]) -> None:
    names, values = zip(*hits, strict=True)
    made = mean_interval(values, names, rng=rng(), resamples=300)
    assert made.clusters == len(set(names))
    means = {np.mean([hit for other, hit in hits if other == name]) for name in names}
    if made.clusters == 1:
        assert made == Interval(None, None, None, 1, caution(1))
    elif len(means) == 1 and 0 < max(means) < 1:
        assert made.low is None  # recordings that agree say nothing about others
    else:
        assert made.low is not None
        assert made.high is not None
        assert 0 <= made.low <= np.mean(values) <= made.high <= 1


def test_few_recordings_are_said_to_be_few() -> None:
    assert caution(10) == ""
    assert "only 9 clusters" in caution(9)
    assert "only 1 cluster:" in caution(1)
    values, names = planted(5, 1)
    few = mean_interval(values[:, 0], names, rng=rng())
    assert "only 5 clusters" in few.caution
    assert few.method == "cluster-bootstrap"


def test_what_was_not_answered_is_wrong_or_left_out() -> None:
    names = np.repeat(np.arange(4), 2)
    errors = [1, np.nan, 2, 2, np.nan, np.nan, 3, 1]
    found = totals(errors, names)
    assert found.counts[:, 0].tolist() == [1, 2, 0, 2]
    assert found.means[0] == pytest.approx(9 / 5)
    with pytest.raises(ValueError, match="without an answer"):
        error_reduction([1, np.nan], [1, 0], [1, 2], rng=rng())


def test_nothing_is_no_mean() -> None:
    for values, names in (([], []), ([1, 0], [1])):
        with pytest.raises(ValueError, match="clusters for values"):
            totals(values, names)


def test_the_two_spreads_are_told_apart() -> None:
    source = rng(4)
    names = np.tile(np.repeat(np.arange(60), 5), 10)
    repeats = np.repeat(np.arange(10), 300)
    draws = 0.1 * source.standard_normal(10)
    recordings = 0.4 * source.standard_normal(60)
    only_draws = spread(draws[repeats], repeats, names)
    assert only_draws.over_repeats == pytest.approx(np.std(draws))
    assert only_draws.standard_error == pytest.approx(0, abs=1e-12)
    only_recordings = spread(recordings[names], repeats, names)
    assert only_recordings.over_repeats == pytest.approx(0, abs=1e-12)
    assert only_recordings.standard_error == pytest.approx(stats.sem(recordings))
    assert spread([0, 1], [0, 1], [0, 0]).standard_error is None


def test_error_reduction_of_the_paper_with_an_interval() -> None:
    """Sync-e2e against SyncNet at 11 frames, 66.88 and 45.17 % (Kim et al. 2021, Table 2)."""
    n = 10_000
    order = np.arange(n)
    a, b = order < 6688, order < 4517
    names = order % 500
    value, made = error_reduction(a, b, names, rng=rng())
    assert value == pytest.approx(rer(0.6688, 0.4517))
    assert value == pytest.approx(0.3959, abs=2e-4)
    assert made.low is not None
    assert made.high is not None
    assert made.low < value < made.high
    # Not paired, the reduction would be far less certain.
    _, apart = error_reduction(a, rng(3).permutation(b), rng(4).permutation(names), rng=rng())
    assert apart.low is not None
    assert apart.high is not None
    assert apart.high - apart.low > 1.3 * (made.high - made.low)


def test_error_reductions_cover_the_truth() -> None:
    source, experiments, clusters = rng(11), 200, 60
    names = np.repeat(np.arange(clusters), 8)
    inside = 0
    for _ in range(experiments):
        ease = source.beta(2, 2, clusters)[names]
        reference = source.random(len(names)) < ease  # half of them right
        better = reference | (source.random(len(names)) < 0.4)  # and 40 % of the others mended
        _, made = error_reduction(better, reference, names, rng=source, resamples=500)
        assert made.low is not None
        assert made.high is not None
        inside += made.low <= 0.4 <= made.high
    assert 0.9 <= inside / experiments <= 0.985


def test_no_error_to_reduce_has_no_interval() -> None:
    value, made = error_reduction([1, 0, 1], [1, 1, 1], [1, 2, 3], rng=rng())
    assert math.isnan(value)
    assert (made.low, made.high, made.method) == (None, None, None)


def test_ten_thousand_resamples_of_a_thousand_recordings_are_quick() -> None:
    values, names = planted(1000, 6)
    found = totals(values, names)
    started = thread_time()
    resampled_means(found, rng())
    assert thread_time() - started < 3  # a third of a second on a quiet machine
