"""Networks of published size: their layers, what a row sees, and what a checkpoint keeps."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from avbench import methods
from avbench.data import Alignment, Clip
from avbench.errors import DataError, UnknownName
from avbench.models import architectures as nets
from avbench.models import checkpoint as checkpoints
from avbench.models import spectra
from avbench.models.checkpoint import Checkpoint
from avbench.models.training import new_network
from avbench.models.two_stream import Extractor
from avbench.models.vgg import PaperTwoStream, build, face_pictures

PAPERS = ("syncnet-2016", "syncnet-v2", "two-stream", "two-stream-2020")
every_paper = pytest.mark.parametrize("name", PAPERS)


def narrow(name):
    """The same layers, a few filters wide."""
    return nets.narrow(nets.get(name), 6, 8)


def make(config, seed=0):
    network = new_network(lambda: build(config), np.random.default_rng(seed)).eval()
    # Fresh running statistics would leave a deep narrow network almost deaf to its input.
    noise = torch.Generator().manual_seed(seed)
    for module in network.train().modules():
        if hasattr(module, "momentum"):
            module.momentum = 1.0
    with torch.no_grad():
        network.embed_video(pictures_for(config, 7, noise))
        network.embed_audio(torch.randn(1, 24, config.rows, 20, generator=noise) * 10)
    return network.eval()


def pictures_for(config, frames, noise):
    shape = (1, frames, config.pixels, config.pixels, config.channels)
    return torch.randint(0, 256, shape, generator=noise).float()


def clip(num_frames, seed=0, side=112):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 255, (num_frames, side, side, 3)).astype(np.uint8)
    return frames, (0.1 * rng.standard_normal(num_frames * 640)).astype(np.float32)


SIZES = {
    "syncnet-2016": (
        [109, 54, 26, 13, 13, 13, 13, 6, 1],
        [(17, 20), (17, 20), (15, 20), (13, 9), (11, 9), (11, 9), (11, 9), (5, 4), (1, 1)],
    ),
    "syncnet-v2": (
        [109, 54, 26, 13, 13, 13, 13, 6, 1],
        [(13, 20), (13, 20), (13, 20), (11, 9), (11, 9), (11, 9), (11, 9), (5, 4), (1, 1)],
    ),
    "two-stream": (
        [109, 54, 26, 13, 13, 13, 13, 6, 1],
        [(40, 18), (40, 8), (19, 6), (9, 4), (9, 4), (9, 4), (9, 4), (4, 1), (1, 1)],
    ),
    "two-stream-2020": (
        [109, 54, 26, 13, 13, 13, 13, 6, 1],
        [(38, 18), (38, 18), (36, 16), (9, 7), (9, 7), (9, 7), (9, 7), (3, 3), (1, 1)],
    ),
}
"""Layer by layer, as the released model and trainer have them."""
INPUTS = {
    "syncnet-2016": (1, 111, 13),
    "syncnet-v2": (3, 224, 13),
    "two-stream": (3, 224, 40),
    "two-stream-2020": (3, 224, 40),
}
WIDTHS = {
    "syncnet-2016": ([96, 256, 256, 256, 256, 512], [64, 192, 384, 256, 256, 512], (256,)),
    "syncnet-v2": ([96, 256, 256, 256, 256, 512], [64, 192, 384, 256, 256, 512], (512, 1024)),
    "two-stream": ([96, 256, 256, 256, 256, 512], [96, 256, 384, 256, 256, 512], (512, 128)),
    "two-stream-2020": ([96, 256, 256, 256, 256, 512], [64, 192, 384, 256, 256, 512], (512, 128)),
}


@every_paper
def test_layer_sizes_are_the_published_ones(name):
    config = nets.get(name)
    assert (config.channels, config.pixels, config.rows) == INPUTS[name]
    assert [size[-1] for size in config.picture_sizes()[1:]] == SIZES[name][0]
    assert {size[0] for size in config.picture_sizes()[1:]} == {1}
    assert config.sound_sizes()[1:] == SIZES[name][1]
    widths = [[layer.filters for layer in s if layer.filters] for s in (config.video, config.audio)]
    assert (*widths, config.head) == WIDTHS[name]


def test_table_1_of_seeing_voices_has_its_kernels_and_temporal_stride():
    layers = nets.get("two-stream-2020").audio
    kernels = [(3, 3), (1, 1), *[(3, 3)] * 7]
    assert [layer.kernel for layer in layers] == kernels
    assert np.prod([layer.stride[1] for layer in layers]) == 4


def trace(stream, inputs):
    """Sizes after every layer of a stream as it really runs."""
    sizes = []
    kinds = (torch.nn.ReLU, torch.nn.MaxPool2d, torch.nn.MaxPool3d)
    hooks = [
        module.register_forward_hook(lambda _m, _i, out: sizes.append(tuple(out.shape[2:])))
        for module in stream
        if isinstance(module, kinds)
    ]
    stream(inputs)
    for hook in hooks:
        hook.remove()
    return sizes


@every_paper
def test_the_network_has_the_sizes_of_its_table(name):
    config = narrow(name)
    network = build(config).eval()
    pictures = torch.zeros(1, config.channels, 5, config.pixels, config.pixels)
    sound = torch.zeros(1, 1, config.rows + 2 * config.reflect, 20)
    assert trace(network.video, pictures) == config.picture_sizes()[1:]
    assert trace(network.audio, sound) == config.sound_sizes()[1:]


def count(config):
    """Weights and biases, batch normalisation's two per filter included, from the table."""
    total = 0
    for inputs, layers in ((config.channels, config.video), (1, config.audio)):
        for layer in layers:
            if layer.filters:
                total += layer.filters * (inputs * int(np.prod(layer.kernel)) + 3)
                inputs = layer.filters
        for place, width in enumerate(config.head):
            hidden = place < len(config.head) - 1
            total += width * (inputs + (3 if hidden else 1))
            inputs = width
    return total


def test_the_released_model_has_13_631_616_parameters():
    assert count(nets.SYNCNET_V2) == 13_631_616


@every_paper
def test_one_training_step_and_one_batch_at_full_size(name):
    config = nets.get(name)
    network = new_network(lambda: build(config), np.random.default_rng(0))
    assert sum(parameter.numel() for parameter in network.parameters()) == count(config)
    noise = torch.Generator().manual_seed(0)
    pictures = pictures_for(config, 6, noise)
    sound = torch.randn(1, 2, config.rows, 20, generator=noise)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-2)
    video, audio = network.embed_video(pictures), network.embed_audio(sound)
    assert video.shape == audio.shape == (1, 2, config.dim)
    (video - audio).square().mean().backward()
    optimiser.step()
    changed = [k for k, v in network.named_parameters() if not torch.equal(v, before[k])]
    still = {k for k, _ in network.named_parameters()} - set(changed)
    # A bias in front of batch normalisation has no effect, so only rounding moves it.
    assert all(key.endswith(".bias") for key in still)
    video, audio = Extractor(network).embed(*clip(6, side=224))
    assert video.shape == audio.shape == (2, config.dim)
    assert np.isfinite(video).all()
    assert np.isfinite(audio).all()


@pytest.fixture(scope="module", params=PAPERS)
def extractor(request):
    return Extractor(make(narrow(request.param)))


def test_a_row_ignores_everything_outside_its_five_frames(extractor):
    frames, audio = clip(9)
    other_frames, other_audio = clip(9, seed=1)
    other_frames[2:7], other_audio[1280:4480] = frames[2:7], audio[1280:4480]
    before, after = extractor.embed(frames, audio), extractor.embed(other_frames, other_audio)
    for one, other in zip(before, after, strict=True):
        assert other[2] == pytest.approx(one[2], abs=1e-5)
        assert np.abs(other[1] - one[1]).max() > 1e-3


@pytest.mark.parametrize("moment", [0, 4])
def test_a_row_sees_the_first_and_the_last_of_its_five_frames(extractor, moment):
    frames, audio = clip(7)
    before = extractor.embed(frames, audio)
    frames, audio = frames.copy(), audio.copy()
    frames[1 + moment] = 255 - frames[1 + moment]
    audio[640 * (1 + moment) + 100 : 640 * (1 + moment) + 540] = 0
    after = extractor.embed(frames, audio)
    assert np.abs(after.video[1] - before.video[1]).max() > 1e-4
    assert np.abs(after.audio[1] - before.audio[1]).max() > 1e-4


def test_a_window_embeds_as_the_slice_of_its_clip(extractor):
    frames, audio = clip(24)
    whole = extractor.embed(frames, audio)
    window = extractor.embed(frames[13:22], audio[640 * 13 : 640 * 22])
    for part, rows in zip(window, whole, strict=True):
        assert part == pytest.approx(rows[13:18], abs=1e-5)


def test_video_run_over_a_clip_is_video_run_window_by_window(extractor):
    network = extractor.network
    pictures = network.read_pictures(clip(8)[0])
    whole = network.embed_video(pictures.unsqueeze(0))[0]
    single = [network.embed_video(pictures[None, t : t + 5])[0, 0] for t in range(4)]
    assert torch.allclose(whole, torch.stack(single), atol=1e-5)


@pytest.mark.parametrize("name", [*PAPERS, "small"])
def test_a_checkpoint_names_its_architecture_and_brings_it_back(name, tmp_path):
    config = nets.get("small") if name == "small" else narrow(name)
    network = build(config)
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, Checkpoint(network, 10.0, method="syncnet"), half=False)
    _, info = checkpoints.read_tensors(path)
    assert info["architecture"] == name
    found = checkpoints.load(path).extractor
    assert found.config == config
    assert Extractor(found).id == Extractor(network).id


@every_paper
def test_methods_take_a_checkpoint_of_any_architecture(name, tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, Checkpoint(make(narrow(name)), 10.0, method="syncnet"))
    frames, audio = clip(12)
    seen = Clip("noise", frames, audio, Alignment.from_offset(0, 12)).without_truth()
    for method in ("syncnet", "diag-avg"):
        prediction = methods.load(method, path).predict(seen)
        assert prediction.scores.shape == (11,)
        assert np.isfinite(prediction.scores).all()


def test_an_unknown_architecture_is_named(tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'syncnet-v2'"):
        nets.get("syncnet-v3")
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, Checkpoint(build(narrow("two-stream")), 10.0))
    tensors, info = checkpoints.read_tensors(path)
    checkpoints.write_tensors(path, tensors, {**info, "architecture": "later"})
    with pytest.raises(DataError, match="Unknown architecture 'later'"):
        checkpoints.load(path)


@pytest.mark.parametrize("setting", ["FRAME", "PRE_EMPHASIS"])
def test_other_sound_features_are_noticed(tmp_path, monkeypatch, setting):
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, Checkpoint(build(narrow("syncnet-v2")), 10.0))
    monkeypatch.setattr(spectra, setting, 0.5)
    with pytest.raises(DataError, match="other features"):
        checkpoints.load(path)


@every_paper
def test_a_configuration_survives_json(name):
    config = nets.get(name)
    assert nets.PaperConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_layers_that_do_not_end_in_one_place_are_refused():
    with pytest.raises(ValueError, match="1 x 1"):
        replace(nets.SYNCNET_V2, pixels=256)
    with pytest.raises(ValueError, match="grey"):
        replace(nets.SYNCNET_2016, colour="rgb")


def test_released_pictures_are_bgr_and_not_scaled():
    frames, _ = clip(5, side=224)
    pictures = face_pictures(frames, nets.SYNCNET_V2)
    assert np.array_equal(pictures, frames[..., ::-1])
    config = narrow("syncnet-v2")
    network = make(config)
    seen = []
    network.video[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.embed_video(torch.from_numpy(pictures).unsqueeze(0))
    assert seen[0].shape == (1, 3, 5, 224, 224)
    assert torch.equal(seen[0][0, 0], torch.from_numpy(frames[..., 2]).float())


@pytest.mark.parametrize(("name", "channels"), [("syncnet-2016", 1), ("two-stream", 3)])
def test_pictures_of_any_size_become_those_of_the_network(name, channels):
    config = nets.get(name)
    for side in (96, 224, 300):
        pictures = face_pictures(clip(5, side=side)[0], config)
        assert pictures.shape == (5, config.pixels, config.pixels, channels)
        assert pictures.dtype == np.uint8


def test_the_2016_rows_are_mirrored():
    network = make(narrow("syncnet-2016"))
    seen = []
    network.audio[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    sound = torch.arange(13.0).view(1, 1, 13, 1).expand(1, 1, 13, 20)
    network.embed_audio(sound)
    assert seen[0][0, 0, :, 0].tolist() == [3, 2, 1, *range(13), 11, 10, 9]


def test_released_rows_hear_the_15_ms_that_follow_only_where_asked():
    config = narrow("syncnet-v2")
    weights = make(config).state_dict()
    audio = clip(9)[1]
    changed = audio.copy()
    changed[5 * 640 : 5 * 640 + 240] = 0
    heard = {}
    for local in (True, False):
        network = PaperTwoStream(replace(config, local=local))
        network.load_state_dict(weights)
        extractor = Extractor(network)
        before, after = (extractor.embed_sound(sound) for sound in (audio, changed))
        heard[local] = float(np.abs(before[0] - after[0]).max())
        assert extractor.id != Extractor(make(config, seed=1)).id
    assert heard[True] == 0
    assert heard[False] > 1e-4
