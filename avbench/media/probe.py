"""What a media file holds, and which decoder says so."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avbench.errors import DataError
from avbench.media import source
from avbench.timing import FPS

SLACK_S = Fraction(1, 1000)
"""A last picture that outlasts an instant of the 25 fps grid by less than this misses it."""


@dataclass(frozen=True)
class MediaInfo:
    """What a media file holds, as its header and its first picture tell."""

    path: Path
    duration_s: float
    """Duration of the picture in seconds, as declared."""
    width: int
    height: int
    """Size in pixels, upright (after rotation)."""
    fps: float | None
    """Average frame rate of the source, None where unknown."""
    rotation: int
    """Clockwise turn in degrees that shows the stored picture upright: 0, 90, 180 or 270."""
    video_codec: str
    audio_codec: str | None
    """None where there is no sound."""
    audio_rate: int | None
    """Samples per second of the source's sound, None where there is none."""
    video_start_s: float
    """Presentation time of the first picture."""
    audio_start_s: float | None
    """Presentation time of the first sample, None where there is no sound."""
    num_frames: int
    """Frames on the 25 fps grid, estimated from the header."""


def probe(path: Path) -> MediaInfo:
    """Return what a media file holds; only its header and first picture are decoded.

    Raises
    ------
    DataError
        If it is missing, empty, not a video, or none of its pictures decodes.
    """
    path = Path(path)
    with source.open_input(path) as container:
        stream = source.picture_stream(container, str(path))
        first = next(source.decode(container, [stream], source.Damage()), None)
        if not isinstance(first, VideoFrame):
            raise no_picture(path)
        return describe(path, container, stream, first)


def no_picture(path: Path) -> DataError:
    """Return the error for a video of which no picture decodes."""
    return DataError(
        f"{path}: none of its pictures decodes; copy it again from its origin or remove it."
    )


def describe(
    path: Path, container: InputContainer, stream: VideoStream, first: VideoFrame
) -> MediaInfo:
    """Put together what an opened file and its first picture tell."""
    source.check_size(first.width, first.height, str(path))
    sound = source.sound_stream(container)
    duration = source.declared_duration(container, stream)
    rate = stream.average_rate or stream.guessed_rate
    if duration is None:
        duration = Fraction(0) if not rate else Fraction(stream.frames) / rate
    sideways = quarter_turns(first) % 2 == 1
    size = (first.height, first.width) if sideways else (first.width, first.height)
    start = source.time_of(first) or Fraction(0)
    audio_start = None
    if sound is not None and sound.start_time is not None and sound.time_base is not None:
        audio_start = float(sound.start_time * sound.time_base)
    return MediaInfo(
        path=path,
        duration_s=float(duration),
        width=size[0],
        height=size[1],
        fps=float(rate) if rate else None,
        rotation=-90 * quarter_turns(first) % 360,
        video_codec=stream.codec_context.codec.name,
        audio_codec=None if sound is None else sound.codec_context.codec.name,
        audio_rate=None if sound is None else sound.codec_context.sample_rate,
        video_start_s=float(start),
        audio_start_s=audio_start,
        num_frames=frames_within(duration),
    )


def frames_within(duration: Fraction) -> int:
    """Return how many instants of the 25 fps grid lie in ``duration`` seconds."""
    return max(ceil((duration - SLACK_S) * FPS), 0)


def quarter_turns(frame: VideoFrame) -> int:
    """Return how many counter-clockwise quarter turns show ``frame`` upright (0 to 3)."""
    return round(frame.rotation / 90) % 4


def decoder_versions() -> dict[str, str]:
    """Return the versions of PyAV and of the libraries below it, for provenance."""
    libraries = {name: ".".join(map(str, v)) for name, v in sorted(av.library_versions.items())}
    return {"pyav": av.__version__, **libraries}
