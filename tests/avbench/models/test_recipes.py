"""Published recipes name things that exist, and every loss teaches a network something."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from avbench.data import Alignment, Clip
from avbench.errors import MissingDependency, UnknownName
from avbench.models import architectures, losses, recipes
from avbench.models.pattern import PatternClassifier, PatternConfig
from avbench.models.scalars import tensorboard
from avbench.models.training import Recipe, new_network
from avbench.models.two_stream import Extractor, TwoStreamConfig
from avbench.models.vgg import build
from baselines.sync_cls import SyncCls
from baselines.sync_e2e import SyncE2E
from baselines.syncnet import SyncNet


def blinking(key, num_frames=60, offset=0):
    """A clip whose picture is as bright as its sound is loud, frame by frame."""
    rng = np.random.default_rng([*key.encode()])
    level = rng.random(num_frames + 10)
    frames = (255 * level[5 : num_frames + 5]).astype(np.uint8)[:, None, None, None]
    loud = np.repeat(level[5 + offset : 5 + offset + num_frames], 640)
    audio = (0.3 * loud * rng.standard_normal(len(loud))).astype(np.float32)
    pictures = np.broadcast_to(frames, (num_frames, 32, 32, 3)).copy()
    return Clip(key, pictures, audio, Alignment.from_offset(offset, num_frames))


@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_a_recipe_can_be_followed(name, tmp_path):
    published = recipes.get(name)
    config = architectures.narrow(architectures.get(published.architecture), 2, 4)
    rng = np.random.default_rng(0)
    method = SyncNet.start(rng=rng, config=config)
    clips = [blinking(f"clip-{number}") for number in range(2)]
    method.fit(clips, rng=rng, recipe=name, steps=1, batch=1, bfloat16=False)
    followed = method.report.recipe
    assert (followed["architecture"], followed["loss"]) == (config.name, published.loss)
    assert (followed["optimiser"], followed["rate"]) == ("sgd", published.rate)
    method.save(tmp_path / "a.safetensors")
    prediction = SyncNet.load(tmp_path / "a.safetensors").predict(clips[0].window(0, 12))
    assert np.isfinite(prediction.scores).all()


def test_epochs_are_passes_over_the_clips():
    rng = np.random.default_rng(0)
    tiny = TwoStreamConfig(video=(2, 2, 2, 2, 2), audio=(2, 2, 2, 2, 2), dim=4)
    method = SyncNet.start(rng=rng, config=tiny)
    clips = [blinking(f"clip-{number}") for number in range(3)]
    method.fit(clips, rng=rng, recipe="syncnet-2016", batch=2, validation=clips, patience=40)
    assert method.report.steps == 40
    assert [step for step, _ in method.report.checks] == list(range(2, 41, 2))


@pytest.mark.parametrize("method", [SyncCls, SyncE2E])
def test_classifiers_train_on_published_extractors(method):
    config = architectures.narrow(architectures.SYNCNET_2016, 2, 4)
    rng = np.random.default_rng(0)
    extractor = Extractor(new_network(lambda: build(config), rng))
    classifier = new_network(lambda: PatternClassifier(PatternConfig(widths=(2, 2, 2))), rng)
    made = method(extractor, classifier)
    made.fit([blinking("clip")], rng=rng, steps=1, bfloat16=False)
    assert made.report.recipe["augmentation"]["volume"] == 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), [("syncnet-2016", 120), ("two-stream", 30)])
def test_a_network_of_published_shape_learns_which_sound_belongs(name, steps, monkeypatch):
    config = architectures.narrow(architectures.get(name), 8, 8)
    rng = np.random.default_rng(0)
    method = SyncNet.start(rng=rng, config=config)
    monkeypatch.setattr(SyncNet, "RECIPE", Recipe(steps, clips=4, rows=12, augmentation=None))
    clips = [blinking(f"clip-{number}", 40) for number in range(24)]
    method.fit(clips, rng=rng, rate=5e-3, bfloat16=False)
    new = [(f"new-{n}", offset) for n in range(4) for offset in (-3, 0, 3)]
    method.unit, method.edge = True, "valid"
    found = [method.predict(blinking(key, 30, offset)).offset for key, offset in new]
    right = sum(one == offset for one, (_, offset) in zip(found, new, strict=True))
    assert right >= 10, f"{right} of 12, where chance is 1"


def plan(name, count):
    published = recipes.get(name)
    steps = published.epochs * recipes.per_epoch(count, published.recipe)
    return published, replace(published.recipe, steps=steps)


def test_the_2016_rate_falls_from_one_hundredth_to_one_ten_thousandth():
    published, recipe = plan("syncnet-2016", 120)
    assert published.rate * recipe.rate(0) == pytest.approx(1e-2)
    assert published.rate * recipe.rate(recipe.steps - 1) == pytest.approx(1e-4, rel=0.05)
    assert (published.epochs, published.patience, recipe.augmentation.volume) == (20, 3, 0.1)


def test_the_trainers_rate_falls_by_a_twentieth_per_epoch():
    _, recipe = plan("seeing-voices", 30)
    assert recipe.steps == 500
    assert recipe.rate(11) / recipe.rate(10) == pytest.approx(0.95, rel=1e-3)


def test_an_unknown_recipe_is_named():
    with pytest.raises(UnknownName, match="Did you mean 'syncnet-2016'"):
        recipes.get("syncnet-2017")


class Streams(nn.Module):
    """Two streams of two layers each."""

    def __init__(self):
        super().__init__()
        sizes = (12, 32), (32, 8)
        self.audio, self.video = (
            nn.Sequential(nn.Linear(*sizes[0]), nn.ReLU(), nn.Linear(*sizes[1])) for _ in range(2)
        )


def clips(rng, count, rows=24):
    """Two different views of one slowly varying process, an autoregression of order one."""
    hidden = np.zeros((count, rows, 6))
    state = rng.standard_normal((count, 6))
    for t in range(rows):
        state = 0.6 * state + 0.8 * rng.standard_normal((count, 6))
        hidden[:, t] = state
    mixing = np.random.default_rng(1).standard_normal((2, 6, 12))
    views = [np.tanh(hidden @ mix) + 0.1 * rng.standard_normal((count, rows, 12)) for mix in mixing]
    return [torch.from_numpy(view.astype(np.float32)) for view in views]


def found(network, distance):
    """Share of pictures whose nearest sound is their own; chance is 1 in 24."""
    with torch.no_grad():
        audio, video = clips(np.random.default_rng(99), 20)
        apart = distance(network.audio(audio), network.video(video))
        return float((apart.argmin(dim=1) == torch.arange(24)).float().mean())


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_every_loss_teaches_two_streams_to_meet(name):
    rng = np.random.default_rng(0)
    network, loss = new_network(Streams, rng), losses.make(name)
    euclidean = name.startswith(("contrastive", "multi-way"))

    def cosine_distance(audio, video):
        return -losses.cosine_matrix(audio, video)

    distance = losses.distance_matrix if euclidean else cosine_distance
    before = found(network, distance)
    if name == "contrastive":
        loss.margin = 3.0
    optimiser = torch.optim.Adam([*network.parameters(), *loss.parameters()], lr=5e-3)
    for _ in range(150):
        audio, video = clips(rng, 8)
        value = loss.of_rows(network.audio(audio), network.video(video), rng)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    after = found(network, distance)
    assert before < 0.15
    assert after > 0.4, f"{name} finds {after:.2f}"


def test_tensorboard_gets_the_numbers(tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            self.folder = folder

        def __enter__(self):
            return self

        def __exit__(self, *_):
            written.append("closed")

        def add_scalar(self, *entry):
            written.append((self.folder, *entry))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with tensorboard(tmp_path) as log:
        log("loss/train", 0.5, 3)
    assert written == [(str(tmp_path), "loss/train", 0.5, 3), "closed"]


def test_without_tensorboard_a_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with (
        pytest.raises(MissingDependency, match="pip install tensorboard"),
        tensorboard(tmp_path),
    ):
        pass


def test_event_files_of_the_real_writer_read_back(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tensorboard(tmp_path / "logs") as log:
        for step in range(5):
            log("loss/train", 0.5 / (step + 1), step)
        log("loss/validation", 0.25, 4)
    (path,) = (tmp_path / "logs").iterdir()
    assert path.name.startswith("events.out.tfevents.")
    found = EventAccumulator(str(tmp_path / "logs"))
    found.Reload()
    assert sorted(found.Tags()["scalars"]) == ["loss/train", "loss/validation"]
    train = [(event.step, event.value) for event in found.Scalars("loss/train")]
    assert [step for step, _ in train] == list(range(5))
    assert [value for _, value in train] == pytest.approx([0.5 / (s + 1) for s in range(5)])
