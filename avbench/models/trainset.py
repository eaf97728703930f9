"""Training clips in memory: what a network looks at, instead of video and sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch

from avbench import features
from avbench.data import Clip, FloatArray, UInt8Array
from avbench.errors import DataError
from avbench.timing import SAMPLES_PER_FRAME


@dataclass(frozen=True)
class Front:
    """How the clips of one kind of network are kept."""

    pictures: Callable[[UInt8Array], UInt8Array]
    """From RGB face crops, shape (T, H, W, 3), to what is kept of them, shape (T, ...)."""
    sound: Callable[[FloatArray], FloatArray]
    """From mono sound to what is kept of it."""
    axis: int
    """Axis of time in the latter."""
    window: tuple[int, int]
    """Length of a five-frame window on that axis, and the step to the next."""
    white: float
    """Value of a white pixel in a batch."""
    faces: Callable[[UInt8Array], UInt8Array] | None = None
    """From RGB face crops to what else is kept of them, where something is."""


def _mouths(frames: UInt8Array) -> UInt8Array:
    return features.mouth_pictures(
        frames, pixels=features.MARGIN_PIXELS, margin=features.MOUTH_MARGIN
    )


def _mels(audio: FloatArray) -> FloatArray:
    return np.asarray(features.log_mel(audio).numpy().astype(np.float16))


MOUTHS = Front(_mouths, _mels, 1, (features.WINDOW_MELS, features.MELS_PER_FRAME), 1.0)
"""Grey pictures of the mouth region and some margin, (T, 64, 64), and log-mel frames in half
precision, (40, 4 T - 2)."""


@dataclass(frozen=True, eq=False)
class TrainingClip:
    """One clip with its sound moved into sync."""

    pictures: UInt8Array
    """Shape (T, ...)."""
    sound: FloatArray
    shapes: FloatArray | None = None
    """Of the mouth in every frame, where they are asked for; shape (T, 5)."""
    faces: UInt8Array | None = None
    """Small whole faces, where the front keeps them; shape (T, ...)."""

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        more = (each.nbytes for each in (self.shapes, self.faces) if each is not None)
        return int(self.pictures.nbytes + self.sound.nbytes + sum(more))

    @classmethod
    def of(
        cls, clip: Clip, front: Front = MOUTHS, shapes: FloatArray | None = None
    ) -> TrainingClip | None:
        """Reduce a clip; None where its truth is unknown, varies, or leaves less than a window."""
        offset = None if clip.alignment is None else clip.alignment.offset
        length = 0 if offset is None else len(clip) - abs(offset)
        if offset is None or length < features.WINDOW:
            return None
        first_frame, first_sound = max(0, offset), max(0, -offset) * SAMPLES_PER_FRAME
        frames = clip.frames[first_frame : first_frame + length]
        sound = clip.audio[first_sound : first_sound + length * SAMPLES_PER_FRAME]
        if shapes is not None:
            shapes = shapes[first_frame : first_frame + length]
        faces = None if front.faces is None else front.faces(frames)
        return cls(front.pictures(frames), front.sound(sound), shapes, faces)


@dataclass(frozen=True, eq=False)
class Batch:
    """Aligned windows of several clips."""

    pictures: torch.Tensor
    """Mouths: in [0, 1], shape (B, T, 64, 64), or (B, T, 48, 48) once augmented. Whole pictures of
    a network of published size: in [0, 255], shape (B, T, P, P, C)."""
    sound: torch.Tensor
    """Log-mel frames, shape (B, 40, 4 T - 2), or windows, shape (B, T - 4, R, 20)."""
    shapes: torch.Tensor | None = field(default=None, kw_only=True)
    """Of the mouth in every frame, where they are known; shape (B, T, 5)."""


class TrainingSet:
    """Clips to draw batches from."""

    def __init__(
        self,
        clips: list[TrainingClip],
        skipped: int = 0,
        *,
        complete: bool = True,
        front: Front = MOUTHS,
    ) -> None:
        self.clips = clips
        self.front = front
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
    def read(
        cls,
        clips: Iterable[Clip],
        *,
        min_frames: int,
        max_bytes: int,
        front: Front = MOUTHS,
        shapes: Callable[[Clip], FloatArray | None] | None = None,
    ) -> TrainingSet:
        """Reduce clips, in order, until they are through or ``max_bytes`` are full.

        With ``shapes``, which finds the mouth shapes of a clip, only clips that have them count.

        Raises
        ------
        DataError
            If no clip is of use.
        """
        kept: list[TrainingClip] = []
        skipped = used = 0
        for clip in clips:
            known = None if shapes is None else shapes(clip)
            usable = shapes is None or known is not None
            reduced = TrainingClip.of(clip, front, known) if usable else None
            if reduced is None or len(reduced) < min_frames:
                skipped += 1
                continue
            if used + reduced.nbytes > max_bytes:
                return cls(kept, skipped, complete=False, front=front)
            kept.append(reduced)
            used += reduced.nbytes
        if not kept:
            raise DataError(
                f"none of {skipped} clips can be trained on: each is shorter than {min_frames} "
                "frames, or has no constant offset; give a split with synced talking faces"
            )
        return cls(kept, skipped, front=front)

    def draw(self, rng: np.random.Generator, count: int, num_frames: int) -> Batch:
        """Draw ``count`` different clips (as far as there are) and one stretch of each."""
        few = len(self.clips) < count
        chosen = rng.choice(len(self.clips), size=count, replace=few)
        pictures, sounds, shapes = [], [], []
        size, step = self.front.window
        for index in chosen:
            clip = self.clips[index]
            start = int(rng.integers(len(clip) - num_frames + 1))
            last = (start + num_frames - features.WINDOW) * step
            before = (slice(None),) * self.front.axis
            pictures.append(clip.pictures[start : start + num_frames])
            sounds.append(clip.sound[(*before, slice(start * step, last + size))])
            if clip.shapes is not None:
                shapes.append(clip.shapes[start : start + num_frames])
        shown = torch.from_numpy(np.stack(pictures)).float()
        return Batch(
            pictures=shown if self.front.white == 255 else shown.div_(255 / self.front.white),
            sound=torch.from_numpy(np.stack(sounds)).float(),
            shapes=torch.from_numpy(np.stack(shapes)) if shapes else None,
        )
