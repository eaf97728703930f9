"""Methods broken each in one way on purpose: the zoo's method, and what happens to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from selftest_zoo import STATES, Plain, Sound, clips

from avbench.data import Alignment, Clip, Prediction
from avbench.distort import rng_for
from avbench.media import read_video


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
    """Guesses, and never the same again."""

    def __init__(self, search: int = 5) -> None:
        super().__init__(search)
        self.rng = np.random.default_rng(0)

    def predict(self, clip: Clip) -> Prediction:
        return self.answer(clip, int(self.rng.integers(-self.search, self.search + 1)))


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


OF_THIS_PROCESS = float(np.random.default_rng().uniform(1, 2))


class ProcessSeed(Plain):
    """Scales by a number that every process draws for itself, as hash() of a string is."""

    def predict(self, clip: Clip) -> Prediction:
        said = super().predict(clip)
        return self.answer(clip, said.offset or 0, said.confidence * OF_THIS_PROCESS)


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


class Misquoted(Sound):
    BIBTEX = "@misc{zoo, title = {Zoo}"


class OneStream(Sound):
    """Looks at the sound alone."""

    def seen(self, frames: Any) -> Any:
        return np.ones((len(frames), STATES), np.float32)


class HearsAskew(Sound):
    """Takes the first extra row of sound for the window's own."""

    hears_outside = True


class FeignsBlindness(Plain):
    sees_media = False


class RandomName(Sound):
    """Names its extractor anew with every load."""

    def __init__(self, search: int = 5) -> None:
        super().__init__(search)
        self.extractor = f"zoo-{np.random.default_rng().integers(2**40)}"
