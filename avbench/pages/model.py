"""What a built set says of each source it was cut from, read from the set alone.

Three places know something: the shards (every kept clip), the ledger (every file, with the
frames that were lost, by reason) and, unless they were cleared away, the receipts below
``work`` (shots, rejected tracks, scores). What is not there is named, never guessed. The sources
themselves are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avbench import media
from avbench.data import JSON, Alignment
from avbench.errors import DataError
from avbench.shards import Sample, ShardSet
from avbench.timing import num_frames_to_samples

LEDGER = "ledger.parquet"
SYNC = "sync.parquet"
UNNAMED = "no reason is recorded"
_UNIT = re.compile(r"(.+)-[0-9a-f]{20}")
_FACELESS = frozenset({"no-audio", "grey-picture", "shot-too-short", "transition", "no-face"})
"""Reasons of frames in which no tracked face was found or looked for."""


@dataclass(frozen=True)
class Entry:
    """One input file: its row of the ledger."""

    source: str
    path: str
    video_id: str = ""
    status: str = ""
    """kept, rejected or failed."""
    step: str = ""
    reason: str = ""
    decoder: str = ""
    """What the decoder complained of."""
    sha256: str = ""
    attempts: int = 0
    frames: int = 0
    """25 fps frames that came in."""
    kept_frames: int = 0
    rejected_frames: Mapping[str, int] = field(default_factory=dict)
    tracks: int = 0
    clips: int = 0
    split: str = ""

    @property
    def name(self) -> str:
        """Where it was, below what was given to the build."""
        # A file that was given by itself is its own source.
        outer = "" if self.source == self.path else self.source
        return f"{outer}/{self.path}" if outer else self.path

    @property
    def balanced(self) -> bool:
        """Whether every frame that came in is kept or in a named rejection."""
        return self.frames == self.kept_frames + sum(self.rejected_frames.values())

    @property
    def has_faces(self) -> bool:
        """Whether a face was followed in any of its frames."""
        lost = any(n for reason, n in self.rejected_frames.items() if reason not in _FACELESS)
        return self.tracks > 0 or self.kept_frames > 0 or lost


@dataclass(frozen=True)
class Track:
    """One face over the frames [start, stop) of the source, kept or not."""

    start: int
    stop: int
    reason: str = ""
    """Why it was left out; empty where it was kept."""
    key: str = ""
    """Empty where it was rejected before it was named."""
    shot: int | None = None
    face: float | None = None
    """Median height of the face in source pixels."""
    score: float | None = None
    """Mean score of its detections."""
    found: float | None = None
    """Share of the frames looked at in which the face was found."""
    others: int | None = None
    """Tracks that were cut, too, and share frames with it."""
    sync: Mapping[str, JSON] = field(default_factory=dict)
    """What was measured before any fault, or a note that says why nothing was."""
    boxes: Sequence[Sequence[float]] = field(default=(), repr=False)
    """x1, y1, x2, y2 in source pixels in each of its frames; empty where not recorded."""
    sample: Sample | None = field(default=None, repr=False)
    """The stored clip; of a rejected track as it was cut, where that is still there."""

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Source:
    """One source video with all its tracks in order of time."""

    entry: Entry
    tracks: Sequence[Track]
    shots: Sequence[tuple[int, int]] | None = None
    """[start, stop) of each; None where no receipt says."""
    transitions: Sequence[tuple[int, int]] = ()
    facts: Mapping[str, JSON] = field(default_factory=dict)
    """Size, rate, codecs and start times of the file."""
    warnings: Sequence[str] = ()
    missing: Sequence[str] = ()
    """What cannot be shown, and why; one sentence each."""

    @property
    def kept(self) -> list[Track]:
        """Tracks that became clips."""
        return [track for track in self.tracks if not track.reason]

    @property
    def rejected(self) -> list[Track]:
        """Tracks that did not."""
        return [track for track in self.tracks if track.reason]

    @property
    def frames(self) -> int:
        """Length of the time line in frames."""
        ends = [stop for _, stop in self.shots or ()] + [track.stop for track in self.tracks]
        return max([self.entry.frames, *ends])


def read_ledger(directory: Path) -> list[Entry] | None:
    """Return one entry per input file, or None where the set has no ledger.

    Raises
    ------
    DataError
        If it is damaged.
    """
    import pandas as pd

    path = directory / LEDGER
    if not path.exists():
        return None
    try:
        records = pd.read_parquet(path).to_dict("records")
        names = Entry.__dataclass_fields__
        entries = []
        for record in records:
            known = {str(name): value for name, value in record.items() if name in names}
            lost = json.loads(known["rejected_frames"])
            entries.append(Entry(**{**known, "rejected_frames": dict(lost)}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); run build-shards again") from error
    return entries


def gather(found: ShardSet, wanted: Sequence[str] | None = None) -> Iterator[Source]:
    """Yield the sources of a set, each as soon as its last clip was read.

    Parameters
    ----------
    found
        The set.
    wanted
        Ids of the only sources to read; all where None.
    """
    index = found.index()
    owners = [_owner(row) for row in index.to_dict("records")]
    left = {owner: owners.count(owner) for owner in dict.fromkeys(owners)}
    ledger = read_ledger(found.directory)
    entries = {entry.video_id: entry for entry in ledger or () if entry.video_id}
    receipts = Receipts(found.directory)
    rules = found.manifest["recipe"].get("sync", {})
    asked = [name for name in (wanted or [*entries, *left])]
    for name in dict.fromkeys(asked):
        if name not in left and name in entries and entries[name].frames:
            yield _source(entries[name], [], receipts, rules, ledger is None)
    open_: dict[str, list[Sample]] = {}
    owner_of = dict(zip(index["key"], owners, strict=True)) if len(index) else {}
    for sample in found.samples():
        owner = owner_of.get(sample.key, sample.key)
        if owner not in asked:
            continue
        open_.setdefault(owner, []).append(sample)
        left[owner] -= 1
        if left[owner] == 0:
            samples = open_.pop(owner)
            entry = entries.get(owner) or _entry_of(owner, samples)
            yield _source(entry, samples, receipts, rules, ledger is None)


class Receipts:
    """The results of the steps that a build left below its folder, by source and step."""

    def __init__(self, directory: Path) -> None:
        self._folders: dict[tuple[str, str], list[Path]] = {}
        self._judged = read_judged(directory)
        for step in ("facetracks", "sync"):
            for folder in sorted((directory / "work" / step).glob("*")):
                if match := _UNIT.fullmatch(folder.name):
                    self._folders.setdefault((step, match[1]), []).append(folder)

    def report(self, entry: Entry, kept: Sequence[Track]) -> tuple[Path, Mapping[str, JSON]] | None:
        """Return folder and report of the facetrack step that led to this entry and these clips.

        Other settings leave receipts of their own; the right one has the same totals and holds
        every clip at its frames.
        """
        for folder in self._folders.get(("facetracks", entry.video_id), ()):
            report = _receipt(folder).get("report")
            if report is None or report["num_frames"] != entry.frames:
                continue
            spans = {track["key"]: (track["start"], track["stop"]) for track in report["tracks"]}
            same = all(spans.get(track.key) == (track.start, track.stop) for track in kept)
            if same and len(spans) == entry.tracks:
                return folder, dict(report)
        return None

    def scores(self, entry: Entry, kept: Sequence[Track]) -> Mapping[str, Mapping[str, JSON]]:
        """Return what the sync step measured of every track, by key; empty where unknown.

        The set's own table says it with the reasons; sets without one have receipts at best.
        """
        if judged := self._judged.get(entry.video_id):
            return judged
        for folder in self._folders.get(("sync", entry.video_id), ()):
            scores: dict[str, Mapping[str, JSON]] = _receipt(folder).get("scores", {})
            same = all(scores.get(track.key) == track.sync for track in kept)
            if same and len(scores) == entry.tracks:
                return scores
        return {}


def read_judged(directory: Path) -> dict[str, dict[str, Mapping[str, JSON]]]:
    """Return what a set's table says of every measured track, by video and key.

    Raises
    ------
    DataError
        If it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = directory / SYNC
    if not path.exists():
        return {}
    found: dict[str, dict[str, Mapping[str, JSON]]] = {}
    try:
        for row in pq.read_table(path).to_pylist():
            known = {name: value for name, value in row.items() if value not in (None, "")}
            found.setdefault(known.pop("video_id"), {})[known.pop("key")] = known
    except (OSError, pa.ArrowException, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}); run build-shards again") from error
    return found


def reason_of(score: Mapping[str, JSON], rules: Mapping[str, JSON], named: Sequence[str]) -> str:
    """Say why a track that was scored is in no shard, in the words of the ledger.

    Parameters
    ----------
    score
        What was measured.
    rules
        ``mode`` and, where that is filter, ``min_confidence`` and ``max_offset``.
    named
        The reasons that the ledger gives for this source.

    >>> rules = {"mode": "filter", "min_confidence": 0.12, "max_offset": 3}
    >>> reasons = ["sync: confidence below 0.12", "sync: offset beyond 3 frames"]
    >>> reason_of({"offset": 9, "confidence": 0.3}, rules, reasons)
    'sync: offset beyond 3 frames'
    """
    if score.get("reason"):
        return str(score["reason"])
    named = [reason for reason in named if ": " in reason]
    if len(named) == 1:
        return named[0]
    if "note" in score:
        guess = "sync: " + str(score["note"]).partition(":")[0]
    elif "confidence" in score and score["confidence"] < rules.get("min_confidence", 0):
        guess = "sync: confidence"
    elif "offset" in score and abs(score["offset"]) > rules.get("max_offset", 25):
        guess = "sync: offset"
    else:
        return UNNAMED
    return next((reason for reason in named if reason.startswith(guess)), guess)


def _source(
    entry: Entry,
    samples: Sequence[Sample],
    receipts: Receipts,
    rules: Mapping[str, JSON],
    no_ledger: bool,
) -> Source:
    kept = [_kept(sample) for sample in samples]
    folder, report = receipts.report(entry, kept) or (None, None)
    scores = receipts.scores(entry, kept)
    missing = []
    if no_ledger:
        missing.append(f"The set has no {LEDGER}: frames that were lost are not known.")
    if report is None:
        missing.append(
            "No receipt of the facetrack step is left below 'work' that fits this set: shots and "
            "rejected tracks are not known."
        )
    if rules.get("mode", "off") == "off":
        missing.append("Sync was not measured when the set was built.")
    elif report is not None and entry.tracks > len(kept) and not scores:
        missing.append("The scores of the tracks that sync rejected are no longer there.")
    report = report or {}
    known = {track.key for track in kept}
    tracks = list(kept)
    for facts in report.get("tracks", ()):
        if facts["key"] not in known:
            score = scores.get(facts["key"], {})
            why = reason_of(score, rules, list(entry.rejected_frames) or [entry.reason])
            tracks.append(_cut(facts, why, score, folder))
    tracks += [_track(facts, facts["reason"]) for facts in report.get("rejected", ())]
    facts = report.get("source") or (samples[0].info.get("facetrack", {}) if samples else {}).get(
        "source", {}
    )
    return Source(
        entry=entry,
        tracks=sorted(tracks, key=lambda track: (track.start, track.stop, track.key)),
        shots=[(a, b) for a, b in report["shots"]] if "shots" in report else None,
        transitions=[(a, b) for a, b in report.get("transitions", ())],
        facts=facts,
        warnings=list(report.get("warnings", ())),
        missing=missing,
    )


def _kept(sample: Sample) -> Track:
    facts = sample.info.get("facetrack") or {}
    start = int(facts.get("start", 0))
    stop = int(facts.get("stop", start + len(sample.alignment)))
    facts = {**facts, "key": sample.key, "start": start, "stop": stop}
    return _track(facts, "", sample.info.get("sync") or {}, sample)


def _cut(
    facts: Mapping[str, JSON], reason: str, sync: Mapping[str, JSON], folder: Path | None
) -> Track:
    """Return a track that was cut and is in no shard, with what its receipt's folder still has."""
    if folder is None:
        return _track(facts, reason, sync)
    key = str(facts["key"])
    facts = {**_receipt(folder, f"{key}.json"), **facts}
    try:
        video = (folder / f"{key}.mp4").read_bytes()
        sound = media.read_sound(folder / f"{key}.flac")
    except (OSError, DataError):
        return _track(facts, reason, sync)
    frames = int(facts["stop"]) - int(facts["start"])
    samples = num_frames_to_samples(frames)
    # As much of the sound around it lies before it as after it.
    before = (len(sound) - samples) // 2
    own = media.encode_sound(sound[before : before + samples])
    info = {"facetrack": facts, "sync": sync}
    sample = Sample(key, video, own, Alignment.from_offset(0, frames), info)
    return _track(facts, reason, sync, sample)


def _track(
    facts: Mapping[str, JSON],
    reason: str,
    sync: Mapping[str, JSON] | None = None,
    sample: Sample | None = None,
) -> Track:
    names = ("key", "shot", "face", "score", "found", "others", "boxes")
    known = {name: facts[name] for name in names if name in facts}
    return Track(
        int(facts["start"]), int(facts["stop"]), reason, sync=sync or {}, sample=sample, **known
    )


def _entry_of(owner: str, samples: Sequence[Sample]) -> Entry:
    """Return the little that the clips say of a source where there is no ledger."""
    said = samples[0].info.get("source") or {}
    return Entry(
        source=str(said.get("source", "")),
        path=str(said.get("path", owner)),
        video_id=owner,
        status="kept",
        sha256=str(said.get("sha256", "")),
        tracks=len(samples),
        clips=len(samples),
        split=str(samples[0].info.get("split", "")),
    )


def _owner(row: Mapping[Any, JSON]) -> str:
    return str(row.get("video_id") or row["key"])


def _receipt(folder: Path, name: str = "receipt.json") -> Mapping[str, JSON]:
    path = folder / name
    try:
        content: dict[str, JSON] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); delete its folder and build again") from None
    return content
