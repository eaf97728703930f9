"""What every shot detector returns, and how one is talked to.

Conventions
-----------
A cut ``c`` is the first frame of the new shot. A transition ``[start, stop)`` holds the frames of
a gradual change (dissolve, fade); they belong to no shot. Frames are those of the 25 fps grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from avbench.data import FloatArray, Shot, UInt8Array


class ShotFinder(Protocol):
    """Anything that takes the pictures of a video in order and says where its shots end."""

    @property
    def side(self) -> int:
        """Side of the grid of pixels that is enough of a picture; 0 for all of it."""
        ...

    def push(self, image: UInt8Array) -> None:
        """Take the next picture; RGB, shape (H, W, 3)."""
        ...

    def settled(self) -> Boundaries:
        """Return the boundaries of as many frames as no later picture can tell otherwise of."""
        ...

    def finish(self) -> Boundaries:
        """Return the boundaries of the frames so far, those that were settled among them."""
        ...

    def table(self) -> Mapping[str, FloatArray]:
        """Return the scores of all frames so far by name; each of shape (T,)."""
        ...


@dataclass(frozen=True)
class Boundaries:
    """Where the shots of a video end."""

    num_frames: int
    cuts: tuple[int, ...]
    """First frames of new shots, ascending."""
    transitions: tuple[tuple[int, int], ...]
    """Half-open frame ranges of gradual changes, ascending."""

    def shots(self, video_id: str) -> list[Shot]:
        """Return the stretches of frames between cuts and outside transitions."""
        edges = {0, self.num_frames, *self.cuts}
        edges.update(edge for span in self.transitions for edge in span)
        ordered = sorted(edges)
        gradual = {start for start, _ in self.transitions}
        pairs = [(a, b) for a, b in pairwise(ordered) if a not in gradual]
        return [Shot(video_id, index, a, b) for index, (a, b) in enumerate(pairs)]


def write_scores(path: Path, found: Boundaries, scores: Mapping[str, FloatArray]) -> None:
    """Write one row per frame as Parquet: ``frame``, ``cut``, ``transition``, then the scores."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cut, inside = np.zeros((2, found.num_frames), bool)
    cut[list(found.cuts)] = True
    for start, stop in found.transitions:
        inside[start:stop] = True
    marks = {"frame": np.arange(found.num_frames), "cut": cut, "transition": inside}
    pq.write_table(pa.table({**marks, **scores}), path)
