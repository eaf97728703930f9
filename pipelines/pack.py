"""Clips to shards: choose the split, draw the fault, write in key order.

Everything here is a function of (seed, key) and of what lies on disk, so the shards have the same
bytes whatever the engine, the number of workers, or the number of times a run was killed.

A clip is stored by the facetrack step as a picture file and its sound with some frames of the
source's own sound before and after (the context). A constant offset is then a matter of taking
the sound from elsewhere: the picture keeps its bytes, and no sample is invented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from avbench import media, progress
from avbench.data import JSON, Alignment, FloatArray, IntArray
from avbench.distort import Law, alignment_of, draw_offset, drop_duplicate, rng_for
from avbench.errors import UnknownName, UsageError
from avbench.shards import MANIFEST, Sample, ShardInfo, ShardWriter, to_json, write_atomic
from avbench.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, describe_offset, offset_to_ms

from . import pairs
from .duplicates import TABLE as DUPLICATES
from .files import clean, digest_of
from .splits import SPLITS
from .synctable import TABLE as SYNC
from .units import publish, staging

PACK_VERSION = 1
"""Bumped when the same facetracks and settings would give other bytes."""
MIN_FRAMES = 25
"""A clip is never cut below this many frames to make room for an offset."""

MOUTH = "mouth.mp4"
"""Member of a sample that shows the mouth alone, where mouths are cut."""

Kind = Literal["none", "global", "drop-duplicate"]


@dataclass(frozen=True)
class Distortion:
    """Which synthetic fault every clip gets."""

    kind: Kind = "none"
    max_offset: int = 15
    """Largest offset, or running displacement, in frames."""
    law: Law = "symmetric"
    """Law of drops and duplicates."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownName("distortion", self.kind, get_args(Kind))
        if self.law not in get_args(Law):
            raise UnknownName("law", self.law, get_args(Law))
        if not 5 <= self.max_offset <= 25:
            raise UsageError(f"got --max-offset {self.max_offset}, expected 5 to 25 frames")


class Cut(NamedTuple):
    """A clip with its fault, as indices: what to show, and which sound to play from where."""

    shown: IntArray
    """Source frame at each position; shape (T',)."""
    sound_start: int
    """Source frame at which the sound starts; may lie in the context, below 0."""
    alignment: Alignment
    detail: dict[str, JSON]
    """The fault in numbers."""


def cut_clip(
    num_frames: int, before: int, after: int, distortion: Distortion, rng: np.random.Generator
) -> Cut:
    """Draw the fault of one clip.

    Parameters
    ----------
    num_frames
        Frames of the undamaged clip.
    before, after
        Frames of the source's own sound that exist around it.
    distortion
        What to draw.
    rng
        Source of randomness.

    Notes
    -----
    The law of the offset does not depend on where the clip lies in its source: where an offset
    needs sound that does not exist, the clip is cut to the frames for which it does. Silence in
    its place would give the offset away.
    """
    everything = np.arange(num_frames, dtype=np.int64)
    if distortion.kind == "drop-duplicate":
        shown = drop_duplicate(num_frames, rng=rng, law=distortion.law, limit=distortion.max_offset)
        detail: dict[str, JSON] = {"law": distortion.law, "shown": shown.tolist()}
        return Cut(shown, 0, alignment_of(shown), detail)
    offset = 0
    if distortion.kind == "global":
        limit = min(distortion.max_offset, max(0, num_frames - MIN_FRAMES))
        offset = draw_offset(rng, limit)
    start = max(0, -offset - before)
    stop = num_frames - max(0, offset - after)
    shown = everything[start:stop]
    detail = {} if distortion.kind == "none" else {"frames_cut": [start, num_frames - stop]}
    return Cut(shown, start + offset, Alignment.from_offset(offset, len(shown)), detail)


def cut_corrected(
    num_frames: int,
    before: int,
    after: int,
    distortion: Distortion,
    rng: np.random.Generator,
    early: int,
) -> Cut:
    """Draw the fault of a clip whose sound is moved first, because it is ``early`` frames early.

    Sound for the ends of the clip then comes from the context; where the source has none there,
    the clip is cut to the frames that have sound. Otherwise as `cut_clip`.
    """
    start, stop = max(0, early - before), num_frames - max(0, -early - after)
    inner = cut_clip(
        stop - start, before - early + start, after + early + num_frames - stop, distortion, rng
    )
    shown, detail = inner.shown + start, inner.detail
    if early and distortion.kind != "drop-duplicate":
        detail = {"frames_cut": [int(shown[0]), num_frames - int(shown[-1]) - 1]}
    return Cut(shown, inner.sound_start + start - early, inner.alignment, detail)


def prepare_unit(payload: Mapping[str, JSON]) -> JSON:
    """Write the faulty clips of one video: sound, truth and, where it changed, picture.

    Parameters
    ----------
    payload
        ``facetracks`` (folder of the unit), ``folder`` (where the result goes), ``keys``,
        ``seed``, ``distortion`` and, where sound is to be moved first, ``corrections``: frames by
        which it is early, by key.
    """
    tracks, folder = Path(payload["facetracks"]), Path(payload["folder"])
    distortion, seed = Distortion(**payload["distortion"]), int(payload["seed"])
    moves = payload.get("corrections", {})
    with staging(folder) as part:
        spans = {
            key: _prepare_clip(tracks, key, part, distortion, seed, moves.get(key, 0))
            for key in payload["keys"]
        }
        publish(part, folder, {"spans": spans})
    return None


def _prepare_clip(
    tracks: Path, key: str, part: Path, distortion: Distortion, seed: int, early: int
) -> list[int]:
    """Write one clip; return the frames [start, stop) of the video between which it lies."""
    info = json.loads((tracks / f"{key}.json").read_text("utf-8"))
    frames = int(info["stop"]) - int(info["start"])
    before, after = int(info["context"]["before"]), int(info["context"]["after"])
    rng = rng_for(seed, key, "distortion", distortion.kind)
    cut = cut_corrected(frames, before, after, distortion, rng, early)
    sound = media.read_sound(tracks / f"{key}.flac")
    piece = take_sound(sound, cut.sound_start, len(cut.shown), stored_context(sound, frames))
    (part / f"{key}.flac").write_bytes(media.encode_sound(piece))
    if not np.array_equal(cut.shown, np.arange(frames)):
        for name in (f"{key}.mp4", *(f"{key}.{kind}" for kind in _more(info))):
            (part / name).write_bytes(media.reorder_video(tracks / name, cut.shown))
    alignment = cut.alignment
    if "alignment" in info:
        alignment = truth_after(cut, np.array(info["alignment"], np.int64))
    offset = alignment.offset
    truth: dict[str, JSON] = {
        "alignment": alignment.video_index.tolist(),
        "distortion": {"kind": distortion.kind, "seed": seed, **cut.detail},
        "offset": offset,
        "offset_ms": None if offset is None else offset_to_ms(offset),
        "offset_words": "relative to the source: "
        + ("varies over time" if offset is None else describe_offset(offset)),
    }
    if distortion.kind != "none":
        truth["distortion"]["max_offset"] = distortion.max_offset
    (part / f"{key}.truth.json").write_text(to_json(truth), encoding="utf-8")
    start = int(info["start"])
    return [start + int(cut.shown[0]), start + int(cut.shown[-1]) + 1]


def _more(track: Mapping[str, JSON]) -> tuple[str, ...]:
    """Return the endings of further pictures of a track."""
    return (MOUTH,) if "mouth" in track else ()


def truth_after(cut: Cut, before: IntArray) -> Alignment:
    """Return what is true of a clip with its fault, where it was not in sync before.

    Parameters
    ----------
    cut
        The fault.
    before
        Frame of the undamaged clip that belongs to each 40 ms of its sound; shape (T,). Beyond its
        ends the distance of the nearest end holds.
    """
    frames = _extended(before, cut.sound_start + np.arange(len(cut.shown)))
    if np.all(np.diff(cut.shown) == 1):
        return Alignment(frames - cut.shown[0])
    return Alignment(_extended(alignment_of(cut.shown, len(before)).video_index, frames))


def _extended(values: IntArray, at: IntArray) -> IntArray:
    inside = at.clip(0, len(values) - 1)
    extended: IntArray = values[inside] + (at - inside)
    return extended


def stored_context(sound: FloatArray, num_frames: int) -> int:
    """Return how many frames of context are stored before (and after) a clip's own sound."""
    extra = len(sound) - num_frames * SAMPLES_PER_FRAME
    if extra < 0 or extra % (2 * SAMPLES_PER_FRAME):
        raise ValueError(f"got {len(sound)} samples around {num_frames} frames")
    return extra // (2 * SAMPLES_PER_FRAME)


def take_sound(sound: FloatArray, start: int, num_frames: int, context: int) -> FloatArray:
    """Cut sound that starts at frame ``start`` of the clip, out of sound with context."""
    first = (start + context) * SAMPLES_PER_FRAME
    last = first + num_frames * SAMPLES_PER_FRAME
    if first < 0 or last > len(sound):
        raise ValueError(f"got sound from frame {start} for {num_frames}, beyond the context")
    return sound[first:last]


@dataclass(frozen=True)
class Packed:
    """One clip that is ready to be written."""

    key: str
    split: str
    facetracks: Path
    """Folder of the undamaged clip."""
    prepared: Path
    """Folder that `prepare_unit` filled."""
    source: Mapping[str, JSON]
    """Where it came from: source, path, sha256."""
    sync: Mapping[str, JSON]
    """What the sync step measured and decided."""
    speaker: str = ""
    """Who speaks, where a table says so."""
    date: str = ""
    """When it was recorded, where the division asked for it or a table says so."""
    corpus: Mapping[str, JSON] = field(default_factory=dict)
    """What the corpus that it comes from says of it."""
    faces: Mapping[str, JSON] = field(default_factory=dict)
    """Of the other faces of its frames: by which rule they were kept, and the runner-up, the other
    track that fits the sound best."""


def prepared_folder(work: Path, video_id: str, *parts: JSON) -> Path:
    """Return where the prepared clips of a video belong, by everything they depend on."""
    return work / "pack" / f"{video_id}-{digest_of('pack', PACK_VERSION, *parts)}"


def clear(out: Path, dataset: str) -> None:
    """Remove what an earlier build of the same set left, the manifest first."""
    if (out / MANIFEST).exists():
        (out / "README.md").unlink(missing_ok=True)
    for name in (MANIFEST, "SHA256SUMS", DUPLICATES, pairs.TABLE, SYNC):
        (out / name).unlink(missing_ok=True)
    own = re.compile(rf"{dataset}-({'|'.join(SPLITS)})-\d{{6}}\.(tar|parquet|json)(\.part)?")
    for path in out.iterdir():
        if own.fullmatch(path.name):
            path.unlink()


def write_shards(
    clips: Iterable[Packed],
    out: Path,
    dataset: str,
    *,
    max_count: int,
    max_bytes: int,
    pair_every: int = 0,
    seed: int = 0,
) -> list[ShardInfo]:
    """Write the clips of every split in key order and return the shards.

    Where ``pair_every`` is not 0, each clip gets the pairs of `pipelines.pairs`, and
    ``pairs.parquet`` lists them all.
    """
    told: list[tuple[str, str, JSON]] = []
    by_split: dict[str, list[Packed]] = {}
    for clip in clips:
        by_split.setdefault(clip.split, []).append(clip)
    shards: list[ShardInfo] = []
    for split in sorted(by_split):
        with ShardWriter(out, dataset, split, max_count=max_count, max_bytes=max_bytes) as writer:
            ordered = sorted(by_split[split], key=lambda clip: clip.key)
            for clip in progress.track(ordered, f"pack {split}", len(ordered), "clip"):
                sample, row = load(clip, dataset)
                if pair_every:
                    drawn = pairs.describe(clip.key, sample.alignment, pair_every, seed)
                    sample = replace(sample, info={**sample.info, "pairs": drawn})
                    told.append((split, clip.key, drawn))
                writer.add(sample, **row)
        shards.extend(writer.shards)
    if shards:
        sums = "".join(f"{info.sha256}  {info.name}\n" for info in shards)
        write_atomic(out / "SHA256SUMS", sums.encode())
    if told:
        pairs.write(out, told)
    return shards


def load(clip: Packed, dataset: str) -> tuple[Sample, dict[str, JSON]]:
    """Read one prepared clip as the sample to store and its row of the index."""
    track = json.loads((clip.facetracks / f"{clip.key}.json").read_text("utf-8"))
    truth = json.loads((clip.prepared / f"{clip.key}.truth.json").read_text("utf-8"))
    speaker = clip.speaker or track.get("speaker", "")

    def picture(kind: str) -> bytes:
        changed = clip.prepared / f"{clip.key}.{kind}"
        return (changed if changed.exists() else clip.facetracks / changed.name).read_bytes()

    alignment = Alignment(np.array(truth.pop("alignment"), dtype=np.int64))
    info = {
        "key": clip.key,
        "dataset": dataset,
        "split": clip.split,
        "num_frames": len(alignment),
        "fps": FPS,
        "sample_rate": SAMPLE_RATE,
        **truth,
        **({"speaker": speaker} if speaker else {}),
        **({"date": clip.date} if clip.date else {}),
        "sync": dict(clip.sync),
        "source": dict(clip.source),
        "facetrack": clean(track),
        "faces": {"co_visible": track.get("co_visible"), **clip.faces},
        **({"corpus": dict(clip.corpus)} if clip.corpus else {}),
    }
    sample = Sample(
        key=clip.key,
        video=picture("mp4"),
        sound=(clip.prepared / f"{clip.key}.flac").read_bytes(),
        alignment=alignment,
        info=info,
        more={kind: picture(kind) for kind in _more(track)},
    )
    row = {
        "video_id": track["video_id"],
        "source": clip.source["source"],
        "path": clip.source["path"],
        **({"speaker": speaker} if speaker else {}),
        **({"date": clip.date} if clip.date else {}),
        "shot": track["shot"],
        "track": track["track"],
        "start": track["start"],
        "stop": track["stop"],
        "co_visible": _number(track.get("co_visible")),
        "runner_up_confidence": _number((clip.faces.get("runner_up") or {}).get("confidence")),
        "distortion": truth["distortion"]["kind"],
        # Nullable columns keep one type in every shard, whatever its first row holds.
        "offset": _number(truth["offset"]),
        "sync_offset": _number(clip.sync.get("offset")),
        "sync_confidence": _number(clip.sync.get("confidence")),
        "sync_min_distance": _number(clip.sync.get("min_distance")),
        "sync_p_value": _number(clip.sync.get("p_value")),
        "sync_at_edge": bool(clip.sync.get("at_edge", False)),
        "sync_correction": int(clip.sync.get("correction", 0)),
        "sync_note": clip.sync.get("note", ""),
    }
    return sample, row


def _number(value: JSON) -> float:
    return float("nan") if value is None else float(value)
