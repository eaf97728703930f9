"""``avbench lse`` on stored clips of flashes and bursts of sound."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from simulated import Simulated

from avbench import plugins
from avbench.cli import main
from avbench.data import Alignment, Clip, Embeddings, FloatArray
from avbench.media import VideoWriter, encode_sound
from avbench.shards import Sample, ShardWriter, finish_set
from avbench.similarity import sliding_distances
from avbench.timing import SAMPLES_PER_FRAME

LENGTHS = (45, 50, 60)
LEADS = (0, 2, -3)
"""Frames by which the sound of each clip is early."""


class Lamps(Simulated):
    """Embed how bright a picture is, and how loud its sound, as one number."""

    embeds = 0

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = 5) -> Lamps:
        return cls("syncnet", search=search)

    def embed(self, clip: Clip) -> Embeddings:
        assert clip.alignment is None, "a method must not see the truth"
        if len(clip) == LENGTHS[-1]:
            raise RuntimeError("its lamp is broken")
        type(self).embeds += 1
        bright = clip.frames.mean(axis=(1, 2, 3)) / 255
        loud = np.abs(clip.audio).reshape(-1, SAMPLES_PER_FRAME).mean(axis=1) * 2
        video, audio = (np.round(x[: len(clip) - 4, None]) for x in (bright, loud))
        return Embeddings(1 + video, 1 + audio)


class Broken(Lamps):
    """Fails on everything."""

    def embed(self, clip: Clip) -> Embeddings:
        raise RuntimeError("it is broken")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "syncnet": f"{__name__}:Lamps",
        "broken": f"{__name__}:Broken",
        "constant": "baselines.constant:Constant",
    }
    found = [EntryPoint(name, value, plugins.METHODS) for name, value in points.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)
    monkeypatch.setattr(Lamps, "embeds", 0)


def _lit(number: int) -> FloatArray:
    return np.random.default_rng(number).integers(0, 2, LENGTHS[number])


def _write(folder: Path, lengths: tuple[int, ...]) -> Path:
    with ShardWriter(folder, "lamps", "test") as writer:
        for number, num_frames in enumerate(lengths):
            path, lit = folder / f"{number}.mp4", _lit(number)[:num_frames]
            with VideoWriter(path) as video:
                for value in lit:
                    video.write(np.full((32, 32, 3), 255 * value, np.uint8))
            loud = np.repeat(np.roll(lit, -LEADS[number]) * 0.5, SAMPLES_PER_FRAME)
            sound = encode_sound(loud.astype(np.float32))
            truth = Alignment.from_offset(LEADS[number], num_frames)
            writer.add(Sample(f"lamp-{number:04d}-00", path.read_bytes(), sound, truth, {}))
            path.unlink()
    finish_set(folder, writer.shards, {"dataset": "lamps", "synthetic": True})
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("shards"), LENGTHS)


def lse(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["lse", *(str(argument) for argument in arguments)])


def test_the_numbers_are_those_of_the_curves(shards: Path, tmp_path: Path) -> None:
    done = lse("--shards", shards, "--out", tmp_path / "new" / "lse.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "new" / "lse.json").read_text("utf-8"))
    least, margins = [], []
    for number in (0, 1):
        video = 1.0 + _lit(number)[:-4, None]
        audio = 1.0 + np.roll(_lit(number), -LEADS[number])[:-4, None]
        curve = sliding_distances(video, audio, 15, "zero")
        assert np.argmin(curve) - 15 == LEADS[number]
        least.append(curve.min())
        margins.append(np.median(curve) - curve.min())
    assert found["lse_d"] == pytest.approx(np.mean(least))
    assert found["lse_c"] == pytest.approx(np.mean(margins))
    assert [clip["offset"] for clip in found["by_clip"]] == [0, 2, None]
    assert (found["clips"], found["undefined"]) == (3, 1)
    assert found["failures"] == {"lamp-0002-00": "RuntimeError: its lamp is broken"}
    assert f"LSE-D {found['lse_d']:.3f}" in done.output
    assert f"LSE-C {found['lse_c']:.3f}" in done.output
    assert "its lamp is broken" in done.output


def test_what_the_numbers_depend_on_is_recorded(shards: Path, tmp_path: Path) -> None:
    weights, out = tmp_path / "my.safetensors", tmp_path / "lse.json"
    weights.write_bytes(b"weights")
    done = lse("--shards", shards, "--out", out, "--checkpoint", weights, "--search", 7)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text("utf-8"))
    digest = hashlib.sha256(b"weights").hexdigest()
    assert found["checkpoint_sha256"] == digest
    assert (found["search"], found["variant"], found["checkpoint"]) == (7, "facetrack", "given")
    assert digest in done.output
    assert "±7 frames" in done.output
    assert "comparable only with" in done.output
    assert found["caution"] in done.output


def test_the_released_code_looks_at_one_window_less(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "lse.json"
    done = lse("--shards", shards, "--out", out, "--limit", 1, "--windows", "released")
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text("utf-8"))
    rows = 1.0 + _lit(0)[:-5, None]
    curve = sliding_distances(rows, rows, 15, "zero")
    assert found["lse_c"] == pytest.approx(np.median(curve) - curve.min())
    assert (found["windows"], found["windows_meaning"]) == (
        "released",
        "the first F - 5 of F frames",
    )


def test_a_clip_of_one_window_has_none_in_the_released_code(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    shards, out = _write(tmp_path / "shards", (20, 5)), tmp_path / "lse.json"
    counts = []
    for windows in ("all", "released"):
        done = lse("--shards", shards, "--out", out, "--windows", windows)
        assert done.exit_code == 0, done.output
        counts.append(json.loads(out.read_text("utf-8"))["undefined"])
    assert counts == [0, 1]
    assert "5 frames leave no window" in done.output


def test_a_second_run_embeds_nothing_and_writes_the_same_bytes(
    shards: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        assert lse("--shards", shards, "--out", tmp_path / name, "--limit", 2).exit_code == 0
    assert Lamps.embeds == 2
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--method", "constant"), 2, "no embeddings"),
        (("--method", "sincnet"), 2, "Did you mean 'syncnet'"),
        (("--split", "train"), 2, "Unknown split"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(
    shards: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    done = lse("--shards", shards, "--out", tmp_path / "lse.json", *arguments)
    assert done.exit_code == code, done.output
    assert complaint in done.output
    assert not (tmp_path / "lse.json").exists()


def test_a_method_that_always_fails_gives_no_number(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "lse.json"
    done = lse("--shards", shards, "--out", out, "--method", "broken")
    assert done.exit_code == 1, done.output
    assert "it is broken" in done.output
    assert json.loads(out.read_text("utf-8"))["lse_d"] is None
