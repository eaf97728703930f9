"""A video in, a repaired video out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avbench.aligning.whole import How
from avbench.data import JSON, FloatArray, IntArray, UInt8Array
from avbench.errors import DataError, UsageError
from avbench.media import MediaInfo, probe, read_audio, read_track
from avbench.media.retime import (
    Retimed,
    check_target,
    output_rate,
    retime,
    sound_blocks,
    sound_form,
)
from avbench.methods import Aligner
from avbench.metrics.alignment import Retiming
from avbench.metrics.alignment import retime as count_retiming
from avbench.repairing.faces import FaceRepair, align_face
from avbench.repairing.plan import Edit, Part, edits, join, output_times, sound_times
from avbench.repairing.vocoder import warp
from avbench.syncing.faces import find_faces
from avbench.timing import FPS, SAMPLES_PER_FRAME

Warp = Literal["picture", "sound"]
"""What is moved in time."""
GRADES = ("low", "fair", "good")
Watch = Callable[[Iterable[Any], str, int, str], Iterable[Any]]
"""Passes things on while showing what is done, how many of how many, and of what unit."""


@dataclass(frozen=True, eq=False)
class Repair:
    """What is to be done to a video, and how sure that is."""

    video: Path
    sound: Path
    """The file whose sound is used."""
    info: MediaInfo
    faces: tuple[FaceRepair, ...]
    """Every face that was looked at."""
    used: tuple[FaceRepair, ...]
    """Those that say what is done, in the order of time; none overlaps another."""
    notes: tuple[str, ...]
    """Why other faces were not looked at, one sentence each."""
    found: int
    """Faces in the video."""
    video_index: IntArray
    """Frame of picture of each frame of sound of the whole file; shape (A,)."""
    num_video: int
    """Frames of picture, 25 a second."""

    @property
    def grade(self) -> str:
        """``good``, ``fair`` or ``low``: that of the least sure of the faces that are used."""
        return min((face.surety.grade for face in self.used), key=GRADES.index)

    @property
    def drift(self) -> IntArray:
        """How far the picture is from the sound in frames; positive: the sound is early; (A,)."""
        return self.video_index - np.arange(len(self.video_index))

    @property
    def edits(self) -> list[Edit]:
        """The stretches of the output."""
        return edits(self.video_index)

    @property
    def retiming(self) -> Retiming:
        """What becomes of the pictures."""
        return count_retiming(self.video_index, self.num_video)


def plan_repair(
    video: Path,
    method: Aligner,
    how: How,
    *,
    audio: Path | None = None,
    face: int | None = None,
    limit: int | None = None,
    watch: Watch = lambda things, what, total, unit: things,
) -> Repair:
    """Find out how the pictures of a video are to be retimed to its sound.

    Parameters
    ----------
    video
        The file; it is only read.
    method, how
        As for `avbench.aligning.whole`.
    audio
        A file with other sound to align with, which begins with the first picture; the video's
        own where None.
    face
        Number of the one face to go by; the surest at every time where None.
    limit
        Look at so many faces only, those seen longest; None for all.
    watch
        Shows the progress.

    Raises
    ------
    DataError
        If a file cannot be read, or no face can be aligned.
    UsageError
        If there is no face of that number.
    """
    video = Path(video)
    heard = _sound(video, audio)
    with tempfile.TemporaryDirectory(prefix="avbench-align-") as folder:
        found = find_faces(video, Path(folder), limit)
        num_video = max(found.info.num_frames, *(_stop(s.info) for s in found.samples), 1)
        wanted = list(enumerate(found.samples, 1))
        if face is not None:
            wanted = [pair for pair in wanted if pair[0] == face]
        if found.samples and not wanted:
            raise UsageError(f"{video}: has no face {face}; it has {len(found.samples)}.")
        results = [
            (number, align_face(number, sample, video, heard, num_video, method, how))
            for number, sample in watch(wanted, "faces", len(wanted), "face")
        ]
    faces = tuple(result for _, result in results if isinstance(result, FaceRepair))
    notes = tuple(f"face {n}: {result}" for n, result in results if isinstance(result, str))
    if not faces:
        why = found.reason or "; ".join(notes)
        raise DataError(f"{video}: cannot be aligned: {why}.")
    used = choose(faces)
    length = len(heard) // SAMPLES_PER_FRAME
    parts = [Part(f.start, f.video_index) for f in used]
    index = join(parts, length, num_video)
    return Repair(
        video, audio or video, found.info, faces, used, notes, found.found, index, num_video
    )


def choose(faces: Iterable[FaceRepair]) -> tuple[FaceRepair, ...]:
    """Return the surest faces that do not overlap, in the order of time.

    Those of the best grade that there is only: a doubtful face must not spoil a sure one.
    """
    ordered = sorted(faces, key=lambda f: (-GRADES.index(f.surety.grade), -f.surety.confidence))
    best = [f for f in ordered if f.surety.grade == ordered[0].surety.grade]
    if ordered[0].surety.grade == "low":
        best = best[:1]
    used: list[FaceRepair] = []
    for face in best:
        if all(face.stop <= other.start or face.start >= other.stop for other in used):
            used.append(face)
    return tuple(sorted(used, key=lambda f: f.start))


def write_repair(
    repair: Repair,
    out: Path,
    *,
    moved: Warp = "picture",
    crf: int = 18,
    watch: Watch = lambda things, what, total, unit: things,
) -> Retimed:
    """Write a repaired video.

    Parameters
    ----------
    repair
        From `plan_repair`.
    out
        MP4, MOV or Matroska; it appears under its name only when it is whole.
    moved
        Whether pictures are shown at other times, or the sound is made faster and slower.
    crf
        Quality of x264, 0 (best) to 51.
    watch
        Shows the progress.
    """
    check_target(repair.video, out)
    fps, form = output_rate(repair.video), sound_form(repair.sound)
    blocks: Iterable[FloatArray] = sound_blocks(
        repair.sound, from_picture=repair.sound == repair.video
    )
    if moved == "picture":
        times = output_times(repair.video_index, fps)
    else:
        times = output_times(np.arange(repair.num_video), fps)
        heard = sound_times(repair.video_index, repair.num_video)
        blocks = [warp(np.concatenate(list(blocks), axis=1), form.rate, heard, FPS)]

    def show(pictures: Iterator[UInt8Array], total: int) -> Iterable[UInt8Array]:
        return watch(pictures, out.name, total, "frame")

    return retime(
        repair.video,
        out,
        times,
        fps,
        blocks,
        form,
        crf=crf,
        watch=show,
    )


def _sound(video: Path, audio: Path | None) -> FloatArray:
    """Return the sound to align with, as long as the picture where it is the video's own."""
    if audio is None:
        info = probe(video)
        if info.audio_codec is None:
            raise DataError(f"{video}: has no sound that can be decoded; name some with --audio.")
        return read_audio(video, max(info.num_frames, 1))
    heard = read_track(audio)
    return np.pad(heard, (0, -len(heard) % SAMPLES_PER_FRAME))


def _stop(info: Mapping[str, JSON]) -> int:
    track = info["facetrack"]
    return int(track["start"]) + len(track["boxes"])
