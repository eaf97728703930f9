from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from avbench import media
from avbench.cli import main
from avbench.data import Alignment
from avbench.shards import Sample, ShardWriter, finish_set


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of three clips of 30 frames with offsets -2, 0 and 3."""
    out = tmp_path_factory.mktemp("set")
    path = out.parent / "clip.mp4"
    with media.VideoWriter(path) as writer:
        for index in range(30):
            writer.write(np.full((64, 64, 3), 8 * index, np.uint8))
    sound = media.encode_sound(np.zeros(30 * 640, np.float32))
    infos = []
    for split, offsets in (("test", (0, 3)), ("train", (-2,))):
        with ShardWriter(out, "films", split) as writer:
            for offset in offsets:
                key = f"{split}-clip-{offset + 5}"
                info = {"offset": offset, "source": {"path": "a.mp4"}, "boxes": [[1, 2]] * 30}
                alignment = Alignment.from_offset(offset, 30)
                sample = Sample(key, path.read_bytes(), sound, alignment, info)
                row = {"video_id": "a", "offset": float(offset)}
                writer.add(sample, **row, sync_offset=2.0, sync_confidence=0.25)
        infos += writer.shards
    finish_set(out, infos, {"dataset": "films", "facetracks": {"min_face": 40}})
    return out


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def test_totals_splits_offsets_and_thresholds_are_shown(shards: Path) -> None:
    text = inspect(shards).output
    assert "test: 2 clips, 1 videos, 0.001 h, clips of 1.2 to 1.2 s, 1 shards" in text
    assert "train: 1 clips" in text
    for line in ("-2      1", "+0      1", "+3      1"):
        assert line in text
    assert "sync confidence: median 0.250" in text
    assert "facetracks.min_face = 40" in text


def test_a_split_is_looked_at_alone(shards: Path) -> None:
    text = inspect(shards, "--split", "train").output
    assert "train: 1 clips" in text
    assert "test:" not in text
    wrong = inspect(shards, "--split", "val")
    assert wrong.exit_code == 2
    assert "Available: test, train" in wrong.output


def test_one_sample_is_shown_and_a_mistyped_key_finds_its_neighbours(shards: Path) -> None:
    text = inspect(shards, "--sample", "test-clip-8").output
    assert "offset = 3" in text
    assert "source.path = a.mp4" in text
    assert "boxes = [30 values, first [1, 2]]" in text
    wrong = inspect(shards, "--sample", "test-clip-9")
    assert wrong.exit_code == 2
    assert "Did you mean 'test-clip-" in wrong.output


def test_the_contact_sheet_shows_first_middle_and_last_picture(
    shards: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheets" / "sheet.png"
    assert inspect(shards, "--sheet", sheet).exit_code == 0
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape == (96 + 14, 4 * (3 * 96 + 4), 3)
    levels = [float(picture[48, 48 + 96 * third].mean()) for third in range(3)]
    assert levels == pytest.approx([0, 8 * 15, 8 * 29], abs=6)
    assert picture[48, -48].mean() == 255
    wrong = inspect(shards, "--sheet", tmp_path / "sheet.txt")
    assert wrong.exit_code == 2
    assert "end its name in .png or .jpg" in wrong.output


def test_a_folder_without_a_set_is_one_sentence(tmp_path: Path) -> None:
    wrong = inspect(tmp_path)
    assert wrong.exit_code == 3
    assert "avbench build-shards" in wrong.output
