"""A method and a data set from another package, installed as anybody would, used by name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avbench.media import write_video
from avbench.timing import SAMPLES_PER_FRAME

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "data" / "plugin"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("sample") / "plugin"
    shutil.copytree(PACKAGE, source)
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces that are a grey field whose lower half moves as loud as their sound is."""
    folder = tmp_path_factory.mktemp("crops")
    for number in range(6):
        rng = np.random.default_rng(number)
        level = np.repeat(rng.integers(0, 2, 30), 2)
        frames = np.full((60, 224, 224, 3), 90, np.uint8)
        flicker = rng.integers(60, 190, 60)
        frames[level == 1, 130:] = flicker[level == 1, None, None, None]
        loud = np.repeat(level * 0.4 + 0.01, SAMPLES_PER_FRAME)
        sound = (loud * rng.standard_normal(len(loud))).astype(np.float32)
        path = folder / f"face-{number}.mp4"
        write_video(path, iter(frames), sound, audio_codec="flac")
    return folder


def avbench(site: Path, where: Path, *arguments: object) -> str:
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "avbench", *map(str, arguments)]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_method_and_a_data_set_of_another_package_work_like_ours(
    site: Path, crops: Path, tmp_path: Path
) -> None:
    assert "loudness" in avbench(site, tmp_path, "methods")
    avbench(
        *(site, tmp_path, "run", "--method", "loudness", "--method", "constant"),
        *("--reference", "constant", "--dataset", "folder", "--dataset-option", f"root={crops}"),
        *("--lengths", "20,40", "--out", "results"),
    )
    found = pd.read_parquet(tmp_path / "results" / "predictions.parquet")
    assert set(found["method"]) == {"loudness", "constant"}
    assert set(found["source"]) == {f"face-{number}" for number in range(6)}
    right = (found["predicted"] == found["offset"]).groupby(found["method"]).mean()
    assert right["loudness"] > right["constant"] + 0.3
    run = json.loads((tmp_path / "results" / "run.json").read_text("utf-8"))
    assert run["dataset"] == "folder"
    assert run["methods"]["loudness"]["class"] == "avbench_sample.method:Loudness"
    assert run["clips_sha256"]


def test_it_is_the_code_of_the_readme() -> None:
    readme = (HERE.parent / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S)
    for name in ("method.py", "dataset.py"):
        code = (PACKAGE / "avbench_sample" / name).read_text("utf-8")
        assert code in blocks, f"the README shows another {name}"
    lines = (PACKAGE / "setup.py").read_text("utf-8").splitlines()
    for line in (line.strip() for line in lines if "avbench_sample." in line):
        assert line.rstrip(",") in readme
