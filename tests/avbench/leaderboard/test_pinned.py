"""The committed expectation belongs to this code: its checkpoints, its metrics, its counts."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from avbench import methods
from avbench.cli.leaderboard_gate import EXPECTED
from avbench.cli.leaderboard_gate import check as check_command
from avbench.leaderboard.card import metric_versions, task_of
from avbench.leaderboard.expected import TRUTH, Expected
from avbench.leaderboard.gate import EPSILON
from avbench.models import checkpoint as checkpoints

CONTENT: dict[str, Any] = json.loads(EXPECTED.read_text("utf-8"))


def test_the_file_is_small_enough_to_review() -> None:
    assert EXPECTED.stat().st_size < 200_000


def test_the_counts_follow_from_the_answers() -> None:
    for (method, window, metric), tally in Expected.read(EXPECTED).tallies().items():
        row = CONTENT["counts"][method][str(window)]
        assert (tally.total, tally.n) == (row[metric], row["questions"]), (method, window, metric)


def test_the_oracle_is_right_and_constant_says_the_same_always() -> None:
    answers = Expected.read(EXPECTED).answers
    assert answers["oracle"] == answers[TRUTH]
    said = [x for clips in answers["constant"].values() for row in clips.values() for x in row]
    assert set(said) == {0}


def test_rules_and_metrics_mean_today_what_they_meant() -> None:
    task = task_of(CONTENT)
    assert CONTENT["task"]["version"] == task.version
    assert CONTENT["metrics"] == metric_versions(task)


@pytest.mark.parametrize("name", ["syncnet", "sync-cls", "sync-e2e"])
def test_the_shipped_checkpoints_are_those_that_were_measured(name: str) -> None:
    digest = hashlib.sha256(checkpoints.shipped(name).read_bytes()).hexdigest()
    extractor = methods.load(name).extractor  # type: ignore[attr-defined]
    found = CONTENT["parameters"][name]
    assert found == f"checkpoint {digest[:16]}, extractor {extractor}", (
        "a checkpoint changed: renew the expectation as leaderboards/pinned/README.md says"
    )


def test_the_help_tells_the_true_epsilon() -> None:
    option = next(p for p in check_command.params if p.name == "epsilon")
    assert option.default == EPSILON
