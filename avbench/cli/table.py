"""``avbench table``: the table of a finished run, in any form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench import venues
from avbench.errors import UsageError

if TYPE_CHECKING:
    from avbench.results import Run
    from avbench.tables import Table

FORMATS = ("text", "md", "csv", "parquet", "latex")
_ENDINGS = {"txt": "text", "md": "md", "csv": "csv", "parquet": "parquet", "tex": "latex"}


@click.command("table")
@click.argument("results", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=None,
    help="[default: by the ending of --out; text without it]",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File to write.  [default: the terminal]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="accuracy@0, perceptual@ebu-r37, mean_absolute_error, ...; repeat it for several.  "
    "[default: all accuracies; everything in csv and parquet]",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="Method to show; repeat it for several.  [default: all]",
)
@click.option(
    "--window",
    "windows",
    type=int,
    multiple=True,
    help="Window length to show, in frames; repeat it for several.  [default: all]",
)
@click.option(
    "--show",
    "shown",
    type=click.Choice(["repeats", "interval", "none"]),
    default="repeats",
    show_default=True,
    help="What stands beside a number: ± the spread over repeats, a 95 % interval, nothing.",
)
@click.option(
    "--beside",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    metavar="DIR",
    help="Leaderboards folder: show what papers report under the same protocol, too.",
)
@click.option(
    "--venue",
    type=click.Choice(sorted(venues.VENUES)),
    default="article",
    show_default=True,
    help="Where a LaTeX table will appear: it is set so that it fits.",
)
@click.option(
    "--columns",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="Columns of the page that a LaTeX table spans.",
)
@click.option("--label", default="", help="For a LaTeX table's \\ref.")
def command(results: Path, form: str | None, out: Path | None, **options: Any) -> None:
    r"""Write the table of a finished run, without measuring again.

    RESULTS is a directory that avbench run wrote. Text, Markdown and LaTeX are arranged as in
    papers, in percent; LaTeX needs the booktabs package alone. CSV and Parquet hold one row per
    number with its spread, interval and shared rank, proportions as fractions.

    \b
    Examples:
      avbench table demo/results
      avbench table demo/results --show interval --window 11 --window 20
      avbench table demo/results --out table.tex --venue interspeech
      avbench table demo/results --metric perceptual@ebu-r37 --metric mean_absolute_error
      avbench table demo/results --beside leaderboards --format md --out beside.md
      avbench table demo/results --out scores.parquet

    \b
    In Python:
      from avbench.results import read_run
      from avbench.tables import run_table
      run_table(read_run(Path("demo/results")), shown="interval").to_latex()
    """
    from avbench.results import read_run
    from avbench.shards import write_atomic
    from avbench.tables.latex import Layout

    form = _form(form, out)
    run = read_run(results)
    if form in ("csv", "parquet"):
        if options["beside"]:
            raise UsageError("--beside makes a table to read; choose text, md or latex")
        content = _tidy(run, form, options)
    else:
        table = _arranged(run, results, options)
        venue = venues.get(options["venue"])
        two = options["columns"] == 2 and venue.text > venue.column
        layout = Layout(venue.inches(options["columns"]), two, options["label"])
        texts = {"text": table.to_text, "md": table.to_markdown}
        content = (texts[form]() if form in texts else table.to_latex(layout)).encode()
    if out is None:
        click.echo(content.decode(), nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, content)
        click.echo(f"{out}")


def _form(form: str | None, out: Path | None) -> str:
    if out is None:
        if form == "parquet":
            raise UsageError("Parquet is not for the terminal; say where with --out")
        return form or "text"
    guess = _ENDINGS.get(out.suffix.lower().removeprefix("."))
    if not (form or guess):
        raise UsageError(f"cannot tell the form of {out} from its name; say it with --format")
    return form or guess or ""


def _tidy(run: Run, form: str, options: dict[str, Any]) -> bytes:
    from avbench.tables import to_csv, to_frame, to_parquet
    from avbench.tables.build import ranks_of, select

    chosen: dict[str, Sequence[Any] | None] = {
        name: options[name] or None for name in ("metrics", "methods", "windows")
    }
    frame = to_frame(select(run.scores, **chosen), ranks_of(run))
    return to_csv(frame) if form == "csv" else to_parquet(frame)


def _arranged(run: Run, results: Path, options: dict[str, Any]) -> Table:
    from avbench.tables import run_table

    if options["beside"]:
        return _beside(run, results, options)
    return run_table(
        run,
        metrics=options["metrics"] or None,
        methods=options["methods"] or None,
        windows=options["windows"] or None,
        shown=options["shown"],
    )


def _beside(run: Run, results: Path, options: dict[str, Any]) -> Table:
    """Put the reported rows of the run's protocol beside it."""
    from avbench.leaderboard.rows import read_reported, rows_of_run
    from avbench.tables.beside import beside_table

    protocol = run.block["task"]["protocol"]
    reported = [row for row in read_reported(options["beside"]) if row.protocol == protocol]
    methods, windows = options["methods"], options["windows"]
    rows = [
        row
        for row in [*reported, *rows_of_run(results)]
        if (not methods or row.method in methods) and (not windows or row.window in windows)
    ]
    metrics = options["metrics"] or ("accuracy@0", "accuracy@1")
    caption = f"Reported and measured under {protocol}"
    return beside_table(rows, metrics=metrics, shown=options["shown"], caption=caption)
