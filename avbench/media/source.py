"""Opening an input safely: what is refused, in which words, and which streams are meant.

Only the formats in `FORMATS` are tried, only local files are read (a playlist or a text file can
pull in nothing else), and a header that declares an absurd picture is refused before any memory is
spent on it.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avbench.errors import DataError

MAX_SIDE = 16_384
"""Longest picture side in pixels that is read."""
MAX_PIXELS = 100_000_000
"""Largest picture in pixels that is read."""
MAX_DURATION_S = 48 * 3600
"""Longest declared duration in seconds that is believed."""

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,vob,flv,live_flv,asf,ogg,mxf,"
    "rm,dv,wtv,nut,gxf,ivf,h264,hevc,m4v,mjpeg,yuv4mpegpipe,"
    "wav,w64,aiff,flac,mp3,aac,ac3,eac3,amr,caf,au,tta,wv,ape,"
    "gif,apng,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe"
)
"""Demuxers that may be tried: video, then sound and still pictures so that those can be named."""

_STILLS = ("_pipe", "gif", "apng")


def name_of(source: Path | bytes) -> str:
    """Return what to call ``source`` in a message."""
    return "clip in memory" if isinstance(source, bytes) else str(source)


@contextmanager
def open_input(source: Path | bytes) -> Iterator[InputContainer]:
    """Open a media file, or one held in memory, for reading.

    Raises
    ------
    DataError
        If it is missing, empty, not a regular file, or in none of the known formats.
    """
    name = name_of(source)
    target: str | io.BytesIO
    if isinstance(source, bytes):
        if not source:
            raise DataError(f"{name}: is empty (0 bytes); store the clip again.")
        target = io.BytesIO(source)
    else:
        _check_file(source)
        # The prefix keeps a name with a colon or a percent sign from being read as a URL.
        target = f"file:{source.absolute()}"
    options = {"format_whitelist": FORMATS, "max_pixels": str(MAX_PIXELS)}
    if not isinstance(source, bytes):
        options["protocol_whitelist"] = "file"
    try:
        container = av.open(target, "r", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError, OverflowError) as error:
        raise DataError(f"{name}: {_why_unreadable(error)}") from error
    with container:
        yield container


def _check_file(path: Path) -> None:
    """Refuse what is not a readable regular file with something in it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise DataError(f"{path}: is {kind}; name a video file.")
        if status.st_size == 0:
            raise DataError(f"{path}: is empty (0 bytes); copy it again from its origin.")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist; check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its access.") from error


def _why_unreadable(error: Exception) -> str:
    """Say in one clause why the container did not open, and what to do."""
    log = getattr(error, "log", None)
    detail = log[1][2].strip() if log and log[1] else ""
    if "moov atom not found" in detail:
        return (
            "its index (moov) is missing, as in a copy that was cut short; "
            "copy the whole file again, or rebuild the index with a repair tool."
        )
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"is not a video file that can be read ({reason}); convert it to MP4 or remove it."


def picture_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the moving-picture stream, set to decode in one thread.

    Raises
    ------
    DataError
        If there is none, no decoder for it, or its declared size or duration is absurd.
    """
    kind = container.format.name
    if kind.endswith(_STILLS):
        raise DataError(f"{name}: is a still picture ({kind}); name a video file.")
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        held = "sound but no picture" if container.streams.audio else "neither picture nor sound"
        raise DataError(f"{name}: holds {held}; name a file with a video stream.")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in videos else videos[0]
    context = stream.codec_context
    if context is None:
        raise DataError(f"{name}: its video codec has no decoder here; convert it to H.264.")
    check_size(context.width, context.height, name)
    check_duration(declared_duration(container, stream), name)
    context.thread_type = "NONE"
    context.thread_count = 1
    return stream


def sound_stream(container: InputContainer) -> AudioStream | None:
    """Return the sound stream that belongs to the picture, or None where there is none."""
    if not container.streams.audio:
        return None
    best = container.streams.best("audio")
    stream = best if isinstance(best, AudioStream) else container.streams.audio[0]
    if stream.codec_context is None:
        return None
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    return stream


def check_size(width: int, height: int, name: str) -> None:
    """Raise DataError where a picture is empty or too large to be meant."""
    if width < 1 or height < 1:
        raise DataError(
            f"{name}: holds no picture that decodes (its size is {width}x{height}); "
            "copy it again from its origin."
        )
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise DataError(
            f"{name}: declares pictures of {width}x{height} pixels, more than {MAX_SIDE} a side or "
            f"{MAX_PIXELS // 10**6} million in all; scale the video down or repair its header."
        )


def check_duration(seconds: Fraction | None, name: str) -> None:
    """Raise DataError where a declared duration is too long to be meant."""
    if seconds is not None and seconds > MAX_DURATION_S:
        raise DataError(
            f"{name}: declares a duration of {float(seconds) / 3600:.0f} hours, more than "
            f"{MAX_DURATION_S // 3600}; split the video or repair its header."
        )


def declared_duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return the duration in seconds that the file declares for its picture, if any."""
    if stream.duration is not None and stream.time_base is not None and stream.duration > 0:
        return stream.duration * stream.time_base
    if container.duration is not None and container.duration > 0:
        begin = (container.start_time or 0) / Fraction(av.time_base)
        late = Fraction(0)
        if stream.start_time is not None and stream.time_base is not None:
            late = max(late, stream.start_time * stream.time_base - begin)
        return max(container.duration / Fraction(av.time_base) - late, Fraction(0))
    return None


@dataclass
class Damage:
    """What was wrong with an input, collected while it is read."""

    packets: int = 0
    """Packets that did not decode."""
    concealed: int = 0
    """Pictures that the decoder flagged as damaged."""
    disordered: int = 0
    """Pictures left out because their time does not lie after the one before."""
    notes: list[str] = field(default_factory=list)
    """Everything else, one sentence each."""

    def sentences(self) -> list[str]:
        """Return one sentence per kind of damage."""
        counted = (
            (self.packets, "packet(s) did not decode"),
            (self.concealed, "picture(s) decoded with concealed damage"),
            (self.disordered, "picture(s) left out because their times run backwards"),
        )
        return [f"{count} {what}" for count, what in counted if count] + self.notes


def decode(
    container: InputContainer, streams: Sequence[Stream], damage: Damage
) -> Iterator[VideoFrame | AudioFrame]:
    """Yield every frame of ``streams`` that decodes; what does not is noted in ``damage``."""
    try:
        for packet in container.demux(streams):
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError):
                damage.packets += 1
                continue
            yield from (f for f in frames if isinstance(f, VideoFrame | AudioFrame))
    except FFmpegError as error:
        damage.notes.append(f"reading stopped early ({error.strerror or 'unknown error'})")


def time_of(frame: VideoFrame | AudioFrame) -> Fraction | None:
    """Return a frame's presentation time in seconds, or None where it carries none."""
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None or frame.time_base is None:
        return None
    return stamp * frame.time_base
