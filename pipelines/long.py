"""Long videos on several workers: plan, sound and places, parts, and what they add up to.

A long video goes through four rounds of units instead of one (`pipelines.parts`,
`pipelines.joining`). Every round waits for the one before, and begins with what is done already.
Where a part fails, the video fails with its reason; what the others found stays for the next run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from avbench.data import JSON
from avbench.timing import FPS

from . import units
from .engine import Engine
from .guard import Function
from .joining import join_unit, remove_parts
from .parts import CHECKED, first_unit, part_folder, part_unit
from .phases import Phases, Work
from .settings import FacetrackSettings
from .units import Process
from .videos import Video


class _Long(NamedTuple):
    """One long video and what is known of it."""

    video: Video
    folder: Path
    """Where its facetracks go."""
    payload: Mapping[str, JSON]
    """Of its facetrack unit."""
    frames: int
    seams: Sequence[int]

    def work(self, kind: str, number: int | None, frames: int, **more: JSON) -> Work:
        """Return the job of one unit that looks at so many frames."""
        seconds = frames / FPS
        target = part_folder(self.payload["parts"], kind, number)
        return self.video, target, {**self.payload, **more, "seconds": seconds}

    def first(self, settings: FacetrackSettings) -> list[Work]:
        """Return the jobs that need nothing: the sound, which takes longest, and the places."""
        look = settings.longest_shot
        places = [
            self.work("seam", number, look, seam=seam) for number, seam in enumerate(self.seams, 1)
        ]
        return [self.work("sound", None, self.frames, seam=None), *places]

    def parts(self) -> list[Work]:
        """Return the jobs of its parts; none where a unit before found the video unfit."""
        name = self.payload["parts"]
        places = [part_folder(name, "seam", number + 1) for number in range(len(self.seams))]
        found = [units.read_receipt(f) or {} for f in [part_folder(name, "sound"), *places]]
        if any("unfit" in receipt for receipt in found):
            return []
        starts = [0, *(receipt["frame"] for receipt in found[1:]), None]
        sound = str(part_folder(name, "sound"))
        return [
            self.work(
                "part",
                number,
                (self.frames if stop is None else stop + CHECKED) - (start or 0),
                start=start,
                stop=stop,
                sound=sound,
            )
            for number, (start, stop) in enumerate(pairwise(starts))
        ]


def share(
    phases: Phases,
    engine: Engine,
    process: Process,
    settings: FacetrackSettings,
    jobs: Sequence[Work],
    then: Function | None = None,
) -> list[tuple[Video, Mapping[str, JSON]]]:
    """Run those facetrack jobs for which there is a plan; return their receipts.

    Parameters
    ----------
    phases, engine
        How units run.
    process, settings
        The facetrack step, for a video that turns out to be unfit for parts.
    jobs
        Those of all videos, after `pipelines.parts.plan_unit`.
    then
        What workers run that wait for the last parts: it may load what comes next.
    """
    longs = []
    for video, folder, payload in jobs:
        plan = units.read_receipt(part_folder(payload["parts"], "plan"))
        if plan is not None and not video.row.status:
            longs.append(_Long(video, folder, payload, plan["frames"], plan["seams"]))

    def going() -> list[_Long]:
        undone = (long for long in longs if units.read_receipt(long.folder) is None)
        return [long for long in undone if not long.video.row.status]

    first = [work for long in going() for work in long.first(settings)]
    phases.run(engine, "facetracks", partial(first_unit, settings), first, ("seams", "seam"))
    parts = [work for long in going() for work in long.parts()]
    take = partial(part_unit, settings)
    phases.run(engine, "facetracks", take, parts, ("parts", "part"), then)
    joined: list[Work] = [
        (long.video, long.folder, {**long.payload, "seams": list(long.seams)})
        for long in longs
        if not long.video.row.status
    ]
    function = partial(join_unit, process, settings)
    done = phases.run(engine, "facetracks", function, joined, ("join", "video"))
    for long in longs:
        if units.read_receipt(long.folder) is not None:
            remove_parts(long.payload["parts"])
    return done
