from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.metrics import offset as metrics
from avbench.metrics.offset import Count

METRICS = {
    "accuracy@0": lambda ref, est: metrics.accuracy(ref, est, 0),
    "accuracy@1": lambda ref, est: metrics.accuracy(ref, est, 1),
    "answered": lambda ref, est: metrics.answered(ref, est).fraction,
    "mean": metrics.mean_absolute_error,
    "median": metrics.median_absolute_error,
    "p95": metrics.p95_absolute_error,
    "max": metrics.max_absolute_error,
}
SHARES = ("accuracy@0", "accuracy@1", "answered")
"""Metrics of which 1 is perfect; 0 is perfect for the errors."""

TRUTH = np.array([-5, -2, 0, 3, 5])
offsets = st.lists(st.integers(-5, 5), min_size=1, max_size=40)
every_metric = pytest.mark.parametrize("name", METRICS)


@every_metric
def test_a_perfect_estimate_is_perfect(name: str) -> None:
    assert METRICS[name](TRUTH, TRUTH) == (1 if name in SHARES else 0)


@pytest.mark.parametrize("error", [-3, -1, 1, 4])
def test_a_constant_error_is_measured_exactly(error: int) -> None:
    said = TRUTH + error
    assert metrics.accuracy(TRUTH, said, abs(error)) == 1
    assert metrics.accuracy(TRUTH, said, abs(error) - 1) == 0
    for name in ("mean", "median", "p95", "max"):
        assert METRICS[name](TRUTH, said) == abs(error)


@every_metric
def test_nothing_asked_is_undefined(name: str) -> None:
    assert math.isnan(METRICS[name]([], []))


@every_metric
@pytest.mark.parametrize(
    ("reference", "estimate", "complaint"),
    [
        ([1, 2], [1], "equal length"),
        ([[1]], [[1]], "equal length"),
        ([0.04], [0], "are these seconds"),
        ([0], [0.5], "are these seconds"),
        ([math.nan], [0], "only an estimate may be NaN"),
        ([0], [math.inf], "not finite"),
    ],
)
def test_malformed_input_is_refused(
    name: str, reference: list[float], estimate: list[float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        METRICS[name](reference, estimate)


@given(offsets, st.randoms(use_true_random=False))
def test_order_of_the_questions_does_not_matter(truth: list[int], random: object) -> None:
    said = [int(random.randint(-5, 5)) for _ in truth]  # type: ignore[attr-defined]
    order = list(range(len(truth)))
    random.shuffle(order)  # type: ignore[attr-defined]
    for metric in METRICS.values():
        shuffled = metric([truth[i] for i in order], [said[i] for i in order])
        assert metric(truth, said) == pytest.approx(shuffled)


@given(offsets, offsets)
def test_a_wider_tolerance_never_hurts(truth: list[int], said: list[int]) -> None:
    size = min(len(truth), len(said))
    found = [metrics.accuracy(truth[:size], said[:size], t) for t in range(11)]
    assert found == sorted(found)
    assert found[-1] == 1


@given(offsets)
def test_errors_ignore_the_sign_convention(truth: list[int]) -> None:
    said = np.roll(truth, 1)
    for metric in METRICS.values():
        assert metric(truth, said) == metric(np.negative(truth), -said)


def test_no_answer_is_wrong_and_has_no_error() -> None:
    said = [-5, math.nan, 0, math.nan, 3]
    assert metrics.accuracy(TRUTH, said, 0) == 2 / 5
    assert metrics.accuracy(TRUTH, said, 100) == 3 / 5
    assert metrics.answered(TRUTH, said) == Count(3, 5)
    assert metrics.mean_absolute_error(TRUTH, said) == pytest.approx(2 / 3)
    assert metrics.max_absolute_error(TRUTH, said) == 2
    assert math.isnan(metrics.median_absolute_error([1], [math.nan]))


def test_counts_of_parts_divide_once() -> None:
    said = np.array([-5, -2, 0, 0, 0])
    parts = [metrics.hits(TRUTH[:1], said[:1]), metrics.hits(TRUTH[1:], said[1:])]
    assert sum(parts, Count()) == metrics.hits(TRUTH, said) == Count(3, 5)


def test_evaluate_names_every_metric() -> None:
    found = metrics.evaluate(TRUTH, TRUTH + 1, tolerances=(0, 1, 2))
    assert found == {
        "accuracy@0": 0.0,
        "accuracy@1": 1.0,
        "accuracy@2": 1.0,
        "mean_absolute_error": 1.0,
        "median_absolute_error": 1.0,
        "p95_absolute_error": 1.0,
        "max_absolute_error": 1.0,
        # the method said one frame too much: 40 ms of audio lag are left
        "perceptual@bt1359-detect": 1.0,
        "perceptual@bt1359-accept": 1.0,
        "perceptual@ebu-r37": 1.0,
        "perceptual@atsc-is191": 1.0,
        "perceptual@film-br265": 0.0,
    }


def test_confidence_is_judged_by_the_first_tolerance() -> None:
    truth, said, sure = [0, 0, 0, 0], [0, 1, 1, 4], [1.0, 4.0, 3.0, 2.0]
    exact = metrics.evaluate(truth, said, (0, 1), sure)
    close = metrics.evaluate(truth, said, (1, 0), sure)
    assert exact["auroc"] == 0
    assert close["auroc"] == pytest.approx(2 / 3)
    assert exact["aurc"] > close["aurc"]


def test_confidence_in_an_answer_never_given_is_none() -> None:
    boast = metrics.evaluate([0, 0, 0], [0, 1, math.nan], confidence=[2.0, 1.0, 9.0])
    modest = metrics.evaluate([0, 0, 0], [0, 1, math.nan], confidence=[2.0, 1.0, math.nan])
    assert boast == modest
    assert boast["auroc"] == 1


def test_outcomes_are_what_evaluate_averages() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(-5, 6, (2, 200)).astype(float)
    said[::9] = math.nan
    found = metrics.evaluate(truth, said, (0, 1, 3))
    judged = metrics.outcomes(truth, said, (0, 1, 3))
    assert {name: hit.mean() for name, hit in judged.items()} == {n: found[n] for n in judged}
    assert all(hit.dtype == bool and not hit[::9].any() for hit in judged.values())
    for tolerance in (0, 1, 3):
        accuracy = metrics.accuracy(truth, said, tolerance)
        assert found[f"accuracy@{tolerance}"] == pytest.approx(accuracy)
    with pytest.raises(ValueError, match="no tolerance"):
        metrics.outcomes(truth, said, ())


def test_the_95th_percentile_is_an_error_that_was_made() -> None:
    errors = np.arange(1, 101)
    assert metrics.p95_absolute_error(np.zeros(100), errors) == 95
    assert metrics.p95_absolute_error(np.zeros(20), [0] * 19 + [9]) == 0
    assert metrics.p95_absolute_error(np.zeros(20), [0] * 18 + [9, 9]) == 9
    assert math.isnan(metrics.p95_absolute_error([0], [math.nan]))


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match="tolerance"):
        metrics.accuracy([0], [0], -1)


@pytest.mark.parametrize(
    ("search", "tolerance", "expected"), [(5, 0, 1 / 11), (5, 1, 31 / 121), (15, 1, 91 / 961)]
)
def test_chance(search: int, tolerance: int, expected: float) -> None:
    assert metrics.chance(search, tolerance) == pytest.approx(expected)
    rng = np.random.default_rng(0)
    truth, said = rng.integers(-search, search + 1, (2, 100_000))
    assert metrics.accuracy(truth, said, tolerance) == pytest.approx(expected, abs=0.005)


def test_error_reduction_laws() -> None:
    assert metrics.rer(0.6, 0.6) == 0
    assert metrics.rer(1.0, 0.3) == 1
    assert metrics.rer(0.2, 0.6) == pytest.approx(-1)
    assert math.isnan(metrics.rer(1.0, 1.0))
    with pytest.raises(ValueError, match="percentage"):
        metrics.rer(66.88, 45.17)
