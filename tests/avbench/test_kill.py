"""A run that is killed outright goes on to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from avbench.data import Alignment
from avbench.media import VideoWriter, encode_sound
from avbench.shards import Sample, ShardWriter, finish_set
from avbench.timing import SAMPLES_PER_FRAME

pytestmark = pytest.mark.slow

FRAMES = 60
KEPT = ("predictions.parquet", "scores.jsonl", "comparisons.json", "table.md")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    with ShardWriter(folder, "noise", "test") as writer:
        for number in range(24):
            rng = np.random.default_rng(number)
            path = folder / f"{number}.mp4"
            with VideoWriter(path) as video:
                for _ in range(FRAMES):
                    small = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
                    video.write(np.kron(small, np.ones((32, 32, 1), np.uint8)))
            sound = 0.1 * rng.standard_normal(FRAMES * SAMPLES_PER_FRAME)
            data = encode_sound(sound.astype(np.float32))
            truth = Alignment.from_offset(0, FRAMES)
            writer.add(Sample(f"noise-{number:04d}", path.read_bytes(), data, truth, {}))
            path.unlink()
    finish_set(folder, writer.shards, {"dataset": "noise", "synthetic": True})
    return folder


def start(shards: Path, out: Path, cache: Path) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "avbench", "run", "--method", "all", "--shards", shards),
        *("--out", out, "--cache", cache, "--repeats", 4, "--workers", 1),
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(list(map(str, command)), env=dict(os.environ), **quiet)


def test_a_killed_run_goes_on_to_the_same_bytes(shards: Path, tmp_path: Path) -> None:
    assert start(shards, tmp_path / "whole", tmp_path / "one").wait(200) == 0
    cache = tmp_path / "two"
    interrupted = start(shards, tmp_path / "resumed", cache)
    while interrupted.poll() is None and len(list(cache.rglob("*.safetensors"))) < 14:
        time.sleep(0.02)
    os.kill(interrupted.pid, signal.SIGKILL)
    assert interrupted.wait(20) == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    assert 14 <= len(kept) < 48
    assert start(shards, tmp_path / "resumed", cache).wait(200) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "nothing is embedded twice"
    for name in KEPT:
        assert (tmp_path / "resumed" / name).read_bytes() == (
            tmp_path / "whole" / name
        ).read_bytes(), name
