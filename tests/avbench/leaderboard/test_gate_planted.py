"""Faults planted in avbench, on drawn heads and the shipped networks: the gate names each one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import avbench.media
from avbench.cli import main
from avbench.data import Alignment, Clip
from avbench.media import encode_sound, write_video
from avbench.models import checkpoint as checkpoints
from avbench.shards import Sample, ShardWriter, finish_set
from avbench.synthetic import render_talking
from baselines.diag_avg import DiagAvg
from baselines.syncnet import SyncNet

pytestmark = [pytest.mark.xdist_group("gate"), pytest.mark.timeout(600)]

CLIPS, SECONDS = 6, 2.4
TRAINED = {"syncnet", "diag-avg", "sync-cls", "sync-e2e"}


def avbench_(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def sample(index: int, folder: Path) -> Sample:
    """Draw a talking head and cut out its face."""
    made = render_talking(index, pool="test", preset="easy-v1", seconds=SECONDS)
    x0, y0, x1, y1 = np.median(made.truth.shots[0].faces[0].drawn.boxes, axis=0)
    side = round(1.4 * max(x1 - x0, y1 - y0))
    left, top = max(0, round((x0 + x1 - side) / 2)), max(0, round(y0 - 0.1 * side))
    crops = [picture[top : top + side, left : left + side] for picture in made.pictures()]
    path = folder / f"{index}.mp4"
    write_video(path, np.stack([cv2.resize(crop, (224, 224)) for crop in crops]))
    truth = Alignment.from_offset(0, len(crops))
    return Sample(f"head-{index:04d}", path.read_bytes(), encode_sound(made.audio), truth, {})


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, spare = (tmp_path_factory.mktemp(name) for name in ("shards", "videos"))
    with ShardWriter(folder, "heads", "test") as writer:
        for index in range(CLIPS):
            writer.add(sample(index, spare))
    finish_set(folder, writer.shards, {"dataset": "heads", "synthetic": True})
    return folder


@pytest.fixture(scope="module")
def expected(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The expectation that this very code gives; uncommitted changes are no matter here."""
    from avbench.leaderboard.expected import Expected
    from avbench.results import read_run

    folder = tmp_path_factory.mktemp("expected")
    made = avbench_(
        *("run", "--method", "all", "--shards", shards, "--out", folder / "results"),
        *("--lengths", "11,20", "--repeats", 2, "--windows-per-clip", 3),
        *("--cache", folder / "cache"),
    )
    assert made.exit_code == 0, made.output
    Expected.of(read_run(folder / "results")).write(folder / "expected.json")
    return folder / "expected.json"


@pytest.fixture
def check(shards: Path, expected: Path) -> Callable[..., Result]:
    return lambda *more: avbench_(
        *("leaderboard", "check", "--shards", shards, "--expected", expected), *more
    )


def named(done: Result, kind: str) -> set[str]:
    """Return the methods that lines of a kind name."""
    lines = [line.split() for line in done.output.splitlines() if line.startswith(f"{kind} ")]
    return {words[1].rstrip(":") for words in lines}


def test_unchanged_code_passes_exactly(check: Callable[..., Result], tmp_path: Path) -> None:
    done = check("--out", tmp_path / "kept")
    assert done.exit_code == 0, done.output
    assert "Tier exact" in done.output
    assert "all as expected. The gate passes." in done.output
    assert (tmp_path / "kept" / "predictions.parquet").is_file()


def test_a_decoder_off_by_one_frame_is_named_in_every_trained_method(
    check: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = avbench.media.read_video

    def late(data: bytes) -> np.ndarray:
        frames = read(data)
        return np.concatenate([frames[:1], frames[:-1]])

    monkeypatch.setattr(avbench.media, "read_video", late)
    done = check()
    assert done.exit_code == 1, done.output
    assert named(done, "moved") >= TRAINED
    assert not named(done, "moved") & {"constant", "oracle"}
    assert "The gate fails." in done.output
    assert "Traceback" not in done.output


def test_another_padding_of_syncnet_is_named_as_syncnet(
    check: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = SyncNet.__init__

    def padded(self: SyncNet, *args: Any, **options: Any) -> None:
        make(self, *args, **{**options, "edge": "valid"})

    monkeypatch.setattr(SyncNet, "__init__", padded)
    done = check()
    assert done.exit_code == 1, done.output
    assert named(done, "moved") == {"syncnet", "syncnet-local"}


def test_a_swapped_sign_in_a_method_is_named_as_that_method(
    check: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = DiagAvg.compare
    monkeypatch.setattr(DiagAvg, "compare", lambda *given: compare(*given)[:, ::-1])
    done = check()
    assert done.exit_code == 1, done.output
    assert named(done, "moved") == {"diag-avg"}


def test_a_swapped_sign_in_the_windows_is_seen_by_the_oracle(
    check: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Clip.window
    monkeypatch.setattr(
        Clip, "window", lambda self, start, length, offset=0: window(self, start, length, -offset)
    )
    done = check()
    assert done.exit_code == 1, done.output
    assert "oracle" in named(done, "moved")
    assert "constant" not in named(done, "moved")


def test_a_changed_checkpoint_is_named_and_its_rows_compared(
    shards: Path, expected: Path, tmp_path: Path
) -> None:
    import torch

    found = checkpoints.load(checkpoints.shipped("syncnet"))
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in found.extractor.parameters():
            weights += weights.std(correction=0) * torch.randn_like(weights)
    checkpoints.save(tmp_path / "other.safetensors", found)
    out = tmp_path / "results"
    made = avbench_(
        *("run", "--method", "all", "--checkpoint", f"syncnet={tmp_path / 'other.safetensors'}"),
        *("--shards", shards, "--out", out, "--lengths", "11,20", "--repeats", 2),
        *("--windows-per-clip", 3, "--cache", tmp_path / "cache"),
    )
    assert made.exit_code == 0, made.output
    done = avbench_("leaderboard", "check", out, "--expected", expected)
    assert done.exit_code == 1, done.output
    assert named(done, "changed") == {"syncnet"}
    assert named(done, "moved") == {"syncnet"}


def test_on_another_platform_the_statistical_tier_says_so_and_still_sees_faults(
    check: Callable[..., Result], expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads(expected.read_text("utf-8"))
    content["platform"]["torch"] = "1.13.1"
    other = tmp_path / "expected.json"
    other.write_text(json.dumps(content))
    done = check("--expected", other)
    assert done.exit_code == 0, done.output
    assert "Tier statistical, paired" in done.output
    assert "the platform is another one: torch 1.13.1 -> " in done.output
    compare = DiagAvg.compare
    monkeypatch.setattr(DiagAvg, "compare", lambda *given: compare(*given)[:, ::-1])
    done = check("--expected", other)
    assert done.exit_code == 1, done.output
    assert named(done, "moved") == {"diag-avg"}
