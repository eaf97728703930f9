"""mend on clips whose rows are known: the copies of a picture are left out before it aligns."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from avbench.data import Clip, Embeddings, Prediction
from avbench.distort import alignment_of, drop_duplicate
from avbench.errors import UsageError
from avbench.methods import Aligner, ClipAligner
from baselines.mend import Mend

FRAMES = 150
LATENT = np.random.default_rng(0).normal(size=(FRAMES + 1, 24))
LIKE = 0.6
"""How alike a row of sound and its picture are, over how alike strangers are by chance."""


class Codes:
    """Reads which frame is shown and heard, and says it with noise."""

    name: ClassVar[str] = "codes"
    BIBTEX: ClassVar[str] = ""
    extractor = "codes"

    def embed(self, clip: Clip) -> Embeddings:
        seen = clip.frames[:, 0, 0, 0].astype(int)
        heard = np.rint(np.abs(clip.audio[::640]) * 1000).astype(int)
        rows = len(clip) - 4
        noise = np.random.default_rng(len(clip)).normal(size=(rows, 24))
        video, audio = LATENT[seen][2 : rows + 2], LATENT[heard][2 : rows + 2]
        return Embeddings(video, LIKE * audio + (1 - LIKE) * noise)

    def predict(self, clip: Clip) -> Prediction:
        raise AssertionError("mend asks for rows alone")


def damaged(seed: int) -> tuple[Clip, np.ndarray]:
    shown = drop_duplicate(FRAMES, rng=np.random.default_rng(seed), law="symmetric")
    texture = np.random.default_rng(1).integers(0, 255, (FRAMES, 16, 16, 3)).astype(np.uint8)
    texture[:, 0, 0, 0] = np.arange(FRAMES)
    audio = np.repeat(np.arange(len(shown)) / 1000, 640).astype(np.float32)
    return Clip("clip", texture[shown], audio), shown


@pytest.mark.parametrize("seed", range(3))
def test_lost_and_copied_pictures_are_found(seed: int) -> None:
    clip, shown = damaged(seed)
    found = Mend(Codes()).predict(clip).alignment.video_index
    truth = alignment_of(shown).video_index
    error = np.abs(found - truth)
    assert np.abs(truth - np.arange(len(truth))).mean() > 1.5
    assert error.mean() < 0.4
    assert np.mean(error == 0) > 0.75
    assert np.all(np.diff(found) >= 0)


def test_the_pictures_themselves_tell_where_some_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phase = np.random.default_rng(4).uniform(0, 6, (16, 16, 3))
    waves = 127 + 100 * np.sin(phase + 0.05 * np.arange(FRAMES)[:, None, None, None])

    def error() -> float:
        found = []
        for seed in range(3):
            clip, shown = damaged(seed)
            frames = waves[shown].astype(np.uint8)
            frames[:, 0, 0, 0] = shown
            index = Mend(Codes()).predict(Clip("clip", frames, clip.audio)).alignment.video_index
            found.append(np.abs(index - alignment_of(shown).video_index).mean())
        return float(np.mean(found))

    seeing = error()
    monkeypatch.setattr("baselines.mend.missing", lambda moved: np.zeros((len(moved), 2)))
    assert seeing < 0.8 * error()


def test_an_undamaged_clip_stays_as_it_is() -> None:
    clip, _ = damaged(0)
    frames = np.tile(clip.frames[:1], (FRAMES, 1, 1, 1))
    rng = np.random.default_rng(2)
    frames[:, 1:] = rng.integers(0, 255, frames[:, 1:].shape)
    frames[:, 0, 0, 0] = np.arange(FRAMES)
    audio = np.repeat(np.arange(FRAMES) / 1000, 640).astype(np.float32)
    found = Mend(Codes()).predict(Clip("whole", frames, audio))
    np.testing.assert_array_equal(found.alignment.video_index, np.arange(FRAMES))
    assert found.confidence > Mend(Codes()).predict(clip).confidence


def test_a_still_picture_is_not_taken_for_copies() -> None:
    clip, _ = damaged(0)
    still = Clip("still", np.repeat(clip.frames[:1], 40, axis=0), clip.audio[: 40 * 640])
    assert len(Mend(Codes()).predict(still).alignment) == 40


def test_whole_clips_are_asked_with_predict() -> None:
    assert isinstance(Mend(Codes()), Aligner)
    assert not isinstance(Mend(Codes()), ClipAligner)


@pytest.mark.parametrize("search", [2, 10])
def test_windows_are_judged_row_by_row_within_the_search(search: int) -> None:
    rng = np.random.default_rng(0)
    video = rng.normal(size=(2, 40, 24))
    audio = np.stack([video[0, 13:33], video[1, 8:28]])  # shifts of 3 and -2
    found = Mend(Codes(), search=search).align(video, audio)
    assert found.log_posterior is not None
    np.testing.assert_allclose(np.exp(found.log_posterior).sum(axis=2), 1)
    shifts = found.index - np.arange(20) - 10
    assert np.abs(shifts).max() <= search
    np.testing.assert_array_equal(shifts[1], -2)
    assert np.all(shifts[0] == 3) == (search == 10)


def test_a_search_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="search 0"):
        Mend(Codes(), search=0)
