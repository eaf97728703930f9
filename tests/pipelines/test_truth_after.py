"""What is true of a clip that was not in sync, once a fault is put on top."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from avbench.distort import rng_for
from pipelines.pack import Distortion, Kind, cut_clip, truth_after

FRAMES = 60


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("seed", range(4))
def test_a_clip_in_sync_gives_the_truth_of_the_fault_alone(kind: Kind, seed: int) -> None:
    cut = cut_clip(FRAMES, 3, 2, Distortion(kind), rng_for(seed, "x"))
    same = truth_after(cut, np.arange(FRAMES))
    np.testing.assert_array_equal(same.video_index, cut.alignment.video_index)


@pytest.mark.parametrize("before", [-4, 3])
@pytest.mark.parametrize("seed", range(4))
def test_constant_offsets_add_up(before: int, seed: int) -> None:
    cut = cut_clip(FRAMES, 3, 2, Distortion("global"), rng_for(seed, "x"))
    assert cut.alignment.offset is not None
    assert truth_after(cut, np.arange(FRAMES) + before).offset == cut.alignment.offset + before


def test_sound_follows_its_picture_through_drops_and_copies() -> None:
    cut = cut_clip(FRAMES, 3, 2, Distortion("drop-duplicate"), rng_for(1, "x"))
    moved = truth_after(cut, np.arange(FRAMES) + 5).video_index
    for sound, place in enumerate(moved):
        if 0 <= place < len(cut.shown) and sound + 5 in cut.shown:
            assert cut.shown[place] == sound + 5
