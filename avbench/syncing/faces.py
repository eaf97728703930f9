"""The faces of a video, cut out by the installed pipeline."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avbench import media, plugins
from avbench.errors import DataError
from avbench.shards import Sample, open_set

PIPELINE = "facetracks"
_WHY = {
    "no-face": "no face was found in it",
    "no-sound": "nothing is heard while a face is seen",
    "still-picture": "its faces are photographs that do not move",
    "face-too-small": "its faces are too small",
    "too-few-detections": "no face is seen steadily enough",
    "track-too-short": "no face is seen for a second on end",
    "grey-picture": "its pictures are grey instead of what was filmed",
    "shot-too-short": "its shots are shorter than a second",
    "transition": "no face is seen for a second on end",
}
"""Why frames gave no face, by the name that the pipeline counts them under."""


@dataclass(frozen=True, eq=False)
class Faces:
    """What was found in one video."""

    info: media.MediaInfo
    samples: tuple[Sample, ...]
    """One face through one shot each, encoded, in the order in which they appear."""
    found: int
    """How many there are; more than ``samples`` where only the longest were wanted."""
    reason: str
    """Why there are none; empty where there are some."""


def find_faces(video: Path, folder: Path, limit: int | None = None) -> Faces:
    """Cut the faces out of a video.

    Parameters
    ----------
    video
        The file; it is only read.
    folder
        An empty folder for what the pipeline writes.
    limit
        Keep only so many, the longest; None for all.

    Raises
    ------
    DataError
        If the file is no video that can be read, or has no sound.
    """
    info = media.probe(video)
    if info.audio_codec is None:
        raise DataError(f"{video}: has no sound that can be decoded; add its sound.")
    build: Callable[..., Any] = plugins.load(plugins.PIPELINES, PIPELINE)
    options = {"dataset": "sync", "split": "test", "sync": "off", "engine": "local"}
    with redirect_stderr(io.StringIO()):  # its bars count videos, and there is only this one
        report = build([video], folder, **options)
    if not report.rows:
        raise DataError(f"{video}: is no kind of file that the pipeline knows; convert it to MP4.")
    row = report.rows[0]
    if row.status == "failed" or (row.status == "rejected" and not row.frames):
        raise DataError(f"{video}: could not be searched for faces: {row.reason}")
    if not report.shards:
        return Faces(info, (), 0, _reason(row.rejected_frames))
    samples = list(open_set(folder).samples("test"))
    longest = sorted(samples, key=lambda sample: -len(sample.alignment))[:limit]
    kept = sorted(longest, key=lambda s: (s.info["facetrack"]["start"], s.key))
    return Faces(info, tuple(kept), len(samples), "")


def _reason(frames: Mapping[str, int]) -> str:
    """Say why no frame gave a face, by what most frames are counted under."""
    counts: Counter[str] = Counter()
    for name, count in frames.items():
        counts[name.rpartition(": ")[2]] += count
    name = counts.most_common(1)[0][0] if counts else "no-face"
    return _WHY.get(name, name)
