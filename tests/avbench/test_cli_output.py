"""``avbench table`` and ``avbench plot`` on the results of a small run."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from simulated import Simulated, clip

from avbench import venues
from avbench.benchmark import evaluate
from avbench.cli import main
from avbench.plots import PRINT_DPI
from avbench.results import identify, read_run, write_run
from avbench.tasks import OffsetTask
from baselines.constant import Constant
from baselines.oracle import Oracle

LEADERBOARDS = Path(__file__).resolve().parents[2] / "leaderboards"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "results"
    task = OffsetTask(lengths=(11, 20), repeats=5)
    methods = [Simulated("syncnet", noise=2.5), Simulated("better"), Constant(), Oracle()]
    found = evaluate(methods, [clip(n) for n in range(12)], task, dataset="toy", split="test")
    block = {
        "task": task.describe(),
        "dataset": "toy",
        "split": "test",
        "synthetic": True,
        "limit": None,
        "reference": "syncnet",
        "methods": {method.name: identify(method) for method in methods},
    }
    write_run(folder, found.predictions, found.scores, found.describe(block))
    return folder


def avbench(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def test_the_table_goes_to_the_terminal(results: Path) -> None:
    done = avbench("table", results)
    assert done.exit_code == 0
    assert "Accuracy (%) without tolerance" in done.output
    assert "syncnet (reference)" in done.output
    assert "±" in done.output
    shown = avbench("table", results, "--show", "interval", "--method", "better").output
    assert "95 % interval" in shown
    assert "better" in shown
    assert "constant" not in shown
    assert "standard deviation" not in shown


@pytest.mark.parametrize(
    ("name", "words", "sign"),
    [
        ("t.txt", (), "Accuracy (%)"),
        ("t.md", ("--window", 20), "| frames | 20 |"),
        ("t.tex", ("--venue", "interspeech", "--label", "tab:x"), r"\label{tab:x}"),
        ("wide.tex", ("--venue", "ieee", "--columns", 2), r"\begin{table*}"),
        ("book.tex", ("--venue", "lncs", "--columns", 2), r"\begin{table}"),
        ("t.csv", ("--metric", "accuracy@1"), "accuracy@1"),
        ("other", ("--format", "md", "--metric", "mean_absolute_error"), "Mean absolute error"),
    ],
)
def test_every_form_is_written(
    results: Path, tmp_path: Path, name: str, words: tuple[object, ...], sign: str
) -> None:
    out = tmp_path / "made" / name
    done = avbench("table", results, *words, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.output == f"{out}\n"
    assert sign in out.read_text("utf-8")


def test_csv_and_parquet_hold_the_scores(results: Path, tmp_path: Path) -> None:
    scores = read_run(results).scores
    avbench("table", results, "--out", tmp_path / "all.parquet")
    frame = pd.read_parquet(tmp_path / "all.parquet")
    assert frame["value"].dropna().tolist() == [r.value for r in scores if r.value is not None]
    ranks = frame.dropna(subset=["rank"])
    assert set(ranks["method"]) >= {"syncnet", "better"}
    assert "oracle" not in set(ranks["method"])
    text = avbench("table", results, "--format", "csv", "--window", 11).output
    assert set(pd.read_csv(io.StringIO(text))["window"]) == {11}


def test_reported_numbers_stand_beside(results: Path) -> None:
    done = avbench("table", results, "--beside", LEADERBOARDS, "--show", "interval")
    assert "Measured: toy test (drawn faces), kim-strict-5 v1" in done.output
    assert "Reported by Kim et al. 2021" in done.output
    assert "66.88 ± 0.35 (39.59)" in done.output
    assert "never ranked together" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "parquet"), "--out"),
        (("--out", "table.xls"), "--format"),
        (("--method", "beter"), "Did you mean 'better'"),
        (("--metric", "accuracy@5"), "Unknown metric"),
        (("--beside", "leaderboards", "--format", "csv"), "text, md or latex"),
    ],
)
def test_a_wrong_request_gets_one_sentence(
    results: Path, words: tuple[str, ...], message: str
) -> None:
    done = avbench("table", results, *words)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def png_width(path: Path) -> int:
    data = path.read_bytes()
    assert data[:4] == b"\x89PNG"
    return int(struct.unpack(">I", data[16:20])[0])


@pytest.mark.parametrize(
    "words",
    [
        ("accuracy",),
        ("accuracy", "--spread", "repeats", "--method", "better"),
        ("confusion", "--length", "11"),
        ("risk-coverage", "--tolerance", "1"),
        ("confidence", "--length", "11"),
        ("errors",),
        ("differences",),
        ("differences", "--against", "syncnet", "--metric", "accuracy@1", "--length", "11"),
    ],
)
def test_figures_are_as_wide_as_the_venue_prints_them(
    results: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    kind, *options = words
    out = tmp_path / "made" / "figure.png"
    done = avbench("plot", kind, results, *options, "--out", out, "--venue", "icassp")
    assert done.exit_code == 0, done.output
    assert done.output == f"{out}\n"
    assert png_width(out) == pytest.approx(PRINT_DPI * venues.get("icassp").column, abs=1)


def test_reported_figures_come_from_a_leaderboards_folder(tmp_path: Path) -> None:
    out = tmp_path / "reported.svg"
    done = avbench(
        "plot", "reported", LEADERBOARDS, "--out", out, "--venue", "cvpr", "--columns", "2"
    )
    assert done.exit_code == 0, done.output
    assert out.read_text("utf-8").startswith("<?xml")
    other = avbench("plot", "reported", LEADERBOARDS, "--protocol", "kim", "--out", out)
    assert other.exit_code == 2
    assert "Unknown protocol 'kim'" in other.output


def test_drift_needs_no_results(tmp_path: Path) -> None:
    out = tmp_path / "drift.svg"
    done = avbench("plot", "drift", "--clips", "5", "--law", "symmetric", "--out", out)
    assert done.exit_code == 0, done.output
    assert "<!-- symmetric: mean" in out.read_text("utf-8")


def test_methods_without_confidence_are_left_out_unless_named(
    results: Path, tmp_path: Path
) -> None:
    out = tmp_path / "risk.svg"
    avbench("plot", "risk-coverage", results, "--out", out)
    drawn = out.read_text("utf-8")
    assert "<!-- better (area" in drawn
    assert "constant" not in drawn


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--columns", "2"), "--columns needs --venue"),
        (("--format", "pdf"), "let them agree"),
        (("--method", "syncnt"), "Did you mean 'syncnet'"),
    ],
)
def test_contradictions_are_refused(
    results: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = avbench("plot", "accuracy", results, "--out", tmp_path / "f.png", *words)
    assert done.exit_code == 2
    assert message in done.output


def test_results_without_comparisons_say_so(results: Path, tmp_path: Path) -> None:
    for name in ("run.json", "scores.jsonl", "predictions.parquet"):
        (tmp_path / name).write_bytes((results / name).read_bytes())
    done = avbench("plot", "differences", tmp_path, "--out", tmp_path / "f.png")
    assert done.exit_code == 3
    assert "no paired comparisons" in done.output
