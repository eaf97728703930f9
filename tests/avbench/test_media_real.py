"""Real clips: every one opens, and what its header promises comes out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from avbench import media

pytestmark = pytest.mark.media


def _manifest(shared_media: Path) -> list[dict[str, str]]:
    with (shared_media / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _check(folder: Path, row: dict[str, str]) -> None:
    """Read one clip whole and compare it with its header and with the manifest."""
    path = folder / row["file"]
    info = media.probe(path)
    with media.open_frames(path) as stream:
        count = 0
        for frame in stream:
            assert frame.index == count
            assert abs(frame.pts_s - info.video_start_s - count / 25) < 0.06, row["file"]
            count += 1
        assert frame.image.shape == (info.height, info.width, 3)
    assert abs(count - info.num_frames) <= 1, row["file"]
    assert stream.lost_frames == 0
    assert f"{info.width}x{info.height}" == row["size"]
    assert info.fps == pytest.approx(float(row["fps"]), abs=0.02)
    assert info.audio_rate == int(row["audio_rate"])
    audio = media.read_audio(path)
    assert abs(len(audio) / 640 - count) < 4, row["file"]
    assert np.abs(audio).max() > 0.01
    assert np.array_equal(media.read_audio(path, 20), audio[: 20 * 640])


def test_clips_from_the_wild(shared_media: Path) -> None:
    rows = [row for row in _manifest(shared_media) if row["file"].startswith("wild/")]
    assert len(rows) >= 10
    for row in rows:
        info = media.probe(shared_media / row["file"])
        if info.height * info.width * info.num_frames < 60e6:
            _check(shared_media, row)


def test_a_sample_of_grid(shared_media: Path) -> None:
    rows = [row for row in _manifest(shared_media) if row["file"].startswith("grid/")]
    for row in rows[:6] + rows[6::40]:
        _check(shared_media, row)


def test_every_clip_opens(shared_media: Path) -> None:
    for row in _manifest(shared_media):
        info = media.probe(shared_media / row["file"])
        assert f"{info.width}x{info.height}" == row["size"]
        assert info.num_frames == pytest.approx(25 * float(row["seconds"]), abs=25)


def test_clip_of_22_pictures_a_second_keeps_its_pauses(shared_media: Path) -> None:
    """It was recorded at 30 with pictures left out, so that its times are not evenly spaced."""
    frames = list(media.iter_frames(shared_media / "wild" / "opentalker_face__1.mp4"))
    times = np.array([frame.pts_s for frame in frames])
    steps = np.diff(np.unique(times))
    assert steps.min() == pytest.approx(1 / 30, abs=1e-3)
    assert steps.max() == pytest.approx(1 / 15, abs=1e-3)
    off = times - times[0] - np.arange(len(frames)) / 25
    assert np.abs(off).max() <= 1 / 30 + 1e-3
