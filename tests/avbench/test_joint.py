"""Methods compared across runs: ``avbench.joint`` and ``avbench compare``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from answers import answers
from click.testing import CliRunner, Result

from avbench import joint
from avbench.cli import main
from avbench.errors import UsageError
from avbench.results import Run, score, write_run
from avbench.tasks import OffsetTask

TASK = OffsetTask(lengths=(11, 20), repeats=3)


def run(accuracies: dict[str, float], task: OffsetTask = TASK, seed: int = 0) -> Run:
    """Return a run of planted accuracies; equal seeds ask the same questions."""
    asked = answers(accuracies, seed=0)
    said = answers(accuracies, seed=seed)
    moved = said["predicted"] - said["offset"]  # the same errors, of the questions of seed 0
    predictions = asked.assign(predicted=(asked["offset"] + moved).astype("Int64"))
    return Run(
        predictions, [], {"task": task.describe(), "methods": {name: {} for name in accuracies}}
    )


def differences(found: dict, a: str, b: str) -> list[float]:
    made = []
    for cell in found["cells"]:
        for pair in cell["pairs"]:
            if (pair["a"], pair["b"]) == (a, b):
                made.append(pair["difference"])
            elif (pair["a"], pair["b"]) == (b, a):
                made.append(-pair["difference"])
    return made


def test_a_run_beside_itself_differs_nowhere() -> None:
    runs = {"one": run({"m": 0.6}), "two": run({"m": 0.6})}
    found = joint.comparisons(joint.side_by_side(runs), runs)
    assert differences(found, "one/m", "two/m") == [0.0] * 4  # two lengths, two tolerances
    assert not any(pair["significant"] for cell in found["cells"] for pair in cell["pairs"])


def test_a_better_checkpoint_is_told_apart_with_the_right_sign() -> None:
    runs = {"old": run({"m": 0.4}), "new": run({"m": 0.8}, seed=1)}
    found = joint.comparisons(joint.side_by_side(runs), runs)
    assert all(difference > 0.2 for difference in differences(found, "new/m", "old/m"))
    assert all(pair["significant"] for cell in found["cells"] for pair in cell["pairs"])


def test_stacked_runs_score_their_mean() -> None:
    runs = {f"seed-{n}": run({"a": 0.5, "b": 0.6}, seed=n) for n in range(3)}
    each = [
        {
            row["method"]: row["value"]
            for cell in joint.comparisons(joint.stacked({name: one}), runs)["cells"][:1]
            for row in cell["methods"]
        }
        for name, one in runs.items()
    ]
    together = joint.comparisons(joint.stacked(runs), runs)["cells"][0]
    for row in together["methods"]:
        assert row["value"] == pytest.approx(np.mean([values[row["method"]] for values in each]))
    assert together["clusters"] == 20  # recordings, not recordings times runs


def test_stacking_keeps_only_what_all_runs_hold() -> None:
    runs = {"x": run({"a": 0.5, "b": 0.6}), "y": run({"b": 0.5, "c": 0.6})}
    assert set(joint.stacked(runs)["method"]) == {"b"}
    with pytest.raises(UsageError, match="no method in common"):
        joint.stacked({"x": run({"a": 0.5}), "y": run({"c": 0.5})})


def test_arms_score_the_mean_of_their_trainings_and_are_paired_by_training() -> None:
    groups = {
        arm: {f"{arm}-{n}": run({"m": share}, seed=n + salt) for n in range(3)}
        for arm, share, salt in (("old", 0.4, 0), ("new", 0.8, 7))
    }
    runs = {name: one for group in groups.values() for name, one in group.items()}
    found = joint.comparisons(joint.arms(groups), runs)
    pairs = []
    for n in range(3):
        two = {arm: groups[arm][f"{arm}-{n}"] for arm in groups}
        each = joint.comparisons(joint.side_by_side(two), two)
        pairs.append(differences(each, "new/m", "old/m"))
    assert differences(found, "new/m", "old/m") == pytest.approx(np.mean(pairs, axis=0))
    assert {cell["clusters"] for cell in found["cells"]} == {20}
    del groups["new"]["new-2"]
    with pytest.raises(UsageError, match="got 3 of old, 2 of new"):
        joint.arms(groups)
    other = run({"m": 0.5}, OffsetTask(search=7, repeats=3))
    with pytest.raises(UsageError, match="new/0 and old/0 cannot be compared"):
        joint.arms({"old": {"0": other}, "new": {"0": groups["old"]["old-0"]}})


def test_other_rules_are_not_compared() -> None:
    runs = {"x": run({"a": 0.5}), "y": run({"a": 0.5}, OffsetTask(search=7, repeats=3))}
    with pytest.raises(UsageError, match="cannot be compared"):
        joint.side_by_side(runs)


def test_a_pair_can_be_turned_round() -> None:
    runs = {"x": run({"a": 0.4, "b": 0.7})}
    found = joint.comparisons(joint.side_by_side(runs), runs)
    there = joint.differences_table(found, [("b", "a")], "x").blocks[1].rows[0][1][0]
    back = joint.differences_table(found, [("a", "b")], "x").blocks[1].rows[0][1][0]
    assert there is not None
    assert back is not None
    assert there.mean == pytest.approx(-back.mean)
    assert (there.low, there.high) == (-(back.high or 0), -(back.low or 0))
    assert there.mean > 0


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name, accuracies in {"one": {"m": 0.4, "n": 0.5}, "two": {"m": 0.8, "n": 0.9}}.items():
        made = run(accuracies)
        block = {**made.block, "dataset": "toy", "split": "test"}
        predictions: pd.DataFrame = made.predictions
        write_run(tmp_path / name, predictions, score(predictions, TASK), block)
    return tmp_path


def compare(*words: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, words)], catch_exceptions=False)


def test_the_command_names_methods_by_their_run(folders: Path) -> None:
    done = compare(folders / "one", f"new={folders / 'two'}", "--method", "m")
    assert done.exit_code == 0
    assert "new/m - one/m" in done.output
    assert "n - " not in done.output.replace("new/m - ", "")
    more = [folders / f"{name}-again" for name in ("one", "two")]
    for path in more:
        shutil.copytree(path.with_name(path.name.removesuffix("-again")), path)
    given = [folders / "one", more[0], folders / "two", more[1]]
    names = ["old", "old", "new", "new"]
    arms = compare("--pool", *(f"{n}={path}" for n, path in zip(names, given, strict=True)))
    assert "old, new, each the mean over 2 trainings" in arms.output
    assert "new/m - old/n" in arms.output
    alone = compare("--pool", f"a={given[0]}", f"a={given[1]}")
    assert "a, each the mean over 2 trainings" in alone.output
    assert str(folders) not in alone.output
    pooled = compare("--pool", folders / "one", folders / "two", "--pair", "n,m")
    assert "mean over 2 runs" in pooled.output
    assert "n - m" in pooled.output


def test_the_command_writes_json(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "pairs.json"
    done = compare(folders / "one", folders / "two", "--format", "json", "--out", out)
    assert done.exit_code == 0
    assert {row["method"] for row in json.loads(out.read_text())["cells"][0]["methods"]} == {
        "one/m",
        "one/n",
        "two/m",
        "two/n",
    }


def test_what_cannot_be_compared_is_said_in_a_sentence(folders: Path) -> None:
    twice = compare(folders / "one", folders / "one")
    assert (twice.exit_code, "two runs are called 'one'" in twice.output) == (2, True)
    same = compare("--pool", *(f"a={folders / 'one'}",) * 2)
    assert (same.exit_code, "is given twice" in same.output) == (2, True)
    missing = compare(folders / "one", folders / "two", "--method", "dta")
    assert (missing.exit_code, "no run holds a method 'dta'" in missing.output) == (2, True)
    alone = compare(folders / "one", "--method", "m")
    assert (alone.exit_code, "nothing to compare" in alone.output) == (2, True)
    absent = compare(folders / "none", folders / "one")
    assert (absent.exit_code, "holds no finished results" in absent.output) == (3, True)
