from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import pytest
from answers import answers
from simulated import Simulated
from table_maker import TASK, block, outcome

from avbench.comparisons import compare
from avbench.errors import DataError
from avbench.results import (
    Score,
    environment,
    identify,
    read_run,
    score,
    write_run,
)
from avbench.runcard import run_id
from avbench.tasks import OffsetTask
from baselines.oracle import Oracle


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
    card = dict(again.block)
    added = {name: card.pop(name) for name in ("format", "run", "usage", "files")}
    assert card == json.loads(json.dumps(written))
    assert added["run"] == run_id(written)
    assert score(again.predictions, TASK, reference="syncnet", dataset="toy", split="test") == (
        found.scores
    )
    assert again.comparisons == compare(found.predictions, TASK.tolerances, unranked=["oracle"])


def test_every_row_names_its_run_and_the_card_says_the_rest(tmp_path: Path) -> None:
    found = outcome()
    write_run(tmp_path, found.predictions, found.scores, block(found) | environment(threads=2))
    card = read_run(tmp_path).block
    for line in (tmp_path / "scores.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        assert row["run"] == card["run"]
        assert set(row) == {*Score.__dataclass_fields__, "run"}
    assert re.fullmatch("[0-9a-f]{12}", card["run"])
    assert card["versions"]["torch"]
    assert card["decoder"]["pyav"]
    assert card["machine"]["simd"]
    assert card["threads"] == 2
    assert card["task"]["seed"] == 0
    assert card["questions_sha256"] == found.questions_sha256
    assert card["methods"]["oracle"]["sees_truth"]
    assert not card["methods"]["syncnet"]["sees_truth"]
    assert card["methods"]["syncnet"]["extractor"] == "simulated-2.5"
    assert card["methods"]["syncnet"]["seconds"] >= 0
    for name, digest in card["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_the_same_run_gives_the_same_bytes_but_for_times_and_memory(tmp_path: Path) -> None:
    for name in ("one", "two"):
        found = outcome()
        started = perf_counter() - 5
        write_run(tmp_path / name, found.predictions, found.scores, block(found), started=started)
    for name in ("predictions.parquet", "scores.jsonl", "comparisons.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    cards = [dict(read_run(tmp_path / name).block) for name in ("one", "two")]
    for card in cards:
        used = card.pop("usage")
        assert 5 <= used["wall_seconds"] < 60
        assert used["cpu_seconds"] > 0
        assert used["peak_memory_mib"] > 10
        for facts in card["methods"].values():
            del facts["seconds"]
    assert cards[0] == cards[1]


def test_no_path_of_this_machine_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann lee")
    home = "read /home/ann lee/set/a.tar"
    messages = [f"OSError: cannot read {tmp_path}/x/clip.mp4", "lost '/my data/b/c.mp4' at 3/4"]
    found = outcome()
    table = found.predictions.copy()
    table.loc[:1, "failure"] = messages
    write_run(tmp_path / "run", table, found.scores, block(found, note=[home, messages[0]]))
    again = read_run(tmp_path / "run")
    assert again.predictions["failure"].dropna().tolist() == [
        "OSError: cannot read clip.mp4",
        "lost 'c.mp4' at 3/4",
    ]
    assert str(tmp_path) not in (tmp_path / "run" / "run.json").read_text("utf-8")
    assert again.block["note"] == ["read a.tar", "OSError: cannot read clip.mp4"]


def test_methods_are_compared_by_the_reduction_of_their_scores(tmp_path: Path) -> None:
    task = OffsetTask(lengths=(11,), repeats=1, search=15, family="pm-window")
    table = answers({"a": 0.5, "b": 0.6}, lengths=(11,), windows=6, repeats=1)
    table = table[(table["window"] == 0) | table["key"].str.endswith("-00")]
    rows = score(table, task)
    write_run(tmp_path, table, rows, {"task": task.describe(), "methods": {}})
    again = read_run(tmp_path).comparisons
    assert again is not None
    cell = again["cells"][0]
    values = {row.method: row.value for row in rows if row.metric == cell["metric"]}
    assert {row["method"]: row["value"] for row in cell["methods"]} == pytest.approx(values)
    assert cell != compare(table)["cells"][0]


def test_a_folder_of_the_first_version_can_still_be_read(tmp_path: Path) -> None:
    found = outcome()
    write_run(tmp_path, found.predictions, found.scores, block(found))
    late = {"low", "high", "interval", "clusters", "standard_error", "caution"}
    rows = [json.loads(x) for x in (tmp_path / "scores.jsonl").read_text("utf-8").splitlines()]
    old = [{k: v for k, v in row.items() if k not in late} | {"run": {"x": 1}} for row in rows]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old), "utf-8")
    (tmp_path / "comparisons.json").unlink()
    again = read_run(tmp_path)
    assert again.comparisons is None
    assert [row.value for row in again.scores] == [row.value for row in found.scores]
    assert all(row.low is None for row in again.scores)


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
