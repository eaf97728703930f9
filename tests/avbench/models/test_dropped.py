"""How many frames were dropped: what is drawn to learn from, and what can be learned from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avbench.models import augment
from avbench.models.dropped import BATCH, DropConfig, DropDetector, DropSet, reduce
from avbench.models.training import new_network
from avbench.models.trainset import TrainingClip, TrainingSet

TINY = DropConfig(width=4)
LAWS = pytest.mark.parametrize("law", ["tae2020", "symmetric", "single", "both", "all"])


def rng(seed=0):
    return np.random.default_rng(seed)


def detector(config=TINY):
    made = new_network(lambda: DropDetector(config), rng())
    with torch.no_grad():  # statistics as after some training, so that padding would show
        made(torch.rand(64, 2 * config.near, 32, 32, generator=torch.Generator().manual_seed(0)))
    return made.eval().requires_grad_(False)


def pictures(count, seed=0):
    return torch.from_numpy(rng(seed).random((count, 32, 32), dtype=np.float32))


def training_set(*clips):
    return TrainingSet([TrainingClip(clip, np.zeros((40, 2))) for clip in clips])


def counting(num_frames, white=255):
    """A clip that holds its frames' numbers on one side, and white above, to tell brightness."""
    clip = np.zeros((num_frames, 64, 64), np.uint8)
    clip[:, :32] = white
    clip[:, 32:, :32] = np.arange(num_frames)[:, None, None]
    return clip


def read(stacks):
    """Return numbers of frames, shape (B, 2 * near), factors on brightness, and if mirrored."""
    bright = stacks[:, :1, 0, 0, :1]
    sides = (255 * stacks[:, :, 0, -1, [0, -1]] / bright).numpy()
    mirrored = bool(sides[..., 1].any())
    assert not sides[..., int(not mirrored)].any(), "one side of all is black"
    numbers = sides[..., int(mirrored)]
    np.testing.assert_allclose(numbers, numbers.round(), atol=1e-3)
    return numbers.round().astype(int), bright.flatten().numpy(), mirrored


def test_shrinking_is_averaging():
    clip = rng().integers(0, 256, (3, 64, 64), dtype=np.uint8)
    means = clip.reshape(3, 32, 2, 32, 2).mean((2, 4)) / 255
    np.testing.assert_allclose(reduce(clip).numpy(), means, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_what_is_said_of_every_picture_are_probabilities(count):
    said = detector().log_probabilities(pictures(count))
    assert said.shape == (count, TINY.classes)
    torch.testing.assert_close(said.exp().sum(-1), torch.ones(count))


def test_a_picture_is_judged_by_those_near_by_alone():
    near, many = TINY.near, BATCH + 44
    whole = detector().log_probabilities(pictures(many))
    assert whole.std(0).min() > 1e-4, "it says something else of every picture"
    for start, stop in ((0, 30), (100, 160), (BATCH - 20, BATCH + 20)):
        part = detector().log_probabilities(pictures(many)[start:stop])
        first = near if start else 0  # the first picture of all repeats either way
        expected = whole[start + first : stop - near + 1]
        torch.testing.assert_close(part[first : len(part) - near + 1], expected)
    changed = pictures(many)
    changed[60] = 1 - changed[60]
    moved = (detector().log_probabilities(changed) - whole).abs().amax(-1) > 1e-5
    assert moved.nonzero().flatten().tolist() == [*range(61 - near, 61 + near)]


def test_brightness_and_contrast_are_no_matter():
    said, bent = (detector().log_probabilities(p) for p in (pictures(9), 0.3 * pictures(9) + 0.2))
    torch.testing.assert_close(said, bent, atol=1e-4, rtol=1e-4)


@LAWS
def test_what_is_drawn_is_what_was_dropped(law):
    """Clips hold their frames' numbers, so that pictures tell what is missing between them."""
    places = DropSet(training_set(counting(90), counting(60)), TINY, law)
    generator, seen, mirrors = rng(1), [], set()
    for _ in range(6):
        batch = places.draw(generator, 100, 5)
        assert batch.pictures.shape == (100, 2 * TINY.near, 1, 32, 32)
        numbers, bright, mirrored = read(batch.pictures)
        gaps = numbers[:, TINY.near] - numbers[:, TINY.near - 1] - 1
        assert gaps.min() >= 0, "no picture is shown twice"
        np.testing.assert_array_equal(batch.dropped, np.minimum(gaps, TINY.most))
        # Others are in order too, and only the ends of a clip repeat.
        steps = np.diff(numbers, axis=1)
        assert steps.min() >= 0
        again = steps == 0
        assert not again[:, TINY.near - 1].any()
        assert (again[:, 0] >= again[:, 1]).all(), "the first alone repeats before it"
        assert (again[:, -1] >= again[:, -2]).all(), "and the last alone after it"
        assert 0.7 <= bright.min() < 0.8
        assert 1.2 < bright.max() <= 1.3
        mirrors.add(mirrored)
        seen.append(batch.dropped)
    assert mirrors == {False, True}
    expected = {0} if law == "single" else {0, 1, 2}
    assert set(torch.cat(seen).tolist()) == expected


def test_the_last_class_is_all_that_is_more():
    places = DropSet(training_set(counting(90)), DropConfig(most=1, near=2), "symmetric")
    batch = places.draw(rng(), 400, 5)
    numbers, _, _ = read(batch.pictures)
    gaps = numbers[:, 2] - numbers[:, 1] - 1
    assert gaps.max() > 1
    np.testing.assert_array_equal(batch.dropped, gaps > 0)


def test_the_same_generator_draws_the_same():
    places = DropSet(training_set(counting(90), counting(60)), TINY, "both")
    one, same, other = (places.draw(rng(seed), 20, 5) for seed in (3, 3, 4))
    assert torch.equal(one.pictures, same.pictures)
    assert torch.equal(one.dropped, same.dropped)
    assert not torch.equal(one.pictures, other.pictures)


def test_training_leaves_stacks_as_they_are():
    """`augment.centre` cuts margins off, but not of these."""
    batch = DropSet(training_set(counting(60)), TINY, "both").draw(rng(), 8, 5)
    assert augment.centre(batch) is batch


def moving(seed, num_frames=60):
    """A bar that moves evenly, at another speed, width and height in every clip."""
    generator = rng([seed, 5])
    step, wide = generator.uniform(1.5, 2.5), generator.uniform(8, 16)
    start, back = generator.uniform(0, 64), generator.random() < 0.5
    at = (start + step * np.arange(num_frames)) % 64
    across = (np.arange(64) - at[:, None]) % 64 < wide
    clip = np.full((num_frames, 64, 64), 60, np.uint8)
    clip[:, 10:50][across[:, None].repeat(40, 1)] = 200
    return clip[..., ::-1] if back else clip


def test_where_things_move_evenly_drops_are_learned():
    network = new_network(lambda: DropDetector(DropConfig(width=8)), rng())
    places, unseen = (
        DropSet(training_set(*map(moving, seeds)), network.config, "both")
        for seeds in (range(12), range(20, 26))
    )
    optimiser, generator = torch.optim.Adam(network.parameters(), lr=5e-3), rng(1)
    for step in range(50):
        optimiser.param_groups[0]["lr"] = 5e-3 * (1 - step / 50)
        batch = places.draw(generator, 48, 5)
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(batch.pictures.squeeze(2)), batch.dropped)
        loss.backward()
        optimiser.step()
    batch = unseen.draw(rng(2), 400, 5)
    with torch.inference_mode():
        logits = network.eval()(batch.pictures.squeeze(2))
    prior = torch.bincount(batch.dropped, minlength=3) / 400
    least = float(-(prior * prior.log()).sum())
    loss = float(torch.nn.functional.cross_entropy(logits, batch.dropped))
    right = float((logits.argmax(-1) == batch.dropped).float().mean())
    assert loss < 0.75 * least
    assert right > float(prior.max()) + 0.05
