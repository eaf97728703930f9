"""Published recipes name things that exist, and every loss teaches a network something."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from avbench.errors import MissingDependency, UnknownName
from avbench.models import architectures, losses, recipes
from avbench.models.scalars import tensorboard
from avbench.models.training import new_network


@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_a_recipe_can_be_followed(name):
    published = recipes.get(name)
    architectures.get(published.architecture)
    losses.make(published.loss)
    recipe = published.for_clips(100)
    assert recipe.steps == published.epochs * -(-100 // recipe.clips)
    assert recipe.optimiser == "sgd"
    assert published.source


def test_the_2016_rate_falls_from_one_hundredth_to_one_ten_thousandth():
    published = recipes.get("syncnet-2016")
    recipe = published.for_clips(80)
    assert published.rate * recipe.rate(0) == pytest.approx(1e-2)
    assert published.rate * recipe.rate(recipe.steps - 1) == pytest.approx(1e-4, rel=0.05)
    assert (published.epochs, published.patience, recipe.augmentation.volume) == (20, 3, 0.1)


def test_the_trainers_rate_falls_by_a_twentieth_per_epoch():
    published = recipes.get("seeing-voices")
    recipe = published.for_clips(30)
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
