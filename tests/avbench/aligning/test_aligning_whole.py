"""Long clips, window by window: planted drifts, the ends, bounds on memory, refusals."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import ClassVar

import numpy as np
import pytest

from avbench.aligning import whole
from avbench.aligning.posterior import REACH, mean_posteriors, viterbi
from avbench.aligning.whole import How, align_rows, to_frames
from avbench.aligning.windows import PICTURE, SOUND, ask, votes, window_starts
from avbench.data import Clip, Embeddings, FloatArray, IntArray, Prediction
from avbench.distort import alignment_of, drop_duplicate, rng_for
from avbench.errors import DataError, UnknownName, UsageError
from avbench.methods import Aligned, Aligner

HOWS: tuple[How, ...] = ("chain", "weighted-chain", "viterbi", "median")


class Nearest:
    """Matches each row of sound with the most similar row of picture, whatever its neighbours."""

    name: ClassVar[str] = "nearest"
    BIBTEX: ClassVar[str] = ""
    extractor = "planted"

    def __init__(self, posterior: bool = True) -> None:
        self.posterior = posterior
        self.shapes: list[tuple[int, ...]] = []

    def embed(self, clip: Clip) -> Embeddings:
        raise NotImplementedError

    def predict(self, clip: Clip) -> Prediction:
        raise NotImplementedError

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        self.shapes.append((*video.shape[:2], audio.shape[1]))
        similarity = 10 * audio @ video.swapaxes(1, 2)
        least = similarity.max(-1, keepdims=True)
        log = similarity - least - np.log(np.exp(similarity - least).sum(-1, keepdims=True))
        return Aligned(similarity.argmax(-1).astype(float), log if self.posterior else None)


def planted(truth: IntArray, num_video: int, noise: float, seed: int = 0) -> Embeddings:
    """Rows of picture, and rows of sound like those that ``truth`` names."""
    rng = np.random.default_rng(seed)
    video = rng.normal(size=(num_video, 32))
    video /= np.linalg.norm(video, axis=1, keepdims=True)
    audio = video[truth] + noise * rng.normal(size=(len(truth), 32))
    return Embeddings(video.astype(np.float32), audio.astype(np.float32))


def damaged(rows: int, seed: int) -> tuple[IntArray, int]:
    shown = drop_duplicate(rows, rng=rng_for(seed, "aligning"))
    return alignment_of(shown, rows).video_index, len(shown)


def test_the_toy_is_an_aligner() -> None:
    assert isinstance(Nearest(), Aligner)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("offset", [-20, -3, 0, 7, 20])
def test_a_constant_offset_is_found_to_the_ends(how: How, offset: int) -> None:
    truth = np.arange(200) + offset
    inside = (truth >= 0) & (truth < 200)
    rows = planted(truth.clip(0, 199), 200, 0.1)
    found = whole(Nearest(), rows, how, rule="none").video_index
    assert len(found) == 204
    expected = (np.arange(204) + offset).clip(0, 203)
    kept = np.flatnonzero(inside) + 2
    np.testing.assert_array_equal(found[kept], expected[kept])


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("seed", range(3))
def test_dropped_and_repeated_rows_are_found(how: How, seed: int) -> None:
    truth, shown = damaged(400, seed)
    found = whole(Nearest(), planted(truth, shown, 0.13, seed), how, rule="none").video_index
    error = np.abs(found[2:-2] - 2 - truth)
    # A row that is repeated equals its copies only in what is shown: planted rows differ.
    assert (error == 0).mean() > 0.95
    assert error.mean() < 0.1
    assert np.all(np.diff(found) >= 0)


@pytest.mark.parametrize("how", HOWS)
def test_pictures_that_are_shown_several_times_may_have_one_row(how: How) -> None:
    """The drift of the rows left is far larger than a window; what is expected keeps up with it."""
    shown = drop_duplicate(600, rng=rng_for(3, "held"), law="tae2020")
    new = np.diff(shown, prepend=-1) > 0
    expected = np.cumsum(new) - 1
    truth = alignment_of(shown, len(shown)).video_index
    rows = planted(expected[truth], int(new.sum()), 0.13)
    found = align_rows(Nearest(), rows, how, rule="none", expected=expected).video_rows
    error = np.abs(found - expected[truth])
    assert np.abs(expected - np.arange(len(shown))).max() > 2 * PICTURE
    assert (error == 0).mean() > 0.95
    assert error.mean() < 0.1


def test_viterbi_stands_noise_that_breaks_chains() -> None:
    truth, shown = damaged(600, 5)
    rows = planted(truth, shown, 0.3)
    error = {
        how: float(np.abs(whole(Nearest(), rows, how).video_index[2:-2] - 2 - truth).mean())
        for how in HOWS
    }
    assert error["viterbi"] < 0.1 < error["weighted-chain"] < error["chain"]


@pytest.mark.parametrize(("video", "audio"), [(1, 1), (5, 30), (30, 5), (71, 71), (90, 300)])
@pytest.mark.parametrize("how", HOWS)
def test_any_lengths_are_aligned(how: How, video: int, audio: int) -> None:
    truth = np.linspace(0, video - 1, audio).round().astype(np.int64)
    found = whole(Nearest(), planted(truth, video, 0.0), how).video_index
    assert len(found) == audio + 4
    assert found.min() >= 0
    assert found.max() < video + 4
    assert np.all(np.diff(found) >= 0)


def test_windows_are_those_of_the_paper() -> None:
    method = Nearest()
    rows = planted(np.arange(100), 100, 0.0)
    answers = list(ask(method, rows))
    assert all(shape[1:] == (PICTURE, SOUND) for shape in method.shapes)
    starts = window_starts(100)
    assert starts.tolist() == [0, 10, 20, 30, 40, 50, 60, 70, 75]
    said = votes(iter(answers), 100)
    counts = np.isfinite(said).sum(1)
    assert counts[:10].tolist() == [1] * 10
    assert set(counts[20:75]) == {2, 3}
    assert counts[99] == 1
    np.testing.assert_array_equal(np.nanmax(said, axis=1), np.arange(100))


def test_what_windows_say_does_not_depend_on_how_many_are_asked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth, shown = damaged(300, 2)
    rows = planted(truth, shown, 0.25)
    once = [whole(Nearest(), rows, how).video_index for how in HOWS]
    monkeypatch.setattr("avbench.aligning.windows.BATCH", 3)
    again = [whole(Nearest(), rows, how).video_index for how in HOWS]
    for one, other in zip(once, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_posteriors_are_means_in_the_offsets_of_the_clip() -> None:
    rows = planted(np.arange(100) - 4, 100, 0.0)
    blocks = list(mean_posteriors(ask(Nearest(), rows), 100, np.arange(100)))
    means = np.concatenate(blocks)
    assert means.shape == (100, 2 * REACH + 1)
    assert set(means[10:90].argmax(1) - REACH) == {-4}
    assert np.isneginf(means[0, :REACH]).all()  # no picture comes before the first
    assert np.isneginf(means[99, REACH + 1 :]).all()


@pytest.mark.parametrize("seed", range(20))
def test_viterbi_is_the_best_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(5, 5)) * 2
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    turn = float(rng.uniform(0.2, 2))
    moves = rng.integers(0, 2, 5) if seed % 2 else np.ones(5, np.int64)

    def value(path: tuple[int, ...]) -> float:
        steps = np.diff(path) + moves[1:]
        if (steps < 0).any():
            return -np.inf
        told = [np.zeros(5) if np.isneginf(row).all() else row for row in scores]
        return float(
            sum(row[i] for row, i in zip(told, path, strict=True)) - turn * np.abs(steps - 1).sum()
        )

    best = max(map(value, itertools.product(range(5), repeat=5)))
    found = viterbi([scores[:2], scores[2:]], turn, moves if seed % 2 else None) + 2
    assert value(tuple(found)) == pytest.approx(best)


def test_an_hour_needs_memory_for_its_votes_and_not_for_its_windows() -> None:
    rows = planted(np.arange(6000), 6000, 0.1)
    windows = 600 * PICTURE * (32 + SOUND) * 8
    for how in HOWS:
        tracemalloc.start()
        whole(Nearest(), rows, how)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.6 * windows


def test_frames_beyond_the_rows_are_in_step() -> None:
    assert to_frames(np.array([0, 1, 1]), 7).tolist() == [0, 1, 2, 3, 3, 4, 5]


def test_refusals_say_what_to_do() -> None:
    rows = planted(np.arange(30), 30, 0.0)
    with pytest.raises(UsageError, match="ask with a chain"):
        whole(Nearest(posterior=False), rows, "viterbi")
    with pytest.raises(UnknownName, match="weighted-chain"):
        whole(Nearest(), rows, "weighted")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="0 rows of picture"):
        whole(Nearest(), Embeddings(rows.video[:0], rows.audio))
