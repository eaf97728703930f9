"""Rows of damaged clips: what the streams are shown of them, and the name they are kept under."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from avbench.data import Alignment, Clip
from avbench.errors import DataError, UsageError
from avbench.features import face_pictures
from avbench.models import augment
from avbench.models import checkpoint as checkpoints
from avbench.models.architectures import get
from avbench.models.corrupt import damage
from avbench.models.crf_decoder import CrfDecoder, CrfDecoderConfig
from avbench.models.dropped import as_pictures
from avbench.models.training import new_network
from avbench.models.trainset import TrainingSet
from avbench.models.two_stream import Extractor, TwoStream, TwoStreamConfig
from avbench.models.vgg import build
from avbench.repairing.held import crop_changes, held
from baselines import tae_crf
from baselines.syncnet import SyncNet
from baselines.syncnet_local import held_out
from baselines.tae import Tae
from baselines.tae_crf import TaeCrf

STREAMS = TwoStreamConfig(video=(4, 8, 8, 8, 16), audio=(4, 8, 8, 8, 16), dim=16)
DECODER = CrfDecoderConfig(encoder=8, hidden=8, embedding=8, attention=8, mlp=16)
DIM = STREAMS.dim


def made(streams=0, decoder=1):
    """An untrained method whose parts have random weights of their own."""
    one, other = np.random.default_rng(streams), np.random.default_rng(decoder)
    return TaeCrf(
        Extractor(new_network(lambda: TwoStream(STREAMS), one)),
        new_network(lambda: CrfDecoder(DECODER), other),
    )


def saying(dropped):
    """A method that is sure that so many frames were dropped before every picture."""
    method = made()
    with torch.no_grad():
        method._decoder.drops.out.weight.zero_()
        method._decoder.drops.out.bias.copy_(100 * torch.eye(3)[dropped])
    return method


def noise(num_frames):
    return (0.1 * np.random.default_rng(0).standard_normal(640 * num_frames)).astype(np.float32)


def copied(shown, seed=0):
    """A clip of unlike pictures, and the pictures."""
    pictures = np.random.default_rng(seed).integers(0, 256, (max(shown) + 1, 32, 32, 3), np.uint8)
    clip = Clip("any", pictures[list(shown)], noise(len(shown)))
    assert held(crop_changes(clip.frames)).tolist() == [*shown]
    return clip, pictures


def plain(picture):
    """A clip of pictures that are as bright all over as told."""
    frames = np.broadcast_to(
        picture.astype(np.uint8)[:, None, None, None], (len(picture), 32, 32, 3)
    )
    return Clip("any", frames.copy(), noise(len(picture)))


COPIES = [
    (0, 1, 2, 2, 3, 4, 4, 4, 5, 6, 6, 7, 8, 9),
    (0, 0, 0, 1, 2, 3, 4, 5, 6, 6),
    (0, 0, 1, 1, 1),
    tuple(np.arange(300) * 2 // 3),
]
each = pytest.mark.parametrize("shown", COPIES, ids=lambda shown: f"{len(shown)} frames")


@each
def test_where_nothing_was_dropped_the_streams_see_the_pictures_that_differ(shown):
    clip, pictures = copied(shown)
    method = saying(0)
    ends = np.pad(np.arange(len(pictures)), 2, mode="edge")
    rows = method._extractor.embed_pictures(pictures[ends], unit=False)
    found = method.embed(clip).video
    np.testing.assert_array_equal(found[:, :DIM], rows[list(shown)][2:-2])
    np.testing.assert_array_equal(found[:, DIM], np.add(shown, 1)[2:-2])
    np.testing.assert_allclose(np.exp(found[:, DIM + 1 :]), [[1, 0, 0]] * len(found), atol=1e-6)


@each
@pytest.mark.parametrize("dropped", [1, 2])
def test_dropped_frames_are_blends_of_the_pictures_beside_them(shown, dropped):
    clip, pictures = copied(shown)
    method, step = saying(dropped), dropped + 1
    read = method._extractor.network.read_pictures(pictures)
    seen = [read[0], read[0], read[0]]
    for old, new in pairwise(read):
        seen += [old + (new - old) * part / step for part in range(1, step)] + [new]
    seen += [read[-1], read[-1]]
    rows = method._extractor.embed_read(torch.stack(seen), unit=False)[::step]
    found = method.embed(clip).video
    np.testing.assert_allclose(found[:, :DIM], rows[list(shown)][2:-2], atol=1e-5)
    unlike = saying(0).embed(clip).video
    assert np.abs(found - unlike)[:, :DIM].max() > 1e-3
    told = np.exp(found[:, DIM + 1 :])
    np.testing.assert_allclose(told, [np.eye(3)[dropped]] * len(found), atol=1e-6)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_rows_of_even_movement_are_as_if_no_frame_had_been_dropped(step):
    bright = 10.0 + 3 * np.arange(61)
    whole = saying(0)
    expected = Tae.embed(whole, plain(bright)).video
    kept = np.arange(0, 61, step)
    shown = np.sort(np.concatenate((kept, kept[4:9])))
    found = saying(step - 1).embed(plain(bright[shown])).video[:, :DIM]
    inside = (shown >= 2) & (shown <= 58)
    np.testing.assert_allclose(
        found[inside[2:-2]], expected[shown[2:-2][inside[2:-2]] - 2], atol=1e-5, rtol=1e-4
    )


def test_a_clip_without_copies_is_seen_as_it_is_whatever_is_told():
    clip, _ = copied(tuple(range(30)))
    method = saying(1)
    for found, expected in zip(method.embed(clip), Tae.embed(method, clip), strict=True):
        np.testing.assert_array_equal(found[:, :DIM], expected)
        assert not found[:, DIM:].any()


def weights():
    return sorted(made()._decoder.drops.state_dict())


def test_equal_methods_have_one_name():
    assert made().extractor == made().extractor
    assert made().extractor != made(streams=2).extractor
    assert made().extractor != made(decoder=2).extractor
    assert made().extractor != made()._extractor.id, "others use the streams alone"


@pytest.mark.parametrize("name", weights())
def test_rows_are_named_by_every_number_of_what_sees_dropped_frames(name):
    one = made()
    one._decoder.drops.state_dict()[name].view(-1)[-1] += 1
    assert TaeCrf(one._extractor, one._decoder).extractor != made().extractor


def test_rows_are_named_by_what_they_depend_on_alone(monkeypatch):
    one = made()
    with torch.no_grad():
        for name, parameter in one._decoder.named_parameters():
            if not name.startswith("drops."):
                parameter.add_(1)
    name = TaeCrf(one._extractor, one._decoder, asks="picture", search=3).extractor
    assert name == made().extractor
    monkeypatch.setattr(tae_crf, "ROWS_VERSION", tae_crf.ROWS_VERSION + 1)
    assert made().extractor != name


def test_a_checkpoint_names_the_rows_that_it_gives(tmp_path):
    made().save(tmp_path / "m.safetensors")
    one, same = (TaeCrf.load(tmp_path / "m.safetensors") for _ in range(2))
    one.save(tmp_path / "n.safetensors")
    again = TaeCrf.load(tmp_path / "n.safetensors")
    assert one.extractor == same.extractor == again.extractor
    assert one.extractor != made().extractor, "weights are stored in half precision"
    clip, _ = copied(COPIES[0])
    for side, other in zip(one.embed(clip), again.embed(clip), strict=True):
        np.testing.assert_array_equal(side, other)


class Watched(TaeCrf):
    """Keeps how the pictures of training clips become rows."""

    def _windows(self, plan, rng, look=None):
        self.plan, self.look = plan, look
        return super()._windows(plan, rng, look)


def test_training_sees_the_rows_that_a_fitted_method_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(TaeCrf, "DROPS", replace(TaeCrf.DROPS, steps=1, clips=1))
    SyncNet.start(rng=np.random.default_rng(0), config=STREAMS).save(tmp_path / "streams")
    method = Watched.start(tmp_path / "streams", rng=np.random.default_rng(0), config=DECODER)
    bright = 37 * np.arange(110) % 256
    synced = Alignment.from_offset(0, 110)
    clips = [replace(plain(bright), key=f"clip-{at}", alignment=synced) for at in range(5)]
    before = method.extractor
    options = {"rng": np.random.default_rng(1), "bfloat16": False, "batch": 2, "copies": 1}
    method.fit(clips, steps=2, **options)
    # Rows are named by what sees dropped frames now.
    assert method.extractor == TaeCrf(method._extractor, method._decoder).extractor != before
    with torch.no_grad():  # at random weights it says the same of all pictures: let it waver
        drops = method._decoder.drops
        drops.out.bias -= drops(as_pictures(face_pictures(clips[0].frames))[None]).mean((0, 1))
        drops.out.weight *= 100
        drops.out.bias *= 100
    data = held_out(method.plan.data)
    for seed, clip in enumerate(data.clips):
        shown = damage(110, np.random.default_rng(seed)).shown
        alone = TrainingSet([clip], front=data.front).draw(np.random.default_rng(0), 1, 110)
        with torch.no_grad():
            rows = method.look(clip, augment.centre(alone).pictures, shown).numpy()
        found = method.embed(plain(bright[shown])).video
        assert len(np.unique(found[:, DIM + 1 :].argmax(-1))) == 3
        np.testing.assert_allclose(rows, found, atol=1e-4, rtol=1e-4)


def test_streams_of_published_size_see_damaged_clips_too():
    rng = np.random.default_rng(0)
    streams = Extractor(new_network(lambda: build(get("syncnet-2016")), rng))
    method = TaeCrf(streams, saying(1)._decoder)
    shown = (0, 1, 2, 2, 3, 4)
    clip, _ = copied(shown)
    assert method.embed(clip).video.shape == (2, streams.network.config.dim + 4)


def test_a_clip_too_short_for_a_row_is_refused_in_words():
    with pytest.raises(DataError, match="needs 5"):
        made().embed(plain(np.zeros(4)))


def test_a_decoder_of_another_kind_is_refused_in_words():
    with pytest.raises(UsageError, match="--method tae-crf"):
        TaeCrf.load(checkpoints.shipped("tae"))
