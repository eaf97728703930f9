"""Opening an input safely: what is refused, in which words, and which streams are meant.

Only the formats in `FORMATS` are tried, only local files are read (a playlist or a text file can
pull in nothing else), and a header that declares an absurd picture is refused before any memory is
spent on it.
"""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
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

_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_STILLS = ("_pipe", "image2")


def name_of(source: Path | bytes) -> str:
    """Return what to call ``source`` in a message."""
    return "clip in memory" if isinstance(source, bytes) else str(source)


@dataclass(frozen=True)
class Source:
    """An opened input and the streams of it that are meant."""

    name: str
    """What to call it in a message."""
    container: InputContainer
    picture_or_none: VideoStream | None
    """The moving picture, if any; `picture` says why there is none."""
    sound: AudioStream | None
    """The sound that belongs to the picture, if any."""

    @property
    def format(self) -> str:
        """Name of the container format."""
        return self.container.format.name

    @property
    def picture(self) -> VideoStream:
        """The moving picture; DataError where there is none or its header is absurd."""
        if self.picture_or_none is None:
            if self.format.endswith(_STILLS):
                raise DataError(
                    f"{self.name}: is a still picture ({self.format}); name a video file."
                )
            held = "sound but no picture" if self.sound else "no picture that can be decoded"
            raise DataError(f"{self.name}: holds {held}; name a file with a video stream.")
        context = self.picture_or_none.codec_context
        check_size(context.width, context.height, self.name)
        duration = self.duration
        if duration is not None and duration > MAX_DURATION_S:
            raise DataError(
                f"{self.name}: declares a duration of {float(duration) / 3600:.0f} hours, more "
                f"than {MAX_DURATION_S // 3600}; split the video or repair its header."
            )
        return self.picture_or_none

    @property
    def duration(self) -> Fraction | None:
        """Duration in seconds that the file declares for its picture, None where it does not."""
        exact = self.exact_duration
        if exact is not None or not self.container.duration or self.container.duration < 0:
            return exact
        whole = Fraction(self.container.duration, av.time_base)
        begin = Fraction(self.container.start_time or 0, av.time_base)
        stream = self.picture_or_none
        if stream is not None and stream.start_time is not None and stream.time_base is not None:
            whole -= max(stream.start_time * stream.time_base - begin, Fraction(0))
        tagged = None if stream is None else _tagged_duration(stream)
        return max(whole if tagged is None else min(whole, tagged), Fraction(0))

    @property
    def exact_duration(self) -> Fraction | None:
        """Duration in seconds that the file declares for the picture stream by itself."""
        stream = self.picture_or_none
        if stream is None or stream.time_base is None or not stream.duration:
            return None
        return stream.duration * stream.time_base if stream.duration > 0 else None


@contextmanager
def open_source(source: Path | bytes) -> Iterator[Source]:
    """Open a media file, or one held in memory, for reading.

    Raises
    ------
    DataError
        If it is missing, empty, not a regular file, or in none of the known formats.
    """
    source = source if isinstance(source, bytes) else Path(source)
    name = name_of(source)
    options = {"format_whitelist": FORMATS, "max_pixels": str(MAX_PIXELS)}
    target: str | io.BytesIO
    if isinstance(source, bytes):
        if not source:
            raise DataError(f"{name}: is empty (0 bytes); store the clip again.")
        _check_index(io.BytesIO(source), name)
        target = io.BytesIO(source)
    else:
        _check_file(source)
        # The prefix keeps a name with a colon or a percent sign from being read as a URL.
        target = f"file:{source.absolute()}"
        options["protocol_whitelist"] = "file"
    try:
        container = av.open(target, "r", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(
            f"{name}: is not a video file that can be read ({reason}); convert it to MP4 or "
            "remove it."
        ) from error
    with container:
        yield Source(name, container, _find_picture(container), _find_sound(container))


def _check_file(path: Path) -> None:
    """Refuse what is not a readable regular file with something in it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise DataError(f"{path}: is {kind}; name a video file.")
        if status.st_size == 0:
            raise DataError(f"{path}: is empty (0 bytes); copy it again from its origin.")
        with path.open("rb") as file:
            _check_index(file, str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist; check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its access.") from error


def _check_index(file: BinaryIO, name: str) -> None:
    """Raise DataError for an MP4 or MOV whose index is cut off; PyAV cannot tell that so clearly.

    Such a file is a row of boxes, each with its size and its kind in front; ``moov`` is the index.
    """
    end = file.seek(0, io.SEEK_END)
    place, kind = 0, b""
    while kind != b"moov" and place + 8 <= end:
        file.seek(place)
        header = file.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if place == 0 and kind not in _FIRST_BOXES:
            break
        if size == 1:
            size = int.from_bytes(header[8:], "big")
        place += size if size >= 8 else end
    if place and (kind != b"moov" or place > end):
        raise DataError(
            f"{name}: its index (moov) is missing or cut off, as in a copy that was cut short; "
            "copy the whole file again, or rebuild the index with a repair tool."
        )


def _find_picture(container: InputContainer) -> VideoStream | None:
    """Return the best moving-picture stream, set to decode in one thread."""
    if container.format.name.endswith(_STILLS):
        return None
    videos = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None
    ]
    if not videos:
        return None
    best = container.streams.best("video")
    stream = next((video for video in videos if video is best), videos[0])
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    return stream


def _find_sound(container: InputContainer) -> AudioStream | None:
    """Return the best sound stream, set to decode in one thread."""
    best = container.streams.best("audio") if container.streams.audio else None
    if not isinstance(best, AudioStream) or best.codec_context is None:
        return None
    best.codec_context.thread_type = "NONE"
    best.codec_context.thread_count = 1
    return best


def _tagged_duration(stream: VideoStream) -> Fraction | None:
    """Return the duration in seconds that Matroska writers leave in a tag of the stream."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)


def check_size(width: int, height: int, name: str) -> None:
    """Raise DataError where a picture is empty or too large to be meant."""
    if width < 1 or height < 1:
        raise DataError(
            f"{name}: declares no picture size, or one of more than {MAX_PIXELS // 10**6} million "
            "pixels; copy it again from its origin or repair its header."
        )
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise DataError(
            f"{name}: declares pictures of {width}x{height} pixels, more than {MAX_SIDE} a side or "
            f"{MAX_PIXELS // 10**6} million in all; scale the video down or repair its header."
        )
