"""How published two-stream networks were trained, as far as their papers and code say.

Each recipe names what is printed and what is avbench's own choice where nothing is. None of them
has been run to its end here: they are made for hundreds of hours of recordings and a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from avbench.errors import UnknownName
from avbench.models.augment import FaceAugmentation
from avbench.models.training import Recipe


@dataclass(frozen=True)
class Published:
    """One published way to train an extractor."""

    architecture: str
    loss: str
    rate: float
    """Peak learning rate."""
    epochs: int
    """Passes over the clips; one stretch of each clip in a pass."""
    recipe: Recipe
    """Everything else; its steps follow from the epochs."""
    source: str
    patience: int = 3
    """Passes without a gain on validation clips after which to stop."""


def per_epoch(count: int, recipe: Recipe) -> int:
    """Return the steps in one pass over ``count`` clips."""
    return math.ceil(count / recipe.clips)


_TRAINER = Recipe(
    steps=1,
    clips=30,
    rows=26,
    warmup=0,
    schedule="exponential",
    last_rate=0.95**499,
    optimiser="sgd",
    weight_decay=1e-5,
    augmentation=None,
)
"""The authors' released trainer: SGD, rate 1e-3 times 0.95 per epoch, momentum 0.9, weight decay
1e-5, 30 clips of 30 frames, 500 epochs, no changes to pictures or sound."""

RECIPES: Mapping[str, Published] = {
    "syncnet-2016": Published(
        architecture="syncnet-2016",
        loss="contrastive",
        rate=1e-2,
        epochs=20,
        recipe=Recipe(
            steps=1,
            clips=8,
            rows=51,
            warmup=0,
            schedule="exponential",
            last_rate=1e-2,
            optimiser="sgd",
            weight_decay=5e-4,
            augmentation=FaceAugmentation(),
        ),
        source="Chung and Zisserman, 'Out of time', 2016, sections 2.3, 2.4 and 3.1: contrastive "
        "loss, SGD with momentum, rates 1e-2 to 1e-4, 20 epochs or 3 without a gain, volume +-10 "
        "%, false pairs up to 2 s away. Not printed, chosen here: margin, momentum, weight decay, "
        "batch, how the rate falls, sizes of crop and colour shift.",
    ),
    "ave-net": Published(
        architecture="two-stream-2020",
        loss="ave-net",
        rate=1e-3,
        epochs=500,
        recipe=_TRAINER,
        source="Loss of Arandjelovic and Zisserman, 'Objects that sound', 2018, as compared in "
        "Chung et al., 'Seeing voices', 2020, Table 3. Schedule: the released trainer of the "
        "latter's authors.",
    ),
    "perfect-match": Published(
        architecture="two-stream",
        loss="multi-way-video",
        rate=1e-3,
        epochs=500,
        recipe=_TRAINER,
        source="Chung, Chung and Kang, 'Perfect match', 2019: multi-way matching, each picture "
        "looks for its sound. Schedule: the authors' released trainer.",
    ),
    "kim-2021": Published(
        architecture="two-stream",
        loss="angular-video",
        rate=1e-3,
        epochs=500,
        recipe=_TRAINER,
        source="Kim et al., 'End-to-End Lip Synchronisation Based on Pattern Classification', "
        "2021, section 2.2, Eq. 3. The paper states no optimiser; schedule: released trainer of "
        "the second author's group.",
    ),
    "seeing-voices": Published(
        architecture="two-stream-2020",
        loss="cddl",
        rate=1e-3,
        epochs=500,
        recipe=_TRAINER,
        source="Chung, Kang and Chung, 'Seeing voices and hearing voices', 2020, Eq. 4 to 6. The "
        "paper states no optimiser; schedule: the authors' released trainer.",
    ),
}
"""Every recipe by name."""


def get(name: str) -> Published:
    """Return a recipe.

    Raises
    ------
    UnknownName
        If there is none of that name.
    """
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    return RECIPES[name]
