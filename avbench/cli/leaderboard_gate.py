"""``avbench leaderboard check, update, diff, submit``: measured numbers kept and defended."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avbench.errors import AvbenchError, DataError, UsageError
from avbench.leaderboard import checkout_folder

if TYPE_CHECKING:
    from avbench.data import JSON
    from avbench.leaderboard.expected import Expected
    from avbench.leaderboard.store import Measured
    from avbench.results import Run

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
EXPECTED = checkout_folder() / "pinned" / "expected.json"
_SHARDS = click.option(
    "--shards",
    type=FOLDER,
    help="Shard set that was measured on; needed where its dataset.json is not in RESULTS.",
)
_NOTE = click.option("--note", default="", help="A sentence on why questions failed, if some did.")
_LICENCE = click.option(
    "--licence",
    default="",
    help="Of a corpus that cannot be built from a dataset.json, and where it can be had.",
)


@click.command("check")
@click.argument("results", type=FOLDER, required=False)
@click.option("--shards", type=FOLDER, help="Measure on this shard set now, as was expected.")
@click.option(
    "--expected",
    type=FILE,
    default=EXPECTED,
    show_default="leaderboards/pinned/expected.json of the checkout",
    help="What 'update --expected' wrote.",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(0, 1),
    default=0.02,
    show_default=True,
    help="Share of the questions that may always move on another platform.",
)
@click.option("--out", type=FOLDER, help="Keep the results of --shards here.")
@click.option("--report", type=FILE, help="Write the findings as JSON, for programs.")
def check(
    results: Path | None,
    shards: Path | None,
    expected: Path,
    epsilon: float,
    out: Path | None,
    report: Path | None,
) -> None:
    r"""Hold RESULTS, or a new measurement, against what was expected; exit code 1 if it moved.

    Where packages, processor, clips and checkpoints are those of the expectation, every count must
    be equal. Elsewhere a share may move by twice the standard error of the difference by clip, and
    the report says so. Every number that moved is printed with its row, what was expected, what
    was found and the tolerance.

    \b
    Examples:
      avbench leaderboard check .ci-demo/results
      avbench leaderboard check --shards .ci-demo/shards
      avbench leaderboard check --shards my/shards --expected my/expected.json --out my/results
    """
    from avbench.leaderboard.expected import Expected
    from avbench.leaderboard.gate import compare
    from avbench.results import read_run
    from avbench.shards import write_json

    if results is not None and shards is None:
        before = Expected.read(expected)
        run = read_run(results)
    elif shards is not None and results is None:
        before = Expected.read(expected)
        run = _measure(before, shards, out)
    else:
        raise UsageError("say what to check: either RESULTS or --shards DIR")
    found = compare(before, run, epsilon)
    for line in found.lines():
        click.echo(line)
    if report is not None:
        write_json(report, asdict(found) | {"passed": found.passed})
    if not found.passed:
        raise AvbenchError(
            "the numbers are not those of the expectation; if that is meant, commit the change, "
            f"then renew it with 'avbench leaderboard update RESULTS --expected {expected}'"
        )


def _measure(before: Expected, shards: Path, out: Path | None) -> Run:
    """Ask the expected questions now, embedding every clip anew: a cache would hide changes."""
    from avbench.cli.run import command
    from avbench.results import RUN, read_run

    task = before.identity["task"]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        arguments = {
            "--method": "all",
            "--protocol": task["protocol"],
            "--shards": shards,
            "--split": before.identity["split"],
            "--out": results,
            "--cache": Path(folder) / "cache",
            "--lengths": ",".join(map(str, task["lengths"])),
            "--repeats": task["repeats"],
            "--windows-per-clip": task["windows_per_clip"],
            "--seed": task["seed"],
        }
        given = [(name, str(value)) for name, value in arguments.items() if value is not None]
        try:
            command.main([text for pair in given for text in pair], standalone_mode=False)
        except AvbenchError as error:
            if not (results / RUN).is_file():
                raise
            # A method that fails on everything: the comparison says what that moved.
            click.echo(str(error), err=True)
        if out is not None:
            shutil.copytree(results, out, dirs_exist_ok=True)
        return read_run(results)


@click.command("update")
@click.argument("results", type=FOLDER)
@click.option(
    "--to",
    type=FOLDER,
    default=None,
    help="Folder of measured results.  [default: leaderboards/measured of the checkout]",
)
@click.option("--name", help="Folder below --to.  [default: the data set's name]")
@click.option(
    "--expected", type=FILE, help="Renew this expectation of 'check' instead of measured results."
)
@_SHARDS
@_NOTE
@_LICENCE
@click.option("--dry-run", is_flag=True, help="Show what would change and write nothing.")
def update(
    results: Path,
    to: Path | None,
    name: str | None,
    expected: Path | None,
    shards: Path | None,
    note: str,
    licence: str,
    dry_run: bool,
) -> None:
    r"""Take the numbers of RESULTS over into the committed data, showing first what changes.

    Refused are results with uncommitted changes, with --limit, with failed questions and no
    --note, of another protocol version, or whose scores do not follow from their predictions.

    \b
    Examples:
      avbench leaderboard update demo/results --dry-run
      avbench leaderboard update demo/results
      avbench leaderboard update .ci-demo/results --expected leaderboards/pinned/expected.json
    """
    from avbench.leaderboard import changes, store
    from avbench.leaderboard.card import changed_files, objections
    from avbench.results import read_run

    run, manifest = read_run(results), _manifest(results, shards)
    _refuse(results, objections(run, manifest, note, licence) + changed_files(results, run.block))
    if expected is not None:
        _renew(run, expected, dry_run)
        return
    folder = _measured_folder(to) / (name or run.block["dataset"])
    new = _with(store.read(results), manifest, note=note, licence=licence)
    old = store.read(folder) if (folder / "run.json").is_file() else None
    merged = new
    if old is not None:
        merged, dropped = store.merge(old, new)
        for row, reason in dropped:
            click.echo(f"dropped  {' '.join(map(str, store.key_of(row)))}: {reason}")
    found = changes.changes(old, merged)
    for change in found:
        if change.kind not in ("same", "gone"):  # what is gone was said to be dropped
            click.echo(change.line())
    click.echo(changes.summary(found))
    if not dry_run:
        store.write(folder, merged)
        click.echo(f"{folder} is up to date")


def _measured_folder(to: Path | None) -> Path:
    if to is None and not checkout_folder().is_dir():
        raise UsageError(
            "this avbench is not a checkout, so it has no leaderboards; say where: --to"
        )
    return to or checkout_folder() / "measured"


def _manifest(results: Path, shards: Path | None) -> JSON:
    import json

    from avbench.shards import MANIFEST, open_set

    if shards is not None:
        return open_set(shards).manifest
    beside = results / MANIFEST
    try:
        return json.loads(beside.read_text("utf-8")) if beside.is_file() else None
    except ValueError as error:
        raise DataError(
            f"{beside} is not valid JSON ({error}); name the set with --shards DIR"
        ) from None


def _refuse(results: Path, reasons: Sequence[str]) -> None:
    if reasons:
        listed = "".join(f"\n- {reason}" for reason in reasons)
        raise AvbenchError(f"{results} is not admitted:{listed}")


def _with(measured: Measured, manifest: Mapping[str, JSON] | None, **said: str) -> Measured:
    card = {**measured.card, **{name: text for name, text in said.items() if text}}
    return replace(measured, card=card, manifest=manifest)


def _renew(run: Run, path: Path, dry_run: bool) -> None:
    from avbench.leaderboard.expected import Expected
    from avbench.leaderboard.gate import compare

    if path.is_file():
        for line in compare(Expected.read(path), run).lines():
            click.echo(line)
    if not dry_run:
        Expected.of(run).write(path)
        click.echo(f"{path} holds what {run.block['dataset']} gives now")


@click.command("diff")
@click.argument("before", type=FOLDER)
@click.argument("after", type=FOLDER)
@click.option("--all", "everything", is_flag=True, help="Print the numbers that are equal too.")
@click.option("--metric", "metrics", multiple=True, help="Only this metric; repeat for several.")
def diff(before: Path, after: Path, everything: bool, metrics: Sequence[str]) -> None:
    r"""Say what differs between two results: folders of runs, or of committed measured data.

    Every number that differs is printed with its difference and, where there are intervals, with
    them. Where both folders hold predictions, shares of questions get a 95 % interval of the
    difference and a p value over recordings, paired where both runs asked about the same clips;
    the last p value is adjusted for the number of tests of the metric (Holm).

    \b
    Examples:
      avbench leaderboard diff yesterday/results today/results
      avbench leaderboard diff leaderboards/measured/demo demo/results --metric accuracy@0 --all
    """
    from avbench.leaderboard import changes, store
    from avbench.results import PREDICTIONS, read_run

    old, new = store.read(before), store.read(after)
    changes.check_comparable(old.card, new.card)
    found = [c for c in changes.changes(old, new) if not metrics or c.key[2] in metrics]
    if not found:
        raise UsageError(f"there are no numbers of {', '.join(metrics)} in {before} or {after}")
    if all((folder / PREDICTIONS).is_file() for folder in (before, after)):
        found = changes.with_tests(found, read_run(before), read_run(after))
    for change in found:
        if everything or change.kind != "same":
            click.echo(change.line())
    click.echo(changes.summary(found))


@click.command("submit")
@click.argument("results", type=FOLDER)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to write, or a file that ends in .zip.",
)
@_SHARDS
@_NOTE
@_LICENCE
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="METHOD=TEXT",
    help="Where the checkpoint of a method comes from: data, command, seed.",
)
def submit(
    results: Path,
    out: Path,
    shards: Path | None,
    note: str,
    licence: str,
    origins: Sequence[str],
) -> None:
    r"""Pack RESULTS for a leaderboard, checked, and say in words what is missing.

    The pack holds the run card, all predictions, scores, how the shard set is built, and of every
    method its class, BibTeX and the hash and origin of its checkpoint. Nothing is sent anywhere.

    \b
    Examples:
      avbench leaderboard submit results --out submission.zip
      avbench leaderboard submit results --out submission.zip \
        --origin 'syncnet=LRS2 train split, avbench train --method syncnet, seed 0'
    """
    from avbench.leaderboard.submit import pack, prepare
    from avbench.results import read_run

    pairs = [text.partition("=") for text in origins]
    if wrong := [name for name, equals, text in pairs if not (name and equals and text)]:
        raise UsageError(f"got --origin '{wrong[0]}', expected METHOD=TEXT")
    submission = prepare(
        results,
        read_run(results),
        _manifest(results, shards),
        note=note,
        licence=licence,
        origins={name: text for name, _, text in pairs},
    )
    _refuse(results, submission.missing)
    files = pack(submission, out)
    click.echo(f"In {out}: {', '.join(files)}")
    click.echo("Complete. Add it to a pull request, or send it to whoever keeps the leaderboard.")
