"""Shots: planted cuts, dissolves, flashes and light, then the cuts of real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avbench.data import FloatArray, UInt8Array
from avbench.media import iter_frames
from pipelines.shots import (
    Boundaries,
    ShotDetector,
    ShotSettings,
    blend_error,
    content_change,
    describe,
    distance,
    find_cuts,
)

HEIGHT, WIDTH = 90, 160


def room(seed: int) -> FloatArray:
    """A still picture of coloured rectangles, shape (90, 160, 3)."""
    rng = np.random.default_rng(seed)
    image = np.empty((HEIGHT, WIDTH, 3))
    image[:] = rng.uniform(30, 220, 3)
    for _ in range(12):
        y, x = rng.integers(0, HEIGHT - 20), rng.integers(0, WIDTH - 30)
        image[y : y + rng.integers(10, 50), x : x + rng.integers(10, 70)] = rng.uniform(0, 255, 3)
    return image


def film(image: FloatArray, length: int, seed: int = 0) -> FloatArray:
    """``length`` noisy frames of a room with something moving in it."""
    rng = np.random.default_rng(seed)
    frames = image + rng.normal(0, 3, (length, HEIGHT, WIDTH, 3))
    for t in range(length):
        x = 20 + t % 60
        frames[t, 40:60, x : x + 16] = (200, 160, 140)
    return frames


def detect(*parts: FloatArray, settings: ShotSettings | None = None) -> Boundaries:
    detector = ShotDetector(settings)
    for frame in np.concatenate(parts):
        detector.push(np.clip(frame, 0, 255).astype(np.uint8))
    return detector.finish()


def dissolve(first: FloatArray, last: FloatArray) -> FloatArray:
    share = (np.arange(1, len(first) + 1) / (len(first) + 1))[:, None, None, None]
    return first * (1 - share) + last * share


def test_one_shot_has_no_boundary() -> None:
    found = detect(film(room(1), 80))
    assert (found.cuts, found.transitions) == ((), ())
    assert [(s.start, s.stop) for s in found.shots("v")] == [(0, 80)]


@pytest.mark.parametrize("seed", range(6))
def test_hard_cuts_are_found_to_the_frame(seed: int) -> None:
    lengths = [31, 45, 8, 60]
    parts = [film(room(10 * seed + n), length, n) for n, length in enumerate(lengths)]
    found = detect(*parts)
    assert found.cuts == tuple(np.cumsum(lengths)[:-1].tolist())
    assert found.transitions == ()
    assert [len(shot) for shot in found.shots("v")] == lengths


@pytest.mark.parametrize("length", [8, 12, 16, 24])
def test_a_dissolve_belongs_to_no_shot(length: int) -> None:
    one, two = room(3), room(4)
    mixed = dissolve(film(one, length, 1), film(two, length, 2))
    found = detect(film(one, 40, 3), mixed, film(two, 40, 4))
    assert found.cuts == ()
    ((start, stop),) = found.transitions
    assert abs(start - 40) <= 4
    assert abs(stop - 40 - length) <= 4
    assert [(s.start, s.stop) for s in found.shots("v")] == [(0, start), (stop, 80 + length)]


def test_a_fade_through_black_ends_a_shot() -> None:
    black = np.zeros((12, HEIGHT, WIDTH, 3))
    out, back = dissolve(film(room(5), 12), black), dissolve(black, film(room(6), 12))
    found = detect(film(room(5), 40), out, black[:3], back, film(room(6), 40))
    shots = found.shots("v")
    assert shots[0].stop <= 40 + 6
    assert shots[-1].start >= 40 + 12 + 3 + 6


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_not_a_cut(length: int) -> None:
    frames = film(room(7), 80)
    frames[40 : 40 + length] = frames[40 : 40 + length] * 0.3 + 180
    assert detect(frames).cuts == ()


def test_a_cut_beside_a_flash_is_still_found() -> None:
    first, second = film(room(8), 40), film(room(9), 40)
    first[36] = 255
    assert detect(first, second).cuts == (40,)


def test_a_change_of_light_is_neither_cut_nor_dissolve() -> None:
    gain = 1 + 0.12 * np.sin(np.arange(100) / 6)[:, None, None, None]
    found = detect(film(room(11), 100) * gain)
    assert (found.cuts, found.transitions) == ((), ())


def test_a_moving_camera_is_neither_cut_nor_dissolve() -> None:
    wide = np.concatenate([room(seed) for seed in (12, 13, 14)], axis=1)
    frames = np.stack([wide[:, 4 * t : 4 * t + WIDTH] for t in range(70)])
    found = detect(frames)
    assert (found.cuts, found.transitions) == ((), ())


def test_an_inset_and_a_caption_are_not_cuts() -> None:
    frames = film(room(15), 90)
    frames[40:, 5:50, 60:120] = room(16)[5:50, 60:120]
    frames[60:, 70:85, 10:150] = 250
    assert detect(frames).cuts == ()


def test_the_settings_matter() -> None:
    parts = film(room(1), 40), film(room(2), 40)
    assert detect(*parts).cuts == (40,)
    assert detect(*parts, settings=ShotSettings(threshold=0.99)).cuts == ()


def test_distance_is_zero_for_equal_and_one_for_disjoint_colours() -> None:
    settings = ShotSettings()
    black, white = np.zeros((20, 30, 3), np.uint8), np.full((40, 20, 3), 255, np.uint8)
    one, two = describe(black, settings), describe(white, settings)
    assert one.histogram.shape == (16, 48)
    np.testing.assert_allclose(one.histogram.sum(axis=1), 1, rtol=1e-6)
    assert distance(one.histogram, one.histogram, 0.4) == 0
    assert distance(one.histogram, two.histogram, 0.4) == pytest.approx(1)


def test_blend_error_knows_a_straight_line() -> None:
    one, two = room(1), room(2)
    weights = np.linspace(0, 1, 5)[:, None, None, None]
    assert blend_error(one * (1 - weights) + two * weights) < 1e-6
    assert blend_error(np.stack([one, one, one, two, two])) > 0.3


def test_content_change_ignores_light_but_not_fades() -> None:
    image = room(1)
    assert content_change(image, image * 0.8 + 20) < 1e-6
    assert content_change(image, room(2)) > 20
    assert content_change(image, image * 0.1) > 10


def test_scores_are_kept_for_every_frame() -> None:
    detector = ShotDetector()
    for frame in film(room(1), 20):
        detector.push(frame.clip(0, 255).astype(np.uint8))
    scores = detector.scores()
    assert len(scores.step) == len(scores.hard) == len(scores.blend) == 20
    assert (scores.hard <= scores.step + 1e-12).all()
    assert find_cuts(scores, detector.settings).tolist() == []


def test_pictures_may_change_their_size() -> None:
    detector = ShotDetector()
    image: UInt8Array = room(1).astype(np.uint8)
    for t in range(30):
        detector.push(image if t < 15 else np.ascontiguousarray(image[::2, ::2]))
    assert detector.finish().cuts == ()


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "cuts", "rate", "stop"),
    [
        # 20 and 264 (the source's numbering) are cuts too that the manifest does not list.
        ("ageitgey_short_hamilton_clip.mp4", (20, 82, 211), 30000 / 1001, None),
        ("sindhu-hegde_asd_sample_2.mp4", (62,), 30000 / 1001, None),
        ("modelscope_data__video3.mp4", (103, 264), 24.0, 460),
    ],
)
def test_real_cuts_are_found_and_no_others(
    shared_media: Path, name: str, cuts: tuple[int, ...], rate: float, stop: int | None
) -> None:
    detector = ShotDetector()
    for frame in iter_frames(shared_media / "wild" / name, stop=stop):
        detector.push(frame.image)
    found = detector.finish()
    assert found.transitions == ()
    expected = [cut / rate * 25 for cut in cuts]
    assert len(found.cuts) == len(expected)
    np.testing.assert_allclose(found.cuts, expected, atol=1)
