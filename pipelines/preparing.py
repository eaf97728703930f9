"""Preparing the clips of all videos for the shards; those of a long video on several workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .engine import Engine
from .pack import Distortion, prepare_unit, prepared_folder
from .phases import Phases, Work
from .scoring import groups_of
from .videos import Video


def prepare_videos(
    phases: Phases,
    engine: Engine,
    work: Path,
    videos: Sequence[Video],
    seed: int,
    distortion: Distortion,
) -> None:
    """Write the clips of all videos as they are to be stored, and account for their frames.

    Parameters
    ----------
    phases, engine
        How units run.
    work
        Where results go.
    videos
        Those that are open are prepared, and settled; who shares what changes no clip.
    seed, distortion
        Which fault each clip gets.
    """
    going = [video for video in videos if not video.row.status]
    jobs = [
        _work_of(work, video, keys, seed, distortion)
        for video in going
        for keys in groups_of(video.keys)
    ]
    shown = ("pack", "group") if len(jobs) > len(going) else None
    spans: dict[str, tuple[int, int]] = {}
    for _, receipt in phases.run(engine, "pack", prepare_unit, jobs, shown):
        spans |= receipt["spans"]
    for video in going:
        if not video.row.status:
            video.settle({key: spans[key] for key in video.keys})


def _work_of(
    work: Path, video: Video, keys: Sequence[str], seed: int, distortion: Distortion
) -> Work:
    """Return the job of preparing some clips of a video, and note where they will be."""
    payload = {
        "facetracks": str(video.facetracks),
        "keys": list(keys),
        "seed": seed,
        "distortion": asdict(distortion),
    }
    if moves := {key: move for key, move in video.corrections.items() if key in keys}:
        payload["corrections"] = moves
    parts = {**payload, "facetracks": video.facetracks.name}
    folder = prepared_folder(work, video.source.video_id, parts)
    video.prepared |= dict.fromkeys(keys, folder)
    return video, folder, payload
