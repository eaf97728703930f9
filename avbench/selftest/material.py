"""What a method is tested on: clips with exact truth, and clips that are wrong on purpose.

Clips are drawn heads of the embedded corpus, made in memory and cropped where the truth says the
face is, or clips that the caller gives. Where neither is to be had, moving patterns stand in: they
do for everything but what needs speech.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from avbench.data import Alignment, Clip, UInt8Array
from avbench.distort import rng_for
from avbench.errors import DataError, MissingDependency
from avbench.progress import track
from avbench.timing import SAMPLES_PER_FRAME

NUM_CLIPS = 8
NUM_FRAMES = 150
"""Six seconds: three windows of 40 frames that do not overlap, and room to displace the sound."""
_MIN_FRAMES = 61
_POOL, _PRESET, _SEED = "val", "easy-v1", 7
CLICK_SAMPLES = 80
"""Length of the click that goes with the flash: 5 ms."""


@dataclass(frozen=True, eq=False)
class Material:
    """The clips of one self-test."""

    clips: tuple[Clip, ...]
    """With a constant known offset."""
    description: str
    """What they are, in words."""
    drawn: bool = False
    """Whether they are drawn heads, which a method of filmed people may not be able to read."""
    missing: str = ""
    """Why nothing that needs speech can be asked; empty where it can."""


def drawn_heads(search: int = 5, count: int = NUM_CLIPS, *, progress: bool = False) -> Material:
    """Draw talking heads in memory; patterns where espeak-ng is not installed.

    Parameters
    ----------
    search
        Largest offset in frames that will be asked about; it decides the length.
    count
        Number of clips, each of another face, voice and text.
    progress
        Whether to show how far it is, on standard error.
    """
    from avbench.selftest.drawn import draw

    num_frames = max(NUM_FRAMES, 2 * search + 100)
    try:
        numbers = track(range(count), "drawing heads", count, "head") if progress else range(count)
        clips = tuple(draw(i, num_frames, _POOL, _PRESET, _SEED) for i in numbers)
    except MissingDependency as error:
        return Material(
            patterns(count, num_frames),
            f"{count} moving patterns of {num_frames} frames (there is no espeak-ng)",
            missing=str(error),
        )
    return Material(clips, f"{count} drawn heads of {num_frames} frames", drawn=True)


def given(clips: Iterable[Clip]) -> Material:
    """Test on clips of the caller, longest first.

    Raises
    ------
    DataError
        If fewer than two of them have a known constant offset and at least 61 frames.
    """
    seen = list(clips)
    usable = tuple(
        clip
        for clip in seen
        if clip.alignment is not None
        and clip.alignment.offset is not None
        and len(clip) >= _MIN_FRAMES
    )
    if len(usable) < 2:
        raise DataError(
            f"{len(usable)} of {len(seen)} clips have a known constant offset and at least "
            f"{_MIN_FRAMES} frames; a self-test needs two or more, give it others"
        )
    usable = tuple(sorted(usable, key=len, reverse=True))
    return Material(usable, f"{len(usable)} given clips")


def patterns(count: int, num_frames: int) -> tuple[Clip, ...]:
    """Make clips of drifting coarse patterns and coloured noise, without any sync."""
    clips = []
    for number in range(count):
        rng = rng_for(_SEED, "selftest-pattern", number)
        coarse = rng.integers(0, 256, (num_frames + 3, 14, 14, 3)).astype(np.float64)
        smooth = np.mean([coarse[i : i + num_frames] for i in range(4)], axis=0)
        frames = np.repeat(np.repeat(smooth.astype(np.uint8), 16, axis=1), 16, axis=2)
        loud = np.repeat(rng.uniform(0.02, 0.2, num_frames), SAMPLES_PER_FRAME)
        audio = (loud * rng.standard_normal(len(loud))).clip(-1, 1).astype(np.float32)
        truth = Alignment.from_offset(0, num_frames)
        clips.append(Clip(f"pattern-{number:02d}", frames, audio, truth))
    return tuple(clips)


def starts(clip: Clip, length: int, search: int, count: int) -> list[int]:
    """Return up to ``count`` window starts, apart, at which every offset stays inside the clip."""
    own = own_offset(clip)
    first, last = max(0, search + own), len(clip) - length - max(0, search - own)
    return sorted({int(s) for s in np.linspace(first, last, count)}) if last >= first else []


def own_offset(clip: Clip) -> int:
    """Return the constant offset of a clip of `Material`."""
    offset = None if clip.alignment is None else clip.alignment.offset
    if offset is None:
        raise ValueError(f"clip {clip.key!r} has no constant offset")
    return offset


def cut(clip: Clip, start: int, length: int, offset: int) -> Clip:
    """Cut a window whose true offset is ``offset``."""
    return clip.window(start, length, offset - own_offset(clip))


def backwards(window: Clip) -> Clip:
    """Play a window backwards: its offset changes sign."""
    offset = own_offset(window)
    return replace(
        window,
        frames=np.ascontiguousarray(window.frames[::-1]),
        audio=np.ascontiguousarray(window.audio[::-1]),
        alignment=Alignment.from_offset(-offset, len(window)),
    )


def unrelated(clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
    """Give every clip the sound of the next: they claim offset 0 and belong together at none."""
    made = []
    for number, clip in enumerate(clips):
        other = clips[(number + 1) % len(clips)]
        length = min(len(clip), len(other))
        made.append(
            Clip(
                f"unrelated-{number:02d}",
                clip.frames[:length].copy(),
                other.audio[: length * SAMPLES_PER_FRAME].copy(),
                Alignment.from_offset(0, length),
            )
        )
    return tuple(made)


def _silence(window: Clip, rng: np.random.Generator) -> Clip:
    return replace(window, audio=np.zeros_like(window.audio))


def _still(window: Clip, rng: np.random.Generator) -> Clip:
    return replace(window, frames=np.repeat(window.frames[:1], len(window), axis=0))


def _noise_sound(window: Clip, rng: np.random.Generator) -> Clip:
    level = float(np.sqrt(np.mean(np.square(window.audio, dtype=np.float64))))
    noise = max(level, 1e-3) * rng.standard_normal(len(window.audio))
    return replace(window, audio=noise.clip(-1, 1).astype(window.audio.dtype))


def _noise_picture(window: Clip, rng: np.random.Generator) -> Clip:
    return replace(window, frames=rng.integers(0, 256, window.frames.shape, dtype=np.uint8))


DEGENERATE: Mapping[str, Callable[[Clip, np.random.Generator], Clip]] = {
    "silence": _silence,
    "still picture": _still,
    "noise for sound": _noise_sound,
    "noise for picture": _noise_picture,
}
"""Ways to take from a window what there is to synchronise."""


def flash(num_frames: int, offset: int, size: tuple[int, int]) -> Clip:
    """Make a grey clip with one white frame in the middle and a click ``offset`` frames before."""
    at = num_frames // 2
    frames: UInt8Array = np.full((num_frames, *size, 3), 100, np.uint8)
    frames[at] = 255
    audio = np.zeros(num_frames * SAMPLES_PER_FRAME, np.float32)
    # Inside the frame, so that the click belongs to it and to no neighbour.
    begin = (at - offset) * SAMPLES_PER_FRAME + (SAMPLES_PER_FRAME - CLICK_SAMPLES) // 2
    audio[begin : begin + CLICK_SAMPLES] = (
        0.8 * np.hanning(CLICK_SAMPLES) * (-1) ** np.arange(CLICK_SAMPLES)
    )
    return Clip(f"flash-{offset:+d}", frames, audio, Alignment.from_offset(offset, num_frames))
