"""``avbench refine``: clean noisy training tracks by the networks that they train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument(
    "shards",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the results."
)
@click.option("--rounds", default=2, show_default=True, help="Train, score, refuse: how often.")
@click.option(
    "--folds",
    default=2,
    show_default=True,
    help="Parts of the tracks, whole speakers or sources each; a part is scored by a network that "
    "was trained on the others.",
)
@click.option(
    "--false-keep",
    default=0.02,
    show_default=True,
    help="Share of tracks with sound that does not belong that may stay.",
)
@click.option(
    "--max-offset",
    default=1,
    show_default=True,
    help="Largest offset that a track that stays may be measured at, in frames.",
)
@click.option("--seed", default=0, show_default=True, help="For folds and training.")
@click.option("--split", default=None, help="Refine this split only.  [default: all]")
@click.option(
    "--steps", type=click.IntRange(1), default=None, help="Batches.  [default: the method's own]"
)
@click.option(
    "--architecture", default=None, help="Network of syncnet, as for train.  [default: small]"
)
@click.option(
    "--init",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Checkpoint that every training starts from.  [default: random weights]",
)
@click.option(
    "--threads", type=click.IntRange(1), default=None, help="CPU threads.  [default: all cores]"
)
@click.option(
    "--cache-mib",
    type=click.IntRange(1),
    default=3072,
    show_default=True,
    help="Memory for the clips, all of which must fit. Six seconds take about 0.6 MiB.",
)
def command(shards: tuple[Path, ...], out: Path, threads: int | None, **options: Any) -> None:
    r"""Refuse the tracks whose sound does not belong, by networks trained on the others.

    Train SyncNet on all tracks, dubbed and silent ones among them; score every track with a
    network that never saw its speaker or source; keep those that score higher than all but a
    stated share of sound that does not belong; train again on these. After the last round, OUT
    holds the network trained on what stayed, the refined shard set, tracks.csv, and of every round
    the networks, scores, thresholds, yield and histogram.

    An interrupted run goes on when the same command is given again.

    \b
    Examples:
      avbench refine shards --split train --out refined
      avbench refine shards --out refined --rounds 3 --folds 4 --false-keep 0.01
      avbench train --method syncnet --shards refined/shards --out mine.safetensors
    """
    import os

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from avbench import plugins

    if threads is not None:
        torch.set_num_threads(threads)
    refine = plugins.load(plugins.PIPELINES, "refine")
    for line in refine(list(shards), out, **options).lines():
        click.echo(line)
