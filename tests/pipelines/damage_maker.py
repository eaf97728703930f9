"""Two hundred files that are wrong in every way that files are, and a few that are right.

Each damage is drawn from its number, so file n is the same for ever. What a file should come to is
not said here, apart from those that cannot hold a clip: damage may be harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from avbench import media
from avbench.data import UInt8Array

FRAMES, SIZE = 36, (80, 64)
FORMATS = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "flac"),
    "avi": ("mpeg4", "mp2"),
    "mpg": ("mpeg1video", "mp2"),
    "ts": ("mpeg2video", "mp2"),
}
"""Ending -> codecs of picture and sound."""
Harm = Callable[[bytes, np.random.Generator], bytes]


@dataclass(frozen=True)
class Damaged:
    """One file."""

    name: str
    kind: str
    """What was done to it."""
    hopeless: bool = False
    """Whether nothing of it can be kept."""


def pictures(seed: int, size: tuple[int, int] = SIZE, count: int = FRAMES) -> Iterator[UInt8Array]:
    """Yield a red face that moves and talks, before a room."""
    rng = np.random.default_rng(seed)
    room = cv2.resize(rng.uniform(0, 120, (3, 4, 3)).astype(np.uint8), size)
    for t in range(count):
        image = room.copy()
        corner = 20 + t // 4, 16
        cv2.rectangle(image, corner, (corner[0] + 30, corner[1] + 30), (250, 20, 20), -1)
        cv2.circle(image, (corner[0] + 15, corner[1] + 20), 2 + t % 5, (250, 90, 60), -1)
        yield image


def sound(seed: int, count: int = FRAMES) -> np.ndarray:
    """Return noise as long as the pictures; shape (count * 640,), float32."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.3, 0.3, count * 640).astype(np.float32)


def write_good(folder: Path) -> dict[str, bytes]:
    """Write one sound file per format; return their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for number, (ending, (video, audio)) in enumerate(FORMATS.items()):
        path = folder / f"good-{ending}.{ending}"
        _write(path, number, video, audio)
        made[ending] = path.read_bytes()
    return made


def _write(path: Path, seed: int, video: str, audio: str | None, last_s: int = 0) -> None:
    """Write with PyAV alone: these are not avbench's own files."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(video, rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.gop_size = "yuv420p", 6
        stream.bit_rate, stream.codec_context.thread_count = 400_000, 1
        if video == "libx264":
            stream.options = {"mbtree": "0"}  # with it, x264 does not repeat itself
        heard = container.add_stream(audio, rate=16_000, layout="mono") if audio else None
        packets = []
        for number, image in enumerate(pictures(seed)):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            if last_s and number == FRAMES - 1:
                picture.pts = last_s * 25
            packets += stream.encode(picture)
        packets += stream.encode(None)
        if heard is not None:
            form = heard.codec_context.format.name
            wave = sound(seed)
            for at in range(0, len(wave), 1152):
                block = wave[None, at : at + 1152]
                block = (block * 32000).astype(np.int16) if form.startswith("s16") else block
                frame = av.AudioFrame.from_ndarray(block, format=form, layout="mono")
                frame.sample_rate, frame.pts = 16_000, at
                packets += heard.encode(frame)
            packets += heard.encode(None)
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)


def _flip(data: bytes, rng: np.random.Generator, count: int, first: int = 0) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(first, len(data), count):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _truncated(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(1, len(data)))]


def _beheaded(data: bytes, rng: np.random.Generator) -> bytes:
    return data[int(rng.integers(1, len(data) // 2)) :]


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    return _flip(data, rng, int(rng.integers(1, 200)))


def _flipped_head(data: bytes, rng: np.random.Generator) -> bytes:
    return _flip(data[:400], rng, int(rng.integers(1, 30))) + data[400:]


def _holed(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(0, len(data) - 1))
    stop = min(len(data), start + int(rng.integers(1, len(data) // 3)))
    return data[:start] + bytes(stop - start) + data[stop:]


def _cut_out(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(0, len(data) // 2))
    return data[:start] + data[start + int(rng.integers(1, len(data) // 3)) :]


def _shuffled(data: bytes, rng: np.random.Generator) -> bytes:
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    rng.shuffle(blocks)
    return b"".join(blocks)


def _tailed(data: bytes, rng: np.random.Generator) -> bytes:
    return data + rng.bytes(5000)


def _twice(data: bytes, rng: np.random.Generator) -> bytes:
    return data + data[int(rng.integers(0, len(data))) :]


HARMS: dict[str, Harm] = {
    "truncated": _truncated,
    "beheaded": _beheaded,
    "bits-flipped": _flipped,
    "head-flipped": _flipped_head,
    "zeros-inside": _holed,
    "piece-missing": _cut_out,
    "blocks-shuffled": _shuffled,
    "junk-behind": _tailed,
    "joined": _twice,
}


def huge(side: int) -> bytes:
    """Return a video whose header declares pictures of so many pixels a side."""
    return f"YUV4MPEG2 W{side} H{side} F25:1 Ip A1:1 C420\n".encode() + b"FRAME\n" + bytes(9000)


def write_endless(path: Path, seconds: int) -> None:
    """Write a few pictures of which the last is due so many seconds later: a file of some kB."""
    _write(path, 90, "libx264", "aac", last_s=seconds)


def write_hog(path: Path, side: int = 4000) -> None:
    """Write a few kB that decode to pictures of 3 side^2 bytes each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width = stream.height = side
        stream.pix_fmt, stream.codec_context.thread_count = "rgb24", 1
        image = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), format="rgb24")
        for number in range(2):
            image.pts = number
            for packet in stream.encode(image):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def write_damaged(folder: Path, count: int = 200) -> list[Damaged]:
    """Write so many damaged files and return what was done to each."""
    good = write_good(folder.parent / "good")
    made = _odd_ones(folder, good)
    number = 0
    while len(made) < count:
        ending = list(FORMATS)[number % len(FORMATS)]
        kind = list(HARMS)[number // len(FORMATS) % len(HARMS)]
        name = f"{number:03d}-{kind}.{ending}"
        (folder / name).write_bytes(HARMS[kind](good[ending], np.random.default_rng(number)))
        made.append(Damaged(name, kind))
        number += 1
    return made


def _odd_ones(folder: Path, good: dict[str, bytes]) -> list[Damaged]:
    """Write what is no piece of a good file."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    mp4 = good["mp4"]
    contents = {
        "empty.mp4": b"",
        "empty.avi": b"",
        "one-byte.mkv": b"\x1a",
        "junk.mp4": rng.bytes(20_000),
        "junk-with-head.mp4": mp4[:40] + rng.bytes(20_000),
        "zeros.mpg": bytes(30_000),
        "text.mp4": b"this is no video\n" * 500,
        "playlist.m3u8": b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n",
        "concat.ffconcat": b"ffconcat version 1.0\nfile good-mp4.mp4\n",
        "page.avi": b"<html><body>404 not found</body></html>",
        "only-head.mp4": mp4[:32],
        "huge.y4m": huge(60_000),
        "large.y4m": huge(8_000),
        "flat.y4m": huge(0),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    made = [Damaged(name, Path(name).stem, True) for name in contents]
    for name, hours in (("forty-hours.mkv", 40), ("hundred-hours.mkv", 100)):
        write_endless(folder / name, hours * 3600)
        made.append(Damaged(name, "endless", True))
    wrong = {"mkv-named.mp4": "mkv", "mp4-named.avi": "mp4", "avi-named.mpg": "avi"}
    for name, ending in wrong.items():
        # One more byte behind, or it would be the same file twice.
        (folder / name).write_bytes(good[ending] + b"\0")
        made.append(Damaged(name, "wrong-ending"))
    _write(folder / "silent-film.mp4", 91, "libx264", None)
    (folder / "no-picture.mkv").write_bytes(media.encode_sound(sound(92)))
    cv2.imwrite(str(folder / "still.png"), next(pictures(93)))
    (folder / "still.png").rename(folder / "still.mp4")
    made += [Damaged(name, "half", True) for name in ("silent-film.mp4", "no-picture.mkv")]
    made.append(Damaged("still.mp4", "still", True))
    return made
