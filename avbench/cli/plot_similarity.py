"""``avbench plot similarity``: one clip as a method sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.cli._clips import CHECKPOINT, METHOD, SHARDS, SPLIT, embedding_method, find_clips
from avbench.cli._figures import figure_options, write

if TYPE_CHECKING:
    from avbench.data import JSON, FloatArray


@click.command("similarity", short_help="One clip as a method sees it.")
@SHARDS
@SPLIT
@click.option("--key", default=None, help="Clip to draw.  [default: the first long enough]")
@METHOD
@CHECKPOINT
@click.option("--length", type=click.IntRange(6), default=20, show_default=True)
@click.option(
    "--offset",
    type=int,
    default=0,
    show_default=True,
    help="Displace the sound by this many frames first; positive: audio leads.",
)
@click.option("--search", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--save-matrix",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE.json",
    help="Write what is drawn as numbers too: a row per audio row, a number per video row.",
)
@figure_options
def similarity(
    shards: Path,
    split: str | None,
    key: str | None,
    name: str,
    checkpoint: Path | None,
    length: int,
    offset: int,
    search: int,
    save_matrix: Path | None,
    **out: Any,
) -> None:
    r"""Draw the similarity of every picture with every sound in the middle of one clip.

    The diagonal of the true offset is framed; beside the matrix stands the mean along the diagonal
    of each candidate offset.

    \b
    Examples:
      avbench plot similarity --shards demo/shards --out similarity.png
      avbench plot similarity --shards demo/shards --key tape-0000-00 --offset -4 --out late.pdf
    """
    from avbench import plots
    from avbench.similarity import similarity_matrix

    method = embedding_method(name, checkpoint)
    clip = next(find_clips(shards, split, (key,) if key else (), length + 2 * abs(offset)))
    window = clip.window((len(clip) - length) // 2, length, offset)
    rows = method.embed(window.without_truth())
    matrix = similarity_matrix(rows.audio, rows.video)
    truth = None if window.alignment is None else window.alignment.offset
    known = "unknown offset" if truth is None else f"offset {truth:+d}"
    title = f"{clip.key}, {length} frames, {known} ({name})"
    if save_matrix:
        _save(save_matrix, matrix, {"title": title, "offset": truth, "search": search})
    write(plots.similarity, out, matrix, offset=truth, search=search, title=title)


def _save(path: Path, matrix: FloatArray, facts: dict[str, JSON]) -> None:
    """Write the arguments of the figure as JSON, a line for each row of the matrix."""
    from avbench.shards import write_atomic

    lines = ",\n".join(f"  {json.dumps([round(float(x), 4) for x in row])}" for row in matrix)
    head = json.dumps(facts, indent=1).removesuffix("\n}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, f'{head},\n "matrix": [\n{lines}\n ]\n}}\n'.encode())
