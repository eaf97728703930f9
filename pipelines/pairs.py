"""Genuine and false pairs of picture and sound, as indices into a stored clip.

A genuine pair is five frames with the sound that belongs to them; a false one is the same five
frames with sound of the same clip that begins up to two seconds earlier or later, so that a
network learns to see the alignment and not the speaker.

References
----------
Chung and Zisserman, "Out of time: automated lip sync in the wild" (2016), section 3.1.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avbench.census import SHIFT, WINDOW
from avbench.data import JSON, Alignment
from avbench.distort import rng_for
from avbench.shards import write_atomic

TABLE = "pairs.parquet"
"""Beside the shards: a row per pair."""


@dataclass(frozen=True)
class Pair:
    """Five frames of a clip and 0.2 s of its sound."""

    video_start: int
    """First frame, in the clip as it is stored."""
    audio_start: int
    """First 40 ms of sound, in the clip as it is stored."""
    shift: int
    """How much later than its own the sound begins, in frames; 0 where the pair is genuine."""

    @property
    def genuine(self) -> bool:
        """Whether the sound belongs to the frames."""
        return self.shift == 0


def draw_pairs(alignment: Alignment, every: int, rng: np.random.Generator) -> list[Pair]:
    """Draw genuine pairs and as many false ones from a clip.

    Parameters
    ----------
    alignment
        The truth of the clip, its fault included.
    every
        Frames from the start of one genuine pair to that of the next, at least.
    rng
        Source of randomness.

    Returns
    -------
    list of Pair
        In the order of the clip, each genuine pair before its false one. A window over a dropped
        or repeated frame has no sound of its own and gives none; neither does one whose clip has
        no other sound within reach.
    """
    if every < 1:
        raise ValueError(f"got {every = }, expected at least 1")
    last = len(alignment) - WINDOW
    pairs: list[Pair] = []
    due = 0
    for own in _steady(alignment):
        video = int(alignment.video_index[own])
        if own < due or not 0 <= video <= last:
            continue
        reach = np.arange(max(own - SHIFT, 0), min(own + SHIFT, last) + 1)
        others = reach[reach != own]
        if not len(others):
            continue
        due = own + every
        false = int(rng.choice(others))
        pairs += [Pair(video, own, 0), Pair(video, false, false - own)]
    return pairs


def _steady(alignment: Alignment) -> list[int]:
    """Return where five frames of sound have five successive pictures all of their own.

    The sound of a dropped frame is said to belong to that of a neighbour, so it shares its picture
    with the sound before or after it; that may lie just outside the five.
    """
    if alignment.offset is not None:
        return list(range(len(alignment) - WINDOW + 1))
    steps = np.diff(alignment.video_index)
    alone = np.concatenate([[True], steps > 0])[:-1] & (steps > 0)
    even = steps == 1
    starts = range(len(alone) - WINDOW + 1)
    return [n for n in starts if alone[n : n + WINDOW].all() and even[n : n + WINDOW - 1].all()]


def describe(key: str, alignment: Alignment, every: int, seed: int) -> JSON:
    """Return the pairs of a clip as its JSON tells them; they depend on the seed and the key."""
    pairs = draw_pairs(alignment, every, rng_for(seed, key, "pairs"))
    return {
        "seed": seed,
        "every": every,
        "window": WINDOW,
        "video_start": [pair.video_start for pair in pairs],
        "audio_start": [pair.audio_start for pair in pairs],
        "shift": [pair.shift for pair in pairs],
    }


def write(out: Path, rows: Sequence[tuple[str, str, JSON]]) -> None:
    """Write ``pairs.parquet`` from the split, key and pairs of every clip."""
    import pandas as pd

    names = ("video_start", "audio_start", "shift")
    columns: dict[str, list[JSON]] = {name: [] for name in ("key", "split", *names)}
    for split, key, told in rows:
        count = len(told["shift"])
        columns["key"] += [key] * count
        columns["split"] += [split] * count
        for name in names:
            columns[name] += told[name]
    table = pd.DataFrame(columns).astype(dict.fromkeys(names, "int32"))
    table["genuine"] = table["shift"] == 0
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomic(out / TABLE, buffer.getvalue())
