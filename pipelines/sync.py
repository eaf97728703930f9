"""Measure how every clip's sound sits against its picture, and decide which clips to keep.

The measure is that of SyncNet (Chung and Zisserman, 2016): embeddings of five-frame windows,
their mean distance at each offset within 15 frames, the offset of least distance, and as
confidence the median of the distances minus the least. Where the clip is stored with its source's
own sound before and after, that sound is used, so that every offset is judged on the same
pictures; nothing is padded.

Measuring is slow and cached by clip and checkpoint; deciding is a pure function of the measures
and the thresholds, so other thresholds cost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from avbench import media, similarity
from avbench.data import JSON, FloatArray
from avbench.errors import DataError, UnknownName, UsageError
from avbench.timing import SAMPLES_PER_FRAME

from .pack import stored_context
from .units import digest_of, hash_file, publish, staging

if TYPE_CHECKING:
    from avbench.models.two_stream import Extractor

SYNC_VERSION = 1
"""Bumped when the same clip and checkpoint would measure otherwise."""
SEARCH = 15
"""Largest offset looked for, in frames (0.6 s)."""
MIN_WINDOWS = 10
"""Fewest five-frame windows that every offset must be judged on."""
SILENCE = 1e-4
"""Root mean square below which there is no sound to judge (-80 dB)."""
MODES = ("off", "record", "filter")

Mode = Literal["off", "record", "filter"]


@dataclass(frozen=True)
class SyncSettings:
    """What to measure, and what a clip must reach."""

    mode: Mode = "record"
    """off: nothing is measured. record: the measure is stored. filter: and clips that miss the
    thresholds are rejected."""
    min_confidence: float = 0.12
    """Of 132 drawn clips with the sound of another clip, 5 % of those of 3 s and 2 % of those of
    6 s reach 0.12 with the shipped net; of 24 of 3 s with their own sound, all do."""
    max_offset: int = 3
    """Largest measured offset of a clip that counts as in sync, in frames."""
    checkpoint: Path | None = None
    """The shipped SyncNet where None."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UnknownName("sync mode", self.mode, get_args(Mode))
        if not 0 <= self.max_offset <= SEARCH:
            raise UsageError(
                f"got a largest sync offset of {self.max_offset}, expected 0 to {SEARCH} frames"
            )


def offset_distances(video: FloatArray, sound: FloatArray, before: int) -> FloatArray:
    """Return the mean distance of picture and sound at every offset within `SEARCH`.

    Parameters
    ----------
    video
        One embedding per five-frame window; shape (N, D).
    sound
        The same for the sound, which starts ``before`` frames earlier; shape (A, D).

    Returns
    -------
    FloatArray
        Offsets ascending, lower is better; shape (2 * SEARCH + 1,).
    """
    reach = SEARCH + before
    every = similarity.sliding_distances(video, sound, reach, edge="valid")
    # Row 0 of the sound is audio frame -before, so a true offset k shows as k - before.
    return every[: 2 * SEARCH + 1]


def fewest_windows(num_frames: int, before: int, after: int) -> int:
    """Return how many windows the worst offset within `SEARCH` is judged on."""
    rows = num_frames - 4
    return min(rows, rows - (SEARCH - before), rows - (SEARCH - after))


def measure(info: Mapping[str, JSON], folder: Path, extractor: Extractor) -> dict[str, JSON]:
    """Measure one stored clip; a clip that cannot be measured gets a note that says why."""
    key = info["key"]
    frames = int(info["stop"]) - int(info["start"])
    audio = media.read_sound(folder / f"{key}.flac")
    context = stored_context(audio, frames)
    before = min(int(info["context"]["before"]), context)
    after = min(int(info["context"]["after"]), context)
    if fewest_windows(frames, before, after) < MIN_WINDOWS:
        return {"note": f"too short to score: {frames} frames"}
    first, last = context - before, context + frames + after
    audio = audio[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
    own = audio[before * SAMPLES_PER_FRAME : (before + frames) * SAMPLES_PER_FRAME]
    if float(np.sqrt(np.mean(np.square(own, dtype=np.float64)))) < SILENCE:
        return {"note": "no sound to score: silent"}
    video = extractor.embed(media.read_video(folder / f"{key}.mp4"), own).video
    sound = extractor.embed_sound(audio)
    distances = offset_distances(video, sound, before)
    offset, distance, confidence = similarity.pick_offset(distances, SEARCH)
    return {
        "offset": offset,
        # Four digits: the last ones differ between processors.
        "min_distance": round(distance, 4),
        "confidence": round(confidence, 4),
        "windows": len(video),
        "search": SEARCH,
    }


def score_unit(payload: Mapping[str, JSON]) -> JSON:
    """Measure every clip of one video.

    Parameters
    ----------
    payload
        ``facetracks`` (folder of the unit), ``folder`` (where the result goes), ``keys`` and
        ``checkpoint`` (path or None).
    """
    tracks, folder = Path(payload["facetracks"]), Path(payload["folder"])
    extractor = _extractor(payload["checkpoint"])
    scores = {}
    for key in payload["keys"]:
        info = json.loads((tracks / f"{key}.json").read_text("utf-8"))
        scores[key] = {
            "checkpoint": extractor.id,
            **measure({**info, "key": key}, tracks, extractor),
        }
    with staging(folder) as part:
        publish(part, folder, {"scores": scores})
    return None


@lru_cache(maxsize=1)
def _extractor(checkpoint: str | None) -> Extractor:
    from avbench.models.checkpoint import load_extractor

    try:
        return load_extractor(None if checkpoint is None else Path(checkpoint))
    except DataError as error:
        # Not the fault of the video that happens to be scored: this must end the run.
        raise UsageError(str(error)) from error


def checkpoint_digest(checkpoint: Path | None) -> str:
    """Return the identity of a checkpoint file, without loading it.

    Raises
    ------
    UsageError
        If there is none.
    """
    from importlib.resources import files

    path = checkpoint or Path(str(files("avbench.checkpoints"))) / "syncnet.safetensors"
    try:
        return hash_file(path)
    except OSError as error:
        raise UsageError(
            f"sync scoring needs the checkpoint {path}, which cannot be read ({error.strerror}); "
            "train one with 'avbench train --method syncnet', or pass --sync off"
        ) from error


def scores_folder(work: Path, video_id: str, *parts: JSON) -> Path:
    """Return where the scores of a video belong, by everything they depend on."""
    return work / "sync" / f"{video_id}-{digest_of('sync', SYNC_VERSION, SEARCH, *parts)}"


def decide(score: Mapping[str, JSON], settings: SyncSettings) -> str:
    """Say why a clip is left out, or an empty string where it stays.

    >>> decide({"offset": 9, "confidence": 0.9}, SyncSettings("filter", 0.1, 3))
    'sync: offset beyond 3 frames'
    >>> decide({"offset": 9, "confidence": 0.9}, SyncSettings("record"))
    ''
    """
    if settings.mode != "filter":
        return ""
    if "note" in score:
        return "sync: " + str(score["note"]).partition(":")[0]
    if score["confidence"] < settings.min_confidence:
        return f"sync: confidence below {settings.min_confidence:g}"
    if abs(score["offset"]) > settings.max_offset:
        return f"sync: offset beyond {settings.max_offset} frames"
    return ""
