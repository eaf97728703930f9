"""The main job as a user runs it, from videos to a table, and the README by the letter."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from avbench import methods
from avbench.cli import main
from avbench.shards import open_set

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def avbench(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def blocks(language: str, section: str = "") -> list[str]:
    """Return the README's code, of one section where it is named."""
    text = README if not section else README.partition(f"## {section}\n")[2].partition("\n## ")[0]
    assert text, section
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(section: str) -> list[str]:
    lines = [line for block in blocks("bash", section) for line in block.splitlines()]
    return [line for line in lines if line.startswith("avbench ")]


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's tour has run on a few videos."""
    root = tmp_path_factory.mktemp("tour")
    demo = root / "demo"
    avbench("synth", "--out", demo / "videos", "--videos", 4, "--pool", "test", "--workers", 2)
    (demo / "videos" / "notes.mp4").write_text("not a video")
    avbench(
        *("build-shards", demo / "videos", "--out", demo / "shards", "--dataset", "demo"),
        *("--split", "test", "--engine", "local"),
    )
    avbench(
        *("run", "--method", "all", "--shards", demo / "shards", "--out", demo / "results"),
        *("--repeats", 2, "--windows-per-clip", 4),
    )
    return root


def test_every_file_is_accounted_for(tour: Path) -> None:
    ledger = pd.read_parquet(tour / "demo/shards/ledger.parquet")
    assert len(ledger) == 5
    bad = ledger[ledger["path"].str.contains("notes")].iloc[0]
    assert bad["status"] != "kept"
    assert "notes.mp4" in bad["reason"]
    assert (ledger["status"] == "kept").sum() == 4


def test_all_methods_answer_the_same_questions(tour: Path) -> None:
    predictions = pd.read_parquet(tour / "demo/results/predictions.parquet")
    counts = predictions.groupby("method").size()
    aligners = {name for name in methods.available() if hasattr(methods.load_class(name), "align")}
    assert set(counts.index) == set(methods.available()) - aligners
    assert counts.nunique() == 1
    questions = predictions.groupby("method")["offset"].apply(tuple)
    assert questions.nunique() == 1


def test_scores_carry_what_is_needed_to_distrust_them(tour: Path) -> None:
    run = json.loads((tour / "demo/results/run.json").read_text("utf-8"))
    text = json.dumps(run)
    assert open_set(tour / "demo/shards").sha256 in text
    for word in ("torch", "numpy", "seed", "seconds"):
        assert word in text


def test_the_table_warns_that_the_faces_are_drawn(tour: Path) -> None:
    table = (tour / "demo/results/table.md").read_text("utf-8")
    assert "Drawn faces" in table
    assert "never to be compared" in table
    assert "9.1 % exact, 25.6 % within ±1 frame" in table


def test_trained_methods_beat_chance_and_the_oracle_is_perfect(tour: Path) -> None:
    predictions = pd.read_parquet(tour / "demo/results/predictions.parquet")
    right = predictions["predicted"] == predictions["offset"]
    accuracy = right.groupby(predictions["method"]).mean()
    assert accuracy["oracle"] == 1.0
    for name in ("syncnet", "diag-avg", "sync-cls", "sync-e2e"):
        assert accuracy[name] > 0.3, f"chance is 1/11, got {accuracy[name]:.3f} for {name}"


def test_sound_made_three_frames_early_reads_plus_three(tmp_path: Path) -> None:
    avbench(
        *("synth", "--out", tmp_path / "videos", "--videos", 2, "--pool", "test"),
        *("--preset", "easy-v1", "--offset", 3),
    )
    avbench(
        *("build-shards", tmp_path / "videos", "--out", tmp_path / "shards", "--dataset", "early"),
        *("--split", "test", "--engine", "local"),
    )
    shards = open_set(tmp_path / "shards")
    clips = list(shards.clips("test"))
    assert len(clips) == 2
    for name in ("syncnet", "diag-avg", "sync-cls", "sync-e2e"):
        method = methods.load(name)
        read = [
            method.predict(clip.window(start, 20).without_truth()).offset
            for clip in clips
            for start in range(0, len(clip) - 20, 10)
        ]
        assert Counter(read).most_common(1)[0][0] == 3, f"{name} read {read}"
    assert shards.index("test")["sync_offset"].tolist() == [3, 3]


def test_the_python_of_the_readme_runs(tour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tour)
    code = blocks("python")
    assert len(code) >= 4
    for block in code:
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def test_the_commands_of_the_first_run_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    found = commands("A first run")
    assert len(found) >= 5
    for line in found:
        made = line.replace("demo/", "$(DEMO)/").replace(" 100 ", " $(DEMO_VIDEOS) ")
        assert made in makefile, line


@pytest.mark.parametrize("line", commands("Results that can be compared"))
def test_the_commands_on_results_run(
    line: str, tour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (tour / "leaderboards").exists():
        shutil.copytree(ROOT / "leaderboards", tour / "leaderboards")
    monkeypatch.chdir(tour)
    avbench(*shlex.split(line)[1:])
    written = re.search(r"--out (\S+)", line)
    assert written is None or (tour / written[1]).exists()
