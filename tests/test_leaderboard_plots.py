"""The committed figures are what their scripts draw from the committed numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

FOLDER = Path(__file__).resolve().parents[1] / "leaderboards" / "plots"
LARGEST = 150_000
"""Bytes; the figures are loaded with the README."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plots")
    for script in sorted(FOLDER.glob("*.py")):
        command = [sys.executable, "-W", "error", str(script), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    return out


def test_every_committed_figure_has_a_script_and_is_small(drawn: Path) -> None:
    committed = {path.name for path in FOLDER.glob("*.png")}
    assert committed == {path.name for path in drawn.iterdir()}
    for path in FOLDER.glob("*.png"):
        assert path.stat().st_size < LARGEST, path.name


def test_no_committed_figure_is_older_than_its_numbers(drawn: Path) -> None:
    """Letters may be drawn a little differently elsewhere; points and bars may not move."""
    for path in sorted(drawn.iterdir()):
        new, old = imread(path), imread(FOLDER / path.name)
        remedy = f"{path.name} is stale: run the scripts in leaderboards/plots"
        assert new.shape == old.shape, remedy
        assert np.abs(new - old).mean() < 1e-4, remedy
