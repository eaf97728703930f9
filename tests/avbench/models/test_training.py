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
from avbench.models import architectures, augment
from avbench.models.losses import AngularLoss
from avbench.models.training import (
    Recipe,
    Watch,
    new_network,
    optimise,
    rows_of,
    similarity_of,
)
from avbench.models.trainset import Batch, TrainingClip, TrainingSet
from avbench.models.two_stream import TwoStream, TwoStreamConfig
from avbench.models.vgg import build

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


def train(data, recipe=RECIPE, seed=0, state=None, stop_at=None, watch=None):
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
    report = optimise(networks, rates, loss_of, data, recipe, rng, state, watch)
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


def test_changes_have_a_strength(data):
    whole = augment.Augmentation()
    assert whole.times(1.0) == whole
    faint, plain = whole.times(1e-6), replace(RECIPE, augmentation=None)
    batch = data.draw(np.random.default_rng(0), 4, plain.num_frames)
    changed = augment.apply(batch, replace(faint, snr_db=(200.0, 200.0)), np.random.default_rng(2))
    kept = augment.centre(batch)
    # Mirrored or not, the pictures are all of one brightness.
    assert torch.allclose(changed.pictures, kept.pictures, atol=2e-3)
    assert torch.allclose(changed.sound, kept.sound, atol=1e-3)
    half = whole.times(0.5)
    assert whole.zoom[0] < half.zoom[0] < 1 < half.zoom[1] < whole.zoom[1]
    assert half.snr_db[0] > whole.snr_db[0]
    for wrong in (0.0, 1.1):
        with pytest.raises(UsageError, match="expected 0 to 1"):
            whole.times(wrong)


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


SGD = replace(RECIPE, optimiser="sgd", schedule="exponential", last_rate=0.01, warmup=0)


def test_sgd_learns_and_goes_on_to_the_same_end(data, tmp_path, monkeypatch):
    _, report = train(data, replace(SGD, steps=60))
    assert report.loss < 0.95 * report.first_loss
    monkeypatch.setattr("avbench.models.training._SAVE_EVERY_S", 0.0)
    state = tmp_path / "run.unfinished"
    with pytest.raises(KeyboardInterrupt):
        train(data, SGD, state=state, stop_at=8)
    assert same(train(data, SGD, state=state)[0], train(data, SGD)[0])


def test_an_exponential_rate_falls_by_equal_factors():
    rates = [SGD.rate(step) for step in range(13)]
    assert rates[0] == 1
    assert rates[-1] == pytest.approx(0.01, rel=0.5)
    assert np.diff(np.log(rates[1:])) == pytest.approx(np.full(11, np.log(0.01) / 11), rel=1e-6)


class Script:
    """Validation losses that come as they are told, whatever the weights."""

    def __init__(self, values):
        self.values = list(values)
        self.calls = 0

    def __call__(self, *_):
        self.calls += 1
        return self.values[self.calls - 1]


def watched(data, monkeypatch, values, **options):
    monkeypatch.setattr("avbench.models.training._validate", Script(values))
    return train(data, watch=Watch(data, every=2, **options), state=options.pop("state", None))


def test_training_stops_when_validation_gains_no_more(data, monkeypatch):
    _, report = watched(data, monkeypatch, [5, 4, 4.5, 4.2, 1], patience=2)
    assert report.steps == 8
    assert report.checks == ((2, 5), (4, 4), (6, 4.5), (8, 4.2))


def test_the_best_weights_are_kept(data, monkeypatch):
    best, _ = watched(data, monkeypatch, [5, 4, 4.5, 4.2, 6, 7], patience=9)
    seen = []

    def keep(networks, *_):
        state = networks["extractor"].state_dict()
        seen.append({key: value.clone() for key, value in state.items()})
        return 0.0

    monkeypatch.setattr("avbench.models.training._validate", keep)
    train(data, watch=Watch(data, every=2, patience=9))
    equal = [all(torch.equal(best.state_dict()[k], v) for k, v in kept.items()) for kept in seen]
    assert equal == [False, True, False, False, False, False]


def test_looking_at_validation_clips_changes_nothing_but_the_end(data):
    plain, _ = train(data)
    watch = Watch(data, every=12, patience=9, batches=2)
    looked, report = train(data, watch=watch)
    assert same(plain, looked)
    assert len(report.checks) == 1
    assert report.checks[0][1] == train(data, watch=watch)[1].checks[0][1]


def test_a_stopped_run_remembers_what_it_saw(data, tmp_path, monkeypatch):
    monkeypatch.setattr("avbench.models.training._SAVE_EVERY_S", 0.0)
    watch = Watch(data, every=2, patience=9, batches=1)
    whole, report = train(data, watch=watch)
    state = tmp_path / "run.unfinished"
    with pytest.raises(KeyboardInterrupt):
        train(data, state=state, stop_at=11, watch=watch)
    continued, again = train(data, state=state, watch=watch)
    assert same(whole, continued)
    assert again.checks == report.checks


def test_losses_are_logged(data):
    told = []
    watch = Watch(data, every=6, patience=9, log=lambda *entry: told.append(entry))
    _, report = train(data, watch=watch)
    names = [name for name, _, _ in told]
    assert (names.count("loss/train"), names.count("loss/validation")) == (12, 2)
    assert told[-1] == ("loss/validation", report.checks[-1][1], 12)


def test_another_loss_is_another_run(data, tmp_path, monkeypatch):
    monkeypatch.setattr("avbench.models.training._SAVE_EVERY_S", 0.0)
    state = tmp_path / "run.unfinished"
    with pytest.raises(KeyboardInterrupt):
        train(data, state=state, stop_at=4, watch=Watch(about={"loss": "cddl"}))
    with pytest.raises(UsageError, match="another recipe"):
        train(data, state=state, watch=Watch(about={"loss": "angular"}))
    with pytest.raises(UsageError, match="expected >= 1"):
        Watch(patience=0)


@pytest.fixture(params=["syncnet-2016", "syncnet-v2", "two-stream"])
def whole(request):
    """A narrow network of published shape, and clips as it sees them."""
    config = architectures.narrow(architectures.get(request.param), 4, 8)
    network = new_network(lambda: build(config), np.random.default_rng(0))
    clips = [blinking(f"clip-{i}", 14, offset=1) for i in range(3)]
    data = TrainingSet.read(clips, min_frames=8, max_bytes=2**30, front=network.front)
    return network, data


def test_published_networks_get_clips_as_they_see_them(whole):
    network, data = whole
    config = network.config
    assert len(data.clips[0]) == 13
    assert data.clips[0].sound.shape == (9, config.rows, 20)
    batch = data.draw(np.random.default_rng(0), 2, 8)
    side = config.pixels
    assert batch.pictures.shape == (2, 8, side, side, config.channels)
    assert batch.sound.shape == (2, 4, config.rows, 20)
    assert 1 < batch.pictures.max() <= 255
    sound, pictures = rows_of(network, batch, RECIPE)
    assert sound.shape == pictures.shape == (2, 4, 8)


def test_published_networks_take_steps(whole):
    network, data = whole
    recipe = Recipe(steps=2, clips=2, rows=4, augmentation=augment.FaceAugmentation())
    before = {key: value.clone() for key, value in network.named_parameters()}
    optimise(
        nn.ModuleDict({"extractor": network}),
        {"extractor": 1e-2},
        lambda batch, _: AngularLoss()(similarity_of(network, batch, recipe)),
        data,
        recipe,
        np.random.default_rng(0),
    )
    moved = [k for k, v in network.named_parameters() if not torch.equal(before[k], v)]
    assert {"video.0.weight", "audio.0.weight"} <= set(moved)


def faces(seed=0, rows=13):
    rng = np.random.default_rng(seed)
    pictures = torch.from_numpy(rng.integers(0, 256, (6, 5, 32, 32, 3)).astype(np.float32))
    return Batch(pictures, torch.from_numpy(rng.standard_normal((6, 1, rows, 20))).float())


QUIET = augment.FaceAugmentation(volume=0, crop=0, flip=0, colour=0)


def test_no_change_to_faces_is_no_change():
    batch = faces()
    changed = augment.apply_to_faces(batch, QUIET, np.random.default_rng(0))
    assert torch.allclose(changed.pictures, batch.pictures, atol=0.05)
    assert torch.equal(changed.sound, batch.sound)
    assert augment.centre(batch) is batch


def test_faces_are_mirrored_and_one_change_holds_for_a_clip():
    mirrored = augment.apply_to_faces(faces(), replace(QUIET, flip=1), np.random.default_rng(0))
    assert torch.allclose(mirrored.pictures, faces().pictures.flip(3), atol=0.05)
    still = Batch(faces().pictures[:, :1].expand(6, 5, 32, 32, 3), faces().sound)
    changed = augment.apply_to_faces(still, augment.FaceAugmentation(), np.random.default_rng(0))
    assert torch.allclose(changed.pictures, changed.pictures[:, :1].expand_as(changed.pictures))
    assert 0 <= changed.pictures.min() <= changed.pictures.max() <= 255


@pytest.mark.parametrize(("rows", "moving"), [(13, 1), (40, 40)])
def test_volume_moves_the_energy(rows, moving):
    batch = faces(rows=rows)
    changed = augment.apply_to_faces(batch, replace(QUIET, volume=0.1), np.random.default_rng(0))
    change = changed.sound - batch.sound
    assert torch.allclose(change[:, :, moving:], torch.zeros(()), atol=1e-6)
    assert change[:, :, :moving].abs().max() <= -2 * np.log(0.9) + 1e-5
    assert len(set(change[:, 0, 0, 0].tolist())) == 6
