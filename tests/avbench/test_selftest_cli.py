"""``avbench selftest`` as users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import selftest_broken as broken
import selftest_zoo as zoo
from click.testing import CliRunner, Result

from avbench import methods
from avbench.cli import main
from avbench.data import Clip
from avbench.media import VideoWriter, encode_sound
from avbench.selftest import process
from avbench.selftest.outcome import attempt
from avbench.shards import Sample, ShardWriter, finish_set


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard set of the zoo's clips."""
    folder = tmp_path_factory.mktemp("shards")
    with ShardWriter(folder / "set", "zoo", "val") as writer:
        for clip in zoo.clips():
            writer.add(_sample(clip, folder))
    finish_set(folder / "set", writer.shards, {"dataset": "zoo"})
    return folder / "set"


def _sample(clip: Clip, folder: Path) -> Sample:
    path = folder / "clip.mp4"
    with VideoWriter(path, lossless=True) as writer:
        for frame in clip.frames:
            writer.write(frame)
    assert clip.alignment is not None
    return Sample(clip.key, path.read_bytes(), encode_sound(clip.audio), clip.alignment, {})


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["selftest", *map(str, arguments)])


@pytest.fixture
def _zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the zoo's methods under names, and spare fresh processes."""
    installed = {"zoo": zoo.Sound, "swapped": broken.SwappedSign}
    monkeypatch.setattr(methods, "load_class", installed.__getitem__)
    monkeypatch.setattr(process, "ask_child", attempt)
    monkeypatch.setattr(broken.SwappedSign, "name", "swapped", raising=False)


@pytest.mark.usefixtures("_zoo")
def test_a_sound_method_exits_with_0(shards: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.json"
    base = ("--method", "zoo", "--shards", shards)
    done = call(*base, "--split", "val", "--option", "search=4", "--json", target)
    assert done.exit_code == 0, done.output
    assert "zoo keeps the contract of a method." in done.output
    report = json.loads(target.read_text("utf-8"))
    assert report["ok"] is True
    assert report["about"]["search"] == 4
    assert report["about"]["options"] == {"search": 4}
    assert report["about"]["material"] == "8 given clips"


@pytest.mark.usefixtures("_zoo")
def test_a_broken_method_exits_with_1_and_says_why(shards: Path) -> None:
    done = call("--method", "swapped", "--shards", shards, "--limit", 6)
    assert done.exit_code == 1
    assert "Your sign is swapped" in done.output
    assert "swapped does not pass: mend sign, in this order." in done.output


@pytest.mark.usefixtures("_zoo")
def test_one_check_can_be_run_alone(shards: Path) -> None:
    done = call("--method", "swapped", "--shards", shards, "--check", "bias")
    assert done.exit_code == 0, done.output
    assert "pass  bias" in done.output
    assert "swapped passes these checks." in done.output
    assert "  sign " not in done.output
    done = call("--method", "swapped", "--shards", shards, "--check", "sing")
    assert done.exit_code == 2
    assert "Did you mean 'sign'?" in done.output


def test_an_unknown_method_is_one_line() -> None:
    done = call("--method", "sink-net")
    assert done.exit_code == 2
    assert "Unknown method 'sink-net'" in done.output
    assert len(done.output.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["search", "=5", "a b=1"])
def test_an_option_needs_a_name_and_a_value(text: str) -> None:
    done = call("--method", "constant", "--option", text)
    assert done.exit_code == 2
    assert "expected NAME=VALUE" in done.output


def test_an_option_the_method_does_not_know_is_explained() -> None:
    done = call("--method", "constant", "--option", "colour=red")
    assert done.exit_code == 2
    assert "colour" in done.output
    assert len(done.output.strip().splitlines()) == 1


@pytest.mark.usefixtures("_zoo")
def test_a_report_that_cannot_be_written_is_explained(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "report.json"
    done = call("--method", "zoo", "--shards", shards, "--limit", 3, "--json", target)
    assert done.exit_code == 1
    assert "cannot be written" in done.output
