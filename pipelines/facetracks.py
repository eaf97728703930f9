"""THE recipe: from one video to its facetracks.

Read `process_video` from top to bottom for the steps and `pipelines.settings` for the thresholds:

1. look at every frame once: how its colours differ from the frame before, and which faces it shows;
2. end shots at cuts, and leave the frames of dissolves out;
3. link faces within each shot, and judge every track: long enough, large enough, seen often
   enough, with sound;
4. look at the frames a second time and cut the kept tracks out of them, with their sound.

Nothing is lost silently. Every track that is not kept is listed with its reason, and every frame
is either in a kept track or counted under one of `REASONS`; the sum is checked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avbench import media
from avbench.data import JSON, FloatArray, Shot
from avbench.timing import FPS, SAMPLE_RATE

from .crops import CropJob, CropSettings, Sound, crop_squares, write_crops
from .faces import Detections, load_detector
from .settings import FacetrackSettings
from .shots import Boundaries, open_finder, write_scores
from .tracking import LinkedFaces, link, split

KEPT = "kept"
REASONS = (
    "no-audio",
    "no-sound",
    "still-picture",
    "face-too-small",
    "too-few-detections",
    "track-too-short",
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
    """Kept: key, shot, track, start, stop, face (median height), score (mean), found (share)."""
    rejected: list[dict[str, JSON]]
    """Not kept: shot, start, stop, face, score, found, reason."""
    frames: dict[str, int]
    """"kept" and each of `REASONS` -> frames; they add up to ``num_frames``."""
    warnings: list[str]
    """Damage met while reading, one sentence each."""

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
        ``settings.context`` frames more on either side) and ``<key>.json``.
    settings
        The thresholds.

    Raises
    ------
    DataError
        If the file is not a video that can be read.
    MissingDependency
        If the face detector needs a package that is not installed.
    """
    settings = settings or FacetrackSettings()
    info = media.probe(path)
    source = source_facts(info)

    survey = look(path, settings, with_faces=info.audio_codec is not None)
    if settings.shot_scores:
        write_scores(out / "shots.parquet", survey.boundaries, survey.shot_scores)
    shots = survey.boundaries.shots(video_id)

    sound = Sound.read(path, info, survey.num_frames)
    kept: list[tuple[Shot, LinkedFaces]] = []
    rejected: list[tuple[Shot, LinkedFaces, str]] = []
    for shot in shots:
        if len(shot) < settings.min_track:
            continue
        for track in link(survey.faces, shot, settings.tracking):
            for part, reason in judge(track, sound.heard, survey.faces, settings):
                if reason == KEPT:
                    kept.append((shot, part))
                else:
                    rejected.append((shot, part, reason))

    named = name_tracks(video_id, kept, settings.crops)
    clips, stills = write_pictures(path, out, named, settings)
    rejected += [(still.shot, still.faces, "still-picture") for still in stills]
    facts = {clip.key: clip_facts(clip, clips, survey) for clip in clips}
    for clip in clips:
        write_rest(out, clip, facts[clip.key], sound, survey, source, settings)

    frames = account(survey, shots, clips, rejected, bool(info.audio_codec), settings)
    return UnitReport(
        video_id=video_id,
        source=source,
        num_frames=survey.num_frames,
        shots=[[shot.start, shot.stop] for shot in shots],
        transitions=[list(span) for span in survey.boundaries.transitions],
        tracks=list(facts.values()),
        rejected=[
            {"shot": shot.index, **track.facts(survey.faces), "reason": reason}
            for shot, track, reason in rejected
        ],
        frames=frames,
        warnings=survey.warnings + sound.warnings,
    )


@dataclass(frozen=True, eq=False)
class Survey:
    """What the first look at a video leaves behind: no pixels."""

    pts_s: FloatArray
    """Time in seconds of the source picture that each frame shows; shape (T,)."""
    boundaries: Boundaries
    faces: Mapping[int, Detections]
    """Frame -> faces, perhaps none, for the frames in which faces were looked for."""
    warnings: list[str]
    shot_scores: Mapping[str, FloatArray]
    """The shot detector's scores of every frame, by name; empty unless asked for."""

    @property
    def num_frames(self) -> int:
        """Frames on the 25 fps grid."""
        return len(self.pts_s)


def look(path: Path, settings: FacetrackSettings, with_faces: bool = True) -> Survey:
    """Look at every frame of a video once for shots and faces, holding one frame at a time."""
    chosen = settings.detector, settings.confidence, settings.detector_weights
    detector = load_detector(*chosen) if with_faces else None
    shots = open_finder(settings.shot_detector, settings.shots, settings.scenes)
    pts: list[float] = []
    faces: dict[int, Detections] = {}
    with media.open_frames(path) as frames:
        for frame in frames:
            pts.append(frame.pts_s)
            shots.push(frame.image)
            if detector is not None and frame.index % settings.detect_every == 0:
                faces[frame.index] = detector(frame.image)
        warnings = list(frames.warnings)
    scores = shots.table() if settings.shot_scores else {}
    return Survey(np.array(pts), shots.finish(), faces, warnings, scores)


def judge(
    track: LinkedFaces,
    heard: tuple[int, int],
    looked: Mapping[int, Detections],
    settings: FacetrackSettings,
) -> Iterator[tuple[LinkedFaces, str]]:
    """Yield the parts of a track, each with "kept" or the reason why it is not.

    The parts make up the whole track: what has no sound is cut off, what is too long divided.
    """
    reason = KEPT
    if len(track) < settings.min_track:
        reason = "track-too-short"
    elif track.found(looked) < settings.min_found:
        reason = "too-few-detections"
    elif track.height < settings.min_face:
        reason = "face-too-small"
    if reason != KEPT:
        yield track, reason
        return
    start = min(max(track.start, heard[0]), track.stop)
    stop = max(min(track.stop, heard[1]), start)
    if stop - start < settings.min_track:
        yield track, "no-sound"
        return
    for edge in ((track.start, start), (stop, track.stop)):
        if edge[0] < edge[1]:
            yield track.part(*edge), "no-sound"
    for part in split(track.part(start, stop), settings.max_track):
        yield part, KEPT


@dataclass(frozen=True, eq=False)
class NamedTrack:
    """A track that passed, under its key."""

    key: str
    shot: Shot
    index: int
    """Number of the track within the shot, from 0."""
    faces: LinkedFaces
    squares: FloatArray
    """left, top, side of the crop in source pixels; shape (T, 3)."""


def name_tracks(
    video_id: str, kept: list[tuple[Shot, LinkedFaces]], settings: CropSettings
) -> list[NamedTrack]:
    """Number the tracks within their shots, name them and place their crops."""
    named = []
    counts: Counter[int] = Counter()
    for shot, track in kept:
        key = f"{video_id}-{shot.index:04d}-{counts[shot.index]:02d}"
        squares = crop_squares(track.boxes, settings)
        named.append(NamedTrack(key, shot, counts[shot.index], track, squares))
        counts[shot.index] += 1
    return named


def write_pictures(
    path: Path, out: Path, named: list[NamedTrack], settings: FacetrackSettings
) -> tuple[list[NamedTrack], list[NamedTrack]]:
    """Write the crops of all tracks in a second pass over the video.

    Returns
    -------
    clips, stills
        The tracks that were written, and those that turned out to show a photograph.
    """
    if not named:
        return [], []
    jobs = []
    for track in named:
        faces = track.faces
        strays = np.std((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2, axis=0).max()
        watch = bool(strays < settings.still_motion * faces.height)
        jobs.append(CropJob(out / f"{track.key}.mp4", faces.start, track.squares, watch))
    first, last = min(job.start for job in jobs), max(job.stop for job in jobs)
    with media.open_frames(path, start=first, stop=last) as frames:
        changes = write_crops(frames, jobs, settings.crops)
    clips, stills = [], []
    for track, job in zip(named, jobs, strict=True):
        if changes.get(job.path, np.inf) < settings.still_change:
            job.path.unlink()
            stills.append(track)
        else:
            clips.append(track)
    return clips, stills


def clip_facts(clip: NamedTrack, clips: list[NamedTrack], survey: Survey) -> dict[str, JSON]:
    """Return what a report says about a kept track."""
    faces = clip.faces
    together = [o for o in clips if o.faces.start < faces.stop and faces.start < o.faces.stop]
    return {
        "key": clip.key,
        "shot": clip.shot.index,
        "track": clip.index,
        "others": len(together) - 1,
        **faces.facts(survey.faces),
    }


def write_rest(
    out: Path,
    clip: NamedTrack,
    facts: dict[str, JSON],
    sound: Sound,
    survey: Survey,
    source: dict[str, JSON],
    settings: FacetrackSettings,
) -> None:
    """Write the sound and the facts of a kept track."""
    faces = clip.faces
    audio, context = sound.around(faces.start, faces.stop, settings.context)
    (out / f"{clip.key}.flac").write_bytes(media.encode_sound(audio))
    record = {
        **facts,
        "video_id": clip.shot.video_id,
        "num_frames": len(faces),
        "fps": FPS,
        "sample_rate": SAMPLE_RATE,
        "context": context,
        "boxes": _table(faces.boxes, 2),
        "scores": [None if np.isnan(score) else round(float(score), 4) for score in faces.scores],
        "mouths": _table(faces.mouths, 2),
        "squares": _table(clip.squares, 3),
        "pts_s": survey.pts_s[faces.start : faces.stop].round(6).tolist(),
        "source": source,
    }
    text = json.dumps(record, sort_keys=True, allow_nan=False)
    (out / f"{clip.key}.json").write_text(text + "\n", encoding="utf-8")


def _table(values: FloatArray, digits: int) -> list[list[float | None]]:
    """Return an array as nested lists of rounded numbers, None for NaN."""
    rounded = np.round(values, digits).tolist()
    return [[None if value != value else value for value in row] for row in rounded]


def account(
    survey: Survey,
    shots: list[Shot],
    clips: list[NamedTrack],
    rejected: list[tuple[Shot, LinkedFaces, str]],
    has_audio: bool,
    settings: FacetrackSettings,
) -> dict[str, int]:
    """Count every frame once: kept, or under the reason that came furthest.

    Raises
    ------
    RuntimeError
        If the counts do not add up, or a face was found that is in no track, kept or rejected.
    """
    ranks = (KEPT, *REASONS)
    state = np.full(survey.num_frames, ranks.index("no-face"))

    def lower(start: int, stop: int, reason: str) -> None:
        state[start:stop] = np.minimum(state[start:stop], ranks.index(reason))

    for start, stop in survey.boundaries.transitions:
        lower(start, stop, "transition")
    for shot in shots:
        if len(shot) < settings.min_track:
            lower(shot.start, shot.stop, "shot-too-short")
    for _, track, reason in rejected:
        lower(track.start, track.stop, reason)
    if not has_audio:
        lower(0, survey.num_frames, "no-audio")
    for clip in clips:
        lower(clip.faces.start, clip.faces.stop, KEPT)
    lost = [n for n, found in survey.faces.items() if len(found) and ranks[state[n]] == "no-face"]
    counts = {name: int((state == rank).sum()) for rank, name in enumerate(ranks)}
    if lost or sum(counts.values()) != survey.num_frames:
        raise RuntimeError(
            f"got {counts} for {survey.num_frames} frames, of which {lost[:5]} show faces that are "
            "in no track; expected every frame and every face to be accounted for"
        )
    return counts


def source_facts(info: media.MediaInfo) -> dict[str, JSON]:
    """Return what is recorded about a source file; its name, but not where it lies."""
    facts: dict[str, Any] = asdict(info)
    facts["path"] = info.path.name
    return facts
