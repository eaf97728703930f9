"""Writing pictures and sound so that the same input gives the same bytes in every process.

Every encoder runs in one thread, and neither encoder nor container writes a date, a random
identifier or a version string.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from avbench.data import FloatArray, IntArray, UInt8Array
from avbench.errors import DataError, UsageError
from avbench.media.decode import stored_pictures
from avbench.media.picture import Part, Yuv420
from avbench.media.sound import to_int16
from avbench.media.source import name_of
from avbench.timing import FPS, SAMPLE_RATE

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".avi": "avi",
    ".ts": "mpegts",
}
"""File suffix -> container that `write_video` can write."""
_EXACT_SOUND = ("flac", "pcm_s16le")
_X264_FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
_MPEG_RANGE = 1
_BT601 = 6
_SCALER = 0x2 | 0x40000  # SWS_BILINEAR, SWS_ACCURATE_RND: not every PyAV has names for them


@dataclass(frozen=True)
class Quality:
    """How x264 is to encode."""

    crf: int = 18
    preset: str = "veryfast"
    lossless: bool = False
    tune: str | None = None

    def options(self) -> dict[str, str]:
        """Return the options of the encoder."""
        quality = {"qp": "0"} if self.lossless else {"crf": str(self.crf)}
        if self.tune:
            quality["tune"] = self.tune
        # On CPUs with AVX-512 the macroblock tree of x264 reads memory it never wrote: the bytes
        # then differ from run to run.
        return {**quality, "preset": self.preset, "mbtree": "0", "threads": "1"}


class VideoWriter:
    """Writes RGB pictures one by one to an H.264 MP4 file, yuv420p, without sound.

    A context manager: the file appears under its name only when everything went well; until then
    it is called ``<name>.part``. An odd width or height is made even by repeating the last column
    or row. The bytes depend on nothing but the pictures and the settings.

    Parameters
    ----------
    path
        The file to write.
    crf
        x264 quality, 0 (best) to 51; ignored when ``lossless``.
    preset
        x264 speed preset.
    lossless
        Whether the yuv420p pictures come back bit by bit.
    fps
        Frame rate.
    tune
        What x264 is to suit, such as ``fastdecode``; nothing in particular where None.
    """

    def __init__(
        self,
        path: Path,
        *,
        crf: int = 18,
        preset: str = "veryfast",
        lossless: bool = False,
        fps: Fraction = Fraction(FPS),
        tune: str | None = None,
    ) -> None:
        self._path = Path(path)
        self._part = self._path.with_name(self._path.name + ".part")
        self._container = _create(self._part, CONTAINERS.get(self._path.suffix, "mp4"))
        quality = Quality(crf, preset, lossless, tune)
        self._video = _Pictures(self._container, quality, fps)

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, image: UInt8Array | Part) -> None:
        """Append one picture, the same size every time; an array is RGB, (H, W, 3), uint8."""
        self._video.write(image)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._video.finish()
            self._container.close()
            if error is None:
                self._part.replace(self._path)
        finally:
            self._container.close()
            self._part.unlink(missing_ok=True)


def write_video(
    path: Path,
    frames: Iterable[UInt8Array],
    audio: FloatArray | None = None,
    *,
    fps: Fraction = Fraction(FPS),
    crf: int = 18,
    preset: str = "veryfast",
    audio_codec: str = "aac",
    sample_rate: int = SAMPLE_RATE,
) -> None:
    """Write a whole video with its sound; the first sample falls on the first picture.

    Parameters
    ----------
    path
        The file to write; its suffix chooses the container (`CONTAINERS`).
    frames
        RGB pictures, shape (H, W, 3), uint8, all of one size.
    audio
        Mono sound in [-1, 1] at ``sample_rate``; shape (S,). None writes no sound stream.
    fps, crf, preset
        As for `VideoWriter`.
    audio_codec
        Name of a libavcodec encoder: aac, flac, pcm_s16le, mp2, ac3, ...
    sample_rate
        Samples per second of ``audio`` and of the file.

    Raises
    ------
    UsageError
        If the suffix names no container that can be written.
    """
    path = Path(path)
    if path.suffix.lower() not in CONTAINERS:
        raise UsageError(
            f"{path}: cannot write this kind of file; end its name in {', '.join(CONTAINERS)}."
        )
    part = path.with_name(path.name + ".part")
    try:
        with _create(part, CONTAINERS[path.suffix.lower()]) as container:
            video = _Pictures(container, Quality(crf, preset), fps)
            sound = None if audio is None else _Sound(container, audio, audio_codec, sample_rate)
            for index, image in enumerate(frames):
                video.write(image)
                if sound is not None:
                    sound.write_until(Fraction(index + 1) / fps)
            video.finish()
            if sound is not None:
                sound.finish()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def encode_sound(audio: FloatArray) -> bytes:
    """Encode mono 16 kHz sound in [-1, 1], shape (S,), as 16 bit FLAC."""
    held = io.BytesIO()
    with _create(held, "flac") as container:
        sound = _Sound(container, audio, "flac", SAMPLE_RATE)
        sound.finish()
    return held.getvalue()


def reorder_video(source: bytes | Path, indices: IntArray) -> bytes:
    """Re-encode a stored clip with its pictures picked by ``indices``, losslessly.

    The pictures are copied as they are stored (YUV), so that each one decodes to exactly the same
    bits as the one it was picked from.

    Parameters
    ----------
    source
        The clip.
    indices
        The source picture to show at each position of the result; shape (T,).

    Returns
    -------
    bytes
        An MP4 file.

    Raises
    ------
    DataError
        If the clip is damaged, or stored in a form that cannot be kept exactly.
    ValueError
        If an index lies outside the clip.
    """
    pictures, rate = stored_pictures(source)
    like = pictures[0]
    if like.format.name not in _X264_FORMATS:
        raise DataError(
            f"{name_of(source)}: its pixel format {like.format.name} cannot be kept exactly; "
            f"store it as one of {', '.join(_X264_FORMATS)}."
        )
    if len(indices) == 0 or min(indices) < 0 or max(indices) >= len(pictures):
        raise ValueError(f"got indices outside [0, {len(pictures)}), or none")
    held = io.BytesIO()
    with _create(held, "mp4") as container:
        video = _Pictures(container, Quality(lossless=True), rate, like)
        for index in indices:
            video.write_stored(pictures[int(index)])
        video.finish()
    return held.getvalue()


def _create(target: Path | io.BytesIO, container: str) -> OutputContainer:
    """Open a container for writing that records nothing about when and by what it was written."""
    options = {"fflags": "+bitexact"}
    if container in ("mp4", "mov") and isinstance(target, Path):
        options["movflags"] = "+faststart"
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
    name = f"file:{target.absolute()}" if isinstance(target, Path) else target
    return av.open(name, "w", format=container, container_options=options)


class _Pictures:
    """The H.264 stream of one container."""

    def __init__(
        self,
        container: OutputContainer,
        quality: Quality,
        fps: Fraction,
        like: VideoFrame | None = None,
    ) -> None:
        # AVI stores no presentation times, so that pictures must be coded as they are shown.
        order = {"bf": "0"} if container.format.name == "avi" else {}
        stream = container.add_stream("libx264", rate=fps, options={**quality.options(), **order})
        assert isinstance(stream, VideoStream)
        self._container, self._stream = container, stream
        context = stream.codec_context
        context.thread_count = 1
        context.flags |= Flags.bitexact
        context.time_base = 1 / Fraction(fps)
        context.pix_fmt = "yuv420p" if like is None else like.format.name
        context.color_range = _MPEG_RANGE if like is None else like.color_range
        context.colorspace = _BT601 if like is None else like.colorspace
        if like is not None:
            context.color_primaries = like.color_primaries
            context.color_trc = like.color_trc
        self._convert = VideoReformatter()
        self._count = 0
        self._size: tuple[int, ...] | None = None

    def write(self, picture: UInt8Array | Part) -> None:
        """Encode one picture: as it is if it is stored like this stream, or from RGB."""
        part = picture if isinstance(picture, Part) else Part((picture,))
        if isinstance(part.coding, Yuv420) and part.coding.standard:
            self._agree(part.planes[0].shape)
            self.write_stored(part.coding.frame(part.planes))
            return
        image = part.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"got {image.dtype} {image.shape}, expected uint8 (H, W, 3)")
        self._agree(image.shape[:2])
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        stored = self._convert.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            interpolation=_SCALER,
            threads=1,
        )
        self.write_stored(stored)

    def _agree(self, size: tuple[int, ...]) -> None:
        """Note the size of the first picture; raise ValueError for another of another size."""
        if self._size not in (None, size):
            raise ValueError(f"got a picture of {size} after {self._size}")
        self._size = size

    def write_stored(self, picture: VideoFrame) -> None:
        """Encode one picture that is in the stream's own pixel format already."""
        if self._count == 0:
            self._stream.width, self._stream.height = picture.width, picture.height
        picture.pts, picture.time_base = self._count, self._stream.codec_context.time_base
        picture.pict_type = 0
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._count == 0:
            raise ValueError("got no pictures, expected at least one")
        self._container.mux(self._stream.encode(None))


class _Sound:
    """The sound stream of one container."""

    def __init__(
        self, container: OutputContainer, audio: FloatArray, codec: str, sample_rate: int
    ) -> None:
        if audio.ndim != 1:
            raise ValueError(f"got {audio.shape = }, expected (S,)")
        self._exact = codec in _EXACT_SOUND
        self._audio: NDArray[np.int16] | NDArray[np.float32]
        self._audio = to_int16(audio) if self._exact else audio.astype(np.float32)
        if not np.isfinite(self._audio).all():
            raise ValueError("got sound that is not finite")
        stream = container.add_stream(codec, rate=sample_rate, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.codec_context.flags |= Flags.bitexact
        stream.codec_context.thread_count = 1
        if self._exact:
            stream.codec_context.format = "s16"
        self._container, self._stream, self._rate = container, stream, sample_rate
        self._position = 0

    def write_until(self, time: Fraction) -> None:
        """Encode the sound up to ``time`` seconds."""
        self._write(min(round(time * self._rate), len(self._audio)))

    def finish(self) -> None:
        """Encode the rest of the sound and what the encoder still holds."""
        self._write(len(self._audio))
        self._container.mux(self._stream.encode(None))

    def _write(self, stop: int) -> None:
        if stop <= self._position:
            return
        frame = AudioFrame.from_ndarray(
            self._audio[None, self._position : stop],
            format="s16" if self._exact else "flt",
            layout="mono",
        )
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._position, Fraction(1, self._rate)
        self._position = stop
        self._container.mux(self._stream.encode(frame))
