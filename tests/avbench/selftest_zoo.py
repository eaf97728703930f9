"""A sound method on clips whose sync is exact, and others broken each in one way on purpose.

The clips show a grid of grey levels that changes from frame to frame, and their sound repeats it
as the levels of sixteen short blocks a frame, eight of them mirrored, so that it can be played
backwards. The method reads both back: no network, no decoder.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from typing import Any

import numpy as np

from avbench.data import Alignment, Clip, Embeddings, Prediction
from avbench.distort import rng_for
from avbench.errors import DataError
from avbench.media import read_video
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


class SwappedSign(Sound):
    def compare(self, video: Any, audio: Any) -> Any:
        return super().compare(video, audio)[:, ::-1]


class NegatedAnswer(Plain):
    def predict(self, clip: Clip) -> Prediction:
        return self.answer(clip, -(self.inner.predict(clip).offset or 0))


class OneHigh(Sound):
    """Candidates numbered from one."""

    def compare(self, video: Any, audio: Any) -> Any:
        scores = np.roll(super().compare(video, audio), 1, axis=1)
        scores[:, 0] = -np.inf
        return scores


class TwoLow(Plain):
    def predict(self, clip: Clip) -> Prediction:
        return self.answer(clip, max((self.inner.predict(clip).offset or 0) - 2, -self.search))


class HalfFrame(Plain):
    """One frame low in about half of the windows, whatever the sound."""

    def predict(self, clip: Clip) -> Prediction:
        low = int(clip.frames[0].mean() > 128)
        return self.answer(clip, max((self.inner.predict(clip).offset or 0) - low, -self.search))


class Reluctant(Plain):
    """Never ventures beyond two frames."""

    def predict(self, clip: Clip) -> Prediction:
        return self.answer(clip, int(np.clip(self.inner.predict(clip).offset or 0, -2, 2)))


class SeesNext(Sound):
    """Lets every row look at the next one."""

    def rows(self, values: Any) -> Any:
        rows = super().rows(values)
        return (rows + 0.3 * np.concatenate([rows[1:], rows[-1:]])).astype(np.float32)


class NormalisesClip(Sound):
    def heard(self, audio: Any) -> Any:
        levels = super().heard(audio)
        return (levels - levels.mean(axis=0)) / (levels.std(axis=0) + 1e-3)


class NormalisesAll(Sound):
    def rows(self, values: Any) -> Any:
        rows = super().rows(values)
        return rows - 2 * rows.mean(axis=0)


class NormalisesBatch(Sound):
    def compare(self, video: Any, audio: Any) -> Any:
        scores = super().compare(video, audio)
        return scores - 0.3 * scores.mean(axis=0)


class Guesses(Plain):
    def predict(self, clip: Clip) -> Prediction:
        return self.answer(
            clip, int(np.random.default_rng().integers(-self.search, self.search + 1))
        )


class GuessesAlike(Plain):
    """Draws from the content, so that it repeats itself."""

    def predict(self, clip: Clip) -> Prediction:
        level = round(1000 * float(np.abs(clip.audio).mean()))
        rng = rng_for(0, int(clip.frames[0].mean()), level)
        return self.answer(clip, int(rng.integers(-self.search, self.search + 1)))


class WritesSound(Plain):
    def predict(self, clip: Clip) -> Prediction:
        audio: Any = clip.audio
        audio -= audio.mean() + 0.01
        return super().predict(clip)


class WritesRows(Sound):
    def compare(self, video: Any, audio: Any) -> Any:
        audio *= 0.5
        return super().compare(video, audio)


class ReadsAlignment(Plain):
    def predict(self, clip: Clip) -> Prediction:
        known = None if clip.alignment is None else clip.alignment.offset
        return super().predict(clip) if known is None else self.answer(clip, known)


class ReadsMeta(Plain):
    def predict(self, clip: Clip) -> Prediction:
        known = clip.meta.get("offset")
        return super().predict(clip) if known is None else self.answer(clip, known)


class NeedsTruth(Plain):
    """An oracle that does not say so."""

    def predict(self, clip: Clip) -> Prediction:
        if clip.alignment is None:
            raise ValueError("no truth to repeat")
        return Prediction(clip.key, clip.alignment)


class Declared(NeedsTruth):
    sees_truth = True


class KnowsNames(Plain):
    """Adds something that depends on the clip's name."""

    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return self.answer(clip, said.offset or 0, said.confidence + 1e-3 * len(clip.key))


class FollowsMemory(Plain):
    """Reads the displacement off the addresses of the arrays: views tell what they are cut from."""

    def predict(self, clip: Clip) -> Prediction:
        picture, sound = clip.frames.base, clip.audio.base
        if picture is None or sound is None or picture.ndim != 4:
            return self.answer(clip, super().predict(clip).offset or 0)

        def begin(view: Any, whole: Any) -> int:
            step = view.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
            return int(step)

        first = begin(clip.frames, picture) // picture[0].nbytes
        heard = begin(clip.audio, sound) // (640 * sound.itemsize)
        return self.answer(clip, int(np.clip(heard - first, -5, 5)))


class NotANumber(Sound):
    def rows(self, values: Any) -> Any:
        rows = super().rows(values)
        rows[-1] = np.nan
        return rows


class PadsRows(Sound):
    """One row too many, as centre padding makes."""

    def rows(self, values: Any) -> Any:
        return super().rows(np.concatenate([values, values[-1:]]))


class LacksColumn(Sound):
    def compare(self, video: Any, audio: Any) -> Any:
        return super().compare(video, audio)[:, :-1]


class PredictsElsewise(Sound):
    """A second implementation in predict, of the other sign."""

    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        offset = -(said.offset or 0) + 1
        return Prediction(clip.key, Alignment.from_offset(offset, len(clip)), said.confidence)


class WrongKey(Plain):
    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return Prediction("clip", said.alignment, said.confidence, said.scores)


class WrongLength(Plain):
    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return Prediction(clip.key, Alignment.from_offset(said.offset or 0, 5))


class ReturnsNumber(Plain):
    def predict(self, clip: Clip) -> Any:
        return super().predict(clip).offset


class SharesBuffer(Plain):
    """Keeps the clip on the object between two lines of a call."""

    def predict(self, clip: Clip) -> Prediction:
        self.current = clip
        time.sleep(0.001)
        return super().predict(self.current)


class Counts(Plain):
    """Grows surer with every call."""

    calls = 0

    def predict(self, clip: Clip) -> Prediction:
        self.calls += 1
        said = super().predict(clip)
        return self.answer(clip, said.offset or 0, said.confidence + 1e-2 * self.calls)


class LastClip(Plain):
    """Normalises by the loudness of the clip before, whichever that was."""

    last: tuple[bytes, float] = (b"", 0.0)
    now: tuple[bytes, float] = (b"", 0.0)

    def predict(self, clip: Clip) -> Prediction:
        mark = clip.audio.tobytes()
        if mark != self.now[0]:
            self.last, self.now = self.now, (mark, float(np.abs(clip.audio).mean()))
        said = super().predict(clip)
        return self.answer(clip, said.offset or 0, said.confidence + self.last[1])


class ProcessSeed(Plain):
    """Adds noise seeded by the process."""

    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return self.answer(clip, said.offset or 0, said.confidence + 1e-3 * os.getpid())


class UnseededLoad(Plain):
    """Draws its weights when loaded."""

    def __init__(self, search: int = 5) -> None:
        super().__init__(search)
        self.weight = float(np.random.default_rng().uniform(1, 2))

    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return self.answer(clip, said.offset or 0, said.confidence * self.weight)


class ReadsRaw(Plain):
    """Takes the sound's buffer for float32 whatever it is."""

    def predict(self, clip: Clip) -> Prediction:
        raw = np.frombuffer(np.ascontiguousarray(clip.audio).tobytes(), np.float32)
        audio = np.nan_to_num(raw[: len(clip.audio)]).clip(-1, 1)
        return super().predict(Clip(clip.key, clip.frames, audio))


class AlwaysSure(Sound):
    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return Prediction(clip.key, said.alignment, 1.0, said.scores)


class SureOfNonsense(Sound):
    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return Prediction(clip.key, said.alignment, -said.confidence, said.scores)


class Collapsed(Sound):
    """The candidate 0 wins always, by more or less."""

    def compare(self, video: Any, audio: Any) -> Any:
        scores = super().compare(video, audio)
        scores[:, self.search] += 5
        return scores


class DiesOfSilence(Sound):
    def heard(self, audio: Any) -> Any:
        if not np.abs(audio).max() > 0:
            raise ZeroDivisionError("division by the loudness")
        return super().heard(audio)


class DislikesOne(Sound):
    """Cannot take one of the clips."""

    def seen(self, frames: Any) -> Any:
        if frames[:, 0, 0, 0].tobytes() in clips()[-1].frames[:, 0, 0, 0].tobytes():
            raise RuntimeError("no face found")
        return super().seen(frames)


class FixedSearch(Sound):
    @classmethod
    def load(cls, checkpoint: Any = None, *, search: int = 5) -> Any:
        return cls()


class NoSearch(Sound):
    @classmethod
    def load(cls, checkpoint: Any = None) -> Any:
        return cls()


class DropsFirst(Sound):
    """Its own decoder loses the first frame and repeats the last."""

    def decode(self, path: Any) -> Any:
        frames = read_video(path)
        return np.concatenate([frames[1:], frames[-1:]])


class ClaimsAnySync(Sound):
    any_sync = True


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


class Misquoted(Sound):
    BIBTEX = "@misc{zoo, title = {Zoo}"


class Strict(Sound):
    """Takes float32 only."""

    def heard(self, audio: Any) -> Any:
        if audio.dtype != np.float32:
            raise TypeError(f"expected Float but found {audio.dtype}")
        return super().heard(audio)


class OneStream(Sound):
    """Looks at the sound alone."""

    def seen(self, frames: Any) -> Any:
        return np.ones((len(frames), STATES), np.float32)


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


class HearsAskew(Sound):
    """Takes the first extra row of sound for the window's own."""

    hears_outside = True


class FeignsBlindness(Plain):
    sees_media = False


class Trembles(Sound):
    """Differs in the last bits from call to call, as sums in no fixed order do."""

    def rows(self, values: Any) -> Any:
        rows = super().rows(values)
        return rows * np.float32(1 + 1e-6 * np.random.default_rng().integers(1, 5))


class RandomName(Sound):
    """Names its extractor anew with every load."""

    def __init__(self, search: int = 5) -> None:
        super().__init__(search)
        self.extractor = f"zoo-{np.random.default_rng().integers(2**40)}"


class NeedsFile(Sound):
    """Cannot be loaded without a checkpoint."""

    @classmethod
    def load(cls, checkpoint: Any = None, *, search: int = 5) -> Any:
        raise DataError("there is no checkpoint; give one")
