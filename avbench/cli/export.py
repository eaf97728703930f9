"""``avbench export``: a shard set in the forms of others."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("shards", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "form",
    required=True,
    metavar="FORM",
    help="lrs: folders with texts and lists; parquet: tables with picture and sound inside; "
    "hf: a folder that Hugging Face datasets loads.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--split", help="Only this split.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many clips.")
@click.option("--force", is_flag=True, help="Replace another export that is in OUT.")
def command(
    shards: Path, form: str, out: Path, split: str | None, limit: int | None, force: bool
) -> None:
    r"""Write a shard set as LRS-style folders, as Parquet, or for Hugging Face datasets.

    Nothing is coded anew: pictures and sound are the stored ones, mouths too where they were cut.
    Run the same command again after an interruption and it goes on. The same set gives the same
    bytes.

    \b
    Examples:
      avbench export shards --to lrs --out lrs
      avbench export shards --to parquet --out tables --split test
      avbench export shards --to hf --out hub --force

    \b
    Read the result:
      avbench build-shards lrs --layout lrs2 --out again
      python -c "import pandas; print(pandas.read_parquet('tables').head())"
      python -c "import datasets; print(datasets.load_dataset('hub'))"
    """
    from avbench.exporting import export
    from avbench.shards import open_set

    report = export(open_set(shards), form, out, split=split, limit=limit, force=force)
    for line in report.lines():
        click.echo(line)
