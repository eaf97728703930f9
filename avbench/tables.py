"""Tables in the papers' shape: methods down, window lengths across, one block per tolerance.

A cell reads ``66.88 ± 0.35 (39.59)``: accuracy in percent, its standard deviation over the
repeats, and in brackets the relative error reduction against the reference method in percent.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from avbench.data import JSON
from avbench.metrics.offset import chance
from avbench.results import Run, Score


@dataclass(frozen=True)
class Cell:
    """One accuracy, in percent."""

    mean: float
    std: float | None = None
    rer: float | None = None
    """Relative error reduction in percent; None for the reference itself."""
    best: bool = False
    """Highest of its column among the methods that do not see the truth."""

    def text(self) -> str:
        """Return the cell as the papers print it.

        >>> Cell(66.88, 0.35, 39.59).text()
        '66.88 ± 0.35 (39.59)'
        """
        return " ".join(filter(None, self.parts()))

    def parts(self) -> tuple[str, str, str]:
        """Return accuracy, spread and error reduction as text; empty where there is none."""
        spread = "" if self.std is None else f"± {self.std:.2f}"
        gain = "" if self.rer is None else f"({self.rer:.2f})"
        return f"{self.mean:.2f}", spread, gain


@dataclass(frozen=True)
class Block:
    """The accuracies at one tolerance."""

    title: str
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    """Label of the method, and a cell per column; None where nothing was measured."""


@dataclass(frozen=True)
class Table:
    """Blocks of accuracies with the notes that they cannot be read without."""

    caption: str
    columns: tuple[int, ...]
    """Window lengths in frames."""
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Render for a terminal: columns aligned, notes below."""
        lines = [self.caption]
        for block in self.blocks:
            labels = _column(["frames", *(label for label, _ in block.rows)], str.ljust)
            columns = [
                _column([str(length), *_lined_up([cells[i] for _, cells in block.rows])], str.rjust)
                for i, length in enumerate(self.columns)
            ]
            head, *body = ("  ".join(row).rstrip() for row in zip(labels, *columns, strict=True))
            rule = "  ".join("-" * len(column[0]) for column in (labels, *columns))
            lines += ["", block.title, head, rule, *body]
        lines += ["", *(textwrap.fill(note, 100) for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """Render as GitHub Markdown; the best of a column is bold."""
        lines = [f"**{_md(self.caption)}**"]
        for block in self.blocks:
            lines += ["", _md(block.title), ""]
            lines += ["| frames | " + " | ".join(map(str, self.columns)) + " |"]
            lines += ["|---|" + "---:|" * len(self.columns)]
            for label, cells in block.rows:
                row = [f"**{_text(c)}**" if c and c.best else _text(c) for c in cells]
                lines.append(f"| {_md(label)} | " + " | ".join(row) + " |")
        for note in self.notes:
            lines += ["", _md(note)]
        return "\n".join(lines) + "\n"

    def to_latex(self) -> str:
        """Render as a LaTeX table that needs only the booktabs package; the best is bold."""
        width = 1 + len(self.columns)
        lines = [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(self.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * len(self.columns)}}}",
            r"\toprule",
            "Frames & " + " & ".join(map(str, self.columns)) + r" \\",
        ]
        for block in self.blocks:
            lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{{_tex(block.title)}}} \\"]
            lines += [
                " & ".join([_tex(label), *map(_tex_cell, cells)]) + r" \\"
                for label, cells in block.rows
            ]
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\smallskip\footnotesize {_tex(note)}" for note in self.notes]
        return "\n".join([*lines, r"\end{table}"]) + "\n"


def accuracy_table(
    scores: Iterable[Score],
    *,
    reference: str | None = None,
    sees_truth: Iterable[str] = (),
    caption: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """Arrange the accuracies of one task and data set as a table.

    Parameters
    ----------
    scores
        Rows of one task and data set; only accuracies and error reductions are used.
    reference
        Method that error reductions are relative to, marked in its label.
    sees_truth
        Methods that are shown the answer: marked, and never printed as best.
    caption, notes
        Printed above and below.

    Returns
    -------
    Table
        Methods from the weakest to the strongest by their mean exact accuracy, as papers do.
    """
    rows = list(scores)
    values = {(row.method, row.window, row.metric): row for row in rows}
    columns = tuple(sorted({row.window for row in rows}))
    tolerances = sorted({_tolerance(r.metric) for r in rows if r.metric.startswith("accuracy@")})
    told = set(sees_truth)
    methods = sorted({row.method for row in rows})
    ranked = sorted(methods, key=lambda m: (_strength(values, m, columns, tolerances), m))
    blocks = []
    for tolerance in tolerances:
        cells = {m: [_cell(values, m, w, tolerance) for w in columns] for m in ranked}
        best = [
            max((c.mean for m in ranked if m not in told and (c := cells[m][i])), default=None)
            for i in range(len(columns))
        ]
        table = tuple(
            (
                _label(method, reference, told),
                tuple(
                    c and Cell(c.mean, c.std, c.rer, method not in told and c.mean == top)
                    for c, top in zip(cells[method], best, strict=True)
                ),
            )
            for method in ranked
        )
        blocks.append(Block(_title(tolerance), table))
    return Table(caption, columns, tuple(blocks), tuple(notes))


def run_table(run: Run) -> Table:
    """Arrange a run's accuracies, with every note that its numbers cannot be read without."""
    block = run.block
    task, methods = block["task"], block["methods"]
    told = [name for name, facts in methods.items() if facts["sees_truth"]]
    where = f"{block['dataset']}, split {block['split']}"
    return accuracy_table(
        run.scores,
        reference=block["reference"],
        sees_truth=told,
        caption=f"Offset of short windows, {task['protocol']} v{task['version']}, on {where}",
        notes=[
            _asked_note(run),
            _reference_note(block["reference"]),
            chance_note(task["search"], task["tolerances"]),
            *_refusal_notes(block),
            *_failure_notes(run),
            *_origin_notes(block),
        ],
    )


def _asked_note(run: Run) -> str:
    task, block = run.block["task"], run.block
    sizes = {row.window: row.n for row in run.scores}
    each = sorted(set(sizes.values()))
    count = f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}"
    limited = f" (the first {block['limit']})" if block["limit"] else ""
    return (
        f"{count} questions a cell: {_plural(block['clips'], 'clip')}{limited}, "
        f"{_plural(task['windows_per_clip'], 'window')} each, "
        f"{_plural(task['repeats'], 'repeat')}, seed {task['seed']}. ± is the standard deviation "
        "over the repeats: what other draws would change, not what other clips would."
    )


def _reference_note(reference: str | None) -> str:
    if reference is None:
        return "No error reductions: no reference method was measured."
    return (
        f"In brackets: relative error reduction in % against {reference} (negative: more errors)."
    )


def _refusal_notes(block: Mapping[str, JSON]) -> list[str]:
    refused: dict[tuple[str, str], list[str]] = {}
    for refusal in block["refusals"]:
        lengths = refused.setdefault((refusal["key"], refusal["reason"]), [])
        lengths += [str(refusal["length"])] if refusal["length"] else []
    if not refused:
        return []
    named = [
        f"{key} ({reason}{' for ' + ', '.join(lengths) if lengths else ''})"
        for (key, reason), lengths in list(refused.items())[:3]
    ]
    more = "; ..." if len(refused) > len(named) else ""
    return [
        f"Not asked at every length: {len(refused)} of {_plural(block['clips'], 'clip')}, listed "
        f"in run.json: {'; '.join(named)}{more}."
    ]


def _failure_notes(run: Run) -> list[str]:
    notes = []
    for name, facts in run.block["methods"].items():
        if failures := facts["failures"]:
            asked = sum({row.window: row.n for row in run.scores if row.method == name}.values())
            message = max(failures, key=lambda text: (failures[text], text))
            notes.append(
                f"{name} failed on {sum(failures.values())} of {asked} questions, counted as "
                f"wrong; most often: {message}"
            )
    return notes


def _origin_notes(block: Mapping[str, JSON]) -> list[str]:
    """Say what the faces were, as far as the shard set tells; None means that it does not."""
    notes = []
    if block["synthetic"]:
        notes.append("Drawn faces and synthetic speech.")
    if block["synthetic"] is not False:
        notes.append(
            "Numbers on drawn faces are never to be compared with numbers on LRS2 or any other "
            "recordings."
        )
    shipped = [n for n, facts in block["methods"].items() if facts["checkpoint"] == "shipped"]
    if shipped and not block["synthetic"]:
        notes.append(
            f"The shipped checkpoints ({', '.join(shipped)}) were trained on drawn faces alone; "
            "train your own before you compare with published numbers."
        )
    return [" ".join(notes)] if notes else []


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def chance_note(search: int, tolerances: Iterable[int]) -> str:
    """Say what guessing would score.

    >>> chance_note(5, (0, 1))
    'Chance (uniform guessing): 9.1 % exact, 25.6 % within ±1 frame.'
    """
    parts = [f"{100 * chance(search, t):.1f} % {_within(t)}" for t in tolerances]
    return f"Chance (uniform guessing): {', '.join(parts)}."


def _tolerance(metric: str) -> int:
    return int(metric.partition("@")[2])


def _within(tolerance: int) -> str:
    frames = "frame" if tolerance == 1 else "frames"
    return f"within ±{tolerance} {frames}" if tolerance else "exact"


def _title(tolerance: int) -> str:
    return f"Accuracy (%) {_within(tolerance) if tolerance else 'without tolerance'}"


def _strength(
    values: dict[tuple[str, int, str], Score],
    method: str,
    columns: Sequence[int],
    tolerances: Sequence[int],
) -> tuple[float, ...]:
    """Mean accuracy at each tolerance, the strictest first."""
    found = []
    for tolerance in tolerances:
        cells = [_cell(values, method, window, tolerance) for window in columns]
        known = [cell.mean for cell in cells if cell]
        found.append(sum(known) / len(known) if known else 0.0)
    return tuple(found)


def _cell(
    values: dict[tuple[str, int, str], Score], method: str, window: int, tolerance: int
) -> Cell | None:
    row = values.get((method, window, f"accuracy@{tolerance}"))
    if row is None or row.value is None:
        return None
    gain = values.get((method, window, f"rer@{tolerance}"))
    return Cell(
        mean=100 * row.value,
        std=100 * row.std if row.std is not None and row.repeats > 1 else None,
        rer=100 * gain.value if gain is not None and gain.value is not None else None,
    )


def _label(method: str, reference: str | None, told: set[str]) -> str:
    marks = ["reference"] if method == reference else []
    marks += ["sees the truth"] if method in told else []
    return f"{method} ({', '.join(marks)})" if marks else method


def _text(cell: Cell | None) -> str:
    return "-" if cell is None else cell.text()


def _column(texts: Sequence[str], justify: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, texts))
    return [justify(text, width) for text in texts]


def _lined_up(cells: Sequence[Cell | None]) -> list[str]:
    """Set accuracy below accuracy, spread below spread, reduction below reduction."""
    parts = [("-", "", "") if cell is None else cell.parts() for cell in cells]
    means, spreads, gains = zip(*parts, strict=True)
    numbers = _column([spread.removeprefix("± ") for spread in spreads], str.rjust)
    signs = [spread[:2].ljust(2) + n for spread, n in zip(spreads, numbers, strict=True)]
    columns = [_column(means, str.rjust), signs, _column(gains, str.rjust)]
    filled = [column for column in columns if any(map(str.strip, column))]
    return [" ".join(row) for row in zip(*filled, strict=True)]


def _md(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\`*_|<>[]" else c for c in text)


_TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "-": "-",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in text)


def _tex_cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    spread = "" if cell.std is None else rf" $\pm$ {cell.std:.2f}"
    # A hyphen would be set too short for a loss against the reference.
    gain = "" if cell.rer is None else f" ({cell.rer:.2f})".replace("-", "$-$")
    mean = rf"\textbf{{{cell.mean:.2f}}}" if cell.best else f"{cell.mean:.2f}"
    return f"{mean}{spread}{gain}"
