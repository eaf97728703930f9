"""``avbench align``: repair a video whose sound and picture drift apart."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from avbench.aligning import How
    from avbench.methods import Aligner
    from avbench.repairing import Repair

DEFAULT = "lip-geometry"


@click.command("align")
@click.argument("video", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FIXED.mp4",
    help="Write the repaired video; its name ends in .mp4, .m4v, .mov or .mkv. Without it, the "
    "video is measured only.",
)
@click.option(
    "--audio",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="OTHER.wav",
    help="Align the picture with other sound, which begins with the first picture.  "
    "[default: the video's own]",
)
@click.option(
    "--warp",
    type=click.Choice(["picture", "sound"]),
    default="picture",
    show_default=True,
    help="What is moved in time: pictures are shown again or left out, or the sound is made faster "
    "and slower at its own pitch.",
)
@click.option(
    "--method",
    default=DEFAULT,
    show_default=True,
    metavar="NAME",
    help="An aligner, or a method with embeddings, whose likeness is then followed.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File that avbench train or import-weights wrote.  [default: the shipped one]",
)
@click.option(
    "--how",
    type=click.Choice(["chain", "weighted-chain", "viterbi", "median"]),
    default="median",
    show_default=True,
    help="How three-second windows become one alignment: as in Shalev and Wolf (2020), by the "
    "chain of most votes, by the likeliest path, or by the median of what is probable.",
)
@click.option(
    "--face", type=click.IntRange(1), default=None, help="Go by this face only.  [default: surest]"
)
@click.option(
    "--limit-faces",
    type=click.IntRange(1),
    default=None,
    help="Look at so many faces only, those seen longest.",
)
@click.option(
    "--edits",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Write the list of edits, as .csv or .json.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE.html",
    help="Write a page with figures of before and after.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Write everything that was found.",
)
@click.option(
    "--crf", type=click.IntRange(0, 51), default=18, show_default=True, help="Quality, 0 is best."
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@click.option("--anyway", is_flag=True, help="Write OUT even where the confidence is low.")
def command(video: Path, **options: Any) -> None:
    r"""Repair a video whose sound and picture drift apart.

    For every 40 ms of sound the picture is found that shows it, never going back; pictures that
    were put in are left out, and where pictures are missing the nearest is held. Picture and sound
    of the new file begin together and are of one length. Pictures are coded anew at the rate of
    the source, sound at its own rate with all channels.

    The confidence comes from what the same method makes of sound that cannot belong. It is low
    where sound and lips agree no better, or the method doubts nearly as much as there: nothing is
    then written, unless --anyway is given. It is good where a third of the drift or less should
    remain, and fair in between. What remains is told by alignments drawn by how probable they are;
    pictures that are not in the file any more cannot come back and count as remaining.

    The video is only read. Exit code 0 where it was repaired or is in sync, 3 where it is damaged,
    shows no face, or its confidence is low.

    \b
    Examples:
      avbench align talk.mp4 --out talk-fixed.mp4
      avbench align talk.mp4 --out talk-fixed.mp4 --report talk.html --edits talk.csv
      avbench align talk.mp4 --audio dubbed.wav --out dubbed.mp4
      avbench align talk.mp4 --warp sound --out talk-fixed.mp4
      avbench align talk.mp4 --json talk.json

    \b
    In Python:
      from avbench.repairing import plan_repair, write_repair
      write_repair(plan_repair(Path("talk.mp4"), aligner, "median"), Path("fixed.mp4"))
    """
    _check(video, options)
    repair = _plan(video, options)
    _show(repair)
    _finish(repair, options)


def _check(video: Path, options: dict[str, Any]) -> None:
    """Refuse files that cannot be written before anything is measured."""
    from avbench.media.retime import check_target
    from avbench.repairing.report import check_edits

    out = options["out"]
    if out is not None:
        check_target(video, out)
        if out.exists() and not options["force"]:
            raise UsageError(f"--out {out}: exists already; name another, or give --force")
        if options["audio"] and out.exists() and out.samefile(options["audio"]):
            raise UsageError(f"--out {out}: is the sound itself, which is never written to")
    if options["edits"] is not None:
        check_edits(options["edits"])
    for name in ("edits", "report", "json_path"):
        path = options[name]
        if (
            path is not None
            and path.exists()
            and any(
                other is not None and other.exists() and path.samefile(other)
                for other in (video, options["audio"])
            )
        ):
            raise UsageError(f"{path}: is an input, which is never written to; name another")


def _plan(video: Path, options: dict[str, Any]) -> Repair:
    from avbench.progress import track
    from avbench.repairing import plan_repair

    def watch(things: Iterable[Any], what: str, total: int, unit: str) -> Iterable[Any]:
        return track(things, what, total, unit)

    method = _load(options["method"], options["checkpoint"])
    click.echo(f"{video}: looking for faces", err=True)
    how: How = options["how"]
    return plan_repair(
        video,
        method,
        how,
        audio=options["audio"],
        face=options["face"],
        limit=options["limit_faces"],
        watch=watch,
    )


def _load(name: str, checkpoint: Path | None) -> Aligner:
    from avbench import methods
    from avbench.aligning.similar import BySimilarity
    from avbench.methods import Aligner, Embedder

    method = methods.load(name, checkpoint)
    if isinstance(method, Aligner):
        return method
    if not isinstance(method, Embedder):
        raise UsageError(f"{name} has no embeddings to align; name a method such as {DEFAULT}")
    return BySimilarity(method)


def _show(repair: Repair) -> None:
    """Print what was found."""
    from avbench.repairing.report import summary
    from avbench.timing import FPS

    click.echo(f"{repair.video}: {summary(repair)}")
    for face in repair.faces:
        used = "" if face in repair.used else ", not used"
        sure = f"{face.surety.grade}: confidence {face.surety.confidence:.1f}"
        click.echo(
            f"  face {face.number}, {face.start / FPS:.1f} s to {face.stop / FPS:.1f} s, around "
            f"({face.centre[0]:.0f}, {face.centre[1]:.0f}): agreement {face.before.mean():.1f} "
            f"before, {face.after.mean():.1f} after ({sure}{used})"
        )
    for note in repair.notes:
        click.echo(f"  {note}")


def _finish(repair: Repair, options: dict[str, Any]) -> None:
    """Write what was asked for, and end with the exit code that fits."""
    from avbench.progress import track
    from avbench.repairing import report, write_repair
    from avbench.shards import write_json

    out, written = options["out"], None
    low = repair.grade == "low"
    if out is not None and (not low or options["anyway"]):
        written = write_repair(repair, out, moved=options["warp"], crf=options["crf"], watch=track)
        click.echo(
            f"{out}: {written.frames} pictures at {float(written.fps):.6g} a second, "
            f"{written.sound_s:.3f} s of sound ({written.codec})"
        )
    elif out is not None:
        click.echo(f"{out} is not written: the confidence is low (--anyway writes it)")
    if options["edits"] is not None:
        report.write_edits(repair, options["edits"])
        click.echo(f"{len(repair.edits)} edits in {options['edits']}")
    if options["report"] is not None:
        report.write_page(repair, options["report"], written)
        click.echo(f"Report in {options['report']}")
    if options["json_path"] is not None:
        options["json_path"].parent.mkdir(parents=True, exist_ok=True)
        write_json(options["json_path"], {"format": 1} | report.as_json(repair, written))
        click.echo(f"In {options['json_path']}")
    if low and not (options["anyway"] and out is not None):
        raise click.exceptions.Exit(DataError.exit_code)
