from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avbench.data import Clip
from avbench.landmarks import find
from avbench.models.architectures import GeometryConfig, config_from_json, name_of
from avbench.models.augment import GeometryAugmentation, apply_to_points, centre
from avbench.models.checkpoint import Checkpoint, load, save
from avbench.models.geometry import LANDMARKS, POINTS, LipGeometryNet
from avbench.models.trainset import Batch, TrainingClip, TrainingSet
from avbench.models.two_stream import Extractor, fingerprint
from avbench.selftest.drawn import draw
from avbench.timing import SAMPLES_PER_FRAME
from baselines.lip_geometry import LipGeometry

FRAMES = 40


def net(dim: int = 8, *, refined: bool = False) -> LipGeometryNet:
    torch.manual_seed(0)
    made = LipGeometryNet(GeometryConfig(hidden=24, dim=dim, refined=refined)).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2.0)
    return made


def points(rng: np.random.Generator, frames: int = FRAMES) -> torch.Tensor:
    """Make a face whose lips move at random."""
    rest = rng.uniform(0.3, 0.7, (len(POINTS), 2))
    rest[25:29, 0] = (0.3, 0.42, 0.58, 0.7)
    rest[25:29, 1] = 0.35
    moved = np.broadcast_to(rest, (frames, len(POINTS), 2)).copy()
    moved[:, :25] += 0.02 * rng.standard_normal((frames, 25, 2))
    return torch.from_numpy(moved.astype(np.float32))


def test_place_size_and_tilt_of_a_face_do_not_matter() -> None:
    network, face = net(), points(np.random.default_rng(0))
    turn = torch.tensor([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]).float()
    moved = 0.6 * (face @ turn.T) + torch.tensor([0.2, -0.1])
    with torch.inference_mode():
        one, other = network.embed_video(face[None]), network.embed_video(moved[None])
    torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)
    assert one.std(1).mean() > 1e-3, "but what the lips do matters"


def test_a_row_sees_its_five_frames_only() -> None:
    network, face = net(), points(np.random.default_rng(1))
    changed = face.clone()
    changed[20] += 0.05
    with torch.inference_mode():
        one, other = (network.embed_video(x[None])[0] for x in (face, changed))
    differs = (one != other).any(-1)
    assert differs.nonzero().flatten().tolist() == [16, 17, 18, 19, 20]


def test_a_frame_without_a_face_is_bridged() -> None:
    network, face = net(), points(np.random.default_rng(2))
    face[10] = torch.nan
    lost = torch.full_like(face, torch.nan)
    with torch.inference_mode():
        assert torch.isfinite(network.embed_video(face[None])).all()
        assert torch.isfinite(network.embed_video(lost[None])).all()


def test_rows_and_sizes() -> None:
    network = net(dim=6)
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    audio = 0.1 * rng.standard_normal(9 * SAMPLES_PER_FRAME).astype(np.float32)
    rows = Extractor(network).embed(frames, audio)
    assert rows.video.shape == rows.audio.shape == (5, 6)
    assert np.isfinite(rows.video).all()


def test_networks_older_than_the_closer_look_keep_their_name_and_their_points() -> None:
    frames = draw(3, 25, "test", "easy-v1", seed=5).frames[:4]
    old, new = net(), net(refined=True)
    assert config_from_json("lip-geometry", {"hidden": 24, "dim": 8}) == old.config
    assert fingerprint(old) != fingerprint(new)
    blank = LipGeometryNet(old.config)
    for weights in blank.parameters():
        torch.nn.init.constant_(weights, 0.5)
    assert fingerprint(blank) == "5a99f477d1355337", "as it was before there was a choice"
    for network in (old, new):
        refined = network.config.refined
        expected = find(frames, POINTS, refined=refined)
        np.testing.assert_array_equal(network.read_pictures(frames), expected)
        np.testing.assert_array_equal(network.front.pictures(frames), expected)
    assert not torch.equal(old.read_pictures(frames), new.read_pictures(frames))


@pytest.mark.parametrize("refined", [False, True])
def test_a_checkpoint_comes_back(refined: bool, tmp_path: Path) -> None:
    network = net(refined=refined)
    save(tmp_path / "a.safetensors", Checkpoint(network, 7.0, method="lip-geometry"), half=False)
    found = load(tmp_path / "a.safetensors")
    assert isinstance(found.extractor, LipGeometryNet)
    assert Extractor(found.extractor).id == Extractor(network).id
    assert name_of(network.config) == "lip-geometry"
    assert config_from_json("lip-geometry", {"hidden": 3}) == GeometryConfig(hidden=3)


def test_augmentation_keeps_shapes_and_moments() -> None:
    rng = np.random.default_rng(4)
    batch = Batch(torch.stack([points(rng), points(rng)]), torch.randn(2, 40, 4 * FRAMES - 2))
    assert centre(batch) is batch
    changed = apply_to_points(batch, GeometryAugmentation(noise=0.001), rng)
    assert changed.pictures.shape == batch.pictures.shape
    assert changed.sound.shape == batch.sound.shape
    assert (changed.pictures - batch.pictures).abs().max() < 0.06
    assert not torch.equal(changed.pictures, batch.pictures)


def speaking(rng: np.random.Generator) -> TrainingClip:
    """Make lips that open as far as their sound is loud."""
    loud = np.repeat(rng.uniform(0, 1, 40), 3)[:100]
    face = points(rng, 100).numpy()
    face[:, 14 + 4] = face[:, 14]
    face[:, 14 + 4, 1] += 0.08 * loud
    mels = rng.standard_normal((40, 398)) * 0.3 + 4 * np.repeat(loud, 4)[:398]
    return TrainingClip(face, mels.astype(np.float16))


def test_it_learns_that_open_mouths_are_loud() -> None:
    rng = np.random.default_rng(5)
    data = TrainingSet([speaking(rng) for _ in range(24)], front=LANDMARKS)
    config = GeometryConfig(hidden=32, dim=16, dropout=0.0)
    method = LipGeometry.start(rng=np.random.default_rng(0), config=config)
    method.fit(data, rng=np.random.default_rng(1), steps=150, bfloat16=False)
    assert method.report is not None
    assert method.report.loss < method.report.first_loss - 0.5
    network, right = method._extractor.network, 0
    fresh = [speaking(np.random.default_rng(100 + n)) for n in range(10)]
    for clip in fresh:
        with torch.inference_mode():
            video = network.embed_video(torch.from_numpy(clip.pictures)[None])[:, 5:75]
            audio = network.embed_audio(torch.from_numpy(clip.sound).float()[None])[:, 8:78]
        scores = method.compare(video.numpy(), audio.numpy())[0]
        right += int(scores.argmax() - method.search == 3)  # sound taken three frames later
    assert right >= 8


@pytest.mark.parametrize("frames", [4])
def test_too_short_a_clip_is_named(frames: int) -> None:
    from avbench.errors import DataError

    clip = Clip(
        "short",
        np.zeros((frames, 32, 32, 3), np.uint8),
        np.zeros(frames * SAMPLES_PER_FRAME, np.float32),
    )
    with pytest.raises(DataError, match="4 frames"):
        LipGeometry(Extractor(net())).embed(clip)
