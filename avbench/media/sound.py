"""Sound: any file's sound against its own picture at 16 kHz, and the sound of stored clips."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from avbench.data import FloatArray
from avbench.errors import DataError
from avbench.media import source as src
from avbench.media.probe import no_picture
from avbench.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

LONGEST_GAP_S = 60
"""Longest silence in seconds that a gap between time stamps is believed to mean."""
TOLERANCE_S = Fraction(1, 50)
"""Time stamps may stray this far from the count of samples before samples are added or cut."""


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
    path = Path(path)
    damage = src.Damage()
    limit = None if num_frames is None else num_frames * SAMPLES_PER_FRAME
    with src.open_input(path) as container:
        blocks = list(_resampled(_on_clock(path, container, damage), limit))
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
    name = src.name_of(source)
    damage = src.Damage()
    with src.open_input(source) as container:
        stream = src.sound_stream(container)
        if stream is None:
            raise DataError(f"{name}: holds no sound; build this clip again.")
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        if (rate, channels) != (SAMPLE_RATE, 1):
            raise DataError(
                f"{name}: its sound has {channels} channel(s) at {rate} Hz, expected 1 at "
                f"{SAMPLE_RATE}; convert it with read_audio and encode_sound."
            )
        convert = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        blocks = [
            _samples(converted)
            for frame in src.decode(container, [stream], damage)
            if isinstance(frame, AudioFrame)
            for converted in convert.resample(frame)
        ]
    if damage.sentences():
        raise DataError(f"{name}: is damaged ({damage.sentences()[0]}); build this clip again.")
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def _first_instant(path: Path) -> Fraction:
    """Return the presentation time of the first picture that decodes, in seconds."""
    with src.open_input(path) as container:
        picture = src.picture_stream(container, str(path))
        first = next(src.decode(container, [picture], src.Damage()), None)
        if first is None:
            raise no_picture(path)
        return src.time_of(first) or Fraction(0)


class _Clock:
    """Turns decoded sound into one gapless mono signal that starts at a given instant."""

    def __init__(self, zero: Fraction, rate: int, damage: src.Damage) -> None:
        self._zero, self._rate, self._damage = zero, rate, damage
        self._position = 0
        """Native sample that comes next, counted from ``zero``; negative before it."""
        self._started = False
        self._format: tuple[str, str, int] | None = None

    def place(self, frame: AudioFrame) -> FloatArray | None:
        """Return what this frame adds to the signal; None where the clock jumps beyond belief."""
        samples = self._mono(frame)
        time = src.time_of(frame)
        due = self._position
        if time is not None:
            due = round((time - self._zero) * self._rate)
        gap = due - self._position
        if self._started and abs(gap) <= TOLERANCE_S * self._rate:
            gap = 0
        if gap > LONGEST_GAP_S * self._rate:
            return None
        if not self._started:
            self._started = True
            if gap < 0:
                self._position, gap = due, 0
        begin = self._position
        if gap > 0:
            samples = np.concatenate([np.zeros(gap, np.float32), samples])
        elif gap < 0:
            samples = samples[-gap:]
        self._position = begin + len(samples)
        return samples[max(-begin, 0) :]

    def _mono(self, frame: AudioFrame) -> FloatArray:
        """Mix one frame down to float32 mono at the first rate seen."""
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._format:
            self._format = form
            self._mixer = AudioResampler(format="flt", layout="mono", rate=self._rate)
        mixed = [_samples(part) for part in self._mixer.resample(frame)]
        return np.concatenate([np.zeros(0, np.float32), *mixed])


def _on_clock(
    path: Path, container: InputContainer, damage: src.Damage
) -> Iterator[tuple[int, FloatArray]]:
    """Yield (rate, mono block) without gaps from the instant of the first picture on."""
    src.picture_stream(container, str(path))
    sound = src.sound_stream(container)
    if sound is None:
        raise DataError(
            f"{path}: has no sound stream that decodes; leave it out, or add its sound and retry."
        )
    rate = sound.codec_context.sample_rate
    clock = _Clock(_first_instant(path), rate, damage)
    for frame in src.decode(container, [sound], damage):
        if isinstance(frame, AudioFrame):
            block = clock.place(frame)
            if block is None:
                damage.notes.append("the clock of the sound jumps; the rest is left out")
                return
            yield rate, block


def _resampled(blocks: Iterator[tuple[int, FloatArray]], limit: int | None) -> Iterator[FloatArray]:
    """Resample consecutive blocks to 16 kHz as one signal, no further than ``limit`` samples."""
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    count = pushed = 0
    for rate, block in blocks:
        if rate == SAMPLE_RATE:
            parts = [block]
        elif len(block):
            frame = AudioFrame.from_ndarray(block[None, :], format="flt", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, pushed, Fraction(1, rate)
            pushed += len(block)
            parts = [_samples(out) for out in resampler.resample(frame)]
        else:
            continue
        for part in parts:
            count += len(part)
            yield part
        if limit is not None and count >= limit:
            return
    if pushed:
        yield from (_samples(out) for out in resampler.resample(None))


def _samples(frame: AudioFrame) -> FloatArray:
    """Return the samples of a mono float frame; shape (S,), float32."""
    return frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)
