"""``avbench plot``: figures for papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avbench.errors import DataError, UnknownName, UsageError

if TYPE_CHECKING:
    from avbench.data import Clip
    from avbench.results import Run

RESULTS = click.argument("results", type=click.Path(file_okay=False, path_type=Path))
OUT = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Figure to write: .png, .pdf or .svg.",
)
METHODS = click.option(
    "--method",
    "names",
    multiple=True,
    metavar="NAME",
    help="Method to draw; repeat it for several.  [default: all that do not see the truth]",
)


@click.group("plot")
def command() -> None:
    r"""Draw figures from the results of runs.

    \b
    Examples:
      avbench plot accuracy demo/results --out accuracy.pdf
      avbench plot confusion demo/results --length 15 --out confusion.png
      avbench plot similarity --shards demo/shards --offset 3 --out similarity.svg
    """


@command.command("accuracy")
@RESULTS
@METHODS
@OUT
def accuracy(results: Path, names: Sequence[str], out: Path) -> None:
    r"""Draw accuracy against window length, with the spread over repeats and chance.

    RESULTS is a directory that avbench run wrote.

    \b
    Examples:
      avbench plot accuracy demo/results --out accuracy.pdf
    """
    from avbench import plots
    from avbench.results import read_run

    run = read_run(results)
    search = int(run.block["task"]["search"])
    plots.save(plots.accuracy(run.scores, search=search, methods=_chosen(run, names)), out)
    click.echo(f"{out}")


@command.command("confusion")
@RESULTS
@METHODS
@click.option("--length", type=int, default=None, help="Window length.  [default: the longest]")
@OUT
def confusion(results: Path, names: Sequence[str], length: int | None, out: Path) -> None:
    r"""Draw which true offsets are taken for which, one panel a method.

    RESULTS is a directory that avbench run wrote.

    \b
    Examples:
      avbench plot confusion demo/results --length 11 --method sync-e2e --out confusion.png
    """
    from avbench import plots
    from avbench.results import read_run

    run = read_run(results)
    length = length or max(row.window for row in run.scores)
    figure = plots.confusion(run.predictions, methods=_chosen(run, names), length=length)
    plots.save(figure, out)
    click.echo(f"{out}")


@command.command("similarity")
@click.option(
    "--shards",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory that build-shards wrote.",
)
@click.option("--split", default=None, help="[default: any]")
@click.option("--key", default=None, help="Clip to draw.  [default: the first long enough]")
@click.option("--method", "name", default="syncnet", show_default=True, help="Whose embeddings.")
@click.option("--checkpoint", type=click.Path(dir_okay=False, path_type=Path), default=None)
@click.option("--length", type=click.IntRange(6), default=20, show_default=True)
@click.option(
    "--offset",
    type=int,
    default=0,
    show_default=True,
    help="Displace the sound by this many frames first; positive: audio leads.",
)
@click.option("--search", type=click.IntRange(1), default=5, show_default=True)
@OUT
def similarity(
    shards: Path,
    split: str | None,
    key: str | None,
    name: str,
    checkpoint: Path | None,
    length: int,
    offset: int,
    search: int,
    out: Path,
) -> None:
    r"""Draw the similarity of every picture with every sound in the middle of one clip.

    The diagonal of the true offset is framed; beside the matrix stands the mean along the diagonal
    of each candidate offset.

    \b
    Examples:
      avbench plot similarity --shards demo/shards --out similarity.png
      avbench plot similarity --shards demo/shards --key tape-0000-00 --offset -4 --out late.pdf
    """
    from avbench import methods, plots
    from avbench.methods import EmbeddingMethod
    from avbench.similarity import similarity_matrix

    method = methods.load(name, checkpoint, search=search)
    if not isinstance(method, EmbeddingMethod):
        raise UsageError(f"{name} has no embeddings to compare; choose syncnet, for instance")
    clip = _find(shards, split, key, length + 2 * abs(offset))
    window = clip.window((len(clip) - length) // 2, length, offset)
    rows = method.embed(window.without_truth())
    truth = None if window.alignment is None else window.alignment.offset
    known = "unknown offset" if truth is None else f"offset {truth:+d}"
    figure = plots.similarity(
        similarity_matrix(rows.audio, rows.video),
        offset=truth,
        search=search,
        title=f"{clip.key}, {length} frames, {known} ({name})",
    )
    plots.save(figure, out)
    click.echo(f"{out}")


def _chosen(run: Run, names: Sequence[str]) -> list[str]:
    measured = {row.method for row in run.scores}
    for name in names:
        if name not in measured:
            raise UnknownName("method", name, measured)
    told = {name for name, facts in run.block["methods"].items() if facts["sees_truth"]}
    return list(names) or sorted(measured - told) or sorted(measured)


def _find(shards: Path, split: str | None, key: str | None, least: int) -> Clip:
    """Return the named clip, or the first of at least so many frames."""
    from avbench.shards import decode_sample, open_set

    found = open_set(shards)
    for sample in found.samples(split):
        if key is None and len(sample.alignment) >= least:
            return decode_sample(sample)
        if sample.key == key:
            if len(sample.alignment) < least:
                raise DataError(
                    f"clip {key} has {len(sample.alignment)} frames, and this needs {least}; "
                    "choose a smaller --length or --offset"
                )
            return decode_sample(sample)
    if key is None:
        raise DataError(f"no clip in {shards} has {least} frames; choose a smaller --length")
    raise UnknownName("clip", key, found.index(split)["key"].tolist()[:20])
