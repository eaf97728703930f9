from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import Failing, Simulated, clip

from avbench.benchmark import Outcome, evaluate
from avbench.errors import DataError
from avbench.methods import Method
from avbench.results import (
    Run,
    Score,
    environment,
    identify,
    read_run,
    reductions,
    score,
    write_run,
)
from avbench.tables import Cell, accuracy_table, chance_note, run_table
from avbench.tasks import OffsetTask
from baselines.oracle import Oracle

TASK = OffsetTask(lengths=(11, 20), repeats=4)


def measured() -> list[Method]:
    return [Simulated("syncnet", noise=2.5), Simulated("diag-avg", noise=2.0), Oracle()]


def outcome() -> Outcome:
    clips = [clip(number, num_frames=26 + 2 * number) for number in range(8)]
    return evaluate(measured(), clips, TASK, dataset="toy", split="test")


def block(found: Outcome, **facts: object) -> dict[str, object]:
    run = {
        "task": TASK.describe(),
        "dataset": "toy",
        "split": "test",
        "synthetic": True,
        "limit": None,
        "reference": "syncnet",
        "methods": {method.name: identify(method) for method in measured()},
        **facts,
    }
    return found.describe(run)


def printed(method: str, cells: dict[int, tuple[float, float]], tolerance: int = 0) -> list[Score]:
    """Make score rows out of percentages, as a paper prints them."""
    return [
        Score(
            method=method,
            task="offset",
            task_version=1,
            protocol="kim-strict-5",
            dataset="lrs2",
            split=None,
            window=window,
            metric=f"accuracy@{tolerance}",
            value=mean / 100,
            std=std / 100,
            repeats=10,
            n=71000,
            n_failed=0,
        )
        for window, (mean, std) in cells.items()
    ]


def test_scores_follow_from_the_predictions() -> None:
    found = outcome()
    part = found.predictions.query("method == 'diag-avg' and length == 11")
    right = part["predicted"] == part["offset"]
    rows = {row.metric: row for row in found.scores if (row.method, row.window) == ("diag-avg", 11)}
    assert rows["accuracy@0"].value == pytest.approx(right.mean())
    by_repeat = right.groupby(part["repeat"]).mean().to_numpy(dtype=float)
    assert rows["accuracy@0"].std == pytest.approx(np.std(by_repeat))
    assert rows["accuracy@0"].std != pytest.approx(np.std(by_repeat, ddof=1))
    assert (rows["accuracy@0"].n, rows["accuracy@0"].repeats) == (len(part), 4)
    errors = (part["predicted"] - part["offset"]).abs()
    assert rows["mean_absolute_error"].value == pytest.approx(errors.mean())
    assert rows["max_absolute_error"].value == errors.max()
    base = next(
        row.value
        for row in found.scores
        if (row.method, row.window, row.metric) == ("syncnet", 11, "accuracy@0")
    )
    gain = rows["rer@0"]
    assert gain.value == pytest.approx((right.mean() - base) / (1 - base))
    assert gain.reference == "syncnet"
    assert not [r for r in found.scores if r.method == "syncnet" and r.metric.startswith("rer")]


def test_without_the_reference_there_are_no_reductions() -> None:
    rows = score(outcome().predictions, TASK, reference="absent")
    assert rows
    assert not [row for row in rows if row.metric.startswith("rer")]


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    found = outcome()
    written = block(found) | environment()
    write_run(tmp_path / "run", found.predictions, found.scores, written)
    again = read_run(tmp_path / "run")
    assert again.scores == found.scores
    pd.testing.assert_frame_equal(again.predictions, found.predictions)
    assert again.block == json.loads(json.dumps(written))
    assert score(again.predictions, TASK, reference="syncnet", dataset="toy", split="test") == (
        found.scores
    )


def test_every_row_says_what_it_was_measured_with(tmp_path: Path) -> None:
    found = outcome()
    write_run(tmp_path, found.predictions, found.scores, block(found) | environment(threads=2))
    for line in (tmp_path / "scores.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        run = row["run"]
        assert run["versions"]["torch"]
        assert run["versions"]["avbench"]
        assert run["decoder"]["pyav"]
        assert run["threads"] == 2
        assert run["task"]["seed"] == 0
        assert run["seconds"] >= 0
        assert run["questions_sha256"] == found.questions_sha256
        assert run["sees_truth"] == (row["method"] == "oracle")
        extractors = {"syncnet": "simulated-2.5", "diag-avg": "simulated-2.0", "oracle": None}
        assert run["extractor"] == extractors[row["method"]]
        assert 0 <= row["value"] <= 1 or row["metric"].endswith("error") or "rer" in row["metric"]


def test_a_method_is_identified_by_its_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"weights")
    facts = identify(Simulated(), file)
    assert facts["checkpoint"] == "given"
    assert facts["checkpoint_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert facts["class"] == "simulated:Simulated"
    assert identify(Oracle())["checkpoint_sha256"] is None


def test_missing_and_damaged_results_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="avbench run"):
        read_run(tmp_path)
    found = outcome()
    write_run(tmp_path, found.predictions, found.scores, block(found))
    (tmp_path / "scores.jsonl").write_text("{", "utf-8")
    with pytest.raises(DataError, match="damaged"):
        read_run(tmp_path)


# Kim et al. (2021), Table 2, two columns.
PAPER = [
    *printed("syncnet", {11: (45.17, 0.32), 20: (73.66, 0.33)}),
    *printed("sync-e2e", {11: (66.88, 0.35), 20: (79.26, 0.29)}),
]


def with_reductions(rows: list[Score]) -> list[Score]:
    return [*rows, *reductions(rows, "syncnet")]


def test_the_papers_row_prints_as_in_the_paper() -> None:
    table = accuracy_table(with_reductions(PAPER), reference="syncnet", caption="LRS2")
    text = table.to_text()
    assert "45.17 ± 0.32" in text
    assert "66.88 ± 0.35 (39.60)" in text  # 39.59 in the paper, from unrounded accuracies
    assert "79.26 ± 0.29 (21.26)" in text
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if " ± " in line] == ["syncnet", "sync-e2e"]
    marks = {tuple(i for i, c in enumerate(line) if c == "±") for line in lines if " ± " in line}
    assert len(marks) == 1
    assert len(lines[3].split()) == 3
    assert {len(dash) for dash in lines[4].split()} == {19, 20}


def test_markdown_is_a_table_and_marks_the_best() -> None:
    text = accuracy_table(with_reductions(PAPER), reference="syncnet").to_markdown()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert "**66.88 ± 0.35 (39.60)**" in text
    assert "**45.17" not in text
    assert "| syncnet (reference) |" in text


def test_latex_is_escaped_and_balanced() -> None:
    rows = with_reductions(
        [*PAPER, *printed("my_method & 50%", {11: (30.0, 0.1), 20: (40.0, 0.1)})]
    )
    table = accuracy_table(rows, reference="syncnet", caption="a_b {c} 5 % ~ ^ \\", notes=["1 & 2"])
    text = table.to_latex()
    assert r"my\_method \& 50\%" in text
    assert r"a\_b \{c\} 5 \% \textasciitilde{} \textasciicircum{} \textbackslash{}" in text
    assert r"\textbf{66.88} $\pm$ 0.35 (39.60)" in text
    assert r"($-$27.67)" in text
    assert r"1 \& 2" in text
    for command in ("toprule", "bottomrule", r"begin{table}", r"end{table}"):
        assert text.count("\\" + command) == 1
    body = [
        line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]
    assert {line.replace(r"\&", "").count("&") for line in body} == {2}


def test_the_oracle_is_never_the_best() -> None:
    rows = [*PAPER, *printed("oracle", {11: (100.0, 0.0), 20: (100.0, 0.0)})]
    text = accuracy_table(rows, sees_truth=["oracle"]).to_markdown()
    assert "| oracle (sees the truth) | 100.00 ± 0.00 |" in text
    assert "**66.88" in text


def test_a_length_that_was_not_measured_is_a_dash() -> None:
    rows = [*PAPER, *printed("late", {20: (50.0, 0.1)})]
    assert "| late | - | 50.00 ± 0.10 |" in accuracy_table(rows).to_markdown()
    assert "late & -- & 50.00" in accuracy_table(rows).to_latex()


def test_one_repeat_has_no_spread() -> None:
    assert Cell(50.0).text() == "50.00"
    task = OffsetTask(lengths=(11,), repeats=1)
    found = evaluate([Oracle()], [clip(1)], task)
    assert "oracle  100.00\n" in accuracy_table(found.scores).to_text()


def test_chance_is_stated_from_the_search_range() -> None:
    assert (
        chance_note(5, (0, 1)) == "Chance (uniform guessing): 9.1 % exact, 25.6 % within ±1 frame."
    )
    assert "3.2 % exact" in chance_note(15, (0,))


def test_the_notes_say_what_the_numbers_cannot() -> None:
    found = outcome()
    text = " ".join(run_table(Run(found.predictions, found.scores, block(found))).notes)
    assert "24 to 32 questions a cell: 8 clips, 1 window each, 4 repeats, seed 0" in text
    assert "9.1 % exact, 25.6 % within ±1 frame" in text
    assert "against syncnet" in text
    assert "2 of 8 clips" in text
    assert "clip-0000 (too short: 26 frames for 20)" in text
    assert "Drawn faces" in text
    assert "never to be compared with numbers on LRS2" in text
    real = run_table(Run(found.predictions, found.scores, block(found, synthetic=False)))
    assert "LRS2" not in real.to_text()


def test_failures_are_named_under_the_table() -> None:
    methods = [Failing(embed="clip-0001")]
    found = evaluate(methods, [clip(0), clip(1)], TASK)
    facts = {"methods": {m.name: identify(m) for m in methods}, "reference": None}
    text = " ".join(run_table(Run(found.predictions, found.scores, block(found, **facts))).notes)
    assert "failing failed on 8 of 16 questions, counted as wrong" in text
    assert "no face in this clip" in text
    assert "no reference method" in text
