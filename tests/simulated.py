"""Clips and methods of known difficulty, without a network or a decoder.

A simulated clip carries in every picture, and in every 640 samples of sound, which clip it is and
which frame. A simulated extractor reads that back and looks up a latent series (AR(1), as speech
is: neighbouring frames resemble each other) plus noise of its own for picture and sound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from avbench.data import Alignment, Clip, Embeddings, FloatArray, Prediction
from avbench.similarity import pick_offset, similarity_matrix
from avbench.timing import SAMPLES_PER_FRAME

DIM, LONGEST = 16, 400


def clip(number: int, num_frames: int = 60, offset: int | None = 0) -> Clip:
    """Make clip ``number``; its sound is heard ``offset`` frames early (None: truth unknown)."""
    frames = np.zeros((num_frames, 2, 2, 3), np.uint8)
    time = np.arange(num_frames)
    frames[..., 0] = number
    frames[..., 1] = (time // 256)[:, None, None]
    frames[..., 2] = (time % 256)[:, None, None]
    sound = np.repeat((time + (offset or 0) + 1) / LONGEST, SAMPLES_PER_FRAME)
    return Clip(
        key=f"clip-{number:04d}",
        frames=frames,
        audio=sound.astype(np.float32),
        alignment=None if offset is None else Alignment.from_offset(offset, num_frames),
        meta={"source": "simulated", "offset": offset},
    )


def _series(seed: int, *shape: int, memory: float) -> FloatArray:
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal(shape)
    for t in range(1, len(steps)):
        steps[t] = memory * steps[t - 1] + np.sqrt(1 - memory**2) * steps[t]
    return steps


class Simulated:
    """Mean cosine along each diagonal of noisy latent embeddings."""

    BIBTEX = ""

    def __init__(self, name: str = "simulated", noise: float = 1.0, search: int = 5) -> None:
        self.name, self.noise, self.search = name, noise, search
        self.extractor = f"simulated-{noise}"
        self.embedded: list[str] = []

    def embed(self, clip: Clip) -> Embeddings:
        self.embedded.append(clip.key)
        number = int(clip.frames[0, 0, 0, 0])
        seen = clip.frames[:, 0, 0, 1].astype(int) * 256 + clip.frames[:, 0, 0, 2]
        heard = np.rint(clip.audio[::SAMPLES_PER_FRAME] * LONGEST).astype(int) - 1
        latent = _series(number, LONGEST, DIM, memory=0.7)
        rows = len(clip) - 4
        return Embeddings(
            self._noisy(latent, 1000 + number)[seen[:rows]],
            self._noisy(latent, 2000 + number)[heard[:rows]],
        )

    def _noisy(self, latent: FloatArray, seed: int) -> FloatArray:
        return latent + self.noise * _series(seed, LONGEST, DIM, memory=0.0)

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        from avbench.similarity import diagonal_means

        return diagonal_means(similarity_matrix(audio, video), self.search)

    def predict(self, clip: Clip) -> Prediction:
        rows = self.embed(clip)
        scores = self.compare(rows.video[None], rows.audio[None])[0]
        offset, _, confidence = pick_offset(-scores, self.search)
        return Prediction(clip.key, Alignment.from_offset(offset, len(clip)), confidence, scores)


class Failing(Simulated):
    """A simulated method that raises, or answers nonsense, where it is told to."""

    def __init__(self, name: str = "failing", **where: Any) -> None:
        super().__init__(name)
        self.where = where

    def embed(self, clip: Clip) -> Embeddings:
        if clip.key == self.where.get("embed"):
            raise RuntimeError("no face\nin this clip")
        return super().embed(clip)

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        if video.shape[1] + 4 == self.where.get("length"):
            raise ValueError("no head for this length")
        scores = super().compare(video, audio)
        if video.shape[1] + 4 == self.where.get("nan"):
            scores[video[:, 0, 0] > 0] = np.nan
        return scores
