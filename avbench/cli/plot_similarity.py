"""``avbench plot similarity``: one clip as a method sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.cli._figures import figure_options, write
from avbench.errors import DataError, UnknownName, UsageError

if TYPE_CHECKING:
    from avbench.data import JSON, Clip, FloatArray


@click.command("similarity", short_help="One clip as a method sees it.")
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
    from avbench import methods, plots
    from avbench.methods import EmbeddingMethod
    from avbench.similarity import similarity_matrix

    method = methods.load(name, checkpoint, search=search)
    if not isinstance(method, EmbeddingMethod):
        raise UsageError(f"{name} has no embeddings to compare; choose syncnet, for instance")
    clip = _find(shards, split, key, length + 2 * abs(offset))
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
