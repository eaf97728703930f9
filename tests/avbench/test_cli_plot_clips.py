"""Figures of stored clips: responses, pairs, before and after, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from avbench import plots
from avbench.cli import main
from avbench.data import Alignment
from avbench.media import VideoWriter, encode_sound
from avbench.models import checkpoint as checkpoints
from avbench.shards import Sample, ShardWriter, finish_set
from avbench.timing import SAMPLES_PER_FRAME

FRAMES = 40


def avbench(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, the second with its sound two frames early, the fourth too damaged to use."""
    folder = tmp_path_factory.mktemp("shards")
    with ShardWriter(folder, "noise", "test") as writer:
        for number, offset in enumerate((0, 2, 0, None)):
            rng = np.random.default_rng(number)
            path = folder / f"{number}.mp4"
            with VideoWriter(path) as video:
                for picture in rng.integers(0, 255, (FRAMES, 4, 4, 3), np.uint8):
                    video.write(np.kron(picture, np.ones((24, 24, 1), np.uint8)))
            sound = 0.1 * rng.standard_normal(FRAMES * SAMPLES_PER_FRAME)
            truth = Alignment.from_offset(offset or 0, FRAMES)
            if offset is None:
                truth = Alignment(truth.video_index // 2)
            data = encode_sound(sound.astype(np.float32))
            key = f"noise-{number:04d}-00"
            writer.add(Sample(key, path.read_bytes(), data, truth, {"video_id": f"v{number}"}))
            path.unlink()
    finish_set(folder, writer.shards, {"dataset": "noise", "synthetic": True})
    return folder


KINDS: dict[str, tuple[object, ...]] = {
    "responses": ("--search", 3, "--shift", -2),
    "pairs": ("--per-clip", 30, "--unit"),
    "before-after": ("--length", 11, "--offset", -1, "--offset", 3),
    "gradients": ("--length", 13, "--offset", 5, "--key", "noise-0001-00"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_figures_and_their_numbers_come_out_the_same_twice(
    shards: Path, tmp_path: Path, kind: str
) -> None:
    made = []
    for name in ("a", "b"):
        out, data = tmp_path / name / "figure.pdf", tmp_path / name / "made" / "drawn.csv"
        words = (*KINDS[kind], "--out", out, "--venue", "ieee", "--data", data)
        done = avbench("plot", kind, "--shards", shards, *words)
        assert done.exit_code == 0, done.output
        assert str(out) in done.output
        assert str(data) in done.output
        made.append((out.read_bytes(), data.read_bytes()))
    assert made[0] == made[1]
    assert made[0][0].startswith(b"%PDF-")


def table_of(shards: Path, folder: Path, kind: str, *more: object) -> tuple[pd.DataFrame, str]:
    words = (*KINDS[kind], *more, "--out", folder / "figure.png", "--data", folder / "drawn.csv")
    done = avbench("plot", kind, "--shards", shards, *words)
    assert done.exit_code == 0, done.output
    return pd.read_csv(folder / "drawn.csv"), done.output


def test_clips_are_in_sync_before_they_are_displaced(shards: Path, tmp_path: Path) -> None:
    """The second clip's own offset is undone; the one without an offset is left out."""
    table, _ = table_of(shards, tmp_path, "responses")
    assert sorted(set(table["key"])) == [f"noise-{n:04d}-00" for n in range(3)]
    wide = table.pivot(index=["case", "key"], columns="offset", values="distance")
    for key in set(table["key"]):
        synced, shifted = (wide.loc[(case, key)] for case in ("synced", "shifted"))
        assert np.allclose(synced.loc[-1:3], shifted.loc[-3:1].to_numpy(), rtol=1e-4)
    assert set(table["offset"]) == set(range(-3, 4))


def test_the_error_rate_is_printed_and_drawn_from_the_table(shards: Path, tmp_path: Path) -> None:
    table, words = table_of(shards, tmp_path, "pairs")
    assert len(table) == 3 * 2 * 30
    measured = plots.separation(table)
    assert f"equal error rate {100 * measured.equal_error_rate:.1f} %" in words
    assert f"AUROC {measured.auroc:.3f}" in words
    assert table["distance"].max() <= 2  # unit vectors


def test_both_networks_see_the_same_windows(shards: Path, tmp_path: Path) -> None:
    table, _ = table_of(shards, tmp_path, "before-after")
    shipped = checkpoints.shipped("sync-cls"), checkpoints.shipped("sync-e2e")
    again, _ = table_of(
        *(shards, tmp_path, "before-after", "--before", shipped[1], "--after", shipped[0])
    )
    swapped = again.replace({"matrix": {"before": "after", "after": "before"}})
    order = ["panel", "matrix", "audio", "video"]
    pd.testing.assert_frame_equal(
        table.sort_values(order, ignore_index=True), swapped.sort_values(order, ignore_index=True)
    )
    assert len(table) == 2 * 2 * 7 * 7
    assert sorted(set(table["offset"])) == [-1, 3]


def test_a_gradient_has_the_shape_of_its_matrix(shards: Path, tmp_path: Path) -> None:
    table, _ = table_of(shards, tmp_path, "gradients")
    assert set(table["key"]) == {"noise-0001-00"}
    assert table.groupby("matrix").size().to_dict() == {"gradient": 81, "similarity": 81}
    other, _ = table_of(shards, tmp_path, "gradients", "--of", "loss")
    same = table["value"] == other["value"]
    assert same[table["matrix"] == "similarity"].all()
    assert not same[table["matrix"] == "gradient"].any()


@pytest.mark.parametrize(
    ("kind", "words", "complaint"),
    [
        ("responses", ("--shift", 30), "has 40 frames and this needs"),
        ("responses", ("--limit", 1), "all 1 clips are of one source"),
        ("pairs", ("--method", "oracle"), "no embeddings"),
        ("pairs", ("--split", "tset"), "tset"),
        ("before-after", ("--key", "a", "--key", "b", "--key", "c"), "3 clips and 2 offsets"),
        ("before-after", ("--key", "noise-0009-00"), "Unknown clip"),
        ("before-after", ("--length", 39), "a smaller --length"),
        ("before-after", ("--after", "same"), "the same extractor"),
        ("gradients", ("--length", 14), "reads windows of 11, 13, 15, 20 frames"),
        ("gradients", ("--offset", 8), "up to 5"),
        ("gradients", ("--checkpoint", "bare"), "holds no classifier"),
        ("gradients", ("--key", "noise-0003-00"), "no constant offset"),
    ],
)
def test_mistakes_get_one_sentence(
    shards: Path, tmp_path: Path, kind: str, words: tuple[Any, ...], complaint: str
) -> None:
    files = {"same": checkpoints.shipped("sync-cls"), "bare": checkpoints.shipped("syncnet")}
    given = [files.get(str(word), word) for word in words]
    left = list(KINDS[kind])
    if "--key" in words and "--key" in left:
        left = left[: left.index("--key")]
    done = avbench("plot", kind, "--shards", shards, *left, *given, "--out", tmp_path / "f.png")
    assert done.exit_code in (1, 2, 3), done.output
    assert complaint in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "f.png").exists()
