"""Who sees which video in which version: balanced, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avbench.distort import rng_for
from avbench.errors import UsageError

REAL, MODIFIED = "real", "modified"
VERSIONS = (REAL, MODIFIED)


@dataclass(frozen=True)
class Trial:
    """One video that one participant sees."""

    participant: int
    """From 1."""
    position: int
    """Place in what the participant sees, from 1."""
    item: str
    version: str
    """``real`` or ``modified``."""


def assign(items: Sequence[str], participants: int, per: int, seed: int) -> list[Trial]:
    """Assign videos to participants.

    Participants come in pairs who see the same items in opposite versions, so that every item is
    seen as often in both; the pairs go through the items in turn, so that no item is seen more
    than once more often than another by pairs. Each participant sees an item once, and as many
    real as modified ones, or one more where ``per`` is odd; their order is drawn.

    Parameters
    ----------
    items
        Names of the videos; each exists in both versions.
    participants
        How many; even, or every item is not seen as often in both versions.
    per
        Videos that each one sees.
    seed
        The same seed gives the same assignment.

    Raises
    ------
    UsageError
        If there are too few items, or the participants cannot be paired.
    """
    if len(set(items)) != len(items) or not 1 <= per <= len(items):
        raise UsageError(f"got {len(items)} items to show {per} of; give {per} different ones")
    if participants < 2 or participants % 2:
        raise UsageError(f"got {participants} participants, expected an even number")
    rng = rng_for(seed, "study", *items)
    order = rng.permutation(len(items))
    trials = []
    for pair in range(participants // 2):
        chosen = order[(pair * per + np.arange(per)) % len(items)]
        versions = rng.permutation(np.arange(per) % 2)
        for twin in range(2):
            places = rng.permutation(per)
            trials += [
                Trial(
                    participant=2 * pair + twin + 1,
                    position=position,
                    item=items[int(chosen[place])],
                    version=VERSIONS[int(versions[place]) ^ twin],
                )
                for position, place in enumerate(places, 1)
            ]
    return trials
