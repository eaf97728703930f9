from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.metrics.verification import (
    average_precision,
    binary_accuracy,
    equal_error_rate,
    mean_average_precision,
    roc,
)

pairs = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30).filter(
    lambda found: len({positive for positive, _ in found}) == 2
)


@given(pairs)
def test_the_roc_counts_accepts_at_every_threshold(found: list[tuple[bool, int]]) -> None:
    truth, score = (np.array(x) for x in zip(*found, strict=True))
    curve = roc(truth, score)
    assert len(curve.threshold) == len(np.unique(score)) + 1
    for at, threshold in enumerate(curve.threshold):
        accepted = score >= threshold
        assert curve.false_positive[at] == pytest.approx(accepted[~truth].mean())
        assert curve.true_positive[at] == pytest.approx(accepted[truth].mean())


@given(pairs)
def test_the_equal_error_rate_is_that_of_the_formula(found: list[tuple[bool, int]]) -> None:
    """The larger rate where the two are closest, trying every threshold from the top."""
    truth, score = (np.array(x) for x in zip(*found, strict=True))
    rates = []
    for threshold in [np.inf, *sorted(set(score.tolist()), reverse=True)]:
        accepted = score >= threshold
        rates.append((accepted[~truth].mean(), 1 - accepted[truth].mean()))
    gaps = np.round([abs(fpr - fnr) for fpr, fnr in rates], 9)
    assert equal_error_rate(truth, score) == pytest.approx(max(rates[int(np.argmin(gaps))]))


def test_the_equal_error_rate_of_two_bells_is_known() -> None:
    """Scores N(0, 1) and N(2, 1): both rates are Phi(-1) at the threshold 1."""
    rng = np.random.default_rng(0)
    score = np.concatenate([rng.normal(0, 1, 60_000), rng.normal(2, 1, 30_000)])
    positive = np.arange(90_000) >= 60_000
    expected = 0.5 * math.erfc(1 / math.sqrt(2))
    assert equal_error_rate(positive, score) == pytest.approx(expected, abs=0.003)
    assert equal_error_rate(positive, -score) == pytest.approx(1 - expected, abs=0.003)


def test_pairs_without_a_score_are_never_accepted() -> None:
    positive, score = [1, 1, 0, 0], [0.9, math.nan, 0.1, math.nan]
    curve = roc(positive, score)
    assert curve.true_positive.max() == curve.false_positive.max() == 0.5
    assert average_precision(positive, score) == 0.5


def test_average_precision_by_hand() -> None:
    positive, score = [1, 0, 1, 0, 0, 1], [6, 5, 4, 3, 2, 1]
    assert average_precision(positive, score) == pytest.approx((1 + 2 / 3 + 3 / 6) / 3)
    assert average_precision([0, 1, 1], [3, 2, 1]) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert average_precision([0, 1, 1], [3, 2, 1], interpolated=True) == pytest.approx(2 / 3)
    assert math.isnan(average_precision([0, 0], [1, 2]))
    assert mean_average_precision([0.5, 1, math.nan]) == 0.75
    assert math.isnan(mean_average_precision([math.nan]))


def test_ties_are_accepted_together() -> None:
    """A constant score has the precision of the base rate, in whichever order it is given."""
    assert average_precision([1, 0, 0, 0], [1, 1, 1, 1]) == 0.25
    assert equal_error_rate([1, 0, 0, 0], [1, 1, 1, 1]) == 1


def test_accuracy_of_one_kind_says_nothing_of_the_other() -> None:
    """Refusing everything is right on all off-sync pairs, and no better than chance."""
    found = binary_accuracy([1, 0, 0, 0], [0.5, 0, 0, 0.5], threshold=0.5)
    assert (found.accuracy, found.negative, found.positive, found.balanced) == (0.75, 1, 0, 0.5)


def test_accuracy_of_a_kind_that_is_not_there_is_undefined() -> None:
    found = binary_accuracy([0, 0], [1, 0], threshold=0.5)
    assert (found.accuracy, found.negative) == (0.5, 0.5)
    assert math.isnan(found.positive)
    assert math.isnan(found.balanced)


@pytest.mark.parametrize(
    ("positive", "score", "complaint"),
    [([1, 1], [1, 2], "some of each"), ([1], [1, 2], "equal length"), ([2, 0], [1, 2], "true or")],
)
def test_malformed_input_is_refused(positive, score, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        equal_error_rate(positive, score)
