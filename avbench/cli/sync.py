"""``avbench sync``: is the sound of a video early or late, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.errors import AvbenchError, DataError, MissingDependency, UsageError

if TYPE_CHECKING:
    from avbench.data import JSON
    from avbench.methods import EmbeddingMethod
    from avbench.syncing import FaceReport, VideoReport
    from avbench.syncing.reading import Reading


@click.command("sync")
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--fix",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="OUT.mp4",
    help="Write the video again with its sound moved by what was measured, and measure that. The "
    "picture is copied, not coded anew. OUT ends in .mp4, .m4v, .mov or .mkv.",
)
@click.option(
    "--search",
    type=click.IntRange(1),
    default=15,
    show_default=True,
    help="Offsets are looked for in this many frames of 40 ms either way. A face must be seen for "
    "four times as long.",
)
@click.option(
    "--method",
    default="lip-geometry",
    show_default=True,
    metavar="NAME",
    help="Method whose embeddings are compared.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File that avbench train or import-weights wrote.  [default: the shipped one]",
)
@click.option(
    "--limit-faces",
    type=click.IntRange(1),
    default=None,
    help="Look at so many faces of a video only, those seen longest.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Write everything that was measured, curves and all.",
)
def command(videos: tuple[Path, ...], **options: Any) -> None:
    r"""Say how early or late the sound of videos is, and mend it.

    Every face is measured by itself: the offset at which its lips fit the sound best, in frames of
    40 ms, and how sure that is. The confidence counts how far the best offset stands above sound
    that does not belong, in the spread of such sound; the p-value says how often strangers' sound
    comes so high. good is p below 0.01, fair below 0.05; in all other cases, as where the person
    on screen is not the one who speaks, no offset is believed. Whether a viewer would notice is
    judged by ITU-R BT.1359. "over time" shows the same for parts of about 3 s, with a question
    mark where a part alone is not sure.

    The video is only read. One bad file never stops the others. Exit code 0 where every file has
    an answer, 3 where one is damaged, shows no face, has no sound, or its offset cannot be told.

    \b
    Examples:
      avbench sync talk.mp4
      avbench sync talk.mp4 --fix talk-in-sync.mp4
      avbench sync takes/*.mov --json takes.json
      avbench sync talk.mp4 --search 8 --limit-faces 2
      avbench sync talk.mp4 --method syncnet --checkpoint mine.safetensors

    \b
    In Python:
      from avbench.syncing import measure
      measure(Path("talk.mp4"), method).verdict.words
    """
    from avbench.shards import write_json

    fix, out = options["fix"], options["json_path"]
    if fix and len(videos) > 1:
        raise UsageError("--fix writes one file; give one video with it")
    if fix:
        _check_fix(videos[0], fix)
    method = _load(options["method"], options["checkpoint"])
    ask = _asker(method, options)
    entries: list[dict[str, JSON]] = []
    codes = [_one(video, ask, fix, entries) for video in videos]
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, _describe(method, options) | {"files": entries})
        click.echo(f"In {out}")
    if len(videos) > 1:
        known = sum(entry.get("offset") is not None for entry in entries)
        click.echo(f"{known} of {len(videos)} files have an answer")
    if max(codes):
        raise click.exceptions.Exit(max(codes))


def _check_fix(video: Path, fix: Path) -> None:
    """Refuse a target that cannot be written before anything is measured."""
    from avbench.media.remux import CONTAINERS

    if fix.suffix.lower() not in CONTAINERS:
        raise UsageError(
            f"--fix {fix}: cannot write this kind of file; end its name in {', '.join(CONTAINERS)}"
        )
    if fix.exists() and video.exists() and fix.samefile(video):
        raise UsageError(f"--fix {fix}: is the video itself, which is never written to")


def _load(name: str, checkpoint: Path | None) -> EmbeddingMethod:
    from avbench import methods
    from avbench.methods import EmbeddingMethod

    method = methods.load(name, checkpoint)
    if not isinstance(method, EmbeddingMethod):
        raise UsageError(f"{name} has no embeddings to compare; name a method such as lip-geometry")
    return method


def _asker(method: EmbeddingMethod, options: dict[str, Any]) -> Callable[[Path], VideoReport]:
    """Return what measures one video, with its progress on standard error."""
    from avbench.progress import track
    from avbench.syncing import measure

    def ask(video: Path) -> VideoReport:
        def watch(samples: Iterable[Any], total: int) -> Iterable[Any]:
            return track(samples, video.name, total, "face")

        click.echo(f"{video}: looking for faces", err=True)
        search, limit = options["search"], options["limit_faces"]
        return measure(video, method, search=search, limit=limit, watch=watch)

    return ask


def _one(
    video: Path,
    ask: Callable[[Path], VideoReport],
    fix: Path | None,
    entries: list[dict[str, JSON]],
) -> int:
    """Measure and perhaps fix one video, and return its exit code."""
    try:
        report = ask(video)
        entries.append(report.as_json())
        _show(report)
        if fix is not None:
            entries[-1]["fixed"] = _fix(report, fix, ask)
    except MissingDependency:
        raise
    except AvbenchError as error:
        click.echo(f"avbench: {error}", err=True)
        if not entries or entries[-1]["file"] != str(video):
            entries.append({"file": str(video)})
        entries[-1]["error"] = str(error)
        return error.exit_code
    return 0 if report.verdict.offset is not None else DataError.exit_code


def _fix(
    report: VideoReport, fix: Path, ask: Callable[[Path], VideoReport]
) -> dict[str, JSON] | None:
    """Write the video with its sound moved, measure it and say what came of it."""
    from fractions import Fraction

    from avbench.media.remux import shift_sound
    from avbench.timing import FPS, describe_offset, offset_to_ms

    offset = report.verdict.offset
    if not offset:
        why = "there is nothing to fix" if offset == 0 else "no offset is known to fix"
        click.echo(f"{fix} is not written: {why}")
        return None
    moved = shift_sound(report.path, fix, Fraction(offset, FPS))
    later = "later" if offset > 0 else "earlier"
    click.echo(
        f"{fix}: sound moved {abs(offset_to_ms(offset)):.0f} ms {later}; the {moved.packets} "
        f"packets of the picture are copied unchanged, the sound is coded anew ({moved.codec})"
    )
    if moved.left_out:
        click.echo(f"{fix}: further streams are left out: {', '.join(moved.left_out)}")
    again = ask(fix)
    after = again.verdict.offset
    entry = again.as_json() | {"moved_ms": offset_to_ms(offset), "codec": moved.codec}
    if after is None or abs(after) > 1:
        raise AvbenchError(f"{fix}: measured again, {again.verdict.words}; look at it before use")
    click.echo(f"{fix}: measured again, {again.verdict.words} (it was: {describe_offset(offset)})")
    return entry


def _show(report: VideoReport) -> None:
    """Print what was found in one video."""
    click.echo(f"{report.path}: {report.verdict.words}")
    for face in report.faces:
        click.echo(f"  {_face_line(face)}")
        if line := _over_time(face):
            click.echo(f"    over time: {line}")
    if len(report.faces) < report.found:
        click.echo(f"  {report.found - len(report.faces)} further faces are left out")


def _face_line(face: FaceReport) -> str:
    where = (
        f"face {face.number}, {_clock(face.start_s)} to {_clock(face.stop_s)}, around "
        f"({face.centre[0]:.0f}, {face.centre[1]:.0f})"
    )
    if face.reading is None:
        return f"{where}: no reading, {face.note}"
    return f"{where}: {_reading_words(face.reading)}"


def _reading_words(reading: Reading) -> str:
    from avbench.timing import describe_offset

    sure = f"confidence {reading.confidence:.1f}, {_p_words(reading.p_value)}"
    if reading.grade == "low":
        where = "at the edge of the search" if reading.at_edge else "no better than chance"
        return f"no offset, the best ({reading.offset:+d}) is {where} ({sure})"
    return f"{describe_offset(reading.offset)} ({reading.grade}: {sure})"


def _p_words(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _over_time(face: FaceReport) -> str:
    """Say how the offset goes on in a face that has one."""
    if face.reading is None or face.reading.grade == "low":
        return ""
    return ", ".join(
        f"{_clock(part.start_s)} {part.reading.offset:+d}"
        + ("" if part.reading.grade != "low" else "?")
        for part in face.parts
        if part.reading is not None
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _describe(method: EmbeddingMethod, options: dict[str, Any]) -> dict[str, JSON]:
    from avbench.media import decoder_versions
    from avbench.results import identify
    from avbench.syncing.reading import FAIR, GOOD
    from avbench.syncing.verdict import ACCEPT, DETECT

    facts = identify(method, options["checkpoint"])
    windows = [
        {"name": w.name, "late_ms": w.lag_ms, "early_ms": w.lead_ms, "source": w.source}
        for w in (DETECT, ACCEPT)
    ]
    return {
        "format": 1,
        "method": method.name,
        "checkpoint_sha256": facts["checkpoint_sha256"],
        "extractor": method.extractor,
        "search": options["search"],
        "good_p_value": GOOD,
        "fair_p_value": FAIR,
        "windows": windows,
        "decoder": decoder_versions(),
        "sign": "offset = video index - audio index; positive: the sound is early",
    }
