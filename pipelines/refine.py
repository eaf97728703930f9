"""Refine noisy training tracks by the networks that they train (``avbench refine``).

Tracks that were found in the wild hold dubbed speech, faces that do not speak, and sound that is
late. Chung and Zisserman (2016, section 3.1) train a network on all of them, refuse the pairs it
finds too far apart, and train again on the rest. Here no track is ever judged by a network that
was trained on it: the tracks are divided into folds, whole sources at a time, and those of a fold
are scored by a network that was trained on the others. And the threshold is not a distance that
has to be guessed: it is calibrated on tracks with sound that does not belong, as in
`pipelines.calibration`, to keep a stated share of strangers.

Every round leaves its networks, scores, threshold and histogram in a folder of its own, so that an
interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from avbench import progress
from avbench.data import JSON
from avbench.distort import rng_for
from avbench.errors import DataError, UsageError
from avbench.models.trainset import TrainingClip
from avbench.shards import write_json

from . import sync
from .calibration import Calibration, largest_p, others_height
from .files import digest_of, read_json
from .sync import SEARCH, Rows

REFINE_VERSION = 1
"""Bumped when the same tracks and options would be refined otherwise."""
STATE = "refine.json"
_FEWEST = 4
"""Tracks that a network needs at the very least."""


@dataclass(frozen=True)
class RefineOptions:
    """How to refine."""

    rounds: int = 2
    folds: int = 2
    false_keep: float = 0.02
    """Share of tracks with sound that does not belong that may stay."""
    max_offset: int = 1
    """Largest offset between label and measure of a track that stays, in frames."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.folds < 2:
            raise UsageError(
                f"got --rounds {self.rounds} and --folds {self.folds}, expected at least 1 and 2: "
                "no track may be judged by a network that was trained on it"
            )
        if not 0 < self.false_keep < 1 or not 0 <= self.max_offset < SEARCH:
            raise UsageError(
                f"got --false-keep {self.false_keep} and --max-offset {self.max_offset}, expected "
                f"more than 0 and below 1, and 0 to {SEARCH - 1} frames"
            )

    @property
    def largest_p(self) -> float:
        """Largest p-value of a track that stays."""
        return largest_p(self.false_keep, 2 * self.max_offset + 1, SEARCH)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One track that may be trained on, in sync as its label says."""

    key: str
    group: str
    """What must not be in two folds: its speaker, else its source."""
    clip: TrainingClip


class Trainer(Protocol):
    """Trains the network of a round, and embeds with it."""

    def fit(self, clips: Sequence[TrainingClip], path: Path, rng: np.random.Generator) -> None:
        """Train on clips and write the checkpoint; go on where an earlier call was stopped."""
        ...

    def embedder(self, path: Path) -> Callable[[TrainingClip], Rows]:
        """Return what embeds clips with a checkpoint: unit rows of picture and sound."""
        ...


@dataclass(frozen=True)
class Round:
    """What one round came to."""

    number: int
    """From 1."""
    scores: Mapping[str, Mapping[str, JSON]]
    """By key: fold, offset, confidence, height, p_value and kept; or fold, note and kept."""
    wrong: Mapping[int, Sequence[float]]
    """Heights of pairs that were joined wrongly, by fold."""
    trained_on: Mapping[int, int]
    """Tracks that the network of each fold was trained on."""

    @property
    def kept(self) -> list[str]:
        """Keys that stay, in order."""
        return sorted(key for key, score in self.scores.items() if score["kept"])

    def summary(self, options: RefineOptions) -> dict[str, JSON]:
        """Return yield and thresholds."""
        return {
            "round": self.number,
            "tracks": len(self.scores),
            "kept": len(self.kept),
            "yield": round(len(self.kept) / len(self.scores), 4),
            "largest_p": round(options.largest_p, 5),
            "least_height": {
                str(fold): Calibration.of(heights).threshold(options.largest_p)
                for fold, heights in sorted(self.wrong.items())
            },
            "wrong_pairs": {str(fold): len(h) for fold, h in sorted(self.wrong.items())},
            "trained_on": {str(fold): count for fold, count in sorted(self.trained_on.items())},
        }


def fold_of(groups: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """Divide groups into folds of equal number, by a hash of seed and name.

    >>> sorted(fold_of(["a", "b", "c", "d"], 2, 0).values())
    [0, 0, 1, 1]
    """

    def rank(group: str) -> str:
        return hashlib.sha256(f"fold\x1f{seed}\x1f{group}".encode()).hexdigest()

    return {group: n % folds for n, group in enumerate(sorted(set(groups), key=rank))}


def refine_tracks(
    tracks: Sequence[Candidate], trainer: Trainer, out: Path, options: RefineOptions, about: JSON
) -> list[Round]:
    """Go through the rounds; what an earlier run finished is taken from ``out``.

    Parameters
    ----------
    tracks
        All candidates, in any order.
    trainer
        The network.
    out
        Folder of the results, made if absent; ``final.safetensors`` is the network that was
        trained on what stayed in the last round.
    options
        How to refine.
    about
        What else the result depends on: data and settings of the training.

    Raises
    ------
    UsageError
        If ``out`` holds the rounds of other data or options.
    DataError
        If there are too few sources for the folds, or hardly any track is left.
    """
    tracks = sorted(tracks, key=lambda track: track.key)
    folds = fold_of([track.group for track in tracks], options.folds, options.seed)
    if len(folds) < options.folds:
        raise DataError(
            f"the tracks come from {len(folds)} speakers or sources, too few for {options.folds} "
            "folds; give more sets, or lower --folds"
        )
    _claim(out, [REFINE_VERSION, asdict(options), [t.key for t in tracks], about])
    bar = progress.bar("refine", total=options.rounds * options.folds + 1, unit="network")
    rounds: list[Round] = []
    kept = {track.key for track in tracks}
    try:
        for number in range(1, options.rounds + 1):
            rounds.append(_round(number, tracks, folds, kept, trainer, out, options, bar.update))
            kept = set(rounds[-1].kept)
        chosen = _enough([t.clip for t in tracks if t.key in kept], f"after round {len(rounds)}")
        _fit(trainer, chosen, out / "final.safetensors", rng_for(options.seed, "refine", "final"))
        bar.update()
    finally:
        bar.close()
    return rounds


def _claim(out: Path, parts: JSON) -> None:
    """Take a folder for a run, or say that another holds it."""
    identity = digest_of(*parts)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write to {out} ({error.strerror}); choose another --out"
        ) from error
    known = (read_json(out / STATE) or {}).get("identity", identity)
    if known != identity:
        raise UsageError(
            f"{out} holds a refinement of other tracks or with other options; choose another --out"
        )
    write_json(out / STATE, {"identity": identity})


def _round(
    number: int,
    tracks: Sequence[Candidate],
    folds: Mapping[str, int],
    kept: set[str],
    trainer: Trainer,
    out: Path,
    options: RefineOptions,
    done: Callable[[], object],
) -> Round:
    """Train a network per fold on what is kept of the others, and score the fold with it."""
    folder = out / f"round-{number}"
    found = read_json(folder / "scores.json")
    if found is not None:
        for _ in range(options.folds):
            done()
        return _from_json(number, found)
    folder.mkdir(exist_ok=True)
    scores: dict[str, dict[str, JSON]] = {}
    wrong: dict[int, list[float]] = {}
    trained_on: dict[int, int] = {}
    for fold in range(options.folds):
        others = [t.clip for t in tracks if folds[t.group] != fold and t.key in kept]
        path = folder / f"fold-{fold}.safetensors"
        rng = rng_for(options.seed, "refine", number, fold)
        _fit(trainer, _enough(others, f"for fold {fold} of round {number}"), path, rng)
        own = [t for t in tracks if folds[t.group] == fold]
        measured, wrong[fold] = score(own, trainer.embedder(path))
        trained_on[fold] = len(others)
        calibration = Calibration.of(wrong[fold])
        for key, entry in measured.items():
            scores[key] = {"fold": fold, **_judged(entry, calibration, options)}
        done()
    made = Round(number, scores, wrong, trained_on)
    write_json(
        folder / "scores.json",
        {
            "scores": scores,
            "wrong": {str(fold): heights for fold, heights in wrong.items()},
            "trained_on": {str(fold): count for fold, count in trained_on.items()},
        },
    )
    return made


def _from_json(number: int, found: Mapping[str, JSON]) -> Round:
    wrong = {int(fold): heights for fold, heights in found["wrong"].items()}
    trained_on = {int(fold): count for fold, count in found["trained_on"].items()}
    return Round(number, found["scores"], wrong, trained_on)


def _fit(
    trainer: Trainer, clips: Sequence[TrainingClip], path: Path, rng: np.random.Generator
) -> None:
    if not path.exists():
        trainer.fit(clips, path, rng)


def _enough(clips: list[TrainingClip], when: str) -> list[TrainingClip]:
    if len(clips) < _FEWEST:
        raise DataError(
            f"{len(clips)} tracks are left {when}, too few to train on; train for more --steps, "
            "raise --false-keep, or start from a trained network with --init"
        )
    return clips


def score(
    tracks: Sequence[Candidate], embed: Callable[[TrainingClip], Rows]
) -> tuple[dict[str, dict[str, JSON]], list[float]]:
    """Measure tracks with a network that has not seen them.

    Returns
    -------
    scores, wrong
        What `pipelines.sync.measure` says, by key, and the heights of wrong pairs: each track with
        its own sound out of reach, and with that of others.
    """
    rows = {t.key: embed(t.clip) for t in tracks}
    groups = {t.key: t.group for t in tracks}
    scores: dict[str, dict[str, JSON]] = {}
    wrong: list[float] = []
    keys = [t.key for t in tracks]
    for number, key in enumerate(keys):
        video, _, before = rows[key]
        if len(video) - SEARCH < sync.MIN_WINDOWS:
            scores[key] = {"note": f"too short to score: {len(video) + 4} frames"}
            continue
        scores[key] = sync.measure(rows[key])
        wrong += scores[key].pop("wrong")
        around = [*keys[number + 1 :], *keys[:number]]
        strangers = [other for other in around if groups[other] != groups[key]]
        wrong += [
            round(others_height(video, rows[other].sound, before, SEARCH), 3)
            for other in strangers[: sync.OTHERS]
        ]
    return scores, wrong


def _judged(
    entry: Mapping[str, JSON], calibration: Calibration, options: RefineOptions
) -> dict[str, JSON]:
    if "note" in entry:
        return {"note": entry["note"], "kept": False}
    chance = calibration.p_value(entry["height"], entry["windows"], SEARCH)
    kept = chance <= options.largest_p and abs(entry["offset"]) <= options.max_offset
    names = ("offset", "confidence", "min_distance", "height")
    return {
        **{name: entry[name] for name in names},
        "p_value": float(f"{chance:.2g}"),
        "kept": kept,
    }
