from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avbench.errors import DataError
from avbench.leaderboard.rows import Row, comparable, read_measured, read_reported, unit_of

ROW = Row(
    kind="measured",
    method="syncnet",
    dataset="demo",
    split="test",
    protocol="kim-strict-5",
    version=1,
    window=11,
    condition="",
    metric="accuracy@0",
    unit="percent",
    value=45.0,
    std=None,
    repeats=1,
    low=None,
    high=None,
    interval="",
    n=100,
    n_failed=0,
    reference="",
    source="measured/demo",
    verified="",
    note="",
    suspect="",
    run="0" * 12,
)

SCORE = {
    "method": "syncnet",
    "task": "offset",
    "task_version": 1,
    "protocol": "kim-strict-5",
    "dataset": "demo",
    "split": "test",
    "window": 11,
    "metric": "accuracy@0",
    "value": 0.45,
    "std": 0.02,
    "repeats": 10,
    "n": 4000,
    "n_failed": 0,
    "reference": None,
}
CARD = {
    "synthetic": True,
    "questions_sha256": "8a0000a6079fa0a6" * 4,
    "methods": {"syncnet": {"sees_truth": False}, "oracle": {"sees_truth": True}},
}


def folder(tmp_path: Path, scores: list[dict[str, Any]], card: dict[str, Any] = CARD) -> Path:
    run = tmp_path / "measured" / "demo"
    run.mkdir(parents=True)
    (run / "scores.jsonl").write_text("".join(f"{json.dumps(score)}\n" for score in scores))
    (run / "run.json").write_text(json.dumps(card))
    return tmp_path


def test_rows_that_differ_in_method_and_value_only_are_comparable() -> None:
    assert comparable(ROW, replace(ROW, method="diag-avg", value=60.0, note="another")) == ""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"drawn": True}, "drawn faces"),
        ({"kind": "paper"}, "reported"),
        ({"metric": "accuracy@1"}, "metric"),
        ({"protocol": "pm-window-15"}, "protocol"),
        ({"version": 2}, "protocol version"),
        ({"dataset": "lrs2"}, "dataset"),
        ({"split": ""}, "none"),
        ({"window": 13}, "11 and 13"),
        ({"unit": "fraction"}, "unit"),
        ({"condition": "face aligned"}, "condition"),
        ({"reference": "diag-avg"}, "reference"),
        ({"questions": "0123456789ab"}, "different questions"),
    ],
)
def test_every_other_difference_is_named_and_the_same_from_both_sides(
    change: dict[str, Any], word: str
) -> None:
    other = replace(ROW, **change)
    assert word in comparable(ROW, other)
    assert comparable(other, ROW)
    assert comparable(other, other) == ""


def test_measured_fractions_become_percent_and_the_card_is_read(tmp_path: Path) -> None:
    known = SCORE | {"low": 0.4, "high": 0.5, "interval": "wilson", "run": "ab" * 6}
    (row,) = read_measured(folder(tmp_path, [known]))
    assert (row.value, row.std, row.low, row.high) == pytest.approx((45.0, 2.0, 40.0, 50.0))
    assert (row.kind, row.unit, row.interval, row.n) == ("measured", "percent", "wilson", 4000)
    assert (row.source, row.run, row.version) == ("measured/demo", "ab" * 6, 1)
    assert (row.drawn, row.ranked, row.questions) == (True, True, "8a0000a6079f")


def test_rows_with_the_whole_block_in_them_are_read_too(tmp_path: Path) -> None:
    rows = read_measured(folder(tmp_path, [SCORE | {"run": {"clips": 3}}, SCORE]))
    assert [row.interval for row in rows] == ["", ""]
    assert rows[0].run == rows[1].run
    assert len(rows[0].run) == 12


def test_errors_stay_in_frames_and_undefined_values_stay_none(tmp_path: Path) -> None:
    scores = [
        SCORE | {"metric": "mean_absolute_error", "value": 1.25, "std": None},
        SCORE | {"metric": "rer@0", "value": None, "std": None, "reference": "syncnet"},
    ]
    error, reduction = read_measured(folder(tmp_path, scores))
    assert (error.value, error.unit) == (1.25, "frames")
    assert (reduction.value, reduction.unit, reduction.reference) == (None, "percent", "syncnet")


def test_what_frames_a_table_is_not_ranked(tmp_path: Path) -> None:
    scores = [SCORE | {"method": name, "value": 0.5} for name in ("oracle", "constant", "syncnet")]
    rows = read_measured(folder(tmp_path, scores))
    assert [row.ranked for row in rows] == [False, False, True]
    assert rows[0].note == "shown the truth"


def test_what_a_number_must_not_be_read_without_is_in_its_note(tmp_path: Path) -> None:
    card = CARD | {"commit_changed": True, "limit": 8}
    (row,) = read_measured(folder(tmp_path, [SCORE | {"caution": "few recordings"}], card))
    assert row.note == "measured with uncommitted changes; only the first 8 clips; few recordings"


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    place = folder(tmp_path, [SCORE])
    (place / "measured" / "demo" / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"measured/demo holds damaged results"):
        read_measured(place)
    (place / "measured" / "demo" / "run.json").unlink()
    with pytest.raises(DataError, match=r"copy them from the run again"):
        read_measured(place)


def test_an_empty_folder_has_no_rows(tmp_path: Path) -> None:
    assert read_reported(tmp_path) == []
    assert read_measured(tmp_path) == []


def test_measured_numbers_that_cannot_be_right_are_suspect(tmp_path: Path) -> None:
    scores = [SCORE, SCORE | {"metric": "accuracy@1", "value": 0.4}]
    rows = read_measured(folder(tmp_path, scores))
    assert all("is more than" in row.suspect for row in rows)


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("rer@1", "percent"),
        ("perceptual@ebu-r37", "percent"),
        ("max_absolute_error", "frames"),
        ("aurc", "fraction"),
        ("mouth_width_correlation", "fraction"),
        ("mcd", "dB"),
        ("f1", "percent"),
        ("nothing-known", ""),
    ],
)
def test_units(metric: str, unit: str) -> None:
    assert unit_of(metric) == unit
