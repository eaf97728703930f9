from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.metrics import offset
from avbench.metrics.offset import Count
from avbench.metrics.per_video import macro_accuracy, top1_per_video, vote


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_the_vote_is_most_frequent_and_nearest_to_sync(said: list[int]) -> None:
    chosen = vote(said)
    assert all(said.count(int(chosen)) >= said.count(x) for x in said)
    rivals = [x for x in said if said.count(x) == said.count(int(chosen))]
    assert abs(chosen) == min(abs(x) for x in rivals)
    assert vote(said[::-1]) == chosen


def test_ties_go_to_the_negative_offset_of_equal_size() -> None:
    assert vote([2, -2]) == -2
    assert math.isnan(vote([math.nan]))
    assert math.isnan(vote([]))


def test_many_wrong_windows_are_outvoted_by_one_answer() -> None:
    """Two of five windows are right, all others differ: the video is right."""
    truth, said = [3] * 5, [3, 3, 1, 0, -2]
    assert offset.accuracy(truth, said) == 0.4
    assert top1_per_video(truth, said, ["a"] * 5) == Count(1, 1)
    assert top1_per_video(truth, [math.nan] * 5, ["a"] * 5) == Count(0, 1)
    assert top1_per_video([3], [2], ["a"], tolerance=1).fraction == 1


def test_macro_and_micro_agree_where_videos_are_of_one_length() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(-2, 3, (2, 60))
    even, uneven = np.arange(60) // 10, np.minimum(np.arange(60), 20)
    micro = offset.accuracy(truth, said, 1)
    assert macro_accuracy(truth, said, even.tolist(), 1) == pytest.approx(micro)
    shares = [offset.accuracy(truth[uneven == v], said[uneven == v], 1) for v in range(21)]
    assert macro_accuracy(truth, said, uneven.tolist(), 1) == pytest.approx(np.mean(shares))


def test_a_long_bad_video_weighs_more_in_micro() -> None:
    truth, said, video = [0] * 10, [0] + [5] * 9, ["short"] + ["long"] * 9
    assert (offset.accuracy(truth, said), macro_accuracy(truth, said, video)) == (0.1, 0.5)


def test_malformed_input_is_refused() -> None:
    with pytest.raises(ValueError, match="several true offsets"):
        top1_per_video([1, 2], [1, 2], ["a", "a"])
    with pytest.raises(ValueError, match="3 videos for 2"):
        macro_accuracy([1, 2], [1, 2], ["a", "b", "c"])
