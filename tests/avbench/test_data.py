from __future__ import annotations

import numpy as np
import pytest

from avbench.data import Alignment, Clip, FaceTrack, Shot
from avbench.timing import SAMPLES_PER_FRAME, describe_offset, ms_to_offset, offset_to_ms


def numbered_clip(num_frames: int = 40) -> Clip:
    """A synced clip whose picture and sound both count the frames."""
    frames = (
        np.zeros((num_frames, 4, 4, 3), np.uint8)
        + np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    )
    audio = np.repeat(np.arange(num_frames, dtype=np.float32), SAMPLES_PER_FRAME) / 1000
    return Clip("a-0000-00", frames, audio, Alignment.from_offset(0, num_frames))


@pytest.mark.parametrize("offset", [-5, -1, 0, 3, 5])
def test_a_window_with_an_offset_reads_that_offset(offset: int) -> None:
    window = numbered_clip().window(10, 11, offset)
    assert window.alignment is not None
    assert window.alignment.offset == offset
    heard = np.rint(window.audio[::SAMPLES_PER_FRAME] * 1000).astype(int)
    seen = window.frames[:, 0, 0, 0].astype(int)
    for audio_index, video_index in enumerate(window.alignment.video_index):
        if 0 <= video_index < len(window):
            assert heard[audio_index] == seen[video_index]


def test_positive_offset_means_that_the_sound_comes_early() -> None:
    window = numbered_clip().window(10, 11, 3)
    first_sound = round(float(window.audio[0]) * 1000)
    assert first_sound == 13  # heard at once, but its picture comes three frames later
    assert describe_offset(3).startswith("sound is 120 ms early")
    assert ms_to_offset(offset_to_ms(-7)) == -7


@pytest.mark.parametrize(
    ("start", "length", "offset"), [(-1, 5, 0), (0, 5, -1), (34, 5, 2), (0, 0, 0)]
)
def test_a_window_outside_the_clip_is_refused(start: int, length: int, offset: int) -> None:
    with pytest.raises(ValueError, match="has no window"):
        numbered_clip().window(start, length, offset)


def test_truth_is_withheld() -> None:
    hidden = numbered_clip().without_truth()
    assert hidden.alignment is None
    assert not hidden.meta


def test_a_varying_alignment_has_no_offset() -> None:
    assert Alignment(np.array([0, 1, 1])).offset is None
    assert Alignment.from_offset(-4, 3).offset == -4
    assert Alignment(np.array([], dtype=np.int64)).offset is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Shot("v", 0, 5, 5), "start < stop"),
        (lambda: FaceTrack("v", 0, 0, 0, np.zeros((3, 3)), np.zeros(3)), r"\(T, 4\)"),
        (lambda: FaceTrack("v", 0, 0, 0, np.zeros((3, 4)), np.zeros(2)), "equal lengths"),
        (lambda: Alignment(np.zeros(3)), "integers"),
        (lambda: Clip("k", np.zeros((2, 4, 4, 3), np.uint8), np.zeros(5)), "1280"),
        (lambda: Clip("k", np.zeros((2, 4, 4, 3)), np.zeros(1280)), "uint8"),
    ],
)
def test_records_refuse_wrong_shapes_and_show_them(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]
