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
@click.option(
    "--as-released",
    is_flag=True,
    help="Let each window hear 15 ms beyond its five frames, as the released code does: for "
    "'avbench lse', whose published numbers were made so. Such a file is not for 'avbench run'.",
)
def command(weights: Path, out: Path, as_released: bool) -> None:
    r"""Turn the released SyncNet (WEIGHTS, syncnet_v2.model) into a checkpoint.

    Only tensors are read: nothing in the file is executed. Every name and shape is checked against
    the architecture 'syncnet-v2', and the weights are kept as they are, in full precision. Get the
    file from its authors, under their terms; avbench neither contains nor downloads it.

    \b
    Examples:
      avbench import-weights syncnet_v2.model --out syncnet-v2.safetensors
      avbench run --method syncnet --checkpoint syncnet=syncnet-v2.safetensors \
          --shards DIR --out results
      avbench import-weights syncnet_v2.model --as-released --out lse.safetensors
      avbench lse --shards DIR --checkpoint lse.safetensors --out lse.json
    """
    from avbench.models.checkpoint import Checkpoint, save
    from avbench.models.released import read_syncnet_v2
    from avbench.models.two_stream import Extractor

    network = read_syncnet_v2(weights, local=not as_released)
    save(out, Checkpoint(network, 10.0, method="syncnet"), half=False)
    count = sum(parameter.numel() for parameter in network.parameters())
    click.echo(f"{out}: syncnet-v2, {count:,} parameters, id {Extractor(network).id}")
