"""Facetracks that others have found: whole pictures that are crops, or boxes of faces by frame.

The result is that of `pipelines.facetracks.process_video`, one picture, one sound and one record
for each track, and every frame is accounted for; no face is looked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from avbench import media
from avbench.data import JSON, FloatArray, Shot
from avbench.errors import DataError
from avbench.shards import write_atomic
from avbench.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from pipelines.crops import CropSettings, Sound, crop_squares
from pipelines.cutting import KEPT, NamedTrack, Tracks, parts_of, reader
from pipelines.facetracks import REASONS, UnitReport, clip_facts, source_facts, write_rest
from pipelines.settings import FacetrackSettings
from pipelines.several import Span, beside
from pipelines.tracking import LinkedFaces


@dataclass(frozen=True, eq=False)
class Given:
    """A facetrack that is known beforehand."""

    start: int
    """First frame in the 25 fps video."""
    boxes: Sequence[Sequence[float]]
    """x0, y0, x1, y1 of the face as shares of the picture's width; one row per frame."""
    facts: Mapping[str, JSON] = field(default_factory=dict)
    """What goes into its record."""
    by_frame: Mapping[str, Sequence[JSON]] = field(default_factory=dict)
    """The same, one value per frame."""
    alignment: Sequence[int] = ()
    """Frame of the video that belongs to each 40 ms of its sound, where it is not in sync."""

    def as_json(self) -> dict[str, JSON]:
        """Return all of it as a JSON object."""
        return {
            "start": self.start,
            "boxes": [list(map(float, box)) for box in self.boxes],
            "facts": dict(self.facts),
            "by_frame": {name: list(values) for name, values in self.by_frame.items()},
            "alignment": list(self.alignment),
        }


@contextmanager
def mended(path: Path, sound: Path | None, offset: int) -> Iterator[Path]:
    """Give a video whose sound lies beside it, or is off by a known offset, as one in sync.

    Parameters
    ----------
    path
        The video; where nothing is to mend, it is what comes back.
    sound
        A file with its sound, whose first sample belongs to the first picture; the video's own
        sound where None.
    offset
        Offset of the sound in frames (positive: it is early); it is delayed by as much.

    Notes
    -----
    The picture is copied as it is coded, into a file that goes when the context ends.
    """
    if sound is None and offset == 0:
        yield path
        return
    info = media.probe(path)
    audio = media.read_track(sound) if sound else media.read_audio(path)
    audio = moved(audio, offset)
    # A picture that starts late keeps its time in the new file, and so must its sound.
    lead = np.zeros(round(max(info.video_start_s, 0.0) * SAMPLE_RATE), np.float32)
    whole = media.join(path.read_bytes(), media.encode_sound(np.concatenate([lead, audio])))
    with tempfile.TemporaryDirectory(prefix="avbench-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(whole)
        yield copy


def moved(audio: FloatArray, offset: int) -> FloatArray:
    """Delay sound by so many frames: zeros come first; negative: its beginning goes.

    >>> moved(np.ones(1280, np.float32), 1)[[0, 639, 640, -1]].tolist()
    [0.0, 0.0, 1.0, 1.0]
    >>> len(moved(np.ones(1280, np.float32), -1))
    640
    """
    if offset < 0:
        return audio[-offset * SAMPLES_PER_FRAME :]
    return np.concatenate([np.zeros(offset * SAMPLES_PER_FRAME, np.float32), audio])


def process_given(
    path: Path,
    video_id: str,
    out: Path,
    settings: FacetrackSettings,
    given: Sequence[Given] | None = None,
    offset: int = 0,
    alignment: Sequence[int] = (),
) -> UnitReport:
    """Write the facetracks of one video that are known beforehand.

    Parameters
    ----------
    path, video_id, out, settings
        As for `pipelines.facetracks.process_video`; of the settings, lengths, crops and the
        context of the sound count.
    given
        The facetracks; where None the whole picture is one, and is scaled, not cut.
    offset
        Frames by which the sound was delayed already: that many at the start hold none.
    alignment
        As in `Given`, where the whole picture is one facetrack.

    Raises
    ------
    DataError
        If the file is not a video that can be read, or has no sound.
    """
    info = media.probe(path)
    if info.audio_codec is None:
        raise DataError(f"{path.name}: has no sound; put the file that holds it in its place.")
    pts, warnings = _look(path)
    if len(alignment) not in (0, len(pts)):
        raise DataError(
            f"{path.name}: its text gives the alignment of {len(alignment)} frames and it has "
            f"{len(pts)}; mend the text."
        )
    sound = Sound.read(path, info)
    first = min(max(sound.heard[0], offset), sound.heard[1])
    heard = first, min(sound.heard[1], len(pts))
    sound = Sound(sound.audio, (first, sound.heard[1]), sound.warnings)
    whole = given is None
    tracks = [_whole(len(pts), info, alignment)] if given is None else given
    shot = Shot(video_id, 0, 0, len(pts))
    kept, stored = Tracks(), False
    for track, part, reason, count in _parts(tracks, info.width, heard, shot, settings):
        facts = part.facts(()) | {"found": None, "co_visible": count}
        if reason != KEPT:
            kept.refuse(shot, facts, reason)
            continue
        squares = _square(len(part), info) if whole else crop_squares(part.boxes, settings.crops)
        facts |= _facts_of(track, part.start, part.stop)
        clip = kept.name(shot, part, squares, facts)
        stored = whole and _is_stored(info, pts, clip, settings.crops)
        if stored and not settings.mouth.size:
            kept.keep(clip)
        else:
            kept.wait(clip, replace(clip.job(out, settings), watch=False))
    kept.write_waiting(reader(path), settings)
    named, source = kept.clips(), source_facts(info)
    if named and stored:
        write_atomic(out / f"{named[0].key}.mp4", media.join(path.read_bytes(), None))
    for clip in named:
        write_rest(out, clip, named, sound, pts, source, settings)
    return UnitReport(
        video_id=video_id,
        source=source,
        num_frames=len(pts),
        shots=[[0, len(pts)]],
        transitions=[],
        tracks=[clip_facts(clip, named) for clip in named],
        rejected=kept.rejected,
        frames=_account(len(pts), named, kept.rejected),
        warnings=warnings + sound.warnings,
    )


def _look(path: Path) -> tuple[list[float], list[str]]:
    """Return the times of all pictures, and what is wrong with them."""
    with media.open_frames(path) as frames:
        pts = [frame.pts_s for frame in frames]
        return pts, list(frames.warnings)


def _account(
    num_frames: int, kept: Sequence[NamedTrack], rejected: Sequence[Mapping[str, JSON]]
) -> dict[str, int]:
    """Count every frame once: kept, or under the reason that came furthest."""
    ranks = (KEPT, *REASONS)
    state = np.full(num_frames, ranks.index("no-face"))
    spans = [(r["start"], r["stop"], ranks.index(r["reason"])) for r in rejected]
    for start, stop, rank in [*spans, *((t.faces.start, t.faces.stop, 0) for t in kept)]:
        state[start:stop] = np.minimum(state[start:stop], rank)
    return {name: int((state == rank).sum()) for rank, name in enumerate(ranks)}


def _whole(num_frames: int, info: media.MediaInfo, alignment: Sequence[int]) -> Given:
    """Return the track that fills the picture."""
    boxes = [(0.0, 0.0, 1.0, info.height / info.width)] * num_frames
    return Given(0, boxes, {"crop": "whole"}, alignment=alignment)


def _is_stored(
    info: media.MediaInfo, pts: Sequence[float], track: NamedTrack, settings: CropSettings
) -> bool:
    """Return whether the whole file is a crop as it is stored: to code it anew would only harm."""
    times = np.array(pts) - pts[0] - np.arange(len(pts)) / FPS
    return (
        info.video_codec == "h264"
        and (info.width, info.height, info.rotation) == (settings.size, settings.size, 0)
        and len(track.faces) == len(pts)
        and bool(np.abs(times).max() < 1e-3)
    )


def _square(num_frames: int, info: media.MediaInfo) -> FloatArray:
    """Return the square around the whole picture, for every frame."""
    side = max(info.width, info.height)
    corner = (info.width - side) / 2, (info.height - side) / 2
    return np.tile([*corner, float(side)], (num_frames, 1))


def _faces(track: Given, width: int, num_frames: int) -> LinkedFaces:
    """Return a given track in pixels, without what lies past the end of the video."""
    last = max(min(len(track.boxes), num_frames - track.start), 0)
    boxes = np.array(track.boxes[:last], np.float64).reshape(-1, 4) * width
    return LinkedFaces(track.start, boxes, np.full(last, np.nan), np.full((last, 2), np.nan))


def _parts(
    tracks: Sequence[Given],
    width: int,
    heard: tuple[int, int],
    shot: Shot,
    settings: FacetrackSettings,
) -> Iterator[tuple[Given, LinkedFaces, str, int]]:
    """Yield the parts of all tracks, each with "kept" or the reason why it is not.

    The number is that of the most other faces in one of its frames.
    """
    faces = [_faces(track, width, len(shot)) for track in tracks]
    for track, own in zip(tracks, faces, strict=True):
        others = [(other.start, other.stop) for other in faces if other is not own]
        for part, reason in _judge(own, heard, settings, others):
            count = beside((part.start, part.stop), others).max(initial=0)
            yield track, part, reason, int(count)


def _judge(
    faces: LinkedFaces,
    heard: tuple[int, int],
    settings: FacetrackSettings,
    others: Sequence[Span],
) -> Iterator[tuple[LinkedFaces, str]]:
    """Yield the parts of a track, each with "kept" or the reason why it is not."""
    if len(faces) < settings.min_track:
        if len(faces):
            yield faces, "track-too-short"
        return
    start = min(max(faces.start, heard[0]), faces.stop)
    stop = max(min(faces.stop, heard[1]), start)
    if stop - start < settings.min_track:
        yield faces, "no-sound"
        return
    for edge in ((faces.start, start), (stop, faces.stop)):
        if edge[0] < edge[1]:
            yield faces.part(*edge), "no-sound"
    yield from parts_of(faces.part(start, stop), settings, others)


def _facts_of(track: Given, start: int, stop: int) -> dict[str, JSON]:
    """Return the facts of frames ``[start, stop)`` of a track."""
    rows = slice(start - track.start, stop - track.start)
    facts = {**track.facts, **{name: list(v[rows]) for name, v in track.by_frame.items()}}
    if len(track.alignment):
        facts["alignment"] = [frame - start for frame in track.alignment[rows]]
    return facts
