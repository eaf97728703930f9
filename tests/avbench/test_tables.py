"""Tables hold what the scores say, and every form of them can be read back or compiled."""

from __future__ import annotations

import io
import math
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import Failing, Simulated, clip

from avbench import venues
from avbench.benchmark import Outcome, evaluate
from avbench.errors import DataError, UnknownName
from avbench.labels import label
from avbench.leaderboard.rows import Row
from avbench.methods import Method
from avbench.metrics.catalogue import CATALOGUE
from avbench.results import Run, Score, identify, reductions
from avbench.tables import (
    Block,
    Cell,
    Table,
    accuracy_table,
    chance_note,
    run_table,
    to_csv,
    to_frame,
    to_parquet,
)
from avbench.tables.beside import beside_table
from avbench.tables.build import select
from avbench.tables.latex import Layout
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


@pytest.fixture(scope="module")
def run() -> Run:
    found = outcome()
    return Run(found.predictions, found.scores, block(found))


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


# Kim et al. (2021), Table 2, two columns.
PAPER = [
    *printed("syncnet", {11: (45.17, 0.32), 20: (73.66, 0.33)}),
    *printed("sync-e2e", {11: (66.88, 0.35), 20: (79.26, 0.29)}),
]


def with_reductions(rows: list[Score]) -> list[Score]:
    return [*rows, *reductions(rows, "syncnet")]


def with_intervals(rows: list[Score], half: float = 0.0035) -> list[Score]:
    return [
        replace(row, low=row.value - half, high=row.value + half, interval="wilson", clusters=70)
        if row.value is not None and row.metric.startswith("accuracy@")
        else row
        for row in rows
    ]


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
        for name, size in (("diag-avg", 0.031), ("absent", 0.5), ("oracle", None))
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


def row(method: str, window: int | None, value: float | None, **facts: object) -> Row:
    """Make a reported row of Kim et al., changed by ``facts``."""
    given: dict[str, object] = dict.fromkeys(Row.__dataclass_fields__)
    given |= dict.fromkeys(("condition", "interval", "reference", "note", "suspect", "run"), "")
    given |= {
        "kind": "paper",
        "method": method,
        "dataset": "LRS2",
        "split": "held out",
        "protocol": "kim-strict-5",
        "window": window,
        "metric": "accuracy@0",
        "unit": "percent",
        "value": value,
        "source": "Kim et al. (2021)",
        "verified": "",
        "printed": "" if value is None else f"{value}",
        "printed_std": "",
        "printed_name": "",
        "drawn": False,
        "ranked": True,
        **facts,
    }
    return Row(**given)  # type: ignore[arg-type]


REPORTED = [
    row("syncnet", 11, 45.17, std=0.32, repeats=10, printed_name="Baseline"),
    row("diag-avg", 11, 63.34, std=0.39, repeats=10),
    row("diag-avg", 11, 31.32, metric="rer@0", reference="syncnet", suspect="33.14 would follow"),
    row("diag-avg", 20, 77.9, printed="77.9"),
    row("fast", 20, None, low=90.0, interval="bound as printed", printed=">90"),
    row("chance", 11, 9.09, kind="chance"),
]
MEASURED = [
    row(
        name,
        window,
        value,
        kind="measured",
        dataset="demo",
        split="test",
        version=1,
        drawn=True,
        std=1.5,
        repeats=10,
        source="measured/demo",
        printed="",
        run="0123456789ab",
    )
    for name, window, value in (
        ("syncnet", 11, 45.775),
        ("sync-e2e", 11, 57.425),
        ("sync-e2e", 15, 68.35),
    )
]


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
    sure = [replace(r, low=40.0, high=50.0, interval="wilson") for r in MEASURED]
    text = beside_table([*sure, *REPORTED], shown="interval").to_text()
    assert "45.77 [40.00, 50.00]" in text
    assert "45.17 ± 0.32" in text.replace("  ", " ")
    with pytest.raises(DataError, match="no rows"):
        beside_table(MEASURED, metrics=["accuracy@3"])


def test_latex_is_escaped_and_balanced() -> None:
    rows = with_reductions(
        [*PAPER, *printed("my_method & 50%", {11: (30.0, 0.1), 20: (40.0, 0.1)})]
    )
    table = accuracy_table(rows, reference="syncnet", caption="a_b {c} 5 % ~ ^ \\", notes=["1 & 2"])
    text = table.to_latex()
    assert r"my\_method \& 50\%" in text
    assert r"a\_b \{c\} 5 \% \textasciitilde{} \textasciicircum{} \textbackslash{}" in text
    assert r"\textbf{66.88} & $\pm$ 0.35 & (39.60)" in text
    assert r"($-$27.67)" in text
    assert r"1 \& 2" in text
    for command in ("toprule", "bottomrule", r"begin{table}", r"end{table}"):
        assert text.count("\\" + command) == 1
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "±" not in line]
    spans = [
        line.replace(r"\&", "").count("&")
        + sum(int(n) - 1 for n in re.findall(r"multicolumn\{(\d+)\}", line))
        for line in body
    ]
    assert set(spans) == {6}


def pdflatex() -> str:
    found = shutil.which("pdflatex")
    if found is None:
        if os.environ.get("AVBENCH_TOOLS") == "required":
            pytest.fail("AVBENCH_TOOLS=required and there is no pdflatex")
        pytest.skip("there is no pdflatex here")
    return found


def compile_table(table: Table, folder: Path, layout: Layout) -> str:
    """Set a table in a text of its width and return TeX's log."""
    width = layout.width * venues.POINTS_PER_INCH
    source = "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[utf8]{inputenc}",
            r"\usepackage{booktabs}",
            rf"\setlength{{\textwidth}}{{{width:.1f}pt}}",
            r"\hfuzz=1pt",
            r"\begin{document}",
            table.to_latex(layout),
            r"See Table~\ref{tab:one}." if layout.label else "",
            r"\end{document}",
        ]
    )
    (folder / "table.tex").write_text(source, "utf-8")
    done = subprocess.run(
        [
            pdflatex(),
            "-no-shell-escape",
            "-interaction=nonstopmode",
            "-halt-on-error",
            "table.tex",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    log = (folder / "table.log").read_text("utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    return log


def wide_table() -> Table:
    """Return a table of every oddity: ten lengths, losses, long names, marks, hostile text."""
    lengths = range(5, 15)
    names = (
        "a-method-with-a-rather-long-name (reference)",
        "x_y & 50% #1 ~ ^ \\ {z} $",
        "é\u2013—…",
    )
    cells = tuple(Cell(12.345 + n, 0.5, -3.21, best=n % 2 == 0, doubt=n == 5) for n in lengths)
    rows = tuple((name, cells) for name in names)
    return Table(
        'Caption of 5 % & more_of it, <a> | “b” "c"',
        tuple(lengths),
        (Block("Accuracy (%) within ±1 frame", rows), Block("A title " * 20, rows)),
        ("† a note", "sha256 " + "0123456789abcdef" * 2, "語 is not in the fonts"),
    )


def tables_of_every_kind(run: Run) -> dict[str, Table]:
    better = replace(run, scores=with_intervals(run.scores))
    errors = [row.metric for row in run.scores if row.metric.endswith("_error")]
    return {
        "repeats": run_table(run),
        "interval": run_table(better, shown="interval"),
        "plain": run_table(run, shown="none", windows=[20], methods=["syncnet"]),
        "errors": run_table(run, metrics=sorted(set(errors))),
        "beside": beside_table([*MEASURED, *REPORTED], caption="Both"),
        "wide": wide_table(),
    }


@pytest.mark.parametrize("venue", ["article", "interspeech", "ieee-2"])
@pytest.mark.parametrize("kind", ["repeats", "interval", "plain", "errors", "beside", "wide"])
def test_latex_compiles_and_fits(run: Run, kind: str, venue: str, tmp_path: Path) -> None:
    name, _, columns = venue.partition("-")
    width = venues.get(name).inches(int(columns or 1))
    layout = Layout(width, spanning=bool(columns), label="tab:one")
    log = compile_table(tables_of_every_kind(run)[kind], tmp_path, layout)
    overfull = [float(x) for x in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(overfull, default=0.0) < 2.0, log
    assert "Undefined" not in log
    assert "undefined on input" not in log.replace("`tab:one' on page 1 undefined on input", "")
    assert "Font Warning" not in log
    assert "Missing character" not in log


def test_a_narrow_table_is_smaller_then_stacked_then_split(run: Run) -> None:
    table = tables_of_every_kind(run)["repeats"]
    sizes = {}
    for inches in (9.0, 4.77, 3.15, 1.8):
        text = table.to_latex(Layout(inches))
        sizes[inches] = int(re.findall(r"fontsize\{(\d+)\}", text)[0])
        assert text.count(r"\begin{tabular}") == (2 if inches == 1.8 else 1)
    assert sizes[9.0] == 10
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    every = {cell.text() for b in table.blocks for _, cells in b.rows for cell in cells if cell}
    narrow = table.to_latex(Layout(1.8))
    assert all(f"{float(text.split()[0]):.2f}" in narrow for text in every)


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
