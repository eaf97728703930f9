"""``avbench leaderboard``: numbers that were reported and numbers that were measured."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.cli import _with_breaks
from avbench.errors import UsageError
from avbench.leaderboard import checkout_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from avbench.leaderboard.rows import Row

COMMANDS = {
    "show": ("avbench.cli.leaderboard:show", "Print reported rows beside measured ones."),
    "check": ("avbench.cli.leaderboard_gate:check", "Measure again and hold against a record."),
    "update": ("avbench.cli.leaderboard_gate:update", "Keep the results of a run."),
    "diff": ("avbench.cli.leaderboard_gate:diff", "Say what differs between two results."),
    "submit": ("avbench.cli.leaderboard_gate:submit", "Pack the results of a run to send them."),
    "site": ("avbench.cli.leaderboard_site:site", "Write the leaderboards as web pages."),
}
"""Subcommand -> where it is, and one line for the overview."""

FORMATS = ("text", "markdown", "csv", "json", "latex", "bibtex")
BESIDE = ("interval", "repeats", "none")


class _LazyGroup(click.Group):
    """A group whose subcommands are imported only when invoked, so that help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        return _with_breaks(getattr(importlib.import_module(module), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group("leaderboard", cls=_LazyGroup)
def command() -> None:
    r"""Show, check and publish numbers: those of papers and those that avbench measured.

    \b
    Examples:
      avbench leaderboard show --protocol kim-strict-5 --metric 'accuracy@*'
      avbench leaderboard show --dataset demo --metric accuracy@0 --window 15 --rank
      avbench leaderboard update demo/results
    """


def _filter(name: str, what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        f"--{name}",
        f"{name}s",
        multiple=True,
        metavar="NAME",
        help=what,
    )


@click.command("show")
@_filter("protocol", "Rules, such as kim-strict-5.")
@_filter("dataset", "Data set.")
@_filter("metric", "Such as accuracy@1.")
@_filter("window", "Window length in frames.")
@_filter("method", "Method.")
@_filter("kind", "measured, reported, paper, third-party, derived or chance.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Leaderboards folder.  [default: leaderboards/ of the checkout]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="csv and json hold every field of every row; bibtex cites the sources of the rows.",
)
@click.option(
    "--show",
    "beside",
    type=click.Choice(BESIDE),
    default="interval",
    show_default=True,
    help="What stands beside a number: a 95 % interval (± the spread over repeats where there is "
    "none), ± that spread, or nothing.",
)
@click.option("--suspect", is_flag=True, help="Only numbers that cannot be right.")
@click.option("--rank", is_flag=True, help="Rank the rows; refused where they may not be.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File to write.  [default: the terminal]",
)
def show(
    folder: Path | None,
    form: str,
    beside: str,
    suspect: bool,
    rank: bool,
    out: Path | None,
    **filters: Any,
) -> None:
    r"""Print reported rows beside measured ones, one table for what may be compared.

    Filters take names and patterns such as 'sync*', and may be repeated.

    Tables are never ranked against each other: --rank refuses rows of different protocols,
    versions, data, window lengths or metrics, and numbers on drawn faces beside recordings. A
    number that cannot be right is marked with a dagger and the reason is given below it.

    \b
    Examples:
      avbench leaderboard show --protocol kim-strict-5
      avbench leaderboard show --dataset lrs2 --metric accuracy@1 --method 'voca*'
      avbench leaderboard show --kind measured --metric accuracy@0 --window 15 --rank
      avbench leaderboard show --kind reported --format csv --out reported.csv
      avbench leaderboard show --suspect
      avbench leaderboard show --protocol pm-window-15 --format bibtex

    \b
    In Python:
      from avbench.leaderboard.rows import read_reported
      [row for row in read_reported(Path("leaderboards")) if row.suspect]
    """
    from avbench.leaderboard import show as shown
    from avbench.leaderboard.cite import bibtex

    if suspect and rank:
        raise UsageError("a suspect number has no rank; leave out --suspect or --rank")
    place = folder or checkout_folder()
    wanted = {name: filters[f"{name}s"] for name in shown.FILTERS}
    rows = shown.select(shown.read(place), wanted)
    if suspect:
        click.echo(f"{sum(bool(row.suspect) for row in rows)} of {len(rows)} rows", err=True)
        rows = [row for row in rows if row.suspect]
    if form == "bibtex":
        text = bibtex(place, rows)
    elif rank:
        text = _render(*_ranked(place, rows), form, beside)
    else:
        text = _render(rows, None, "", form, beside)
    if out is None:
        click.echo(text, nl=False)
    else:
        from avbench.shards import write_atomic

        write_atomic(out, text.encode())
        click.echo(f"{len(rows)} rows in {out}", err=True)


def _ranked(folder: Path, rows: list[Row]) -> tuple[list[Row], list[int | None], str]:
    """Rank rows, and say how; chance frames any table and is left out."""
    from avbench.leaderboard import ranking

    kept = [row for row in rows if row.kind != "chance"] or rows
    ranking.check_comparable(kept)
    paired = ranking.paired_ranks(folder, kept)
    return kept, ranking.ranks(kept, paired), ranking.how_ranked(kept, paired)


def _render(
    rows: Sequence[Row], found: Sequence[int | None] | None, how: str, form: str, beside: str
) -> str:
    from avbench.leaderboard import show as shown

    if form == "csv":
        return shown.frame(rows, found).to_csv(index=False, lineterminator="\n")
    if form == "json":
        return shown.to_json(rows, found)
    if found is None:
        tables = shown.tables(rows, beside)
    else:
        tables = [shown.ranking(rows, found, how, beside)]
    if form == "latex":
        return "\n".join(table.to_latex() for table in tables)
    texts = [table.to_markdown() if form == "markdown" else table.to_text() for table in tables]
    if len(tables) > 1:
        texts.append(f"{shown.NEVER_ACROSS}\n")
    return "\n".join(texts)
