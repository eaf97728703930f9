from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avbench import media
from avbench.errors import UnknownName, UsageError
from avbench.models import checkpoint
from avbench.models.two_stream import TwoStream, TwoStreamConfig
from pipelines import sync, units
from pipelines.calibration import LEAST_PAIRS, Calibration
from pipelines.sync import (
    SEARCH,
    Rows,
    SyncSettings,
    decide,
    embed,
    judge,
    measure,
    offset_distances,
    pair_wrongly,
)

FRAMES, CONTEXT = 60, 25


class CodeReader:
    """Reads a number that the test planted in every picture and every 40 ms of sound."""

    id = "code-reader"

    def embed_pieces(self, pieces: Iterable[np.ndarray]) -> np.ndarray:
        frames = np.concatenate(list(pieces))
        return self._rows(np.round(frames.mean(axis=(1, 2, 3)) / 2))

    def embed_sound(self, audio: np.ndarray) -> np.ndarray:
        return self._rows(np.round(audio.reshape(-1, 640).mean(axis=1) * 200))

    def _rows(self, codes: np.ndarray) -> np.ndarray:
        rows = np.lib.stride_tricks.sliding_window_view(codes - 65, 5).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-6)


def measured(info: dict[str, Any], folder: Path) -> dict[str, Any]:
    found = embed(info, folder, CodeReader())  # type: ignore[arg-type]
    return {"note": found} if isinstance(found, str) else measure(found)


def write_clip(
    folder: Path, offset: int, before: int = CONTEXT, after: int = CONTEXT, frames: int = FRAMES
) -> dict[str, Any]:
    """Write a clip whose sound comes ``offset`` frames early; no sound exists beyond the context.

    Audio frame a carries the code of picture a + offset.
    """
    codes = np.random.default_rng(5).integers(10, 120, frames + 2 * (CONTEXT + SEARCH))
    origin = CONTEXT + SEARCH
    with media.VideoWriter(folder / "clip.mp4", lossless=True) as writer:
        for code in codes[origin : origin + frames]:
            writer.write(np.full((32, 32, 3), 2 * code, np.uint8))
    heard = codes[origin - CONTEXT + offset : origin + frames + CONTEXT + offset] / 200
    heard = heard.astype(np.float32)
    heard[: CONTEXT - before] = 0
    heard[len(heard) - (CONTEXT - after) :] = 0
    (folder / "clip.flac").write_bytes(media.encode_sound(np.repeat(heard, 640)))
    return {
        "key": "clip",
        "start": 100,
        "stop": 100 + frames,
        "context": {"before": before, "after": after},
    }


@pytest.mark.parametrize("offset", [-15, -3, 0, 2, 15])
@pytest.mark.parametrize("context", [(25, 25), (0, 25), (25, 0), (0, 0), (7, 12)])
def test_a_planted_offset_is_measured_with_its_sign(
    tmp_path: Path, offset: int, context: tuple[int, int]
) -> None:
    info = write_clip(tmp_path, offset, *context)
    score = measured(info, tmp_path)
    assert score["offset"] == offset
    assert score["confidence"] > 10 * score["min_distance"]
    assert (score["search"], score["windows"]) == (15, FRAMES - 4)
    assert score["at_edge"] == (abs(offset) == 15)
    assert np.argmin(score["distances"]) == offset + SEARCH
    assert len(score["frame_confidence"]) == FRAMES - 4


def test_with_context_every_offset_is_judged_on_every_window() -> None:
    rng = np.random.default_rng(0)
    video = rng.normal(size=(20, 4))
    sound = rng.normal(size=(20 + 2 * CONTEXT, 4))
    distances = offset_distances(video, sound, CONTEXT)
    for k in (-15, 0, 15):
        rows = np.arange(20) - k + CONTEXT
        expected = np.linalg.norm(video - sound[rows], axis=1).mean()
        assert distances[k + SEARCH] == pytest.approx(expected)
    assert len(distances) == 2 * SEARCH + 1


def test_what_cannot_be_measured_says_why(tmp_path: Path) -> None:
    short = write_clip(tmp_path, 0, 0, 0, frames=25)
    assert measured(short, tmp_path) == {"note": "too short to score: 25 frames"}
    same = write_clip(tmp_path, 0, 25, 25, frames=25)
    assert measured(same, tmp_path)["offset"] == 0
    quiet = np.zeros((25 + 2 * CONTEXT) * 640, np.float32)
    (tmp_path / "clip.flac").write_bytes(media.encode_sound(quiet))
    assert measured(same, tmp_path) == {"note": "no sound to score: silent"}


def test_decisions_follow_the_thresholds_and_name_them() -> None:
    settings = SyncSettings("filter", min_confidence=0.2, max_offset=3)
    good = {"offset": -3, "confidence": 0.2, "p_value": 0.9}
    assert decide(good, settings) == ""
    assert decide({**good, "offset": 4}, settings) == "sync: offset beyond 3 frames"
    assert decide({**good, "confidence": 0.19}, settings) == "sync: confidence below 0.2"
    note = {"note": "too short to score: 25 frames"}
    assert decide(note, settings) == "sync: too short to score"
    for score in (note, {**good, "offset": 9}):
        assert decide(score, SyncSettings("record", min_confidence=0.2)) == ""


def test_the_calibrated_decision_counts_the_offsets_that_are_accepted() -> None:
    narrow, wide = SyncSettings("filter", 0.01), SyncSettings("filter", 0.01, correct=True)
    assert narrow.largest_p == pytest.approx(0.01 * 31 / 7)
    assert wide.largest_p == pytest.approx(0.01 * 31 / 29)
    score = {"offset": 2, "confidence": 0.3, "p_value": 0.03}
    assert decide(score, narrow) == ""
    assert decide(score, wide).startswith("sync: sound may not belong")
    late = {**score, "p_value": 0.001, "offset": -9, "correction": -9, "corrected": {"offset": 1}}
    assert decide(late, wide) == ""
    assert decide({**late, "corrected": {"offset": -2}}, wide).endswith("when corrected")
    assert decide({**late, "offset": 15, "at_edge": True}, wide).endswith("edge of the search")


def test_a_measure_is_stored_with_its_p_value_and_moved_only_where_it_is_sure() -> None:
    calibration = Calibration.of(np.linspace(0, 4, 400))
    score = {"offset": 5, "confidence": 0.4, "windows": 60, "wrong": [1.0]}
    after = {"offset": 0}
    settings = SyncSettings("record", correct=True)
    sure = judge({**score, "height": 9.0, "corrected": after}, calibration, settings)
    assert sure["p_value"] == pytest.approx(0.1 / 400)
    assert (sure["correction"], sure["corrected"]) == (5, after)
    unsure = judge({**score, "height": 3.0, "corrected": after}, calibration, settings)
    assert unsure["p_value"] == pytest.approx(0.25, abs=0.01)
    for kept in (unsure, judge({**score, "height": 9.0}, calibration, SyncSettings())):
        assert "correction" not in kept
        assert "wrong" not in kept
    assert judge({"note": "x"}, calibration, settings) == {"note": "x"}


def speech(rng: np.random.Generator, count: int, wide: int = 8) -> np.ndarray:
    """Unit rows that change as slowly as speech does."""
    rows = np.cumsum(rng.normal(size=(count, wide)), axis=0)
    rows = rows[5:] - rows[:-5]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def planted(rng: np.random.Generator, offset: int | None) -> Rows:
    """A clip of 60 windows whose sound belongs to it, noisily, or not at all where None."""
    sound = speech(rng, 60 + 2 * CONTEXT + 5)
    if offset is None:
        return Rows(speech(rng, 65), sound, CONTEXT)
    noisy = sound[CONTEXT - offset : CONTEXT - offset + 60] + 0.8 * rng.normal(size=(60, 8))
    return Rows(noisy / np.linalg.norm(noisy, axis=1, keepdims=True), sound, CONTEXT)


def test_a_calibrated_threshold_keeps_as_many_strangers_as_it_says() -> None:
    rng = np.random.default_rng(3)
    settings = SyncSettings("filter", 0.02)
    truth = [None if n % 2 else int(rng.integers(-3, 4)) for n in range(500)]
    scores = [measure(planted(rng, offset)) for offset in truth]
    calibration = sync.calibrate(scores[:250])
    assert len(calibration.wrong) >= LEAST_PAIRS
    kept = [not decide(judge(s, calibration, settings), settings) for s in scores]
    strangers = np.mean([k for k, t in zip(kept, truth, strict=True) if t is None])
    owners = np.mean([k for k, t in zip(kept, truth, strict=True) if t is not None])
    assert strangers <= 0.05
    assert owners >= 0.98
    exact = [s["offset"] == t for s, t in zip(scores, truth, strict=True) if t is not None]
    assert np.mean(exact) >= 0.98


def test_sound_of_other_tracks_is_borrowed_from_far_enough_away() -> None:
    rng = np.random.default_rng(0)
    rows = {key: planted(rng, None) for key in "abcd"}
    spans = {"a": (0, 64), "b": (0, 64), "c": (130, 194), "d": (100, 164)}
    found = pair_wrongly(rows, spans)
    assert {key: len(heights) for key, heights in found.items()} == {"a": 1, "b": 1, "c": 2, "d": 0}


def test_a_corrected_clip_is_in_sync_when_measured_again() -> None:
    rows = planted(np.random.default_rng(1), -7)
    assert measure(rows)["offset"] == -7
    assert sync.corrected(rows, -7)["offset"] == 0
    short = Rows(rows.video, rows.sound[CONTEXT:], 0)
    assert sync.corrected(short, measure(short)["offset"])["offset"] == 0


def test_settings_are_checked() -> None:
    with pytest.raises(UnknownName, match="sync mode"):
        SyncSettings("on")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 to 15"):
        SyncSettings(max_offset=16)
    with pytest.raises(UsageError, match="more than 0"):
        SyncSettings(false_keep=0)
    with pytest.raises(UsageError, match=r"nowhere.*avbench train"):
        sync.checkpoint_digest(Path("nowhere"))


@pytest.fixture
def weights(tmp_path: Path) -> Iterator[Path]:
    """A small untrained network in a checkpoint file."""
    torch.manual_seed(0)
    widths = (4, 4, 4, 4, 4)
    network = TwoStream(TwoStreamConfig(widths, widths, 8))
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, checkpoint.Checkpoint(network, scale=1.0, method="syncnet"))
    yield path
    sync._extractor.cache_clear()


def test_a_unit_is_scored_with_a_real_checkpoint_and_remembered(
    tmp_path: Path, weights: Path
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    info = write_clip(clips, 0)
    (clips / "clip.json").write_text(json.dumps(info))
    payload = {"facetracks": str(clips), "keys": ["clip"], "checkpoint": str(weights)}
    receipts = []
    for turn in (1, 2):
        folder = tmp_path / f"scores{turn}"
        sync.score_unit({**payload, "folder": str(folder)})
        receipts.append(units.read_receipt(folder))
    assert receipts[0] == receipts[1]
    score = (receipts[0] or {})["scores"]["clip"]
    assert {"offset", "min_distance", "confidence", "checkpoint", "height"} <= set(score)
    assert 0 <= score["confidence"] <= 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_clips_of_one_video_are_scored_alike_by_one_unit_or_several(
    tmp_path: Path, weights: Path, count: int
) -> None:
    clips, keys = tmp_path / "clips", [f"clip-{n:02d}" for n in range(11)]
    clips.mkdir()
    for number, key in enumerate(keys):
        info = write_clip(clips, number - 5, frames=12 if number in (4, 9) else FRAMES)
        span = {"start": 40 * number, "stop": 40 * number + info["stop"] - info["start"]}
        (clips / f"{key}.json").write_text(json.dumps({**info, **span, "key": key}))
        for path in clips.glob(f"{info['key']}.*"):
            path.rename(clips / path.name.replace(info["key"], key))
    payload = {"facetracks": str(clips), "keys": keys, "checkpoint": str(weights)}
    sync.score_unit({**payload, "folder": str(tmp_path / "all")})
    whole = (units.read_receipt(tmp_path / "all") or {})["scores"]
    assert sum("note" in score for score in whole.values()) == 2
    assert all(len(whole[key].get("wrong", [0] * 4)) >= 4 for key in keys)
    shared: dict[str, Any] = {}
    for begin in range(0, len(keys), count):
        folder = tmp_path / str(begin)
        only = keys[begin : begin + count]
        sync.score_unit({**payload, "folder": str(folder), "only": only})
        scores = (units.read_receipt(folder) or {})["scores"]
        assert list(scores) == only
        shared |= scores
    assert shared == whole


def test_a_damaged_checkpoint_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nonsense")
    payload = {"facetracks": str(tmp_path), "keys": [], "checkpoint": str(bad)}
    with pytest.raises(UsageError, match=r"bad\.safetensors"):
        sync.score_unit({**payload, "folder": str(tmp_path / "out")})
