"""Time the facetrack step against bare decoding of the same file, in one run on one core.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/facetrack_speed.py VIDEO

Without a video, a drawn head in a 720p room is rendered first: 6 Mbit/s as it stands, and a tenth
of that with ``--crf 32``, when there is little to decode and the ratio is at its worst. Times are
of the processor, so that what else runs on the machine counts little, and beside them by the
clock; each round times both, and the median ratio is told. With ``--whole`` each round times a
whole build of shards as well: facetracks, scores of sync, search for duplicates, packing.
"""

from __future__ import annotations

import cProfile
import pstats
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import click
import cv2
import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.media import probe, write_video
from avbench.synthetic import render_talking
from pipelines.build import build
from pipelines.faces import load_detector
from pipelines.facetracks import process_video
from pipelines.settings import FacetrackSettings

PARTS = {
    "decode": ("decode", "<method 'decode' of 'av.packet.Packet' objects>"),
    "shots": ("push", "histogram.py"),
    "detector": ("_look", "looking.py"),
    "flow": ("carry", "flow.py"),
    "parts of pictures": ("part", "picture.py"),
    "crops and encoding": ("write_held", "crops.py"),
    "crops, second pass": ("write_crops", "crops.py"),
    "sound": ("read", "crops.py"),
}
"""What is told of a profile -> a function's name and file; they may overlap."""


@click.command()
@click.argument("video", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--rounds", default=3, show_default=True)
@click.option("--crf", default=20, show_default=True, help="x264 quality of the drawn video.")
@click.option("--seconds", default=20.0, show_default=True, help="Length of the drawn video.")
@click.option("--whole", is_flag=True, help="Time a whole build of shards, too.")
@click.option("--profile", is_flag=True, help="Also say where the time goes.")
def main(
    video: Path | None, rounds: int, crf: int, seconds: float, whole: bool, profile: bool
) -> None:
    """Time the facetrack step against bare decoding of VIDEO."""
    cv2.setNumThreads(1)
    settings = FacetrackSettings()
    load_detector(settings.detector, settings.confidence, settings.detector_weights)
    with tempfile.TemporaryDirectory() as folder:
        if whole:  # What a process loads once counts no more than the detector does.
            build([draw(Path(folder) / "short.mp4", crf, 2.0)], Path(folder), engine="local")
        path = video or draw(Path(folder) / "head.mp4", crf, seconds)
        frames = probe(path).num_frames
        ratios: dict[str, list[FloatArray]] = {}
        for number in range(rounds):
            bare = timed(partial(decode, path))
            out = Path(folder) / str(number)
            out.mkdir()
            works: dict[str, Callable[[], object]] = {
                "facetracks": partial(process_video, path, "v", out)
            }
            if whole:
                works["whole build"] = partial(build, [path], out / "set", engine="local")
            for what, work in works.items():
                took = timed(work)
                ratios.setdefault(what, []).append(took / bare)
                for name, first, second in zip(("processor", "clock"), bare, took, strict=True):
                    click.echo(
                        f"{name:9} bare decode {first / frames * 1e3:5.2f} ms a frame, {what} "
                        f"{second / frames * 1e3:5.2f} ms: {second / first:.2f} times"
                    )
        rate = path.stat().st_size * 8 / (frames * 0.04) / 1e6
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        for what, found in ratios.items():
            processor, clock = np.median(found, axis=0)
            click.echo(
                f"{what}: median {processor:.2f} times by the processor, {clock:.2f} by the clock"
            )
        click.echo(f"at most {memory:.2f} GiB of memory, {rate:.2f} Mbit/s of video")
        if profile:
            out = Path(folder) / "profile"
            out.mkdir()
            tell(path, out)


def timed(work: Callable[[], object]) -> FloatArray:
    """Return the seconds of the processor, all threads, and of the clock that something takes."""
    begin = time.process_time(), time.perf_counter()
    work()
    return np.array([time.process_time() - begin[0], time.perf_counter() - begin[1]])


def decode(path: Path) -> None:
    """Decode all pictures to RGB with PyAV and nothing else."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for picture in container.decode(stream):
            picture.to_ndarray(format="rgb24", threads=1)


def tell(path: Path, out: Path) -> None:
    """Print the share of time that each part of the step takes."""
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(process_video, path, "v", out)
    stats = pstats.Stats(profiler)
    times = stats.stats  # type: ignore[attr-defined]
    whole = max(row[3] for row in times.values())
    for part, (name, file) in PARTS.items():
        spent = sum(
            row[3]
            for (where, _, function), row in times.items()
            if (function == name and where.endswith(file)) or function == file
        )
        click.echo(f"{part:20} {spent / whole:6.1%}")


def draw(path: Path, crf: int, seconds: float) -> Path:
    """Render a drawn head in the middle of a 720p picture of coloured clouds."""
    head = render_talking(0, pool="test", seconds=seconds)
    clouds = np.random.default_rng(0).uniform(20, 200, (18, 32, 3)).astype(np.float32)
    room = cv2.resize(clouds, (1280, 720), interpolation=cv2.INTER_CUBIC).clip(0, 255)

    def pictures() -> Iterator[UInt8Array]:
        for picture in head.pictures():
            image = room.astype(np.uint8)
            image[104:616, 384:896] = cv2.resize(picture, (512, 512))
            yield image

    write_video(path, pictures(), head.audio, crf=crf)
    return path


if __name__ == "__main__":
    main()
