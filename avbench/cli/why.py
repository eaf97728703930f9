"""``avbench why``: everything that a build knows about one of its source files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avbench.errors import DataError, UnknownName, UsageError

if TYPE_CHECKING:
    from avbench.data import JSON
    from avbench.pages.model import Entry, Receipts, Track

EXIT_CODES = {"kept": 0, "failed": 1, "rejected": 3}
"""What became of the file -> exit code."""
_NEAREST = 5
"""Files named to someone who mistyped one."""
_OPTIONS = {
    "no-audio": "nothing: without sound there is nothing to align; give a file that has some",
    "no-sound": "nothing: its sound begins after the picture or ends before it; give a file whose "
    "sound lasts throughout",
    "transition": "nothing: a dissolve shows two shots at once; only if it is none, "
    "--set shots.blend with a lower value",
    "grey-picture": "nothing: these frames hold no picture, as the decoder's line says; give "
    "another copy of the file",
    "no-face": "if there is a face, another --detector, or --set confidence with a lower value",
    "no-mouth": "--crop face, or --set mouth.min_found with a lower value",
    "still-picture": "if it is no photograph, --set still_change with a lower value",
    "shot-too-short": "--set min_track with a lower value; if the shot ends where no cut is, "
    "--set shots.threshold with a higher one",
    "several-faces": "--faces keep-all, or best-sync, which keeps the one that fits the sound best",
    "sync: another face fits the sound better": "--faces keep-all",
    "sync: no telling which of several faces fits the sound": "--faces keep-all",
    "pack: near-duplicate of a clip in another split": "leave out --drop-duplicates, or take the "
    "copy out of the sources; OUT/duplicates.parquet names both",
    "pack: cut away by the fault or correction of the sound": "--distort none or a smaller "
    "--max-offset, and no --correct-offset",
}
"""Reason -> what to change, where the tracks need not be looked at."""


@dataclass(frozen=True)
class Failure:
    """How often a step failed on the file, and how the last time."""

    step: str
    attempts: int
    reason: str
    note: Path
    """The file that holds the stack."""


@dataclass(frozen=True)
class Story:
    """All that is known about one source file."""

    entry: Entry
    clips: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    """Rows of the set's index, by key."""
    report: Mapping[str, JSON] | None = None
    """Receipt of the facetrack step; None where none is left."""
    tracks: Sequence[Track] = ()
    """In order of time; one that is kept has no reason."""
    failures: Sequence[Failure] = ()


@click.command("why")
@click.argument("file")
@click.option(
    "--shards",
    "directory",
    required=True,
    type=click.Path(path_type=Path),
    help="OUT folder of build-shards.",
)
def command(file: str, directory: Path) -> None:
    r"""Say what became of one source FILE of a build, why, and what to change to keep it.

    FILE is its path below the source, its name, or its video id; a file of another name is found
    by its bytes. Ledger, index and receipts are read, no shard and no video.

    Exits with 0 where the file gave clips, 3 where it was rejected, 1 where its work failed, and
    2 where the build knows no such file.

    \b
    Examples:
      avbench why interview.mp4 --shards shards
      avbench why day-1/talk.mov --shards shards
    """
    story = read_story(directory, file)
    for line in tell(story):
        click.echo(line)
    raise click.exceptions.Exit(EXIT_CODES[story.entry.status])


def read_story(directory: Path, file: str) -> Story:
    """Collect what is known about a source file.

    Raises
    ------
    DataError
        If there is no ledger, or it is damaged.
    UsageError
        If several files are meant.
    UnknownName
        If none is.
    """
    from avbench.pages.model import LEDGER, Receipts, Track, read_ledger

    entries = read_ledger(directory)
    if entries is None:
        raise DataError(f"{directory} holds no {LEDGER}; name the OUT folder of build-shards")
    try:
        entry = find_entry(entries, file)
    except UnknownName as error:
        kind = f"not a video ({Path(file).suffix.lower()})"
        if kind not in _passed_over(directory):
            raise
        raise UsageError(
            f"'{file}' has no row of its own: by their names, such files were passed over "
            f"({kind}); to have one tried, give it to build-shards by its own name"
        ) from error
    rows, rules = _in_set(directory, entry.video_id)
    spans = [Track(int(row["start"]), int(row["stop"]), key=key) for key, row in rows.items()]
    receipts = Receipts(directory)
    found = receipts.report(entry, spans)
    report = None if found is None else found[1]
    tracks = _tracks(report, entry, rows, rules, receipts) if report else spans
    return Story(entry, rows, report, tracks, _failures(directory, entry.video_id))


def find_entry(entries: Sequence[Entry], file: str) -> Entry:
    """Return the row of the ledger that is meant; the closest kind of match decides.

    Raises
    ------
    UsageError
        If several match equally well.
    UnknownName
        If none matches.
    """
    name, digest = Path(file).as_posix(), cache(lambda: _sha256(Path(file)))
    tests = (
        lambda entry: name in (entry.name, entry.path, entry.video_id),
        lambda entry: name.endswith("/" + entry.path),
        lambda entry: Path(entry.path).name == name,
        lambda entry: bool(entry.sha256) and entry.sha256 == digest(),
    )
    for test in tests:
        same = [entry for entry in entries if test(entry)]
        if len(same) > 1:
            listed = ", ".join(sorted(entry.name for entry in same)[:_NEAREST])
            raise UsageError(f"'{file}' may be {len(same)} files of this build: {listed}; name one")
        if same:
            return same[0]
    from difflib import get_close_matches

    paths = [entry.path for entry in entries]
    raise UnknownName("source file", file, get_close_matches(file, paths, _NEAREST, 0.3))


def _sha256(path: Path) -> str:
    import hashlib

    if not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _in_set(
    directory: Path, video_id: str
) -> tuple[dict[str, Mapping[str, JSON]], Mapping[str, JSON]]:
    """Return a source's clips in the set, by key, and the rules of sync; nothing without a set."""
    from avbench.shards import MANIFEST, open_set

    if not (directory / MANIFEST).is_file():
        return {}, {}
    found = open_set(directory)
    index = found.index()
    rows = index[index["video_id"] == video_id] if "video_id" in index else index[:0]
    named: dict[str, Mapping[str, JSON]] = {}
    for row in rows.to_dict("records"):
        named[str(row["key"])] = {str(name): value for name, value in row.items()}
    return named, found.manifest["recipe"].get("sync", {})


def _tracks(
    report: Mapping[str, JSON],
    entry: Entry,
    rows: Mapping[str, JSON],
    rules: Mapping[str, JSON],
    receipts: Receipts,
) -> list[Track]:
    """Return all tracks with what came of each."""
    from avbench.pages.model import Track, reason_of

    rules = {**_named_rules(entry), **rules}
    scores = receipts.scores(entry, [])
    tracks = []
    for facts in (*report["tracks"], *report["rejected"]):
        key = facts.get("key", "")
        sync = scores.get(key, {})
        reason = facts.get("reason", "")
        if key and key not in rows:
            reason = reason_of(sync, rules, list(entry.rejected_frames) or [entry.reason])
        known = {name: facts.get(name) for name in ("shot", "face", "score", "found")}
        known["others"] = facts.get("co_visible")
        tracks.append(Track(facts["start"], facts["stop"], reason, key, sync=sync, **known))
    return sorted(tracks, key=lambda track: (track.start, track.stop))


def _passed_over(directory: Path) -> Mapping[str, int]:
    """Return how many files were not looked at, by reason; none without a set."""
    from avbench.shards import MANIFEST, open_set

    if not (directory / MANIFEST).is_file():
        return {}
    counts: Mapping[str, int] = (
        open_set(directory).manifest["recipe"].get("files", {}).get("passed_over", {})
    )
    return counts


def _named_rules(entry: Entry) -> Mapping[str, JSON]:
    """Return the limits of sync as the ledger's reasons name them, where no set says."""
    import re

    reasons = ", ".join([*entry.rejected_frames, entry.reason])
    limits = {
        "min_confidence": re.search(r"confidence below ([\d.]*\d)", reasons),
        "largest_p": re.search(r"p above ([\d.e-]*\d)", reasons),
        "max_offset": re.search(r"offset beyond (\d+)", reasons),
    }
    return {name: float(match[1]) for name, match in limits.items() if match}


def _failures(directory: Path, video_id: str) -> list[Failure]:
    import json
    import re

    unit = re.compile(rf"(facetracks|sync|prints|pack)-{re.escape(video_id)}-[0-9a-f]{{20}}\.json")
    failures = []
    for note in sorted((directory / "work" / "failed").glob("*.json")):
        if match := unit.fullmatch(note.name):
            try:
                said = json.loads(note.read_text("utf-8"))
                found = Failure(match[1], int(said["attempts"]), str(said["reason"]), note)
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{note} is damaged ({error}); delete it") from error
            failures.append(found)
    return failures


def tell(story: Story) -> Iterator[str]:
    """Yield the story, one fact a line."""
    entry = story.entry
    yield f"{entry.name}: {_verdict(entry)}"
    yield f"sha256 {entry.sha256 or 'unknown: it could not be read'}"
    if entry.video_id:
        yield f"video id {entry.video_id}, attempts {entry.attempts}"
    yield from _steps(story)
    for failure in story.failures:
        times = f"{failure.attempts} time{'s' if failure.attempts != 1 else ''}"
        yield f"failed {times} at {failure.step}, the last time: {failure.reason}"
        yield f"  the stack is in {failure.note}"
    if entry.frames:
        lost = sum(entry.rejected_frames.values())
        yield f"frames {entry.frames} = {entry.kept_frames} in clips + {lost} rejected"
        yield from (f"  {reason}: {n}" for reason, n in entry.rejected_frames.items())
    if story.tracks:
        kept = sum(not track.reason for track in story.tracks)
        yield f"tracks {len(story.tracks)} = {kept} kept + {len(story.tracks) - kept} rejected"
        yield from (f"  {_track_words(track, story)}" for track in story.tracks)
    changes = list(advise(story))
    if changes:
        yield "to keep more of it:" if entry.status == "kept" else "to keep it:"
        yield from (f"  {change}" for change in changes)


def _verdict(entry: Entry) -> str:
    if entry.status == "kept":
        return f"kept, {entry.clips} clip{'s' if entry.clips != 1 else ''} in split {entry.split}"
    return f"{entry.status} at {entry.step}: {entry.reason}"


def _steps(story: Story) -> Iterator[str]:
    """Yield what each step made of the file, in their order."""
    entry, report = story.entry, story.report
    if entry.step == "discover":
        yield "discover: not tried"
        return
    if report is not None:
        facts = report["source"]
        sound = f"{facts['audio_codec']} at {facts['audio_rate']} Hz"
        yield (
            f"file: {facts['video_codec']}, {facts['width']}x{facts['height']} at "
            f"{facts['fps']:.6g} fps, {facts['duration_s']:.2f} s, "
            f"sound: {sound if facts['audio_codec'] else 'none'}"
        )
        met = [entry.decoder] if entry.decoder else report["warnings"]
        yield from (f"decoder: {warning}" for warning in met or ["no complaint"])
        shots, gradual = len(report["shots"]), len(report["transitions"])
        yield f"shots: {shots}, dissolves between them: {gradual}"
        yield f"facetracks: {len(report['tracks'])} cut, {len(report['rejected'])} rejected"
    elif entry.frames:
        yield "facetracks: no receipt is left below 'work', so rejected tracks are not known"
    elif entry.step == "facetracks":
        yield f"facetracks: {entry.reason}"
        if entry.decoder:
            yield f"decoder: {entry.decoder}"
    scored = [track for track in story.tracks if track.sync]
    if scored:
        judged = sum(track.reason.startswith("sync: ") for track in scored)
        yield f"sync: {len(scored)} measured, {judged} rejected"
    if story.clips:
        places = sorted({str(row["shard"]) for row in story.clips.values()})
        yield f"pack: {len(story.clips)} in {', '.join(places)}"


def _track_words(track: Track, story: Story) -> str:
    from avbench.pages.draw import span_words

    words = [f"{'rejected' if track.reason else 'kept'} {span_words(track.start, track.stop)}"]
    if track.reason:
        words.append(track.reason)
    if track.face is not None:
        words.append(f"face {track.face:.0f} px")
    if track.found is not None:
        words.append(f"seen in {track.found:.0%} of the frames looked at")
    row = story.clips.get(track.key, {})
    sync = track.sync or {
        name: row[f"sync_{name}"] for name in ("offset", "confidence") if f"sync_{name}" in row
    }
    if sync.get("offset") is not None and sync["offset"] == sync["offset"]:
        words.append(f"sync {sync['offset']:+.0f} frames, confidence {sync['confidence']:.3f}")
    if track.sync.get("winner"):
        words.append(f"left out for {track.sync['winner']}")
    if track.others:
        words.append(f"beside {track.others} other{'s' if track.others > 1 else ''}")
    if track.key:
        words.append(track.key)
    return ", ".join(words)


def advise(story: Story) -> Iterator[str]:
    """Yield what to change so that more is kept, one line per reason, most frames first."""
    entry = story.entry
    if entry.status == "failed":
        more = ""
        if "time limit" in entry.reason:
            more = "; if it needs longer, with a larger --time-limit"
        elif "memory" in entry.reason:
            more = "; if it needs more memory, with a larger --memory-limit"
        yield f"run the same command again{more}"
    elif entry.step == "discover":
        twin = entry.reason.startswith("the same bytes as")
        yield "nothing: its twin stands for it" if twin else "mend what the reason names"
    elif entry.status == "rejected" and not entry.frames:
        yield "mend or convert the file, for instance: ffmpeg -i FILE -c:v libx264 -c:a aac NEW.mp4"
    lost: dict[str, int] = dict(entry.rejected_frames)
    for track in story.tracks:
        if track.reason:
            lost.setdefault(track.reason, 0)
    for reason, frames in sorted(lost.items(), key=lambda item: (-item[1], item[0])):
        tracks = [track for track in story.tracks if track.reason == reason]
        change = _OPTIONS.get(reason) or _threshold(reason, tracks)
        yield f"{reason} ({f'{frames} frames' if frames else 'no frame of its own'}): {change}"


def _threshold(reason: str, tracks: Sequence[Track]) -> str:
    """Say which threshold keeps the best of the tracks that were rejected for a reason."""
    faces = [track.face for track in tracks if track.face is not None]
    seen = [track.found for track in tracks if track.found is not None]
    confidences = [t.sync["confidence"] for t in tracks if "confidence" in t.sync]
    offsets = [abs(t.sync["offset"]) for t in tracks if "offset" in t.sync]
    longest = max(map(len, tracks), default=0)
    if reason == "face-too-small":
        best = f"--set min_face={int(max(faces))}" if faces else "--set min_face with a lower value"
        return f"{best}, or a file with larger pictures"
    if reason == "too-few-detections":
        best = f"--set min_found={int(100 * max(seen)) / 100:g}" if seen else "a lower min_found"
        return f"{best}, or another --detector"
    if reason == "track-too-short":
        return f"--set min_track={longest}" if longest else "--set min_track with a lower value"
    if reason.startswith("sync: confidence"):
        best = f"={int(1000 * max(confidences)) / 1000:g}" if confidences else " with a lower value"
        return f"--min-confidence{best}, or --sync record"
    if reason.startswith("sync: sound may not belong"):
        return "--false-keep with a higher value, or --sync record"
    if reason.startswith("sync: offset beyond"):
        best = f"={min(offsets):.0f}" if offsets else " with a higher value"
        return f"--max-sync-offset{best}, or --sync record"
    return "--sync record" if reason.startswith("sync: ") else "build it again"
