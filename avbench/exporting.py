"""Shard sets in the forms of others: whole files only, and going on after a stop.

Files appear under their name when they are complete, so a file that is there is done: a run that
was stopped goes on where it was. ``export.json``, written last, says what was exported and lists
the files; until then ``export.started.json`` says the same, so that two exports are never mixed.
Nothing that another program wrote is touched. The forms themselves are plug-ins: `Exporter`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

from avbench import plugins
from avbench.data import JSON
from avbench.errors import AvbenchError, DataError, UsageError
from avbench.progress import track
from avbench.shards import Sample, ShardSet, write_atomic, write_json

DONE, STARTED = "export.json", "export.started.json"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass
class Target:
    """The folder that an export goes to."""

    folder: Path
    identity: Mapping[str, JSON]
    """What is exported and how: two exports of one identity are equal."""
    files: list[str] = field(default_factory=list)
    """Paths below the folder that belong to this export, so far."""

    def write(self, make: Callable[[], bytes], *parts: str) -> None:
        """Write a file, unless it is there already.

        Parameters
        ----------
        make
            Returns its bytes; only asked where they are needed.
        parts
            Folders and name below the export's folder.

        Raises
        ------
        DataError
            If a part is no plain name: nothing is written outside the folder.
        """
        for part in parts:
            if not _PART.fullmatch(part):
                raise DataError(f"got '{part}' as part of a path, expected a plain name")
        self.files.append(PurePosixPath(*parts).as_posix())
        path = self.folder.joinpath(*parts)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, make())


@runtime_checkable
class Exporter(Protocol):
    """One form; made anew for every export."""

    def add(self, sample: Sample, split: str, target: Target) -> None:
        """Take one clip, in shard order."""
        ...

    def finish(self, shards: ShardSet, target: Target) -> None:
        """Write what describes the whole: lists, tables, cards."""
        ...


@dataclass(frozen=True)
class ExportReport:
    """What an export came to."""

    folder: Path
    clips: int
    files: int
    up_to_date: bool = False
    """Nothing had to be done."""

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        if self.up_to_date:
            return [f"nothing to do: {self.folder} is up to date ({self.clips} clips)"]
        return [f"{self.clips} clips in {self.files} files are in {self.folder}"]


def export(
    shards: ShardSet,
    form: str,
    folder: Path,
    *,
    split: str | None = None,
    limit: int | None = None,
    force: bool = False,
) -> ExportReport:
    """Write a shard set in another form.

    Parameters
    ----------
    shards
        The set; it is only read.
    form
        Name of an exporter.
    folder
        Where it goes; made if absent.
    split
        Only this one.
    limit
        Only the first so many clips.
    force
        Take away an earlier, different export in the folder first.

    Raises
    ------
    UsageError
        If the folder holds a different export, or anything else.
    """
    folder = folder.expanduser().absolute()
    exporter = _load(form)
    identity: dict[str, JSON] = {
        "form": form,
        "dataset": shards.name,
        "set_sha256": shards.sha256,
        "split": split,
        "limit": limit,
    }
    done = _claim(folder, identity, force)
    if done is not None:
        return ExportReport(folder, done["clips"], len(done["files"]), up_to_date=True)
    target = Target(folder, identity)
    count = 0
    total = min(shards.count(split), limit if limit is not None else shards.count(split))
    for sample, name in track(_samples(shards, split, limit), "export", total, "clip"):
        exporter.add(sample, name, target)
        count += 1
    exporter.finish(shards, target)
    write_json(folder / DONE, {**identity, "clips": count, "files": sorted(target.files)})
    (folder / STARTED).unlink()
    return ExportReport(folder, count, len(target.files))


def _load(form: str) -> Exporter:
    made = plugins.load(plugins.EXPORTERS, form)()
    if not isinstance(made, Exporter):
        raise AvbenchError(f"exporter '{form}' lacks add or finish; see avbench.exporting.Exporter")
    return made


def _samples(
    shards: ShardSet, split: str | None, limit: int | None
) -> Iterator[tuple[Sample, str]]:
    """Yield the samples with their splits, in the order of the shards."""
    left = limit
    for name in [split] if split is not None else shards.splits:
        for sample in shards.samples(name):
            if left == 0:
                return
            left = None if left is None else left - 1
            yield sample, name


def _claim(folder: Path, identity: Mapping[str, JSON], force: bool) -> dict[str, JSON] | None:
    """Make the folder ready; return what it says of itself where it holds this very export."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder} ({error.strerror}); choose another") from error
    done, started = _read(folder / DONE), _read(folder / STARTED)
    held = done if done is not None else started
    if held is None:
        if any(folder.iterdir()):
            raise UsageError(f"{folder} holds files of something else; choose an empty folder")
    elif any(held.get(name) != value for name, value in identity.items()):
        if not force:
            raise UsageError(
                f"{folder} holds another export ({held.get('form')} of {held.get('dataset')}); "
                "choose another folder, or pass --force to replace it"
            )
        if done is None:
            raise UsageError(
                f"{folder} holds another export that did not come to its end; run that again, or "
                "delete the folder"
            )
        _clear(folder, done["files"])
    elif done is not None and all((folder / name).is_file() for name in done["files"]):
        return done
    (folder / DONE).unlink(missing_ok=True)
    for part in folder.rglob("*.part"):
        part.unlink()
    write_json(folder / STARTED, dict(identity))
    return None


def _clear(folder: Path, names: Sequence[str]) -> None:
    """Remove the files of an export, and the folders that are empty then."""
    for name in (*names, DONE, STARTED):
        path = folder / name
        if path.resolve().is_relative_to(folder.resolve()):
            path.unlink(missing_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(
            f"{path} is damaged ({error}); delete the folder and export again"
        ) from None
    return value
