from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from avbench.errors import DataError, UsageError
from avbench.models.trainset import TrainingClip
from avbench.similarity import normalise, sliding_distances
from pipelines.refine import Candidate, RefineOptions, Round, fold_of, refine_tracks, score
from pipelines.refine_sets import histogram, track_list
from pipelines.sync import Rows

WIDE, ROWS = 6, 90
MIXING = np.random.default_rng(99).normal(size=(WIDE, WIDE))


def speech(rng: np.random.Generator, count: int) -> np.ndarray:
    steps = np.cumsum(rng.normal(size=(count + 3, WIDE)), axis=0)
    return np.asarray(steps[3:] - steps[:-3])


def world(count: int, seed: int, noise: float = 2.0) -> tuple[list[Candidate], dict[str, str]]:
    """Tracks of pictures that are mixed from sound; some dubbed, some with sound that is late."""
    rng = np.random.default_rng(seed)
    tracks, kinds = [], {}
    for number in range(count):
        said = speech(rng, ROWS + 30)
        heard = said[15 : 15 + ROWS]
        kind = ("clean", "clean", "dubbed", "late")[number % 4]
        if kind == "dubbed":
            heard = speech(rng, ROWS)
        if kind == "late":
            shift = int(rng.integers(4, 13))
            heard = said[15 - shift : 15 - shift + ROWS]
        seen = said[15 : 15 + ROWS] @ MIXING + noise * rng.normal(size=(ROWS, WIDE))
        clip = TrainingClip(seen, heard)  # type: ignore[arg-type]
        key = f"track-{number:03d}"
        kinds[key] = kind
        tracks.append(Candidate(key, f"speaker-{number // 2}", clip))
    return tracks, kinds


class Linear:
    """Learns by least squares which sound belongs to which picture."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.fits: list[set[int]] = []
        self._stop_at = stop_at

    def fit(self, clips: Sequence[TrainingClip], path: Path, rng: np.random.Generator) -> None:
        if len(self.fits) == self._stop_at:
            raise KeyboardInterrupt
        self.fits.append({id(clip) for clip in clips})
        seen = np.concatenate([clip.pictures for clip in clips])
        heard = np.concatenate([clip.sound for clip in clips])
        weights = np.linalg.lstsq(seen, heard, rcond=None)[0]
        with path.open("wb") as file:
            np.save(file, weights)

    def embedder(self, path: Path) -> Callable[[TrainingClip], Rows]:
        weights = np.load(path)
        return lambda clip: Rows(normalise(clip.pictures @ weights), normalise(clip.sound), 0)


OPTIONS = RefineOptions(rounds=2, folds=2, false_keep=0.02)


def go(tracks: Sequence[Candidate], out: Path, trainer: Any = None, **options: Any) -> list[Round]:
    chosen = RefineOptions(**options) if options else OPTIONS
    return refine_tracks(tracks, trainer or Linear(), out, chosen, "about")


def test_no_track_is_judged_by_a_network_that_saw_its_speaker(tmp_path: Path) -> None:
    tracks, _ = world(40, 0)
    trainer = Linear()
    rounds = go(tracks, tmp_path, trainer, rounds=2, folds=3)
    speakers = {id(track.clip): track.group for track in tracks}
    folds = fold_of([track.group for track in tracks], 3, 0)
    assert len(trainer.fits) == 2 * 3 + 1
    for number, seen in enumerate(trainer.fits[:-1]):
        scored = {group for group, fold in folds.items() if fold == number % 3}
        assert scored
        assert not scored & {speakers[clip] for clip in seen}
    kept = set(rounds[-1].kept)
    assert trainer.fits[-1] == {id(track.clip) for track in tracks if track.key in kept}


def test_dubbed_and_late_tracks_go_and_clean_ones_stay(tmp_path: Path) -> None:
    tracks, kinds = world(200, 1)
    rounds = go(tracks, tmp_path)
    for made in rounds:
        kept = set(made.kept)
        shares = {
            kind: np.mean([key in kept for key, own in kinds.items() if own == kind])
            for kind in ("clean", "dubbed", "late")
        }
        assert shares["clean"] > 0.9
        assert shares["dubbed"] <= 0.06
        assert shares["late"] == 0
    said = rounds[-1].summary(OPTIONS)
    assert said["yield"] == pytest.approx(0.5, abs=0.06)
    assert all(height > 0 for height in said["least_height"].values())
    assert min(said["wrong_pairs"].values()) >= 200


def test_the_network_gains_from_refinement_on_tracks_that_nobody_trained_on(tmp_path: Path) -> None:
    tracks, _ = world(60, 2, noise=4.0)
    trainer = Linear()
    go(tracks, tmp_path / "refined", trainer)
    trainer.fit([track.clip for track in tracks], tmp_path / "all.npy", np.random.default_rng(0))
    fresh = [track for track in world(400, 77, noise=4.0)[0] if int(track.key[-3:]) % 4 < 2]

    def confidences(path: Path) -> np.ndarray:
        embed = trainer.embedder(path)
        found = []
        for track in fresh:
            video, sound, _ = embed(track.clip)
            found.append(sliding_distances(video[:40], sound[:40], 0)[0])
        return np.array(found)

    gain = confidences(tmp_path / "all.npy") - confidences(tmp_path / "refined/final.safetensors")
    assert stats.ttest_1samp(gain, 0, alternative="greater").pvalue < 1e-4


def test_an_interrupted_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    tracks, _ = world(40, 3)
    whole = go(tracks, tmp_path / "whole")
    for stop in (1, 2, 1):
        with pytest.raises(KeyboardInterrupt):
            go(tracks, tmp_path / "parts", Linear(stop_at=stop))
    last = Linear()
    again = go(tracks[::-1], tmp_path / "parts", last)
    assert len(last.fits) == 1
    assert [made.scores for made in again] == [made.scores for made in whole]
    names = ("round-1/scores.json", "round-2/scores.json", "final.safetensors")
    for name in names:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(UsageError, match="other tracks or with other options"):
        go(tracks[:-2], tmp_path / "parts")
    with pytest.raises(UsageError, match="other options"):
        go(tracks, tmp_path / "parts", rounds=3)


def test_what_cannot_be_refined_says_so(tmp_path: Path) -> None:
    tracks, _ = world(8, 4)
    with pytest.raises(DataError, match="1 speakers or sources, too few for 2"):
        go(tracks[:2], tmp_path / "a")
    with pytest.raises(DataError, match=r"2 tracks are left for fold 0 of round 1.*--init"):
        go(tracks[:4], tmp_path / "b")
    with pytest.raises(UsageError, match="--folds 1"):
        RefineOptions(folds=1)
    with pytest.raises(UsageError, match="--false-keep 0"):
        RefineOptions(false_keep=0)


def test_a_short_track_is_refused_with_a_note() -> None:
    tracks, _ = world(2, 5)
    short = TrainingClip(tracks[0].clip.pictures[:20], tracks[0].clip.sound[:20])
    scores, wrong = score(
        [Candidate("a", "a", short)], lambda clip: Rows(clip.pictures, clip.sound, 0)
    )
    assert scores == {"a": {"note": "too short to score: 24 frames"}}
    assert wrong == []


def test_rounds_are_listed_and_drawn(tmp_path: Path) -> None:
    tracks, kinds = world(80, 6)
    rounds = go(tracks, tmp_path)
    table = list(csv.DictReader(track_list(tracks, rounds).splitlines()))
    assert [row["key"] for row in table] == sorted(kinds)
    kept = {row["key"] for row in table if row["kept"] == "True"}
    assert kept == set(rounds[-1].kept)
    for row in table:
        if row["kept"] == "True":
            assert float(row["round2_p_value"]) <= OPTIONS.largest_p
            assert abs(int(row["round2_offset"])) <= 1
    histogram(rounds[0], OPTIONS, tmp_path / "h.png")
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")
