"""How many frames were dropped: what is drawn to learn from, and what can be learned from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from avbench import features
from avbench.data import Alignment, Clip
from avbench.models import augment
from avbench.models.corrupt import damage
from avbench.models.dropped import CHUNK, UNASKED, DropConfig, DropDetector, DropSet, as_pictures
from avbench.models.training import new_network
from avbench.models.trainset import MOUTHS, TrainingClip, TrainingSet

TINY = DropConfig(near=2, width=8, heads=2, mix=16, layers=1)
STRETCH = DropSet.STRETCH


def rng(seed=0):
    return np.random.default_rng(seed)


def pictures(*shape, seed=0):
    return torch.from_numpy(rng(seed).random((*shape, 56, 56), dtype=np.float32))


def detector(config=TINY):
    made = new_network(lambda: DropDetector(config), rng())
    with torch.no_grad():  # statistics as after some training, so that padding would show
        for seed in range(10):
            made(pictures(4, 12, seed=seed))
    return made.eval().requires_grad_(False)


def training_set(*clips):
    mouths = np.zeros((99, 1), np.uint8)
    return TrainingSet([TrainingClip(mouths[: len(c)], np.zeros(1), faces=c) for c in clips])


def counting(num_frames, first=0):
    """Faces that hold their frames' numbers at the lower left, and white above."""
    faces = np.zeros((num_frames, 56, 56), np.uint8)
    faces[:, :28] = 255
    faces[:, 28:, :28] = first + np.arange(num_frames)[:, None, None]
    return faces


def read(stretches):
    """Return numbers of frames, (B, K), the factors on their brightness, and which are mirrored."""
    bright = stretches[:, :, 0, :1, 0]
    assert torch.equal(bright, bright[:, :1].expand_as(bright)), "one factor for all pictures"
    left, right = (255 * stretches[:, :, 0, -1, [0, -1]] / bright).numpy().transpose(2, 0, 1)
    mirrored = right.any(axis=1)
    assert not (mirrored & left.any(axis=1)).any(), "one side of all is black"
    numbers = left + right
    np.testing.assert_allclose(numbers, numbers.round(), atol=1e-3)
    return numbers.round().astype(int), bright[:, 0, 0].numpy(), mirrored


@pytest.mark.parametrize(
    ("cell", "parts"), [(8, 49 + 9 + 1), (4, 196 + 36 + 4), (7, 74), (14, 17), (28, 4), (56, 1)]
)
def test_sizes_are_as_documented(cell, parts):
    made = detector(replace(TINY, cell=cell, most=3))
    assert made.config.parts == len(made.part) == parts
    assert made(pictures(2, 4)).shape == (2, 4, 4)
    assert DropConfig(near=8, layers=4).reach == 8 + 1 + 4 * 2


@pytest.mark.parametrize("count", [1, 2, 40, CHUNK, CHUNK + 1, 2 * CHUNK + 9])
def test_what_is_said_of_every_picture_are_probabilities(count):
    said = detector().log_probabilities(pictures(count))
    assert said.shape == (count, TINY.classes)
    torch.testing.assert_close(said.exp().sum(-1), torch.ones(count))


@pytest.mark.parametrize("config", [TINY, replace(TINY, near=1, layers=3)], ids=["near", "far"])
def test_many_pictures_are_judged_as_if_at_once(config):
    made, many = detector(config), pictures(2 * CHUNK + 30)
    whole = F.log_softmax(made(many[None])[0], dim=-1)
    assert whole.std(0).min() > 1e-3, "it says something else of every picture"
    torch.testing.assert_close(made.log_probabilities(many), whole, atol=1e-5, rtol=1e-4)


def test_clips_of_a_batch_are_judged_one_by_one():
    made, batch = detector(), pictures(3, 9)
    alone = torch.cat([made(clip[None]) for clip in batch])
    torch.testing.assert_close(made(batch), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("near", "layers"), [(2, 1), (3, 0), (1, 3)])
def test_a_picture_is_judged_by_those_within_reach_alone(near, layers):
    config = replace(TINY, near=near, layers=layers)
    made, reach = detector(config).double(), config.reach
    one = pictures(8, 60).double()
    other = one.clone()
    other[:, 30, 20:40] = 1 - one[:, 30, 20:40]
    moved = (made(other) - made(one)).abs().amax((0, 2)) > 1e-12
    # Its two changes are those that lead to it and on to the next.
    assert moved.nonzero().flatten().tolist() == [*range(31 - reach, 31 + reach)]


def test_what_stands_still_is_no_matter_and_neither_is_the_sense_of_brightness():
    made, many = detector(), pictures(20)
    said = made.log_probabilities(many)
    for other in (many + pictures(1, seed=1), 1 - many):
        torch.testing.assert_close(made.log_probabilities(other), said, atol=1e-4, rtol=1e-3)


def test_changes_are_compared_as_a_slow_loop_does():
    near, shown = 2, pictures(2, 6).double()

    def change(index, at):
        return shown[index, at] - shown[index, at - 1] if 0 < at < 6 else 0 * shown[0, 0]

    def parts(picture):
        small, large = (
            picture.unfold(0, side, step).unfold(1, side, step).mean((2, 3))
            for side, step in ((8, 8), (24, 16))
        )
        return torch.cat((small.flatten(), large.flatten(), large.mean()[None]))

    found = DropDetector(TINY)._compared(shown)
    for index, at in np.ndindex(2, 6):
        seen = [change(index, at + step) for step in range(-near, near + 1)]
        squares = [parts(each * each) for each in seen]
        scale = torch.stack(squares).mean(0) + 1e-6
        products = [parts(a * b) / scale for i, a in enumerate(seen) for b in seen[i:]]
        expected = torch.stack([*products, scale.log(), (squares[near] + 1e-6).log()], dim=1)
        torch.testing.assert_close(found[index, at], expected)


def test_gradients_reach_everything_and_are_finite_where_nothing_moves():
    made = new_network(lambda: DropDetector(TINY), rng())
    shown = pictures(4, 12)
    shown[0] = 0.5
    shown[1, :, :30] = 0.25
    made(shown)[..., 0].square().sum().backward()
    for name, parameter in made.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
    assert made.eval().log_probabilities(shown[0]).isfinite().all()


def test_pictures_are_numbers_up_to_one_and_faces_stay():
    faces = rng().integers(0, 256, (3, 56, 56), dtype=np.uint8)
    before = faces.copy()
    np.testing.assert_allclose(as_pictures(faces[::-1]), before[::-1] / 255.0, atol=1e-6)
    np.testing.assert_array_equal(faces, before)


@pytest.mark.parametrize(
    ("law", "most"), [("tae2020", 2), ("symmetric", 1), ("single", 2), ("both", 3), ("all", 2)]
)
def test_what_is_drawn_is_what_was_dropped(law, most):
    """Clips hold their frames' numbers, so that pictures tell what is missing between them."""
    clips = {0: 99, 100: 60, 200: 35}
    data = training_set(*(counting(many, first) for first, many in clips.items()))
    batch = DropSet(data, replace(TINY, most=most), law).draw(rng(1), 300, 5)
    assert batch.pictures.shape == (300, STRETCH, 1, 56, 56)
    numbers, bright, mirrored = read(batch.pictures)
    assert [bright.min(), bright.max()] == pytest.approx([0.71, 1.29], abs=0.01)
    senses, classes, lost = set(), set(), []
    for seen, dropped, mirror in zip(numbers, batch.dropped.numpy(), mirrored, strict=True):
        first = seen[0] // 100 * 100
        assert first <= seen.min() <= seen.max() < first + clips[first], "of one clip"
        steps = np.diff(seen)
        kept = np.count_nonzero(steps) + 1
        assert not steps[kept - 1 :].any(), "the last alone is shown again"
        whole = min(STRETCH, clips[first])
        assert kept == whole or (law != "single" and whole > kept > 10)
        backwards = bool(steps[0] < 0)
        gaps = steps[: kept - 1] * (-1 if backwards else 1) - 1
        assert gaps.min() >= 0, "one way, and no picture twice"
        assert dropped[0] == UNASKED, "before the first picture, anything may have been"
        np.testing.assert_array_equal(dropped[1:kept], np.minimum(gaps, most))
        assert (dropped[kept:] == UNASKED).all()
        senses.add((first, bool(mirror), backwards))
        classes |= {*dropped[1:kept].tolist()}
        lost.append(gaps.mean() if first == 0 else np.nan)
    assert len(senses) == 3 * 2 * 2, "all clips, mirrored or not, both ways"
    assert classes == ({0} if law == "single" else {*range(most + 1)})
    steps = [np.diff(np.unique(damage(99, rng(seed), law).shown)) for seed in range(300)]
    assert np.nanmean(lost) == pytest.approx(np.mean([s.mean() for s in steps]) - 1, abs=0.06)


def test_every_stretch_of_a_clip_is_drawn():
    batch = DropSet(training_set(counting(STRETCH + 6)), TINY, "single").draw(rng(), 200, 5)
    assert {*read(batch.pictures)[0].min(axis=1).tolist()} == {*range(7)}


def test_the_same_generator_draws_the_same_and_training_leaves_it():
    made = DropSet(training_set(counting(90), counting(60)), TINY, "both")
    one, same, other = (made.draw(rng(seed), 9, 5) for seed in (3, 3, 4))
    assert torch.equal(one.pictures, same.pictures)
    assert torch.equal(one.dropped, same.dropped)
    assert not torch.equal(one.pictures, other.pictures)
    assert augment.centre(one) is one, "margins are cut off, but not of these"


@pytest.mark.parametrize("offset", [-3, 0, 4])
def test_a_clip_keeps_the_faces_of_its_pictures(offset):
    shown = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((32, 32, 3), np.uint8)
    sound = rng().random(40 * 640).astype(np.float32)
    clip = Clip("clip", shown, sound, Alignment.from_offset(offset, 40))
    fronts = (MOUTHS, replace(MOUTHS, faces=features.face_pictures))
    without, kept = (TrainingClip.of(clip, front) for front in fronts)
    assert without.faces is None
    np.testing.assert_array_equal(kept.faces[:, 9, 9], kept.pictures[:, 9, 9])
    assert kept.faces.shape == (40 - abs(offset), 56, 56)
    assert kept.nbytes == without.nbytes + kept.faces.size


def moving(seed, num_frames=90):
    """A soft bar that moves evenly, at another speed, width and place in every clip."""
    generator = rng([seed, 5])
    step, wide = generator.uniform(0.8, 3), generator.uniform(8, 16)
    at = generator.uniform(0, 56) + step * np.arange(num_frames)
    away = np.abs((np.arange(56) - at[:, None] + 28) % 56 - 28)
    row = 60 + 140 * np.clip(wide / 2 - away, 0, 1)
    return np.broadcast_to(row[:, None], (num_frames, 56, 56)).astype(np.uint8)


def test_where_things_move_evenly_drops_are_learned():
    config = replace(TINY, near=3)
    network = new_network(lambda: DropDetector(config), rng())
    clips = [moving(seed) for seed in range(18)]
    made, unseen = (DropSet(training_set(*part), config, "both") for part in (clips[6:], clips[:6]))

    def loss_of(batch):
        logits = network(batch.pictures.squeeze(2)).flatten(0, 1)
        return F.cross_entropy(logits, batch.dropped.flatten(), ignore_index=UNASKED)

    optimiser, generator = torch.optim.Adam(network.parameters()), rng(1)
    for step in range(100):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 100)
        optimiser.zero_grad()
        loss_of(made.draw(generator, 6, 5)).backward()
        optimiser.step()
    network.eval().requires_grad_(False)
    batch = unseen.draw(rng(2), 40, 5)
    asked = batch.dropped[batch.dropped != UNASKED]
    prior = torch.bincount(asked, minlength=3) / len(asked)
    assert float(loss_of(batch)) < 0.4 * float(-(prior * prior.log()).sum())


def test_it_computes_where_the_pictures_are():
    network = DropDetector(TINY).to("meta")
    assert network(torch.zeros(1, 5, 56, 56, device="meta")).device.type == "meta"
