"""Sound: any file's sound against its own picture at 16 kHz, and the sound of stored clips."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avbench.data import FloatArray
from avbench.errors import DataError
from avbench.media.packets import Damage, decode_pictures, decode_sound, time_of
from avbench.media.probe import no_picture
from avbench.media.resample import Mixer, resampled
from avbench.media.source import name_of, open_source
from avbench.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

FULL_SCALE = 32768
"""Steps of 16 bit sound from silence to the loudest."""
LATEST_S = 60
"""A time stamp further than this beyond the declared end of the picture is not believed."""
TOLERANCE_S = 0.020
"""A time stamp this far from the count of samples is a gap or an overlap, and is obeyed at once."""
DRIFT_S = 0.002
"""A mean deviation beyond this is a drift between two clocks, and is followed by stretching."""
MAX_STRETCH = 0.01
"""Largest part by which a block of sound is stretched or squeezed to follow a drift."""


def read_audio(
    path: Path, num_frames: int | None = None, *, warnings: list[str] | None = None
) -> FloatArray:
    """Read a video's sound on the clock of its picture.

    Sample 0 is the instant of the first picture: sound that starts late is preceded by zeros, sound
    that starts early is cut, and gaps between time stamps are filled with zeros.

    Parameters
    ----------
    path
        The video.
    num_frames
        Length in 25 fps frames; the sound is cut or padded with zeros to exactly 640 samples for
        each. None for all there is.
    warnings
        A list that receives one sentence per kind of damage met.

    Returns
    -------
    ndarray
        Mono at 16 kHz; shape (S,), float32.

    Raises
    ------
    DataError
        If the file is no video, or has no sound.
    """
    if num_frames is not None and num_frames < 0:
        raise ValueError(f"got {num_frames = }, expected at least 0")
    damage = Damage()
    limit = None if num_frames is None else num_frames * SAMPLES_PER_FRAME
    blocks = _blocks(Path(path), damage)
    if limit is None:
        audio = np.concatenate([np.zeros(0, np.float32), *blocks])
    else:
        audio, size = np.zeros(limit, np.float32), 0
        while size < limit and (block := next(blocks, None)) is not None:
            part = block[: limit - size]
            audio[size : size + len(part)] = part
            size += len(part)
    if warnings is not None:
        warnings.extend(damage.sentences())
    return audio


def iter_audio(path: Path, *, warnings: list[str] | None = None) -> Iterator[FloatArray]:
    """Yield what `read_audio` returns in blocks of about a second."""
    damage = Damage()
    yield from _blocks(Path(path), damage)
    if warnings is not None:
        warnings.extend(damage.sentences())


def to_int16(audio: FloatArray) -> NDArray[np.int16]:
    """Round sound in [-1, 1] to 16 bits; what lies outside is clipped.

    Raises
    ------
    ValueError
        If it is not finite.
    """
    if not np.isfinite(audio).all():
        raise ValueError("got sound that is not finite")
    steps = np.rint(np.asarray(audio, np.float64) * FULL_SCALE)
    return np.clip(steps, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def read_sound(source: Path | bytes) -> FloatArray:
    """Read the sound of a stored clip, which must be mono at 16 kHz already.

    Returns
    -------
    ndarray
        Shape (S,), float32, in [-1, 1].

    Raises
    ------
    DataError
        If it is not sound, not mono at 16 kHz, or any of it is damaged.
    """
    name = name_of(source)
    damage = Damage()
    with open_source(source) as opened:
        if opened.sound is None:
            raise DataError(f"{name}: holds no sound; build this clip again.")
        context = opened.sound.codec_context
        if (context.sample_rate, context.channels) != (SAMPLE_RATE, 1):
            raise DataError(
                f"{name}: its sound has {context.channels} channel(s) at {context.sample_rate} Hz, "
                f"expected 1 at {SAMPLE_RATE}; convert it with read_audio and encode_sound."
            )
        mixer = Mixer(SAMPLE_RATE)
        blocks = [mixer.mix(frame) for frame in decode_sound(opened, damage)]
    if damage.sentences():
        raise DataError(f"{name}: is damaged ({damage.sentences()[0]}); build this clip again.")
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def read_track(path: Path) -> FloatArray:
    """Read the sound of any file by itself, whether or not there is a picture beside it.

    Returns
    -------
    ndarray
        Mono at 16 kHz from the file's first sample on; shape (S,), float32.

    Raises
    ------
    DataError
        If the file holds no sound that decodes.
    """
    damage = Damage()
    with open_source(path) as source:
        head = next(frames := decode_sound(source, damage), None) if source.sound else None
        if head is None:
            raise DataError(f"{path}: holds no sound that decodes; copy it again from its origin.")
        mixer = Mixer(head.sample_rate)
        blocks = (mixer.mix(frame) for frame in chain([head], frames))
        return np.concatenate([*resampled(blocks, head.sample_rate, SAMPLE_RATE)])


class Clock:
    """Lays blocks of sound end to end so that each sample falls on the instant it is stamped with.

    Gaps are filled with zeros and overlaps cut; a slow drift between stamps and samples, as between
    the clocks of a sound card and a computer, is followed by stretching blocks a little.
    """

    def __init__(self, zero: Fraction, latest: Fraction, rate: int, damage: Damage) -> None:
        self._zero, self._rate, self._damage = zero, rate, damage
        self._latest = int(latest * rate)
        self._next: int | None = None
        """Sample that comes next, counted from ``zero``."""
        self._drift = 0.0
        """Mean deviation of the stamps from the samples over the last second, in samples."""

    def place(self, time: Fraction | None, block: FloatArray) -> FloatArray:
        """Return what a block stamped ``time`` adds to the signal from ``zero`` on."""
        due = None if time is None else round((time - self._zero) * self._rate)
        if self._next is None:
            self._next = min(0, due or 0)
        gap = 0 if due is None else due - self._next
        if self._next + gap > self._latest or (self._next > 0 and gap <= -len(block)):
            self._damage.disordered += 1
            return block[:0]
        if abs(gap) > TOLERANCE_S * self._rate or self._next <= 0:
            self._drift = 0.0
        else:
            gap, block = 0, self._follow(block, gap)
        if gap < 0:
            block = block[-gap:]
        begin = self._next + max(gap, 0)
        silence = np.zeros(max(begin, 0) - max(self._next, 0), np.float32)
        self._next = begin + len(block)
        return np.concatenate([silence, block[max(-begin, 0) :]])

    def _follow(self, block: FloatArray, gap: int) -> FloatArray:
        """Stretch a block by a part of the mean deviation once that is a drift."""
        size = len(block)
        self._drift += (gap - self._drift) * min(size / self._rate, 1.0)
        if abs(self._drift) <= DRIFT_S * self._rate or size < 2:
            return block
        most = int(size * MAX_STRETCH)
        change = max(-most, min(most, round(self._drift)))
        self._drift -= change
        places = np.linspace(0, size - 1, size + change)
        return np.interp(places, np.arange(size), block).astype(np.float32)


def first_instant(path: Path) -> Fraction:
    """Return the presentation time in seconds of the first picture of a video with sound."""
    with open_source(path) as source:
        first = next(decode_pictures(source, Damage()), None)
        if source.sound is None:
            raise DataError(
                f"{path}: has no sound that can be decoded; leave it out, or add its sound."
            )
        if first is None:
            raise no_picture(str(path))
        return time_of(first) or Fraction(0)


def _blocks(path: Path, damage: Damage) -> Iterator[FloatArray]:
    """Yield the sound at 16 kHz from the instant of the first picture on, in blocks."""
    zero = first_instant(path)
    with open_source(path) as source:
        frames = decode_sound(source, damage)
        head = next(frames, None)
        if head is None:
            damage.notes.append("none of its sound decodes, silence stands for it")
            return
        rate = head.sample_rate
        latest = (source.duration or Fraction(0)) + LATEST_S
        mixer, clock = Mixer(rate), Clock(zero, latest, rate, damage)
        placed = (clock.place(time_of(f), mixer.mix(f)) for f in chain([head], frames))
        yield from resampled(placed, rate, SAMPLE_RATE)
