"""Small trees shaped like public corpora, of drawn clips."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np

from avbench import media
from avbench.data import FloatArray, UInt8Array
from avbench.synthetic import CorpusRequest, write_corpus

SIDE = 64
FRAMES = 32


@lru_cache(maxsize=1)
def _drawn(folder: Path) -> tuple[UInt8Array, FloatArray]:
    write_corpus(folder, CorpusRequest(videos=1, pool="test", seconds=2), workers=1)
    video = next(folder.glob("*.mp4"))
    frames = media.read_video(video)
    return frames, media.read_audio(video, len(frames))


class Tree:
    """A folder that fills with drawn clips, no two of them alike."""

    def __init__(self, root: Path, drawn: Path) -> None:
        self.root, self._drawn, self._count = root, drawn, 0

    def clip(
        self, name: str, *, text: str | None = None, sound: bool = True, fps: int = 25
    ) -> Path:
        """Write the next clip as ``name``, and a text beside it."""
        frames, audio = _drawn(self._drawn)
        start = self._count % 18
        self._count += 1
        pictures = [cv2.resize(f, (SIDE, SIDE)) for f in frames[start : start + FRAMES]]
        pictures[0][:2, : 2 * self._count] = 255
        heard = audio[start * 640 : (start + FRAMES) * 640]
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(".mp4")
        media.write_video(made, pictures, heard)
        made.replace(path)
        if text is not None:
            self.text(str(Path(name).with_suffix(".txt")), text)
        return path

    def text(self, name: str, text: str) -> Path:
        """Write a text file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


FLASH = 16
"""Frame that is white in `flashes`."""


def flashes(path: Path, number: int = 0) -> Path:
    """Write a video without sound, all black but for one white frame."""
    pictures = np.zeros((FRAMES, SIDE, SIDE, 3), np.uint8)
    pictures[FLASH] = 255
    pictures[:, :8, :8] = 20 * number
    path.parent.mkdir(parents=True, exist_ok=True)
    media.write_video(path, pictures)
    return path


def clicks(path: Path, frame: int) -> Path:
    """Write sound in a file of its own: AAC in M4A, or WAV; a click where a frame begins."""
    audio = np.zeros(FRAMES * 640, np.float32)
    audio[frame * 640 : frame * 640 + 160] = 0.9
    path.parent.mkdir(parents=True, exist_ok=True)
    kind, codec = ("ipod", "aac") if path.suffix == ".m4a" else ("wav", "pcm_s16le")
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=16_000, layout="mono")
        for begin in range(0, len(audio), 1024):
            block = audio[None, begin : begin + 1024]
            if codec == "aac":
                frame_ = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            else:
                values = (block * 32767).astype(np.int16)
                frame_ = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
            frame_.sample_rate, frame_.pts = 16_000, begin
            container.mux(stream.encode(frame_))
        container.mux(stream.encode(None))
    return path


def flash_and_click(frames: UInt8Array, audio: FloatArray) -> tuple[int, float]:
    """Return the white frame of a clip, and the frame at whose beginning it clicks."""
    white = int(np.argmax(frames.mean(axis=(1, 2, 3))))
    return white, float(np.argmax(np.abs(audio) > 0.3)) / 640
