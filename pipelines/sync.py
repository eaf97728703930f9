"""Measure how every clip's sound sits against its picture, and decide which clips to keep.

The measure is that of SyncNet (Chung and Zisserman, 2016): embeddings of five-frame windows,
their mean distance at each offset within 15 frames, the offset of least distance, and as
confidence the median of the distances minus the least. The confidence of a frame is that median
minus the frame's own distance at the chosen offset, median-filtered over 9 frames, as in the code
that was released with it. Where the clip is stored with its source's own sound before and after,
that sound is used, so that every offset is judged on the same pictures; nothing is padded.

How sure an offset is comes from `pipelines.calibration`: from the same pictures with sound that is
known not to belong. Measuring is slow and cached by clip and checkpoint; deciding is a pure
function of the measures of a set and the thresholds, so other thresholds cost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from avbench import media, similarity
from avbench.data import JSON, FloatArray
from avbench.errors import DataError, UnknownName, UsageError
from avbench.timing import SAMPLES_PER_FRAME

from .calibration import Calibration, largest_p, others_height, own_heights, scale_of
from .files import digest_of, hash_file
from .pack import stored_context
from .units import publish, staging

if TYPE_CHECKING:
    from avbench.models.two_stream import Extractor

SYNC_VERSION = 2
"""Bumped when the same clip and checkpoint would measure otherwise."""
SEARCH = 15
"""Largest offset looked for, in frames (0.6 s)."""
MIN_WINDOWS = 10
"""Fewest five-frame windows that every offset must be judged on."""
SILENCE = 1e-4
"""Root mean square below which there is no sound to judge (-80 dB)."""
OTHERS = 4
"""Tracks of the same source whose sound each track is paired with to see how high chance comes."""
SMOOTHING = 9
"""Length of the median filter over the confidence of frames (the released SyncNet)."""
_PIECE = 16
"""Pictures that are read at a time: what they take stays in the processor's cache."""
MODES = ("off", "record", "filter")

Mode = Literal["off", "record", "filter"]


@dataclass(frozen=True)
class SyncSettings:
    """What to measure, and what a clip must reach."""

    mode: Mode = "record"
    """off: nothing is measured. record: the measure is stored. filter: and clips that miss the
    thresholds are rejected."""
    false_keep: float = 0.01
    """Share of clips with sound that does not belong that may be kept."""
    min_confidence: float | None = None
    """A fixed least confidence instead, which means something else for every checkpoint."""
    max_offset: int = 3
    """Largest measured offset of a clip that counts as in sync, in frames."""
    correct: bool = False
    """Move the sound of clips by their measured offset, where that is sure; any offset inside the
    search then counts as in sync, if what is measured afterwards lies within a frame."""
    checkpoint: Path | None = None
    """The shipped SyncNet where None."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UnknownName("sync mode", self.mode, get_args(Mode))
        if not 0 <= self.max_offset <= SEARCH:
            raise UsageError(
                f"got a largest sync offset of {self.max_offset}, expected 0 to {SEARCH} frames"
            )
        if not 0 < self.false_keep < 1:
            raise UsageError(f"got --false-keep {self.false_keep}, expected more than 0, below 1")

    @property
    def largest_p(self) -> float:
        """Largest p-value of a clip that is kept."""
        accepted = 2 * SEARCH - 1 if self.correct else 2 * self.max_offset + 1
        return largest_p(self.false_keep, accepted, SEARCH)


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
    return similarity.sliding_distances(video, sound, SEARCH, edge="valid", lead=before)


def fewest_windows(num_frames: int, before: int, after: int) -> int:
    """Return how many windows the worst offset within `SEARCH` is judged on."""
    rows = num_frames - 4
    return min(rows, rows - (SEARCH - before), rows - (SEARCH - after))


class Rows(NamedTuple):
    """The embeddings of one clip."""

    video: FloatArray
    """Shape (N, D)."""
    sound: FloatArray
    """Shape (A, D)."""
    before: int
    """Frames by which the sound starts earlier."""


def embed(
    info: Mapping[str, JSON], folder: Path, extractor: Extractor, *, seen: bool = True
) -> Rows | str:
    """Embed one stored clip with the sound around it, or say why it cannot be measured.

    Where it is not ``seen``, there are no embeddings of its picture.
    """
    key = info["key"]
    frames = int(info["stop"]) - int(info["start"])
    audio = media.read_sound(folder / f"{key}.flac")
    context = stored_context(audio, frames)
    before = min(int(info["context"]["before"]), context)
    after = min(int(info["context"]["after"]), context)
    if fewest_windows(frames, before, after) < MIN_WINDOWS:
        return f"too short to score: {frames} frames"
    first, last = context - before, context + frames + after
    audio = audio[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
    own = audio[before * SAMPLES_PER_FRAME : (before + frames) * SAMPLES_PER_FRAME]
    if float(np.sqrt(np.mean(np.square(own, dtype=np.float64)))) < SILENCE:
        return "no sound to score: silent"
    sound = extractor.embed_sound(audio)
    if not seen:
        return Rows(np.zeros((0, sound.shape[1])), sound, before)
    pieces = media.read_pieces(folder / f"{key}.mp4", _PIECE)
    return Rows(extractor.embed_pieces(pieces), sound, before)


def measure(rows: Rows) -> dict[str, JSON]:
    """Measure one clip: offset, confidence, curve, confidence of frames, and height over chance."""
    video, sound, before = rows
    distances = offset_distances(video, sound, before)
    offset, distance, confidence = similarity.pick_offset(distances, SEARCH)
    scale = scale_of(video, sound)
    share = _share_with_sound(rows, offset)
    frames = similarity.frame_confidence(video, sound, SEARCH, before, SMOOTHING)
    return {
        "offset": offset,
        # Four digits: the last ones differ between processors.
        "min_distance": round(distance, 4),
        "confidence": round(confidence, 4),
        "windows": len(video),
        "search": SEARCH,
        "at_edge": abs(offset) == SEARCH,
        "height": round(scale.height(distance, share), 3),
        "distances": np.round(distances, 4).tolist(),
        "frame_confidence": frames.round(3).tolist(),
        "wrong": [round(h, 3) for h in own_heights(video, sound, before, SEARCH, scale)],
    }


def _share_with_sound(rows: Rows, offset: int) -> float:
    heard = np.arange(len(rows.video)) - offset + rows.before
    return float(np.mean((heard >= 0) & (heard < len(rows.sound))))


def pair_wrongly(
    rows: Mapping[str, Rows],
    spans: Mapping[str, tuple[int, int]],
    keys: Iterable[str] | None = None,
) -> dict[str, list[float]]:
    """Return the heights of tracks with the sound of others of their source, by key.

    Parameters
    ----------
    rows
        Embeddings by key.
    spans
        Frames [start, stop) of each in the source, in the order in which others are asked; tracks
        that share sound with one another, or nearly so, are no strangers.
    keys
        Of the tracks; of all where None.
    """
    found, order = {}, list(spans)
    for key in order if keys is None else keys:
        number = order.index(key)
        others = strangers(key, [*order[number + 1 :], *order[:number]], spans)[:OTHERS]
        found[key] = [
            round(others_height(rows[key].video, rows[other].sound, rows[other].before, SEARCH), 3)
            for other in others
        ]
    return found


def strangers(key: str, others: Iterable[str], spans: Mapping[str, tuple[int, int]]) -> list[str]:
    """Return those of the other tracks whose sound lies apart from that of one."""
    (start, stop), gap = spans[key], 4 * SEARCH
    return [k for k in others if spans[k][0] >= stop + gap or spans[k][1] + gap <= start]


def corrected(rows: Rows, offset: int) -> dict[str, JSON]:
    """Measure a clip again with its sound moved by its offset."""
    moved = Rows(rows.video, rows.sound, rows.before - offset)
    distances = offset_distances(*moved)
    after, distance, confidence = similarity.pick_offset(distances, SEARCH)
    return {
        "offset": after,
        "min_distance": round(distance, 4),
        "confidence": round(confidence, 4),
    }


def score_unit(payload: Mapping[str, JSON]) -> JSON:
    """Measure every clip of one video, or some of them.

    Parameters
    ----------
    payload
        ``facetracks`` (folder of the unit), ``folder`` (where the result goes), ``keys``,
        ``checkpoint`` (path or None) and, where not all are to be measured, ``only``: keys that
        follow each other.
    """
    tracks, folder, keys = Path(payload["facetracks"]), Path(payload["folder"]), payload["keys"]
    own = payload.get("only", keys)
    extractor = _extractor(payload["checkpoint"])
    scores: dict[str, dict[str, JSON]] = {}
    rows: dict[str, Rows] = {}
    spans: dict[str, tuple[int, int]] = {}

    def meet(key: str, seen: bool) -> str:
        info = json.loads((tracks / f"{key}.json").read_text("utf-8"))
        found = embed({**info, "key": key}, tracks, extractor, seen=seen)
        if isinstance(found, str):
            return found
        rows[key], spans[key] = found, (int(info["start"]), int(info["stop"]))
        return ""

    for key in own:
        scores[key] = {"checkpoint": extractor.id}
        if note := meet(key, True):
            scores[key]["note"] = note
            continue
        scores[key] |= measure(rows[key])
        if scores[key]["offset"] and not scores[key]["at_edge"]:
            scores[key]["corrected"] = corrected(rows[key], scores[key]["offset"])
    measured, begin = list(rows), keys.index(own[0]) if own else 0

    def enough() -> bool:
        """Say whether every clip has met others whose sound it may borrow, in their order."""
        order = list(spans)
        ahead = ((key, order[order.index(key) + 1 :]) for key in measured)
        return all(len(strangers(key, others, spans)) >= OTHERS for key, others in ahead)

    for key in [*keys[begin + len(own) :], *keys[:begin]]:
        if enough():
            break
        meet(key, False)
    for key, heights in pair_wrongly(rows, spans, measured).items():
        scores[key]["wrong"] += heights
    with staging(folder) as part:
        publish(part, folder, {"scores": scores})
    return None


def warm_up(checkpoint: str | None, payload: Mapping[str, JSON]) -> JSON:
    """Load what takes longest to load: PyTorch, and the network."""
    _extractor(checkpoint)
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


def calibrate(scores: Iterable[Mapping[str, JSON]]) -> Calibration:
    """Pool the wrong pairs of the measures of a set."""
    return Calibration.of(height for score in scores for height in score.get("wrong", ()))


def judge(
    score: Mapping[str, JSON], calibration: Calibration, settings: SyncSettings
) -> dict[str, JSON]:
    """Return what is stored of a measure: with its p-value, without the wrong pairs.

    Where sound is to be moved, ``correction`` says by how many frames: it then starts so much
    later, and what was measured afterwards is under ``corrected``.
    """
    kept = {name: value for name, value in score.items() if name not in ("wrong", "corrected")}
    if "note" in score:
        return kept
    chance = calibration.p_value(score["height"], score["windows"], SEARCH)
    # Two digits say all that is known of so rare an event.
    kept["p_value"] = float(f"{chance:.2g}")
    if settings.correct and "corrected" in score and kept["p_value"] <= settings.largest_p:
        kept |= {"correction": score["offset"], "corrected": score["corrected"]}
    return kept


def decide(score: Mapping[str, JSON], settings: SyncSettings) -> str:
    """Say why a clip that was judged is left out, or an empty string where it stays.

    >>> decide({"offset": 9, "confidence": 0.9, "p_value": 0.001}, SyncSettings("filter"))
    'sync: offset beyond 3 frames'
    >>> decide({"offset": 9, "confidence": 0.9, "p_value": 0.2}, SyncSettings("record"))
    ''
    """
    if settings.mode != "filter":
        return ""
    if "note" in score:
        return "sync: " + str(score["note"]).partition(":")[0]
    if settings.min_confidence is not None:
        if score["confidence"] < settings.min_confidence:
            return f"sync: confidence below {settings.min_confidence:g}"
    elif score["p_value"] > settings.largest_p:
        return f"sync: sound may not belong (p above {settings.largest_p:.2g})"
    if score.get("at_edge"):
        return "sync: offset at the edge of the search"
    if "correction" in score:
        settled = abs(score["corrected"]["offset"]) <= 1
        return "" if settled else "sync: offset does not settle when corrected"
    if abs(score["offset"]) > settings.max_offset:
        return f"sync: offset beyond {settings.max_offset} frames"
    return ""


def calibration_facts(calibration: Calibration, settings: SyncSettings) -> dict[str, JSON]:
    """Return what a set's manifest says of how its sync was judged."""
    height = calibration.threshold(settings.largest_p)
    return {
        "wrong_pairs": len(calibration.wrong),
        "false_keep": settings.false_keep,
        "largest_p": float(f"{settings.largest_p:.4g}"),
        "least_height": None if height is None else round(height, 3),
    }
