"""Makes small videos with planted flashes and clicks, in containers and shapes of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avbench import media

CLICK_S = 0.004
BLACK, WHITE = 16, 235


@dataclass(frozen=True)
class Recipe:
    """One video: pictures at given times, some of them white, and a click at each white one."""

    pts: Sequence[int] = tuple(range(75))
    tick: Fraction = Fraction(1, 25)
    """Seconds per unit of ``pts``."""
    flashes: Sequence[int] = (25, 50)
    """Which pictures are white."""
    video: str = "libx264"
    audio: str | None = "aac"
    rate: int = 44_100
    layout: str = "mono"
    size: tuple[int, int] = (64, 48)
    audio_start: Fraction = Fraction(0)
    """Where the first sample lies, in the time of ``pts``."""
    fps: Fraction | None = None
    video_options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    grain: int = 0
    """Size of the noise in the pictures, which makes them worth some bytes."""
    clock: Callable[[int], int] = int
    """Stamp of a sample, in samples, from its number: a recorder's clock that may drift."""


def make(path: Path, recipe: Recipe) -> Path:
    """Write the video with PyAV alone, so that nothing of avbench is needed to make it."""
    rng = np.random.default_rng(0)
    times = [float(p * recipe.tick) for p in recipe.pts]
    with av.open(str(path), "w", container_options=recipe.container_options) as container:
        rate = recipe.fps or 1 / recipe.tick
        video = container.add_stream(recipe.video, rate=rate, options=recipe.video_options)
        assert isinstance(video, VideoStream)
        video.width, video.height = recipe.size
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = recipe.tick
        video.codec_context.thread_count = 1
        packets = []
        if recipe.audio is not None:
            sound = container.add_stream(recipe.audio, rate=recipe.rate, layout=recipe.layout)
            assert isinstance(sound, AudioStream)
            clicks = [times[k] - float(recipe.audio_start) for k in recipe.flashes]
            length = times[-1] + 0.04 - float(recipe.audio_start)
            packets += _sound_packets(sound, recipe, clicks, length)
        for number, pts in enumerate(recipe.pts):
            level = WHITE if number in recipe.flashes else BLACK
            image = np.full((*recipe.size[::-1], 3), level, np.uint8)
            if recipe.grain:
                image += rng.integers(0, recipe.grain, image.shape, dtype=np.uint8)
            frame = VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = pts, recipe.tick
            packets += video.encode(frame)
        packets += video.encode(None)
        packets.sort(key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base)
        for packet in packets:
            container.mux(packet)
    return path


def _sound_packets(
    sound: AudioStream, recipe: Recipe, clicks: Sequence[float], length: float
) -> list[av.Packet]:
    track = np.zeros(round(length * recipe.rate), np.float32)
    for click in clicks:
        begin = round(click * recipe.rate)
        if begin >= 0:
            track[begin : begin + round(CLICK_S * recipe.rate)] = 0.9
    packets = []
    channels = sound.codec_context.channels
    for begin in range(0, len(track), 1024):
        block = np.tile(track[begin : begin + 1024], (channels, 1))
        frame = AudioFrame.from_ndarray(block, format="fltp", layout=recipe.layout)
        frame.sample_rate = recipe.rate
        frame.pts = recipe.clock(begin) + round(recipe.audio_start * recipe.rate)
        frame.time_base = Fraction(1, recipe.rate)
        packets += sound.encode(frame)
    return packets + sound.encode(None)


@dataclass(frozen=True)
class Heard:
    """What a video shows and sounds like through `avbench.media`, in seconds from frame 0."""

    flashes: list[float]
    """Presentation time of the first picture of each flash."""
    grid: list[float]
    """Time on the 25 fps grid at which that picture first appears."""
    clicks: list[float]
    num_frames: int
    warnings: list[str]

    def lags(self) -> list[float]:
        """Milliseconds by which each click comes after the flash nearest to it."""
        return [
            1000 * (click - min(self.flashes, key=lambda flash: abs(flash - click)))
            for click in self.clicks
        ]


def listen(path: Path) -> Heard:
    """Read a video with avbench and find its flashes and clicks."""
    with media.open_frames(path) as stream:
        frames = list(stream)
        warnings = stream.warnings
    bright = np.array([False] + [bool(frame.image.mean() > 128) for frame in frames])
    first = np.flatnonzero(bright[1:] & ~bright[:-1])
    audio = media.read_audio(path, len(frames))
    assert audio.shape == (len(frames) * 640,)
    assert audio.dtype == np.float32
    loud = np.flatnonzero(np.abs(audio) > 0.3)
    starts = loud[np.diff(loud, prepend=-16_000) > 1600]
    return Heard(
        flashes=[frames[k].pts_s - frames[0].pts_s for k in first],
        grid=[int(k) / 25 for k in first],
        clicks=[int(n) / 16_000 for n in starts],
        num_frames=len(frames),
        warnings=warnings,
    )
