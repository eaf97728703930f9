"""``avbench study``: ask people which videos are real."""

from __future__ import annotations

from pathlib import Path

import click

from avbench.errors import UsageError


@click.group("study")
def command() -> None:
    r"""Ask people which videos are real and which are modified.

    As in Shalev and Wolf (2020), section 6.4: each participant sees a few videos, half of them
    real, half modified, and says of each what it is.

    \b
    Examples:
      avbench study make --real originals --modified repaired --out study
      avbench study table study answers-*.csv
    """


@command.command("make")
@click.option(
    "--real",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of untouched videos.",
)
@click.option(
    "--modified",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of modified ones, under the same names.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to make."
)
@click.option("--participants", type=click.IntRange(2), default=20, show_default=True)
@click.option(
    "--per",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Videos that each participant sees.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--title", default="Real or modified?", show_default=True, help="Of the page.")
def make(
    real: Path, modified: Path, out: Path, participants: int, per: int, seed: int, title: str
) -> None:
    r"""Make a balanced, blind study as a page that opens from the disk.

    OUT/page is for the participants: send it to them, each with a number from 1 on. It needs no
    server and loads nothing but its videos, which are coded anew, both versions in the same way,
    under meaningless names. Each participant saves a file of answers. OUT/key.json says what is
    what, and stays with you.

    \b
    Examples:
      avbench study make --real originals --modified repaired --out study
      avbench study make --real a --modified b --out study --participants 40 --per 6 --seed 7

    \b
    In Python:
      from avbench.study.pack import find_pairs, make_study
      make_study(find_pairs(Path("a"), Path("b")), Path("study"), participants=20, per=4, seed=0)
    """
    from avbench.progress import track
    from avbench.study.pack import KEY, find_pairs, make_study

    study = make_study(
        find_pairs(real, modified),
        out,
        participants=participants,
        per=per,
        seed=seed,
        title=title,
        watch=lambda videos: track(videos, "videos", len(videos), "video"),
    )
    click.echo(
        f"{len(study.items)} videos in two versions for {participants} participants, {per} each"
    )
    click.echo(f"Page for the participants: {study.page}")
    click.echo(f"Key, not for them: {out / KEY}")


@command.command("table")
@click.argument("study", type=click.Path(path_type=Path))
@click.argument("answers", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Write the table as JSON too.",
)
def table(study: Path, answers: tuple[Path, ...], json_path: Path | None) -> None:
    r"""Say how often each kind of video was called real, with intervals.

    STUDY is the folder that "avbench study make" wrote, or its key.json; ANSWERS are the files
    that participants saved, CSV or JSON. Intervals are over participants, whose own answers
    depend on each other.

    \b
    Examples:
      avbench study table study answers/*.csv
      avbench study table study/key.json answers-1.json answers-2.csv --json table.json
    """
    from avbench.shards import write_json
    from avbench.study.answers import as_json, read_answers, read_key, results, table_text
    from avbench.study.pack import KEY

    if not answers:
        raise UsageError(f"{study}: name the files of answers after it")
    key = read_key(study / KEY if study.is_dir() else study)
    found = results(read_answers(answers, key), key)
    click.echo(table_text(found))
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        write_json(json_path, as_json(found))
        click.echo(f"In {json_path}")
