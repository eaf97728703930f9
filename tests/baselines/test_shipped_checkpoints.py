"""The checkpoints that come with avbench are whole, small, and what their records say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from avbench import methods
from avbench.models import checkpoint as checkpoints

TRAINED = ("syncnet", "sync-cls", "sync-e2e")
ALIGNERS = ("tae", "tae-no-attention", "tae-crf")
LIMIT = 14_000_000
ALIGNER_LIMIT = 5_000_000


def record(name: str) -> dict:
    return json.loads(checkpoints.shipped(name).with_suffix(".json").read_text("utf-8"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", [*TRAINED, "lip-geometry", "syncnet-local", *ALIGNERS])
def test_the_record_belongs_to_the_file(name: str) -> None:
    facts = record(name)
    assert facts["checkpoint_sha256"] == digest(checkpoints.shipped(name))
    assert facts["method"] == checkpoints.load(checkpoints.shipped(name)).method == name
    assert facts["command"].startswith("avbench train ")
    assert f" --method {name} " in facts["command"]
    assert facts["fit"]["complete"]
    assert facts["extractor"] == methods.load(name).extractor.partition("-")[0]


def test_the_fixed_and_the_joint_classifier_saw_the_same_steps_from_the_same_start() -> None:
    assert record("syncnet")["init_sha256"] is None
    fixed, joint = record("sync-cls"), record("sync-e2e")
    assert fixed["init_sha256"] == joint["init_sha256"] is not None
    assert fixed["fit"]["steps"] == joint["fit"]["steps"]
    data = [record(name)["data"] for name in TRAINED]
    assert data[0] == data[1] == data[2]


def test_the_frozen_methods_share_one_extractor() -> None:
    ids = {name: methods.load(name).extractor for name in (*TRAINED, "diag-avg")}
    assert ids["syncnet"] == ids["diag-avg"] == ids["sync-cls"] != ids["sync-e2e"]


def test_together_they_are_small() -> None:
    names = (*TRAINED, "lip-geometry")
    assert sum(checkpoints.shipped(name).stat().st_size for name in names) < LIMIT


def test_the_aligners_share_the_streams_that_saw_damage() -> None:
    streams = methods.load("syncnet-local").extractor
    for name in ALIGNERS:
        assert methods.load(name).extractor.partition("-")[0] == streams
        # The clips of tae-crf were cut anew; those held out are the same, frame for frame.
        assert {record(name)["fit"][key] for key in ("clips", "frames")} == {800, 119856}
        assert checkpoints.shipped(name).stat().st_size < ALIGNER_LIMIT
    for name in set(ALIGNERS) - {"tae-crf"}:
        assert record(name)["data"] == record("tae")["data"]
        assert record(name)["data"]["sha256"][:1] == record("syncnet-local")["data"]["sha256"]
    assert record("tae-crf")["init_sha256"] == digest(checkpoints.shipped("syncnet-local"))
    assert record("tae")["fit"]["steps"] == record("tae-no-attention")["fit"]["steps"]


def test_only_the_ablation_does_not_attend() -> None:
    attends = {name: methods.load(name)._decoder.config.attention > 0 for name in ALIGNERS}
    assert attends == {"tae": True, "tae-no-attention": False, "tae-crf": True}
