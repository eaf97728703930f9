"""The records that flow through avbench.

Only `Clip` holds pixels and samples; every other record is small, frozen and refers to a file
and a frame range. Intervals are half-open, ``[start, stop)``, in 25 fps frames. Signs and units
are those of `avbench.timing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avbench.timing import SAMPLES_PER_FRAME

UInt8Array: TypeAlias = NDArray[np.uint8]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
JSON: TypeAlias = Any
"""A value that ``json`` can write: str, int, float, bool, None, list or dict of these."""


@dataclass(frozen=True)
class Shot:
    """The frames of one video between two cuts."""

    video_id: str
    index: int
    """Number of the shot within the video, from 0."""
    start: int
    stop: int
    """Half-open frame range in the 25 fps video."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"got shot [{self.start}, {self.stop}), expected 0 <= start < stop")

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """The boxes of one face through one shot, one per frame without gaps."""

    video_id: str
    shot: int
    index: int
    """Number of the track within the shot, from 0."""
    start: int
    """First frame in the 25 fps video."""
    boxes: FloatArray
    """x0, y0, x1, y1 in source pixels; shape (T, 4)."""
    scores: FloatArray
    """Detector confidence in [0, 1], NaN where the box was interpolated; shape (T,)."""

    def __post_init__(self) -> None:
        if self.boxes.ndim != 2 or self.boxes.shape[1] != 4:
            raise ValueError(f"got {self.boxes.shape = }, expected (T, 4)")
        if self.scores.shape != self.boxes.shape[:1]:
            raise ValueError(
                f"got {self.scores.shape = } for {self.boxes.shape = }, expected equal lengths"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def stop(self) -> int:
        """One past the last frame in the 25 fps video."""
        return self.start + len(self.boxes)


@dataclass(frozen=True, eq=False)
class Alignment:
    """For each 40 ms audio frame, the index of the video frame that shows it.

    An index outside the video means that the picture lies outside the clip; it is kept, not
    clamped, so that a constant offset can always be read back.
    """

    video_index: IntArray
    """Video frame index per audio frame; shape (A,)."""

    def __post_init__(self) -> None:
        if self.video_index.ndim != 1 or not np.issubdtype(self.video_index.dtype, np.integer):
            raise ValueError(
                f"got {self.video_index.dtype} of shape {self.video_index.shape}, "
                "expected integers of shape (A,)"
            )

    @classmethod
    def from_offset(cls, offset: int, num_frames: int) -> Alignment:
        """Make the alignment of ``num_frames`` audio frames that a constant offset implies.

        >>> Alignment.from_offset(3, 4).video_index.tolist()
        [3, 4, 5, 6]
        """
        return cls(np.arange(num_frames, dtype=np.int64) + offset)

    @property
    def offset(self) -> int | None:
        """The constant offset in frames (positive: audio leads), or None when it varies."""
        drift = self.video_index - np.arange(len(self.video_index))
        return int(drift[0]) if len(drift) and bool(np.all(drift == drift[0])) else None

    def __len__(self) -> int:
        return len(self.video_index)


@dataclass(frozen=True, eq=False)
class Clip:
    """A facetrack crop with its sound: the stored sample, and what a method looks at."""

    key: str
    """Unique name, ``[a-z0-9-]`` only."""
    frames: UInt8Array
    """RGB pictures at 25 fps; shape (T, H, W, 3), uint8."""
    audio: FloatArray
    """Mono sound at 16 kHz in [-1, 1]; shape (T * 640,), float32."""
    alignment: Alignment | None = None
    """The truth, length T; None where it is unknown or withheld from a method."""
    meta: Mapping[str, JSON] = field(default_factory=dict)
    """Provenance only; a method never reads it."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(
                f"clip {self.key!r}: got frames {self.frames.dtype} {self.frames.shape}, "
                "expected uint8 (T, H, W, 3)"
            )
        if self.audio.shape != (len(self.frames) * SAMPLES_PER_FRAME,):
            raise ValueError(
                f"clip {self.key!r}: got {self.audio.shape = } for {len(self.frames)} frames, "
                f"expected ({len(self.frames) * SAMPLES_PER_FRAME},)"
            )
        if self.alignment is not None and len(self.alignment) != len(self.frames):
            raise ValueError(
                f"clip {self.key!r}: got an alignment of {len(self.alignment)} audio frames "
                f"for {len(self.frames)} video frames"
            )

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        truth = None if self.alignment is None else self.alignment.offset
        return f"Clip({self.key!r}, frames={self.frames.shape}, offset={truth})"

    def without_truth(self) -> Clip:
        """Return this clip as a method may see it: no alignment, no provenance."""
        return replace(self, alignment=None, meta={})

    def window(self, start: int, length: int, offset: int = 0) -> Clip:
        """Cut ``length`` frames from video frame ``start`` with sound displaced by ``offset``.

        The sound is taken ``offset`` frames later in the clip, so that it reads ``offset`` early:
        no sample is invented or padded.

        Parameters
        ----------
        start, length
            Video frames ``[start, start + length)``.
        offset
            Extra offset in frames (positive: audio leads) on top of the clip's own.

        Raises
        ------
        ValueError
            If the picture or the displaced sound would leave the clip.
        """
        first = start + offset
        if start < 0 or first < 0 or max(start, first) + length > len(self) or length < 1:
            raise ValueError(
                f"clip {self.key!r} of {len(self)} frames has no window of {length} frames at "
                f"{start} with offset {offset}"
            )
        samples = slice(first * SAMPLES_PER_FRAME, (first + length) * SAMPLES_PER_FRAME)
        truth = self.alignment
        if truth is not None:
            truth = Alignment(truth.video_index[first : first + length] - start)
        return Clip(
            key=self.key,
            frames=self.frames[start : start + length],
            audio=self.audio[samples],
            alignment=truth,
            meta=self.meta,
        )


@dataclass(frozen=True, eq=False)
class Item:
    """A clip that is not decoded yet: what a data set offers to a benchmark."""

    key: str
    num_frames: int
    alignment: Alignment | None
    """The truth, one entry per frame; None where it is unknown."""
    load: Callable[[], Clip]
    """Decode it; may be called from any thread."""
    source: str = ""
    """Recording or speaker that the clip was cut from: clips that share it are not independent."""
    sha256: str | None = None
    """Identity of picture and sound; None where it is unknown, and nothing is then kept."""

    @classmethod
    def of(cls, clip: Clip, sha256: str | None = None) -> Item:
        """Offer a clip that is decoded already."""
        source = cluster(clip.meta, clip.key)
        return cls(clip.key, len(clip), clip.alignment, lambda: clip, source, sha256)

    def __len__(self) -> int:
        return self.num_frames


def cluster(info: Mapping[str, JSON], key: str) -> str:
    """Return what a clip shares with others that are not independent of it.

    Its speaker where that is known, else the video it was cut from, else its own key.
    """
    video = info.get("video_id") or (info.get("facetrack") or {}).get("video_id")
    return str(info.get("speaker") or video or key)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a method says about one clip."""

    key: str
    alignment: Alignment
    """A global method returns ``Alignment.from_offset(...)``."""
    confidence: float = float("nan")
    """Median minus minimum distance where defined (SyncNet 2016); higher is surer."""
    scores: FloatArray | None = None
    """One per candidate offset, ascending, higher is better; shape (2 * search + 1,)."""

    @property
    def offset(self) -> int | None:
        """The constant offset in frames (positive: audio leads), or None when it varies."""
        return self.alignment.offset


class Embeddings(NamedTuple):
    """Windowed features of one clip; row ``t`` sees video frames ``t .. t + 4`` and their sound."""

    video: FloatArray
    """Shape (T - 4, D), float32."""
    audio: FloatArray
    """Shape (T - 4, D), float32."""
