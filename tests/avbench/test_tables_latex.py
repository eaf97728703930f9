"""LaTeX tables compile, fit their column and hold what the table holds."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from programs import program
from table_maker import (
    MEASURED,
    PAPER,
    REPORTED,
    a_run,
    printed,
    with_intervals,
    with_reductions,
)

from avbench import venues
from avbench.leaderboard.rows import read_measured, read_reported
from avbench.results import Run
from avbench.tables import (
    Block,
    Cell,
    Table,
    accuracy_table,
    run_table,
)
from avbench.tables.beside import beside_table
from avbench.tables.latex import Layout, tex_parts


@pytest.fixture(scope="module")
def run() -> Run:
    return a_run()


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


def compile_table(table: Table, folder: Path, layout: Layout, *more: Table) -> str:
    """Set tables in a text of their width and return TeX's log."""
    width = layout.width * venues.POINTS_PER_INCH
    source = "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[utf8]{inputenc}",
            r"\usepackage{booktabs}",
            rf"\setlength{{\textwidth}}{{{width:.1f}pt}}",
            r"\hfuzz=1pt",
            r"\begin{document}",
            "\\clearpage\n".join(each.to_latex(layout) for each in (table, *more)),
            r"See Table~\ref{tab:one}." if layout.label else "",
            r"\end{document}",
        ]
    )
    (folder / "table.tex").write_text(source, "utf-8")
    done = subprocess.run(
        [
            program("pdflatex"),
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


@pytest.mark.parametrize("venue", ["article", "interspeech"])
def test_all_that_is_reported_can_be_set(venue: str, tmp_path: Path) -> None:
    folder = Path(__file__).resolve().parents[2] / "leaderboards"
    rows = [*read_reported(folder), *read_measured(folder)]
    tables = []
    for protocol in sorted({row.protocol for row in rows if row.kind != "chance"}):
        chosen = [row for row in rows if row.protocol == protocol]
        metrics = sorted({r.metric for r in chosen if not r.metric.startswith("rer@")})
        tables.append(beside_table(chosen, metrics=metrics, caption=protocol))
    assert len(tables) > 10
    log = compile_table(tables[0], tmp_path, Layout(venues.get(venue).column), *tables[1:])
    overfull = [float(x) for x in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(overfull, default=0.0) < 2.0, log
    assert "Undefined" not in log
    assert "Font Warning" not in log


def test_any_text_can_be_set(tmp_path: Path) -> None:
    """Captions, names and notes come from files and from messages of failures."""
    printable = "".join(chr(c) for c in (*range(32, 127), *range(0xA1, 0x180), 0x2013, 0x1F600))
    words = " ".join(printable[i : i + 6] for i in range(0, len(printable), 6))
    table = Table(words, (11,), (Block(words, ((printable[:12], (Cell(1.0),)),)),), (words,))
    log = compile_table(table, tmp_path, Layout(5.0))
    assert "Missing character" not in log
    assert "Font Warning" not in log
    assert "ndefined" not in log


def test_a_narrow_table_is_smaller_then_stacked_then_split(run: Run) -> None:
    table = tables_of_every_kind(run)["repeats"]
    sizes = {}
    for inches in (9.0, 4.77, 3.15, 1.8):
        text = table.to_latex(Layout(inches))
        sizes[inches] = int(re.findall(r"fontsize\{(\d+)\}", text)[0])
        assert text.count(r"\begin{tabular}") == (2 if inches == 1.8 else 1)
    assert sizes[9.0] == 10
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    every = [cell for block in table.blocks for _, cells in block.rows for cell in cells if cell]
    for inches in sizes:
        text = table.to_latex(Layout(inches))
        for cell in every:
            for part in filter(None, tex_parts(cell)):
                assert part in text
    assert any(cell.rer is not None for cell in every)
