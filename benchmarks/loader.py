"""Time the training loader against the trainer that it feeds.

    python benchmarks/loader.py [--clips 200] [--batches 40] [--profile]

The loader draws batches out of memory and changes them (`avbench.models.trainset`, `augment`); the
trainer takes a step of the small network on a batch that is ready. Both do so in turn, in one
process on one thread, and processor time counts, so that other work on the machine cancels out.
The loader must give at least ten batches for each that the trainer takes. Clips are noise of the
size of real ones: neither side looks at what is shown.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from avbench.models import augment, losses
from avbench.models.architectures import get
from avbench.models.training import Recipe, has_bfloat16, new_network, rows_of
from avbench.models.trainset import Batch, TrainingClip, TrainingSet
from avbench.models.vgg import build

AIM = 10.0
FRAMES = 150
PARTS = ("_move", "_light", "_cover", "_voice", "_noise", "_drop_bands")
T = TypeVar("T")


def noise_set(count: int, rng: np.random.Generator) -> TrainingSet:
    """Make clips of six seconds."""
    clips = []
    for _ in range(count):
        pictures = rng.integers(0, 256, (FRAMES, 64, 64), np.uint8)
        sound = rng.standard_normal((40, 4 * FRAMES - 2)).astype(np.float16)
        clips.append(TrainingClip(pictures, sound))
    return TrainingSet(clips)


def stepper(recipe: Recipe, rng: np.random.Generator) -> Callable[[Batch], None]:
    """Return what takes one step of the small network, as training syncnet does."""
    network = new_network(lambda: build(get("small")), rng).train()
    matching = losses.make("angular", 10.0)
    weights = nn.ModuleDict({"extractor": network, "loss": matching}).parameters()
    optimiser = torch.optim.AdamW(weights, lr=1e-4, weight_decay=recipe.weight_decay)

    def step(batch: Batch) -> None:
        loss = matching.of_rows(*rows_of(network, batch, recipe), rng)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def clocked(spent: dict[str, float], name: str, work: Callable[..., T], *given: object) -> T:
    """Do some work and add the processor seconds that it took."""
    started = process_time()
    done = work(*given)
    spent[name] += process_time() - started
    return done


def main() -> int:
    """Print both rates and their ratio; 1 where the loader is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--profile", action="store_true", help="time the parts of augmentation")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    data = noise_set(chosen.clips, rng)
    recipe = Recipe(steps=1, bfloat16=has_bfloat16())
    step = stepper(recipe, rng)
    changes = recipe.augmentation
    assert isinstance(changes, augment.Augmentation)
    spent: dict[str, float] = defaultdict(float)
    if chosen.profile:
        for part in PARTS:
            setattr(augment, part, partial(clocked, spent, part, getattr(augment, part)))
    for turn in range(chosen.batches + 2):
        if turn == 2:
            spent.clear()  # tables made at first use are nobody's cost
        batch = clocked(spent, "draw", data.draw, rng, recipe.clips, recipe.num_frames)
        batch = clocked(spent, "augment", augment.apply, batch, changes, rng)
        clocked(spent, "train", step, batch)
    load = spent["draw"] + spent["augment"]
    ratio = spent["train"] / load
    print(f"loader    {chosen.batches / load:8.1f} batches a second of processor time")
    print(f"trainer   {chosen.batches / spent['train']:8.1f} batches, bfloat16 {recipe.bfloat16}")
    print(f"ratio     {ratio:8.1f} (>= {AIM:g})")
    for name in ("draw", "augment", *(PARTS if chosen.profile else ())):
        print(f"  {name:12} {1000 * spent[name] / chosen.batches:7.2f} ms a batch")
    return int(ratio < AIM)


if __name__ == "__main__":
    sys.exit(main())
