from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import Simulated, clip

from avbench.benchmark import Outcome, evaluate
from avbench.errors import DataError
from avbench.methods import Method
from avbench.results import (
    environment,
    identify,
    read_run,
    score,
    write_run,
)
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
