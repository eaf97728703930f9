"""Compare methods across runs that asked the same questions.

Two checkpoints of one method, two options, or several trainings of the same methods cannot be
measured in one run, which holds a method once. Their runs can be put together afterwards: side by
side, every method under the name of its run (`side_by_side`); on top of each other, every run a
repetition of all questions with another training seed (`stacked`); or both, several trainings of
each of several ways to train (`arms`). In each case `avbench.comparisons.compare` pairs them
question by question.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from avbench.alignment_task import AlignmentTask
from avbench.comparisons import compare
from avbench.data import JSON
from avbench.errors import UsageError
from avbench.labels import label
from avbench.results import Run
from avbench.tables.model import Block, Cell, Table

_SAME = ("protocol", "version", "search", "tolerances", "seed")
"""What the tasks of two runs must agree in, beside the questions themselves."""


def side_by_side(runs: Mapping[str, Run]) -> pd.DataFrame:
    """Return the predictions of all runs, every method under ``<run>/<method>``.

    Parameters
    ----------
    runs
        Results by name; with one alone, methods keep their names.

    Raises
    ------
    UsageError
        If the runs asked under different rules.
    """
    _check(runs)
    if len(runs) == 1:
        return next(iter(runs.values())).predictions
    return _prefixed({name: run.predictions for name, run in runs.items()})


def stacked(runs: Mapping[str, Run]) -> pd.DataFrame:
    """Return the predictions of all runs as more repeats of the methods that all of them hold.

    An accuracy is then the mean over the runs, and a difference is paired within each. An interval
    says what other recordings would change; what other trainings would is seen between the runs.

    Raises
    ------
    UsageError
        If the runs asked under different rules, or have no method in common.
    """
    _check(runs)
    frames = [run.predictions for run in runs.values()]
    shared = set.intersection(*(set(frame["method"]) for frame in frames))
    if not shared:
        raise UsageError(f"the runs {', '.join(runs)} have no method in common; name others")
    step = 1 + max(int(frame["repeat"].max()) for frame in frames)
    kept = [
        frame[frame["method"].isin(shared)].assign(repeat=frame["repeat"] + step * number)
        for number, frame in enumerate(frames)
    ]
    return pd.concat(kept, ignore_index=True)


def arms(groups: Mapping[str, Mapping[str, Run]]) -> pd.DataFrame:
    """Return predictions of several trainings of each arm, every method under ``<arm>/<method>``.

    The trainings of an arm are put on top of each other as by `stacked`: the first of one arm is
    paired with the first of another, so their seeds had better be the same.

    Parameters
    ----------
    groups
        Results by arm, and by whatever tells the trainings of an arm apart.

    Raises
    ------
    UsageError
        If arms have different numbers of trainings, or the runs asked under different rules.
    """
    _check({f"{arm}/{name}": run for arm, runs in groups.items() for name, run in runs.items()})
    counts = {arm: len(runs) for arm, runs in groups.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {arm}" for arm, count in counts.items())
        raise UsageError(f"got {told}; give as many trainings of each, or leave --pool out")
    return _prefixed({arm: stacked(runs) for arm, runs in groups.items()})


def _prefixed(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    named = [
        frame.assign(method=f"{name}/" + frame["method"].astype(str))
        for name, frame in frames.items()
    ]
    return pd.concat(named, ignore_index=True)


def comparisons(
    predictions: pd.DataFrame, runs: Mapping[str, Run], unranked: Collection[str] = ()
) -> dict[str, JSON]:
    """Compare methods in pairs under the rules of the runs, as `avbench.comparisons.compare`."""
    task = next(iter(runs.values())).block["task"]
    macro = task.get("rules", {}).get("reduction") == "macro"
    errors = task.get("name") == AlignmentTask.name
    return compare(predictions, task["tolerances"], macro=macro, errors=errors, unranked=unranked)


def differences_table(
    found: Mapping[str, JSON], pairs: Sequence[tuple[str, str]], caption: str
) -> Table:
    """Return what was compared, and the differences of named pairs with their 95 % intervals.

    Accuracies are in percent, errors in frames.

    Parameters
    ----------
    found
        As from `comparisons`.
    pairs
        First and second method of each line; shown is the first minus the second.
    caption
        Says what was compared.

    Raises
    ------
    UsageError
        If a method took no part, or is paired with itself.
    """
    cells = found["cells"]
    windows = tuple(dict.fromkeys(cell["window"] for cell in cells))
    blocks = []
    for metric in dict.fromkeys(cell["metric"] for cell in cells):
        here = [cell for cell in cells if cell["metric"] == metric]
        title, scale = label(metric).title, label(metric).scale
        named = dict.fromkeys(name for pair in pairs for name in reversed(pair))
        values = [(name, tuple(_value(cell, name, scale) for cell in here)) for name in named]
        rows = [
            (f"{a} - {b}", tuple(_cell(_pair(cell, a, b), scale) for cell in here))
            for a, b in pairs
        ]
        blocks += [Block(title, tuple(values)), Block(f"{title}, differences", tuple(rows))]
    clusters = cells[0]["clusters"] if cells else 0
    notes = (
        f"In brackets: 95 % interval of the paired difference over {clusters} recordings or "
        "speakers (cluster bootstrap). Bold: told apart from zero after Holm's correction over "
        "all pairs of the column.",
        *dict.fromkeys(cell["caution"] for cell in cells if cell["caution"]),
    )
    return Table(caption, windows, tuple(blocks), notes)


def _value(cell: Mapping[str, JSON], method: str, scale: float) -> Cell:
    values = {row["method"]: row["value"] for row in cell["methods"]}
    if method not in values:
        raise UsageError(f"there is no method '{method}' here; there are {', '.join(values)}")
    return Cell(scale * values[method])


def _pair(cell: Mapping[str, JSON], a: str, b: str) -> tuple[Mapping[str, JSON], int]:
    """Return the comparison of two methods, and -1 if it is stored the other way round."""
    for pair in cell["pairs"]:
        if (pair["a"], pair["b"]) in ((a, b), (b, a)):
            return pair, 1 if pair["a"] == a else -1
    raise UsageError(f"a method cannot be compared with itself, '{a}'; name two")


def _cell(found: tuple[Mapping[str, JSON], int], scale: float) -> Cell:
    pair, sign = found
    ends = [pair["low"], pair["high"]]
    low, high = (None, None) if None in ends else sorted(scale * sign * end for end in ends)
    return Cell(scale * sign * pair["difference"], low=low, high=high, best=pair["significant"])


def _check(runs: Mapping[str, Run]) -> None:
    names = list(runs)
    tasks = [run.block["task"] for run in runs.values()]
    for name, task in zip(names[1:], tasks[1:], strict=True):
        for field in _SAME:
            if task.get(field) != tasks[0].get(field):
                raise UsageError(
                    f"{name} and {names[0]} cannot be compared: {field} is {task.get(field)} in "
                    f"one and {tasks[0].get(field)} in the other; measure one of them again"
                )
