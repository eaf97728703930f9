"""``avbench overlay``: one source video with its tracks drawn in."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("overlay")
@click.argument("shards", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Video to write: .mp4, .mov, .mkv, .avi or .ts.",
)
def command(shards: Path, source: Path, out: Path) -> None:
    r"""Draw what a set made of a source video into its picture.

    Every track gets its box: green where it was kept, red where it was rejected, with the end of
    its key, the measured offset in frames (positive: the sound is early), the confidence and the
    reason. Tracks that were rejected before they were cut have no box any more and stand at the
    foot. The source is found by its bytes, so it may have been moved or renamed.

    \b
    Examples:
      avbench overlay shards videos/interview.mp4 --out overlay.mp4
    """
    from avbench.pages.overlay import write_overlay

    count = write_overlay(shards, source, out)
    click.echo(f"{out} ({count} frames)")
