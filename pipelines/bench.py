"""How right and how fast the pipeline is on this machine: planted truth, and floors beside it.

Programmes with planted cuts, dissolves, faces, voices and offsets are made on the spot, and every
step runs on them as in a build. Speed is that of one worker by the clock; beside each step stands
what bare decoding of the same files costs in the same run, since nothing that looks at every
picture can be faster. That ratio is one of processor time, which other programs hardly change.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import avbench
from avbench import media, progress
from avbench.data import JSON
from avbench.errors import UsageError
from avbench.synthetic import render_programme
from avbench.synthetic.truth import Truth
from avbench.timing import FPS, SAMPLES_PER_FRAME

from . import pack, planted, prints, sync
from .engine import available_cpus
from .faces import load_detector
from .facetracks import process_video
from .options import override
from .planted import OffsetTally, ShotTally, TrackTally
from .settings import FacetrackSettings
from .shots import open_finder

OFFSETS = (0, 3, -5, 8, -2, 6)
"""Planted in the programmes in turn, in frames."""
POOL = "test"


@dataclass
class Timer:
    """Seconds that a step took, and the frames it was about."""

    seconds: float = 0.0
    """By the clock."""
    busy_s: float = 0.0
    """Of the processor, all threads of this process together."""
    frames: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time until the end of the block."""
        started, worked = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started
            self.busy_s += time.process_time() - worked

    def as_json(self, floor: Timer) -> dict[str, JSON]:
        """Return seconds, rates, and the time a frame takes in units of the floor's."""
        spent = {"frames": self.frames, "seconds": round(self.seconds, 3)}
        if not self.frames or not self.seconds:
            return spent
        fps = self.frames / self.seconds
        least = floor.busy_s / floor.frames
        return {
            **spent,
            "processor_s": round(self.busy_s, 3),
            "frames_per_s": round(fps, 1),
            "real_time": round(fps / FPS, 2),
            "floors": round(self.busy_s / self.frames / least, 2) if least else None,
        }


STEPS = {
    "decode": "bare decoding: the floor",
    "shots": "shots, with pictures at hand",
    "faces": "one look for faces, with a picture at hand",
    "facetracks": "whole facetrack step, decoding and crops included",
    "sync": "offset and confidence of the clips",
    "prints": "fingerprints of the clips",
    "pack": "clips with a synthetic offset",
}
"""Step -> what is timed; a frame is one that the step was given."""


@dataclass
class Bench:
    """What was measured so far."""

    settings: FacetrackSettings
    timers: dict[str, Timer] = field(default_factory=lambda: {name: Timer() for name in STEPS})
    shots: dict[int, ShotTally] = field(default_factory=lambda: {0: ShotTally(), 1: ShotTally()})
    """By tolerance in frames."""
    tracks: TrackTally = field(default_factory=TrackTally)
    offsets: OffsetTally = field(default_factory=OffsetTally)
    scores: list[tuple[planted.Owner | None, Mapping[str, JSON]]] = field(default_factory=list)

    def video(self, path: Path, truth: Truth | None, folder: Path) -> None:
        """Run every step on one video, and hold it against its truth where that is known."""
        self._pictures(path)
        tracks = folder / "tracks"
        tracks.mkdir(parents=True)
        with self._timed("facetracks") as timer:
            report = process_video(path, "bench", tracks, self.settings).as_json()
        timer.frames += report["num_frames"]
        keys = sorted(track["key"] for track in report["tracks"])
        shown = sum(track["stop"] - track["start"] for track in report["tracks"])
        common = {"facetracks": str(tracks), "keys": keys}
        fault = {"kind": "global", "max_offset": 15, "law": "symmetric"}
        units: dict[str, tuple[Callable[[Mapping[str, JSON]], JSON], dict[str, Any]]] = {
            "sync": (sync.score_unit, {"checkpoint": None}),
            "prints": (prints.print_unit, {}),
            "pack": (pack.prepare_unit, {"seed": 0, "distortion": fault}),
        }
        for name, (unit, more) in units.items():
            if keys:
                with self._timed(name) as timer:
                    unit({**common, **more, "folder": str(folder / name)})
                timer.frames += shown
        if truth is not None:
            self._judge(report, truth, tracks, folder / "sync")

    @contextmanager
    def _timed(self, name: str) -> Iterator[Timer]:
        with self.timers[name].running():
            yield self.timers[name]

    def _pictures(self, path: Path) -> None:
        """Time decoding, shots and faces apart, holding one picture at a time."""
        chosen = self.settings
        detector = load_detector(chosen.detector, chosen.confidence, chosen.detector_weights)
        finder = open_finder(chosen.shot_detector, chosen.shots, chosen.scenes)
        decode, shots, faces = (self.timers[name] for name in ("decode", "shots", "faces"))
        with decode.running():
            decode.frames += sum(1 for _ in media.iter_frames(path))
        for frame in media.iter_frames(path):
            with shots.running():
                finder.push(frame.whole.sampled(finder.side) if finder.side else frame.image)
            shots.frames += 1
            if frame.index % chosen.detect_every == 0:
                with faces.running():
                    detector(frame.image)
                faces.frames += 1

    def _judge(self, report: Mapping[str, JSON], truth: Truth, tracks: Path, scored: Path) -> None:
        for tolerance in self.shots:
            self.shots[tolerance] += planted.tally_shots(report, truth, tolerance)
        facts = {
            track["key"]: json.loads((tracks / f"{track['key']}.json").read_text("utf-8"))
            for track in report["tracks"]
        }
        spans = {key: (fact["start"], np.array(fact["boxes"])) for key, fact in facts.items()}
        self.tracks += planted.tally_tracks(spans.values(), truth, self.settings.min_track)
        if spans:
            receipt = json.loads((scored / "receipt.json").read_text("utf-8"))
            for key, score in receipt["scores"].items():
                self.scores.append((planted.owner_of(*spans[key], truth)[0], score))

    def settle(self) -> None:
        """Judge the offsets of all tracks by what their wrong pairs say."""
        calibration = sync.calibrate([score for _, score in self.scores])
        rules = sync.SyncSettings("filter", max_offset=sync.SEARCH)
        for owner, score in self.scores:
            judged = sync.judge(score, calibration, rules)
            believed = not sync.decide(judged, rules)
            self.offsets += planted.tally_offset(owner, judged.get("offset"), believed)


@dataclass(frozen=True)
class BenchReport:
    """What a machine can do, and how right it is."""

    machine: Mapping[str, JSON]
    material: Mapping[str, JSON]
    accuracy: Mapping[str, JSON]
    speed: Mapping[str, Mapping[str, JSON]]

    def as_json(self) -> dict[str, JSON]:
        """Return everything as one JSON object."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield the card as lines of text."""
        told, of = self.accuracy, self.material
        yield (
            f"{of['programmes']} made programmes of {of['seconds']:g} s, {of['videos']} other "
            f"videos; one worker on {self.machine['processor']}, {self.machine['cpus']} CPUs"
        )
        if self.machine["load"] > self.machine["cpus"]:
            load = self.machine["load"]
            yield f"the machine is busy (load {load:g}): rates by the clock are too low"
        if told:
            shots, tracks, offsets = told["shots"], told["tracks"], told["offsets"]
            yield ""
            yield (
                f"shots: F1 {shots['f1']:.3f} within one frame, {shots['f1_exact']:.3f} exactly "
                f"({shots['planted']} planted, {shots['found']} found)"
            )
            yield (
                f"tracks: purity {tracks['purity']:.3f}, coverage {tracks['coverage']:.3f}, IoU "
                f"{tracks['iou']:.3f} ({tracks['tracks']} tracks of {tracks['faces']} faces, "
                "outside planted dissolves)"
            )
            yield (
                f"offsets: {offsets['within_one']:.3f} within one frame, mean error "
                f"{offsets['mean_error_ms']:.0f} ms ({offsets['tracks']} tracks that are heard); "
                f"{offsets['refused']} of {offsets['foreign']} unheard mouths refused"
            )
        yield ""
        yield f"{'step':<11} {'frames/s':>9} {'x real time':>12} {'x decoding':>11}"
        for name, row in self.speed.items():
            cells = (row.get(key) for key in ("frames_per_s", "real_time", "floors"))
            numbers = ("-" if cell is None else f"{cell:,.2f}" for cell in cells)
            first, second, third = numbers
            yield f"{name:<11} {first:>9} {second:>12} {third:>11}  {STEPS[name]}"


def bench(
    videos: Sequence[Path] = (),
    *,
    programmes: int = 4,
    seconds: float = 20.0,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
) -> BenchReport:
    """Measure accuracy on made programmes, and speed on them and on other videos.

    Parameters
    ----------
    videos
        Files of the user's own; for speed alone, since nothing is known of them.
    programmes, seconds
        How many are made, and how long.
    seed
        Of the programmes.
    settings
        Thresholds of the facetrack step by dotted name.

    Raises
    ------
    UsageError
        If there is nothing to measure on, or a file is missing.
    """
    if programmes < 0 or not (programmes or videos):
        raise UsageError("nothing to measure on; make at least one programme or name a video")
    for path in videos:
        if not Path(path).is_file():
            raise UsageError(f"{path} is no file; name videos, or none")
    held = Bench(override(FacetrackSettings(), settings or {}))
    jobs: list[Path | int] = [*range(programmes), *map(Path, videos)]
    with tempfile.TemporaryDirectory(prefix="avbench-bench-") as place:
        for number, job in enumerate(progress.track(jobs, "bench", len(jobs), "video")):
            folder = Path(place) / str(number)
            folder.mkdir()
            if isinstance(job, int):
                path, truth = _make(job, folder, seconds, seed)
                held.video(path, truth, folder)
            else:
                held.video(job, None, folder)
    held.settle()
    return _report(held, programmes, seconds, len(videos))


def _make(index: int, folder: Path, seconds: float, seed: int) -> tuple[Path, Truth]:
    offset = OFFSETS[index % len(OFFSETS)]
    made = render_programme(index, seed=seed, pool=POOL, seconds=seconds, offset=offset)
    path = folder / "programme.mp4"
    media.write_video(path, made.pictures(), made.audio)
    assert len(made.audio) == len(made) * SAMPLES_PER_FRAME
    return path, made.truth


def _report(held: Bench, programmes: int, seconds: float, videos: int) -> BenchReport:
    shots, tracks, offsets = held.shots[1], held.tracks, held.offsets
    accuracy: dict[str, JSON] = {}
    if programmes:
        accuracy = {
            "shots": {"f1": shots.f1, "f1_exact": held.shots[0].f1, **asdict(shots)},
            "tracks": {
                "purity": tracks.purity,
                "coverage": tracks.coverage,
                "iou": tracks.mean_iou,
                **asdict(tracks),
            },
            "offsets": {
                "within_one": offsets.accuracy,
                "mean_error_ms": offsets.mean_error_ms,
                **asdict(offsets),
            },
        }
    floor = held.timers["decode"]
    return BenchReport(
        machine={
            "processor": platform.processor() or platform.machine(),
            "cpus": available_cpus(),
            "load": round(os.getloadavg()[0], 1),
            "avbench": avbench.__version__,
            **media.decoder_versions(),
        },
        material={"programmes": programmes, "seconds": seconds, "videos": videos},
        accuracy=accuracy,
        speed={name: timer.as_json(floor) for name, timer in held.timers.items()},
    )
