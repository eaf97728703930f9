"""``avbench synth``: make the embedded corpus."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory to write to; finished videos there are kept.",
)
@click.option("--videos", type=click.IntRange(1), default=24, show_default=True)
@click.option(
    "--pool",
    type=click.Choice(["train", "val", "test"]),
    default="train",
    show_default=True,
    help="Pools share no face, voice or sentence.",
)
@click.option(
    "--preset",
    default="standard-v1",
    show_default=True,
    help="Difficulty: standard-v1 or easy-v1.",
)
@click.option(
    "--kind",
    type=click.Choice(["talking", "programme", "redub"]),
    default="talking",
    show_default=True,
    help="One head that speaks throughout; several shots with cuts and dissolves; or the same "
    "sentences by ten speakers each, for avbench redub.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=None,
    help="Length of each video.  [default: 6 for talking, 30 for programme, about 4 for redub]",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--first", type=click.IntRange(0), default=0, show_default=True, help="Number of the first."
)
@click.option(
    "--offset",
    type=int,
    default=0,
    show_default=True,
    help="Planted in every video, in 25 fps frames; positive: audio leads.",
)
@click.option(
    "--shot-offsets",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Every shot of a programme draws its own offset within this many frames.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
def command(
    out: Path,
    videos: int,
    pool: str,
    preset: str,
    kind: str,
    seconds: float | None,
    seed: int,
    first: int,
    offset: int,
    shot_offsets: int,
    workers: int,
) -> None:
    r"""Make drawn talking heads with planted truth.

    Every KEY.mp4 gets a KEY.truth.json with its cuts, faces, phones, mouth movement and offset;
    corpus.json, written last, lists them. The bytes depend on neither workers nor interruptions:
    run the same command again to go on where it stopped.

    \b
    Examples:
      avbench synth --out demo/videos --videos 24 --pool test
      avbench synth --out demo/late --videos 8 --offset -4
      avbench synth --out demo/shows --kind programme --videos 4 --workers 4
      avbench synth --out demo/redub --kind redub --videos 20 --pool test
    """
    from avbench.synthetic import CorpusRequest, write_corpus

    request = CorpusRequest(
        videos=videos,
        pool=pool,
        preset=preset,
        kind=kind,
        seconds=seconds,
        seed=seed,
        first=first,
        offset=offset,
        shot_offsets=shot_offsets,
    )
    manifest = write_corpus(out, request, workers=workers)
    click.echo(
        f"{len(manifest['videos'])} videos, {manifest['seconds'] / 60:.1f} minutes, in {out}"
    )
