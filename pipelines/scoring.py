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
"""About so many clips are one unit's. Those of a video of less than six times as many stay
together, others are divided among a multiple of `TOGETHER`."""


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
    groups = groups_of(payload["keys"])
    return [
        (video, folder.with_name(f"{folder.name}-{number:03d}"), {**payload, "only": keys})
        for number, keys in enumerate(groups if len(groups) > 1 else [])
    ]


def groups_of(keys: Sequence[str]) -> list[list[str]]:
    """Return the clips of one video as groups for one unit each, in their order.

    >>> [len(group) for group in groups_of(["clip"] * 239)]
    [239]
    >>> {len(group) for group in groups_of(["clip"] * 480)}
    {40}
    """
    count = TOGETHER * round(len(keys) / (TOGETHER * GROUP)) or 1
    edges = [len(keys) * number // count for number in range(count + 1)]
    return [list(keys[a:b]) for a, b in pairwise(edges)]
