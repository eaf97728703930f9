"""A video file in, a report on its sound out."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from avbench.data import JSON
from avbench.errors import DataError, UsageError
from avbench.methods import EmbeddingMethod
from avbench.shards import Sample, decode_sample
from avbench.similarity import similarity_matrix
from avbench.syncing.faces import find_faces
from avbench.syncing.reading import Reading, least_rows, read_offset
from avbench.syncing.verdict import Verdict, decide, noticed
from avbench.timing import FPS, describe_offset, offset_to_ms

WINDOW = 3 * FPS
"""Frames of the parts that show how the offset goes on, if not constant."""
ROW_FRAMES = 5
"""Frames that one row of an embedding sees."""
T = TypeVar("T")
Watch = Callable[[Iterable[T], int], Iterable[T]]
"""Passes the faces on while showing how many are done of how many."""


@dataclass(frozen=True)
class Part:
    """A few seconds of a face."""

    start_s: float
    stop_s: float
    reading: Reading | None


@dataclass(frozen=True)
class FaceReport:
    """One face through one shot."""

    number: int
    """From 1, in the order of appearance."""
    start_s: float
    stop_s: float
    """Seconds from the first picture."""
    centre: tuple[float, float]
    """Median x and y of the face in pixels of the source."""
    height: float
    """Median height of the face in pixels."""
    reading: Reading | None
    note: str
    """Why there is no reading; empty where there is one."""
    parts: tuple[Part, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is seen."""
        return self.stop_s - self.start_s


@dataclass(frozen=True)
class VideoReport:
    """What was measured of one file."""

    path: Path
    seconds: float
    verdict: Verdict
    faces: tuple[FaceReport, ...]
    found: int
    """Faces in the file, measured or not."""

    def as_json(self) -> dict[str, JSON]:
        """Return everything as a JSON object."""
        verdict = self.verdict
        return {
            "file": str(self.path),
            "seconds": round(self.seconds, 3),
            **_offset_json(verdict.offset),
            "confidence": verdict.grade,
            "p_value": _known(verdict.p_value),
            "agreement": _known(verdict.agreement),
            "words": verdict.words,
            "reason": verdict.reason,
            "faces_found": self.found,
            "faces": [_face_json(face) for face in self.faces],
        }


def measure(
    video: Path,
    method: EmbeddingMethod,
    *,
    search: int = 15,
    limit: int | None = None,
    watch: Watch[Sample] = lambda samples, total: samples,
) -> VideoReport:
    """Measure how early or late the sound of a video is, face by face.

    Parameters
    ----------
    video
        The file; it is only read.
    method
        Whose embeddings are compared.
    search
        Largest offset tried, in 25 fps frames.
    limit
        Look at so many faces only, those seen longest; None for all.
    watch
        Shows the progress over faces.

    Raises
    ------
    DataError
        If the file is no video that can be read, or has no sound.
    UsageError
        If ``search`` is below 1.
    """
    if search < 1:
        raise UsageError(f"got search {search}, expected at least 1 frame")
    with tempfile.TemporaryDirectory(prefix="avbench-sync-") as folder:
        found = find_faces(Path(video), Path(folder), limit)
        faces = tuple(
            _face(number, sample, method, search)
            for number, sample in enumerate(watch(found.samples, len(found.samples)), 1)
        )
    readings = [(face.reading, face.seconds) for face in faces if face.reading]
    verdict = decide(readings)
    if not readings:
        reason = found.reason or next(iter({face.note for face in faces}))
        verdict = Verdict(None, "low", None, None, reason)
    return VideoReport(Path(video), found.info.duration_s, verdict, faces, found.found)


def _face(number: int, sample: Sample, method: EmbeddingMethod, search: int) -> FaceReport:
    track = sample.info["facetrack"]
    boxes = np.asarray(track["boxes"], np.float64)
    middle = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0)
    start, stop = int(track["start"]), int(track["start"]) + len(sample.alignment)
    reading, note, parts = _read(sample, method, search, start)
    return FaceReport(
        number=number,
        start_s=start / FPS,
        stop_s=stop / FPS,
        centre=(float(middle[0]), float(middle[1])),
        height=float(track["face"]),
        reading=reading,
        note=note,
        parts=parts,
    )


def _read(
    sample: Sample, method: EmbeddingMethod, search: int, start: int
) -> tuple[Reading | None, str, tuple[Part, ...]]:
    """Return the reading of a face, why there is none, and those of its parts."""
    frames, least = len(sample.alignment), least_rows(search) + ROW_FRAMES - 1
    if frames < least:
        return (
            None,
            (
                f"a face is seen for {frames / FPS:.1f} s on end only; with --search {search} it "
                f"takes {least / FPS:.1f} s"
            ),
            (),
        )
    clip = decode_sample(sample)
    if not np.any(clip.audio):
        return None, "its sound is silent while a face is seen", ()
    try:
        rows = method.embed(clip.without_truth())
    except ValueError as error:
        raise DataError(f"{method.name} cannot embed a face of it: {error}") from error
    similarity = similarity_matrix(rows.audio, rows.video)
    if not np.isfinite(similarity).all():
        return None, f"{method.name} sees nothing in the face", ()
    reading = read_offset(similarity, search)
    if reading is None:
        return None, "nothing changes in the sound or in the face", ()
    parts = tuple(
        Part((start + a) / FPS, (start + b) / FPS, read_offset(similarity, search, a, b - 4))
        for a, b in _spans(frames)
    )
    return reading, "", parts


def _spans(frames: int) -> list[tuple[int, int]]:
    """Divide a face into parts of about `WINDOW` frames; none where it is hardly longer."""
    count = round(frames / WINDOW)
    edges = np.linspace(0, frames, count + 1).round().astype(int).tolist() if count > 1 else []
    return list(pairwise(edges))


def _face_json(face: FaceReport) -> dict[str, JSON]:
    return {
        "face": face.number,
        "start_s": face.start_s,
        "stop_s": face.stop_s,
        "centre": [round(value, 1) for value in face.centre],
        "height": round(face.height, 1),
        "note": face.note,
        **_reading_json(face.reading),
        "curve": None if face.reading is None else [_known(v) for v in face.reading.curve],
        "over_time": [
            {"start_s": part.start_s, "stop_s": part.stop_s, **_reading_json(part.reading)}
            for part in face.parts
        ],
    }


def _reading_json(reading: Reading | None) -> dict[str, JSON]:
    if reading is None:
        return _offset_json(None) | {"confidence": None, "p_value": None, "grade": None}
    return {
        **_offset_json(reading.offset),
        "confidence": _known(reading.confidence),
        "p_value": _known(reading.p_value),
        "sharpness": _known(reading.sharpness),
        "at_edge": reading.at_edge,
        "grade": reading.grade,
    }


def _offset_json(offset: int | None) -> dict[str, JSON]:
    if offset is None:
        return {"offset": None, "offset_ms": None, "offset_words": None, "viewer": None}
    return {
        "offset": offset,
        "offset_ms": offset_to_ms(offset),
        "offset_words": describe_offset(offset),
        "viewer": noticed(offset),
    }


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
