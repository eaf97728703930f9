"""Measure how many short videos spread over workers, and what the machine itself would allow.

Talking heads of six seconds are drawn first, unless a folder of videos is given. Shards are built
from them on Ray with so many workers, the whole command by the clock: start, hashes, units,
fingerprints, packing, writing. Before that, the floor: single processes that share nothing, so many
at a time against one, which only decode these files, or take them through the facetrack step. Where
they are slowed down by each other (cores that are two threads of one, shared memory, a busy
machine), so is every program; no pipeline of these files can be expected to spread much better.
What a virtual machine was refused by its host ("stolen") is told beside every run. All sets must be
the same to the byte.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path

import av
import click
import cv2
from processes import MARK, efficiency, end_with, marked

from avbench.synthetic import CorpusRequest, write_corpus
from pipelines import units
from pipelines.engine import available_cpus
from pipelines.facetracks import process_video
from pipelines.settings import FacetrackSettings

STEPS = ("facetracks", "prints", "pack")
"""Bars of progress that stand for a round of units; what comes after the last is writing."""
_BAR = re.compile(rb"(?:^|[\r\n])([a-z][a-z ]*): +\d+%")


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("many-files"),
    show_default=True,
    help="Where the videos and the sets go.",
)
@click.option(
    "--videos",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of videos to take instead of drawing some.",
)
@click.option("--count", default=80, show_default=True, help="How many videos to draw.")
@click.option("--workers", default=[1, 4], multiple=True, show_default=True, help="Ray workers.")
@click.option(
    "--floor",
    "floors",
    type=click.Choice(["decode", "facetracks"]),
    default=["decode"],
    multiple=True,
    show_default=True,
    help="What the single processes do.",
)
@click.option("--sync", default="off", show_default=True, help="As of build-shards.")
def main(
    folder: Path,
    videos: Path | None,
    count: int,
    workers: Sequence[int],
    floors: Sequence[str],
    sync: str,
) -> None:
    """Measure how many short videos spread over workers.

    \b
    Examples:
      OMP_NUM_THREADS=1 python benchmarks/many_files.py --count 400
      python benchmarks/many_files.py --videos CLIPS --workers 1 --workers 2 --workers 4
      python benchmarks/many_files.py --floor decode --floor facetracks
    """  # noqa: D301
    os.environ["OMP_NUM_THREADS"] = "1"
    folder.mkdir(parents=True, exist_ok=True)
    if videos is None:
        videos = folder / f"{count}-videos"
        write_corpus(videos, CorpusRequest(count), workers=available_cpus())
    files = sorted(path for path in videos.rglob("*") if path.suffix.lower() not in units.NOT_VIDEO)
    files = [path for path in files if path.is_file() and not path.name.startswith(".")]
    size = sum(path.stat().st_size for path in files) / 1e6
    click.echo(f"{len(files)} videos of {size:.0f} MB; load {os.getloadavg()[0]:.1f} before")
    for work in floors:
        alone = {number: floor(files, work, number) for number in dict.fromkeys(workers)}
        for number, seconds in alone.items():
            share = workers[0] * alone[workers[0]] / number / seconds
            click.echo(f"floor, {work}, {number} at a time: {seconds:.1f} s ({share:.2f})")
    sums: dict[str, str] = {}
    first: tuple[int, float] | None = None
    for number in workers:
        out = folder / f"ray-{number}"
        seen = run(videos, out, number, sync)
        sums[out.name] = (out / "SHA256SUMS").read_text()
        words = f"{number} workers: {seen.clock:.1f} s by the clock"
        if first is not None:
            words += f", {efficiency(first, number, seen.clock)}"
        first = first or (number, seen.clock)
        click.echo(f"{words}; load {seen.load:.1f} before, {seen.stolen:.1%} stolen")
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in seen.parts())
        click.echo(f"  {parts} s")
        click.echo(f"  processor: workers {seen.cpu(True):.1f} s, all else {seen.cpu(False):.1f} s")
    end_with(sums)


def floor(files: Sequence[Path], work: str, number: int) -> float:
    """Return the seconds in which so many processes work on all files, dealt out in turn."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(number + 1)
    ordered = sorted(files, key=lambda path: -path.stat().st_size)
    hands = [ordered[index::number] for index in range(number)]
    target = {"decode": decode, "facetracks": facetracks}[work]
    running = [context.Process(target=target, args=(hand, barrier)) for hand in hands]
    for process in running:
        process.start()
    barrier.wait()
    begin = time.perf_counter()
    for process in running:
        process.join()
    if any(process.exitcode for process in running):
        raise click.ClickException(f"a process of the floor ({work}) has failed")
    return time.perf_counter() - begin


def decode(files: Iterable[Path], barrier: Barrier) -> None:
    """Decode pictures in one thread as soon as the others have started, too."""
    barrier.wait()
    for path in files:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            stream.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            for _ in file.decode(stream):
                pass


def facetracks(files: Iterable[Path], barrier: Barrier) -> None:
    """Take videos through the facetrack step as soon as the others have started, too."""
    settings = FacetrackSettings()
    cv2.setNumThreads(1)
    units.warm_up(process_video, settings, {})
    barrier.wait()
    for path in files:
        with tempfile.TemporaryDirectory() as out:
            process_video(path, "video", Path(out), settings)


@dataclass
class Seen:
    """What was seen of a run; times in seconds from its start."""

    clock: float = 0.0
    bars: dict[str, float] = field(default_factory=dict)
    """Bar of progress -> when it was first shown."""
    unit: float = 0.0
    """When the first unit was done."""
    times: dict[int, tuple[bool, float]] = field(default_factory=dict)
    """Process -> whether it is a worker, and its seconds of the processor."""
    load: float = 0.0
    stolen: float = 0.0
    """Share of the processor's time that went to other machines of the host."""

    def cpu(self, workers: bool) -> float:
        """Return the seconds of the processor that the workers, or all others, took."""
        return sum(seconds for is_worker, seconds in self.times.values() if is_worker == workers)

    def parts(self) -> Iterator[tuple[str, float]]:
        """Yield where the time went, in order."""
        begins = {step: self.bars[step] for step in STEPS if step in self.bars}
        writing = min(at for name, at in self.bars.items() if name.startswith("pack "))
        first = next(iter(begins), "facetracks")
        yield "import, hash and start of Ray", begins.get(first, writing)
        if first in begins:
            yield "first unit", self.unit - begins[first]
            begins[first] = self.unit
        stops = [*list(begins.values())[1:], writing]
        for (step, begin), stop in zip(begins.items(), stops, strict=True):
            yield step, stop - begin
        yield "write and end", self.clock - writing


def run(videos: Path, out: Path, workers: int, sync: str) -> Seen:
    """Build shards on Ray from nothing, and watch."""
    shutil.rmtree(out, ignore_errors=True)
    token, seen = uuid.uuid4().hex, Seen()
    command = ["build-shards", str(videos), "--out", str(out), "--sync", sync]
    seen.load, before, begin = os.getloadavg()[0], ticks(), time.perf_counter()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("avbench"), *command, "--workers", str(workers)],
        env={**os.environ, MARK: token},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with watched(token, seen, out / "work" / "facetracks", begin):
        last = b""
        while words := os.read(process.stderr.fileno(), 2**16):
            last = words
            for name in _BAR.findall(words):
                seen.bars.setdefault(name.decode(), time.perf_counter() - begin)
        code = process.wait()
        seen.clock = time.perf_counter() - begin
    stolen, whole = (after - was for after, was in zip(ticks(), before, strict=True))
    seen.stolen = stolen / max(whole, 1)
    if code:
        raise click.ClickException(f"build-shards ended with {code}: {last.decode()}")
    return seen


@contextmanager
def watched(token: str, seen: Seen, done: Path, begin: float) -> Iterator[None]:
    """Note when the first unit appears, and twice a second what the processes took so far."""
    over = threading.Event()

    def watch() -> None:
        for turn in range(10**9):
            if over.wait(0.05):
                return
            begun = done.iterdir() if done.is_dir() and not seen.unit else ()
            if any(path.suffix != ".part" for path in begun):
                seen.unit = time.perf_counter() - begin
            if turn % 10 == 0:
                look(token, seen)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def look(token: str, seen: Seen) -> None:
    """Note the time of all processes of a run."""
    for folder, name, seconds in marked(token):
        known = seen.times.get(int(folder.name), (False, 0.0))[0]
        worker = known or name.startswith((b"ray::IDLE", b"ray::run_on"))
        seen.times[int(folder.name)] = worker, seconds


def ticks() -> tuple[int, int]:
    """Return the ticks that were stolen from this machine since it started, and all ticks."""
    values = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return values[7], sum(values[:8])


if __name__ == "__main__":
    main()
