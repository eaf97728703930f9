"""Show that refinement helps a network that was trained on noisy tracks, on drawn heads.

    python benchmarks/refine_gain.py SHARDS --out DIR [--split train] [--clips 240]
                                     [--learner head|syncnet] [--steps 600]

SHARDS is a set of drawn talking heads in sync. The first ``--clips`` of it are made noisy: a share
gets the sound of another clip (dubbed), a share sound that is 5 to 15 frames early or late. They
are refined as ``avbench refine`` does it, and what was trained on those that stayed is compared
with what was trained on all of them in the same way: ``syncnet``, a small SyncNet with the same
seed and number of steps, which takes hours; or ``head``, which takes minutes, most of them for
embedding: a canonical correlation analysis (Hotelling, 1936) of the shipped network's rows, turned
so that it has to learn from the tracks what belongs together. Both answer the same questions about
the next ``--held-out`` clips, which nobody trained on: windows of 15 frames at every third frame,
offsets within 5 frames. The test is paired over clips.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from avbench.data import FloatArray
from avbench.distort import rng_for
from avbench.models.checkpoint import load_extractor
from avbench.models.trainset import TrainingClip
from avbench.models.two_stream import TwoStreamConfig
from avbench.progress import track
from avbench.shards import decode_sample, open_set
from avbench.similarity import normalise, pick_offsets, sliding_distances
from pipelines.refine import Candidate, RefineOptions, refine_tracks
from pipelines.refine_sets import SyncNetTrainer, histogram
from pipelines.sync import Rows

WINDOW_ROWS, SEARCH, LEAD = 11, 5, 5
SMALL = TwoStreamConfig((12, 16, 24, 24, 64), (12, 16, 24, 24, 64), 32)


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


def read_rows(shards: Path, split: str | None, count: int, keep: Path) -> list[Candidate]:
    """Return the first clips of a set as turned rows of the shipped SyncNet.

    They are kept in a file, so that only the first run computes them.
    """
    if not keep.exists():
        extractor, rows = load_extractor(), {}
        samples = islice(open_set(shards).samples(split), count)
        for sample in track(samples, "embed", count, "clip"):
            clip = decode_sample(sample)
            found = extractor.embed(clip.frames, clip.audio)
            rows |= {f"{clip.key}|v": found.video, f"{clip.key}|a": found.audio}
        keep.parent.mkdir(parents=True, exist_ok=True)
        np.savez(keep, **rows)
    with np.load(keep, allow_pickle=False) as kept:
        keys = sorted({name.partition("|")[0] for name in kept.files})[:count]
        wide = kept[f"{keys[0]}|v"].shape[1]
        rng = np.random.default_rng(0)
        turns = [np.linalg.qr(rng.normal(size=(wide, wide)))[0] for _ in "va"]
        clips = [
            TrainingClip(kept[f"{key}|v"] @ turns[0], kept[f"{key}|a"] @ turns[1]) for key in keys
        ]
    return [Candidate(key, key, clip) for key, clip in zip(keys, clips, strict=True)]


def read(shards: Path, split: str | None, count: int, trainer: SyncNetTrainer) -> list[Candidate]:
    """Return the first clips of a set, reduced to what the network looks at."""
    samples = islice(open_set(shards).samples(split), count)
    found = []
    for sample in track(samples, "read", count, "clip"):
        clip = TrainingClip.of(decode_sample(sample), trainer.front)
        if clip is not None and len(clip) > 100:
            found.append(Candidate(sample.key, sample.key, clip))
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


def right(rows: Rows) -> FloatArray:
    """Return whether the answers about every third window are right: exactly, within a frame."""
    starts = np.arange(LEAD, len(rows.video) - WINDOW_ROWS - LEAD, 3)
    video = np.stack([rows.video[s : s + WINDOW_ROWS] for s in starts])
    sound = np.stack([rows.sound[s - LEAD : s + WINDOW_ROWS + LEAD] for s in starts])
    offsets, _, _ = pick_offsets(sliding_distances(video, sound, SEARCH, "valid", LEAD), SEARCH)
    return np.array([np.mean(offsets == 0), np.mean(np.abs(offsets) <= 1)])


def main() -> None:
    """Run the comparison and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default=None)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--learner", choices=["head", "syncnet"], default="head")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--dubbed", type=float, default=0.35)
    parser.add_argument("--late", type=float, default=0.15)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)

    total = asked.clips + asked.held_out
    trainer: Head | SyncNetTrainer = Head()
    if asked.learner == "syncnet":
        trainer = SyncNetTrainer(asked.steps, config=SMALL)
        every = read(asked.shards, asked.split, total, trainer)
    else:
        every = read_rows(asked.shards, asked.split, total, asked.out / "rows.npz")
    held_out = every[asked.clips :]
    rng = rng_for(asked.seed, "refine gain")
    tracks, kinds = make_noisy(every[: asked.clips], asked.dubbed, asked.late, rng)
    options = RefineOptions(seed=asked.seed)
    about = {name: str(value) for name, value in vars(asked).items() if name != "out"}
    rounds = refine_tracks(tracks, trainer, asked.out, options, about)
    noisy = asked.out / "noisy.safetensors"
    if not noisy.exists():
        clips = [item.clip for item in sorted(tracks, key=lambda item: item.key)]
        trainer.fit(clips, noisy, rng_for(asked.seed, "refine", "final"))
    found = {}
    for name, path in (("noisy", noisy), ("refined", asked.out / "final.safetensors")):
        embed = trainer.embedder(path)
        found[name] = np.array([right(embed(item.clip)) for item in held_out])
    gain = found["refined"] - found["noisy"]
    said = []
    for made in rounds:
        histogram(made, options, asked.out / f"round-{made.number}/histogram.png")
        kept = set(made.kept)
        shares = {}
        for kind in ("clean", "dubbed", "late"):
            own = [key for key, known in kinds.items() if known == kind]
            shares[kind] = f"{sum(key in kept for key in own)} of {len(own)}"
        said.append({**made.summary(options), "kept_of": shares})
    summary = {
        "rounds": said,
        "held_out_clips": len(held_out),
        "exact": {name: round(float(values[:, 0].mean()), 4) for name, values in found.items()},
        "within_1": {name: round(float(values[:, 1].mean()), 4) for name, values in found.items()},
        "gain_exact": _paired(gain[:, 0]),
        "gain_within_1": _paired(gain[:, 1]),
    }
    print(json.dumps(summary, indent=1))


def _paired(gain: FloatArray) -> dict[str, object]:
    test = stats.ttest_1samp(gain, 0)
    low, high = test.confidence_interval(0.95)
    return {
        "mean": round(float(gain.mean()), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
        "p": float(f"{test.pvalue:.3g}"),
    }


if __name__ == "__main__":
    main()
