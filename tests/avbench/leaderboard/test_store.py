"""Committed measured results: admission, merging, what drops out and why; update and diff."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from measured_maker import TASK, pair, results
from simulated import Failing, Simulated

from avbench.cli import leaderboard_gate, main
from avbench.errors import DataError
from avbench.leaderboard import checkout_folder, store
from avbench.leaderboard.card import objections, result_version
from avbench.leaderboard.changes import changes, with_tests
from avbench.leaderboard.rows import read_measured
from avbench.results import read_run
from avbench.shards import write_json

COMMITTED = sorted((checkout_folder() / "measured").glob("*/run.json"))


def avbench(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results(tmp_path_factory.mktemp("run"))


def test_what_is_written_is_read_back_and_the_bytes_are_stable(run: Path, tmp_path: Path) -> None:
    found = store.read(run)
    store.write(tmp_path / "a", found)
    store.write(tmp_path / "b", store.read(tmp_path / "a"))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["comparisons.json", "dataset.json", "run.json", "scores.jsonl", "table.md"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = [json.loads(x) for x in (tmp_path / "a" / "scores.jsonl").read_text().splitlines()]
    assert [store.key_of(row) for row in rows] == sorted(map(store.key_of, rows))
    assert (tmp_path / "a" / "scores.jsonl").read_bytes() == (run / "scores.jsonl").read_bytes()


def test_the_leaderboards_read_what_was_written(run: Path, tmp_path: Path) -> None:
    store.write(tmp_path / "measured" / "toy", store.read(run))
    rows = read_measured(tmp_path)
    assert {row.method for row in rows} == {"syncnet", "diag-avg"}
    assert all(row.drawn and row.kind == "measured" for row in rows)


def test_a_run_of_everything_takes_the_place_of_the_old(run: Path, tmp_path: Path) -> None:
    old, new = store.read(run), store.read(results(tmp_path / "b", pair(noise=3.0)))
    merged, dropped = store.merge(old, new)
    assert merged is new
    assert dropped == []


def test_a_method_that_was_not_measured_again_stays(run: Path, tmp_path: Path) -> None:
    other = results(tmp_path / "b", [Simulated("sync-cls", noise=1.0)], reference=None)
    merged, dropped = store.merge(store.read(run), store.read(other))
    assert dropped == []
    kept = [row for row in merged.rows if row["method"] == "syncnet"]
    assert kept == [row for row in store.read(run).rows if row["method"] == "syncnet"]
    earlier = merged.card["methods"]["syncnet"]["run"]
    assert merged.card["earlier"][earlier]["commit"] == "c" * 40
    assert {row["run"] for row in kept} == {earlier}
    assert "From earlier runs of the same questions" in merged.table
    assert "syncnet" in merged.table
    store.write(tmp_path / "c", merged)
    again, dropped = store.merge(store.read(tmp_path / "c"), store.read(other))
    assert dropped == []
    assert again.rows == merged.rows
    assert set(again.card["earlier"]) == {earlier}


@pytest.mark.parametrize(
    ("facts", "task", "reason"),
    [
        ({}, replace(TASK, seed=1), "other rules: seed 0 -> 1"),
        ({}, replace(TASK, search=6), "other rules: protocol kim-strict-5 -> kim-strict-6"),
        ({"shards_sha256": "9" * 64}, TASK, "other clips, or other questions"),
        ({"dataset": "other"}, TASK, "it is on toy, split test"),
        ({"decoder": {"libavcodec": "1"}}, TASK, "another platform: libavcodec"),
    ],
)
def test_what_means_something_else_drops_out_with_the_reason(
    run: Path, tmp_path: Path, facts: dict[str, Any], task: Any, reason: str
) -> None:
    other = results(
        tmp_path / "b", [Simulated("new", search=task.search)], task, reference=None, **facts
    )
    merged, dropped = store.merge(store.read(run), store.read(other))
    assert {row["method"] for row in merged.rows} == {"new"}
    assert len(dropped) == len(store.read(run).rows)
    assert all(reason in item.reason for item in dropped), dropped[0].reason


def test_another_version_of_rules_or_metric_drops_out(run: Path, tmp_path: Path) -> None:
    old = store.read(run)
    new = store.read(results(tmp_path / "b", [Simulated("new")], reference=None))
    card = {**old.card, "task": {**old.card["task"], "version": 0}}
    _, dropped = store.merge(replace(old, card=card), new)
    assert {item.reason for item in dropped} == {"it was asked under other rules: version 0 -> 1"}
    card = {**old.card, "metrics": {**old.card["metrics"], "accuracy@1": "0" * 8}}
    _, dropped = store.merge(replace(old, card=card), new)
    assert {item.row["metric"] for item in dropped} == {"accuracy@1"}
    assert store.stale(replace(old, card=card)) == ["accuracy@1 means something else now"]


def test_a_reduction_goes_when_its_reference_moves(run: Path, tmp_path: Path) -> None:
    other = results(tmp_path / "b", [Simulated("syncnet", noise=4.0)])
    merged, dropped = store.merge(store.read(run), store.read(other))
    assert {item.row["metric"] for item in dropped} == {"rer@0", "rer@1"}
    assert all("whose number moved" in item.reason for item in dropped)
    assert ("diag-avg", 11, "accuracy@0") in merged.by_key


def test_result_versions_move_with_metric_rules_and_items(run: Path) -> None:
    card = store.read(run).card
    first = result_version(card, "accuracy@0", card["metrics"])
    assert first == result_version(card, "accuracy@0", card["metrics"])
    others = [
        result_version(card, "accuracy@1", card["metrics"]),
        result_version(card, "accuracy@0", {**card["metrics"], "accuracy@0": "x"}),
        result_version({**card, "questions_sha256": "x"}, "accuracy@0", card["metrics"]),
        result_version({**card, "task": {"version": 2}}, "accuracy@0", card["metrics"]),
    ]
    assert len({first, *others}) == 5


@pytest.mark.parametrize("name", ["run.json", "scores.jsonl"])
def test_damaged_folders_are_named(run: Path, tmp_path: Path, name: str) -> None:
    store.write(tmp_path, store.read(run))
    (tmp_path / name).write_text("{")
    with pytest.raises(DataError, match="damaged results"):
        store.read(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        store.read(tmp_path)


def test_a_method_with_options_is_refused(tmp_path: Path) -> None:
    folder = results(tmp_path / "run")
    card = json.loads((folder / "run.json").read_text("utf-8"))
    name = sorted(card["methods"])[0]
    card["methods"][name]["options"] = {"edge": "valid"}
    (folder / "run.json").write_text(json.dumps(card), "utf-8")
    done = avbench("leaderboard", "update", folder, "--to", tmp_path / "to")
    assert done.exit_code != 0
    assert f"{name} was given options" in done.output


@pytest.mark.parametrize(
    ("facts", "objection"),
    [
        ({"commit": None}, "no commit is recorded"),
        ({"commit_changed": True}, "uncommitted changes"),
        ({"limit": 3}, "without --limit"),
        ({"shards_sha256": "0" * 64}, "not the one that was measured on"),
    ],
)
def test_a_run_is_refused_in_words(tmp_path: Path, facts: dict[str, Any], objection: str) -> None:
    folder = results(tmp_path / "run", **facts)
    done = avbench("leaderboard", "update", folder, "--to", tmp_path / "to")
    assert done.exit_code == 1
    assert objection in done.output
    assert not (tmp_path / "to").exists()


def test_failures_need_a_sentence(tmp_path: Path) -> None:
    folder = results(tmp_path / "run", [Failing("syncnet", embed="clip-0003")])
    common = ("leaderboard", "update", folder, "--to", tmp_path / "to")
    done = avbench(*common)
    assert done.exit_code == 1
    assert "say why in a sentence with --note" in done.output
    done = avbench(*common, "--note", "Clip 3 shows no face.")
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "to" / "toy" / "run.json").read_text())
    assert card["note"] == "Clip 3 shows no face."


def test_a_corpus_that_is_not_built_needs_a_licence(tmp_path: Path) -> None:
    folder = results(tmp_path / "run")
    (folder / "dataset.json").unlink()
    common = ("leaderboard", "update", folder, "--to", tmp_path / "to")
    done = avbench(*common)
    assert done.exit_code == 1
    assert "say with --licence where the corpus can be had" in done.output
    done = avbench(*common, "--licence", "Toy licence, on request.")
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "to" / "toy" / "run.json").read_text())
    assert card["licence"] == "Toy licence, on request."
    assert not (tmp_path / "to" / "toy" / "dataset.json").exists()


def test_scores_must_follow_from_predictions_and_rules_be_todays(tmp_path: Path) -> None:
    folder = results(tmp_path / "run")
    lines = (folder / "scores.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    (folder / "scores.jsonl").write_text(
        "\n".join([json.dumps(row | {"value": 0.99}), *lines[1:]]) + "\n"
    )
    said = objections(read_run(folder), json.loads((folder / "dataset.json").read_text()))
    assert len(said) == 1
    assert "1 of " in said[0]
    assert "do not follow from the predictions" in said[0]
    card = json.loads((folder / "run.json").read_text())
    write_json(folder / "run.json", {**card, "task": {**card["task"], "version": 7}})
    assert "kim-strict-5 v7, and the rules are v1 now" in " ".join(
        objections(read_run(folder), None)
    )


def test_update_shows_what_changes_first(run: Path, tmp_path: Path) -> None:
    common = ("--to", tmp_path / "to")
    done = avbench("leaderboard", "update", run, *common, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "new    syncnet at 11 frames, accuracy@0: " in done.output
    assert not (tmp_path / "to").exists()
    assert avbench("leaderboard", "update", run, *common).exit_code == 0
    assert "0 of " in avbench("leaderboard", "update", run, *common).output
    other = results(tmp_path / "b", pair(noise=3.0))
    done = avbench("leaderboard", "update", other, *common)
    assert "moved  syncnet at 11 frames, accuracy@0: " in done.output
    assert "[" in done.output, "intervals stand beside the numbers"
    assert "is up to date" in done.output
    alone = results(tmp_path / "c", [Simulated("new")], replace(TASK, seed=3), reference=None)
    done = avbench("leaderboard", "update", alone, *common)
    assert "dropped  syncnet 11 accuracy@0: it was asked under other rules" in done.output


def test_an_installed_package_is_not_written_into(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "site-packages" / "leaderboards"
    monkeypatch.setattr(leaderboard_gate, "checkout_folder", lambda: absent)
    done = avbench("leaderboard", "update", run)
    assert done.exit_code == 2
    assert "say where: --to" in done.output
    assert not absent.exists()


def test_update_renews_an_expectation(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "pinned" / "expected.json"
    common = ("leaderboard", "update", run, "--expected", path)
    done = avbench(*common)
    assert done.exit_code == 0, done.output
    done = avbench("leaderboard", "check", run, "--expected", path)
    assert done.exit_code == 0, done.output
    assert "all as expected" in avbench(*common).output
    worse = results(tmp_path / "worse", pair(noise=3.0))
    report = tmp_path / "report.json"
    done = avbench("leaderboard", "check", worse, "--expected", path, "--report", report)
    assert done.exit_code == 1
    found = json.loads(report.read_text())
    assert not found["passed"]
    assert {item["method"] for item in found["findings"]} == {"syncnet"}
    assert f"update RESULTS --expected {path}" in " ".join(done.output.split())


def test_check_needs_one_thing_to_check(run: Path, tmp_path: Path) -> None:
    for arguments in ([], [run, "--shards", tmp_path]):
        done = avbench("leaderboard", "check", *arguments)
        assert done.exit_code == 2
        assert "either RESULTS or --shards DIR" in done.output
    done = avbench("leaderboard", "check", tmp_path)
    assert done.exit_code == 3
    assert "no finished results" in done.output


def test_differences_are_tested_on_the_same_questions(tmp_path: Path) -> None:
    run = results(tmp_path / "run", pair(noise=0.5))
    worse = results(tmp_path / "worse", pair(noise=6.0))
    found = with_tests(changes(store.read(run), store.read(worse)), read_run(run), read_run(worse))
    change = next(c for c in found if c.key == ("syncnet", 15, "accuracy@0"))
    assert change.paired
    assert change.test is not None
    assert change.before is not None
    assert change.after is not None
    assert change.test.value == pytest.approx(change.after - change.before)
    assert change.p is not None
    assert change.p < 0.05
    assert change.p >= (change.test.p or 0)
    same = next(c for c in found if c.key == ("diag-avg", 15, "accuracy@0"))
    assert same.kind == "same"
    assert same.test is not None
    assert same.test.value == 0
    done = avbench("leaderboard", "diff", run, worse, "--metric", "accuracy@0")
    assert done.exit_code == 0, done.output
    assert "moved  syncnet at 15 frames, accuracy@0: " in done.output
    assert ", paired 95 % -" in done.output
    assert "diag-avg" not in done.output
    assert "2 of 4 numbers differ, 2 by more than chance explains" in done.output


def test_other_questions_about_the_same_clips_are_paired_by_clip(run: Path, tmp_path: Path) -> None:
    other = results(tmp_path / "other", task=replace(TASK, seed=4))
    done = avbench("leaderboard", "diff", run, other, "--all")
    assert done.exit_code == 0, done.output
    assert ", paired 95 % " in done.output


def test_other_clips_are_compared_unpaired(run: Path, tmp_path: Path) -> None:
    other = results(tmp_path / "other", shards_sha256="1" * 64)
    done = avbench("leaderboard", "diff", run, other, "--all")
    assert done.exit_code == 0, done.output
    assert ", unpaired 95 % " in done.output
    assert ", paired " not in done.output


def test_clips_that_were_asked_more_often_are_not_paired(run: Path, tmp_path: Path) -> None:
    other = results(tmp_path / "other", task=replace(TASK, lengths=(11,), repeats=3))
    done = avbench("leaderboard", "diff", run, other, "--all")
    assert done.exit_code == 0, done.output
    assert "gone   syncnet at 15 frames, accuracy@0" in done.output
    assert ", unpaired 95 % " in done.output
    assert ", paired " not in done.output


def test_committed_folders_differ_without_tests(run: Path, tmp_path: Path) -> None:
    store.write(tmp_path / "a", store.read(run))
    done = avbench("leaderboard", "diff", tmp_path / "a", run)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("0 of ")
    assert "chance" not in done.output


def test_what_may_not_be_compared_is_refused(run: Path, tmp_path: Path) -> None:
    wider = results(
        tmp_path / "wider",
        [Simulated("syncnet", search=6)],
        replace(TASK, search=6),
    )
    done = avbench("leaderboard", "diff", run, wider)
    assert done.exit_code == 2
    assert "never ranked together" in done.output
    away = results(tmp_path / "away", dataset="away")
    assert "different data" in avbench("leaderboard", "diff", run, away).output
    done = avbench("leaderboard", "diff", run, run, "--metric", "wer")
    assert done.exit_code == 2
    assert "no numbers of wer" in done.output


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_no_committed_number_is_stale(path: Path) -> None:
    assert store.stale(store.read(path.parent)) == []
