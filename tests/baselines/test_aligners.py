"""What every method that places each frame of sound owes, as it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avbench import methods
from avbench.data import Embeddings, FloatArray
from avbench.distort import alignment_of, drop_duplicate, rng_for
from avbench.errors import UsageError
from avbench.methods import Aligner
from avbench.models.checkpoint import load_extractor, shipped
from baselines.dta import Dta, DtaVideo
from baselines.skip_dtw import SkipDtw
from baselines.syncnet_vote import SyncNetVote

BANDS = ("dta", "dta-video", "skip-dtw")


def rows(seed: int, *shape: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def loaded(name: str, **options: Any) -> Aligner:
    method = methods.load(name, **options)
    assert isinstance(method, Aligner)
    return method


def damaged(seed: int, noise: float = 0.3) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Make a window of planted drops and copies: picture, sound and true rows."""
    shown = drop_duplicate(104, rng=rng_for(seed, "rows"), law="symmetric")[:75]
    truth = alignment_of(shown).video_index[25:50].clip(0, 74)
    sound = rows(seed, 104, 24)
    video = sound[shown] + noise * rows(seed + 1, 75, 24)
    return video, sound[25:50], truth.astype(float)


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("sizes", [(75, 25), (71, 21), (30, 30), (9, 1), (1, 1)])
def test_it_answers_windows_of_any_size_one_by_one_as_together(
    name: str, sizes: tuple[int, int]
) -> None:
    method = loaded(name, search=25)
    video, audio = rows(0, 3, sizes[0], 8), rows(1, 3, sizes[1], 8)
    found = method.align(video, audio)
    assert found.index.shape == (3, sizes[1])
    assert (found.index == np.round(found.index)).all()
    assert (found.index >= 0).all()
    assert (found.index < sizes[0]).all()
    assert (np.diff(found.index, axis=1) >= 0).all()
    for i in range(3):
        alone = method.align(video[i : i + 1], audio[i : i + 1])
        assert np.array_equal(alone.index[0], found.index[i])
    if found.log_posterior is not None:
        assert found.log_posterior.shape == (3, sizes[1], sizes[0])
        assert np.allclose(np.exp(found.log_posterior).sum(axis=2), 1)


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("offset", [-20, -1, 0, 3, 25])
def test_it_finds_a_constant_offset_with_its_sign(name: str, offset: int) -> None:
    # The picture of sound row i stands `offset` rows later than in sync.
    video, lead = rows(2, 1, 75, 24), 25
    audio = video[:, lead + offset : lead + offset + 25]
    found = loaded(name, search=25).align(video, audio).index[0]
    shifts = found - np.arange(25) - lead
    assert np.median(shifts) == offset
    assert np.mean(shifts == offset) > 0.8


def test_paths_follow_planted_faults_and_a_constant_does_not() -> None:
    windows = [damaged(10 * seed) for seed in range(12)]
    video, audio, truth = (np.stack(part) for part in zip(*windows, strict=True))
    best = np.median(truth - np.arange(25), axis=1, keepdims=True)
    still = np.abs(np.arange(25) + best - truth).mean()
    for name in BANDS:
        found = loaded(name, search=25).align(video, audio).index
        assert np.abs(found - truth).mean() < (0.5 if name != "dta" else 0.8) * still


@pytest.mark.parametrize("name", BANDS)
def test_a_clip_is_aligned_as_its_rows_are(name: str) -> None:
    method: Any = loaded(name, search=25)
    source = rows(4, 140, 24)
    shown = drop_duplicate(140, rng=rng_for(0, "clip"), law="symmetric")
    video, audio = source[shown], source[: len(shown)]
    found = method.align_clip(Embeddings(video, audio)).video_index
    assert len(found) == len(shown) + 4
    assert (np.diff(found) >= 0).all()
    together = method.align(video[None], audio[None]).index[0]
    assert np.abs(found[2:-2] - 2 - together).max() <= 2
    truth = alignment_of(shown).video_index
    assert np.abs(found[2:-2] - 2 - truth).mean() < 2


def test_dta_has_the_search_of_the_paper_and_that_of_the_code() -> None:
    video, audio, _ = damaged(5, noise=1.5)
    answers = {
        path: DtaVideo.load(search=25, path=path).align(video[None], audio[None]).index
        for path in ("released", "dijkstra")
    }
    assert not np.array_equal(answers["released"], answers["dijkstra"])


def test_dta_compares_directions_unless_told_otherwise() -> None:
    video, audio, _ = damaged(5, noise=1.5)
    video = video * np.linspace(0.2, 5, len(video))[:, None]
    unit, raw = (DtaVideo.load(search=25, unit=unit) for unit in (True, False))
    assert (unit.penalty, raw.penalty) == (0.2, 0.05)
    plain = unit.align(video[None], audio[None]).index
    assert np.array_equal(unit.align(9 * video[None], audio[None] / 3).index, plain)
    assert not np.array_equal(raw.align(video[None], audio[None]).index, plain)


def test_smoothing_keeps_steps_small_and_stays_near_the_path() -> None:
    video, audio, _ = damaged(7)
    plain = Dta.load(search=25, smooth="none")._warp(audio[None], video[None])
    smooth = Dta.load(search=25)
    assert smooth.smooth == "largest"
    found = smooth._smoothed(plain, 25)
    on = (plain >= 0) & (plain < 25)
    assert np.array_equal(found[~on], plain[~on])
    assert not np.array_equal(found[on], plain[on])
    assert np.abs(np.diff(found[on], 2)).sum() < np.abs(np.diff(plain[on], 2)).sum()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dta", {"path": "a-star"}),
        ("dta", {"smooth": "much"}),
        ("dta-video", {"penalty": -1}),
        ("skip-dtw", {"penalty": -0.1}),
        ("skip-dtw", {"search": 0}),
        ("syncnet-vote", {"stride": 0}),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        methods.load(name, **options)


@pytest.mark.parametrize("kind", [SkipDtw, Dta, DtaVideo, SyncNetVote])
def test_any_trained_checkpoint_will_do(kind: Any, tmp_path: Path) -> None:
    path = shipped("sync-e2e")
    assert kind.load(path).extractor == load_extractor(path).id
    default = "syncnet" if kind is SyncNetVote else "syncnet-local"
    assert kind.load().extractor == load_extractor(shipped(default)).id


@pytest.mark.parametrize("sizes", [(30, 30), (75, 25), (25, 75)])
@pytest.mark.parametrize("offset", [-4, 0, 5])
def test_windows_vote_for_the_offset(sizes: tuple[int, int], offset: int) -> None:
    method = SyncNetVote.load(search=6)
    source = rows(3, 1, 200, 16)
    lead = (sizes[0] - sizes[1]) // 2
    video = source[:, 60 : 60 + sizes[0]]
    audio = source[:, 60 + lead + offset : 60 + lead + offset + sizes[1]]
    scores = method.compare(video, audio)
    assert scores.shape == (1, 13)
    assert scores[0].argmax() - 6 == offset


def test_of_equal_votes_the_first_named_wins() -> None:
    method = SyncNetVote.load(search=2, stride=1)
    eye = np.eye(8)
    # The first two windows of picture name +2, the next two -1, and the others nothing certain.
    video = eye[None, [0, 1, 2, 3]]
    audio = np.stack([eye[6], eye[7], eye[5], eye[4]])[None].copy()
    audio[0, 1] = eye[0]  # offset 0 - 1 = -1 for picture row 0
    audio[0, 3] = eye[2]  # offset 2 - 3 = -1 for picture row 2
    audio[0, 0] = eye[1]  # offset 1 - 0 = +1 for picture row 1
    audio[0, 2] = eye[3]  # offset 3 - 2 = +1 for picture row 3
    scores = method.compare(video, audio)[0]
    assert np.floor(scores).astype(int).tolist() == [0, 2, 0, 2, 0]
    assert scores.argmax() - 2 == -1
