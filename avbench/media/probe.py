"""What a media file holds, and which decoder says so."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame

from avbench.data import UInt8Array
from avbench.errors import DataError
from avbench.media.packets import Damage, decode_pictures, time_of
from avbench.media.source import Source, check_size, open_source
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
    """Presentation time of the first sample, None where there is no sound or it is unknown."""
    num_frames: int
    """Frames on the 25 fps grid, estimated from the header."""
    pixel_aspect: float = 1.0
    """Width of a pixel over its height as displayed; pictures are delivered as stored."""


class Orientation(NamedTuple):
    """How to show a stored picture upright: transpose first, then flip."""

    transpose: bool
    flip_rows: bool
    flip_columns: bool

    def apply(self, image: UInt8Array) -> UInt8Array:
        """Return ``image``, shape (H, W, 3), upright."""
        if not any(self):
            return image
        if self.transpose:
            image = image.swapaxes(0, 1)
        rows = slice(None, None, -1 if self.flip_rows else 1)
        columns = slice(None, None, -1 if self.flip_columns else 1)
        return np.ascontiguousarray(image[rows, columns])

    @property
    def rotation(self) -> int:
        """Clockwise turn in degrees, leaving a mirroring aside."""
        if self.transpose:
            return 90 if self.flip_columns else 270
        return 180 if self.flip_rows else 0


def probe(path: Path) -> MediaInfo:
    """Return what a media file holds; only its header and first picture are decoded.

    Raises
    ------
    DataError
        If it is missing, empty, not a video, or none of its pictures decodes.
    """
    with open_source(Path(path)) as source:
        first = next(decode_pictures(source, Damage()), None)
        if first is None:
            raise no_picture(source.name)
        return describe(Path(path), source, first)


def no_picture(name: str) -> DataError:
    """Return the error for a video of which no picture decodes."""
    return DataError(
        f"{name}: none of its pictures decodes; copy it again from its origin or remove it."
    )


def describe(path: Path, source: Source, first: VideoFrame) -> MediaInfo:
    """Put together what an opened file and its first picture tell."""
    check_size(first.width, first.height, source.name)
    stream, sound = source.picture, source.sound
    rate = stream.average_rate or stream.guessed_rate
    duration = source.duration
    if duration is None:
        duration = Fraction(stream.frames) / rate if rate else Fraction(0)
    turn = orientation(first)
    size = first.width, first.height
    audio_start = None
    if sound is not None and sound.start_time is not None and sound.time_base is not None:
        audio_start = float(sound.start_time * sound.time_base)
    return MediaInfo(
        path=path,
        duration_s=float(duration),
        width=size[turn.transpose],
        height=size[not turn.transpose],
        fps=float(rate) if rate else None,
        rotation=turn.rotation,
        video_codec=stream.codec_context.codec.name,
        audio_codec=None if sound is None else sound.codec_context.codec.name,
        audio_rate=None if sound is None else sound.codec_context.sample_rate,
        video_start_s=float(time_of(first) or 0),
        audio_start_s=audio_start,
        num_frames=max(ceil((duration - SLACK_S) * FPS), 0),
        pixel_aspect=float(stream.sample_aspect_ratio or 1),
    )


def orientation(frame: VideoFrame) -> Orientation:
    """Read from the display matrix of a picture how to show it upright.

    The matrix sends a stored point (x, y) to (a x + c y, b x + d y); only quarter turns and
    mirrorings are meant by recorders, so the larger of a and b decides.
    """
    try:
        held = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # side data of a kind that this PyAV has no name for
        held = None
    if not isinstance(held, Buffer):
        return Orientation(False, False, False)
    a, b, _, c, d = np.frombuffer(bytes(held), np.int32)[:5].tolist()
    if abs(a) >= abs(b):
        return Orientation(False, flip_rows=d < 0, flip_columns=a < 0)
    return Orientation(True, flip_rows=b < 0, flip_columns=c < 0)


def decoder_versions() -> dict[str, str]:
    """Return the versions of PyAV and of the libraries below it, for provenance."""
    libraries = {name: ".".join(map(str, v)) for name, v in sorted(av.library_versions.items())}
    return {"pyav": av.__version__, **libraries}
