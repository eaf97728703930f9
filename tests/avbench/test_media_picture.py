"""Pictures that are taken apart as they are stored: what comes out is what the image shows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from avbench.data import UInt8Array
from avbench.media import Frame, VideoWriter, iter_frames, read_pieces, read_video, write_video
from avbench.media.picture import RGB, Yuv420, sampled


def smooth(height: int, width: int) -> UInt8Array:
    """Coloured clouds, so that colours at half the size are as good as whole ones."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(20, 235, (3, 5, 3)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(image.clip(0, 255), np.uint8)


def film(path: Path, height: int, width: int) -> list[Frame]:
    write_video(path, [smooth(height, width), smooth(height, width)[::-1]], crf=1)
    return list(iter_frames(path))


def test_a_common_picture_stays_as_it_is_stored(tmp_path: Path) -> None:
    for frame in film(tmp_path / "v.mp4", 96, 160):
        assert isinstance(frame.whole.coding, Yuv420)
        assert [plane.shape for plane in frame.whole.planes] == [(96, 160), (48, 80), (48, 80)]
        assert frame.size == frame.whole.size == (96, 160)
        # Twice as many values as pixels half as large: 12 bits a pixel.
        assert frame.whole.nbytes == 96 * 160 * 3 // 2
        np.testing.assert_allclose(frame.whole.image.astype(int), frame.image, atol=2)
        grey = frame.image.astype(float) @ (0.299, 0.587, 0.114)
        np.testing.assert_allclose(frame.whole.bright, 16 + grey * 219 / 255, atol=3)


def test_an_odd_picture_becomes_rgb(tmp_path: Path) -> None:
    stored = film(tmp_path / "v.mp4", 96, 160)[0].image
    odd = Frame(0, 0.0, stored[:95, :101])
    assert odd.whole.coding is RGB
    assert odd.whole.image is odd.image
    np.testing.assert_array_equal(
        odd.whole.bright, cv2.cvtColor(odd.image, cv2.COLOR_RGB2GRAY), strict=True
    )


@pytest.mark.parametrize("place", [(0, 0, 160, 96), (32, 8, 62, 40), (4, 2, 6, 4)])
def test_a_part_shows_its_place(tmp_path: Path, place: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = place
    for frame in film(tmp_path / "v.mp4", 96, 160):
        part = frame.whole.part(*place)
        assert part.size == (y1 - y0, x1 - x0)
        np.testing.assert_allclose(part.image.astype(int), frame.image[y0:y1, x0:x1], atol=2)


def test_a_copy_of_a_part_shares_no_memory() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    frame = Frame(0, 0.0, image)
    frame.whole.part(0, 0, 6, 6).copy().planes[0][:] = 9
    assert frame.image is image
    assert not image.any()


def test_samples_are_means_of_four_pixels_on_a_grid(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3)).astype(np.uint8)
    rows, columns = np.arange(16) * 4, np.arange(16) * 8
    sparse = image[np.ix_(rows, columns)].astype(float)
    means = sparse.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(sampled(image, 8), means, atol=0.5)
    for frame in film(tmp_path / "v.mp4", 96, 160):
        expected = sampled(frame.image, 24).astype(int)
        np.testing.assert_allclose(frame.whole.sampled(24), expected, atol=3)


@pytest.mark.parametrize("level", [40, 110, 220])
def test_grey_is_grey_in_every_coding(tmp_path: Path, level: int) -> None:
    frame = film(tmp_path / "v.mp4", 96, 160)[0]
    coding = frame.whole.coding
    shapes = [plane.shape for plane in frame.whole.planes]
    values = coding.grey(level)
    planes = [np.full(s, v, np.uint8) for s, v in zip(shapes, values, strict=True)]
    np.testing.assert_allclose(coding.rgb(tuple(planes)).astype(int), level, atol=1)


def test_what_is_stored_in_the_standard_form_is_written_without_conversion(tmp_path: Path) -> None:
    frames = film(tmp_path / "v.mp4", 96, 160)
    with VideoWriter(tmp_path / "copy.mp4", lossless=True) as writer:
        for frame in frames:
            writer.write(frame.whole)
        with pytest.raises(ValueError, match="after"):
            writer.write(frames[0].whole.part(0, 0, 32, 32))
    np.testing.assert_array_equal(
        read_video(tmp_path / "copy.mp4"), np.stack([frame.image for frame in frames])
    )


@pytest.mark.parametrize("most", [1, 4, 7, 50])
def test_pieces_of_a_clip_make_up_the_whole(tmp_path: Path, most: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (7, 32, 48, 3)).astype(np.uint8)
    write_video(tmp_path / "clip.mp4", pictures)
    pieces = list(read_pieces(tmp_path / "clip.mp4", most))
    assert [len(piece) for piece in pieces] == [min(most, 7 - n) for n in range(0, 7, most)]
    np.testing.assert_array_equal(np.concatenate(pieces), read_video(tmp_path / "clip.mp4"))
