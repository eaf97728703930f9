"""Moving the sound of a video without touching its picture.

The packets of the picture are copied as they are. The sound is decoded, laid on the clock of the
picture, moved by a whole number of samples and encoded anew: timestamps alone would move it by
whole packets (21 ms and more), and players disagree about sound that begins before zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from avbench.data import FloatArray
from avbench.errors import DataError, UsageError
from avbench.media.packets import Damage, frames_of, packets_of, time_of
from avbench.media.sound import LATEST_S, Clock, first_instant
from avbench.media.source import Source, open_source

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""File suffix -> container that `shift_sound` can write."""
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_FALLBACK_RATE = 48_000
_BITS_PER_CHANNEL = 128_000
_USUAL = {"1 channels": "mono", "2 channels": "stereo"}
_OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Tags that describe the container they came in, not what it holds."""


@dataclass(frozen=True)
class Shifted:
    """What became of a file whose sound was moved."""

    path: Path
    packets: int
    """Packets of the picture, copied unchanged."""
    sound_s: float
    """Length of the sound from the first picture on."""
    rate: int
    """Samples per second of the sound, as in the source where the codec knows it."""
    codec: str
    """What the sound is encoded with."""
    left_out: tuple[str, ...]
    """Kinds of the further streams of the source that are not in the new file."""
    warnings: tuple[str, ...]
    """Damage met while reading, one sentence each."""


def shift_sound(source: Path, out: Path, delay: Fraction) -> Shifted:
    """Write a video again with its sound moved in time and its picture as it was.

    The first picture falls on zero, and the sound keeps its distance from it plus ``delay``. Moved
    later, it is preceded by silence, and what would sound after the end of both picture and sound
    is cut; moved earlier, what would sound before the first picture is cut, and silence keeps its
    length.

    Parameters
    ----------
    source
        The video; it is only read.
    out
        The file to write: MP4 or MOV with AAC sound, or Matroska with FLAC sound. It appears under
        its name only when it is whole.
    delay
        Seconds by which the sound comes later, negative: earlier; rounded to whole samples (which
        is exact for multiples of 40 ms at every rate divisible by 25).

    Raises
    ------
    DataError
        If the source cannot be read, has no sound, or its picture does not fit into the container.
    UsageError
        If ``out`` is the source, or its suffix names no container that can be written.
    """
    source, out = Path(source), Path(out)
    container = CONTAINERS.get(out.suffix.lower())
    if container is None:
        raise UsageError(
            f"{out}: cannot write this kind of file; end its name in {', '.join(CONTAINERS)}."
        )
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{out}: is the source itself, which is never written to; name another.")
    zero = first_instant(source)
    part = out.with_name(out.name + ".part")
    options = {"fflags": "+bitexact"} | ({} if container == "matroska" else _FAST_START)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            open_source(source) as opened,
            av.open(f"file:{part.absolute()}", "w", container, container_options=options) as file,
        ):
            shifted = _copy(opened, file, container, zero, Fraction(delay))
        part.replace(out)
    except OSError as error:
        if isinstance(error, FFmpegError):
            raise _refused(source, out, str(error.strerror)) from error
        raise UsageError(f"{out}: cannot be written ({error.strerror}); name another.") from error
    except (FFmpegError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise _refused(source, out, str(error)) from error
    finally:
        part.unlink(missing_ok=True)
    return Shifted(out, *shifted)


_FAST_START = {"movflags": "+faststart"}


def _refused(source: Path, out: Path, reason: str) -> DataError:
    advice = "try" if out.suffix.lower() == ".mkv" else "try .mkv, or"
    return DataError(
        f"{source}: does not go into {out.name} ({reason}); {advice} converting the video first."
    )


def _copy(
    opened: Source, file: OutputContainer, container: str, zero: Fraction, delay: Fraction
) -> tuple[int, float, int, str, tuple[str, ...], tuple[str, ...]]:
    """Copy the picture and move the sound; return the fields of `Shifted` after its path."""
    damage = Damage()
    assert opened.sound is not None
    held = opened.container.metadata
    file.metadata.update({k: v for k, v in held.items() if k not in _OF_THE_FILE})
    picture = _Picture(opened, file, zero)
    sound = _Sound(opened, file, container, zero, delay, damage)
    for packet in packets_of(opened, damage):
        if packet.stream_index == picture.index:
            picture.write(packet)
        else:
            for frame in frames_of(packet, damage):
                if isinstance(frame, AudioFrame):
                    sound.write(frame)
    if not picture.packets:
        raise DataError(f"{opened.name}: holds no packet of its picture; copy it again.")
    sound.finish(picture.end)
    others = [
        s.type for s in opened.container.streams if s.index not in (picture.index, sound.index)
    ]
    length = sound.samples / sound.rate
    return (
        picture.packets,
        length,
        sound.rate,
        sound.codec,
        tuple(others),
        tuple(damage.sentences()),
    )


class _Picture:
    """Copies the packets of the picture; the first one shown falls on zero."""

    def __init__(self, opened: Source, file: OutputContainer, zero: Fraction) -> None:
        stream = opened.picture
        self.index, self.packets, self.end = stream.index, 0, Fraction(0)
        self._name, self._file, self._zero = opened.name, file, zero
        self._reordered = stream.codec_context.has_b_frames
        self._frame = 1 / (stream.average_rate or stream.guessed_rate or Fraction(25))
        self._stream = file.add_stream_from_template(stream, opaque=True)
        self._stream.metadata.update(stream.metadata)

    def write(self, packet: Packet[Stream]) -> None:
        """Write one packet, its bytes unchanged; the one that ends the stream is none."""
        if not packet.size:
            return
        tick = packet.time_base
        if packet.pts is None and not self._reordered:
            packet.pts = packet.dts
        if packet.pts is None:
            raise DataError(
                f"{self._name}: does not say when each of its pictures is shown; convert it to "
                "MP4 first."
            )
        start = round(self._zero / tick)
        packet.pts -= start
        if packet.dts is not None:
            packet.dts -= start
        lasts = packet.duration * tick if packet.duration else self._frame
        self.end = max(self.end, packet.pts * tick + lasts)
        packet.stream = self._stream
        self._file.mux(packet)
        self.packets += 1


class _Sound:
    """Lays the sound on the clock of the picture, moves it and encodes it anew."""

    def __init__(
        self,
        opened: Source,
        file: OutputContainer,
        container: str,
        zero: Fraction,
        delay: Fraction,
        damage: Damage,
    ) -> None:
        stream = opened.sound
        assert stream is not None
        context = stream.codec_context
        self.index, self.rate, self.samples = stream.index, context.sample_rate, 0
        self.codec = "flac" if container == "matroska" else "aac"
        known = self.codec == "flac" or self.rate in _AAC_RATES
        # Sound in AVI and WAV often says how many channels it has, and not where they belong.
        self._layout = _USUAL.get(context.layout.name, context.layout.name)
        out = file.add_stream(
            self.codec, rate=self.rate if known else _FALLBACK_RATE, layout=self._layout
        )
        assert isinstance(out, AudioStream)
        out.codec_context.flags |= Flags.bitexact
        out.codec_context.thread_count = 1
        if self.codec == "flac":
            out.codec_context.format = "s32" if context.format.name.startswith("s32") else "s16"
        else:
            out.codec_context.bit_rate = _BITS_PER_CHANNEL * context.channels
        out.metadata.update(stream.metadata)
        self._file, self._stream = file, out
        latest = (opened.duration or Fraction(0)) + LATEST_S
        # One clock a channel: all see the same times and sizes, and so do the same.
        self._clocks = [Clock(zero, latest, self.rate, damage) for _ in range(context.channels)]
        self._planes = _Planes(context.layout.name, self.rate)
        self._delay = Delay(round(delay * self.rate), context.channels)

    def write(self, frame: AudioFrame) -> None:
        """Place, move and encode one decoded block."""
        time = time_of(frame)
        for block in self._planes.split(frame):
            placed = [
                c.place(time, channel) for c, channel in zip(self._clocks, block, strict=True)
            ]
            self._encode(self._delay.push(np.stack(placed)))

    def finish(self, end: Fraction) -> None:
        """Encode the rest; ``end`` is when the picture ends, in seconds."""
        self._encode(self._delay.finish(int(end * self.rate)))
        self._file.mux(self._stream.encode(None))

    def _encode(self, block: FloatArray) -> None:
        if not block.shape[1]:
            return
        planes = np.ascontiguousarray(block, np.float32)
        frame = AudioFrame.from_ndarray(planes, format="fltp", layout=self._layout)
        frame.sample_rate = self.rate
        frame.pts, frame.time_base = self.samples, Fraction(1, self.rate)
        self.samples += block.shape[1]
        self._file.mux(self._stream.encode(frame))


class _Planes:
    """Brings decoded blocks of any form to float32 channels of one layout and rate."""

    def __init__(self, layout: str, rate: int) -> None:
        self._layout, self._rate = layout, rate
        self._form: tuple[str, str, int] | None = None
        self._convert: AudioResampler | None = None

    def split(self, frame: AudioFrame) -> Iterable[FloatArray]:
        """Yield one block or more; shape (C, S)."""
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if self._convert is None or form != self._form:
            self._form = form
            self._convert = AudioResampler("fltp", self._layout, self._rate)
        frame.pts = None
        return [np.asarray(p.to_ndarray(), np.float32) for p in self._convert.resample(frame)]


class Delay:
    """Moves a signal in time while its blocks pass through, and keeps its length.

    Parameters
    ----------
    samples
        How much later it comes; negative: earlier.
    channels
        Rows of each block.
    """

    def __init__(self, samples: int, channels: int) -> None:
        self._held = np.zeros((channels, max(samples, 0)), np.float32)
        """What came in last, and goes out only where there is still a picture to it."""
        self._late, self._skip = max(samples, 0), max(-samples, 0)
        self._taken = 0

    def push(self, block: FloatArray) -> FloatArray:
        """Take a block and return what is due; shape (C, S) each."""
        self._taken += block.shape[1]
        if self._late:
            both = np.concatenate([self._held, block], axis=1)
            due, self._held = both[:, : block.shape[1]], both[:, block.shape[1] :]
            return due
        cut = min(self._skip, block.shape[1])
        self._skip -= cut
        self._held = np.zeros((len(block), self._held.shape[1] + cut), np.float32)
        return block[:, cut:]

    def finish(self, until: int) -> FloatArray:
        """Return the rest: all of it where the signal came earlier, else up to sample ``until``."""
        return self._held[:, : max(until - self._taken, 0)] if self._late else self._held
