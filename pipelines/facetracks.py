"""THE recipe: from one video to its facetracks.

Read `process_video` from top to bottom for the steps and `pipelines.settings` for the thresholds:

1. look at every frame once: how its colours differ from the frame before, and which faces it shows
   (`pipelines.looking`); end shots at cuts, and leave the frames of dissolves out;
2. as soon as a shot is over, link its faces and judge every track: long enough, large enough, seen
   often enough, with sound;
3. cut the kept tracks out of what was held of the frames; those of which not all was held are cut
   out in a second pass over the video;
4. write the sound and the facts that belong to them.

Nothing is lost silently. Every track that is not kept is listed with its reason, and every frame
is either in a kept track or counted under one of `REASONS`; the sum is checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from avbench import media
from avbench.data import JSON, FloatArray
from avbench.timing import FPS, SAMPLE_RATE

from .crops import Sound
from .cutting import KEPT, NamedTrack, Reopen, Tracks, reader
from .looking import Looking
from .mouths import NO_MOUTH
from .settings import FacetrackSettings
from .several import SEVERAL
from .shots import write_scores
from .spoilt import GREY, GREY_KINDS, sentences

REASONS = (
    "no-audio",
    "no-sound",
    NO_MOUTH,
    "still-picture",
    SEVERAL,
    "face-too-small",
    "too-few-detections",
    "track-too-short",
    GREY,
    "shot-too-short",
    "transition",
    "no-face",
)
"""Why a frame is in no kept track. Where several hold, the first is counted: it came furthest."""


@dataclass(frozen=True)
class UnitReport:
    """What came of one video; every field can be written as JSON."""

    video_id: str
    source: dict[str, JSON]
    """Facts about the file: size, rate, codecs, start times."""
    num_frames: int
    """Frames on the 25 fps grid."""
    shots: list[list[int]]
    """[start, stop) of every shot."""
    transitions: list[list[int]]
    """[start, stop) of every gradual change between shots."""
    tracks: list[dict[str, JSON]]
    """Kept: key, shot, track, start, stop, face (median height), score (mean), found (share),
    others (kept tracks that share frames), co_visible (most other faces in one of its frames, kept
    or not)."""
    rejected: list[dict[str, JSON]]
    """Not kept: shot, start, stop, face, score, found, co_visible, reason."""
    frames: dict[str, int]
    """"kept" and each of `REASONS` -> frames; they add up to ``num_frames``."""
    warnings: list[str]
    """Damage met while reading, one sentence each."""
    spoilt: list[dict[str, JSON]] = field(default_factory=list)
    """kind, start, stop of frames that show nothing although they decode; see `.spoilt`."""

    def as_json(self) -> dict[str, JSON]:
        """Return the report as a JSON object."""
        return asdict(self)


def process_video(
    path: Path, video_id: str, out: Path, settings: FacetrackSettings | None = None
) -> UnitReport:
    """Find the facetracks of one video and write each as picture, sound and facts.

    Parameters
    ----------
    path
        The video; it is only read.
    video_id
        Its name, ``[a-z0-9-]``; a track's key is ``<video_id>-<shot:04d>-<track:02d>``.
    out
        Existing folder that receives ``<key>.mp4`` (the crop), ``<key>.flac`` (its sound with
        ``settings.context`` frames more on either side), ``<key>.json`` and, where mouths are cut,
        ``<key>.mouth.mp4``.
    settings
        The thresholds.

    Raises
    ------
    DataError
        If the file is not a video that can be read.
    MissingDependency
        If the face detector, or cutting mouths, needs a package that is not installed.
    """
    settings = settings or FacetrackSettings()
    info = media.probe(path)
    sound = Sound.read(path, info)
    with media.open_frames(path) as frames:
        report = take_apart(frames, reader(path), video_id, info, sound, out, settings)
        said = [*frames.warnings, *sentences(report.spoilt), *sound.warnings]
        return replace(report, warnings=said)


def take_apart(
    frames: Iterable[media.Frame],
    reopen: Reopen,
    video_id: str,
    info: media.MediaInfo,
    sound: Sound,
    out: Path,
    settings: FacetrackSettings,
) -> UnitReport:
    """Find the facetracks of a video that is open, or of a part of one.

    Parameters
    ----------
    frames
        Numbered from 0; read to their end.
    reopen
        Gives some of them once more.
    video_id, out, settings
        As for `process_video`.
    info, sound
        Of the video; what is said of the sound counts from the first of the frames.

    Returns
    -------
    UnitReport
        Without warnings, which those who read the file know.
    """
    looking = Looking(video_id, settings, with_faces=info.audio_codec is not None)
    tracks = Tracks()
    for stretch in looking.over(frames):
        tracks.take(stretch, sound.heard, out, settings)
    tracks.write_waiting(reopen, settings)

    boundaries = looking.boundaries
    if settings.shot_scores:
        write_scores(out / "shots.parquet", boundaries, looking.scores())
    source, clips = source_facts(info), tracks.clips()
    for clip in clips:
        write_rest(out, clip, clips, sound, looking.pts_s, source, settings)
    return UnitReport(
        video_id=video_id,
        source=source,
        num_frames=boundaries.num_frames,
        shots=[[shot.start, shot.stop] for shot in boundaries.shots(video_id)],
        transitions=[list(span) for span in boundaries.transitions],
        tracks=[clip_facts(clip, clips) for clip in clips],
        rejected=tracks.rejected,
        frames=account(looking, tracks, bool(info.audio_codec), settings),
        warnings=[],
        spoilt=looking.spoilt.spans,
    )


def clip_facts(clip: NamedTrack, clips: list[NamedTrack]) -> dict[str, JSON]:
    """Return what a report says about a kept track."""
    faces = clip.faces
    together = [o for o in clips if o.faces.start < faces.stop and faces.start < o.faces.stop]
    return {
        "key": clip.key,
        "shot": clip.shot.index,
        "track": clip.index,
        "others": len(together) - 1,
        **clip.facts,
    }


def write_rest(
    out: Path,
    clip: NamedTrack,
    clips: list[NamedTrack],
    sound: Sound,
    pts_s: list[float],
    source: dict[str, JSON],
    settings: FacetrackSettings,
) -> None:
    """Write the sound and the facts of a kept track."""
    faces = clip.faces
    audio, context = sound.around(faces.start, faces.stop, settings.context)
    (out / f"{clip.key}.flac").write_bytes(media.encode_sound(audio))
    record = {
        **clip_facts(clip, clips),
        "video_id": clip.shot.video_id,
        "num_frames": len(faces),
        "fps": FPS,
        "sample_rate": SAMPLE_RATE,
        "context": context,
        "boxes": _table(faces.boxes, 2),
        "scores": [None if np.isnan(score) else round(float(score), 4) for score in faces.scores],
        "mouths": _table(faces.mouths, 2),
        "squares": _table(clip.squares, 3),
        "pts_s": [round(time, 6) for time in pts_s[faces.start : faces.stop]],
        "source": source,
    }
    if clip.mouth is not None:
        record["mouth"] = clip.mouth.as_json(settings.mouth.size)
    text = json.dumps(record, sort_keys=True, allow_nan=False)
    (out / f"{clip.key}.json").write_text(text + "\n", encoding="utf-8")


def _table(values: FloatArray, digits: int) -> list[list[float | None]]:
    """Return an array as nested lists of rounded numbers, None for NaN."""
    rounded = np.round(values, digits).tolist()
    return [[None if value != value else value for value in row] for row in rounded]


def account(
    looking: Looking, tracks: Tracks, has_audio: bool, settings: FacetrackSettings
) -> dict[str, int]:
    """Count every frame once: kept, or under the reason that came furthest.

    Raises
    ------
    RuntimeError
        If the counts do not add up, or a face was found that is in no track, kept or rejected.
    """
    ranks = (KEPT, *REASONS)
    boundaries = looking.boundaries
    state = np.full(boundaries.num_frames, ranks.index("no-face"))

    def lower(start: int, stop: int, reason: str) -> None:
        state[start:stop] = np.minimum(state[start:stop], ranks.index(reason))

    for start, stop in boundaries.transitions:
        lower(start, stop, "transition")
    for shot in boundaries.shots(""):
        if len(shot) < settings.min_track:
            lower(shot.start, shot.stop, "shot-too-short")
    for span in looking.spoilt.spans:
        if span["kind"] in GREY_KINDS:
            lower(span["start"], span["stop"], GREY)
    for track in tracks.rejected:
        lower(track["start"], track["stop"], track["reason"])
    if not has_audio:
        lower(0, boundaries.num_frames, "no-audio")
    for clip in tracks.clips():
        lower(clip.faces.start, clip.faces.stop, KEPT)
    lost = [frame for frame in looking.shown if ranks[state[frame]] == "no-face"]
    counts = {name: int((state == rank).sum()) for rank, name in enumerate(ranks)}
    if lost or sum(counts.values()) != boundaries.num_frames:
        raise RuntimeError(
            f"got {counts} for {boundaries.num_frames} frames, of which {lost[:5]} show faces that "
            "are in no track; expected every frame and every face to be accounted for"
        )
    return counts


def source_facts(info: media.MediaInfo) -> dict[str, JSON]:
    """Return what is recorded about a source file; its name, but not where it lies."""
    facts: dict[str, Any] = asdict(info)
    facts["path"] = info.path.name
    return facts
