"""Sound: any file's sound against its own picture at 16 kHz, and the sound of stored clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from avbench.data import FloatArray
from avbench.errors import DataError
from avbench.media.packets import Damage, decode_pictures, decode_sound, time_of
from avbench.media.probe import no_picture
from avbench.media.source import name_of, open_source
from avbench.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

LONGEST_GAP_S = 60
"""Longest silence in seconds that a gap between time stamps is believed to mean."""
TOLERANCE_S = 0.020
"""A time stamp this far from the count of samples is a gap or an overlap, and is obeyed at once."""
DRIFT_S = 0.002
"""A mean deviation beyond this is a drift between two clocks, and is followed by stretching."""
MAX_STRETCH = 0.01
"""Largest part by which a block of sound is stretched or squeezed to follow a drift."""
_BATCH_S = 1


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
    damage = Damage()
    limit = None if num_frames is None else num_frames * SAMPLES_PER_FRAME
    blocks = list(_resampled(_on_clock(Path(path), damage), limit))
    if warnings is not None:
        warnings.extend(damage.sentences())
    audio = np.concatenate([np.zeros(0, np.float32), *blocks])
    if limit is None:
        return audio
    return np.pad(audio[:limit], (0, max(limit - len(audio), 0)))


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
        mixer = _Mixer(SAMPLE_RATE)
        blocks = [mixer.mix(frame) for frame in decode_sound(opened, damage)]
    if damage.sentences():
        raise DataError(f"{name}: is damaged ({damage.sentences()[0]}); build this clip again.")
    return np.concatenate([np.zeros(0, np.float32), *blocks])


class _Mixer:
    """Mixes decoded blocks of any form down to float32 mono at one rate.

    Channels with known places are mixed as libswresample does it, scaled so that equal channels
    keep their level and nothing clips; others are averaged.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._form: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self._average = 1

    def mix(self, frame: AudioFrame) -> FloatArray:
        """Return one block; shape (S,)."""
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form == ("fltp", "mono", self._rate):
            return _samples(frame)
        if self._resampler is None or form != self._form:
            self._form, self._average = form, 1
            self._resampler = AudioResampler(
                "flt", "mono", self._rate, options={"rematrix_maxval": "1"}
            )
            try:
                parts = self._resampler.resample(frame)
            except FFmpegError:  # there is no way to mix this layout
                self._average = frame.layout.nb_channels
                self._resampler = AudioResampler("flt", None, self._rate)
                parts = self._resampler.resample(frame)
        else:
            parts = self._resampler.resample(frame)
        blocks = [_samples(part).reshape(-1, self._average).mean(1) for part in parts]
        return np.concatenate([np.zeros(0, np.float32), *blocks])


class _Clock:
    """Lays blocks of sound end to end so that each sample falls on the instant it is stamped with.

    Gaps are filled with zeros and overlaps cut; a slow drift between stamps and samples, as between
    the clocks of a sound card and a computer, is followed by stretching blocks a little.
    """

    def __init__(self, zero: Fraction, rate: int, damage: Damage) -> None:
        self._zero, self._rate, self._damage = zero, rate, damage
        self._next: int | None = None
        """Sample that comes next, counted from ``zero``."""
        self._drift = 0.0
        """Mean deviation of the stamps from the samples over the last second, in samples."""

    def place(self, block: FloatArray, time: Fraction | None) -> FloatArray:
        """Return what a block stamped ``time`` adds to the signal from ``zero`` on."""
        due = None if time is None else round((time - self._zero) * self._rate)
        if self._next is None:
            self._next = min(0, due or 0)
        gap = 0 if due is None else due - self._next
        if abs(gap) > LONGEST_GAP_S * self._rate:
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


def _on_clock(path: Path, damage: Damage) -> Iterator[tuple[int, FloatArray]]:
    """Yield (rate, mono block) end to end from the instant of the first picture on."""
    with open_source(path) as source:
        first = next(decode_pictures(source, Damage()), None)
        if source.sound is None:
            raise DataError(
                f"{path}: has no sound that can be decoded; leave it out, or add its sound."
            )
        if first is None:
            raise no_picture(str(path))
        zero = time_of(first) or Fraction(0)
    with open_source(path) as source:
        blocks = decode_sound(source, damage)
        head = next(blocks, None)
        if head is None:
            damage.notes.append("none of its sound decodes, silence stands for it")
            return
        rate = head.sample_rate
        mixer, clock = _Mixer(rate), _Clock(zero, rate, damage)
        for frame in chain([head], blocks):
            yield rate, clock.place(mixer.mix(frame), time_of(frame))


def _resampled(blocks: Iterable[tuple[int, FloatArray]], limit: int | None) -> Iterator[FloatArray]:
    """Resample blocks as one signal to 16 kHz, at least ``limit`` samples where there are so many.

    Blocks are gathered to about a second each, which halves the time.
    """
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    pushed = count = 0
    for rate, block in _gathered(blocks):
        if rate == SAMPLE_RATE:
            parts = [block]
        else:
            frame = AudioFrame.from_ndarray(block[None, :], format="flt", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, pushed, Fraction(1, rate)
            pushed += len(block)
            parts = [_samples(part) for part in resampler.resample(frame)]
        yield from parts
        count += sum(map(len, parts))
        if limit is not None and count >= limit:
            return
    if pushed:
        yield from (_samples(part) for part in resampler.resample(None))


def _gathered(blocks: Iterable[tuple[int, FloatArray]]) -> Iterator[tuple[int, FloatArray]]:
    """Join consecutive blocks until they last a second; none that comes out is empty."""
    held: list[FloatArray] = []
    size = rate = 0
    for rate, block in blocks:
        held.append(block)
        size += len(block)
        if size >= rate * _BATCH_S:
            yield rate, np.concatenate(held)
            held, size = [], 0
    if size:
        yield rate, np.concatenate(held)


def _samples(frame: AudioFrame) -> FloatArray:
    """Return the samples of a mono float block; shape (S,), float32."""
    return frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)
