"""What commands that draw results have in common: which run, which methods, which windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avbench.errors import UnknownName

if TYPE_CHECKING:
    from avbench.results import Run

RESULTS = click.argument("results", type=click.Path(file_okay=False, path_type=Path))
METHODS = click.option(
    "--method",
    "names",
    multiple=True,
    metavar="NAME",
    help="Method to draw; repeat it for several.  [default: all that do not see the truth]",
)
LENGTH = click.option(
    "--length", type=int, default=None, help="Window length.  [default: the longest]"
)
TOLERANCE = click.option(
    "--tolerance",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Largest error that counts as right, in frames.",
)


def read(results: Path) -> Run:
    """Read the results of a run."""
    from avbench.results import read_run

    return read_run(results)


def longest(run: Run, length: int | None) -> int:
    """Return the window length asked for, or the longest."""
    return length or max(row.window for row in run.scores)


def methods_to_draw(run: Run, names: Sequence[str]) -> list[str]:
    """Return the methods asked for, or all that do not see the truth.

    Raises
    ------
    UnknownName
        If one of them was not measured.
    """
    measured = {row.method for row in run.scores}
    for name in names:
        if name not in measured:
            raise UnknownName("method", name, measured)
    told = {name for name, facts in run.block["methods"].items() if facts["sees_truth"]}
    return list(names) or sorted(measured - told) or sorted(measured)
