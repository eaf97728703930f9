"""``avbench build-shards``: videos to facetracks to shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

NOTHING_USABLE = 3
"""Exit code where no file gave a clip."""


def _settings(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, found, text = value.partition("=")
        if not (found and name and text):
            raise click.BadParameter(f"got '{value}', expected NAME=VALUE", ctx, param)
        pairs[name.strip()] = text.strip()
    return pairs


def _places(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Leave addresses as they are and make paths of the rest."""
    if isinstance(value, tuple):
        return tuple(_places(ctx, param, each) for each in value)
    return value if "://" in value else Path(value)


@click.command("build-shards")
@click.argument("sources", nargs=-1, required=True, callback=_places)
@click.option("--out", required=True, callback=_places, help="Folder of the set, or an address.")
@click.option("--dataset", default="faces", show_default=True, help="Name of the set.")
@click.option(
    "--split",
    default="80/10/10",
    show_default=True,
    help="Percent for train/val/test, or the name of one of them for everything, or a CSV with the "
    "columns file and split (and, where wanted, speaker and sha256). Whole sources are drawn by a "
    "hash of their name and the seed, so the shares hold on average and a source never moves when "
    "others come or go; of a CSV, files that are not in it stay out.",
)
@click.option(
    "--split-by",
    type=click.Choice(["video", "folder", "speaker"]),
    default="video",
    show_default=True,
    help="What stays together: one file, all files of a folder (one speaker, one programme), or "
    "all files of a speaker, whom --about names.",
)
@click.option(
    "--split-dates",
    default="",
    metavar="NAME|CSV",
    help="Instead of --split: by the day of the recording. bbc2016 has the periods of the 2016 "
    "SyncNet paper; a CSV has the columns split, first and last. Days are read from names such as "
    "20160105_172500_bbcone_news.mp4 or from --about; files without a clear one stay out.",
)
@click.option(
    "--about",
    type=click.Path(path_type=Path),
    help="A CSV about the files: the column file and, where known, date and speaker.",
)
@click.option(
    "--layout",
    default="",
    metavar="NAME",
    help="The source is the root of a corpus that is laid out like this: lrs2, lrs3, lrw, grid, "
    "tcd-timit, voxceleb2, ouluvs2, columbia, syncnet-python (its --data_dir) or speakers (a "
    "folder for each). Splits, speakers and texts are then the corpus' own; --split says how to "
    "draw what it leaves open.",
)
@click.option(
    "--crops",
    type=click.Choice(["auto", "own", "pipeline"]),
    default="auto",
    show_default=True,
    help="With --layout: take the corpus' own face crops, or look for faces anew; auto takes its "
    "own where it has them.",
)
@click.option("--seed", default=0, show_default=True, help="For the split and the faults.")
@click.option("--limit", type=int, help="Use the first so many videos only.")
@click.option(
    "--faces",
    type=click.Choice(["keep-all", "single", "best-sync"]),
    default="keep-all",
    show_default=True,
    help="Where several faces are seen at the same time: keep all, each clip saying how many there "
    "were and how well the best of the others fits the sound; keep only what shows a single one "
    "(the 2016 paper); or keep the one of highest sync confidence.",
)
@click.option(
    "--crop",
    type=click.Choice(["face", "mouth112", "mouth96"]),
    default="face",
    show_default=True,
    help="What is cut: the face alone, 224 pixels square, or beside it, as KEY.mouth.mp4, the "
    "mouth, 112 or 96 pixels square, by the points that FaceMesh finds in every frame. Both come "
    "from the same pictures of the source and are coded once. Needs mediapipe.",
)
@click.option(
    "--detector",
    default="blazeface",
    show_default=True,
    help="Face detector: blazeface, retinaface-mobilenet, retinaface, yunet or hog.",
)
@click.option(
    "--detector-weights",
    type=click.Path(path_type=Path),
    help="File of the face detector's weights: retinaface-mobilenet and yunet need one, retinaface "
    "may have one. The set's recipe keeps its SHA-256.",
)
@click.option(
    "--shots",
    "shot_detector",
    default="histogram",
    show_default=True,
    help="Shot detector: histogram, or PySceneDetect's content or adaptive, which know no "
    "dissolves.",
)
@click.option(
    "--shot-scores",
    is_flag=True,
    help="Keep the shot detector's scores of every frame: OUT/work/facetracks/*/shots.parquet.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="Any threshold of the facetrack step, such as min_face=64 or crops.crf=20; repeat for "
    "more. A wrong name lists the right ones.",
)
@click.option(
    "--sync",
    type=click.Choice(["off", "record", "filter"]),
    default="record",
    show_default=True,
    help="Measure offset and confidence of every clip with SyncNet and record them, or also "
    "reject clips that miss the thresholds. The shipped net was trained on drawn faces and judges "
    "drawn faces; on photographed ones it is less sure: pass a --checkpoint trained on such.",
)
@click.option(
    "--false-keep",
    default=0.01,
    show_default=True,
    help="With --sync filter: share of the clips with sound that does not belong that may be kept. "
    "The threshold is calibrated on the set itself: its pictures with sound shifted out of reach "
    "and with the sound of others.",
)
@click.option(
    "--min-confidence",
    type=float,
    default=None,
    help="With --sync filter: a fixed least confidence instead of a calibrated one; what it means "
    "depends on the checkpoint and the length of clips.",
)
@click.option(
    "--max-sync-offset",
    default=3,
    show_default=True,
    help="With --sync filter: largest measured offset, in frames of 40 ms.",
)
@click.option(
    "--correct-offset",
    is_flag=True,
    default=False,
    help="Move the sound of clips whose offset is sure to where it belongs, and measure again.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="SyncNet from 'avbench train'; the shipped one where not given.",
)
@click.option(
    "--distort",
    type=click.Choice(["none", "global", "drop-duplicate"]),
    default="none",
    show_default=True,
    help="Synthetic fault of every clip, drawn from the seed and its key.",
)
@click.option(
    "--max-offset",
    default=15,
    show_default=True,
    help="Largest synthetic offset or displacement in frames, 5 to 25.",
)
@click.option(
    "--law",
    type=click.Choice(["symmetric", "tae2020"]),
    default="symmetric",
    show_default=True,
    help="Law of drops and duplicates: without drift on average, or that of the 2020 paper's code.",
)
@click.option(
    "--pairs",
    default=0,
    show_default=True,
    metavar="EVERY",
    help="Draw training pairs as the 2016 paper does: every so many frames, five frames with their "
    "own sound, and the same five with sound of the clip from up to 2 s away. Indices only, in "
    "each clip's JSON and in OUT/pairs.parquet; 0 for none.",
)
@click.option(
    "--find-duplicates/--no-find-duplicates",
    default=True,
    show_default=True,
    help="Look for clips of different splits with the same sound or moving picture, though encoded "
    "anew, cropped or cut elsewhere; OUT/duplicates.parquet and 'avbench stats' list them.",
)
@click.option(
    "--drop-duplicates",
    is_flag=True,
    default=False,
    help="Leave one clip of each such pair out: test keeps its own, then val.",
)
@click.option("--shard-clips", default=1000, show_default=True, help="Most clips in a shard.")
@click.option("--shard-mb", default=256, show_default=True, help="Most MiB in a shard.")
@click.option(
    "--engine",
    type=click.Choice(["ray", "local"]),
    default="ray",
    show_default=True,
    help="Ray survives files that hang or crash the decoder; local is this one process, for a "
    "debugger and for small sets. The shards are the same.",
)
@click.option(
    "--workers",
    type=int,
    help="Videos, or parts of long ones, at a time; one less than CPUs if not given.",
)
@click.option(
    "--address",
    "--ray-address",
    "ray_address",
    default="local",
    show_default=True,
    help="Ray: local starts one for this run; auto or HOST:PORT joins a running cluster, whose "
    "machines must see the same paths.",
)
@click.option(
    "--time-limit",
    default=600.0,
    show_default=True,
    help="Seconds granted to every video, or part of a long one, on top of ten times its length.",
)
@click.option(
    "--memory-limit",
    default=4096,
    show_default=True,
    help="MiB granted to every video, on top of what its worker holds already (Linux).",
)
@click.option(
    "--retry/--no-retry", default=True, show_default=True, help="Try earlier failures again."
)
@click.option(
    "--retry-reason",
    default="",
    metavar="WORDS",
    help="Of earlier failures, try only those again whose reason holds these words, such as "
    "'time limit' or 'worker died'.",
)
@click.option(
    "--keep-work/--no-keep-work",
    default=True,
    show_default=True,
    help="Keep OUT/work, which makes other settings on the same videos cheap.",
)
@click.option("--plan", is_flag=True, help="Say what would run, and stop.")
@click.option(
    "--pipeline", default="facetracks", show_default=True, help="Name of an installed pipeline."
)
def command(
    sources: tuple[Path | str, ...],
    out: Path | str,
    pipeline: str,
    detector: str,
    detector_weights: Path | None,
    shot_detector: str,
    shot_scores: bool,
    **options: Any,
) -> None:
    r"""Turn video files, and folders of them, into face clips in WebDataset shards.

    Sources are only read. Every file ends in a shard or in OUT/ledger.parquet with a reason; one
    bad file never ends the run. Run the same command again after an interruption and it goes on;
    change an option and only what depends on it is redone. The shards have the same bytes
    whatever the engine and the number of workers.

    SOURCES and --out may be addresses that fsspec knows, such as s3://bucket/films: sources are
    fetched, and the finished set is sent there, its manifest last.

    Exit code 0 even where some files were rejected, 3 where none was usable.

    \b
    Examples:
      avbench build-shards videos/ --out shards --workers 8
      avbench build-shards a.mp4 b.mov --out shards --split test --engine local
      avbench build-shards videos/ --out shards --sync filter --false-keep 0.02
      avbench build-shards videos/ --out shards --sync filter --correct-offset
      avbench build-shards videos/ --out faulty --distort global --max-offset 20
      avbench build-shards news/ --out shards --split-dates bbc2016 --pairs 25 --drop-duplicates
      avbench build-shards videos/ --out shards --set min_face=64 --plan
      avbench build-shards s3://films/news --out s3://sets/news --address head-node:6379
      avbench build-shards corpus/ --out shards --split speakers.csv
      avbench build-shards news/ --out shards --split-dates bbc2016
      avbench build-shards corpus/ --out shards --split-by speaker --about who.csv
      avbench build-shards videos/ --out shards --detector yunet --detector-weights yunet.onnx
      avbench build-shards videos/ --out shards --shots adaptive --shot-scores
      avbench build-shards videos/ --out shards --crop mouth112
      avbench build-shards panel.mp4 --out shards --faces best-sync
      avbench build-shards lrs3/ --layout lrs3 --out shards --dataset lrs3
      avbench build-shards work/ --layout syncnet-python --out shards --sync off

    \b
    Read the result:
      avbench inspect shards
      python -c "from avbench.shards import read_clips; from pathlib import Path; \
    print(next(read_clips(Path('shards'))))"
    """
    from avbench import plugins

    build = plugins.load(plugins.PIPELINES, pipeline)
    chosen = {"detector": detector, "shot_detector": shot_detector}
    if detector_weights is not None:
        chosen["detector_weights"] = str(detector_weights.expanduser().absolute())
    if shot_scores:
        chosen["shot_scores"] = "true"
    options["settings"] = {**chosen, **options["settings"]}
    report = build(sources, out, **options)
    for line in report.lines():
        click.echo(line)
    empty = report.nothing_usable()
    if empty:
        click.echo(f"avbench: {empty}", err=True)
        raise click.exceptions.Exit(NOTHING_USABLE)
