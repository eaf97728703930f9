from __future__ import annotations

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.metrics import confidence
from avbench.metrics.confidence import abstain, aurc, auroc, calibration, risk_coverage

records = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=40)


@given(records)
def test_auroc_is_the_share_of_pairs_in_order(found: list[tuple[bool, int]]) -> None:
    right = [c for hit, c in found if hit]
    wrong = [c for hit, c in found if not hit]
    pairs = [(a > b) + (a == b) / 2 for a in right for b in wrong]
    value = auroc(*zip(*found, strict=True))
    if pairs:
        assert value == pytest.approx(np.mean(pairs))
    else:
        assert math.isnan(value)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=6))
def test_aurc_averages_every_order_of_equals(found: list[tuple[bool, int]]) -> None:
    areas = []
    for order in permutations(found):
        if all(a[1] >= b[1] for a, b in pairwise(order)):
            wrong = np.cumsum([not hit for hit, _ in order])
            areas.append(np.mean(wrong / np.arange(1, len(order) + 1)))
    assert aurc(*zip(*found, strict=True)) == pytest.approx(np.mean(areas))


@given(records)
def test_only_the_order_of_confidence_matters(found: list[tuple[bool, int]]) -> None:
    right, sure = (np.array(x) for x in zip(*found, strict=True))
    for measure in (auroc, aurc):
        assert measure(right, sure) == pytest.approx(measure(right, np.exp(sure)), nan_ok=True)
    assert auroc(right, -sure) == pytest.approx(1 - auroc(right, sure), nan_ok=True)


def test_a_method_that_knows_nothing_gains_nothing() -> None:
    right = np.arange(10) < 7
    assert auroc(right, np.zeros(10)) == 0.5
    assert aurc(right, np.zeros(10)) == pytest.approx(0.3)
    assert risk_coverage(right, np.zeros(10)).risk == pytest.approx(np.full(10, 0.3))


def test_confidence_not_stated_ranks_last() -> None:
    right, sure = [True, False, True, False], [2.0, 1.0, math.nan, math.nan]
    assert auroc(right, sure) == pytest.approx(auroc(right, [2, 1, -9, -9]))
    assert aurc(right, sure) == pytest.approx(aurc(right, [2, 1, -9, -9]))
    for measure in (auroc, aurc):
        assert math.isnan(measure(right, [math.nan] * 4))


def test_the_curve_ends_at_the_error_rate() -> None:
    rng = np.random.default_rng(0)
    right, sure = rng.random(200) < 0.8, rng.random(200)
    curve = risk_coverage(right, sure)
    assert curve.coverage[0] == 1 / 200
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(1 - right.mean())
    assert confidence.accuracy_at_coverage(right, sure, 1) == pytest.approx(right.mean())
    assert aurc(right, sure) == pytest.approx(curve.risk.mean())


def test_coverage_and_accuracy_trade() -> None:
    right, sure = [True, True, True, False, False], [5, 4, 3, 2, 1]
    assert confidence.accuracy_at_coverage(right, sure, 0.6) == 1
    assert confidence.accuracy_at_coverage(right, sure, 0.7) == 0.75  # four of five are needed
    assert confidence.coverage_at_accuracy(right, sure, 1) == 0.6
    assert confidence.coverage_at_accuracy(right, sure, 0.7) == 0.8
    assert confidence.coverage_at_accuracy([False], [1], 0.5) == 0


def test_abstaining() -> None:
    right, sure = [True, True, False, True], [4.0, 3.0, 2.0, math.nan]
    everything = abstain(right, sure, -math.inf)
    assert (everything.coverage, everything.accuracy, everything.lost) == (1, 0.75, 0)
    some = abstain(right, sure, 3)
    assert (some.coverage, some.accuracy) == (0.5, 1)
    assert some.lost == pytest.approx(1 / 3)
    nothing = abstain(right, sure, 5)
    assert nothing.coverage == 0
    assert math.isnan(nothing.accuracy)


def test_calibration_of_planted_probabilities() -> None:
    rng = np.random.default_rng(0)
    stated = rng.random(200_000)
    honest, boastful = rng.random((2, 200_000))
    assert calibration(honest < stated, stated).ece < 0.01
    found = calibration(boastful < stated - 0.2, stated, bins=5)
    assert found.counts.sum() == 200_000
    assert found.accuracy[1:] == pytest.approx(found.confidence[1:] - 0.2, abs=0.01)
    assert found.ece == pytest.approx(0.18, abs=0.01)  # below 0.2 there is less to lose


def test_calibration_by_hand() -> None:
    found = calibration([1, 0, 1, 1], [0.0, 0.5, 0.9, math.nan], bins=2)
    assert found.counts.tolist() == [2, 1]  # 0.5 closes the first bin
    assert found.confidence.tolist() == [0.25, 0.9]
    assert found.accuracy.tolist() == [0.5, 1]
    assert found.ece == pytest.approx((2 * 0.25 + 0.1) / 3)
    assert found.unstated == 1
    assert calibration([1, 1], [0.5, 1.0], bins=1).ece == 0.25
    assert math.isnan(calibration([1], [0.1], bins=2).accuracy[1])


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: auroc([1, 0], [1]), "equal length"),
        (lambda: auroc([0.3, 1], [1, 2]), "true or false"),
        (lambda: calibration([1], [1.5]), "probabilities only"),
        (lambda: calibration([1], [-0.5]), "probabilities only"),
        (lambda: calibration([1], [0.5], bins=0), "bins"),
        (lambda: confidence.accuracy_at_coverage([1], [1], 0), "coverage"),
        (lambda: confidence.coverage_at_accuracy([1], [1], 90), "accuracy"),
        (lambda: abstain([1], [1], math.nan), "threshold"),
    ],
)
def test_malformed_input_is_refused(call, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()
