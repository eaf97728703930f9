from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from avbench.errors import DataError
from avbench.leaderboard.reported import dumps, load
from avbench.leaderboard.rows import read_reported

ROW = {
    "kind": "paper",
    "method": "tae",
    "dataset": "lrs2",
    "protocol": "tae-single-25",
    "metric": "mean_absolute_error",
    "unit": "frames",
    "printed": "0.10",
    "verified": "Table 2",
}
CONTENT = {"source": "A paper", "citation": "A paper.", "rows": [ROW]}


def write(folder: Path, content: Any) -> Path:
    path = folder / "reported" / "paper.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_a_row_keeps_its_digits(tmp_path: Path) -> None:
    write(tmp_path, CONTENT)
    (row,) = read_reported(tmp_path)
    assert (row.value, row.printed, row.source) == (0.1, "0.10", "A paper")
    assert (row.version, row.window, row.split, row.note) == (None, None, "", "")


def test_common_fields_hold_for_every_row_unless_it_says_otherwise(tmp_path: Path) -> None:
    write(tmp_path, CONTENT | {"common": {"n": 7, "window": 75}, "rows": [ROW, ROW | {"n": 8}]})
    rows = read_reported(tmp_path)
    assert [(row.n, row.window) for row in rows] == [(7, 75), (8, 75)]


def test_a_printed_bound_is_no_value(tmp_path: Path) -> None:
    share = {"metric": "accuracy", "unit": "percent"}
    write(tmp_path, CONTENT | {"rows": [ROW | share | {"printed": ">99"}]})
    (row,) = read_reported(tmp_path)
    assert (row.value, row.low, row.high, row.interval) == (None, 99.0, None, "bound, as printed")
    assert row.suspect == ""


def test_chance_frames_a_table(tmp_path: Path) -> None:
    write(tmp_path, CONTENT | {"rows": [ROW | {"kind": "chance"}]})
    assert not read_reported(tmp_path)[0].ranked


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"printed": 0.1}, "needs text as its 'printed'"),
        ({"printed": "about 3"}, "expected digits"),
        ({"std": "±3"}, "expected digits"),
        ({"verified": ""}, "needs text as its 'verified'"),
        ({"kind": "measured"}, "is of kind 'measured'"),
        ({"window": "11"}, "whole number as its 'window'"),
        ({"suspect": "by hand"}, "unknown field 'suspect'"),
    ],
)
def test_a_row_that_is_not_one_is_named(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    path = write(tmp_path, CONTENT | {"rows": [ROW, ROW | change]})
    with pytest.raises(DataError, match=word) as caught:
        load(path)
    assert "row 2" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [[], {"rows": []}, CONTENT | {"rows": None}, CONTENT | {"colour": "red"}, "text"]
)
def test_a_file_that_is_not_one_is_named(tmp_path: Path, content: Any) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=r"is not a file of reported rows"):
        load(path)


def test_no_json_at_all_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, CONTENT)
    path.write_text("{")
    with pytest.raises(DataError, match=r"paper\.json is not a file of reported rows"):
        read_reported(tmp_path)


def test_the_canonical_form_forgets_the_order_and_nothing_else(tmp_path: Path) -> None:
    rows = [
        ROW | {"method": method, "window": window, "printed": f"{number}.0"}
        for number, (method, window) in enumerate(
            (m, w) for m in ("tae", "dta", "syncnet") for w in (9, 11, 100)
        )
    ]
    text = dumps(CONTENT | {"rows": rows})
    shuffled = random.Random(3).sample(rows, len(rows))
    assert dumps(CONTENT | {"rows": shuffled}) == text
    assert dumps(json.loads(text)) == text
    path = write(tmp_path, json.loads(text))
    found = load(path)[1]
    assert sorted(map(repr, map(sorted, map(dict.items, found)))) == sorted(
        map(repr, map(sorted, map(dict.items, rows)))
    )
    assert [row["window"] for row in found[:3]] == [9, 11, 100]  # numbers, not text, are sorted
    assert json.loads(text)["common"]["kind"] == "paper"
