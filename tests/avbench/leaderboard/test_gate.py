"""The gate on simulated methods: tiers, tolerances, stale expectations, missing and new methods."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import Simulated, clip

from avbench.benchmark import evaluate
from avbench.errors import DataError
from avbench.leaderboard.card import metric_versions, platform
from avbench.leaderboard.expected import TRUTH, Expected, Tally
from avbench.leaderboard.gate import EPSILON, Report, compare, standard_error
from avbench.metrics import offset as metrics
from avbench.results import Run, environment, identify, score
from avbench.tasks import OffsetTask
from baselines.constant import Constant

TASK = OffsetTask(lengths=(11, 15), repeats=2, windows_per_clip=3)
PROPORTIONS = 7


def measure(*methods: object, clips: int = 12, task: OffsetTask = TASK) -> Run:
    asked = methods or (
        Simulated("syncnet", noise=2.0),
        Simulated("diag-avg", noise=1.5),
        Constant(),
    )
    found = evaluate(
        asked, [clip(n, 50 + n) for n in range(clips)], task, dataset="toy", split="test"
    )
    block = {
        **environment(),
        "task": task.describe(),
        "dataset": "toy",
        "split": "test",
        "shards_sha256": f"{clips:064x}",
        "reference": "syncnet",
        "methods": {method.name: identify(method) for method in asked},
    }
    return Run(found.predictions, found.scores, found.describe(block))


@pytest.fixture(scope="module")
def run() -> Run:
    return measure()


def with_answers(run: Run, predictions: pd.DataFrame) -> Run:
    return replace(run, predictions=predictions, scores=score(predictions, TASK))


def with_card(run: Run, **facts: object) -> Run:
    return replace(run, block={**run.block, **facts})


def elsewhere(run: Run) -> Run:
    return with_card(run, versions={**run.block["versions"], "torch": "1.0"})


def spoilt(run: Run, method: str, count: int) -> Run:
    """Make ``count`` right answers at every length wrong by three frames."""
    table = run.predictions.copy()
    for length in TASK.lengths:
        mine = (table["method"] == method) & (table["length"] == length)
        rows = table.index[mine & (table["predicted"] == table["offset"])][:count]
        assert len(rows) == count
        was = table.loc[rows, "predicted"]
        table.loc[rows, "predicted"] = was.where(was <= 0, was - 6) + 3
    return with_answers(run, table)


def shaken(run: Run, method: str, share: float, seed: int) -> Run:
    """Move a share of the answers by one frame to either side, as another processor may."""
    table, rng = run.predictions.copy(), np.random.default_rng(seed)
    mine = table.index[(table["method"] == method) & (rng.random(len(table)) < share)]
    table.loc[mine, "predicted"] += rng.choice([-1, 1], len(mine))
    return with_answers(run, table)


def moved(report: Report) -> set[str]:
    return {finding.method for finding in report.findings if finding.kind == "moved"}


def text(report: Report) -> str:
    return "\n".join(report.lines())


def test_the_same_numbers_pass(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "expected.json"
    Expected.of(run).write(path)
    report = compare(Expected.read(path), run)
    assert report.passed
    assert report.tier == "exact"
    assert report.checked == 3 * len(TASK.lengths) * PROPORTIONS
    assert text(report).endswith("all as expected. The gate passes.")


def test_what_is_written_can_be_read_by_people_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    Expected.of(run).write(path)
    content = json.loads(path.read_text("utf-8"))
    said = content["answers"]["syncnet"]["11"]["clip-0003"].split()
    truth = content["answers"][TRUTH]["11"]["clip-0003"].split()
    assert len(said) == len(truth) == 6
    part = run.predictions.query("method == 'syncnet' and length == 11")
    right = int((part["predicted"] == part["offset"]).sum())
    assert content["counts"]["syncnet"]["11"]["accuracy@0"] == right
    assert content["counts"]["syncnet"]["11"]["questions"] == len(part) == 72
    Expected.read(path).write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_an_answer_that_was_not_given_is_kept(run: Run, tmp_path: Path) -> None:
    table = run.predictions.copy()
    table.loc[0, ["predicted", "confidence"]] = pd.NA
    silent = with_answers(run, table)
    Expected.of(silent).write(tmp_path / "e.json")
    assert compare(Expected.read(tmp_path / "e.json"), silent).passed
    assert not compare(Expected.read(tmp_path / "e.json"), run).passed


def test_one_other_answer_fails_where_the_platform_is_the_same(run: Run) -> None:
    report = compare(Expected.of(run), spoilt(run, "diag-avg", 1))
    assert not report.passed
    assert moved(report) == {"diag-avg"}
    assert "diag-avg at 11 frames, accuracy@" in text(report)
    assert "tolerance 0 questions" in text(report)
    assert "in 1 of 12 clips, most in clip-" in text(report)


def test_other_answers_with_equal_counts_fail_too(run: Run) -> None:
    table = run.predictions.copy()
    wrong = (table["method"] == "constant") & (table["length"] == 11) & (table["offset"] == 5)
    table.loc[wrong, "predicted"] = -1  # as wrong as 0 was, by every window and tolerance
    report = compare(Expected.of(run), with_answers(run, table))
    assert [(f.method, f.metric) for f in report.findings] == [("constant", "answers")]
    assert not report.passed


def test_elsewhere_the_statistical_tier_is_used_and_said_so(run: Run) -> None:
    report = compare(Expected.of(run), elsewhere(run))
    assert report.passed
    assert report.tier == "paired"
    assert "Tier statistical, paired" in text(report)
    assert "torch " in text(report)
    assert "-> 1.0" in text(report)


def test_elsewhere_noise_below_the_tolerance_passes_and_more_fails(run: Run) -> None:
    before = Expected.of(run)
    noisy = elsewhere(spoilt(run, "syncnet", 1))
    assert compare(before, noisy).passed
    broken = elsewhere(spoilt(run, "syncnet", 15))
    report = compare(before, broken)
    assert not report.passed
    assert moved(report) == {"syncnet"}
    assert "points; in " in text(report)


@pytest.mark.parametrize("seed", range(10))
def test_near_ties_that_tip_elsewhere_raise_no_alarm(run: Run, seed: int) -> None:
    report = compare(Expected.of(run), elsewhere(shaken(run, "diag-avg", 0.02, seed)))
    assert report.passed, text(report)


def test_other_shards_are_compared_unpaired(run: Run) -> None:
    other = with_card(run, shards_sha256="f" * 64, questions_sha256="e" * 64)
    report = compare(Expected.of(run), elsewhere(other))
    assert report.passed
    assert report.tier == "unpaired"
    assert "questions cannot be paired" in text(report)
    assert report.tolerances is not None
    assert report.tolerances[1] > EPSILON
    fewer = compare(Expected.of(run), elsewhere(measure(clips=9)))
    assert fewer.tier == "unpaired"


def test_other_shards_on_the_same_platform_are_a_finding(run: Run) -> None:
    report = compare(Expected.of(run), with_card(run, shards_sha256="f" * 64))
    assert [finding.kind for finding in report.findings] == ["changed"]
    assert not report.passed
    assert "draws, cuts or packs" in text(report)


def test_clips_that_are_the_same_in_other_shards_stay_paired(run: Run) -> None:
    here = with_card(run, clips_sha256="c" * 64)
    there = with_card(here, shards_sha256="f" * 64)
    assert compare(Expected.of(here), there).tier == "exact"
    assert compare(Expected.of(here), elsewhere(there)).tier == "paired"


def test_a_changed_checkpoint_is_named_with_its_rows(run: Run) -> None:
    facts = {**run.block["methods"]["syncnet"], "checkpoint_sha256": "d" * 64}
    block = {**run.block["methods"], "syncnet": facts}
    same = with_card(run, methods=block)
    report = compare(Expected.of(run), same)
    assert [(f.kind, f.method) for f in report.findings] == [("changed", "syncnet")]
    assert not report.passed
    worse = with_card(spoilt(run, "syncnet", 15), methods=block)
    assert moved(compare(Expected.of(run), worse)) == {"syncnet"}


def test_missing_fails_and_new_does_not(run: Run) -> None:
    fewer = measure(Simulated("syncnet", noise=2.0), Simulated("diag-avg", noise=1.5))
    lost = compare(Expected.of(run), fewer)
    assert [(f.kind, f.method) for f in lost.findings] == [("missing", "constant")]
    assert not lost.passed
    more = compare(Expected.of(fewer), run)
    assert [(f.kind, f.method) for f in more.findings] == [("new", "constant")]
    assert more.passed
    assert "1 new" in text(more)


def test_other_rules_are_stale_and_not_a_mystery(run: Run) -> None:
    task = {**run.block["task"], "version": 0}
    report = compare(Expected.of(with_card(run, task=run.block["task"])), with_card(run, task=task))
    assert [finding.kind for finding in report.findings] == ["stale"]
    assert "other rules (version 1 -> 0)" in text(report)
    assert "Tier" not in text(report)
    more = compare(Expected.of(run), measure(task=replace(TASK, repeats=3)))
    assert "repeats 2 -> 3" in text(more)
    assert not more.passed
    drawn = compare(Expected.of(run), with_card(run, questions_sha256="e" * 64))
    assert "without a new version of the protocol" in text(drawn)


def test_a_metric_with_another_meaning_is_stale(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Expected.of(run)
    window = metrics.WINDOWS["bt1359-detect"]
    swapped = replace(window, lag_ms=-window.lead_ms, lead_ms=-window.lag_ms)
    monkeypatch.setitem(metrics.WINDOWS, "bt1359-detect", swapped)
    report = compare(before, run)
    assert [(f.kind, f.metric) for f in report.findings] == [("stale", "perceptual@bt1359-detect")]
    assert "means something else now" in text(report)
    assert report.checked == 3 * len(TASK.lengths) * (PROPORTIONS - 1)


def test_metric_versions_know_what_a_metric_says_not_how_it_is_written() -> None:
    versions = metric_versions(TASK)
    assert versions == metric_versions(TASK)
    assert versions["accuracy@0"] != versions["accuracy@1"]
    assert {"rer@0", "mean_absolute_error"} <= set(versions)


def test_the_platform_is_what_moves_numbers(run: Run) -> None:
    facts = platform(run.block)
    assert {"torch", "numpy", "arch", "simd", "libavcodec"} <= set(facts)
    assert not {"avbench", "cpus", "python"} & set(facts)


def test_standard_errors_are_those_of_textbooks() -> None:
    rng = np.random.default_rng(0)
    keys = [f"c{n}" for n in range(40)]
    asked = dict.fromkeys(keys, 8)
    old, new = (
        Tally(dict(zip(keys, rng.binomial(8, 0.6, 40).tolist(), strict=True)), asked) for _ in "ab"
    )
    gaps = np.array([(new.hits[k] - old.hits[k]) / 8 for k in keys])
    assert standard_error(old, new, paired=True) == pytest.approx(gaps.std(ddof=1) / np.sqrt(40))
    each = [np.array([t.hits[k] / 8 for k in keys]).var(ddof=1) / 40 for t in (old, new)]
    assert standard_error(old, new, paired=False) == pytest.approx(np.sqrt(sum(each)))
    one = Tally({"c": 3}, {"c": 8})
    assert standard_error(one, one, paired=True) == 0


@pytest.mark.parametrize("content", ["", "{}", '{"format": 1}', "[1]", '{"format": 9}'])
def test_a_damaged_expectation_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "expected.json"
    path.write_text(content)
    with pytest.raises(DataError, match="is not an expectation"):
        Expected.read(path)
    with pytest.raises(DataError, match="update RESULTS --expected"):
        Expected.read(tmp_path / "absent.json")
