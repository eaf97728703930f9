"""What a sample says, in the few fields that other forms have; pure functions of its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avbench.data import JSON
from avbench.shards import Sample


@dataclass(frozen=True)
class Facts:
    """The fields of one clip; None or empty where they are not known."""

    key: str
    split: str
    num_frames: int
    offset: int | None
    """Constant offset in 25 fps frames (positive: the sound is early); None where it varies."""
    alignment: list[int]
    """Video frame that belongs to each 40 ms of sound."""
    speaker: str | None
    text: str | None
    video_id: str
    """The recording that it was cut from."""
    source: str
    """Name and path of the source file."""
    sync_offset: float | None
    sync_confidence: float | None


def facts_of(sample: Sample, split: str) -> Facts:
    """Return the fields of a sample."""
    info = sample.info
    named: Mapping[str, JSON] = info.get("source") or {}
    sync: Mapping[str, JSON] = info.get("sync") or {}
    track: Mapping[str, JSON] = info.get("facetrack") or {}
    return Facts(
        key=sample.key,
        split=split,
        num_frames=len(sample.alignment),
        offset=sample.alignment.offset,
        alignment=sample.alignment.video_index.tolist(),
        speaker=info.get("speaker"),
        text=(info.get("corpus") or {}).get("text"),
        video_id=str(track.get("video_id") or sample.key),
        source="/".join(str(named[name]) for name in ("source", "path") if name in named),
        sync_offset=_number(sync.get("offset")),
        sync_confidence=_number(sync.get("confidence")),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
