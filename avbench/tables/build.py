"""From scores to tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from avbench import protocols
from avbench.errors import DataError, UnknownName
from avbench.labels import label as label_of
from avbench.results import Run, Score
from avbench.tables.model import Block, Cell, Table
from avbench.tables.notes import run_notes

Shown = Literal["repeats", "interval", "none"]
SHOWN: tuple[Shown, ...] = ("repeats", "interval", "none")
"""What stands beside a number: the spread over the repeats, a 95 % interval, nothing."""

Ranks = Mapping[tuple[str, int, str], int]
"""Rank by metric, window length and method; 1 is the best, or not told apart from it."""
_SHORT = {
    "mean_absolute_error": "mean error (frames)",
    "max_absolute_error": "largest (frames)",
    "accuracy@0": "top-1 (%)",
    "accuracy@1": "within ±1 (%)",
}
"""Heads of columns, as the papers have them."""
_ASKED = {"offset": "Offset of short windows", "alignment": "Shift of every frame"}


def accuracy_table(
    scores: Iterable[Score],
    *,
    reference: str | None = None,
    sees_truth: Iterable[str] = (),
    metrics: Sequence[str] | None = None,
    shown: Shown = "repeats",
    ranks: Ranks | None = None,
    caption: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """Arrange the scores of one task and data set as a table.

    Parameters
    ----------
    scores
        Rows of one task and data set.
    reference
        Method that error reductions are relative to, marked in its label.
    sees_truth
        Methods that are shown the answer: marked, and never printed as best.
    metrics
        One block each; every accuracy, the strictest first, where None.
    shown
        What stands beside a number.
    ranks
        From paired comparisons: all methods of rank 1 are marked as best. Where there are none,
        the highest of a column alone is.
    caption, notes
        Printed above and below.

    Returns
    -------
    Table
        Methods from the weakest to the strongest by their mean over the columns of the first
        block, as papers do.
    """
    rows = list(scores)
    values = {(row.method, row.window, row.metric): row for row in rows}
    columns = tuple(sorted({row.window for row in rows}))
    wanted = list(metrics) if metrics is not None else _accuracies(rows)
    told = set(sees_truth)
    methods = sorted({row.method for row in rows})
    cells = {
        (metric, method): [_cell(values.get((method, w, metric)), values, shown) for w in columns]
        for metric in wanted
        for method in methods
    }
    ranked = sorted(methods, key=lambda method: (_strength(cells, wanted, method), method))
    rivals = [method for method in ranked if method not in told]
    blocks = []
    for metric in wanted:
        best = [
            _best({m: cells[metric, m][i] for m in rivals}, metric, window, ranks or {})
            for i, window in enumerate(columns)
        ]
        table = tuple(
            (
                _label(method, reference, told),
                tuple(
                    cell and replace(cell, best=method in top)
                    for cell, top in zip(cells[metric, method], best, strict=True)
                ),
            )
            for method in ranked
        )
        blocks.append(Block(label_of(metric).title, table))
    return Table(caption, columns, tuple(blocks), tuple(notes))


def metrics_table(
    scores: Iterable[Score],
    *,
    reference: str | None = None,
    sees_truth: Iterable[str] = (),
    metrics: Sequence[str],
    shown: Shown = "repeats",
    ranks: Ranks | None = None,
    caption: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """Arrange the scores at one window length as a table whose columns are metrics.

    Parameters are those of `accuracy_table`. Methods stand from the weakest to the strongest by
    the first metric.
    """
    blocks = accuracy_table(
        scores,
        reference=reference,
        sees_truth=sees_truth,
        metrics=metrics,
        shown=shown,
        ranks=ranks,
    ).blocks
    rows = zip(*(block.rows for block in blocks), strict=True)
    joined = tuple((row[0][0], tuple(cells[0] for _, cells in row)) for row in rows)
    return Table(
        caption,
        tuple(_SHORT.get(metric, label_of(metric).title) for metric in metrics),
        (Block("", joined),),
        tuple(notes),
        corner="method",
    )


def run_table(
    run: Run,
    *,
    metrics: Sequence[str] | None = None,
    methods: Collection[str] | None = None,
    windows: Collection[int] | None = None,
    shown: Shown = "repeats",
) -> Table:
    """Arrange a run's scores, with every note that its numbers cannot be read without.

    Parameters
    ----------
    run
        As from `avbench.results.read_run`.
    metrics, methods, windows
        What to show; all accuracies, all methods and all window lengths where None.
    shown
        What stands beside a number: ``repeats``, ``interval`` or ``none``.

    Raises
    ------
    UnknownName
        If something to show was not measured.
    DataError
        If intervals are asked for and the run has none.
    """
    block = run.block
    task, facts = block["task"], block["methods"]
    told = [name for name, fact in facts.items() if fact["sees_truth"]]
    rows = select(run.scores, methods=methods, windows=windows)
    usual = _columns(task["protocol"])
    across = bool(usual) and len({row.window for row in rows}) == 1
    wanted = list(metrics if metrics is not None else usual or _accuracies(rows))
    check_names("metric", wanted, (row.metric for row in rows))
    if shown == "interval" and not any(r.low is not None for r in rows if r.metric in wanted):
        raise DataError("these results hold no 95 % intervals; measure again, or show repeats")
    ranks = ranks_of(run)
    where = f"{block['dataset']}, split {block['split']}"
    where += f", {block['condition']}" if block.get("condition") else ""
    what = _ASKED.get(task.get("name", "offset"), "Scores")
    arranged = metrics_table if across else accuracy_table
    return arranged(
        rows,
        reference=block["reference"],
        sees_truth=told,
        metrics=wanted,
        shown=shown,
        ranks=ranks,
        caption=f"{what}, {task['protocol']} v{task['version']}, on {where}",
        notes=run_notes(run, rows, wanted, shown, ranked=bool(ranks)),
    )


def select(
    scores: Iterable[Score],
    *,
    metrics: Collection[str] | None = None,
    methods: Collection[str] | None = None,
    windows: Collection[int] | None = None,
) -> list[Score]:
    """Return the scores of these metrics, methods and window lengths; None means all.

    Raises
    ------
    UnknownName
        If one of them was not measured.
    """
    rows = list(scores)
    check_names("metric", metrics or (), (row.metric for row in rows))
    check_names("method", methods or (), (row.method for row in rows))
    check_names("window length", map(str, windows or ()), (str(row.window) for row in rows))
    return [
        row
        for row in rows
        if (metrics is None or row.metric in metrics)
        and (methods is None or row.method in methods)
        and (windows is None or row.window in windows)
    ]


def check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise `UnknownName` for the first name that is not known."""
    have = set(known)
    for name in names:
        if name not in have:
            raise UnknownName(kind, name, have)


def ranks_of(run: Run) -> dict[tuple[str, int, str], int]:
    """Return the shared ranks of a run's paired comparisons; empty where it has none."""
    return {
        (cell["metric"], cell["window"], row["method"]): row["rank"]
        for cell in (run.comparisons or {}).get("cells", ())
        for row in cell["methods"]
    }


def _columns(protocol: str) -> tuple[str, ...]:
    """Return the metrics that a protocol has as columns; none where it is not known."""
    try:
        return protocols.get(protocol).columns
    except UnknownName:
        return ()


def _accuracies(rows: Iterable[Score]) -> list[str]:
    found = {row.metric for row in rows if row.metric.startswith("accuracy@")}
    return sorted(found, key=lambda metric: int(metric.partition("@")[2]))


def _cell(
    row: Score | None, values: Mapping[tuple[str, int, str], Score], shown: Shown
) -> Cell | None:
    if row is None or row.value is None:
        return None
    how = label_of(row.metric)
    gain = None
    if row.metric.startswith("accuracy@"):
        gain = values.get((row.method, row.window, row.metric.replace("accuracy@", "rer@")))
    spread = shown == "repeats" and row.std is not None and row.repeats > 1
    within = shown == "interval" and row.low is not None and row.high is not None
    return Cell(
        mean=how.scale * row.value,
        std=how.scale * (row.std or 0.0) if spread else None,
        rer=100 * gain.value if gain is not None and gain.value is not None else None,
        low=how.scale * (row.low or 0.0) if within else None,
        high=how.scale * (row.high or 0.0) if within else None,
        digits=how.digits,
    )


def _strength(
    cells: Mapping[tuple[str, str], Sequence[Cell | None]], metrics: Sequence[str], method: str
) -> tuple[float, ...]:
    """Mean of each block, the first block first; higher is better."""
    found = []
    for metric in metrics:
        known = [cell.mean for cell in cells[metric, method] if cell]
        mean = sum(known) / len(known) if known else 0.0
        found.append(mean if label_of(metric).higher_is_better else -mean)
    return tuple(found)


def _best(column: Mapping[str, Cell | None], metric: str, window: int, ranks: Ranks) -> set[str]:
    """Return the best of a column, and all that are not told apart from it."""
    known = {method: cell.mean for method, cell in column.items() if cell}
    if not known:
        return set()
    found = {method: ranks.get((metric, window, method)) for method in known}
    given = [rank for rank in found.values() if rank is not None]
    if given:
        return {method for method, rank in found.items() if rank == min(given)}
    pick: Callable[..., float] = max if label_of(metric).higher_is_better else min
    top = pick(known.values())
    return {method for method, mean in known.items() if mean == top}


def _label(method: str, reference: str | None, told: Collection[str]) -> str:
    marks = ["reference"] if method == reference else []
    marks += ["sees the truth"] if method in told else []
    return f"{method} ({', '.join(marks)})" if marks else method
