"""Training clips in memory: small grey pictures and log-mel frames instead of video and sound."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from avbench import features
from avbench.data import Clip, FloatArray, UInt8Array
from avbench.errors import DataError
from avbench.timing import SAMPLES_PER_FRAME


@dataclass(frozen=True, eq=False)
class TrainingClip:
    """One clip with its sound moved into sync."""

    pictures: UInt8Array
    """The mouth region and some margin, grey; shape (T, 64, 64)."""
    mels: FloatArray
    """Log-mel frames, half precision; shape (40, 4 T - 2)."""

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return int(self.pictures.nbytes + self.mels.nbytes)

    @classmethod
    def of(cls, clip: Clip) -> TrainingClip | None:
        """Reduce a clip; None where its truth is unknown, varies, or leaves less than a window."""
        offset = None if clip.alignment is None else clip.alignment.offset
        length = 0 if offset is None else len(clip) - abs(offset)
        if offset is None or length < features.WINDOW:
            return None
        first_frame, first_sound = max(0, offset), max(0, -offset) * SAMPLES_PER_FRAME
        frames = clip.frames[first_frame : first_frame + length]
        sound = clip.audio[first_sound : first_sound + length * SAMPLES_PER_FRAME]
        pictures = features.mouth_pictures(
            frames, pixels=features.MARGIN_PIXELS, margin=features.MOUTH_MARGIN
        )
        return cls(pictures, features.log_mel(sound).numpy().astype(np.float16))


@dataclass(frozen=True, eq=False)
class Batch:
    """Aligned windows of several clips."""

    pictures: torch.Tensor
    """Float in [0, 1]; shape (B, T, 64, 64), or (B, T, 48, 48) once augmented."""
    mels: torch.Tensor
    """Shape (B, 40, 4 T - 2)."""


class TrainingSet:
    """Clips to draw batches from."""

    def __init__(self, clips: list[TrainingClip], skipped: int = 0, *, complete: bool = True):
        self.clips = clips
        self.skipped = skipped
        """Clips left out: truth unknown or not constant, or too short."""
        self.complete = complete
        """Whether every clip that was offered was looked at, or memory ran out before."""

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def num_frames(self) -> int:
        """Video frames in all clips."""
        return sum(len(clip) for clip in self.clips)

    @property
    def nbytes(self) -> int:
        """Memory of all clips."""
        return sum(clip.nbytes for clip in self.clips)

    @classmethod
    def read(cls, clips: Iterable[Clip], *, min_frames: int, max_bytes: int) -> TrainingSet:
        """Reduce clips, in order, until they are through or ``max_bytes`` are full.

        Raises
        ------
        DataError
            If no clip is of use.
        """
        kept: list[TrainingClip] = []
        skipped = used = 0
        for clip in clips:
            reduced = TrainingClip.of(clip)
            if reduced is None or len(reduced) < min_frames:
                skipped += 1
                continue
            if used + reduced.nbytes > max_bytes:
                return cls(kept, skipped, complete=False)
            kept.append(reduced)
            used += reduced.nbytes
        if not kept:
            raise DataError(
                f"none of {skipped} clips can be trained on: each is shorter than {min_frames} "
                "frames, or has no constant offset; give a split with synced talking faces"
            )
        return cls(kept, skipped)

    def draw(self, rng: np.random.Generator, count: int, num_frames: int) -> Batch:
        """Draw ``count`` different clips (as far as there are) and one stretch of each."""
        few = len(self.clips) < count
        chosen = rng.choice(len(self.clips), size=count, replace=few)
        pictures, mels = [], []
        for index in chosen:
            clip = self.clips[index]
            start = int(rng.integers(len(clip) - num_frames + 1))
            first = start * features.MELS_PER_FRAME
            last = (start + num_frames - features.WINDOW) * features.MELS_PER_FRAME
            pictures.append(clip.pictures[start : start + num_frames])
            mels.append(clip.mels[:, first : last + features.WINDOW_MELS])
        return Batch(
            pictures=torch.from_numpy(np.stack(pictures)).float().div_(255),
            mels=torch.from_numpy(np.stack(mels)).float(),
        )
