"""An embedding is a function of its own five frames, and of nothing else."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from avbench.errors import DataError
from avbench.models.architectures import get, name_of
from avbench.models.training import new_network
from avbench.models.two_stream import Extractor, TwoStream, TwoStreamConfig, digest_of

SMALL = TwoStreamConfig(video=(4, 4, 4, 4, 8), audio=(4, 4, 4, 4, 8), dim=8)


def make(seed=0, config=SMALL):
    return Extractor(new_network(lambda: TwoStream(config), np.random.default_rng(seed)))


def clip(num_frames, seed=0):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 255, (num_frames, 64, 64, 3)).astype(np.uint8)
    return frames, (0.1 * rng.standard_normal(num_frames * 640)).astype(np.float32)


@pytest.fixture(
    scope="module",
    params=[SMALL, replace(SMALL, dense=True), replace(SMALL, dense=True, late=True)],
    ids=["padded", "dense", "late"],
)
def extractor(request):
    network = make(config=request.param).network.train()
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # of one batch, the statistics are that batch's
    with torch.no_grad():  # else what the deepest layers say is all bias
        network.embed_video(torch.rand(4, 9, 48, 48))
        network.embed_audio(torch.randn(4, 40, 34))
    return Extractor(network)


def test_rows_are_unit_vectors(extractor):
    video, audio = extractor.embed(*clip(9))
    assert video.shape == audio.shape == (5, 8)
    assert video.dtype == audio.dtype == np.float32
    for rows in (video, audio):
        assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(5), abs=1e-5)


def test_rows_may_keep_their_length(extractor):
    unit, raw = extractor.embed(*clip(9)), extractor.embed(*clip(9), unit=False)
    for short, long in zip(unit, raw, strict=True):
        lengths = np.linalg.norm(long, axis=1, keepdims=True)
        assert np.ptp(lengths) > 1e-3
        assert short == pytest.approx(long / lengths, abs=1e-5)


def test_either_stream_alone_embeds_as_with_the_other(extractor):
    frames, audio = clip(200)
    both = extractor.embed(frames, audio)
    assert np.array_equal(extractor.embed_pictures(frames), both.video)
    assert np.array_equal(extractor.embed_sound(audio), both.audio)


@pytest.mark.parametrize("unit", [True, False])
def test_pictures_may_be_read_before_they_are_embedded(extractor, unit):
    frames, _ = clip(150)
    read = extractor.network.read_pictures(frames)
    found = extractor.embed_read(read, unit=unit)
    assert np.array_equal(found, extractor.embed_pictures(frames, unit=unit))
    assert extractor.embed_read(read[:5]).shape == (1, 8)


def test_pictures_may_come_in_pieces(extractor):
    frames, _ = clip(150)
    found = extractor.embed_pieces(iter([frames[:2], frames[2:130], frames[130:]]))
    assert np.array_equal(found, extractor.embed_pictures(frames))
    with pytest.raises(DataError, match="got a clip of 4 frames; an embedding needs 5"):
        extractor.embed_pieces([frames[:2], frames[:2]])


@pytest.mark.parametrize("row", [0, 3, 7])
def test_a_row_ignores_everything_outside_its_five_frames(extractor, row):
    frames, audio = clip(12)
    other_frames, other_audio = clip(12, seed=1)
    seen = slice(row, row + 5)
    heard = slice(640 * row, 640 * row + 3200)
    other_frames[seen], other_audio[heard] = frames[seen], audio[heard]
    before, after = extractor.embed(frames, audio), extractor.embed(other_frames, other_audio)
    assert after.video[row] == pytest.approx(before.video[row], abs=1e-6)
    assert after.audio[row] == pytest.approx(before.audio[row], abs=1e-6)


@pytest.mark.parametrize("moment", [0, 4])
def test_a_row_sees_the_first_and_the_last_of_its_five_frames(extractor, moment):
    frames, audio = clip(9)
    before = extractor.embed(frames, audio)
    frames, audio = frames.copy(), audio.copy()
    frames[2 + moment] = 255 - frames[2 + moment]
    audio[640 * (2 + moment) + 100 : 640 * (2 + moment) + 500] *= 100
    after = extractor.embed(frames, audio)
    assert np.abs(after.video[2] - before.video[2]).max() > 1e-3
    assert np.abs(after.audio[2] - before.audio[2]).max() > 1e-3


def test_a_window_embeds_as_the_slice_of_its_clip(extractor):
    frames, audio = clip(300)
    whole = extractor.embed(frames, audio)
    for start in (0, 120, 285):
        window = extractor.embed(
            frames[start : start + 15], audio[640 * start : 640 * (start + 15)]
        )
        for part, rows in zip(window, whole, strict=True):
            assert part == pytest.approx(rows[start : start + 11], abs=1e-5)


def test_one_window_is_the_shortest_clip(extractor):
    assert extractor.embed(*clip(5)).video.shape == (1, 8)
    with pytest.raises(DataError, match="4 frames"):
        extractor.embed(*clip(4))


def test_the_id_names_the_weights():
    assert make(0).id == make(0).id == pickle.loads(pickle.dumps(make(0))).id
    assert make(0).id != make(1).id


def test_a_digest_names_weights_statistics_and_what_else_counts():
    def small():
        return new_network(lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), rng())

    def rng():
        return np.random.default_rng(0)

    about = {"size": 3}
    first = digest_of(small(), about)
    assert first == digest_of(small(), {"size": 3})
    found = {first, digest_of(small(), {"size": 4})}
    for name, tensor in small().state_dict().items():
        other = small()
        other.state_dict()[name].view(-1)[-1] += 1
        found.add(digest_of(other, about))
        assert tensor.numel()
    assert len(found) == 2 + len(small().state_dict())


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="widths"):
        TwoStreamConfig(video=(4, 4, 4, 4), audio=(4, 4, 4, 4, 4))


@pytest.mark.parametrize(
    ("name", "least", "most"), [("small", 1.1e6, 1.3e6), ("medium", 1.6e6, 1.8e6)]
)
def test_sizes_are_as_told(name, least, most):
    parameters = sum(p.numel() for p in TwoStream(get(name)).parameters())
    assert least < parameters < most
    assert name_of(get(name)) == name


def test_the_number_of_threads_changes_neither_result_nor_itself(extractor):
    one = extractor.embed(*clip(30))
    torch.set_num_threads(3)
    try:
        three = extractor.embed(*clip(30))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert np.array_equal(one.video, three.video)
    assert np.array_equal(one.audio, three.audio)
