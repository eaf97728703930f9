"""The arithmetic of similarity against slow literal versions, and the sign of its offsets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.similarity import (
    diagonal_means,
    frame_confidence,
    normalise,
    pick_offset,
    similarity_matrix,
    sliding_distances,
)

SIZES = st.tuples(
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 6), st.integers(0, 2**32 - 1)
)


def rows(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


@given(SIZES)
def test_similarity_matrix_is_the_cosine_of_each_pair(sizes):
    num_audio, num_video, _, seed = sizes
    rng = np.random.default_rng(seed)
    audio, video = rows(rng, num_audio, 4), rows(rng, num_video, 4)
    expected = [
        [np.dot(a, v) / (np.linalg.norm(a) * np.linalg.norm(v)) for v in video] for a in audio
    ]
    assert similarity_matrix(audio, video) == pytest.approx(np.array(expected), abs=1e-5)


@given(SIZES)
def test_diagonal_means_average_the_elements_that_exist(sizes):
    num_audio, num_video, search, seed = sizes
    matrix = np.random.default_rng(seed).standard_normal((num_audio, num_video))
    expected = []
    for offset in range(-search, search + 1):
        line = [matrix[a, v] for a in range(num_audio) for v in range(num_video) if v - a == offset]
        expected.append(np.mean(line) if line else -np.inf)
    assert diagonal_means(matrix, search) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("edge", ["zero", "valid"])
@given(sizes=SIZES)
def test_sliding_distances_follow_the_padded_loop(edge, sizes):
    num_audio, num_video, search, seed = sizes
    rng = np.random.default_rng(seed)
    audio, video = rows(rng, num_audio, 3), rows(rng, num_video, 3)
    expected = []
    for offset in range(-search, search + 1):
        distances = []
        for v in range(num_video):
            a = v - offset
            inside = 0 <= a < num_audio
            if inside or edge == "zero":
                distances.append(np.linalg.norm(video[v] - (audio[a] if inside else 0)))
        expected.append(np.mean(distances) if distances else np.inf)
    found = sliding_distances(video, audio, search, edge)
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def test_batches_are_many_single_windows():
    rng = np.random.default_rng(0)
    audio, video = rows(rng, 3, 8, 5), rows(rng, 3, 8, 5)
    matrices = similarity_matrix(audio, video)
    for i in range(3):
        assert matrices[i] == pytest.approx(similarity_matrix(audio[i], video[i]), abs=1e-6)
        assert diagonal_means(matrices, 4)[i] == pytest.approx(diagonal_means(matrices[i], 4))
        assert sliding_distances(video, audio, 4)[i] == pytest.approx(
            sliding_distances(video[i], audio[i], 4)
        )


@pytest.mark.parametrize("offset", range(-5, 6))
def test_early_sound_reads_as_a_positive_offset(offset):
    shared = normalise(rows(np.random.default_rng(1), 40, 16))
    video, audio = shared[10:26], shared[10 + offset : 26 + offset]
    assert np.argmax(diagonal_means(similarity_matrix(audio, video), 5)) - 5 == offset
    for edge in ("zero", "valid"):
        assert pick_offset(sliding_distances(video, audio, 5, edge), 5)[0] == offset


def test_pick_offset_gives_least_distance_and_confidence():
    assert pick_offset(np.array([3.0, 1.0, 2.0, 9.0, 4.0]), 2) == (-1, 1.0, 2.0)


@pytest.mark.parametrize(
    ("distances", "offset"),
    [
        ([1, 1, 1, 1, 1], 0),
        ([1, 2, 2, 2, 1], -2),
        ([1, 2, 2, 1, 2], 1),
        ([np.inf, np.inf, 7, np.nan, 3], 2),
    ],
)
def test_pick_offset_breaks_ties_to_the_smallest_then_the_negative(distances, offset):
    assert pick_offset(np.array(distances, dtype=float), 2)[0] == offset


def test_pick_offset_without_evidence_is_unsure():
    offset, distance, confidence = pick_offset(np.full(3, np.inf), 1)
    assert (offset, distance) == (0, np.inf)
    assert np.isnan(confidence)


def test_zero_rows_have_no_direction():
    zeros, ones = np.zeros((2, 3)), np.ones((2, 3))
    assert not similarity_matrix(zeros, ones).any()


@pytest.mark.parametrize(
    "call",
    [
        lambda: similarity_matrix(np.ones((2, 3)), np.ones((2, 4))),
        lambda: similarity_matrix(np.ones((0, 3)), np.ones((2, 3))),
        lambda: similarity_matrix(np.ones(3), np.ones(3)),
        lambda: sliding_distances(np.ones((1, 2, 3)), np.ones((2, 3)), 1),
        lambda: sliding_distances(np.ones((2, 3)), np.ones((2, 3)), -1),
        lambda: sliding_distances(np.ones((2, 3)), np.ones((2, 3)), 1, "wrap"),
        lambda: diagonal_means(np.ones(3), 1),
        lambda: pick_offset(np.ones(4), 2),
    ],
)
def test_malformed_input_is_refused(call):
    with pytest.raises(ValueError, match="got"):
        call()


def test_frame_confidence_falls_where_the_sound_is_of_somebody_else() -> None:
    rng = np.random.default_rng(4)
    audio = normalise(rng.normal(size=(90, 8)))
    video = audio[12:72].copy()  # three frames early, with 15 rows before the first picture
    video[30:50] = normalise(rng.normal(size=(20, 8)))
    found = frame_confidence(video, audio, 15, lead=15)
    curve = sliding_distances(video, audio, 15, edge="valid", lead=15)
    assert pick_offset(curve, 15)[0] == 3
    assert found.shape == (60,)
    assert found[5:25] == pytest.approx(np.median(curve))
    assert found[35:45].max() < 0.5 * found[5:25].min()


def test_frame_confidence_is_median_minus_own_distance_filtered() -> None:
    rng = np.random.default_rng(5)
    video, audio = rng.normal(size=(30, 4)), rng.normal(size=(60, 4))
    curve = sliding_distances(video, audio, 5, edge="valid", lead=15)
    offset, _, _ = pick_offset(curve, 5)
    own = np.linalg.norm(video - audio[np.arange(30) - offset + 15], axis=1)
    expected = np.median(curve) - own
    assert frame_confidence(video, audio, 5, lead=15, smoothing=1) == pytest.approx(expected)
    smooth = frame_confidence(video, audio, 5, lead=15)
    assert smooth[10] == pytest.approx(np.median(expected[6:15]))
