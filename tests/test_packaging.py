"""The wheel, as somebody else would install it: away from the checkout, beside decoys."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("source")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(out), str(copy)], check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, capture_output=True)
    return target


def test_the_wheel_holds_code_types_and_checkpoints_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "avbench",
        "baselines",
        "pipelines",
    }
    assert "avbench/py.typed" in names
    for checkpoint in ("syncnet", "sync-cls", "sync-e2e", "lip-geometry"):
        assert f"avbench/checkpoints/{checkpoint}.safetensors" in names
        assert f"avbench/checkpoints/{checkpoint}.json" in names
    for asset in ("base.html", "site.css", "site.js"):
        assert f"avbench/leaderboard/site_assets/{asset}" in names
    for asset in ("base.html", "pages.css", "pages.js", "svg.html"):
        assert f"avbench/pages/assets/{asset}" in names
    packaged = {name for name in names if name.endswith(".py")}
    for package in ("avbench", "baselines", "pipelines"):
        for path in (ROOT / package).rglob("*.py"):
            assert str(path.relative_to(ROOT)) in packaged, "setup.py lists too few packages"


def test_checkpoints_stay_small(wheel: Path) -> None:
    sizes = [
        entry.file_size
        for entry in zipfile.ZipFile(wheel).infolist()
        if "checkpoints/" in entry.filename
    ]
    assert 0 < sum(sizes) <= 32 * 2**20


@pytest.mark.parametrize("decoy", [False, True])
def test_the_command_works_anywhere(installed: Path, tmp_path: Path, decoy: bool) -> None:
    if decoy:
        for name in ("pipelines", "baselines"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a decoy')")
    done = subprocess.run(
        [str(installed / "bin" / "avbench"), "methods"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in (
        "constant",
        "oracle",
        "syncnet",
        "diag-avg",
        "sync-cls",
        "sync-e2e",
        "lip-geometry",
    ):
        assert name in done.stdout
