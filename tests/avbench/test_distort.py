from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avbench.distort import alignment_of, draw_offset, drop_duplicate, rng_for

LAWS = ["tae2020", "symmetric"]


@pytest.mark.parametrize("law", LAWS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), num_frames=st.integers(1, 400))
def test_faults_keep_order_length_and_bounds(law: str, seed: int, num_frames: int) -> None:
    shown = drop_duplicate(num_frames, rng=rng_for(seed), law=law)
    assert 1 <= len(shown) <= num_frames
    assert shown[0] >= 0
    assert shown[-1] < num_frames
    assert np.all(np.diff(shown) >= 0)
    counts = np.bincount(shown)
    assert counts.max() <= 4
    drift = np.arange(len(shown)) - shown
    assert drift.min() >= -25
    assert drift.max() <= 25


@pytest.mark.parametrize("law", LAWS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_label_points_back_to_the_frame_that_belongs_to_the_sound(law: str, seed: int) -> None:
    shown = drop_duplicate(120, rng=rng_for(seed), law=law)
    truth = alignment_of(shown).video_index
    assert np.all(np.diff(truth) >= 0)
    for audio, position in enumerate(truth):
        distance = abs(int(shown[position]) - audio)
        assert distance == np.abs(shown - audio).min()
        if audio in shown:
            assert shown[position] == audio
            assert position == np.flatnonzero(shown == audio)[-1]


def test_a_dropped_frame_maps_to_the_nearest_survivor_and_the_later_on_a_tie() -> None:
    assert alignment_of(np.array([0, 2, 3]), 4).video_index.tolist() == [0, 1, 1, 2]
    assert alignment_of(np.array([0, 4, 5]), 6).video_index.tolist() == [0, 0, 1, 1, 1, 2]


def test_a_duplicated_frame_maps_to_its_last_copy_and_the_end_to_the_last_frame() -> None:
    assert alignment_of(np.array([0, 1, 1, 1]), 4).video_index.tolist() == [0, 3, 3, 3]


def test_no_fault_is_the_identity() -> None:
    assert alignment_of(np.arange(9)).offset == 0


def test_the_laws_drift_as_documented() -> None:
    # The released law grows 79 frames to 96.3 on average: final drift +17.3 (uncut length).
    ends = {}
    for law in LAWS:
        drifts = []
        for seed in range(400):
            shown = drop_duplicate(79, rng=rng_for(seed, law), law=law)
            drifts.append(len(shown) - 1 - shown[-1])
        ends[law] = float(np.mean(drifts))
    assert 12 < ends["tae2020"] < 20
    assert abs(ends["symmetric"]) < 1.5


def test_offsets_are_uniform_over_the_whole_range() -> None:
    rng = rng_for(0, "offsets")
    drawn = np.array([draw_offset(rng, 5) for _ in range(11_000)])
    counts = np.bincount(drawn + 5, minlength=11)
    assert len(counts) == 11
    assert np.all(np.abs(counts - 1000) < 150)


def test_randomness_depends_on_seed_and_key_alone() -> None:
    def first(*key: object) -> float:
        return float(rng_for(*key).random())  # type: ignore[arg-type]

    assert first(0, "a") == first(0, "a")
    assert len({first(0, "a"), first(1, "a"), first(0, "b"), first(0, "a", 1)}) == 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: drop_duplicate(0, rng=rng_for(0)), "num_frames"),
        (lambda: drop_duplicate(9, rng=rng_for(0), law="other"), "other"),  # type: ignore[arg-type]
        (lambda: alignment_of(np.array([2, 1])), "non-decreasing"),
    ],
)
def test_nonsense_is_refused_with_the_value(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]
