"""Crops: geometry, smoothing and streaming, on pictures whose every pixel is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avbench.data import FloatArray, UInt8Array
from avbench.errors import DataError
from avbench.media import Frame, MediaInfo, probe, read_video, write_video
from pipelines.crops import (
    CropJob,
    CropSettings,
    Sound,
    crop_squares,
    cut,
    median_filter,
    region_change,
    write_crops,
)

SETTINGS = CropSettings(size=64)


def ramp(height: int, width: int) -> UInt8Array:
    """A picture whose red is x and whose green is y."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)[None, :]
    image[..., 1] = np.arange(height)[:, None]
    return image


def stream(images: UInt8Array, start: int = 0) -> Iterator[Frame]:
    return (Frame(start + n, (start + n) / 25, image) for n, image in enumerate(images))


def test_the_square_is_syncnets() -> None:
    # Box of 60 x 80 around (150, 100): s = 40.
    boxes = np.tile([120.0, 60, 180, 140], (20, 1))
    squares = crop_squares(boxes, CropSettings())
    np.testing.assert_allclose(squares, np.tile([150 - 56, 60, 112], (20, 1)))


def test_smoothing_removes_a_jump_of_the_detector_and_keeps_the_ends() -> None:
    x = np.arange(40.0)
    values = np.stack([x, np.full(40, 50.0)], axis=1)
    values[20] = 500
    smooth = median_filter(values, 13)
    assert abs(smooth[20, 0] - 20) <= 1
    assert smooth[20, 1] == 50
    assert smooth[[0, -1]].tolist() == [[0, 50], [39, 50]]


@pytest.mark.parametrize("length", [1, 2, 5, 13])
def test_smoothing_takes_tracks_shorter_than_its_window(length: int) -> None:
    values = np.full((length, 3), 7.0)
    assert (median_filter(values, 13) == 7).all()


def test_cut_at_native_scale_copies_pixels() -> None:
    image = ramp(200, 200)
    np.testing.assert_array_equal(
        cut(image, np.array([30.0, 40.0, 64.0]), 64), image[40:104, 30:94]
    )


def test_cut_between_pixels_is_not_rounded() -> None:
    crop = cut(ramp(200, 200), np.array([30.5, 40.25, 64.0]), 64).astype(float)
    assert abs((crop[..., 0] - np.arange(64)[None, :]).mean() - 30.5) < 0.51
    shifted = cut(ramp(200, 200), np.array([31.5, 40.25, 64.0]), 64).astype(float)
    assert abs((shifted - crop)[..., 0].mean() - 1) < 0.05


@pytest.mark.parametrize("side", [20.0, 64.0, 100.0, 128.0, 180.0])
def test_cut_keeps_places_at_any_scale(side: float) -> None:
    left, top = 10.3, 5.7
    crop = cut(ramp(220, 220), np.array([left, top, side]), 64).astype(float)
    step = side / 64
    centres = (np.arange(64) + 0.5) * step - 0.5
    inner = slice(2, -2)
    np.testing.assert_allclose(crop[30, inner, 0], left + centres[inner], atol=1.1)
    np.testing.assert_allclose(crop[inner, 30, 1], top + centres[inner], atol=1.1)


def test_cut_averages_when_it_shrinks() -> None:
    checks = np.indices((400, 400)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    crop = cut(image, np.array([0.0, 0.0, 400.0]), 100)
    assert np.abs(crop[5:-5, 5:-5].astype(float) - 127.5).max() < 10


def test_outside_the_picture_is_grey() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    crop = cut(image, np.array([-32.0, -32.0, 64.0]), 64)
    assert (crop[:30] == 110).all()
    assert (crop[:, :30] == 110).all()
    assert (crop[34:, 34:] == 0).all()
    assert (cut(image, np.array([500.0, -900.0, 64.0]), 64) == 110).all()


def squares(length: int, left: float) -> FloatArray:
    return np.tile([left, 10.0, 64.0], (length, 1))


def test_tracks_are_written_in_one_pass(tmp_path: Path) -> None:
    images = np.stack([np.full((100, 200, 3), 5 * t, np.uint8) for t in range(40)])
    images[:, :, 100:] = 255 - images[:, :, 100:]
    jobs = [
        CropJob(tmp_path / "a.mp4", 3, squares(30, 10)),
        CropJob(tmp_path / "b.mp4", 10, squares(30, 120)),
    ]
    write_crops(stream(images), jobs, SETTINGS)
    for job, sign in zip(jobs, (1, -1), strict=True):
        video = read_video(job.path)
        assert video.shape == (30, 64, 64, 3)
        expected = 5.0 * np.arange(job.start, job.stop)
        expected = expected if sign > 0 else 255 - expected
        np.testing.assert_allclose(video.mean(axis=(1, 2, 3)), expected, atol=4)


@pytest.mark.parametrize(("tune", "coded"), [("fastdecode", b"cabac=0"), ("", b"cabac=1")])
def test_crops_are_coded_to_be_read_fast_unless_told_otherwise(
    tmp_path: Path, tune: str, coded: bytes
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    with CropSettings(tune=tune).writer(tmp_path / "crop.mp4") as writer:
        for picture in pictures:
            writer.write(picture)
    assert coded in (tmp_path / "crop.mp4").read_bytes()
    assert read_video(tmp_path / "crop.mp4").shape == pictures.shape


def test_frames_that_do_not_come_leave_no_file(tmp_path: Path) -> None:
    images = np.zeros((20, 100, 100, 3), np.uint8)
    jobs = [
        CropJob(tmp_path / "whole.mp4", 0, squares(15, 10)),
        CropJob(tmp_path / "half.mp4", 10, squares(15, 10)),
    ]
    with pytest.raises(DataError, match=r"half.*\[10, 25\)"):
        write_crops(stream(images), jobs, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.mp4"]


def test_a_photograph_does_not_move_and_a_mouth_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = np.tile(rng.integers(0, 255, (100, 200, 3), np.uint8), (30, 1, 1, 1))
    for t in range(30):
        images[t, 40 : 40 + 2 + t % 10, 140:160] = 20
    jobs = [
        CropJob(tmp_path / "still.mp4", 0, squares(30, 10), watch=True),
        CropJob(tmp_path / "moving.mp4", 0, squares(30, 120), watch=True),
        CropJob(tmp_path / "unwatched.mp4", 0, squares(30, 10)),
    ]
    seen = write_crops(stream(images), jobs, SETTINGS)
    assert set(seen) == {job.path for job in jobs}
    assert seen[jobs[0].path].change == 0
    assert 0.03 < seen[jobs[1].path].change < np.inf
    assert seen[jobs[2].path].change == np.inf


def test_region_change_looks_at_the_lower_face_only() -> None:
    one = np.random.default_rng(0).integers(0, 255, (56, 56, 3), np.uint8)
    two = one.copy()
    two[:10] = 0
    assert region_change(one, two) == 0
    two[30:40, 20:30] = 0
    assert region_change(one, two) > 0.05


@pytest.fixture
def info(tmp_path: Path) -> MediaInfo:
    path = tmp_path / "tone.mp4"
    images = np.zeros((50, 32, 32, 3), np.uint8)
    tone = np.sin(np.arange(50 * 640) / 10).astype(np.float32) / 2
    write_video(path, images, tone, audio_codec="flac")
    return probe(path)


def test_sound_is_cut_with_its_context(info: MediaInfo) -> None:
    sound = Sound.read(info.path, info)
    assert sound.heard == (0, 50)
    audio, context = sound.around(10, 40, 25)
    assert audio.shape == ((30 + 50) * 640,)
    assert context == {"before": 10, "after": 10}
    assert (audio[: 15 * 640] == 0).all()
    np.testing.assert_array_equal(audio[15 * 640 : 65 * 640] * 32768, sound.audio)
    assert (audio[65 * 640 :] == 0).all()


def test_sound_that_ends_early_is_known(info: MediaInfo) -> None:
    sound = Sound.read(info.path, info)
    assert sound.heard == (0, 50)
    assert sound.around(20, 50, 25)[1] == {"before": 20, "after": 0}
