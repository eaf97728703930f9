"""``avbench pipeline``: how right and how fast the pipeline is on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from avbench.cli.build_shards import _settings


@click.group("pipeline")
def command() -> None:
    r"""Measure the pipeline itself.

    \b
    Examples:
      avbench pipeline bench --quick
    """


@command.command("bench")
@click.argument("videos", nargs=-1, type=click.Path(path_type=Path))
@click.option("--programmes", default=4, show_default=True, help="How many are made.")
@click.option("--seconds", default=20.0, show_default=True, help="Length of each.")
@click.option("--quick", is_flag=True, help="One programme of 9 s: a first look.")
@click.option("--seed", default=0, show_default=True, help="Of the programmes.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="Any threshold of the facetrack step, as for build-shards: detector=yunet, min_face=64.",
)
@click.option(
    "--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="File to write."
)
def bench(
    videos: tuple[Path, ...],
    programmes: int,
    seconds: float,
    quick: bool,
    seed: int,
    settings: dict[str, str],
    out: Path | None,
) -> None:
    r"""Hold the pipeline against planted truth, and time its steps beside bare decoding.

    Programmes with known cuts, dissolves, faces, voices and offsets are made on the spot: F1 of
    the shots, purity, coverage and overlap of the tracks, errors of the offsets. Speed is that of
    one worker by the clock, on the programmes and on VIDEOS of your own; x decoding says how many
    times as much of the processor a frame takes as decoding it does, in the same run.

    \b
    Examples:
      avbench pipeline bench --quick
      avbench pipeline bench interview.mp4 news.ts --json bench.json
      avbench pipeline bench --programmes 8 --set detector=hog
    """
    from avbench import plugins
    from avbench.shards import to_json, write_atomic

    measure = plugins.load(plugins.PIPELINES, "bench")
    if quick:
        programmes, seconds = 1, 9.0
    report = measure(videos, programmes=programmes, seconds=seconds, seed=seed, settings=settings)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, to_json(report.as_json()).encode())
    for line in report.lines():
        click.echo(line)
