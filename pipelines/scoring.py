"""Scoring the clips of all videos; those of a video with many are shared by several workers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise

from avbench.data import JSON

from . import units
from .engine import Engine
from .phases import Phases, Work
from .stretches import TOGETHER
from .sync import score_unit
from .units import publish, staging
from .videos import Video

GROUP = 40
"""About so many clips are scored by one unit. A video of less than six times as many is scored by
one, others by a multiple of `TOGETHER`."""


def score_videos(
    phases: Phases, engine: Engine, jobs: Sequence[Work]
) -> list[tuple[Video, Mapping[str, JSON]]]:
    """Run the scoring of videos as `Phases.run` does; who shares what changes nothing.

    Parameters
    ----------
    phases, engine
        How units run.
    jobs
        One for each video, with a payload as for `pipelines.sync.score_unit`.
    """
    undone = [job for job in jobs if units.read_receipt(job[1]) is None]
    divided = [(job, divide(job)) for job in undone]
    shared = [(job, of_job) for job, of_job in divided if of_job]
    if shared:
        groups = [group for job, of_job in divided for group in of_job or [job]]
        phases.run(engine, "sync", score_unit, groups, ("sync", "group"))
    for (video, folder, _), of_job in shared:
        if not video.row.status:
            receipts = [units.read_receipt(group) or {} for _, group, _ in of_job]
            with staging(folder) as part:
                scores = {key: score for r in receipts for key, score in r["scores"].items()}
                publish(part, folder, {"scores": scores})
        if units.read_receipt(folder) is not None:
            for _, group, _ in of_job:
                shutil.rmtree(group, ignore_errors=True)
    return phases.run(engine, "sync", score_unit, [j for j in jobs if not j[0].row.status])


def divide(job: Work) -> list[Work]:
    """Return the jobs that together score the clips of one video; none where it is not shared."""
    video, folder, payload = job
    keys: list[str] = payload["keys"]
    count = TOGETHER * round(len(keys) / (TOGETHER * GROUP))
    edges = [len(keys) * number // count for number in range(count + 1)] if count else []
    return [
        (video, folder.with_name(f"{folder.name}-{n:03d}"), {**payload, "only": keys[a:b]})
        for n, (a, b) in enumerate(pairwise(edges))
    ]
