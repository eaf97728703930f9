"""``avbench import-weights``: turn weights that others released into a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("weights", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Checkpoint to write (.safetensors).",
)
def command(weights: Path, out: Path) -> None:
    r"""Turn the released SyncNet (WEIGHTS, syncnet_v2.model) into a checkpoint.

    Only tensors are read: nothing in the file is executed. Every name and shape is checked against
    the architecture 'syncnet-v2', and the weights are kept as they are, in full precision. Get the
    file from its authors, under their terms; avbench neither contains nor downloads it.

    \b
    Examples:
      avbench import-weights syncnet_v2.model --out syncnet-v2.safetensors
      avbench run --method syncnet --checkpoint syncnet=syncnet-v2.safetensors \
          --shards DIR --out results
    """
    from avbench.models.checkpoint import Checkpoint, save
    from avbench.models.released import read_syncnet_v2
    from avbench.models.two_stream import Extractor

    network = read_syncnet_v2(weights)
    save(out, Checkpoint(network, 10.0, method="syncnet"), half=False)
    count = sum(parameter.numel() for parameter in network.parameters())
    click.echo(f"{out}: syncnet-v2, {count:,} parameters, id {Extractor(network).id}")
