"""``avbench plot responses`` and ``plot pairs``: distances of picture and sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from avbench.cli._clips import rows_options, synced_rows
from avbench.cli._figures import data_option, figure_options, write, write_data


@click.command("responses", short_help="Mean distance against offset.")
@rows_options
@click.option(
    "--search",
    type=click.IntRange(1),
    default=25,
    show_default=True,
    help="Largest candidate offset, in frames.",
)
@click.option(
    "--shift",
    type=int,
    default=8,
    show_default=True,
    help="Offset of the displaced sound, in frames; positive: audio leads.",
)
@data_option
@figure_options
def responses(
    shards: Path,
    split: str | None,
    name: str,
    checkpoint: Path | None,
    limit: int,
    unit: bool,
    search: int,
    shift: int,
    data: Path | None,
    **out: Any,
) -> None:
    r"""Draw mean distance against offset for synced, shifted and unrelated sound.

    The trough of a clip lies at its offset; sound of somebody else has none. Clips are compared
    with sound of their own at every candidate, so a clip needs 2 (--search + |--shift|) frames and
    some more.

    \b
    Examples:
      avbench plot responses --shards demo/shards --out responses.png
      avbench plot responses --shards demo/shards --split test --search 15 --shift -5 \
          --out responses.pdf --venue ieee --columns 2 --data responses.csv
    """
    from avbench import plots

    clips = synced_rows(shards, split, name, checkpoint, limit, unit)
    found = plots.response_curves(clips, search=search, shift=shift)
    write_data(data, plots.response_table(found, [clip.key for clip in clips]))
    write(plots.responses, out, found)


@click.command("pairs", short_help="Distances of genuine and false pairs.")
@rows_options
@click.option(
    "--per-clip",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Genuine pairs from each clip, and as many false ones.",
)
@click.option(
    "--farthest",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Largest displacement of false sound, in frames.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@data_option
@figure_options
def pairs(
    shards: Path,
    split: str | None,
    name: str,
    checkpoint: Path | None,
    limit: int,
    unit: bool,
    per_clip: int,
    farthest: int,
    seed: int,
    data: Path | None,
    **out: Any,
) -> None:
    r"""Draw the distances of genuine and false pairs of five frames and 0.2 s of sound.

    False sound is that of the same clip, displaced at random. The equal error rate and the AUROC
    of single distances are printed too.

    \b
    Examples:
      avbench plot pairs --shards demo/shards --out pairs.pdf --venue interspeech
      avbench plot pairs --shards demo/shards --limit 100 --unit --out pairs.png --data pairs.csv
    """
    from avbench import plots

    clips = synced_rows(shards, split, name, checkpoint, limit, unit)
    found = plots.drawn_pairs(clips, per_clip=per_clip, farthest=farthest, seed=seed)
    measured = plots.separation(found)
    click.echo(
        f"equal error rate {100 * measured.equal_error_rate:.1f} % at distance "
        f"{measured.threshold:.3f}, AUROC {measured.auroc:.3f}, {len(found)} pairs"
    )
    write_data(data, found)
    write(plots.pairs, out, found, title=f"{name}, {len(clips)} clips")
