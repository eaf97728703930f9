"""Near-duplicates across splits: the same sound or the same moving picture in two sets.

A copy is found though it was encoded anew, scaled, cropped or cut elsewhere. Two signs are looked
for, each enough by itself:

* **sound**: words of a fingerprint that two clips share propose a shift; the share of differing
  bits decides. Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002),
  accept up to 0.35 in 3 s.
* **picture**: clips whose average pictures are alike propose a pair; the correlation of how their
  fields change in time decides.

What is compared is told in `pipelines.prints`.

Measured on facetracks of four recorded sentences of one speaker and three drawn heads, each also
encoded at two thirds of the size and low quality, cropped, and cut 12 frames later: differing bits
at most 0.07, between other clips at least 0.42; correlation at least 0.60 (median 0.79), between
other clips, 16 sentences of the same speaker in the same room among them, at most 0.51.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avbench.data import FloatArray, IntArray
from avbench.shards import write_atomic
from avbench.timing import FPS, SAMPLE_RATE

from .prints import HOP, SPAN, Audible, Words
from .splits import SPLITS

TABLE = "duplicates.parquet"
"""Beside the shards: the pairs that were found."""
DROPPED = "pack: near-duplicate of a clip in another split"
"""Why a clip was left out."""
MIN_OVERLAP_S = 1.0
"""Clips must share so much."""
MAX_DIFFERING = 0.25
"""Largest share of differing bits of the same sound."""
MIN_LIKENESS = 0.9
"""Least correlation of the average pictures of clips whose motion is compared."""
MIN_MOTION = 0.6
"""Least correlation of the motion of the same picture."""
_COMMONEST = 50
"""A word that occurs more often than this tells nothing and proposes no pair."""
_PROPOSALS = 3
"""Shifts that are tried per pair, the most often proposed first."""


@dataclass(frozen=True)
class Member:
    """A clip among those that are compared."""

    key: str
    split: str
    folder: Path
    """Where `pipelines.prints.print_unit` left its fingerprint."""


@dataclass(frozen=True)
class Duplicate:
    """Two clips of different splits that show or play the same."""

    key: str
    split: str
    other: str
    other_split: str
    kind: str
    """sound, picture, or both."""
    later_s: float
    """How much later ``other`` begins than ``key``, on the time of what they share."""
    shared_s: float
    differing_bits: float
    """Of the sound; NaN where the sound is another."""
    correlation: float
    """Of the motion; NaN where the picture is another."""

    @property
    def weaker(self) -> str:
        """The clip to leave out: test keeps its own, then val."""
        order = {split: number for number, split in enumerate(SPLITS)}
        return self.key if order[self.split] < order[self.other_split] else self.other


def find(members: Sequence[Member]) -> list[Duplicate]:
    """Return every pair of clips of different splits that share sound or picture, in key order."""
    ordered = sorted(members, key=lambda member: member.key)
    if len({member.split for member in ordered}) < 2:
        return []
    prints = _Prints(ordered)
    splits = np.array([SPLITS.index(member.split) for member in ordered])
    heard = {(a, b): found for a, b, found in _same_sound(prints, splits)}
    shown = {(a, b): found for a, b, found in _same_picture(prints, splits)}
    return [
        _describe(ordered[a], ordered[b], heard.get((a, b)), shown.get((a, b)))
        for a, b in sorted({*heard, *shown})
    ]


class _Match(NamedTuple):
    """What two clips share."""

    value: float
    """Share of differing bits, or correlation."""
    later_s: float
    shared_s: float


def _describe(one: Member, two: Member, heard: _Match | None, shown: _Match | None) -> Duplicate:
    kind = "both" if heard and shown else "sound" if heard else "picture"
    match = heard or shown
    assert match is not None
    return Duplicate(
        one.key, one.split, two.key, two.split, kind,
        round(match.later_s, 3), round(match.shared_s, 3),
        round(heard.value, 4) if heard else float("nan"),
        round(shown.value, 4) if shown else float("nan"),
    )  # fmt: skip


class _Prints:
    """Fingerprints on disk; all but the motion, the largest part, is read once and kept."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        parts = [self._read(number, "words", "audible", "still") for number in range(len(members))]
        self.words: list[Words] = [part[0] for part in parts]
        self.audible: list[Audible] = [part[1] for part in parts]
        self.stills: list[FloatArray] = [part[2] for part in parts]

    def motion(self, number: int) -> FloatArray:
        """Return the motion of a clip."""
        motion: FloatArray = self._read(number, "motion")[0].astype(np.float64)
        return motion

    def _read(self, number: int, *names: str) -> list[Any]:
        member = self._members[number]
        with np.load(member.folder / f"{member.key}.npz", allow_pickle=False) as held:
            return [held[name] for name in names]


def _same_sound(prints: _Prints, splits: IntArray) -> Iterator[tuple[int, int, _Match]]:
    words, audible = prints.words, prints.audible
    least = round(MIN_OVERLAP_S * SAMPLE_RATE / HOP)
    for a, b, lags in _proposals(words, audible, splits):
        best = min(
            (_differing(words[a], words[b], audible[a], audible[b], lag, least), lag)
            for lag in lags
        )
        (share, shared), lag = best
        if share <= MAX_DIFFERING:
            # A word looks at SPAN samples, so n words span a little more than n hops.
            shared_s = (shared * HOP + SPAN) / SAMPLE_RATE
            yield a, b, _Match(share, lag * HOP / SAMPLE_RATE, shared_s)


def _proposals(
    words: Sequence[Words], audible: Sequence[Audible], splits: IntArray
) -> Iterator[tuple[int, int, list[int]]]:
    """Yield pairs of clips that share words, with the shifts at which they share most.

    Equal words stand side by side once they are sorted, so the pairs at distance 1, 2, ... in the
    sorted row are all pairs, and no clip is compared with every other.
    """
    word = np.concatenate([each[ok] for each, ok in zip(words, audible, strict=True)])
    clip = np.repeat(np.arange(len(words)), [int(ok.sum()) for ok in audible])
    time = np.concatenate([np.flatnonzero(ok) for ok in audible])
    order = np.lexsort((time, clip, word))
    word, clip, time = word[order], clip[order], time[order]
    _, counts = np.unique(word, return_counts=True)
    rare = np.repeat(counts <= _COMMONEST, counts)
    votes = []
    for distance in range(1, min(int(counts.max(initial=0)), _COMMONEST)):
        same = (word[distance:] == word[:-distance]) & rare[distance:]
        at = np.flatnonzero(same)
        a, b = clip[at], clip[at + distance]
        apart = splits[a] != splits[b]
        lag = time[at] - time[at + distance]
        votes.append(np.stack([a, b, lag], axis=1)[apart])
    if not votes or not (gathered := np.concatenate(votes)).size:
        return
    tallies, number = np.unique(gathered, axis=0, return_counts=True)
    first = np.lexsort((-number, tallies[:, 1], tallies[:, 0]))
    current: tuple[int, int] | None = None
    lags: list[int] = []
    for a, b, lag in tallies[first].tolist():
        if (a, b) != current:
            if current is not None:
                yield (*current, lags)
            current, lags = (a, b), []
        if len(lags) < _PROPOSALS:
            lags.append(lag)
    if current is not None:
        yield (*current, lags)


def _differing(
    one: Words,
    two: Words,
    heard: Audible,
    heard_too: Audible,
    lag: int,
    least: int,
) -> tuple[float, int]:
    """Return the share of differing bits where word n of ``two`` is word n + lag of ``one``."""
    start, begin = max(lag, 0), max(-lag, 0)
    length = min(len(one) - start, len(two) - begin)
    both = heard[start : start + length] & heard_too[begin : begin + length]
    if both.sum() < least - SPAN // HOP:
        return 1.0, 0
    mixed = one[start : start + length][both] ^ two[begin : begin + length][both]
    return float(np.unpackbits(mixed.view(np.uint8)).mean()), int(both.sum())


def _same_picture(prints: _Prints, splits: IntArray) -> Iterator[tuple[int, int, _Match]]:
    stills = np.stack(prints.stills).astype(np.float32)
    known: tuple[int, FloatArray] = (-1, np.zeros(0))
    for a, still in enumerate(stills[:-1]):
        alike = stills[a + 1 :] @ still >= MIN_LIKENESS
        for b in np.flatnonzero(alike & (splits[a + 1 :] != splits[a])) + a + 1:
            if known[0] != a:
                known = a, prints.motion(a)
            value, lag, shared = correlate(known[1], prints.motion(int(b)))
            if value >= MIN_MOTION:
                yield a, int(b), _Match(value, lag / FPS, shared / FPS)


def correlate(one: FloatArray, two: FloatArray) -> tuple[float, int, int]:
    """Return the largest correlation over all shifts that share enough, the shift, and how much.

    Parameters
    ----------
    one, two
        Motion; shapes (T, 64) and (U, 64).

    Returns
    -------
    correlation, lag, shared
        Frame n of ``two`` is frame n + lag of ``one``; ``shared`` frames are in both.
    """
    least = round(MIN_OVERLAP_S * FPS)
    if min(len(one), len(two)) < least:
        return 0.0, 0, 0
    lags = np.arange(least - len(two), len(one) - least + 1)
    size = 1 << (len(one) + len(two) - 1).bit_length()
    spectrum = np.fft.rfft(one, size, axis=0) * np.fft.rfft(two, size, axis=0).conj()
    products = np.fft.irfft(spectrum.sum(axis=1), size)[lags % size]
    start, begin = np.maximum(lags, 0), np.maximum(-lags, 0)
    shared = np.minimum(len(one) - start, len(two) - begin)
    powers = []
    for motion, at in ((one, start), (two, begin)):
        total = np.concatenate([[0], np.cumsum((motion**2).sum(axis=1))])
        powers.append(total[at + shared] - total[at])
    values = products / np.maximum(np.sqrt(powers[0] * powers[1]), 1e-9)
    best = int(values.argmax())
    return float(values[best]), int(lags[best]), int(shared[best])


def weaker(found: Sequence[Duplicate]) -> list[str]:
    """Return the clips to leave out so that no pair is left."""
    gone: dict[str, None] = {}
    for pair in found:
        if pair.key not in gone and pair.other not in gone:
            gone[pair.weaker] = None
    return sorted(gone)


def write(out: Path, found: Sequence[Duplicate], dropped: Sequence[str]) -> None:
    """Write ``duplicates.parquet``: a row per pair, and which clip was left out for it."""
    import pandas as pd

    gone = set(dropped)
    rows = [
        {**asdict(pair), "dropped": next((k for k in (pair.key, pair.other) if k in gone), "")}
        for pair in found
    ]
    columns = [*Duplicate.__dataclass_fields__, "dropped"]
    buffer = io.BytesIO()
    pd.DataFrame(rows, columns=columns).to_parquet(buffer, index=False)
    write_atomic(out / TABLE, buffer.getvalue())
