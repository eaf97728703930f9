"""The guarded import of torchaudio, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FAKE = {
    "__init__.py": "from . import _extension\nfrom . import functional\n",
    "functional.py": "from fake_audio._extension import fail_if_no_align\n"
    "@fail_if_no_align\ndef forced_align():\n    return 'aligned'\n",
}
BROKEN = "raise OSError('libcudart.so: cannot open shared object file')\n"
WORKING = "def fail_if_no_align(function):\n    return function\n"


def make(folder: Path, extension: str) -> None:
    package = folder / "fake_audio"
    package.mkdir()
    for name, text in {**FAKE, "_extension.py": extension}.items():
        (package / name).write_text(text)


def python(folder: Path, code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_working_extension_is_used(tmp_path):
    make(tmp_path, WORKING)
    code = (
        "from avbench._torchaudio import _import_guarded\n"
        "module, loaded = _import_guarded('fake_audio')\n"
        "print(loaded, module.functional.forced_align())"
    )
    assert python(tmp_path, code) == "True aligned"


def test_a_broken_extension_is_replaced_and_says_so_when_called(tmp_path):
    make(tmp_path, BROKEN)
    code = (
        "from avbench._torchaudio import _import_guarded\n"
        "module, loaded = _import_guarded('fake_audio')\n"
        "print(loaded)\n"
        "try:\n    module.functional.forced_align()\n"
        "except RuntimeError as error:\n    print(error)"
    )
    loaded, _, message = python(tmp_path, code).partition("\n")
    assert loaded == "False"
    assert "forced_align needs" in message


def test_a_package_that_is_broken_elsewhere_is_not_hidden(tmp_path):
    make(tmp_path, WORKING)
    (tmp_path / "fake_audio" / "functional.py").write_text(BROKEN)
    code = (
        "from avbench._torchaudio import _import_guarded\n"
        "try:\n    _import_guarded('fake_audio')\n"
        "except OSError as error:\n    print('refused', error)"
    )
    assert python(tmp_path, code).startswith("refused libcudart")


@pytest.mark.parametrize("threads", [8])
def test_many_threads_may_import_at_once(tmp_path, threads):
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def use(_):\n"
        "    from avbench._torchaudio import torchaudio\n"
        "    return torchaudio.transforms.MelSpectrogram(n_mels=8, n_fft=64)\n"
        f"with ThreadPoolExecutor({threads}) as pool:\n"
        f"    print(len(list(pool.map(use, range({threads})))))"
    )
    assert python(tmp_path, code) == str(threads)
