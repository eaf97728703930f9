"""Predictions of planted accuracy, without clips or methods."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd


def answers(
    accuracies: Mapping[str, float],
    *,
    recordings: int = 20,
    clips: int = 2,
    lengths: tuple[int, ...] = (11, 20),
    repeats: int = 3,
    windows: int = 1,
    alike: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Ask every method the same questions of every clip of every recording.

    ``alike``: methods draw the same luck, so that a better one is right wherever a worse one is.
    """
    rng = np.random.default_rng(seed)
    asked = pd.DataFrame(
        [
            (length, repeat, f"rec{recording:03d}-{clip:02d}", f"rec{recording:03d}", window)
            for length in lengths
            for repeat in range(repeats)
            for recording in range(recordings)
            for clip in range(clips)
            for window in range(windows)
        ],
        columns=["length", "repeat", "key", "source", "window"],
    )
    asked["offset"] = rng.integers(-5, 6, len(asked))
    luck = rng.random(len(asked))
    parts = []
    for method, accuracy in accuracies.items():
        right = (luck if alike else rng.random(len(asked))) < accuracy
        wrong = (asked["offset"] + 5 + rng.integers(1, 11, len(asked))) % 11 - 5
        part = asked.assign(method=method)
        part["predicted"] = pd.array(np.where(right, asked["offset"], wrong), dtype="Int64")
        confidence = right + rng.standard_normal(len(asked))
        part["confidence"] = pd.array(confidence, dtype="Float64")
        part["failure"] = pd.array([None] * len(asked), dtype="string")
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
