from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from avbench import landmarks
from avbench.data import Clip
from avbench.selftest.drawn import draw

LIPS = landmarks.OUTER_LIP + landmarks.INNER_LIP
TOP, BOTTOM = LIPS.index(13), LIPS.index(14)


@pytest.fixture(scope="module")
def head() -> Clip:
    return draw(3, 50, "test", "easy-v1", seed=5)


def test_the_lips_lie_in_the_lower_middle_of_a_crop(head: Clip) -> None:
    points = landmarks.find(head.frames, LIPS)
    assert points.shape == (50, len(LIPS), 2)
    assert np.isfinite(points).all()
    x, y = points.mean(axis=(0, 1))
    assert 0.4 < x < 0.6
    assert 0.45 < y < 0.75
    opening = points[:, BOTTOM, 1] - points[:, TOP, 1]
    assert opening.max() - opening.min() > 0.01, "a mouth that speaks opens and closes"


def test_a_picture_is_looked_at_on_its_own(head: Clip) -> None:
    whole = landmarks.find(head.frames[:12], LIPS)
    np.testing.assert_array_equal(landmarks.find(head.frames[7:9], LIPS), whole[7:9])
    np.testing.assert_array_equal(landmarks.find(head.frames[11::-1], LIPS), whole[::-1])


def test_a_closer_look_moves_the_lips_a_little_and_stays_out_of_the_other(head: Clip) -> None:
    plain = landmarks.find(head.frames[:6], LIPS)
    closer = landmarks.find(head.frames[:6], LIPS, refined=True)
    moved = np.linalg.norm(closer - plain, axis=-1)
    assert 0.001 < moved.mean() < 0.03, "of the crop's side"
    np.testing.assert_array_equal(landmarks.find(head.frames[:6], LIPS), plain)


def test_threads_find_the_same(head: Clip) -> None:
    alone = landmarks.find(head.frames[:6], LIPS)
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: landmarks.find(head.frames[:6], LIPS), range(6)):
            np.testing.assert_array_equal(found, alone)


def test_no_face_is_nan() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert np.isnan(landmarks.find(noise, LIPS)).all()
    assert landmarks.find(noise[:0], LIPS).shape == (0, len(LIPS), 2)


def test_it_says_nothing(head: Clip, capfd: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(landmarks.find, head.frames[:1], LIPS).result()
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
