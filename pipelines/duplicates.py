"""Near-duplicates across splits: the same sound or the same moving picture in two sets.

A copy is found though it was encoded anew, scaled, cropped or cut elsewhere. Two signs are looked
for, each enough by itself:

* **sound**: words of 32 bits, one per 20 ms, of whether the energy in a band falls more steeply
  towards the next band than it did 20 ms before. Words that two clips share propose a shift; the
  share of differing bits decides. Method of Haitsma and Kalker, "A highly robust audio
  fingerprinting system" (ISMIR 2002), who accept up to 0.35 differing bits in 3 s.
* **picture**: how each of 8 x 8 fields of the face's surroundings changes in time, seen through a
  window that stands still in the source, so that the crop's own trembling cancels. Clips whose
  average pictures are alike propose a pair; the correlation of the changes decides.

Measured on facetracks of four recorded sentences of one speaker and three drawn heads, each also
encoded at two thirds of the size and low quality, cropped, and cut 12 frames later: differing bits
at most 0.07, between other clips at least 0.42; correlation at least 0.60 (median 0.79), between
other clips, 16 sentences of the same speaker in the same room among them, at most 0.51.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from avbench import media
from avbench.data import JSON, FloatArray, IntArray, UInt8Array
from avbench.shards import write_atomic
from avbench.timing import FPS, SAMPLE_RATE

from .splits import SPLITS
from .units import digest_of, publish, staging

Words = NDArray[np.uint32]
Audible = NDArray[np.bool_]

PRINT_VERSION = 1
"""Goes up whenever the same clip may give another fingerprint."""
HOP, SPAN = 320, 4096
"""Samples from one word of sound to the next, and that one looks at."""
BANDS = np.geomspace(300, 2800, 34)
"""Edges of the bands in Hz: where speech has its energy."""
QUIET = 1e-4
"""Sound below this root mean square (-80 dB of full scale) says nothing."""
FIELDS, TILE = 8, 64
"""Fields along each side of the picture, and pixels of the window they are averaged from."""
WINDOW_SHARE = 0.7
"""Side of the still window, as a share of the crop's."""
TREND = 9
"""Frames of the moving average that is taken off the picture: what is left is its motion."""
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


@dataclass(frozen=True, eq=False)
class Print:
    """The fingerprint of one clip."""

    words: Words
    """Of the sound; shape (S,), uint32."""
    audible: Audible
    """Whether a word comes from sound that can be heard; shape (S,)."""
    still: FloatArray
    """The average picture, of zero mean and length 1; shape (64,)."""
    motion: FloatArray
    """Change of each field against its trend; shape (T, 64)."""


@dataclass(frozen=True)
class Member:
    """A clip among those that are compared."""

    key: str
    split: str
    folder: Path
    """Where `print_unit` left its fingerprint."""


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


def print_unit(payload: Mapping[str, JSON]) -> JSON:
    """Take the fingerprints of all facetracks of one video.

    Parameters
    ----------
    payload
        ``facetracks`` (folder of the unit) and ``folder`` (where the result goes).
    """
    tracks, folder = Path(payload["facetracks"]), Path(payload["folder"])
    keys = sorted(path.stem for path in tracks.glob("*.mp4"))
    with staging(folder) as part:
        for key in keys:
            made = fingerprint(tracks, key)
            buffer = io.BytesIO()
            np.savez(buffer, **vars(made))
            write_atomic(part / f"{key}.npz", buffer.getvalue())
        publish(part, folder, {"keys": keys})
    return None


def prints_folder(work: Path, video_id: str, facetracks: str) -> Path:
    """Return where the fingerprints of a video belong, by everything they depend on."""
    return work / "prints" / f"{video_id}-{digest_of('prints', PRINT_VERSION, facetracks)}"


def fingerprint(tracks: Path, key: str) -> Print:
    """Take the fingerprint of one stored facetrack."""
    info = json.loads((tracks / f"{key}.json").read_text("utf-8"))
    frames = media.read_video(tracks / f"{key}.mp4")
    squares = np.array(info.get("squares", [[0, 0, frames.shape[2]]] * len(frames)), np.float64)
    sound = media.read_sound(tracks / f"{key}.flac")
    around = (len(sound) - len(frames) * SAMPLE_RATE // FPS) // 2
    words, audible = sound_words(sound[around : len(sound) - around])
    still, motion = picture_motion(stand_still(frames, squares))
    return Print(words, audible, still, motion.astype(np.float16))


def sound_words(sound: FloatArray) -> tuple[Words, Audible]:
    """Return one word per 20 ms of sound, and whether there was something to hear.

    Parameters
    ----------
    sound
        Mono at 16 kHz; shape (S,).
    """
    if len(sound) < SPAN + HOP:
        return np.zeros(0, np.uint32), np.zeros(0, bool)
    pieces = sliding_window_view(sound, SPAN)[::HOP]
    spectrum = np.abs(np.fft.rfft(pieces * np.hanning(SPAN), axis=1)) ** 2
    edges = np.searchsorted(np.fft.rfftfreq(SPAN, 1 / SAMPLE_RATE), BANDS)
    energy = np.add.reduceat(spectrum, edges, axis=1)[:, :-1]
    steep = energy[:, :-1] - energy[:, 1:]
    bits = np.diff(steep, axis=0) > 0
    words = np.packbits(bits, axis=1).copy().view(np.uint32)[:, 0]
    loud = np.sqrt(np.mean(pieces**2, axis=1)) > QUIET
    return words, loud[1:] & loud[:-1]


def stand_still(frames: UInt8Array, squares: FloatArray) -> UInt8Array:
    """Look at a crop through a window that does not move in the source.

    Parameters
    ----------
    frames
        The crop; shape (T, H, H, 3).
    squares
        left, top, side of the crop in source pixels; shape (T, 3).

    Returns
    -------
    UInt8Array
        Grey; shape (T, 64, 64). What a crop does not show repeats its edge.
    """
    left, top, side = np.median(squares, axis=0)
    margin, step = (1 - WINDOW_SHARE) / 2 * side, WINDOW_SHARE * side / TILE
    size = frames.shape[1]
    seen = np.empty((len(frames), TILE, TILE), np.uint8)
    for image, frame, (x, y, own) in zip(seen, frames, squares, strict=True):
        scale = size / own
        turn = np.array([[step, 0, left + margin - x], [0, step, top + margin - y]], np.float64)
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(
            grey, turn * scale, (TILE, TILE), image, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    return seen


def picture_motion(seen: UInt8Array) -> tuple[FloatArray, FloatArray]:
    """Return the average picture and how its fields change.

    Parameters
    ----------
    seen
        Grey pictures from a window that stands still; shape (T, 64, 64).

    Returns
    -------
    still, motion
        Shapes (64,) and (T, 64).
    """
    from scipy.ndimage import uniform_filter1d

    cell = TILE // FIELDS
    fields = seen.reshape(len(seen), FIELDS, cell, FIELDS, cell).mean(axis=(2, 4))
    flat = fields.reshape(len(seen), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    still = flat.mean(axis=0)
    motion = flat - uniform_filter1d(flat, TREND, axis=0, mode="nearest")
    return still / max(float(np.linalg.norm(still)), 1e-9), motion


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
    """Fingerprints on disk, read when they are needed."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, number: int) -> Print:
        member = self._members[number]
        with np.load(member.folder / f"{member.key}.npz", allow_pickle=False) as held:
            return Print(**{name: held[name] for name in held.files})


def _same_sound(prints: _Prints, splits: IntArray) -> Iterator[tuple[int, int, _Match]]:
    read = [prints[number] for number in range(len(prints))]
    words = [made.words for made in read]
    audible = [made.audible for made in read]
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
    stills = np.stack([prints[number].still for number in range(len(prints))]).astype(np.float32)
    known: tuple[int, FloatArray] = (-1, np.zeros(0))
    for a, still in enumerate(stills[:-1]):
        alike = stills[a + 1 :] @ still >= MIN_LIKENESS
        for b in np.flatnonzero(alike & (splits[a + 1 :] != splits[a])) + a + 1:
            if known[0] != a:
                known = a, prints[a].motion.astype(np.float64)
            value, lag, shared = correlate(known[1], prints[int(b)].motion.astype(np.float64))
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


TABLE = "duplicates.parquet"
"""Beside the shards: the pairs that were found."""
DROPPED = "pack: near-duplicate of a clip in another split"
"""Why a clip was left out."""
