"""What is saved comes back, and what is not a checkpoint is refused in words."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from avbench import features
from avbench.errors import AvbenchError, DataError
from avbench.models import checkpoint as checkpoints
from avbench.models.checkpoint import Checkpoint, load_extractor
from avbench.models.pattern import PatternClassifier, PatternConfig
from avbench.models.training import new_network
from avbench.models.two_stream import TwoStream, TwoStreamConfig, fingerprint

SMALL = TwoStreamConfig(video=(4, 4, 4, 4, 8), audio=(4, 4, 4, 4, 8), dim=8)


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    heads = PatternConfig(rows=(7, 9), widths=(4, 4, 4))
    return Checkpoint(
        new_network(lambda: TwoStream(SMALL), rng),
        12.5,
        new_network(lambda: PatternClassifier(heads), rng),
        "sync-cls",
    )


@pytest.mark.parametrize("half", [True, False])
def test_round_trip(made, tmp_path, half):
    path = tmp_path / "deep" / "a.safetensors"
    checkpoints.save(path, made, half=half)
    found = checkpoints.load(path)
    assert (found.scale, found.method) == (12.5, "sync-cls")
    assert found.extractor.config == SMALL
    for before, after in ((made.extractor, found.extractor), (made.classifier, found.classifier)):
        for name, tensor in before.state_dict().items():
            assert torch.allclose(after.state_dict()[name], tensor, atol=1e-3 if half else 0)
    assert load_extractor(path).id == fingerprint(found.extractor)


def test_saving_what_was_loaded_changes_no_byte(made, tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    checkpoints.save(first, made)
    checkpoints.save(second, checkpoints.load(first))
    assert first.read_bytes() == second.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_half_precision_halves_the_file(made, tmp_path):
    checkpoints.save(tmp_path / "half", made)
    checkpoints.save(tmp_path / "full", made, half=False)
    assert (tmp_path / "half").stat().st_size < 0.75 * (tmp_path / "full").stat().st_size


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\xff" * 4096])
def test_junk_is_refused(tmp_path, content):
    path = tmp_path / "junk.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"junk.safetensors is not an avbench checkpoint"):
        checkpoints.load(path)


def test_a_truncated_file_is_refused(made, tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, made)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="not an avbench checkpoint"):
        checkpoints.load(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(AvbenchError, match="there is no checkpoint"):
        checkpoints.load(tmp_path / "absent.safetensors")


def change(path, **changes):
    tensors, info = checkpoints.read_tensors(path)
    checkpoints.write_tensors(path, tensors, {**info, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format 99"),
        ({"features": {"window": 7}}, "other features"),
        ({"extractor": {"video": [8] * 5, "audio": [8] * 5, "dim": 8}}, "disagree"),
        ({"extractor": {"depth": 3}}, "disagree"),
        ({"extractor": {"video": [8] * 3, "audio": [8] * 5, "dim": 8}}, "disagree"),
    ],
)
def test_another_kind_of_checkpoint_is_refused(made, tmp_path, changes, message):
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, made)
    change(path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        checkpoints.load(path)
    assert "avbench train" in str(caught.value)


def test_other_features_are_noticed(made, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, made)
    monkeypatch.setattr(features, "MOUTH_SIDE", 0.7)
    with pytest.raises(DataError, match="other features"):
        checkpoints.load(path)


@pytest.mark.parametrize("name", ["syncnet", "sync-cls", "sync-e2e"])
def test_shipped_files_that_name_no_architecture_give_the_same_rows_as_ever(name):
    path = checkpoints.shipped(name)
    record = json.loads(path.with_suffix(".json").read_text())
    _, info = checkpoints.read_tensors(path)
    assert info.get("architecture", "small") == "small"
    extractor = load_extractor(path)
    assert extractor.id == record["extractor"]
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (20, 96, 96, 3)).astype(np.uint8)
    audio = (0.1 * rng.standard_normal(20 * 640)).astype(np.float32)
    rows, network = extractor.embed(frames, audio, unit=False), extractor.network
    with torch.inference_mode():
        pictures = torch.from_numpy(features.mouth_pictures(frames)).float().div_(255)
        video = network.embed_video(pictures.unsqueeze(0))[0].numpy()
        sound = network.embed_audio(features.log_mel(audio).unsqueeze(0))[0].numpy()
    assert np.array_equal(rows.video, video)
    assert np.array_equal(rows.audio, sound)


def test_a_checkpoint_that_is_not_shipped_says_how_to_train_it():
    with pytest.raises(AvbenchError, match=r"avbench train --method nonsense"):
        checkpoints.shipped("nonsense")
