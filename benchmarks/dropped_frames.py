"""Measure how well dropped frames are told from the pictures alone.

    python benchmarks/dropped_frames.py SHARDS [--split test] [--seed 0]

Every clip is damaged by each law of `avbench.distort`, three seconds are cut out of it, and before
each of the different pictures in them it is asked whether none, one, or more frames were dropped:
of the network in ``tae-crf``, which compares how faces move on, and of
`avbench.repairing.held.missing`, which looks at the size of changes alone and is given the true
shares beforehand. Printed are the share that is right, the cross-entropy in nats, and both for
answering the shares themselves.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from avbench import features, methods
from avbench.data import FloatArray, IntArray, UInt8Array
from avbench.distort import Law, drop_duplicate, rng_for
from avbench.models.distinct import tell
from avbench.models.dropped import DropDetector, as_pictures
from avbench.progress import track
from avbench.repairing.held import crop_changes, missing
from avbench.shards import open_set

WINDOW = 79
"""Frames of a damaged window, as in ``tae-local``."""
CLASSES = 3


def windows(shards: Path, split: str, law: Law, seed: int) -> Iterator[tuple[UInt8Array, IntArray]]:
    """Yield the different pictures of a window of every clip, and what was dropped before each."""
    found = open_set(shards)
    clips = track(found.clips(split), law, total=found.count(split), unit="clip")
    for clip in (clip for clip in clips if len(clip) >= WINDOW - 10):
        rng = rng_for(seed, clip.key)
        shown = drop_duplicate(len(clip), rng=rng, law=law)
        start = int(rng.integers(max(1, len(shown) - WINDOW + 1)))
        frames = np.unique(shown[start : start + WINDOW])
        yield clip.frames[frames], np.minimum(np.diff(frames) - 1, CLASSES - 1)


def by_movement(detector: DropDetector, frames: UInt8Array) -> FloatArray:
    """Ask the network; log-probabilities of shape (K - 1, 3)."""
    return np.asarray(tell(detector, as_pictures(features.face_pictures(frames)))[1:], np.float64)


def by_size(frames: UInt8Array) -> FloatArray:
    """Ask how large changes are; log-likelihoods of shape (K - 1, 3)."""
    return np.pad(missing(crop_changes(frames)), ((0, 0), (1, 0)))[1:]


def judged(said: FloatArray, true: IntArray) -> str:
    """Say how often log-probabilities are right, and their cross-entropy."""
    own = said[np.arange(len(true)), true]
    return f"{100 * np.mean(said.argmax(1) == true):.1f} % right, {-own.mean():.3f} nats"


def main() -> None:
    """Print what each says under each law."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    detector: DropDetector = methods.load_class("tae-crf").load()._decoder.drops
    ask: dict[str, Callable[[UInt8Array], FloatArray]] = {
        "how faces move on": partial(by_movement, detector),
        "size of changes": by_size,
    }
    for law in get_args(Law):
        said: dict[str, list[FloatArray]] = {name: [] for name in ask}
        true: list[IntArray] = []
        for frames, dropped in windows(given.shards, given.split, law, given.seed):
            true.append(dropped)
            for name, answer in ask.items():
                said[name].append(answer(frames))
        answers = np.concatenate(true)
        shares = np.log(np.bincount(answers, minlength=CLASSES) / len(answers))
        print(f"{law}: {len(answers)} places in {len(true)} windows")
        print(f"  the shares: {judged(np.tile(shares, (len(answers), 1)), answers)}")
        for name, parts in said.items():
            logs = np.concatenate(parts) + (shares if name == "size of changes" else 0)
            logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
            print(f"  {name}: {judged(logs, answers)}")


if __name__ == "__main__":
    main()
