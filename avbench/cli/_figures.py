"""What all commands that draw have in common: where the figure goes, how wide, in which format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from avbench import venues
from avbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Function = TypeVar("Function", bound=Callable[..., Any])

_FIGURE = (
    click.option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        required=True,
        help="Figure to write: .png, .pdf or .svg.",
    ),
    click.option(
        "--venue",
        type=click.Choice(sorted(venues.VENUES)),
        default=None,
        help="Where it will appear: drawn as wide as it is printed.  [default: for a screen]",
    ),
    click.option(
        "--columns",
        type=click.IntRange(1, 2),
        default=None,
        help="Columns of the venue's page that it spans.  [default: 1]",
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(["png", "pdf", "svg"]),
        default=None,
        help="[default: by the ending of --out]",
    ),
)


data_option = click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE.csv",
    help="Write what is drawn as numbers too.",
)
"""For `write_data`."""


def figure_options(command: Function) -> Function:
    """Add what every figure has: where it goes, how wide and in which format."""
    for option in reversed(_FIGURE):
        command = option(command)
    return command


def write(draw: Callable[..., Figure], out: dict[str, Any], *given: Any, **options: Any) -> None:
    """Draw a figure at the width of its venue, write it and say where it is.

    Parameters
    ----------
    draw
        One of the functions of `avbench.plots`.
    out
        The values of `figure_options`.
    given, options
        For ``draw``.
    """
    from avbench import plots

    if out["columns"] and not out["venue"]:
        raise UsageError("--columns needs --venue: a screen has no columns")
    if out["venue"]:
        options["width"] = venues.get(out["venue"]).inches(out["columns"] or 1)
    dpi = plots.PRINT_DPI if out["venue"] else plots.DPI
    plots.save(draw(*given, **options), out["out"], out["form"], dpi=dpi)
    click.echo(f"{out['out']}")


def write_data(path: Path | None, table: pd.DataFrame) -> None:
    """Write what a figure shows as CSV and say where it is; nothing where no file is named."""
    from avbench.shards import write_atomic

    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    write_atomic(path, text.encode())
    click.echo(f"{path}")
