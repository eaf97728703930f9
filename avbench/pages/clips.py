"""What a page shows of a kept clip: stills, a file that plays, and the sync curve."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avbench import media, similarity
from avbench.data import JSON, UInt8Array
from avbench.shards import Sample, decode_sample
from avbench.timing import describe_offset, offset_to_ms

STILLS = 5
"""Pictures of a clip on the contact sheet, evenly spread from the first to the last."""
STILL_SIDE, POSTER_SIDE = 96, 224
"""Sides in pixels."""
SEARCH = 15
"""Largest offset of a curve that is measured for a page, in frames."""

Measure = Callable[[Sample], Sequence[float]]
"""From a stored clip to its mean distance at every offset, ascending; empty where too short."""


@dataclass(frozen=True)
class View:
    """A clip made ready for a page."""

    stills: Sequence[tuple[int, str]]
    """Frame within the clip, and its picture as a data URI."""
    poster: str
    film: str
    """Address of the file that plays: a data URI, or a path from the page."""
    first: int | None
    """Source frame that the clip begins with, where it shows the frames as they follow."""
    curve: Sequence[float] = ()
    best: int = 0
    """Offset of least distance on the curve."""
    curve_of: str = ""
    """What the curve was measured on."""
    drift: Sequence[int] = ()
    """The alignment, where it is not one offset."""


def view(sample: Sample, film: str, measure: Measure | None = None) -> View:
    """Make a clip ready for a page.

    Parameters
    ----------
    sample
        The stored clip.
    film
        As in `View`.
    measure
        Measures the curve of the clip; without it the page shows the stored one, if any.
    """
    frames = media.read_video(sample.video)
    chosen = np.unique(np.linspace(0, len(frames) - 1, STILLS).round().astype(int))
    stills = [(int(n), _still(frames[n], STILL_SIDE)) for n in chosen]
    cut = sample.info.get("distortion") or {}
    facts = sample.info.get("facetrack") or {}
    first = None
    if "shown" not in cut and "start" in facts:
        first = int(facts["start"]) + int((cut.get("frames_cut") or [0])[0])
    values = list(measure(sample)) if measure else stored_curve(sample.info.get("sync") or {})
    best = similarity.pick_offset(np.array(values), len(values) // 2)[0] if values else 0
    varies = sample.alignment.offset is None
    poster = _still(frames[len(frames) // 2], POSTER_SIDE)
    drift = sample.alignment.video_index.tolist() if varies else []
    curve_of = "in this clip as it is stored" if measure else "in the source"
    return View(stills, poster, film, first, values, best, curve_of, drift)


def stored_curve(sync: Mapping[str, JSON]) -> list[float]:
    """Return the mean distance at every candidate offset, where the set holds it."""
    values = sync.get("distances")
    if isinstance(values, list) and len(values) % 2 and len(values) > 1:
        return [float(value) for value in values]
    return []


def measure_with(checkpoint: str | None) -> Measure:
    """Return a function that measures curves of stored clips with a SyncNet.

    Parameters
    ----------
    checkpoint
        Path of a checkpoint; the shipped one where None.
    """
    from pathlib import Path

    from avbench.models.checkpoint import load_extractor

    extractor = load_extractor(None if checkpoint is None else Path(checkpoint))

    def measure(sample: Sample) -> Sequence[float]:
        clip = decode_sample(sample)
        found = extractor.embed(clip.frames, clip.audio)
        reach = min(SEARCH, len(found.video) - 1)
        if reach < 1:
            return []
        # Each offset is judged on the pictures that have sound there: nothing is padded.
        curve = similarity.sliding_distances(found.video, found.audio, reach, edge="valid")
        return [round(float(value), 4) for value in curve]

    return measure


def data_uri(kind: str, content: bytes) -> str:
    """Return a file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def sync_facts(sync: Mapping[str, JSON]) -> list[tuple[str, str]]:
    """Return what was measured of a track as names and values, known ones first."""
    facts = []
    if "offset" in sync:
        words = describe_offset(int(sync["offset"]))
        facts.append(("sync in the source", f"{int(sync['offset']):+d} frames: {words}"))
    names = {"confidence": "confidence", "min_distance": "least distance", "windows": "windows"}
    for name, label in names.items():
        if name in sync:
            facts.append((label, f"{sync[name]:g}"))
    if sync.get("note"):
        facts.append(("sync", str(sync["note"])))
    if "search" in sync:
        facts.append(("offsets tried", f"-{sync['search']} to +{sync['search']}"))
    told = {"offset", *names, "note", "search"}
    rest = [(k, v) for k, v in sorted(sync.items()) if k not in told]
    facts += [(k.replace("_", " "), str(v)) for k, v in rest if isinstance(v, str | int | float)]
    return facts


def beside_facts(faces: Mapping[str, JSON]) -> list[tuple[str, str]]:
    """Return what a clip says of the other faces of its frames as names and values.

    >>> beside_facts({"co_visible": 1, "runner_up": {"key": "v-0000-01", "confidence": 0.2}})
    [('other faces at a time', '1'), ('runner-up', 'v-0000-01, confidence 0.2')]
    """
    facts = []
    if faces.get("co_visible"):
        facts.append(("other faces at a time", str(faces["co_visible"])))
    if best := faces.get("runner_up"):
        facts.append(("runner-up", f"{best['key']}, confidence {best['confidence']:g}"))
    return facts


def truth_words(sample: Sample) -> str:
    """Say what the label of a clip is, and which fault was drawn."""
    kind = str((sample.info.get("distortion") or {}).get("kind", "none"))
    offset = sample.alignment.offset
    if offset is None:
        return f"varies over time ({kind})"
    if kind == "none":
        return f"{offset:+d} frames, no fault was drawn" if offset else "0, no fault was drawn"
    return f"{offset:+d} frames, {offset_to_ms(offset):+.0f} ms ({kind}): {describe_offset(offset)}"


def _still(image: UInt8Array, side: int) -> str:
    import cv2

    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, 72]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)
    return data_uri("image/jpeg", data.tobytes())
