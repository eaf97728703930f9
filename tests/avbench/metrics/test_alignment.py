from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.data import Alignment
from avbench.distort import alignment_of, drop_duplicate
from avbench.metrics import alignment
from avbench.metrics.alignment import Retiming, fill, implied_lengths, retime

indices = st.lists(st.integers(0, 11), min_size=1, max_size=30)


@given(indices)
def test_the_counts_are_those_of_their_definitions(shown: list[int]) -> None:
    found = retime(shown, num_source=12)
    moves = list(itertools.pairwise(shown))
    assert found.repeats == sum(b == a for a, b in moves)
    assert found.consecutive == sum(b == a + 1 for a, b in moves)
    assert found.jumps == sum(b > a + 1 for a, b in moves)
    assert found.backs == sum(b < a for a, b in moves)
    assert found.unique == len(set(shown))
    assert found.duplicated == sum(x in shown[:t] for t, x in enumerate(shown))
    assert found.deleted == sum(x not in shown for x in range(12))


@given(indices)
def test_the_identities_hold(shown: list[int]) -> None:
    for found in (retime(shown, 12), retime(sorted(shown), 12)):
        assert found.unique + found.duplicated == len(shown)
        assert found.unique + found.deleted == 12
        assert found.repeats + found.consecutive + found.jumps + found.backs == len(shown) - 1
    assert retime(sorted(shown), 12).duplicated == retime(sorted(shown), 12).repeats


def test_counts_of_videos_add() -> None:
    one, two = retime([0, 1, 2, 2], 4), retime([1, 0], 2)
    both = one + two
    assert (both.output, both.source, both.steps, both.backs) == (6, 6, 4, 1)
    assert both.per_100()["deleted"] == pytest.approx(100 / 6)
    assert sum([one, two], Retiming()) == both
    assert math.isnan(Retiming().per_100()["unique"])


def test_counts_that_no_alignment_has_are_refused() -> None:
    with pytest.raises(ValueError, match="moves"):
        Retiming(output=3, source=3, steps=2, unique=3)
    with pytest.raises(ValueError, match="unique"):
        Retiming(output=1, source=3, unique=2)
    with pytest.raises(ValueError, match="repeats"):
        Retiming(output=3, source=3, steps=2, unique=2, consecutive=2)


def test_frames_left_unmatched_must_be_filled_first() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        retime([0, math.nan], 3)
    for index in (-1, 3):
        with pytest.raises(ValueError, match="fill it first"):
            retime([0, index], 3)
    filled = fill([math.nan, 0, math.nan, 7], num_source=3, num_audio=6)
    assert filled.tolist() == [0, 0, 0, 2, 2, 2]
    assert retime(filled, 3).output == 6
    assert fill([0, 1, 2], num_source=3, num_audio=3).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="match"):
        fill([math.nan], 3, 3)
    with pytest.raises(ValueError, match="match"):
        fill([0, 1], 3, 1)


def test_a_constant_error_is_measured_in_every_frame() -> None:
    truth = Alignment.from_offset(2, 50).video_index
    found = alignment.evaluate([truth], [truth + 3])
    assert found["accuracy@0"] == 0
    assert found["mean_absolute_error"] == found["max_absolute_error"] == 3
    assert alignment.evaluate([truth], [truth + 3], (3,))["accuracy@3"] == 1


def test_errors_are_pooled_over_frames_of_all_videos() -> None:
    rng = np.random.default_rng(0)
    truths = [alignment_of(drop_duplicate(n, rng=rng)).video_index for n in (80, 120)]
    said = [truth + rng.integers(-2, 3, len(truth)) for truth in truths]
    errors = np.abs(np.concatenate(said) - np.concatenate(truths))
    found = alignment.evaluate(truths, said)
    assert found["mean_absolute_error"] == pytest.approx(errors.mean())
    assert found["max_absolute_error"] == errors.max()
    assert found["accuracy@0"] == pytest.approx((errors == 0).mean())
    assert found["accuracy@1"] == pytest.approx((errors <= 1).mean())


def test_an_unmatched_frame_is_wrong_and_has_no_error() -> None:
    found = alignment.evaluate([[0, 1, 2, 3]], [[0, math.nan, 2, 5]])
    assert found["accuracy@0"] == 0.5
    assert found["mean_absolute_error"] == pytest.approx(2 / 3)


def test_nothing_aligned_is_undefined() -> None:
    assert math.isnan(alignment.evaluate([], [])["accuracy@0"])
    with pytest.raises(ValueError, match="references"):
        alignment.evaluate([[0]], [])


def test_a_drop_deletes_and_a_copy_duplicates() -> None:
    """Planted: one of ten frames is dropped, another shown three times."""
    shown = [0, 1, 2, 4, 5, 6, 6, 6, 7, 8, 9]
    found = retime(shown, 10)
    assert (found.deleted, found.duplicated, found.jumps, found.backs) == (1, 2, 1, 0)


def test_implied_lengths_are_those_of_the_retiming() -> None:
    found = retime([0, 0, 1, 3, 4], 6)
    assert implied_lengths(found.duplicated, found.deleted, found.unique) == (5, 6)
