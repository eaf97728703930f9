"""``avbench run``, ``methods`` and ``plot`` on stored clips of flashes and bursts of sound."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from simulated import Simulated

from avbench import plugins
from avbench.cli import main
from avbench.data import Alignment, Clip, Embeddings
from avbench.errors import AvbenchError
from avbench.leaderboard.rows import comparable, rows_of_run
from avbench.media import VideoWriter, encode_sound
from avbench.shards import Sample, ShardWriter, finish_set
from avbench.timing import SAMPLES_PER_FRAME


class Flashes(Simulated):
    """Compare how bright a picture is with how loud its sound is."""

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = 5) -> Flashes:
        if checkpoint is not None and not checkpoint.is_file():
            raise AvbenchError(f"there is no checkpoint {checkpoint}")
        return cls("flashes", search=search)

    def embed(self, clip: Clip) -> Embeddings:
        bright = clip.frames.mean(axis=(1, 2, 3)) / 255
        loud = np.abs(clip.audio).reshape(-1, SAMPLES_PER_FRAME).mean(axis=1) * 4
        rows = len(clip) - 4
        video, audio = (np.stack([x - 0.5, 0.5 - x], axis=1)[:rows] for x in (bright, loud))
        return Embeddings(video, audio)


class Unready(Simulated):
    """Has no checkpoint."""

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = 5) -> Unready:
        raise AvbenchError("this installation ships no checkpoint 'syncnet'; train one")


class Broken(Flashes):
    """Fails on everything."""

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = 5) -> Broken:
        return cls("broken")

    def embed(self, clip: Clip) -> Embeddings:
        raise RuntimeError("it is broken")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Flashes.__module__
    points = {
        "constant": "baselines.constant:Constant",
        "oracle": "baselines.oracle:Oracle",
        "flashes": f"{here}:Flashes",
        "syncnet": f"{here}:Unready",
    }
    found = [EntryPoint(name, value, plugins.METHODS) for name, value in points.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    with ShardWriter(folder, "flashes", "test") as writer:
        for number, num_frames in enumerate((26, 50, 60, 70, 45)):
            rng = np.random.default_rng(number)
            on = rng.integers(0, 2, num_frames)
            path = folder / f"{number}.mp4"
            with VideoWriter(path) as video:
                for value in on:
                    video.write(np.full((32, 32, 3), 255 * value, np.uint8))
            loud = np.repeat(on * 0.5, SAMPLES_PER_FRAME)
            sound = loud * np.sign(rng.standard_normal(len(loud)))
            truth = Alignment.from_offset(0, num_frames)
            data = encode_sound(sound.astype(np.float32))
            writer.add(Sample(f"flash-{number:04d}-00", path.read_bytes(), data, truth, {}))
            path.unlink()
    finish_set(folder, writer.shards, {"dataset": "flashes", "synthetic": True})
    return folder


def avbench(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_run_prints_the_table_and_leaves_the_files(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = avbench(
        *("run", "--method", "flashes", "--method", "constant", "--method", "oracle"),
        *("--reference", "constant", "--shards", shards, "--out", out, "--repeats", 4),
    )
    assert done.exit_code == 0, done.output
    names = {path.name for path in out.iterdir()} - {"comparisons.json"}
    assert sorted(names) == [
        "dataset.json",
        "predictions.parquet",
        "run.json",
        "scores.jsonl",
        "table.md",
        "table.tex",
        "table.txt",
    ]
    table = (out / "table.txt").read_text("utf-8")
    assert table in done.output
    assert "constant (reference)" in table
    assert "1 of 5 clips" in table
    assert "never to be compared" in " ".join(table.split())
    predictions = pd.read_parquet(out / "predictions.parquet")
    right = predictions["predicted"] == predictions["offset"]
    accuracy = right.groupby(predictions["method"]).mean()
    assert accuracy["oracle"] == 1
    assert accuracy["flashes"] > 0.7
    assert accuracy["constant"] < 0.3
    run = json.loads((out / "run.json").read_text("utf-8"))
    assert (run["dataset"], run["split"], run["synthetic"]) == ("flashes", "test", True)


def test_the_same_run_gives_the_same_predictions(shards: Path, tmp_path: Path) -> None:
    common = ("run", "--method", "flashes", "--shards", shards, "--repeats", 2, "--lengths", "11")
    for name in ("a", "b"):
        assert avbench(*common, "--out", tmp_path / name, "--reference", "none").exit_code == 0
    assert avbench(*common, "--out", tmp_path / "c", "--seed", 1).exit_code == 0
    first, second, other = (
        (tmp_path / name / "predictions.parquet").read_bytes() for name in "abc"
    )
    assert first == second
    assert first != other


def test_options_and_tolerances_are_asked_and_recorded(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = avbench(
        *("run", "--method", "constant", "--option", "constant.offset=-2", "--shards", shards),
        *("--out", out, "--lengths", "11", "--tolerances", "0,2", "--reference", "none"),
    )
    assert done.exit_code == 0, done.output
    assert "constant with offset=-2." in done.output
    assert "within ±2 frames" in done.output
    assert set(pd.read_parquet(out / "predictions.parquet")["predicted"]) == {-2}
    run = json.loads((out / "run.json").read_text("utf-8"))
    assert run["methods"]["constant"]["options"] == {"offset": -2}
    assert run["task"]["tolerances"] == [0, 2]


def test_numbers_of_another_condition_are_set_apart(shards: Path, tmp_path: Path) -> None:
    made = {}
    for name, words in {"plain": (), "apart": ("--condition", "trained on bells")}.items():
        asked = ("run", "--method", "flashes", "--reference", "none", "--shards", shards)
        done = avbench(*asked, "--out", tmp_path / name, *words)
        assert done.exit_code == 0, done.output
        made[name] = rows_of_run(tmp_path / name)
    assert {row.condition for row in made["plain"]} == {""}
    assert {row.condition for row in made["apart"]} == {"trained on bells"}
    assert "trained on bells" in (tmp_path / "apart" / "table.md").read_text("utf-8")
    assert comparable(made["plain"][0], made["plain"][0]) == ""
    assert "condition differs" in comparable(made["plain"][0], made["apart"][0])


def test_all_leaves_out_with_a_word_what_cannot_be_loaded(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = avbench("run", "--method", "all", "--shards", shards, "--out", out, "--limit", 2)
    assert done.exit_code == 0, done.output
    assert "syncnet is left out: this installation ships no checkpoint" in done.output
    assert "no reference method was measured" in done.output
    assert "2 clips (the first 2)" in done.output
    assert set(pd.read_parquet(out / "predictions.parquet")["method"]) == {
        "constant",
        "flashes",
        "oracle",
    }


def test_a_reference_is_measured_too(shards: Path, tmp_path: Path) -> None:
    done = avbench(
        *("run", "--method", "flashes", "--reference", "constant", "--limit", 2),
        *("--shards", shards, "--out", tmp_path / "results"),
    )
    assert done.exit_code == 0, done.output
    assert "constant is measured too" in done.output
    assert "against constant" in done.output


def test_a_method_that_was_named_must_load(shards: Path, tmp_path: Path) -> None:
    common = ("--shards", shards, "--out", tmp_path / "results")
    named = avbench("run", "--method", "syncnet", *common)
    asked = avbench("run", "--method", "constant", "--reference", "syncnet", *common)
    for done in (named, asked):
        assert done.exit_code == 1
        assert done.output.strip().endswith("ships no checkpoint 'syncnet'; train one")


def test_a_method_that_always_fails_is_scored_zero_and_said_so(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("broken", f"{Flashes.__module__}:Broken", plugins.METHODS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    out = tmp_path / "results"
    done = avbench("run", "--method", "broken", "--shards", shards, "--out", out, "--lengths", "11")
    assert done.exit_code == 1
    assert "0.00 ± 0.00" in done.output
    assert "RuntimeError: it is broken" in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert pd.read_parquet(out / "predictions.parquet")["predicted"].isna().all()


def test_an_interrupted_run_goes_on(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("run", "--method", "flashes", "--shards", shards, "--repeats", 2, "--workers", 1)
    embed, calls = Flashes.embed, list[str]()

    def stopping(self: Flashes, clip: Clip) -> Embeddings:
        calls.append(clip.key)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, clip)

    monkeypatch.setattr(Flashes, "embed", stopping)
    done = avbench(*common, "--out", tmp_path / "resumed")
    assert done.exit_code == 130
    assert "run the same command again" in done.output
    done = avbench(*common, "--out", tmp_path / "resumed")
    assert done.exit_code == 0, done.output
    assert len(calls) == 6, "the clips that were embedded are not embedded again"
    fresh = ("--cache", tmp_path / "cache")
    assert avbench(*common, *fresh, "--out", tmp_path / "whole").exit_code == 0
    assert len(calls) == 11
    resumed, whole = (
        (tmp_path / name / "predictions.parquet").read_bytes() for name in ("resumed", "whole")
    )
    assert resumed == whole
    assert not (tmp_path / "resumed" / "answers.partial.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--method", "flash"], 2, "Did you mean 'flashes'?"),
        (["--method", "flashes", "--split", "tset"], 2, "Did you mean 'test'?"),
        (["--method", "flashes", "--lengths", "eleven"], 2, "11,13,15,20"),
        (["--method", "flashes", "--lengths", "3"], 2, "at least 5 frames"),
        (["--method", "flashes", "--lengths", "80"], 3, "too short: 26 frames"),
        (["--method", "flashes", "--checkpoint", "mine"], 2, "NAME=PATH"),
        (["--method", "flashes", "--checkpoint", "oracle=x"], 2, "add it with --method"),
        (["--method", "flashes", "--checkpoint", "flashes=absent"], 1, "no checkpoint absent"),
        (["--method", "constant", "--checkpoint", "constant=x"], 2, "no parameters"),
        (
            ["--method", "constant", "--option", "constant.ofset=1"],
            2,
            "no option 'ofset'; it takes",
        ),
        (["--method", "constant", "--option", "constant.offset=x"], 2, "cannot be made with"),
        (["--method", "constant", "--option", "offset=1"], 2, "METHOD.NAME=VALUE"),
        (["--method", "constant", "--option", "oracle.offset=1"], 2, "add it with --method"),
        (["--method", "constant", "--tolerances", "-1"], 2, "none negative"),
        (["--method", "flashes", "--shards", "nowhere"], 3, "build-shards"),
    ],
)
def test_mistakes_get_one_sentence(
    shards: Path, tmp_path: Path, arguments: list[str], code: int, complaint: str
) -> None:
    where = [] if "--shards" in arguments else ["--shards", str(shards)]
    done = avbench("run", *arguments, *where, "--out", tmp_path / "out")
    assert done.exit_code == code, done.output
    assert complaint in done.output
    assert "Traceback" not in done.output


def test_methods_lists_what_is_ready() -> None:
    done = avbench("methods")
    assert done.exit_code == 0
    assert "constant  Predict the same offset" in done.output
    assert "ready, nothing to train" in done.output
    assert "not ready: this installation ships no checkpoint" in done.output


@pytest.fixture
def results(shards: Path, tmp_path: Path) -> Path:
    out = tmp_path / "results"
    done = avbench(
        *("run", "--method", "flashes", "--method", "oracle", "--shards", shards),
        *("--out", out, "--repeats", 2, "--lengths", "11,15"),
    )
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.parametrize(
    "arguments", [["accuracy"], ["confusion"], ["confusion", "--length", "11"]]
)
def test_figures_of_results(results: Path, arguments: list[str]) -> None:
    kind, *rest = arguments
    figure = results / "figures" / "figure.png"
    done = avbench("plot", kind, results, *rest, "--out", figure)
    assert done.exit_code == 0, done.output
    assert str(figure) in done.output
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_figure_of_a_clip(shards: Path, tmp_path: Path) -> None:
    common = ("plot", "similarity", "--shards", shards, "--method", "flashes")
    for rest in ([], ["--key", "flash-0002-00", "--offset", "-4"]):
        figure = tmp_path / "figure.svg"
        done = avbench(*common, *rest, "--out", figure)
        assert done.exit_code == 0, done.output
        assert figure.read_bytes().startswith(b"<?xml")
        figure.unlink()
    numbers = tmp_path / "made" / "numbers.json"
    done = avbench(*common, "--offset", "2", "--out", figure, "--save-matrix", numbers)
    assert done.exit_code == 0, done.output
    drawn = json.loads(numbers.read_text("utf-8"))
    assert (drawn["offset"], drawn["search"]) == (2, 5)
    assert np.shape(drawn["matrix"]) == (16, 16)
    assert np.abs(drawn["matrix"]).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--key", "flash-0009-00"], "Unknown clip"),
        (["--key", "flash-0000-00", "--length", "40"], "has 26 frames, and this needs 40"),
        (["--length", "99"], "no clip in"),
        (["--method", "oracle"], "no embeddings"),
        (["--out", "figure.gif"], ".png, .pdf or .svg"),
    ],
)
def test_figure_mistakes_get_one_sentence(
    shards: Path, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    defaults = {"--method": "flashes", "--out": str(tmp_path / "figure.png")}
    defaults |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    flat = [text for pair in defaults.items() for text in pair]
    done = avbench("plot", "similarity", "--shards", shards, *flat)
    assert done.exit_code not in (0, 130)
    assert complaint in done.output
    assert "Traceback" not in done.output


def test_unknown_results_and_methods_are_named(results: Path, tmp_path: Path) -> None:
    done = avbench("plot", "accuracy", tmp_path, "--out", tmp_path / "x.png")
    assert done.exit_code == 3
    assert "avbench run" in done.output
    done = avbench("plot", "accuracy", results, "--method", "flash", "--out", tmp_path / "x.png")
    assert done.exit_code == 2
    assert "Did you mean 'flashes'?" in done.output
