"""Show that refinement helps a network that was trained on noisy tracks, on drawn heads.

    python benchmarks/refine_gain.py SHARDS --held-out OTHERS --out DIR
                                     [--learner head|syncnet] [--clips 1000] [--seeds 2]

SHARDS is a set of drawn talking heads in sync. The first ``--clips`` of it are made noisy: a share
gets the sound of another clip (dubbed), a share sound that is 5 to 15 frames early or late. They
are refined as ``avbench refine`` does it. Three networks with the same random start and number of
steps are then compared: **noisy**, trained on all of the tracks; **refined**, on those that stayed;
and **clean**, on all of them as they were before, the most that could be won. All answer the same
questions about the first ``--questions`` clips of OTHERS, whose voices nobody trained on: windows
of 15 frames at every third frame, offsets within 5 frames. The tracks are refined once, and the
three networks trained from ``--seeds`` seeds; tests are paired, over speakers.

The learner is ``syncnet``, a SyncNet with three quarters of the filters of the shipped one and a
dense audio stream, which takes about an hour on one core; or ``head``, which takes minutes,
most of them for embedding: a canonical correlation analysis (Hotelling, 1936) of the shipped
network's rows, turned so that it has to learn from the tracks what belongs together. It is
the same from every seed.

What was done is kept in DIR: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from avbench import statistics
from avbench.data import JSON, FloatArray
from avbench.distort import rng_for
from avbench.models.checkpoint import load_extractor
from avbench.models.trainset import MOUTHS, TrainingClip
from avbench.models.two_stream import TwoStreamConfig
from avbench.progress import track
from avbench.shards import Sample, decode_sample, open_set
from avbench.similarity import normalise, pick_offsets, sliding_distances
from pipelines.refine import Candidate, RefineOptions, Round, Trainer, refine_tracks
from pipelines.refine_sets import SyncNetTrainer, histogram
from pipelines.sync import Rows

WINDOW_ROWS, SEARCH, LEAD = 11, 5, 5
SHORTEST = 100
"""Frames of a clip that is taken, at least."""
SMALL = TwoStreamConfig((24, 48, 64, 64, 192), (24, 32, 48, 64, 192), 96, dense=True)
KINDS = ("clean", "dubbed", "late")
PAIRS = (("refined", "noisy"), ("clean", "refined"), ("clean", "noisy"))


class Head:
    """Finds the directions in which rows of picture and of sound vary together, in closed form.

    The rows are those of the shipped SyncNet, each stream turned by a rotation of its own, so that
    what belongs together has to be learned from the tracks anew.
    """

    def __init__(self, dim: int = 32, ridge: float = 0.01) -> None:
        self._dim, self._ridge = dim, ridge

    def fit(self, clips: Sequence[TrainingClip], path: Path, rng: np.random.Generator) -> None:
        """Fit the two projections to all rows of all clips."""
        video = np.concatenate([clip.pictures - clip.pictures.mean(0) for clip in clips])
        sound = np.concatenate([clip.sound - clip.sound.mean(0) for clip in clips])
        whiten_v, whiten_s = self._whitening(video), self._whitening(sound)
        left, values, right_t = np.linalg.svd(whiten_v.T @ (video.T @ sound) @ whiten_s)
        weights = np.sqrt(values[: self._dim])
        with path.open("wb") as file:
            np.savez(
                file,
                video=whiten_v @ left[:, : self._dim] * weights,
                sound=whiten_s @ right_t[: self._dim].T * weights,
            )

    def _whitening(self, rows: FloatArray) -> FloatArray:
        values, vectors = np.linalg.eigh(rows.T @ rows)
        return np.asarray(vectors / np.sqrt(values.clip(0) + self._ridge * values[-1]))

    def embedder(self, path: Path) -> Callable[[TrainingClip], Rows]:
        """Return what projects the rows of a clip."""
        with np.load(path, allow_pickle=False) as found:
            to_video, to_sound = found["video"], found["sound"]

        def embed(clip: TrainingClip) -> Rows:
            video = (clip.pictures - clip.pictures.mean(0)) @ to_video
            sound = (clip.sound - clip.sound.mean(0)) @ to_sound
            return Rows(normalise(video), normalise(sound), 0)

        return embed


def pictures_of(sample: Sample) -> TrainingClip | None:
    """Return what a SyncNet looks at of a clip."""
    return TrainingClip.of(decode_sample(sample), MOUTHS)


def rows_reader() -> Callable[[Sample], TrainingClip | None]:
    """Return what turns a clip into turned rows of the shipped SyncNet."""
    extractor, rng = load_extractor(), np.random.default_rng(0)
    turns: list[FloatArray] = []

    def rows_of(sample: Sample) -> TrainingClip:
        clip = decode_sample(sample)
        found = extractor.embed(clip.frames, clip.audio)
        wide = found.video.shape[1]
        turns.extend(np.linalg.qr(rng.normal(size=(wide, wide)))[0] for _ in range(2 - len(turns)))
        return TrainingClip(found.video @ turns[0], found.audio @ turns[1])

    return rows_of


def read(
    shards: Path,
    split: str | None,
    count: int,
    keep: Path,
    reduce: Callable[[Sample], TrainingClip | None],
) -> list[Candidate]:
    """Return the first clips of a set that are long enough, reduced.

    They are kept in a file, so that only the first run computes them.
    """
    if not keep.exists():
        opened = open_set(shards)
        index = opened.index(split)
        speakers = dict(zip(index["key"], index.get("speaker", index["video_id"]), strict=True))
        arrays: dict[str, NDArray[Any]] = {}
        for sample in track(islice(opened.samples(split), count), "read", count, "clip"):
            clip = reduce(sample)
            if clip is not None and len(clip) >= SHORTEST:
                name = f"{sample.key}|{speakers[sample.key]}"
                arrays |= {f"{name}|v": clip.pictures, f"{name}|a": clip.sound}
        keep.parent.mkdir(parents=True, exist_ok=True)
        np.savez(keep, **arrays)
    with np.load(keep, allow_pickle=False) as kept:
        found = []
        for name in sorted({name[:-2] for name in kept.files}):
            key, group = name.split("|")
            found.append(Candidate(key, group, TrainingClip(kept[f"{name}|v"], kept[f"{name}|a"])))
        return found


def make_noisy(
    tracks: Sequence[Candidate], dubbed: float, late: float, rng: np.random.Generator
) -> tuple[list[Candidate], dict[str, str]]:
    """Give some tracks the sound of the next one, or their own out of time."""
    draws = rng.random(len(tracks))
    made, kinds = [], {}
    for number, (item, draw) in enumerate(zip(tracks, draws, strict=True)):
        pictures, sound = item.clip.pictures, item.clip.sound
        # Of spectra, the second axis is time, with four columns a frame; of rows it is the first.
        spectra = pictures.ndim > 2
        axis, step, more = (1, 4, -2) if spectra else (0, 1, 0)
        kind = "clean"
        if draw < dubbed:
            kind, sound = "dubbed", tracks[(number + 1) % len(tracks)].clip.sound
        elif draw < dubbed + late:
            kind = "late"
            shift = int(rng.integers(5, 16)) * int(rng.choice([-1, 1]))
            sound = np.roll(sound, step * shift, axis=axis)
        length = min(len(pictures), (sound.shape[axis] - more) // step)
        sound = np.take(sound, np.arange(step * length + more), axis=axis)
        made.append(Candidate(item.key, item.group, TrainingClip(pictures[:length], sound)))
        kinds[item.key] = kind
    return made, kinds


def answers(rows: Rows) -> FloatArray:
    """Return the errors of the answers about every third window, in frames."""
    starts = np.arange(LEAD, len(rows.video) - WINDOW_ROWS - LEAD, 3)
    video = np.stack([rows.video[s : s + WINDOW_ROWS] for s in starts])
    sound = np.stack([rows.sound[s - LEAD : s + WINDOW_ROWS + LEAD] for s in starts])
    offsets, _, _ = pick_offsets(sliding_distances(video, sound, SEARCH, "valid", LEAD), SEARCH)
    return np.abs(offsets)


def train(
    held: Mapping[str, Sequence[Candidate]], trainer: Trainer, out: Path, seeds: int
) -> dict[str, list[Path]]:
    """Train every network from every seed; return them."""
    order = [(name, seed) for seed in range(seeds) for name in held if name != "clean"]
    order += [("clean", seed) for seed in range(seeds) if "clean" in held]
    made = {pair: out / f"{pair[0]}-{pair[1]}.safetensors" for pair in order}
    # The refinement has trained that one itself.
    made["refined", 0] = out / "refined" / "final.safetensors"
    for (name, seed), path in made.items():
        if not path.exists():
            clips = [item.clip for item in sorted(held[name], key=lambda item: item.key)]
            trainer.fit(clips, path, rng_for(seed, "refine", "final"))
    return {name: [made[name, seed] for seed in range(seeds)] for name in held}


def kept_of(made: Round, kinds: Mapping[str, str]) -> dict[str, str]:
    """Return how many tracks of each kind stayed."""
    kept, shares = set(made.kept), {}
    for kind in KINDS:
        own = [key for key, known in kinds.items() if known == kind]
        shares[kind] = f"{sum(key in kept for key in own)} of {len(own)}"
    return shares


def compare(
    errors: Mapping[str, Sequence[FloatArray]], speakers: Sequence[str]
) -> dict[str, dict[str, JSON]]:
    """Return scores of the networks over all seeds, and paired differences over speakers.

    Parameters
    ----------
    errors
        By network: of each seed, the errors of all answers in frames; shape (n,).
    speakers
        Of each answer of one seed; length n.
    """
    said: dict[str, dict[str, JSON]] = {}
    for name, most in (("exact", 0), ("within_1", 1)):
        right = {net: [found <= most for found in seeds] for net, seeds in errors.items()}
        scores: dict[str, JSON] = {}
        for net, seeds in right.items():
            scores[net] = round(100 * float(np.mean(seeds)), 2)
            scores[f"{net}, by seed"] = [round(100 * float(found.mean()), 2) for found in seeds]
        for first, second in [pair for pair in PAIRS if {*pair} <= {*errors}]:
            a, b = (np.concatenate(right[net]).astype(float) for net in (first, second))
            clusters = np.tile(speakers, len(right[first]))
            found = statistics.paired_difference(a, b, clusters, rng=np.random.default_rng(0))
            low, high = (
                None if end is None else round(100 * end, 2) for end in (found.low, found.high)
            )
            scores[f"{first} - {second}"] = [round(100 * found.value, 2), [low, high]]
        said[name] = scores
    return said


def main() -> None:
    """Run the comparison and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default=None)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--learner", choices=["head", "syncnet"], default="head")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dubbed", type=float, default=0.35)
    parser.add_argument("--late", type=float, default=0.15)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--no-bound", action="store_true", help="Train no network on clean tracks.")
    asked = parser.parse_args()
    torch.set_num_threads(1)

    syncnet = asked.learner == "syncnet"
    trainer: Trainer = SyncNetTrainer(asked.steps, config=SMALL) if syncnet else Head()
    reduce = pictures_of if syncnet else rows_reader()
    kept = asked.out / asked.learner
    tracks = read(
        asked.shards, asked.split, asked.clips, kept / f"tracks-{asked.clips}.npz", reduce
    )
    others = read(
        asked.held_out, None, asked.questions, kept / f"held-out-{asked.questions}.npz", reduce
    )
    noisy, kinds = make_noisy(tracks, asked.dubbed, asked.late, rng_for(0, "refine gain"))
    about = {
        name: str(value)
        for name, value in vars(asked).items()
        if name not in ("out", "seeds", "no_bound")
    }
    options = RefineOptions(rounds=asked.rounds)
    rounds = refine_tracks(noisy, trainer, kept / "refined", options, about)
    for made in rounds:
        histogram(made, options, kept / f"refined/round-{made.number}/histogram.png")
    stayed = set(rounds[-1].kept)
    held = {
        "noisy": noisy,
        "refined": [item for item in noisy if item.key in stayed],
        **({} if asked.no_bound else {"clean": tracks}),
    }
    errors: dict[str, list[FloatArray]] = {}
    counts: list[int] = []
    for name, paths in train(held, trainer, kept, asked.seeds).items():
        errors[name] = []
        for path in paths:
            embed = trainer.embedder(path)
            each = [answers(embed(item.clip)) for item in others]
            counts = [len(one) for one in each]
            errors[name].append(np.concatenate(each))
    speakers = np.repeat([item.group for item in others], counts).tolist()
    summary = {
        "tracks": len(tracks),
        "held_out_clips": len(others),
        "speakers": len(set(speakers)),
        "answers": len(speakers),
        "rounds": [{**made.summary(options), "kept_of": kept_of(made, kinds)} for made in rounds],
        **compare(errors, speakers),
    }
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
