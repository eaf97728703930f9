"""The training loop: it learns, repeats itself, and goes on where it was stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from avbench import features
from avbench.data import Alignment, Clip
from avbench.errors import DataError, UsageError
from avbench.models import augment
from avbench.models.losses import AngularLoss
from avbench.models.training import Recipe, new_network, optimise, similarity_of
from avbench.models.trainset import Batch, TrainingClip, TrainingSet
from avbench.models.two_stream import TwoStream, TwoStreamConfig

SMALL = TwoStreamConfig(video=(4, 8, 8, 8, 16), audio=(4, 8, 8, 8, 16), dim=16)
RECIPE = Recipe(steps=12, clips=4, rows=8, augmentation=None)


def blinking(key, num_frames=40, offset=0, seed=0):
    """A clip whose mouth region is as bright as its sound is loud, frame by frame."""
    rng = np.random.default_rng([seed, len(key), *key.encode()])
    level = rng.random(num_frames + 10)
    picture = (255 * level).astype(np.uint8)[5 : num_frames + 5]
    frames = np.broadcast_to(picture[:, None, None, None], (num_frames, 32, 32, 3)).copy()
    loud = np.repeat(level[5 + offset : 5 + offset + num_frames], 640)
    audio = (loud * rng.standard_normal(len(loud))).astype(np.float32) * 0.3
    return Clip(key, frames, audio, Alignment.from_offset(offset, num_frames))


@pytest.fixture(scope="module")
def data():
    clips = [blinking(f"clip-{i}") for i in range(6)]
    return TrainingSet.read(clips, min_frames=RECIPE.num_frames, max_bytes=2**30)


def train(data, recipe=RECIPE, seed=0, state=None, stop_at=None):
    rng = np.random.default_rng(seed)
    network, angular = new_network(lambda: TwoStream(SMALL), rng), AngularLoss()
    calls = 0

    def loss_of(batch, _):
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return angular(similarity_of(network, batch, recipe))

    networks = nn.ModuleDict({"extractor": network, "angular": angular})
    rates = {"extractor": 3e-3, "angular": 1e-2}
    report = optimise(networks, rates, loss_of, data, recipe, rng, state)
    return network, report


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_loss_falls(data):
    _, report = train(data, replace(RECIPE, steps=60))
    assert report.loss < 0.8 * report.first_loss
    assert (report.clips, report.frames, report.complete) == (6, 240, True)


def test_the_same_seed_gives_the_same_weights(data):
    assert same(train(data)[0], train(data)[0])
    assert not same(train(data)[0], train(data, seed=1)[0])


def test_augmented_runs_repeat_too(data):
    recipe = Recipe(steps=3, clips=4, rows=8)
    assert same(train(data, recipe)[0], train(data, recipe)[0])


def test_a_stopped_run_goes_on_to_the_same_end(data, tmp_path, monkeypatch):
    monkeypatch.setattr("avbench.models.training._SAVE_EVERY_S", 0.0)
    state = tmp_path / "run.unfinished"
    with pytest.raises(KeyboardInterrupt):
        train(data, state=state, stop_at=8)
    assert state.exists()
    continued, report = train(data, state=state)
    assert same(continued, train(data)[0])
    assert report.steps == 12
    assert not state.exists()


def test_an_unfinished_run_of_another_kind_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr("avbench.models.training._SAVE_EVERY_S", 0.0)
    state = tmp_path / "run.unfinished"
    with pytest.raises(KeyboardInterrupt):
        train(data, state=state, stop_at=4)
    with pytest.raises(UsageError, match="another recipe or other data"):
        train(data, replace(RECIPE, steps=13), state=state)


def test_the_rate_rises_then_falls_to_zero():
    recipe = Recipe(steps=100)
    rates = [recipe.rate(step) for step in range(101)]
    assert rates[4] == max(rates) == 1.0
    assert rates[:5] == sorted(rates[:5])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("offset", [-3, 0, 4])
def test_sound_is_moved_into_sync(offset):
    clip = TrainingClip.of(blinking("clip", offset=offset))
    assert len(clip) == 40 - abs(offset)
    assert clip.sound.shape == (40, 4 * len(clip) - 2)
    bright = clip.pictures.mean(axis=(1, 2)).astype(float)
    loud = np.array(
        [clip.sound[:, 4 * t : 4 * t + 2].astype(float).mean() for t in range(len(clip))]
    )
    assert np.corrcoef(np.log(bright + 5), loud)[0, 1] > 0.8


def test_clips_of_no_use_are_counted():
    drifting = Alignment(np.array([0, 1, 3] + [9] * 37))
    clips = [
        blinking("good"),
        replace(blinking("unknown"), alignment=None),
        replace(blinking("drifting"), alignment=drifting),
        blinking("short", num_frames=11),
    ]
    data = TrainingSet.read(clips, min_frames=12, max_bytes=2**30)
    assert (len(data), data.skipped) == (1, 3)
    with pytest.raises(DataError, match="none of 3 clips"):
        TrainingSet.read(clips[1:], min_frames=12, max_bytes=2**30)


def test_reading_stops_when_memory_is_full():
    clips = [blinking(f"clip-{i}") for i in range(5)]
    size = TrainingClip.of(clips[0]).nbytes
    data = TrainingSet.read(iter(clips), min_frames=12, max_bytes=2 * size)
    assert len(data) == 2
    assert not data.complete
    assert data.nbytes <= 2 * size


def test_a_batch_keeps_picture_and_sound_together(data):
    batch = data.draw(np.random.default_rng(0), 6, 20)
    assert batch.pictures.shape == (6, 20, 64, 64)
    assert batch.sound.shape == (6, 40, 78)
    for pictures, mels in zip(batch.pictures, batch.sound, strict=True):
        bright = pictures.mean(dim=(1, 2)).numpy()
        loud = [mels[:, 4 * t : 4 * t + 2].mean().item() for t in range(19)]
        assert np.corrcoef(np.log(bright[:19] + 0.02), loud)[0, 1] > 0.8


def batch_of(count=8, frames=8, seed=0):
    rng = np.random.default_rng(seed)
    mels = torch.from_numpy(rng.normal(-4, 2, (count, 40, 4 * frames - 2)).astype(np.float32))
    pictures = torch.from_numpy(rng.random((count, frames, 64, 64), dtype=np.float32))
    return Batch(pictures, mels)


def test_augmented_pictures_are_pictures():
    changed = augment.apply(batch_of(), augment.Augmentation(), np.random.default_rng(0))
    assert changed.pictures.shape == (8, 8, 48, 48)
    assert 0 <= changed.pictures.min() <= changed.pictures.max() <= 1
    assert changed.sound.shape == (8, 40, 30)
    assert changed.sound.isfinite().all()


STILL = augment.Augmentation(
    zoom=(1, 1), aspect=0, rotation=0, shift=0, gamma=(1, 1), gain=(1, 1), noise=0, cutout=0,
    warp=(1, 1), tilt=0, snr_db=(200, 200), band_drop=0,
)  # fmt: skip


def test_no_change_is_the_plain_centre():
    plain = augment.centre(batch_of())
    changed = augment.apply(batch_of(), STILL, np.random.default_rng(0))
    same_or_mirrored = torch.minimum(
        (changed.pictures - plain.pictures).abs().amax(dim=(1, 2, 3)),
        (changed.pictures - plain.pictures.flip(-1)).abs().amax(dim=(1, 2, 3)),
    )
    assert same_or_mirrored.max() < 2e-3
    assert torch.allclose(changed.sound, plain.sound, atol=1e-3)


@pytest.mark.parametrize("db", [3.0, 20.0])
def test_noise_has_the_level_it_is_asked_for(db):
    batch = batch_of(count=64)
    noisy = augment.apply(batch, replace(STILL, snr_db=(db, db)), np.random.default_rng(0))
    added = (noisy.sound.exp() - batch.sound.exp()).mean() / batch.sound.exp().mean()
    assert 10 * np.log10(1 / added.item()) == pytest.approx(db, abs=0.5)


def test_a_longer_vocal_tract_moves_bands_up_or_down():
    batch = batch_of()
    batch.sound.fill_(-4)
    batch.sound[:, 20] = 4
    warped = augment.apply(batch, replace(STILL, warp=(0.8, 0.8)), np.random.default_rng(0))
    assert warped.sound.mean(dim=(0, 2)).argmax() == 25


def test_features_and_training_agree_on_the_picture():
    ratio = features.MARGIN_PIXELS / features.MOUTH_PIXELS
    assert ratio == pytest.approx(features.MOUTH_MARGIN)
