"""Shard sets in, a refined set, a list of tracks and figures out: the shell of refinement."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from avbench import methods, progress
from avbench.data import JSON
from avbench.distort import rng_for
from avbench.errors import DataError, UsageError
from avbench.models.trainset import Front, TrainingClip, TrainingSet
from avbench.shards import (
    ShardInfo,
    ShardSet,
    ShardWriter,
    decode_sample,
    finish_set,
    open_set,
    write_atomic,
    write_json,
)

from .refine import Candidate, RefineOptions, Round, refine_tracks
from .sync import Rows


@dataclass(frozen=True)
class RefineReport:
    """What a refinement came to."""

    out: Path
    rounds: Sequence[Round]
    options: RefineOptions
    shards: Sequence[ShardInfo] = field(default_factory=tuple)

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        lines = []
        for made in self.rounds:
            said = made.summary(self.options)
            heights = [f"{h:.2f}" for h in said["least_height"].values() if h is not None]
            least = f"height at least {', '.join(heights)}" if heights else "a careful bound"
            lines.append(
                f"round {made.number}: kept {said['kept']} of {said['tracks']} tracks "
                f"({100 * said['yield']:.1f} %); p at most {said['largest_p']:g}, {least}"
            )
        clips = sum(info.samples for info in self.shards)
        lines.append(f"the network is {self.out / 'final.safetensors'}")
        if self.shards:
            lines.append(f"the refined set of {clips} clips is {self.out / 'shards'}")
        lines.append(f"every track with its scores is in {self.out / 'tracks.csv'}")
        return lines


def refine(
    sources: Sequence[Path],
    out: Path,
    *,
    split: str | None = None,
    steps: int | None = None,
    architecture: str | None = None,
    init: Path | None = None,
    cache_mib: int = 3072,
    **options: Any,
) -> RefineReport:
    """Refine shard sets, and write what stays as a set of its own.

    Parameters
    ----------
    sources
        Folders of shard sets.
    out
        Where the rounds, the network, the list and the refined set go.
    split
        Refine this split only.
    steps, architecture, init
        Of the training of SyncNet, as for ``avbench train``.
    cache_mib
        Memory for the clips; all must fit.
    options
        Fields of `RefineOptions`.

    Raises
    ------
    UsageError
        If an option makes no sense, or ``out`` holds another refinement.
    DataError
        If a set is damaged, or gives too few tracks.
    """
    chosen = RefineOptions(**options)
    out = Path(out).expanduser().absolute()
    sets = [open_set(Path(source)) for source in sources]
    trainer = SyncNetTrainer(steps, architecture, init)
    tracks = read_tracks(sets, split, trainer.front, trainer.num_frames, cache_mib)
    about = {
        "sets": [found.sha256 for found in sets],
        "split": split,
        "training": trainer.identity,
    }
    rounds = refine_tracks(tracks, trainer, out, chosen, about)
    for made in rounds:
        folder = out / f"round-{made.number}"
        write_json(folder / "summary.json", made.summary(chosen))
        histogram(made, chosen, folder / "histogram.png")
    write_atomic(out / "tracks.csv", track_list(tracks, rounds).encode())
    shards = write_refined(sets, split, set(rounds[-1].kept), out / "shards", chosen)
    return RefineReport(out, rounds, chosen, shards)


def read_tracks(
    sets: Sequence[ShardSet], split: str | None, front: Front, num_frames: int, cache_mib: int
) -> list[Candidate]:
    """Read what can be trained on, reduced to what the network looks at.

    Raises
    ------
    DataError
        If a key is in two sets, nothing is long enough, or memory runs out.
    """
    found: dict[str, Candidate] = {}
    used = 0
    for data in sets:
        index = data.index(split)
        names = [name for name in ("speaker", "video_id") if name in index]
        groups = {
            row["key"]: next((str(row[n]) for n in names if isinstance(row[n], str)), row["key"])
            for row in index.to_dict("records")
        }
        samples = progress.track(data.samples(split), "read", len(index), "clip")
        for sample in samples:
            clip = TrainingClip.of(decode_sample(sample), front)
            if clip is None or len(clip) < num_frames:
                continue
            if sample.key in found:
                raise DataError(f"{data.directory}: key {sample.key} is in another set, too")
            found[sample.key] = Candidate(sample.key, groups[sample.key], clip)
            used += clip.nbytes
            if used > cache_mib * 2**20:
                raise DataError(
                    f"the clips do not fit into {cache_mib} MiB; raise --cache-mib or refine fewer"
                )
    if not found:
        raise DataError(
            f"no clip of {', '.join(str(s.directory) for s in sets)} is as long as the "
            f"{num_frames} frames that training needs, with one offset"
        )
    return list(found.values())


class SyncNetTrainer:
    """Trains SyncNet as ``avbench train --method syncnet`` does."""

    def __init__(
        self,
        steps: int | None = None,
        architecture: str | None = None,
        init: Path | None = None,
        config: Any = None,
    ) -> None:
        self._steps, self._init = steps, init
        named = None if architecture is None else {"architecture": architecture}
        self._size = {"config": config} if config is not None else named or {}
        self._class = cast("Any", methods.load_class("syncnet"))
        self.identity: dict[str, JSON] = {
            "steps": steps,
            "architecture": architecture or repr(config),
            "init": None if init is None else init.name,
        }
        # Only to see what it looks at.
        probe = self._start(rng_for(0, "refine", "probe"))
        self.front: Front = probe._extractor.network.front
        self.num_frames: int = self._class.RECIPE.num_frames

    def _start(self, rng: np.random.Generator) -> Any:
        return self._class.start(self._init, rng=rng, **self._size)

    def fit(self, clips: Sequence[TrainingClip], path: Path, rng: np.random.Generator) -> None:
        """Train on clips and write the checkpoint; go on where an earlier call was stopped."""
        trainee = self._start(rng)
        data = TrainingSet(list(clips), front=self.front)
        state = path.with_name(path.name + ".unfinished")
        trainee.fit(data, rng=rng, steps=self._steps, state=state)
        trainee.save(path)

    def embedder(self, path: Path) -> Callable[[TrainingClip], Rows]:
        """Return what embeds clips with a checkpoint."""
        import torch

        from avbench.models import augment
        from avbench.models.checkpoint import load_extractor
        from avbench.models.two_stream import one_thread
        from avbench.similarity import normalise

        network = load_extractor(path).network

        def embed(clip: TrainingClip) -> Rows:
            whole = TrainingSet([clip], front=self.front)
            batch = augment.centre(whole.draw(np.random.default_rng(0), 1, len(clip)))
            with torch.inference_mode(), one_thread():
                video = network.embed_video(batch.pictures)[0].float().numpy()
                sound = network.embed_audio(batch.sound)[0].float().numpy()
            return Rows(normalise(video), normalise(sound), 0)

        return embed


def track_list(tracks: Sequence[Candidate], rounds: Sequence[Round]) -> str:
    """Return the table of all tracks, with what every round said of them, as CSV."""
    names = ("p_value", "height", "offset", "kept")
    columns = [f"round{made.number}_{name}" for made in rounds for name in names]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["key", "group", "fold", "kept", *columns])
    for track in sorted(tracks, key=lambda track: track.key):
        said = [made.scores[track.key] for made in rounds]
        values = [score.get(name, "") for score in said for name in names]
        writer.writerow([track.key, track.group, said[-1]["fold"], said[-1]["kept"], *values])
    return text.getvalue()


def write_refined(
    sets: Sequence[ShardSet], split: str | None, kept: set[str], out: Path, options: RefineOptions
) -> list[ShardInfo]:
    """Write the clips that stay as a shard set, with the rows of their indices.

    Raises
    ------
    UsageError
        If a refined set would be written over a set that it is made of.
    """
    if any(found.directory.resolve() == out.resolve() for found in sets):
        raise UsageError(f"{out} is one of the sets to refine; choose another --out")
    name = f"{sets[0].name}-refined"
    writers: dict[str, ShardWriter] = {}
    for data in sets:
        rows = {row["key"]: row for row in data.index(split).to_dict("records")}
        made = {"split", "num_frames", "seconds", "shard", "key"}
        for sample in progress.track(data.samples(split), "write", len(rows), "clip"):
            row = rows[sample.key]
            if sample.key not in kept:
                continue
            writer = writers.setdefault(row["split"], ShardWriter(out, name, row["split"]))
            writer.add(sample, **{str(k): v for k, v in row.items() if k not in made})
    shards: list[ShardInfo] = []
    for writer in writers.values():
        writer.close()
        shards += writer.shards
    recipe = {
        "dataset": name,
        "synthetic": all(found.synthetic for found in sets) or None,
        "refined": {
            "of": [found.sha256 for found in sets],
            "rounds": options.rounds,
            "folds": options.folds,
            "false_keep": options.false_keep,
            "max_offset": options.max_offset,
            "seed": options.seed,
        },
    }
    finish_set(out, shards, recipe)
    return shards


def histogram(made: Round, options: RefineOptions, path: Path) -> None:
    """Draw the heights of tracks and of wrong pairs, and the threshold of each fold."""
    from avbench.plots.style import INK, PALETTE, new_figure, save, styled

    said = made.summary(options)
    known = [s for s in made.scores.values() if "height" in s]
    groups = [
        ("kept", [s["height"] for s in known if s["kept"]], PALETTE[0]),
        ("refused", [s["height"] for s in known if not s["kept"]], PALETTE[1]),
    ]
    wrong = [height for heights in made.wrong.values() for height in heights]
    every = [*wrong, *(s["height"] for s in known)]
    edges = np.histogram_bin_edges(every or [0.0, 1.0], bins=40).tolist()
    with styled():
        figure = new_figure(4.6, 2.6)
        axes = figure.subplots()
        if wrong:
            weights = np.full(len(wrong), len(known) / len(wrong))
            axes.hist(
                wrong, edges, weights=weights, histtype="step", color=INK, label="joined wrongly"
            )
        axes.hist(
            [heights for _, heights, _ in groups],
            edges,
            stacked=True,
            color=[colour for *_, colour in groups],
            label=[f"{name} ({len(heights)})" for name, heights, _ in groups],
            alpha=0.8,
        )
        for least in said["least_height"].values():
            if least is not None:
                axes.axvline(least, color=INK, linestyle="--", linewidth=0.8)
        axes.set_xlabel("height over chance (spreads); dashed: threshold of a fold")
        axes.set_ylabel("tracks")
        axes.set_title(
            f"round {made.number}: {said['kept']} of {said['tracks']} tracks kept, "
            f"false-keep {options.false_keep:g}"
        )
        axes.legend()
        save(figure, path)
