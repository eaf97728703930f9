"""The decode canary: frames that carry their number, written and read back."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avbench.data import JSON, Alignment, Clip, FloatArray, UInt8Array
from avbench.media import VideoWriter, encode_sound, iter_frames, read_sound, read_video
from avbench.selftest.report import Finding
from avbench.selftest.subject import Subject
from avbench.shards import Sample, ShardWriter, finish_set, read_clips
from avbench.timing import SAMPLES_PER_FRAME

NUM_FRAMES = 60
_BITS, _CELL, _HEIGHT = 6, 16, 64
_LEVELS = 100


def numbered_frames(num_frames: int = NUM_FRAMES) -> UInt8Array:
    """Draw pictures that carry their number as black and white bars; (T, 64, 96, 3)."""
    bits = (np.arange(num_frames)[:, None] >> np.arange(_BITS)) & 1
    bars = np.repeat(20 + 210 * bits.astype(np.uint8), _CELL, axis=1)
    return np.repeat(np.repeat(bars[:, None, :, None], _HEIGHT, axis=1), 3, axis=3)


def numbers_of(frames: UInt8Array) -> list[int]:
    """Read the numbers back; the inverse of `numbered_frames`, at any size of picture."""
    columns = frames.mean(axis=(1, 3))
    cells = np.stack([part.mean(axis=1) for part in np.array_split(columns, _BITS, axis=1)], axis=1)
    return [int(number) for number in (cells > 127) @ (1 << np.arange(_BITS))]


def numbered_sound(num_frames: int = NUM_FRAMES) -> FloatArray:
    """Make sound whose level in each frame carries its number; (T * 640,), float32."""
    return np.repeat(np.arange(num_frames) / _LEVELS, SAMPLES_PER_FRAME).astype(np.float32)


def levels_of(audio: FloatArray) -> list[int]:
    """Read the numbers back; the inverse of `numbered_sound`."""
    whole = audio[: len(audio) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
    levels = whole.reshape(-1, SAMPLES_PER_FRAME).mean(axis=1) * _LEVELS
    return [round(float(level)) for level in levels]


@dataclass(frozen=True)
class Reading:
    """What came back of the canary by one way."""

    way: str
    frames: list[int]
    sound: list[int] | None = None
    stable: bool = True
    """Whether two reads gave the same bytes."""


def read_back(subject: Subject) -> list[Reading]:
    """Write the canary and read it by every way there is, the method's own decoder included."""
    frames, sound = numbered_frames(), numbered_sound()
    with tempfile.TemporaryDirectory(prefix="avbench-canary-") as folder:
        path = Path(folder) / "canary.mp4"
        with VideoWriter(path) as writer:
            for frame in frames:
                writer.write(frame)
        stored = encode_sound(sound)
        shards = Path(folder) / "set"
        truth = Alignment.from_offset(0, len(frames))
        _write_set(shards, [Sample("canary", path.read_bytes(), stored, truth, {})])
        found = [
            _read("the file", lambda: read_video(path), lambda: read_sound(stored)),
            _read("the 25 fps grid", lambda: np.stack([f.image for f in iter_frames(path)])),
            _read(
                "a shard",
                lambda: next(read_clips(shards)).frames,
                lambda: next(read_clips(shards)).audio,
            ),
        ]
        first, second = subject.decode(path), subject.decode(path)
        if first is not None and second is not None:
            stable = _digest(first) == _digest(second)
            found.append(Reading("its own decode", numbers_of(first), stable=stable))
    return found


def _read(
    way: str, picture: Callable[[], UInt8Array], sound: Callable[[], FloatArray] | None = None
) -> Reading:
    first, second = picture(), picture()
    heard = None if sound is None else levels_of(sound())
    return Reading(way, numbers_of(first), heard, _digest(first) == _digest(second))


def _write_set(folder: Path, samples: Sequence[Sample]) -> None:
    with ShardWriter(folder, "canary", "test") as writer:
        for sample in samples:
            writer.add(sample)
    finish_set(folder, writer.shards, {})


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def decoder(readings: Sequence[Reading], num_frames: int = NUM_FRAMES) -> Finding:
    """Check that every frame came back in its place, by every way.

    Parameters
    ----------
    readings
        What came back.
    num_frames
        Frames that were written.
    """
    wrong: list[str] = []
    expected = list(range(num_frames))
    for reading in readings:
        for what, numbers in (("pictures", reading.frames), ("sounds", reading.sound)):
            if numbers is not None and numbers != expected:
                wrong.append(f"{what} read from {reading.way}: {_damage(numbers, expected)}")
        if not reading.stable:
            wrong.append(f"two reads from {reading.way} differ")
    ways = ", ".join(reading.way for reading in readings)
    measured: dict[str, JSON] = {"ways": ways, "frames": num_frames, "wrong": list(wrong)}
    if not wrong:
        return Finding(
            "decoder",
            "pass",
            f"{num_frames} numbered frames come back in their places from {ways}.",
            measured,
        )
    text = "; ".join(wrong)
    return Finding(
        "decoder",
        "fail",
        text[0].upper() + text[1:] + ".",
        measured,
        "decode every coded frame in the order of presentation, and drain the decoder at the end",
        "a decoder that drops the first or the last frames, repeats one to fill its rate, or "
        "returns frames in coded order.",
    )


def _damage(numbers: list[int], expected: list[int]) -> str:
    """Say in words how numbers differ from those expected."""
    if len(numbers) != len(expected):
        first = f", the first is number {numbers[0]}" if numbers else ""
        return f"{len(numbers)} of {len(expected)}{first}"
    moved = [found - true for found, true in zip(numbers, expected, strict=True)]
    # The first and last may be held at the ends where all others are shifted.
    inner = set(moved[2:-2])
    if len(inner) == 1 and inner != {0}:
        return f"place t holds number t{inner.pop():+d}"
    return f"{sum(m != 0 for m in moved)} out of place"


def stored_answers(subject: Subject, windows: Sequence[Clip]) -> Finding:
    """Store windows losslessly in a shard and read them back: answers must stay the same."""
    moved: list[int] = []
    lost = 0
    with tempfile.TemporaryDirectory(prefix="avbench-stored-") as folder:
        samples = []
        for number, window in enumerate(windows):
            path = Path(folder) / "clip.mp4"
            with VideoWriter(path, lossless=True) as writer:
                for frame in window.frames:
                    writer.write(frame)
            truth = Alignment.from_offset(0, len(window))
            sound = encode_sound(window.audio)
            samples.append(Sample(f"clip-{number}", path.read_bytes(), sound, truth, {}))
        _write_set(Path(folder) / "set", samples)
        back = list(read_clips(Path(folder) / "set"))
    for window, stored in zip(windows, back, strict=True):
        same = replace(stored, key=window.key, alignment=window.alignment)
        before, after = subject.ask(window).offset, subject.ask(same).offset
        if before is None or after is None:
            lost += 1
        else:
            moved.append(after - before)
    measured: dict[str, JSON] = {"moved": list(moved), "failed": lost}
    kept = sum(m == 0 for m in moved)
    if moved and kept >= 0.75 * len(moved) and not lost:
        return Finding(
            "stored",
            "pass",
            f"{kept} of {len(moved)} clips get the same answer from a shard as from memory.",
            measured,
        )
    return Finding(
        "stored",
        "fail",
        f"Of {len(windows)} clips stored in a shard without loss, {len(windows) - kept} get "
        "another answer than in memory.",
        measured,
        "do not decode anything in the method; if it must, look at its first frames",
        "a method that writes its input to a file and decodes it again with another decoder, or "
        "one that hangs on the last bit of the pictures.",
    )
