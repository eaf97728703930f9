"""Pictures that are converted in part: the parts are those of the whole, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avbench.media import Frame, iter_frames, write_video
from avbench.media.picture import Picture, sampled


def film(path: Path, height: int, width: int) -> list[Frame]:
    rng = np.random.default_rng(3)
    write_video(path, rng.integers(0, 256, (3, height, width, 3), np.uint8), crf=5)
    return list(iter_frames(path))


@pytest.mark.parametrize("size", [(96, 160), (90, 102), (48, 62)])
def test_parts_and_samples_are_those_of_the_image(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    for frame in film(tmp_path / "v.mp4", height, width):
        assert isinstance(frame.picture, Picture)
        assert frame.size == size
        early = [frame.sampled(32), frame.sampled(200)]
        places = [(0, 0, width, height), (33, 7, 61, 40), (5, 3, 6, 4), (width - 9, 1, width, 2)]
        parts = [frame.part(*place) for place in places]
        for side, samples in zip((32, 200), early, strict=True):
            np.testing.assert_array_equal(samples, sampled(frame.image, side))
        rows, columns = (np.arange(32) * length // 32 for length in size)
        np.testing.assert_array_equal(early[0], frame.image[np.ix_(rows, columns)])
        for (x0, y0, x1, y1), part in zip(places, parts, strict=True):
            np.testing.assert_array_equal(part, frame.image[y0:y1, x0:x1])


def test_a_part_of_an_image_is_a_copy() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    frame = Frame(0, 0.0, image)
    frame.part(0, 0, 5, 5)[:] = 9
    assert frame.size == (20, 30)
    assert frame.image is image
    assert not image.any()
