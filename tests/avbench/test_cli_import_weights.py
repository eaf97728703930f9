"""``avbench import-weights`` on files with the names and shapes of the released SyncNet."""

from __future__ import annotations

import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from avbench import methods
from avbench.benchmark import unfit
from avbench.cli import main
from avbench.data import Alignment, Clip
from avbench.models import checkpoint as checkpoints
from avbench.tasks import OffsetTask

CONVOLUTIONS = {
    "netcnnaud": {
        0: (64, 1, 3, 3), 4: (192, 64, 3, 3), 8: (384, 192, 3, 3), 11: (256, 384, 3, 3),
        14: (256, 256, 3, 3), 18: (512, 256, 5, 4),
    },
    "netcnnlip": {
        0: (96, 3, 5, 7, 7), 4: (256, 96, 1, 5, 5), 8: (256, 256, 1, 3, 3),
        11: (256, 256, 1, 3, 3), 14: (256, 256, 1, 3, 3), 18: (512, 256, 1, 6, 6),
    },
    "netfcaud": {0: (512, 512), 3: (1024, 512)},
    "netfclip": {0: (512, 512), 3: (1024, 512)},
}  # fmt: skip
"""Place and shape of every weight in the released file."""


def released(seed=0, counters=True):
    """Random tensors with the names and shapes of ``syncnet_v2.model``."""
    made = torch.Generator().manual_seed(seed)
    state = OrderedDict()
    for stream, layers in CONVOLUTIONS.items():
        for place, shape in layers.items():
            fan = int(np.prod(shape[1:]))
            state[f"{stream}.{place}.weight"] = torch.randn(shape, generator=made) / fan**0.5
            state[f"{stream}.{place}.bias"] = torch.randn(shape[0], generator=made)
            if (stream, place) in {("netfcaud", 3), ("netfclip", 3)}:
                continue
            for part in ("weight", "bias", "running_mean", "running_var"):
                state[f"{stream}.{place + 1}.{part}"] = torch.rand(shape[0], generator=made)
            if counters:
                state[f"{stream}.{place + 1}.num_batches_tracked"] = torch.tensor(7)
    return state


def run(*arguments):
    return CliRunner().invoke(main, ["import-weights", *map(str, arguments)])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("released") / "syncnet_v2.model"
    torch.save(released(), path)
    return path


@pytest.fixture(scope="module")
def checkpoint(weights):
    out = weights.with_name("syncnet-v2.safetensors")
    result = run(weights, "--out", out)
    assert result.exit_code == 0, result.output
    assert "13,631,616 parameters" in result.output
    return out


def test_every_weight_arrives_unchanged(checkpoint):
    network = checkpoints.load(checkpoint).extractor
    assert network.config.name == "syncnet-v2"
    state, original = network.state_dict(), released()
    names = {"video": "netcnnlip", "video_head": "netfclip", "audio": "netcnnaud"}
    names["audio_head"] = "netfcaud"
    assert len(state) == len(original)
    for name, tensor in state.items():
        stream, _, rest = name.partition(".")
        assert torch.equal(tensor, original[f"{names[stream]}.{rest}"])


def literal(state, stream, head, inputs):
    """The released forward pass, from names and shapes alone, in evaluation mode."""
    from torch.nn import functional as F

    def norm(x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{key}"] for key in keys))

    video = stream == "netcnnlip"
    convolve, pool = (F.conv3d, F.max_pool3d) if video else (F.conv2d, F.max_pool2d)
    strides = {0: (1, 2, 2), 4: (1, 2, 2)} if video else {}
    paddings = {0: 0, 18: 0, **({4: (0, 1, 1)} if video else {0: 1})}
    pools = (
        {0: ((1, 3, 3), (1, 2, 2), 0), 4: ((1, 3, 3), (1, 2, 2), (0, 1, 1))}
        | {14: ((1, 3, 3), (1, 2, 2), 0)}
        if video
        else {4: (3, (1, 2), 0), 14: (3, 2, 0)}
    )
    x = inputs
    for place in CONVOLUTIONS[stream]:
        name, normal = f"{stream}.{place}", (0, 1, 1) if video else 1
        x = convolve(
            x, state[f"{name}.weight"], state[f"{name}.bias"],
            strides.get(place, 1), paddings.get(place, normal),
        )  # fmt: skip
        x = F.relu(norm(x, f"{stream}.{place + 1}"))
        if place in pools:
            x = pool(x, *pools[place])
    x = F.linear(x.flatten(1), state[f"{head}.0.weight"], state[f"{head}.0.bias"])
    x = F.relu(norm(x, f"{head}.1"))
    return F.linear(x, state[f"{head}.3.weight"], state[f"{head}.3.bias"])


def test_rows_are_those_of_the_released_forward_pass(checkpoint):
    network, state = checkpoints.load(checkpoint).extractor.eval(), released()
    made = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (1, 5, 224, 224, 3), generator=made).float()
    sound = 10 * torch.randn(1, 1, 13, 20, generator=made)
    with torch.inference_mode():
        video, audio = network.embed_video(pictures)[0], network.embed_audio(sound)[0]
        seen = literal(state, "netcnnlip", "netfclip", pictures.permute(0, 4, 1, 2, 3))
        heard = literal(state, "netcnnaud", "netfcaud", sound)
    for row, expected in ((video, seen), (audio, heard)):
        assert row.shape == (1, 1024)
        scale = float(expected.abs().max())
        assert row.numpy() == pytest.approx(expected.numpy(), abs=1e-4 * scale)


def test_methods_run_on_it(checkpoint):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (11, 64, 64, 3)).astype(np.uint8)
    sound = (0.1 * rng.standard_normal(11 * 640)).astype(np.float32)
    clip = Clip("noise", frames, sound, Alignment.from_offset(0, 11)).without_truth()
    for name in ("syncnet", "diag-avg"):
        method = methods.load(name, checkpoint)
        assert method.embed(clip).video.shape == (7, 1024)
        assert np.isfinite(method.predict(clip).scores).all()


def test_windows_as_released_are_a_choice_that_the_file_keeps(weights, checkpoint, tmp_path):
    out = tmp_path / "lse.safetensors"
    assert run(weights, "--as-released", "--out", out).exit_code == 0
    local, released = (checkpoints.load_extractor(path) for path in (checkpoint, out))
    assert (local.local, released.local) == (True, False)
    assert local.id != released.id
    sound = (0.1 * np.random.default_rng(0).standard_normal(6400)).astype(np.float32)
    assert np.abs(local.embed_sound(sound) - released.embed_sound(sound)).max() > 1e-4


@pytest.mark.parametrize(
    ("family", "options", "strict"),
    [
        ("kim-strict", {}, True),
        ("tae-single", {"lengths": (75,), "search": 25}, True),
        ("pm-window", {"lengths": (15,), "search": 15}, False),
    ],
)
def test_windows_as_released_are_refused_where_nothing_outside_counts(
    weights, checkpoint, tmp_path, family, options, strict
):
    out = tmp_path / "lse.safetensors"
    assert run(weights, "--as-released", "--out", out).exit_code == 0
    task = OffsetTask(family=family, **options)
    for name in ("syncnet", "diag-avg"):
        local, released = (methods.load(name, path) for path in (checkpoint, out))
        assert unfit(local, task) == ""
        assert ("without --as-released" in unfit(released, task)) == strict


def test_an_old_file_without_counters_will_do(tmp_path):
    path = tmp_path / "old.model"
    torch.save(released(counters=False), path, _use_new_zipfile_serialization=False)
    assert run(path, "--out", tmp_path / "a.safetensors").exit_code == 0


def broken(how):
    state = released()
    if how == "missing":
        del state["netcnnlip.4.weight"]
    elif how == "unknown":
        state["netcnnlip.30.weight"] = torch.zeros(1)
    elif how == "shape":
        state["netfcaud.3.weight"] = torch.zeros(256, 512)
    elif how == "finite":
        state["netfclip.0.bias"][3] = float("nan")
    return state


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "it lacks netcnnlip.4.weight;"),
        ("unknown", "it has netcnnlip.30.weight besides;"),
        ("shape", "netfcaud.3.weight has shape (256, 512), expected (1024, 512);"),
        ("finite", "netfclip.0.bias holds values that are not finite;"),
    ],
)
def test_each_mismatch_is_a_sentence(tmp_path, how, message):
    path, out = tmp_path / "a.model", tmp_path / "a.safetensors"
    torch.save(broken(how), path)
    result = run(path, "--out", out)
    assert result.exit_code == 3
    assert message in result.output
    assert "Traceback" not in result.output
    assert not out.exists()


class Trap:
    """Something that runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_code_in_a_file_is_not_executed(tmp_path):
    path, sprung = tmp_path / "a.model", tmp_path / "sprung"
    torch.save({"weights": Trap(sprung)}, path)
    result = run(path, "--out", tmp_path / "a.safetensors")
    assert result.exit_code == 3
    assert "cannot be read as plain weights" in result.output
    assert "Traceback" not in result.output
    assert not sprung.exists()


@pytest.mark.parametrize("content", [b"", b"junk" * 100])
def test_junk_is_refused(tmp_path, content):
    path = tmp_path / "junk.model"
    path.write_bytes(content)
    result = run(path, "--out", tmp_path / "a.safetensors")
    assert result.exit_code == 3
    assert "junk.model cannot be read as plain weights" in result.output


def test_a_list_of_tensors_and_an_absent_file_are_refused(tmp_path):
    path = tmp_path / "a.model"
    torch.save([torch.zeros(3)], path)
    result = run(path, "--out", tmp_path / "a.safetensors")
    assert (result.exit_code, "named tensors" in result.output) == (3, True)
    result = run(tmp_path / "absent.model", "--out", tmp_path / "a.safetensors")
    assert (result.exit_code, "there is no file" in result.output) == (1, True)
