from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avbench import media
from avbench.data import Embeddings
from avbench.errors import UnknownName, UsageError
from avbench.models import checkpoint
from avbench.models.two_stream import TwoStream, TwoStreamConfig
from pipelines import sync, units
from pipelines.sync import SEARCH, SyncSettings, decide, measure, offset_distances

FRAMES, CONTEXT = 60, 25


class CodeReader:
    """Reads a number that the test planted in every picture and every 40 ms of sound."""

    id = "code-reader"

    def embed(self, frames: np.ndarray, audio: np.ndarray) -> Embeddings:
        codes = np.round(frames.mean(axis=(1, 2, 3)) / 2)
        return Embeddings(self._rows(codes), self.embed_sound(audio))

    def embed_sound(self, audio: np.ndarray) -> np.ndarray:
        return self._rows(np.round(audio.reshape(-1, 640).mean(axis=1) * 200))

    def _rows(self, codes: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(codes, 5).astype(np.float32)


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
    score = measure(info, tmp_path, CodeReader())  # type: ignore[arg-type]
    assert score["offset"] == offset
    assert score["confidence"] > 10 * score["min_distance"]
    assert (score["search"], score["windows"]) == (15, FRAMES - 4)


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
    reader: Any = CodeReader()
    short = write_clip(tmp_path, 0, 0, 0, frames=25)
    assert measure(short, tmp_path, reader) == {"note": "too short to score: 25 frames"}
    same = write_clip(tmp_path, 0, 25, 25, frames=25)
    assert measure(same, tmp_path, reader)["offset"] == 0
    quiet = np.zeros((25 + 2 * CONTEXT) * 640, np.float32)
    (tmp_path / "clip.flac").write_bytes(media.encode_sound(quiet))
    assert measure(same, tmp_path, reader) == {"note": "no sound to score: silent"}


def test_decisions_follow_the_thresholds_and_name_them() -> None:
    settings = SyncSettings("filter", min_confidence=0.2, max_offset=3)
    good = {"offset": -3, "confidence": 0.2}
    assert decide(good, settings) == ""
    assert decide({**good, "offset": 4}, settings) == "sync: offset beyond 3 frames"
    assert decide({**good, "confidence": 0.19}, settings) == "sync: confidence below 0.2"
    note = {"note": "too short to score: 25 frames"}
    assert decide(note, settings) == "sync: too short to score"
    for score in (note, {**good, "offset": 9}):
        assert decide(score, SyncSettings("record", 0.2, 3)) == ""


def test_settings_are_checked() -> None:
    with pytest.raises(UnknownName, match="sync mode"):
        SyncSettings("on")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 to 15"):
        SyncSettings(max_offset=16)
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
    assert {"offset", "min_distance", "confidence", "checkpoint"} <= set(score)
    assert 0 <= score["confidence"] <= 2


def test_a_damaged_checkpoint_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nonsense")
    payload = {"facetracks": str(tmp_path), "keys": [], "checkpoint": str(bad)}
    with pytest.raises(UsageError, match=r"bad\.safetensors"):
        sync.score_unit({**payload, "folder": str(tmp_path / "out")})
