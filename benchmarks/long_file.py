"""Measure how one long video spreads over workers, and what memory each of them takes.

A 720p file of drawn programmes (cuts, dissolves, one face and two) is made first, unless the folder
holds it already: four are drawn, and follow each other over and over as they are coded. The shards
are then built in this process, one unit after the other, which tells the time of the processor that
every unit takes, and so when workers with a core each would end; and on Ray with so many workers,
by the clock, which tells the truth where nothing else runs. All must be the same to the byte.
"""

from __future__ import annotations

import heapq
import os
import resource
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import cv2
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from processes import MARK, efficiency, end_with, marked

from avbench.data import UInt8Array
from avbench.media import write_video
from avbench.synthetic import render_programme
from pipelines import engine, guard

SECONDS = 64
"""Length of a drawn programme: a whole number of packets of sound at 48 kHz."""
DRAWN = 4
RATE = 48_000


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("long-file"),
    show_default=True,
    help="Where the file and the sets go.",
)
@click.option("--minutes", default=18.2, show_default=True, help="About how long the file is.")
@click.option("--workers", default=[1, 4], multiple=True, show_default=True, help="Ray workers.")
@click.option("--units/--no-units", default=True, show_default=True, help="Time every unit.")
@click.option("--sync", default="record", show_default=True, help="As of build-shards.")
def main(folder: Path, minutes: float, workers: Sequence[int], units: bool, sync: str) -> None:
    """Measure how one long video spreads over workers.

    \b
    Examples:
      OMP_NUM_THREADS=1 python benchmarks/long_file.py
      python benchmarks/long_file.py --minutes 120 --workers 4 --no-units
      python benchmarks/long_file.py --no-units --workers 1 --workers 2 --workers 8
    """  # noqa: D301
    folder.mkdir(parents=True, exist_ok=True)
    count = max(round(minutes * 60 / SECONDS), 1)
    video = folder / f"{count}x{SECONDS}s.mp4"
    if not video.exists():
        drawn = [folder / f"{index}.mp4" for index in range(DRAWN)]
        for index, path in enumerate(drawn):
            if not path.exists():
                draw(path, index)
        follow(drawn, video, count)
    click.echo(f"{video}: {count * SECONDS / 60:.1f} min, {video.stat().st_size / 1e6:.0f} MB")
    sums: dict[str, str] = {}
    if units:
        sums["local"] = tell_units(video, folder / "local", sync)
    first: tuple[int, float] | None = None
    for number in workers:
        out = folder / f"ray-{number}"
        seen = run(video, out, number, sync)
        sums[out.name] = (out / "SHA256SUMS").read_text()
        words = f"{number} workers: {seen.clock:.0f} s by the clock"
        if first is not None:
            words += f" ({efficiency(first, number, seen.clock)})"
        first = first or (number, seen.clock)
        click.echo(
            f"{words}; they took {sum(seen.cpu.values()):.0f} s of the processor and at most "
            f"{max(seen.memory.values()):.2f} GiB each; load on {os.cpu_count()} cores "
            f"{seen.load[0]:.1f} before and {seen.load[1]:.1f} after"
        )
    end_with(sums)


def draw(path: Path, index: int) -> Path:
    """Draw one programme at 720p with sound at 48 kHz."""
    made = render_programme(index, pool="test", preset="easy-v1", seconds=SECONDS)

    def pictures() -> Iterator[UInt8Array]:
        for picture in made.pictures():
            yield np.asarray(cv2.resize(picture, (1280, 720)), np.uint8)

    audio = made.audio.repeat(RATE // 16_000)
    write_video(path, pictures(), audio, crf=26, audio_codec="aac", sample_rate=RATE)
    return path


def follow(parts: Sequence[Path], path: Path, count: int) -> Path:
    """Write the parts one after the other, over and over, without coding them anew."""
    with av.open(str(path), "w") as out:
        streams: dict[str, Stream] = {}
        for number in range(count):
            with av.open(str(parts[number % len(parts)])) as part:
                for packet in _shifted(part, number * SECONDS):
                    kind = packet.stream.type
                    if kind not in streams:
                        for stream in part.streams:
                            streams[stream.type] = out.add_stream_from_template(stream)
                    packet.stream = streams[kind]
                    out.mux(packet)
    return path


def _shifted(part: InputContainer, seconds: int) -> Iterator[Packet[Stream]]:
    """Yield the packets of a part as they are to be stamped so many seconds later."""
    for packet in part.demux():
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            continue
        time = packet.pts * packet.time_base
        if packet.stream.type == "audio" and not 0 <= time < SECONDS:
            continue  # what the coder adds at either end
        shift = int(Fraction(seconds) / packet.time_base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        yield packet


@dataclass
class Seen:
    """What was seen of the processes of a run."""

    clock: float = 0.0
    cpu: dict[int, float] = field(default_factory=dict)
    """Worker -> seconds of the processor."""
    memory: dict[int, float] = field(default_factory=dict)
    """Worker -> largest resident memory in GiB."""
    load: tuple[float, float] = (0.0, 0.0)


def run(video: Path, out: Path, workers: int, sync: str) -> Seen:
    """Build shards on Ray, and watch the workers."""
    token, seen, over = uuid.uuid4().hex, Seen(), threading.Event()
    command = ["build-shards", str(video), "--out", str(out), "--split", "test", "--sync", sync]
    before, begin = os.getloadavg()[0], time.perf_counter()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("avbench"), *command, "--workers", str(workers)],
        env={**os.environ, MARK: token},
    )

    def watch() -> None:
        while not over.wait(0.5):
            look(token, seen)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seen.clock = time.perf_counter() - begin
    over.set()
    watcher.join()
    seen.load = before, os.getloadavg()[0]
    if code:
        raise click.ClickException(f"build-shards ended with {code}")
    return seen


def look(token: str, seen: Seen) -> None:
    """Note time and memory of all workers of a run."""
    for folder, name, seconds in marked(token):
        if not name.startswith(b"ray::"):
            continue
        try:
            lines = (folder / "status").read_text().splitlines()
        except OSError:
            continue
        peak = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
        seen.cpu[int(folder.name)] = seconds
        seen.memory[int(folder.name)] = int(peak.split()[1]) / 2**20


def tell_units(video: Path, out: Path, sync: str) -> str:
    """Build shards in this process; tell when workers with a core each would end."""
    from pipelines.build import build

    rounds: list[list[float]] = []
    plain_map, plain_run = engine.LocalEngine.map, guard.guarded

    def every_map(self: Any, *arguments: Any) -> Any:
        rounds.append([])
        return plain_map(self, *arguments)

    def timed(*arguments: Any) -> Any:
        begin = time.process_time()
        result = plain_run(*arguments)
        rounds[-1].append(time.process_time() - begin)
        return result

    # Any: a benchmark may look where nobody else should.
    inside: Any = engine
    inside.LocalEngine.map, inside.guarded = every_map, timed
    begin = time.process_time()
    build([video], out, engine="local", split="test", sync=sync)
    whole = time.process_time() - begin
    inside.LocalEngine.map, inside.guarded = plain_map, plain_run
    rest = whole - sum(map(sum, rounds))
    for times in filter(None, rounds):
        click.echo(f"{len(times)} units: {sum(times):.1f} s, the longest {max(times):.1f} s")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    click.echo(f"besides {rest:.1f} s in the one process; at most {memory:.2f} GiB of memory")
    for number in (1, 2, 3, 4, 6, 12):
        ends = rest + sum(makespan(times, number) for times in rounds)
        click.echo(
            f"{number} workers with a core each would end after {ends:.1f} s of the processor: "
            f"efficiency {whole / number / ends:.2f}"
        )
    return (out / "SHA256SUMS").read_text()


def makespan(times: Sequence[float], workers: int) -> float:
    """Return when the last of units ends that workers take in turn.

    >>> makespan([3, 1, 1, 1], 2)
    3
    """
    free: list[float] = [0] * workers
    for each in times:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


if __name__ == "__main__":
    main()
