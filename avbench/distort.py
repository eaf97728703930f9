"""Synthetic faults whose truth is exact: constant offsets, and dropped and duplicated frames.

Conventions
-----------
A fault is described by indices alone, so pictures and sound are touched once, by whoever stores
them. Randomness is an ``rng`` argument; `rng_for` derives one from a seed and a key, so that a
fault never depends on the order of the work. Signs and units are those of `avbench.timing`.

References
----------
The drop/duplicate law ``tae2020`` is that of the code released with Shalev and Wolf, "End to End
Lip Synchronization with a Temporal AutoEncoder" (2020). It is biased: 79 frames grow to 96 on
average and end 17 frames late. The law ``symmetric`` has no drift on average.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

from avbench.data import Alignment, IntArray

Law = Literal["tae2020", "symmetric"]

MAX_COPIES = 3
"""Extra copies of one frame, at most (4 occurrences in all)."""
DROP_SHARE = 2 / 3
"""Share of drops among the events of the symmetric law: a drop moves by 1, a copy event by 2."""


def rng_for(seed: int, *key: str | int) -> np.random.Generator:
    """Derive a random generator from a seed and a key, independent of any other.

    >>> a, b = rng_for(0, "clip-1"), rng_for(0, "clip-1")
    >>> int(a.integers(1000)) == int(b.integers(1000))
    True
    """
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *key))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def draw_offset(rng: np.random.Generator, limit: int) -> int:
    """Draw an integer offset in frames, uniform over ``-limit .. limit``."""
    return int(rng.integers(-limit, limit + 1))


def drop_duplicate(
    num_frames: int,
    *,
    rng: np.random.Generator,
    law: Law = "symmetric",
    limit: int = 25,
    min_distinct: int = 29,
) -> IntArray:
    """Draw which source frame each position of a damaged video shows.

    Half of the frames are kept as they are; the others are dropped or shown several times.

    Parameters
    ----------
    num_frames
        Frames of the undamaged video.
    rng
        Source of randomness.
    law
        ``"tae2020"`` (the released, biased law) or ``"symmetric"`` (no drift on average).
    limit
        Bound on the running displacement, in frames.
    min_distinct
        No frame is dropped once only this many distinct ones are left.

    Returns
    -------
    IntArray
        Non-decreasing source indices, cut to at most ``num_frames`` positions; shape (T',). T'
        is below ``num_frames`` when more frames were dropped than duplicated.
    """
    if num_frames < 1 or limit < 1:
        raise ValueError(f"got {num_frames = }, {limit = }, expected both >= 1")
    if law not in ("tae2020", "symmetric"):
        raise ValueError(f"got law {law!r}, expected 'tae2020' or 'symmetric'")
    shown: list[int] = []
    shift, distinct = 0, num_frames
    for frame in range(num_frames):
        may_copy = shift < limit
        may_drop = shift > -limit and distinct > min_distinct
        if rng.random() >= 0.5 or not (may_copy or may_drop):
            change = 0
        elif _draw_drop(rng, law, may_copy, may_drop):
            change = -1
        else:
            change = int(rng.integers(1, min(MAX_COPIES, limit - shift) + 1))
        shift += change
        distinct -= change < 0
        shown.extend([frame] * (1 + change))
    return np.array(shown[:num_frames], dtype=np.int64)


def _draw_drop(rng: np.random.Generator, law: Law, may_copy: bool, may_drop: bool) -> bool:
    if not (may_copy and may_drop):
        return may_drop
    return bool(rng.random() < (0.5 if law == "tae2020" else DROP_SHARE))


def alignment_of(shown: IntArray, num_audio: int | None = None) -> Alignment:
    """Return the truth that a damaged video implies for its undamaged sound.

    A dropped frame maps to the nearest surviving one (the later on a tie), a duplicated frame to
    its last copy, and sound past the end to the last frame (the released rule, see module
    references).

    Parameters
    ----------
    shown
        Source frame at each position, non-decreasing, as from `drop_duplicate`; shape (T',).
    num_audio
        Audio frames; T' where None.

    >>> alignment_of(np.array([0, 2, 2, 3])).video_index.tolist()
    [0, 2, 2, 3]
    """
    shown = np.asarray(shown, dtype=np.int64)
    if shown.ndim != 1 or len(shown) == 0 or np.any(np.diff(shown) < 0):
        raise ValueError(f"got shown indices of shape {shown.shape}, expected non-decreasing (T',)")
    survivors = np.unique(shown)
    last_copy = np.searchsorted(shown, survivors, side="right") - 1
    audio = np.arange(len(shown) if num_audio is None else num_audio)
    after = np.searchsorted(survivors, audio).clip(max=len(survivors) - 1)
    before = (after - 1).clip(min=0)
    use_before = np.abs(survivors[before] - audio) < np.abs(survivors[after] - audio)
    return Alignment(last_copy[np.where(use_before, before, after)].astype(np.int64))
