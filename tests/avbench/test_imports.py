from __future__ import annotations

import subprocess
import sys

import pytest

from avbench.cli import COMMANDS

HEAVY = ("torch", "torchaudio", "ray", "cv2", "av", "mediapipe", "matplotlib", "pandas")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def loaded(code: str) -> set[str]:
    tail = "; import sys; print(' '.join(sys.modules))"
    return set(python(code + tail).split("\n")[-2].split())


def test_importing_the_library_is_light() -> None:
    assert not loaded(
        "import avbench, avbench.methods, avbench.distort, avbench.shards"
    ).intersection(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], *[[name, "--help"] for name in COMMANDS]])
def test_help_is_light_and_shows_the_way(arguments: list[str]) -> None:
    code = (
        "from click.testing import CliRunner; from avbench.cli import main; "
        f"result = CliRunner().invoke(main, {arguments!r}); "
        "assert result.exit_code == 0, result.output; text = result.output"
    )
    assert not loaded(code).intersection(HEAVY)
    text = python(code + "; print(text)")
    assert "avbench " in text
    assert "\\b" not in text
    if len(arguments) > 1:
        assert "Examples:" in text


def test_an_unknown_command_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "avbench", "bild-shards"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
