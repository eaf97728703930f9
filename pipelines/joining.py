"""What the parts of a long video add up to: one report, and one row of keys.

A shot that is divided by a seam keeps one number, and its tracks go on counting; everything else
moves by the frames and shots before its part. Pictures and sound of the clips stay as they are.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from avbench import media
from avbench.data import JSON
from avbench.media.packets import Damage

from . import files, units
from .parts import part_folder
from .settings import FacetrackSettings
from .spoilt import sentences
from .units import Process, publish, staging

Report = Mapping[str, JSON]
"""See `pipelines.facetracks.UnitReport`."""


class Begin(NamedTuple):
    """Where a part begins, counted in the whole."""

    frame: int
    shot: int
    track: int
    """Number of the first track of its first shot: not 0 where that shot began in another part."""


@dataclass(frozen=True)
class Parts:
    """The parts of one video, all of them done."""

    folders: Sequence[Path]
    starts: Sequence[int]
    """First frame of each."""
    cuts: Sequence[bool]
    """Whether a shot begins with it."""
    receipts: Sequence[Mapping[str, JSON]]

    @property
    def reports(self) -> list[Report]:
        """What came of each."""
        return [receipt["report"] for receipt in self.receipts]

    def objection(self) -> str:
        """Say why these are not what one pass over the video would have read; empty if they are."""
        for receipt in self.receipts:
            if "unfit" in receipt:
                return str(receipt["unfit"])
        ends = zip(pairwise(self.starts), pairwise(self.receipts), strict=True)
        for (start, stop), (one, two) in ends:
            if one["report"]["num_frames"] != stop - start:
                return f"frames [{start}, {stop}) did not all come"
            if one["next"] != two["first"]:
                return f"decoding that begins before frame {stop} gives other pictures"
        return ""

    def begins(self) -> list[Begin]:
        """Return where each part begins."""
        found: list[Begin] = []
        shots = tracks = 0
        past: Report | None = None
        for start, cut, report in zip(self.starts, self.cuts, self.reports, strict=True):
            goes_on = not cut and past is not None and _touch(past, report)
            begin = Begin(start, shots - goes_on, tracks if goes_on else 0)
            found.append(begin)
            last = len(report["shots"]) - 1
            numbers = [track["track"] for track in report["tracks"] if track["shot"] == last]
            tracks = max(numbers, default=-1) + 1 + (begin.track if last == 0 else 0)
            shots, past = begin.shot + len(report["shots"]), report
        return found

    def sentences(self) -> list[str]:
        """Return one sentence per kind of damage met in the pictures."""
        met = [Damage(**receipt["damage"]) for receipt in self.receipts]
        names = [field.name for field in fields(Damage) if field.name != "notes"]
        counts = {name: sum(getattr(damage, name) for damage in met) for name in names}
        notes = [note for damage in met for note in damage.notes]
        return Damage(**counts, notes=notes).sentences()


def _touch(past: Report, report: Report) -> bool:
    """Return whether the last shot of one part goes on to its end, and the next begins with one."""
    ends = past["shots"] and past["shots"][-1][1] == past["num_frames"]
    return bool(ends and report["shots"] and report["shots"][0][0] == 0)


def add_up(reports: Sequence[Report], begins: Sequence[Begin], warnings: Sequence[str]) -> Report:
    """Return the report of a whole video."""
    shots: list[list[int]] = []
    for report, begin in zip(reports, begins, strict=True):
        own = [[a + begin.frame, b + begin.frame] for a, b in report["shots"]]
        if begin.shot < len(shots):
            own[0][0] = shots.pop()[0]
        shots += own
    pairs = list(zip(reports, begins, strict=True))
    return {
        **reports[0],
        "num_frames": sum(report["num_frames"] for report in reports),
        "shots": shots,
        "transitions": [[a + b.frame, c + b.frame] for r, b in pairs for a, c in r["transitions"]],
        "tracks": [{**t, **moved(t, b)} for r, b in pairs for t in r["tracks"]],
        "rejected": [{**t, **moved(t, b)} for r, b in pairs for t in r["rejected"]],
        "spoilt": spoilt_of(reports, begins),
        "frames": {name: sum(r["frames"][name] for r in reports) for name in reports[0]["frames"]},
        "warnings": list(warnings),
    }


def spoilt_of(reports: Sequence[Report], begins: Sequence[Begin]) -> list[dict[str, JSON]]:
    """Return the spoilt stretches of a whole video; those that touch at a seam become one."""
    found: list[dict[str, JSON]] = []
    last: dict[str, dict[str, JSON]] = {}
    for report, begin in zip(reports, begins, strict=True):
        for span in report["spoilt"]:
            kind = span["kind"]
            start, stop = (span[end] + begin.frame for end in ("start", "stop"))
            if kind in last and last[kind]["stop"] == start:
                last[kind]["stop"] = stop
                continue
            last[kind] = {"kind": kind, "start": start, "stop": stop}
            found.append(last[kind])
    return found


def moved(track: Mapping[str, JSON], begin: Begin) -> dict[str, JSON]:
    """Return what changes in the facts of a track, or of one that was refused.

    >>> facts = {"key": "v-0000-01", "shot": 0, "track": 1, "start": 5, "stop": 40}
    >>> moved(facts, Begin(1000, 7, 2))
    {'shot': 7, 'start': 1005, 'stop': 1040, 'track': 3, 'key': 'v-0007-03'}
    """
    start, stop, shot = track["start"] + begin.frame, track["stop"] + begin.frame, track["shot"]
    facts: dict[str, JSON] = {"shot": shot + begin.shot, "start": start, "stop": stop}
    if "key" in track:
        number = track["track"] + (begin.track if shot == 0 else 0)
        video = track["key"].rsplit("-", 2)[0]
        facts |= {"track": number, "key": f"{video}-{facts['shot']:04d}-{number:02d}"}
    return facts


def join_unit(process: Process, settings: FacetrackSettings, payload: Mapping[str, JSON]) -> JSON:
    """Put the parts of a video together; one that is not fit for it is taken as a whole.

    Parameters
    ----------
    process, settings, payload
        As for `pipelines.units.facetrack_unit`; ``parts`` and ``seams``, as its plan has them.
    """
    folder = Path(payload["folder"])
    found = read_parts(payload["parts"], len(payload["seams"]))
    if found is None or found.objection():
        return units.facetrack_unit(process, settings, payload)
    sound = units.read_receipt(part_folder(payload["parts"], "sound")) or {}
    begins = found.begins()
    with staging(folder) as out:
        for source, report, begin in zip(found.folders, found.reports, begins, strict=True):
            for track in report["tracks"]:
                _adopt(source, out, track["key"], moved(track, begin))
        if settings.shot_scores:
            _join_scores(found, out)
        shown = sentences(spoilt_of(found.reports, begins))
        warnings = [*found.sentences(), *shown, *sound["warnings"]]
        receipt: dict[str, JSON] = {"report": add_up(found.reports, begins, warnings)}
        receipt["parts"] = list(found.starts)
        if warnings:
            receipt["decoder"] = media.complaints(Path(payload["path"]))
        publish(out, folder, files.clean(receipt))
    return None


def read_parts(parts: str, seams: int) -> Parts | None:
    """Return the parts of a video, None where one of the units before them found it unfit."""
    places = [units.read_receipt(part_folder(parts, "seam", n)) or {} for n in range(1, seams + 1)]
    folders = [part_folder(parts, "part", number) for number in range(seams + 1)]
    receipts = [units.read_receipt(folder) for folder in folders]
    if any("frame" not in place for place in places) or None in receipts:
        return None
    starts = [0, *(place["frame"] for place in places)]
    cuts = [True, *(place["cut"] for place in places)]
    return Parts(folders, starts, cuts, [receipt or {} for receipt in receipts])


def _adopt(source: Path, out: Path, key: str, changes: Mapping[str, JSON]) -> None:
    """Take over the files of a clip under its new key; its parts' folder keeps its own."""
    for path in sorted(source.glob(f"{key}.*")):
        target = out / (changes["key"] + path.name.removeprefix(key))
        if path.suffix == ".json":
            record = {**json.loads(path.read_text("utf-8")), **changes}
            text = json.dumps(record, sort_keys=True, allow_nan=False)
            target.write_text(text + "\n", encoding="utf-8")
            continue
        try:
            os.link(path, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, target)


def _join_scores(found: Parts, out: Path) -> None:
    """Put the tables of shot scores one below the other."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables = []
    for folder, start, cut in zip(found.folders, found.starts, found.cuts, strict=True):
        table = pq.read_table(folder / "shots.parquet")
        frames = pc.add(table["frame"], start)
        begins = pc.and_(pc.equal(table["frame"], 0), bool(cut and start))
        cuts = pc.or_(table["cut"], begins)
        table = table.set_column(table.schema.get_field_index("frame"), "frame", frames)
        tables.append(table.set_column(table.schema.get_field_index("cut"), "cut", cuts))
    pq.write_table(pa.concat_tables(tables), out / "shots.parquet")


def remove_parts(parts: str) -> None:
    """Remove the folders of the parts of a video that is done."""
    for path in Path(parts).parent.glob(f"{Path(parts).name}-*"):
        shutil.rmtree(path, ignore_errors=True)


def done_parts(parts: str) -> tuple[int, int] | None:
    """Return how many parts of a video are done and how many there are; None without a plan."""
    plan = units.read_receipt(part_folder(parts, "plan"))
    if plan is None:
        return None
    folders = [part_folder(parts, "part", number) for number in range(len(plan["seams"]) + 1)]
    return sum(units.read_receipt(folder) is not None for folder in folders), len(folders)
