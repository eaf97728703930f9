"""Mouth shapes as labels: found in truth files, drawn with their pictures, and learned."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from avbench import features
from avbench.data import Alignment, Clip
from avbench.errors import DataError, UsageError
from avbench.models import augment
from avbench.models.shapes import SPREAD, MouthTruth, ShapeLoss
from avbench.models.streams import CODE, LateFusion
from avbench.models.trainset import TrainingClip, TrainingSet
from avbench.models.two_stream import TwoStreamConfig
from baselines.syncnet import MOUTH_SHAPE, SyncNet

LATE = TwoStreamConfig((4, 8, 8, 8, 16), (4, 8, 8, 8, 16), 16, dense=True, late=True)
FRAMES = 30


def face(left, opening):
    """One face of a shot, in a box that starts at ``left``, whose mouth opens as told."""
    mouth = {name: [0.0] * len(opening) for name in SPREAD} | {"opening": list(opening)}
    return {"boxes": [[left, 0, left + 40, 50]] * len(opening), "mouth": mouth}


def truth_of(folder, name, *shots):
    """Write a truth file; a shot is its first frame and its faces."""
    made = [
        {"start": start, "stop": start + len(faces[0]["boxes"]), "faces": faces}
        for start, *faces in shots
    ]
    (folder / f"{name}.truth.json").write_text(json.dumps({"shots": made}))


def clip_of(name="one", start=0, left=0, opening=None, offset=0):
    """A clip whose mouth region is as bright as the mouth is open."""
    level = np.zeros(FRAMES) if opening is None else np.asarray(opening)
    y, x = np.mgrid[:64, :64] / 64
    inside = (np.abs(x - 0.5) < 0.06) & (np.abs(y - 0.55) < 0.06)
    grey = 90 + 100 * level[:, None, None] * inside + 20 * (x > 0.5)
    frames = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=3)
    track = {
        "video_id": name,
        "start": start,
        "stop": start + len(level),
        "boxes": [[left, 0.0, left + 40.0, 50.0]] * len(level),
    }
    audio = np.zeros(len(level) * 640, np.float32)
    truth = Alignment.from_offset(offset, len(level))
    return Clip(f"{name}-{start}-{left}", frames, audio, truth, {"facetrack": track})


def curve(seed, num_frames=FRAMES):
    return np.random.default_rng(seed).random(num_frames).round(3)


def test_the_shape_is_that_of_the_face_in_its_own_frames(tmp_path):
    near, far, later = curve(0, 60), curve(1, 60), curve(2, 50)
    truth_of(tmp_path, "one", (0, face(10, near), face(200, far)), (60, face(10, later)))
    find = MouthTruth([tmp_path])
    for start, left, wanted in ((5, 14, near[5:35]), (5, 190, far[5:35]), (70, 0, later[10:40])):
        shapes = find(clip_of("one", start, left))
        assert shapes.shape == (FRAMES, len(SPREAD))
        assert shapes.dtype == np.float32
        assert np.allclose(shapes[:, 0] * SPREAD["opening"], wanted, atol=1e-6)
        assert not shapes[:, 1:].any()


def test_a_clip_across_a_cut_has_no_shapes(tmp_path):
    truth_of(tmp_path, "one", (0, face(0, curve(0))), (30, face(0, curve(1))))
    assert MouthTruth([tmp_path])(clip_of("one", 10)) is None


def test_the_first_folder_that_has_the_video_counts(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    truth_of(tmp_path / "b", "one", (0, face(0, curve(0))))
    assert MouthTruth([tmp_path / "a", tmp_path / "b"])(clip_of("one")) is not None


@pytest.mark.parametrize("text", [None, "{", "[]", '{"shots": [{"start": 0}]}'])
def test_what_has_no_truth_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "one.truth.json").write_text(text)
    with pytest.raises(DataError, match=r"one\.truth\.json does not say how its mouths move"):
        MouthTruth([tmp_path])(clip_of("one"))


@pytest.mark.parametrize("offset", [-3, 0, 2])
def test_shapes_are_cut_and_drawn_with_their_pictures(offset):
    opening = np.linspace(0, 1, FRAMES)
    labels = np.repeat(opening[:, None], len(SPREAD), axis=1).astype(np.float32)
    clip = TrainingClip.of(clip_of(opening=opening, offset=offset), shapes=labels)
    assert len(clip.shapes) == len(clip) == FRAMES - abs(offset)
    batch = augment.centre(TrainingSet([clip]).draw(np.random.default_rng(0), 6, 8))
    brightness = batch.pictures[:, :, 24, 24] * 255
    assert torch.allclose(brightness, 90 + 100 * batch.shapes[..., 0], atol=2.5)
    changed = augment.apply(
        TrainingSet([clip]).draw(np.random.default_rng(0), 6, 8),
        augment.Augmentation(),
        np.random.default_rng(1),
    )
    assert torch.equal(changed.shapes, batch.shapes)


def test_clips_without_shapes_are_left_out_where_shapes_are_wanted():
    clips = [clip_of("one"), clip_of("two")]
    labels = {clips[0].key: np.zeros((FRAMES, 5), np.float32)}
    data = TrainingSet.read(
        clips, min_frames=8, max_bytes=2**30, shapes=lambda clip: labels.get(clip.key)
    )
    assert (len(data), data.skipped) == (1, 1)
    assert (
        TrainingSet.read(clips, min_frames=8, max_bytes=2**30)
        .draw(np.random.default_rng(0), 2, 8)
        .shapes
        is None
    )


def test_a_code_sees_its_own_picture_alone():
    network = LateFusion(LATE.video, LATE.dim).eval()
    pictures = torch.rand(1, 9, 48, 48)
    other = pictures.clone()
    other[0, 4] = torch.rand(48, 48)
    with torch.no_grad():
        differs = (network.codes(pictures) != network.codes(other)).any(-1)[0]
        rows = (network(pictures) != network(other)).any(-1)[0]
    assert differs.tolist() == [t == 4 for t in range(9)]
    assert rows.shape == (9 - features.WINDOW + 1,)
    assert rows.all()


def test_light_and_contrast_of_a_picture_hardly_matter():
    network = LateFusion(LATE.video, LATE.dim).eval()
    pictures = torch.rand(1, 5, 48, 48)
    with torch.no_grad():
        plain, dim = network.codes(pictures), network.codes(0.2 + 0.5 * pictures)
    assert torch.allclose(plain, dim, atol=0.1 * float(plain.abs().max()))


def test_the_loss_is_the_squared_error_of_a_linear_reading():
    loss = ShapeLoss().eval()
    codes, shapes = torch.randn(2, 6, CODE), torch.randn(2, 6, 5)
    with torch.no_grad():
        seen = torch.relu(codes / (1 + loss.norm.eps) ** 0.5)
        found = seen @ loss.read.weight.T + loss.read.bias
        assert float(loss.of_codes(codes, shapes)) == pytest.approx(
            float(((found - shapes) ** 2).mean()), rel=1e-5
        )


@pytest.fixture
def made(tmp_path):
    clips = []
    for seed in range(8):
        truth_of(tmp_path, f"v{seed}", (0, face(0, curve(seed))))
        clips.append(clip_of(f"v{seed}", opening=curve(seed)))
    return tmp_path, clips


def test_a_network_learns_to_see_how_mouths_move(made):
    folder, clips = made
    rng = np.random.default_rng(0)
    method = SyncNet.start(rng=rng, config=LATE)
    before = {k: v.clone() for k, v in method._extractor.network.audio.state_dict().items()}
    method.fit(clips, rng=rng, steps=60, batch=8, loss=MOUTH_SHAPE, truth=[folder], rate=1e-2)
    assert method.report.recipe["loss"] == MOUTH_SHAPE
    assert method.report.recipe["rows"] == SyncNet.SHAPES.rows
    assert method.report.loss < 0.6 * method.report.first_loss
    after = method._extractor.network.audio.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)  # the sound was not touched


def test_options_that_need_each_other(made):
    folder, clips = made
    late = SyncNet.start(rng=np.random.default_rng(0), config=LATE)
    for wrong in ({"loss": MOUTH_SHAPE}, {"truth": [folder]}):
        with pytest.raises(UsageError, match="need each other"):
            late.fit(clips, rng=np.random.default_rng(0), steps=1, **wrong)
    small = SyncNet.start(rng=np.random.default_rng(0))
    with pytest.raises(UsageError, match="'small'; give --architecture late-fusion"):
        small.fit(clips, rng=np.random.default_rng(0), steps=1, loss=MOUTH_SHAPE, truth=[folder])


def test_the_strength_of_changes_is_kept_with_the_weights(made):
    _, clips = made
    method = SyncNet.start(rng=np.random.default_rng(0), config=LATE)
    method.fit(clips, rng=np.random.default_rng(0), steps=1, batch=2, augment=0.5)
    assert method.report.recipe["augmentation"]["shift"] == augment.Augmentation().shift / 2
    published = SyncNet.start(rng=np.random.default_rng(0), architecture="syncnet-2016")
    with pytest.raises(UsageError, match="--augment is for networks that look at mouths"):
        published.fit(clips, rng=np.random.default_rng(0), steps=1, augment=0.5)


def test_a_late_fusion_network_survives_its_checkpoint(tmp_path):
    network = SyncNet.start(rng=np.random.default_rng(0), config=LATE)
    network.save(tmp_path / "late.safetensors")
    again = SyncNet.start(tmp_path / "late.safetensors", rng=np.random.default_rng(1))
    assert again._extractor.network.config == LATE
    clip = clip_of(opening=curve(0))
    rows = network.embed(clip).video, again.embed(clip).video
    assert np.allclose(*rows, atol=2e-2)
