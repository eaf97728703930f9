"""A sound method on clips whose sync is exact, and others broken each in one way on purpose.

The clips show a grid of grey levels that changes from frame to frame, and their sound repeats it
as the levels of sixteen short blocks a frame, eight of them mirrored, so that it can be played
backwards. The method reads both back: no network, no decoder.
"""

from __future__ import annotations

import threading
import time
import warnings
from typing import Any

import numpy as np

from avbench.data import Alignment, Clip, Embeddings, Prediction
from avbench.errors import DataError
from avbench.similarity import diagonal_means, pick_offset, similarity_matrix

GRID, CELL, BLOCK = 4, 4, 40
BLOCKS = GRID * GRID
STATES = BLOCKS // 2


def clip(number: int, num_frames: int = 100, offset: int = 0, noise: float = 0.5) -> Clip:
    """Make clip ``number``, whose sound is heard ``offset`` frames early."""
    rng = np.random.default_rng([5, number])
    states = rng.standard_normal((num_frames + 40, STATES)).clip(-2.4, 2.4)
    for t in range(1, len(states)):
        states[t] = 0.6 * states[t - 1] + 0.8 * states[t]
    states = np.concatenate([states, states[:, ::-1]], axis=1)
    seen, heard = states[20:][:num_frames], states[20 + offset :][:num_frames]
    grey = (128 + 40 * seen.clip(-3, 3)).astype(np.uint8).reshape(-1, GRID, GRID)
    grey = np.repeat(np.repeat(grey, CELL, axis=1), CELL, axis=2)
    levels = heard + noise * rng.standard_normal(heard.shape)
    sound = np.repeat(0.1 * levels, BLOCK, axis=1).reshape(-1).clip(-1, 1)
    return Clip(
        f"zoo-{number:02d}",
        np.repeat(grey[..., None], 3, axis=3),
        sound.astype(np.float32),
        Alignment.from_offset(offset, num_frames),
        {"offset": offset},
    )


def clips(count: int = 8, num_frames: int = 100) -> list[Clip]:
    return [clip(number, num_frames) for number in range(count)]


class Sound:
    """Mean cosine along diagonals of what is read back: nothing is wrong with it."""

    name = "zoo"
    BIBTEX = "@misc{zoo, title = {Zoo}}"
    gain = 1.0
    """What training would change."""

    def __init__(self, search: int = 5) -> None:
        self.search = search
        self.extractor = "zoo-1"

    @classmethod
    def load(cls, checkpoint: Any = None, *, search: int = 5) -> Any:
        return cls(search)

    def embed(self, clip: Clip) -> Embeddings:
        if len(clip) < 5:
            raise DataError(f"got a clip of {len(clip)} frames; an embedding needs 5")
        return Embeddings(self.rows(self.seen(clip.frames)), self.rows(self.heard(clip.audio)))

    def seen(self, frames: Any) -> Any:
        size = frames.shape[1] // GRID, frames.shape[2] // GRID
        cells = frames[:, : GRID * size[0], : GRID * size[1]].astype(np.float32).mean(axis=3)
        cells = cells.reshape(len(frames), GRID, size[0], GRID, size[1]).mean(axis=(2, 4))
        return self.fold(cells.reshape(len(frames), BLOCKS) / 128 - 1)

    def heard(self, audio: Any) -> Any:
        blocks = np.ascontiguousarray(audio, dtype=np.float32).reshape(-1, BLOCKS, BLOCK)
        return self.gain * self.fold(blocks.mean(axis=2))

    def fold(self, values: Any) -> Any:
        return values[:, :STATES] + values[:, STATES:][:, ::-1]

    def rows(self, values: Any) -> Any:
        windows = np.lib.stride_tricks.sliding_window_view(values, 5, axis=0)
        return np.ascontiguousarray(windows.reshape(len(windows), -1), dtype=np.float32)

    def compare(self, video: Any, audio: Any) -> Any:
        return diagonal_means(similarity_matrix(audio, video), self.search)

    def predict(self, clip: Clip) -> Prediction:
        rows = self.embed(clip)
        scores = self.compare(rows.video[None], rows.audio[None])[0]
        offset, _, confidence = pick_offset(-scores, self.search)
        return Prediction(clip.key, Alignment.from_offset(offset, len(clip)), confidence, scores)


class Plain:
    """The same without embeddings to show: it only predicts."""

    name = "zoo"
    BIBTEX = ""

    def __init__(self, search: int = 5) -> None:
        self.search = search
        self.inner = Sound(search)

    @classmethod
    def load(cls, checkpoint: Any = None, *, search: int = 5) -> Any:
        return cls(search)

    def predict(self, clip: Clip) -> Prediction:
        return self.inner.predict(clip)

    def answer(self, clip: Clip, offset: int, confidence: float = float("nan")) -> Prediction:
        return Prediction(clip.key, Alignment.from_offset(offset, len(clip)), confidence)


class NeedsTruth(Plain):
    """An oracle that does not say so."""

    def predict(self, clip: Clip) -> Prediction:
        if clip.alignment is None:
            raise ValueError("no truth to repeat")
        return Prediction(clip.key, clip.alignment)


class Declared(NeedsTruth):
    sees_truth = True


class SharesBuffer(Plain):
    """Keeps the clip on the object between two lines of a call."""

    def predict(self, clip: Clip) -> Prediction:
        self.current = clip
        time.sleep(0.001)
        return super().predict(self.current)


class DoublePrecision(Sound):
    def rows(self, values: Any) -> Any:
        return super().rows(values).astype(np.float64)


class Swallows(Sound):
    def heard(self, audio: Any) -> Any:
        return super().heard(np.nan_to_num(audio, posinf=0.0))


class Blunt(Sound):
    """Says nothing about clips that are too short."""

    def embed(self, clip: Clip) -> Embeddings:
        if len(clip) < 5:
            raise IndexError("index 4 is out of bounds")
        return super().embed(clip)


class Locked(SharesBuffer):
    """The shared buffer again, guarded."""

    lock = threading.Lock()

    def predict(self, clip: Clip) -> Prediction:
        with self.lock:
            return super().predict(clip)


class GlobalNoise(Plain):
    """Draws from the generator that all share, and ignores it."""

    def predict(self, clip: Clip) -> Prediction:
        np.random.rand()  # noqa: NPY002
        return super().predict(clip)


class Talkative(Plain):
    def predict(self, clip: Clip) -> Prediction:
        warnings.warn("this will go", FutureWarning, stacklevel=1)
        return super().predict(clip)


class Uncited(Sound):
    BIBTEX = ""


class Strict(Sound):
    """Takes float32 only."""

    def heard(self, audio: Any) -> Any:
        if audio.dtype != np.float32:
            raise TypeError(f"expected Float but found {audio.dtype}")
        return super().heard(audio)


class NeverSure(Sound):
    """No confidence at all, and no scores."""

    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return Prediction(clip.key, said.alignment)


class Drifting(Plain):
    """Answers with an alignment that is not constant, about the right offset."""

    def predict(self, clip: Clip) -> Prediction:
        index = np.array(super().predict(clip).alignment.video_index)
        index[::7] += 1
        return Prediction(clip.key, Alignment(index))


class LongOnly(Plain):
    """Needs twenty-five frames."""

    def predict(self, clip: Clip) -> Prediction:
        if len(clip) < 25:
            raise DataError(f"got a clip of {len(clip)} frames; 25 are needed")
        return super().predict(clip)


class Hears(Sound):
    """Also compares windows with more sound than picture."""

    hears_outside = True

    def compare(self, video: Any, audio: Any) -> Any:
        lead = (audio.shape[1] - video.shape[1]) // 2
        return diagonal_means(similarity_matrix(audio, video), self.search, lead)


class Trembles(Sound):
    """Differs in the last bits from call to call, as sums in no fixed order do."""

    calls = 0

    def rows(self, values: Any) -> Any:
        self.calls += 1
        return super().rows(values) * np.float32(1 + 1e-6 * (self.calls % 5))


class NeedsFile(Sound):
    """Cannot be loaded without a checkpoint."""

    @classmethod
    def load(cls, checkpoint: Any = None, *, search: int = 5) -> Any:
        raise DataError("there is no checkpoint; give one")
