"""Ask, without any network that joins sound and picture, which recordings are out of sync.

    python benchmarks/same_words.py SHARDS [--speaker s1] [--workers 4]

GRID's speakers say the same few words over and over, and its files are named by them (``lbix5s`` is
"lay blue in x five soon"). The sound of each sentence is warped onto those of the same speaker's
sentences that share most words with it, and their lips are warped along: the mean is how the lips
move at each instant of its sound if these others are in sync. Where its own lips do so earlier or
later, the recording is out of sync. Printed are this offset (video index - audio index, in frames
of 40 ms; positive: sound comes early), the correlation there and without an offset, and how many
deviations (1.48 medians of absolute deviations) the offset lies from the median of all sentences;
those first in which an offset explains most.

With ``--plant`` every sixth sentence is asked twice, once with its lips moved by up to four frames,
to see whether the difference comes out.

A warp may go wrong, most of all where the lips hardly correlate anywhere: an offset is to be
believed where methods that know nothing of this one agree with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avbench import features, landmarks
from avbench.data import FloatArray
from avbench.distort import rng_for
from avbench.metrics.mcd import warp
from avbench.progress import track
from avbench.shards import Sample, decode_sample, open_set

POINTS = (13, 14, 0, 17, 78, 308, 152, 33, 263)
"""Inner and outer lips above and below, their corners, chin, outer corners of the eyes."""
DISTANCES = ((0, 1), (2, 3), (4, 5), (6, 2))
"""Heights inside and outside, width, chin to upper lip."""
SEARCH = 8
OTHERS = 16
"""Sentences that each is compared with."""
MELS = 2
"""Mel frames (10 ms) in one step of the warp."""


class Sentence(NamedTuple):
    """One recording."""

    words: str
    lips: FloatArray
    """In distances of the eyes; shape (T, 4)."""
    sound: FloatArray
    """Log-mel, each band less its mean; shape (M, 40), 20 ms a step."""


class Found(NamedTuple):
    """What was found of one recording."""

    words: str
    offset: float
    there: float
    without: float


def read(sample: Sample) -> Sentence:
    """Read lips and sound of one clip."""
    clip = decode_sample(sample)
    points = landmarks.find(clip.frames, POINTS)
    eyes = np.nanmedian(np.linalg.norm(points[:, -2] - points[:, -1], axis=1))
    lips = [np.linalg.norm(points[:, a] - points[:, b], axis=1) / eyes for a, b in DISTANCES]
    mels = features.log_mel(clip.audio).numpy().T
    steps = mels[: len(mels) // MELS * MELS].reshape(-1, MELS, mels.shape[1]).mean(axis=1)
    words = sample.key.split("-")[1]
    return Sentence(words, np.stack(lips, axis=1), steps - steps.mean(axis=0))


def shared(one: str, other: str) -> int:
    """Count the words that stand at the same place; the first two, which are the longest, twice."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    return sum(same) + sum(same[:2])


def expected(own: Sentence, others: Sequence[Sentence]) -> FloatArray:
    """Return how the lips of others move along with a sentence's sound; shape (T, 4)."""
    steps = np.arange(len(own.lips)) * 2 + 1  # of 20 ms: the middle of each frame
    moves = []
    for other in others:
        gaps = own.sound[:, None] / own.sound.std() - other.sound[None] / other.sound.std()
        path = warp(np.linalg.norm(gaps, axis=2)).path
        meets = [path[path[:, 0] == step, 1].mean() for step in range(len(own.sound))]
        frames = np.interp(steps, np.arange(len(meets)), meets) / 2 - 0.5
        there = np.arange(len(other.lips))
        moves.append(np.stack([np.interp(frames, there, row) for row in other.lips.T], axis=1))
    result: FloatArray = np.nanmean(moves, axis=0)
    return result


def measure(words: str, sentences: Mapping[str, Sentence]) -> Found:
    """Measure one sentence against those most like it."""
    own = sentences[words]
    others = sorted(sentences.keys() - {words}, key=lambda other: (-shared(words, other), other))
    should = expected(own, [sentences[other] for other in others[:OTHERS]])
    stop, curve = len(should) - SEARCH, []
    for offset in range(-SEARCH, SEARCH + 1):
        pairs = zip(own.lips[SEARCH + offset : stop + offset].T, should[SEARCH:stop].T, strict=True)
        curve.append(np.mean([np.corrcoef(lips, move)[0, 1] for lips, move in pairs]))
    best = int(np.argmax(curve))
    part = 0.0
    if 0 < best < 2 * SEARCH:  # the top of the parabola through the highest three
        left, top, right = curve[best - 1 : best + 2]
        part = 0.5 * (left - right) / (left - 2 * top + right)
    return Found(words, best - SEARCH + part, curve[best], curve[SEARCH])


def planted(words: str, sentences: Mapping[str, Sentence]) -> float:
    """Move the lips of a sentence by some frames; return by how many the difference is wrong."""
    own, moved = sentences[words], int(rng_for(0, words).integers(-4, 5))
    frames = np.clip(np.arange(len(own.lips)) - moved, 0, len(own.lips) - 1)
    other = {**sentences, words: own._replace(lips=own.lips[frames])}
    return measure(words, other).offset - measure(words, sentences).offset - moved


def main() -> None:
    """Print the sentences in which an offset explains most."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--speaker", default="s1")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--show", type=int, default=12, help="How many to print.")
    parser.add_argument("--plant", action="store_true", help="Find offsets planted in the lips.")
    given = parser.parse_args()
    samples = open_set(given.shards).samples()
    own = [sample for sample in samples if sample.key.startswith(f"{given.speaker}-")]
    with ProcessPoolExecutor(given.workers) as pool:
        reading = pool.map(read, own, chunksize=8)
        read_all = list(track(reading, "read", total=len(own), unit="clip"))
        whole = {one.words: one for one in read_all if not np.isnan(one.lips).any()}
        if given.plant:
            some = list(whole)[::6]
            errors = np.abs(list(pool.map(partial(planted, sentences=whole), some)))
            print(f"{len(some)} planted offsets: {np.mean(errors < 0.5):.1%} within half a frame")
            return
        measuring = pool.map(partial(measure, sentences=whole), whole, chunksize=8)
        found = list(track(measuring, "compare", total=len(whole), unit="clip"))
    offsets = np.array([one.offset for one in found])
    middle = float(np.median(offsets))
    spread = 1.4826 * float(np.median(np.abs(offsets - middle)))
    print(f"{len(found)} sentences: median {middle:+.2f} frames, deviation {spread:.2f}")
    for one in sorted(found, key=lambda one: one.without - one.there)[: given.show]:
        print(
            f"{one.words}  {one.offset:+.2f} frames  correlation {one.there:.2f}, without "
            f"{one.without:.2f}  {(one.offset - middle) / spread:+.1f} deviations"
        )


if __name__ == "__main__":
    main()
