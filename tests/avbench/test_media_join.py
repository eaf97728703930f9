from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avbench import media
from avbench.errors import DataError


@pytest.fixture
def stored(tmp_path: Path) -> tuple[bytes, bytes]:
    rng = np.random.default_rng(3)
    path = tmp_path / "clip.mp4"
    with media.VideoWriter(path) as writer:
        for image in rng.integers(0, 255, (30, 48, 48, 3), dtype=np.uint8):
            writer.write(image)
    sound = rng.uniform(-0.5, 0.5, 30 * 640).astype(np.float32)
    return path.read_bytes(), media.encode_sound(sound)


def test_picture_and_sound_come_back_bit_by_bit(stored: tuple[bytes, bytes]) -> None:
    joined = media.join(*stored)
    assert np.array_equal(media.read_video(joined), media.read_video(stored[0]))
    assert np.array_equal(media.read_sound(joined), media.read_sound(stored[1]))
    assert joined == media.join(*stored)


def test_both_begin_at_the_same_instant(stored: tuple[bytes, bytes], tmp_path: Path) -> None:
    path = tmp_path / "joined.mp4"
    path.write_bytes(media.join(*stored))
    facts = media.probe(path)
    assert (facts.video_start_s, facts.audio_start_s) == (0.0, 0.0)
    assert (facts.fps, facts.num_frames, facts.audio_codec) == (25.0, 30, "flac")
    assert np.array_equal(media.read_audio(path, 30), media.read_sound(stored[1]))


def test_what_is_no_clip_is_named(stored: tuple[bytes, bytes]) -> None:
    video, sound = stored
    for pair in ((b"", sound), (video, b"noise")):
        with pytest.raises(DataError, match="cannot be read"):
            media.join(*pair)
    with pytest.raises(DataError, match="holds no video stream"):
        media.join(sound, sound)
    with pytest.raises(DataError, match="holds no audio stream"):
        media.join(video, video)
