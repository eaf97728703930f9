"""Writing a video again with its pictures shown at other times, or with other sound.

The pictures are coded anew, at a constant rate; the sound is coded anew from the samples that are
given, at their own rate and with all their channels. Sound and picture begin together and are of
one length, so that a player has nothing to guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from avbench.data import FloatArray, UInt8Array
from avbench.errors import DataError, UsageError
from avbench.media.encode import Quality, _create, _Pictures
from avbench.media.packets import Damage, decode_pictures, decode_sound, time_of
from avbench.media.probe import no_picture, orientation
from avbench.media.remux import _AAC_RATES, _USUAL, CONTAINERS, _Planes
from avbench.media.sound import LATEST_S, Clock, first_instant
from avbench.media.source import open_source
from avbench.timing import FPS

MOST_FPS = 120
"""A nominal rate above this is no rate but the unit of a clock."""
_FALLBACK_RATE = 48_000
_BITS_PER_CHANNEL = 128_000


@dataclass(frozen=True)
class SoundForm:
    """What sound is made of."""

    rate: int
    """Samples per second."""
    layout: str
    """Of its channels, as FFmpeg calls it."""
    channels: int


@dataclass(frozen=True)
class Retimed:
    """What was written."""

    path: Path
    frames: int
    fps: Fraction
    sound_s: float
    codec: str
    """Of the sound."""
    warnings: tuple[str, ...]
    """Damage met while reading, one sentence each."""


def output_rate(path: Path) -> Fraction:
    """Return the rate at which a video is written again: its own where that is a sane one.

    Raises
    ------
    DataError
        If the file is no video.
    """
    with open_source(path) as source:
        stream = source.picture
        rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and 1 <= rate <= MOST_FPS else Fraction(FPS)


def sound_form(path: Path) -> SoundForm:
    """Say what the sound of a file is made of.

    Raises
    ------
    DataError
        If it holds none.
    """
    with open_source(path) as source:
        if source.sound is None:
            raise DataError(f"{path}: holds no sound that can be decoded; name another file.")
        context = source.sound.codec_context
        layout = _USUAL.get(context.layout.name, context.layout.name)
        return SoundForm(context.sample_rate, layout, context.channels)


def sound_blocks(path: Path, *, from_picture: bool) -> Iterator[FloatArray]:
    """Yield the sound of a file at its own rate, with all its channels, block by block.

    Parameters
    ----------
    path
        The file.
    from_picture
        Whether sample 0 is the instant of the first picture, with silence and cuts where the
        stamps ask for them; else it is the first sample of the sound.

    Yields
    ------
    FloatArray
        Shape (C, S), float32.
    """
    damage = Damage()
    zero = first_instant(path) if from_picture else None
    with open_source(path) as source:
        if source.sound is None:
            raise DataError(f"{path}: holds no sound that can be decoded; name another file.")
        context = source.sound.codec_context
        planes = _Planes(context.layout.name, context.sample_rate)
        latest = (source.duration or Fraction(0)) + LATEST_S
        clocks = [
            Clock(zero or Fraction(0), latest, context.sample_rate, damage)
            for _ in range(context.channels)
        ]
        for frame in decode_sound(source, damage):
            time = time_of(frame)
            for block in planes.split(frame):
                if zero is None:
                    yield block
                else:
                    yield np.stack([c.place(time, b) for c, b in zip(clocks, block, strict=True)])


def retime(
    source: Path,
    out: Path,
    times: Sequence[float] | FloatArray,
    fps: Fraction,
    sound: Iterable[FloatArray],
    form: SoundForm,
    *,
    crf: int = 18,
    watch: Callable[[Iterator[UInt8Array], int], Iterable[UInt8Array]] = lambda f, total: f,
) -> Retimed:
    """Write a video whose every picture is the one that a source shows at a given time.

    Parameters
    ----------
    source
        The video; it is only read.
    out
        The file to write; it appears under its name only when it is whole.
    times
        Seconds from the first picture, never falling, one for each picture to write: the nearest
        picture of the source is shown; shape (N,).
    fps
        Pictures per second to write.
    sound
        Blocks of samples, shape (C, S) each; cut or followed by silence so that it lasts as long
        as the pictures.
    form
        Rate and channels of ``sound``.
    crf
        Quality of x264, 0 (best) to 51.
    watch
        Shows the progress over pictures.

    Raises
    ------
    DataError
        If the source cannot be read.
    UsageError
        If ``out`` is the source, or its suffix names no container that can be written.
    """
    source, out = Path(source), Path(out)
    check_target(source, out)
    if len(times) == 0 or np.any(np.diff(times) < 0):
        raise ValueError("got times that fall, or none")
    damage = Damage()
    container = CONTAINERS[out.suffix.lower()]
    part = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _create(part, container) as file:
            pictures = _Pictures(file, Quality(crf), fps)
            heard = _Heard(file, container, form, Fraction(len(times)) / fps, sound)
            shown = watch(pictures_at(source, times, damage), len(times))
            for number, image in enumerate(shown, 1):
                pictures.write(image)
                heard.write_until(Fraction(number) / fps)
            pictures.finish()
            heard.finish()
        part.replace(out)
    except OSError as error:
        if isinstance(error, FFmpegError):
            raise DataError(f"{source}: cannot be written as {out.name}: {error}") from error
        raise UsageError(f"{out}: cannot be written ({error.strerror}); name another.") from error
    finally:
        part.unlink(missing_ok=True)
    warnings = tuple(damage.sentences())
    return Retimed(out, len(times), fps, heard.samples / heard.rate, heard.codec, warnings)


def check_target(source: Path, out: Path) -> None:
    """Refuse a file that cannot be written before any work is done.

    Raises
    ------
    UsageError
        If it is the source, or its suffix names no container that can be written.
    """
    if out.suffix.lower() not in CONTAINERS:
        raise UsageError(
            f"{out}: cannot write this kind of file; end its name in {', '.join(CONTAINERS)}."
        )
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{out}: is the source itself, which is never written to; name another.")


def pictures_at(
    source: Path, times: Sequence[float] | FloatArray, damage: Damage
) -> Iterator[UInt8Array]:
    """Yield the picture nearest to each time, the earlier one on a tie; RGB, upright.

    One picture is held at a time, so that memory does not grow with the video.
    """
    with open_source(source) as opened:
        pictures = decode_pictures(opened, damage)
        held = next(pictures, None)
        if held is None:
            raise no_picture(str(source))
        rate = opened.picture.average_rate or Fraction(FPS)
        zero = time_of(held) or Fraction(0)
        turn, convert = orientation(held), _Rgb(held)
        image, begin, count = turn.apply(convert(held)), 0.0, 0
        for following in chain(pictures, [None]):
            count += 1
            if following is None:
                end = np.inf
            else:
                stamp = time_of(following)
                end = count / float(rate) if stamp is None else float(stamp - zero)
                if end <= begin:
                    damage.disordered += 1
                    continue
            while len(times) and times[0] - begin <= end - times[0]:
                yield image
                times = times[1:]
            if following is None or not len(times):
                return
            image, begin = turn.apply(convert(following)), end


class _Rgb:
    """Converts pictures as stored to RGB of the size of the first, in this thread."""

    def __init__(self, first: VideoFrame) -> None:
        self._scaler, self._size = VideoReformatter(), (first.width, first.height)

    def __call__(self, picture: VideoFrame) -> UInt8Array:
        """Return one picture that shares no memory with the decoder; (H, W, 3), uint8."""
        width, height = self._size
        converted = self._scaler.reformat(
            picture, width=width, height=height, format="rgb24", threads=1
        )
        return np.array(converted.to_ndarray(), np.uint8)


class _Heard:
    """The sound stream of one container, exactly as long as its pictures."""

    def __init__(
        self,
        file: OutputContainer,
        container: str,
        form: SoundForm,
        seconds: Fraction,
        blocks: Iterable[FloatArray],
    ) -> None:
        self.codec = "flac" if container == "matroska" else "aac"
        self.rate, self.samples = form.rate, 0
        known = self.codec == "flac" or form.rate in _AAC_RATES
        stream = file.add_stream(
            self.codec, rate=form.rate if known else _FALLBACK_RATE, layout=form.layout
        )
        assert isinstance(stream, AudioStream)
        stream.codec_context.flags |= Flags.bitexact
        stream.codec_context.thread_count = 1
        if self.codec == "flac":
            stream.codec_context.format = "s16"
        else:
            stream.codec_context.bit_rate = _BITS_PER_CHANNEL * form.channels
        self._file, self._stream, self._form = file, stream, form
        self._total = round(seconds * form.rate)
        self._blocks = chain(blocks, _silence(form.channels, form.rate))
        self._held = np.zeros((form.channels, 0), np.float32)

    def write_until(self, time: Fraction) -> None:
        """Encode the sound up to a time in seconds."""
        due = min(round(time * self.rate), self._total) - self.samples
        parts, size = [self._held], self._held.shape[1]
        while size < due:
            parts.append(next(self._blocks))
            size += parts[-1].shape[1]
        joined = np.concatenate(parts, axis=1)
        self._held = joined[:, due:]
        self._encode(joined[:, :due])

    def finish(self) -> None:
        """Encode the rest of the sound and what the encoder still holds."""
        self.write_until(Fraction(self._total, self.rate))
        self._file.mux(self._stream.encode(None))

    def _encode(self, block: FloatArray) -> None:
        if not block.shape[1]:
            return
        planes = np.ascontiguousarray(block.clip(-1, 1), np.float32)
        frame = AudioFrame.from_ndarray(planes, format="fltp", layout=self._form.layout)
        frame.sample_rate = self.rate
        frame.pts, frame.time_base = self.samples, Fraction(1, self.rate)
        self.samples += block.shape[1]
        self._file.mux(self._stream.encode(frame))


def _silence(channels: int, rate: int) -> Iterator[FloatArray]:
    """Yield silence without end, a second at a time."""
    while True:
        yield np.zeros((channels, rate), np.float32)


def stored_images(source: bytes) -> Iterator[UInt8Array]:
    """Yield the pictures of a stored clip one by one; RGB (H, W, 3), as `read_video` gives all.

    Raises
    ------
    DataError
        If the clip is no video.
    """
    with open_source(source) as opened:
        convert = None
        for picture in decode_pictures(opened, Damage()):
            convert = convert or _Rgb(picture)
            yield convert(picture)
