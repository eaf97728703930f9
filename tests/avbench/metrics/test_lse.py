from __future__ import annotations

import math

import numpy as np
import pytest

from avbench.metrics.lse import Lse, lse, per_clip
from avbench.similarity import pick_offset


def test_by_hand() -> None:
    found = lse([[7, 2, 6, 8, 9], [5, 5, 4, 6, 8]], "whole-frame")
    assert found == Lse((2 + 4) / 2, (5 + 1) / 2, 2, 0, 2, "whole-frame")


def test_each_clip_has_the_least_distance_and_confidence_of_syncnet() -> None:
    curves = np.random.default_rng(0).random((20, 31))
    curves[3, 5:20] = np.inf
    least, margin = per_clip(curves)
    for row, (curve, low, gap) in enumerate(zip(curves, least, margin, strict=True)):
        _, distance, confidence = pick_offset(curve, 15)
        assert (low, gap) == (distance, confidence), row


def test_a_constant_offset_of_the_data_does_not_matter() -> None:
    curves = np.random.default_rng(0).random((20, 31))
    one, moved = lse(curves, "facetrack"), lse(np.roll(curves, 4, axis=1), "facetrack")
    assert (one.distance, one.confidence) == (moved.distance, moved.confidence)


def test_scaling_an_embedding_scales_both_numbers() -> None:
    """Which is why numbers of two checkpoints say nothing about each other."""
    curves = np.random.default_rng(0).random((20, 31))
    one, double = lse(curves, "facetrack"), lse(2 * curves, "facetrack")
    assert double.distance == pytest.approx(2 * one.distance)
    assert double.confidence == pytest.approx(2 * one.confidence)


def test_a_clip_without_evidence_is_counted_and_left_out() -> None:
    found = lse([[3, 1, 2], [np.inf, np.nan, np.inf]], "facetrack")
    assert (found.clips, found.undefined, found.distance, found.confidence) == (2, 1, 1, 1)
    assert all(math.isnan(values[1]) for values in per_clip([[3, 1, 2], [np.inf] * 3]))
    nothing = lse(np.full((2, 3), np.inf), "facetrack")
    assert nothing.undefined == 2
    assert math.isnan(nothing.distance)


@pytest.mark.parametrize(
    ("curves", "variant", "complaint"),
    [
        ([1, 2, 3], "facetrack", "curves of shape"),
        ([[1, 2]], "facetrack", "curves of shape"),
        ([[-1, 2, 3]], "facetrack", "similarities"),
        ([[1, 2, 3]], "face", "variant"),
    ],
)
def test_malformed_input_is_refused(curves, variant, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        lse(curves, variant)
