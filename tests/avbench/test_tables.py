"""Tables hold what the scores say, and every form of them can be read back."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated import Failing, clip
from table_maker import (
    MEASURED,
    PAPER,
    REPORTED,
    TASK,
    a_run,
    block,
    outcome,
    printed,
    with_intervals,
    with_reductions,
)

from avbench import venues
from avbench.benchmark import evaluate
from avbench.errors import DataError, UnknownName
from avbench.labels import label
from avbench.metrics.catalogue import CATALOGUE
from avbench.results import Run, identify
from avbench.tables import (
    Cell,
    accuracy_table,
    chance_note,
    run_table,
    to_csv,
    to_frame,
    to_parquet,
)
from avbench.tables.beside import beside_table, metric_title
from avbench.tables.build import select
from avbench.tasks import OffsetTask
from baselines.oracle import Oracle


@pytest.fixture(scope="module")
def run() -> Run:
    return a_run()


def test_the_papers_row_prints_as_in_the_paper() -> None:
    table = accuracy_table(with_reductions(PAPER), reference="syncnet", caption="LRS2")
    text = table.to_text()
    assert "45.17 ± 0.32" in text
    assert "*66.88 ± 0.35 (39.60)" in text  # 39.59 in the paper, from unrounded accuracies
    assert "79.26 ± 0.29 (21.26)" in text
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if " ± " in line] == ["syncnet", "sync-e2e"]
    marks = {tuple(i for i, c in enumerate(line) if c == "±") for line in lines if " ± " in line}
    assert len(marks) == 1
    assert len(lines[3].split()) == 3
    assert {len(dash) for dash in lines[4].split()} == {19, 21}


def test_markdown_is_a_table_and_marks_the_best() -> None:
    text = accuracy_table(with_reductions(PAPER), reference="syncnet").to_markdown()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert "**66.88 ± 0.35 (39.60)**" in text
    assert "**45.17" not in text
    assert "| syncnet (reference) |" in text


def test_intervals_stand_where_the_spread_stood() -> None:
    rows = with_intervals(with_reductions(PAPER))
    table = accuracy_table(rows, reference="syncnet", shown="interval")
    assert "66.88 [66.53, 67.23] (39.60)" in table.to_text()
    assert "±" not in table.to_text().replace("within ±1", "")
    bare = accuracy_table(rows, shown="none").to_text()
    assert "[" not in bare
    assert "66.88 (39.60)" in bare


def test_all_that_share_the_first_rank_are_bold() -> None:
    rows = [*PAPER, *printed("sync-cls", {11: (66.70, 0.49), 20: (75.0, 0.24)})]
    ranks = {
        ("accuracy@0", 11, "sync-e2e"): 1,
        ("accuracy@0", 11, "sync-cls"): 1,
        ("accuracy@0", 11, "syncnet"): 3,
        ("accuracy@0", 20, "sync-e2e"): 1,
        ("accuracy@0", 20, "sync-cls"): 2,
        ("accuracy@0", 20, "syncnet"): 2,
    }
    table = accuracy_table(rows, ranks=ranks)
    bold = {label: [cell.best for cell in cells if cell] for label, cells in table.blocks[0].rows}
    assert bold == {
        "syncnet": [False, False],
        "sync-cls": [True, False],
        "sync-e2e": [True, True],
    }
    alone = accuracy_table(rows)
    tops = {label: [c.best for c in cells if c] for label, cells in alone.blocks[0].rows}
    assert tops["sync-cls"] == [False, False]


def test_the_least_error_is_the_best() -> None:
    rows = [
        replace(row, metric="mean_absolute_error", std=None, value=value)
        for row, value in zip(PAPER, (1.5, 1.0, 0.9, 0.4), strict=True)
    ]
    table = accuracy_table(rows, metrics=["mean_absolute_error"])
    assert table.blocks[0].title == "Mean absolute error (frames)"
    assert [label for label, _ in table.blocks[0].rows] == ["syncnet", "sync-e2e"]
    assert "**0.90** | **0.40**" in table.to_markdown()


def test_the_oracle_is_never_the_best() -> None:
    rows = [*PAPER, *printed("oracle", {11: (100.0, 0.0), 20: (100.0, 0.0)})]
    text = accuracy_table(rows, sees_truth=["oracle"]).to_markdown()
    assert "| oracle (sees the truth) | 100.00 ± 0.00 |" in text
    assert "**66.88" in text


def test_a_length_that_was_not_measured_is_a_dash() -> None:
    rows = [*PAPER, *printed("late", {20: (50.0, 0.1)})]
    assert "| late | - | 50.00 ± 0.10 |" in accuracy_table(rows).to_markdown()
    assert re.search(r"late & .*\{--\} & 50.00 & \$\\pm\$ 0.10", accuracy_table(rows).to_latex())


def test_one_repeat_has_no_spread() -> None:
    assert Cell(50.0).text() == "50.00"
    task = OffsetTask(lengths=(11,), repeats=1)
    found = evaluate([Oracle()], [clip(1)], task)
    assert "oracle  *100.00\n" in accuracy_table(found.scores).to_text()


def test_chance_is_stated_from_the_search_range() -> None:
    assert (
        chance_note(5, (0, 1)) == "Chance (uniform guessing): 9.1 % exact, 25.6 % within ±1 frame."
    )
    assert "3.2 % exact" in chance_note(15, (0,))
    rng = np.random.default_rng(0)
    guesses = rng.integers(-15, 16, 200_000)
    assert "9.7 %" in chance_note(15, (1,), "centre")
    assert (abs(guesses) <= 1).mean() == pytest.approx(0.0968, abs=2e-3)


def test_the_notes_say_what_the_numbers_cannot(run: Run) -> None:
    text = " ".join(run_table(run).notes)
    assert "24 to 32 questions a cell: 8 clips, 1 window each, 4 repeats, seed 0" in text
    assert "9.1 % exact, 25.6 % within ±1 frame" in text
    assert "against syncnet" in text
    assert "2 of 8 clips" in text
    assert "clip-0000 (too short: 26 frames for 20)" in text
    assert "Drawn faces" in text
    assert "never to be compared with numbers on LRS2" in text
    found = outcome()
    real = run_table(Run(found.predictions, found.scores, block(found, synthetic=False)))
    assert "LRS2" not in real.to_text()


def test_the_notes_name_the_interval_and_the_ranks(run: Run) -> None:
    ranks = [{"method": name, "rank": 1, "value": 0.5} for name in ("syncnet", "diag-avg")]
    pairs = [
        {"a": "syncnet", "b": name, "minimum_detectable": size}
        for name, size in (
            ("diag-avg", 0.031),
            ("oracle", 0.02),
            ("absent", 0.5),
            ("syncnet", None),
        )
    ]
    cells = [{"metric": "accuracy@0", "window": 11, "methods": ranks, "pairs": pairs}]
    better = replace(run, scores=with_intervals(run.scores), comparisons={"cells": cells})
    table = run_table(better, shown="interval", windows=[11])
    text = " ".join(table.notes)
    assert (
        "95 % interval, Wilson's score interval with one trial a recording (70 recordings)." in text
    )
    assert "standard deviation" not in text
    assert "does not tell apart" in text
    assert "four times out of five: 3.1 (Accuracy without tolerance)." in text
    assert table.columns == (11,)
    marked = {label: cells[0].best for label, cells in table.blocks[0].rows if cells[0]}
    assert marked["syncnet (reference)"]
    assert marked["diag-avg"]
    assert not marked["oracle (sees the truth)"]


def test_only_what_was_measured_can_be_shown(run: Run) -> None:
    with pytest.raises(UnknownName, match="diag-avg"):
        run_table(run, methods=["diagavg"])
    with pytest.raises(UnknownName, match="accuracy@0"):
        run_table(run, metrics=["accuracy@7"])
    with pytest.raises(UnknownName, match="window length"):
        run_table(run, windows=[12])
    plain = [replace(row, low=None, high=None) for row in run.scores]
    with pytest.raises(DataError, match="no 95 % intervals"):
        run_table(replace(run, scores=plain), shown="interval")


def test_failures_are_named_under_the_table() -> None:
    methods = [Failing(embed="clip-0001")]
    found = evaluate(methods, [clip(0), clip(1)], TASK)
    facts = {"methods": {m.name: identify(m) for m in methods}, "reference": None}
    text = " ".join(run_table(Run(found.predictions, found.scores, block(found, **facts))).notes)
    assert "failing failed on 8 of 16 questions, counted as wrong" in text
    assert "no face in this clip" in text
    assert "no reference method" in text


def test_tidy_rows_come_back_from_csv_and_parquet(run: Run) -> None:
    frame = to_frame(run.scores, {("accuracy@0", 11, "syncnet"): 1})
    assert len(frame) == len(run.scores)
    assert frame["rank"].notna().sum() == 1
    for back in (
        pd.read_csv(io.BytesIO(to_csv(frame))),
        pd.read_parquet(io.BytesIO(to_parquet(frame))),
    ):
        for row, (_, line) in zip(run.scores, back.iterrows(), strict=True):
            assert (line["method"], line["metric"], line["window"]) == (
                row.method,
                row.metric,
                row.window,
            )
            assert (row.value is None and pd.isna(line["value"])) or row.value == line["value"]
    assert to_parquet(frame) == to_parquet(to_frame(run.scores, {("accuracy@0", 11, "syncnet"): 1}))
    few = select(run.scores, metrics=["accuracy@1"], methods=["oracle"], windows=[20])
    assert to_frame(few)["value"].tolist() == [1.0]


def test_reported_stands_beside_measured_and_is_never_ranked_with_it() -> None:
    table = beside_table([*MEASURED, *REPORTED], caption="Both")
    assert table.columns == (11, 15, 20)
    reported, ours = table.blocks
    assert reported.title.startswith("Reported by Kim et al. (2021): LRS2 held out, kim-strict-5.")
    assert ours.title.startswith("Measured: demo test (drawn faces), kim-strict-5 v1.")
    text = table.to_text()
    assert re.search(r"syncnet \(Baseline\) +45.17 +± 0.32", text)
    assert "63.34† ± 0.39 (31.32)" in text
    assert table.to_text().splitlines()[-1].startswith("†")
    assert "77.9" in text
    assert "77.90" not in text
    assert ">90" in text
    assert "† diag-avg, 11 frames: 33.14 would follow" in text
    assert "chance" not in text
    assert not any(c and c.best for b in table.blocks for _, cells in b.rows for c in cells)
    assert "never to be compared" in text
    other = beside_table([*REPORTED, replace(REPORTED[0], source="A re-run")])
    assert [block.title.partition(":")[0] for block in other.blocks] == [
        "Reported by A re-run",
        "Reported by Kim et al. (2021)",
    ]
    wrong = beside_table([replace(REPORTED[0], suspect="more than all")])
    assert "45.17† ± 0.32" in wrong.to_text()
    assert "† syncnet, 11 frames: more than all" in wrong.notes
    sure = [replace(r, low=40.0, high=50.0, interval="wilson") for r in MEASURED]
    text = beside_table([*sure, *REPORTED], shown="interval").to_text()
    assert "45.77 [40.00, 50.00]" in text
    assert "45.17 ± 0.32" in text.replace("  ", " ")
    with pytest.raises(DataError, match="no rows"):
        beside_table(MEASURED, metrics=["accuracy@3"])


def test_a_reported_number_keeps_its_unit() -> None:
    titles = [
        metric_title(replace(REPORTED[0], metric=metric, unit=unit))
        for metric, unit in (
            ("accuracy@1", "percent"),
            ("duplicated", "count"),
            ("f1", "percent"),
            ("mcd", "dB"),
            ("lse_d", ""),
            ("equal_error_rate", "fraction"),
        )
    ]
    assert titles == [
        "Accuracy (%) within ±1 frame",
        "Duplicated (count)",
        "F1 (%)",
        "Mel-cepstral distortion (dB)",
        "LSE-D",
        "Equal error rate",
    ]


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_metric_has_a_label(name: str) -> None:
    metric = f"{name}1" if name.endswith("@") else name
    how = label(metric)
    assert how.higher_is_better == CATALOGUE[name].higher_is_better
    assert "_" not in how.title
    assert "@" not in how.title
    fraction = CATALOGUE[name].unit == "fraction"
    assert (how.scale == 100) == ("%" in how.title)
    assert fraction or how.scale == 1
    assert label("of-another-package").title == "of-another-package"


def test_widths_come_from_the_author_kits() -> None:
    for venue in venues.VENUES.values():
        assert 0 < venue.column <= venue.text < 8.5
        assert venue.source
        assert math.isclose(venue.inches(2), venue.text)
    with pytest.raises(UnknownName, match="icassp"):
        venues.get("icasp")
