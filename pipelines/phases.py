"""Run one step over many videos: only what is not done, and with a note of what failed."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from avbench import progress, shards
from avbench.data import JSON
from avbench.errors import UsageError

from . import files, units
from .engine import Engine, Job
from .guard import Function
from .ledger import FAILED
from .videos import Video

Work = tuple[Video, Path, Mapping[str, JSON]]
"""A video, where the result goes, and what its unit is told."""


class Phases:
    """Runs steps whose results lie below a work folder.

    Parameters
    ----------
    work
        The folder.
    retry
        Says of the reason why something failed in an earlier run whether to try it again.
    """

    def __init__(self, work: Path, retry: Callable[[str], bool]) -> None:
        self._work, self._retry = work, retry

    def run(
        self,
        engine: Engine,
        step: str,
        function: Function,
        jobs: Sequence[Work],
        shown: tuple[str, str] | None = None,
        then: Function | None = None,
    ) -> list[tuple[Video, Mapping[str, JSON]]]:
        """Run what is not done yet; close what failed, return the rest with their receipts.

        Parameters
        ----------
        engine
            Where units run.
        step
            What a video that fails is said to have failed at.
        function
            The unit.
        jobs
            A video may have several; they lie in folders of their own.
        shown
            What progress is shown of, and in which unit; of videos where None.
        then
            What workers run for which nothing is left (see `Engine.map`).
        """
        for parent in {folder.parent for _, folder, _ in jobs}:
            parent.mkdir(exist_ok=True)
        todo: dict[str, tuple[Video, Path, Job]] = {}
        for video, folder, payload in jobs:
            past = self.failures(folder)
            if units.read_receipt(folder) is not None:
                continue
            if past and not self._retry(past["reason"]):
                video.close(FAILED, step, past["reason"], past["attempts"])
                continue
            job = Job(folder.name, {**payload, "folder": str(folder)})
            todo[job.name] = (video, folder, job)
        # The largest first, so that no worker begins a long one when the others are done.
        ordered = sorted(todo.values(), key=lambda entry: -entry[0].source.mark[0])
        outcomes = engine.map(function, [job for _, _, job in ordered], then)
        what, unit = shown or (step, "video")
        for outcome in progress.track(outcomes, what, len(todo), unit) if todo else ():
            video, folder, _ = todo[outcome.job.name]
            lost = outcome.attempts - (outcome.status == "done")
            reason = files.clean(outcome.reason)
            attempts = self._remember(folder, lost, reason, files.clean(outcome.trace))
            if outcome.status != "done":
                video.close(outcome.status, step, reason, attempts)
        result: list[tuple[Video, Mapping[str, JSON]]] = []
        for video, folder, _ in jobs:
            receipt = units.read_receipt(folder)
            if receipt is not None:
                lost = self.failures(folder).get("attempts", 0)
                video.row = replace(video.row, attempts=max(video.row.attempts, 1 + lost))
                result.append((video, receipt))
        return result

    def failures(self, folder: Path) -> Mapping[str, JSON]:
        """Return how often this result failed to come about, and why the last time."""
        return files.read_json(self._note(folder)) or {}

    def _remember(self, folder: Path, lost: int, reason: str, trace: str) -> int:
        attempts = int(self.failures(folder).get("attempts", 0)) + lost
        if lost:
            note = self._note(folder)
            note.parent.mkdir(exist_ok=True)
            shards.write_json(note, {"attempts": attempts, "reason": reason, "trace": trace})
        return attempts

    def expect(self, todo: Iterable[tuple[Video, Path]]) -> Iterator[str]:
        """Yield a line for each result that is to come about: for the first time, or again."""
        for video, folder in todo:
            past = self.failures(folder)
            words = "new, or its file or a setting changed"
            if past:
                words = f"failed {past['attempts']} times, the last time: {past['reason']}"
                words += "" if self._retry(past["reason"]) else "; not tried again"
            yield f"  {video.source.relative}: {words}"

    def _note(self, folder: Path) -> Path:
        return self._work / FAILED / f"{folder.parent.name}-{folder.name}.json"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an output folder; the system lets go of it however the process ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"another build is writing to {path.parents[1]}; wait for it, or choose another "
                "--out"
            ) from None
        yield
