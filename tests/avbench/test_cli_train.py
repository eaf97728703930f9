"""``avbench train`` on a small shard set, as a user runs it."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from avbench import media, methods
from avbench.cli import main
from avbench.data import Alignment
from avbench.models import architectures, losses, recipes
from avbench.models import checkpoint as checkpoints
from avbench.models.vgg import build
from avbench.shards import Sample, ShardWriter, finish_set, open_set

NUM_FRAMES = 44


def sample(number, folder, alignment=None):
    rng = np.random.default_rng(number)
    path = folder / f"{number}.mp4"
    with media.VideoWriter(path) as video:
        for level in rng.integers(0, 255, NUM_FRAMES):
            video.write(np.full((224, 224, 3), level, np.uint8))
    sound = media.encode_sound((0.1 * rng.standard_normal(NUM_FRAMES * 640)).astype(np.float32))
    truth = alignment or Alignment.from_offset(number - 2, NUM_FRAMES)
    return Sample(f"clip-{number:04d}", path.read_bytes(), sound, truth, {})


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    drifting = Alignment(np.minimum(np.arange(NUM_FRAMES), 9))
    with ShardWriter(folder / "set", "tiny", "train") as writer:
        for number in range(4):
            writer.add(sample(number, folder))
        writer.add(sample(4, folder, drifting))
    with ShardWriter(folder / "set", "tiny", "val") as held_out:
        for number in range(5, 7):
            held_out.add(sample(number, folder, Alignment.from_offset(0, NUM_FRAMES)))
    finish_set(folder / "set", [*writer.shards, *held_out.shards], {})
    return folder / "set"


def run(*arguments):
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


@pytest.mark.slow
def test_three_methods_train_one_after_the_other(shards, tmp_path):
    files = {name: tmp_path / f"{name}.safetensors" for name in ("syncnet", "sync-cls", "sync-e2e")}
    init = []
    for name, path in files.items():
        options = ["--shards", shards, "--out", path, "--steps", 1, "--threads", 1]
        options += ["--split", "train"]
        result = run("--method", name, *options, *init)
        assert result.exit_code == 0, result.output
        assert "1 steps on" in result.output
        assert "(1 skipped)" in result.output or name != "syncnet"
        init = ["--init", path]
        record = json.loads(path.with_suffix(".json").read_text())
        assert record["extractor"] == methods.load(name, path).extractor
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        name + suffix for name in files for suffix in (".safetensors", ".json")
    )
    record = json.loads((tmp_path / "sync-cls.json").read_text())
    assert record["checkpoint_sha256"] == digest(files["sync-cls"])
    assert record["init_sha256"] == digest(files["syncnet"])
    assert record["data"]["sha256"] == [open_set(shards).sha256]
    assert record["data"]["validation_split"] is None
    assert record["fit"]["recipe"]["steps"] == 1
    assert record["versions"]["torch"]
    assert str(tmp_path) not in json.dumps(record)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--method", "sink-net"], 2, "Did you mean 'syncnet'"),
        (["--method", "diag-avg"], 2, "it uses syncnet's checkpoint"),
        (["--method", "constant"], 2, "nothing to train"),
        (["--method", "syncnet", "--split", "dev"], 2, "Available: train"),
        (["--method", "syncnet", "--loss", "angula"], 2, "Did you mean 'angular'"),
        (["--method", "syncnet", "--architecture", "smal"], 2, "Did you mean 'small'"),
        (["--method", "syncnet", "--recipe", "kim-2022"], 2, "Did you mean 'kim-2021'"),
        (["--method", "syncnet", "--validation-split", "val"], 2, "name another with --split"),
        (
            ["--method", "syncnet", "--split", "train", "--validation-split", "dev"],
            2,
            "Available: train, val",
        ),
        (["--method", "syncnet", "--device", "abacus"], 2, "device 'abacus' does not work here"),
        (["--method", "sync-cls", "--loss", "cddl"], 2, "'sync-cls' has no option --loss"),
        (["--method", "sync-cls", "--recipe", "kim-2021"], 2, "has no option --recipe"),
        (["--method", "syncnet-local", "--architecture", "small"], 2, "is that of its --init"),
        (["--method", "sync-cls", "--rows", "20"], 2, "need 21"),
        (
            ["--method", "sync-e2e", "--architecture", "small", "--init", "a.safetensors"],
            2,
            "leave one of them out",
        ),
        (
            ["--method", "sync-e2e", "--split", "train", "--validation-split", "val"],
            2,
            "has no option --validation-split",
        ),
        (["--method", "sync-cls", "--init", "absent.safetensors"], 1, "there is no checkpoint"),
        (["--method", "syncnet", "--limit", "1", "--cache-mib", "0"], 2, "--cache-mib"),
    ],
)
def test_mistakes_are_one_sentence(shards, tmp_path, arguments, code, message):
    out = tmp_path / "out.safetensors"
    result = run("--shards", shards, "--out", out, *arguments)
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output
    assert not out.exists()


def test_another_network_of_another_kind_in_init_is_refused(shards, tmp_path):
    narrow = architectures.narrow(architectures.SYNCNET_2016, 4, 8)
    init = tmp_path / "init.safetensors"
    checkpoints.save(init, checkpoints.Checkpoint(build(narrow), 10.0, method="syncnet"))
    options = ["--shards", shards, "--out", tmp_path / "out.safetensors", "--init", init]
    result = run("--method", "syncnet", "--architecture", "two-stream", *options)
    assert result.exit_code == 2
    assert "holds a network 'syncnet-2016', not 'two-stream'" in result.output


@pytest.mark.slow
def test_loss_and_validation_are_chosen_and_recorded(shards, tmp_path):
    out = tmp_path / "cddl.safetensors"
    result = run(
        "--method", "syncnet", "--shards", shards, "--out", out, "--steps", 3, "--threads", 1,
        "--loss", "cddl", "--split", "train", "--validation-split", "val", "--patience", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["data"]["validation_split"] == "val"
    fit = record["fit"]
    assert (fit["recipe"]["loss"], fit["recipe"]["architecture"]) == ("cddl", "small")
    assert fit["checks"][0][0] == 1  # four clips are one batch: every step is a pass
    assert fit["steps"] == len(fit["checks"])


@pytest.mark.slow
def test_extractor_and_classifier_can_start_together(shards, tmp_path):
    out = tmp_path / "joint.safetensors"
    result = run(
        "--method", "sync-e2e", "--architecture", "medium", "--shards", shards, "--out", out,
        "--steps", 1, "--rows", 21, "--rate", 1e-3, "--split", "train", "--threads", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    made = checkpoints.load(out)
    assert made.extractor.config == architectures.get("medium")
    assert made.classifier is not None
    assert json.loads(out.with_suffix(".json").read_text())["fit"]["recipe"]["rows"] == 21


@pytest.mark.slow
def test_a_published_network_follows_its_recipe(shards, tmp_path):
    narrow = architectures.narrow(architectures.SYNCNET_2016, 4, 8)
    init, out = tmp_path / "init.safetensors", tmp_path / "out.safetensors"
    checkpoints.save(init, checkpoints.Checkpoint(build(narrow), 10.0, method="syncnet"))
    result = run(
        "--method", "syncnet", "--architecture", "syncnet-2016", "--loss", "contrastive",
        "--init", init, "--shards", shards, "--out", out, "--steps", 1, "--split", "train",
        "--threads", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["fit"]["recipe"]["architecture"] == "syncnet-2016"
    assert checkpoints.load(out).extractor.config == narrow
    assert record["extractor"] == methods.load("diag-avg", out).extractor


def test_help_names_every_choice():
    text = run("--help").output.replace("-\n", "-")
    text = " ".join(text.split()).replace("- ", "-")
    for name in (*architectures.ARCHITECTURES, *losses.LOSSES, *recipes.RECIPES):
        assert name in text


def test_tensorboard_that_is_missing_is_named(shards, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    options = ["--shards", shards, "--out", tmp_path / "a.safetensors"]
    result = run("--method", "syncnet", "--tensorboard", tmp_path / "logs", *options)
    assert result.exit_code == 4
    assert "pip install tensorboard" in result.output


def test_a_folder_without_shards_is_named(tmp_path):
    result = run("--method", "syncnet", "--shards", tmp_path, "--out", tmp_path / "x.safetensors")
    assert result.exit_code == 3
    assert "no finished shard set" in result.output
