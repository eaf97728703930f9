"""Checkpoints: safetensors files that hold networks together with their sizes.

The sizes and the feature settings travel as JSON in the file's metadata, so a file is enough to
rebuild what it holds, and nothing in it is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from avbench.data import JSON
from avbench.errors import AvbenchError, DataError, UnknownName
from avbench.models import crf_decoder
from avbench.models.architectures import config_from_json, name_of, tuples
from avbench.models.pattern import PatternClassifier, PatternConfig
from avbench.models.tae import Decoder
from avbench.models.two_stream import Extractor, Network
from avbench.models.vgg import build

FORMAT_VERSION = 1
_KEY = "avbench"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The networks of one trained method."""

    extractor: Network
    scale: float
    """The learned w of the angular loss."""
    classifier: PatternClassifier | None = None
    method: str = ""
    """Name of the method that was trained."""
    decoder: Decoder | None = None
    """Of a method that aligns row by row."""


def save(path: Path, checkpoint: Checkpoint, *, half: bool = True) -> None:
    """Write a checkpoint; the file is either whole or absent, and equal networks give equal bytes.

    Parameters
    ----------
    path
        The ``.safetensors`` file.
    checkpoint
        What to write.
    half
        Store the weights (not the normalisation statistics) in half precision.
    """
    tensors = {f"extractor.{k}": v for k, v in checkpoint.extractor.state_dict().items()}
    info: dict[str, JSON] = {
        "format_version": FORMAT_VERSION,
        "method": checkpoint.method,
        "scale": checkpoint.scale,
        "features": checkpoint.extractor.describe(),
        "architecture": name_of(checkpoint.extractor.config),
        "extractor": asdict(checkpoint.extractor.config),
    }
    if checkpoint.classifier is not None:
        tensors |= {f"classifier.{k}": v for k, v in checkpoint.classifier.state_dict().items()}
        info["classifier"] = asdict(checkpoint.classifier.config)
    if checkpoint.decoder is not None:
        tensors |= {f"decoder.{k}": v for k, v in checkpoint.decoder.state_dict().items()}
        info["decoder"] = asdict(checkpoint.decoder.config)
    if half:
        tensors = {k: v.half() if v.ndim > 1 else v for k, v in tensors.items()}
    write_tensors(path, tensors, info)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint that `save` wrote.

    Raises
    ------
    AvbenchError
        If the file is absent.
    DataError
        If it is damaged, not an avbench checkpoint, or was trained on other features.
    """
    tensors, info = read_tensors(path)
    if info.get("format_version") != FORMAT_VERSION or "extractor" not in info:
        raise DataError(
            f"{path} is not a checkpoint of this avbench (format {info.get('format_version')}, "
            f"expected {FORMAT_VERSION}); train it again with 'avbench train'"
        )
    try:
        # Files older than the choice of architectures hold the small one.
        config = config_from_json(str(info.get("architecture", "small")), info["extractor"])
        extractor = build(config)
        now = extractor.describe()
        if info["features"] != json.loads(json.dumps(now)):
            raise DataError(
                f"{path} was trained on other features ({info['features']}, now {now}); train it "
                "again with 'avbench train'"
            )
        extractor.load_state_dict(_under("extractor.", tensors))
        classifier = None
        if "classifier" in info:
            classifier = PatternClassifier(PatternConfig(**tuples(info["classifier"])))
            classifier.load_state_dict(_under("classifier.", tensors))
        decoder = None
        if "decoder" in info:
            decoder = crf_decoder.build(crf_decoder.config_from_json(info["decoder"]))
            decoder.load_state_dict(_under("decoder.", tensors))
        scale, method = float(info["scale"]), str(info["method"])
        return Checkpoint(extractor, scale, classifier, method, decoder)
    except DataError:
        raise
    except UnknownName as error:
        raise DataError(f"{path}: {error} Load it with the version that wrote it") from error
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: weights and sizes disagree ({reason}); train it again with 'avbench train'"
        ) from error


def shipped(name: str) -> Path:
    """Return the path of the checkpoint that comes with avbench.

    Raises
    ------
    AvbenchError
        If this installation has none of that name.
    """
    path = Path(str(files("avbench.checkpoints"))) / f"{name}.safetensors"
    if not path.is_file():
        raise AvbenchError(
            f"this installation ships no checkpoint '{name}'; train one with 'avbench train "
            f"--method {name} --shards DIR --out FILE.safetensors' and pass the file"
        )
    return path


def load_extractor(path: Path | None = None) -> Extractor:
    """Make an extractor from a checkpoint of any trained method.

    Parameters
    ----------
    path
        Written by ``avbench train``; the shipped ``syncnet`` where None.

    Raises
    ------
    AvbenchError
        If there is no such file, or it is not an avbench checkpoint.
    """
    return Extractor(load(path or shipped("syncnet")).extractor)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], info: JSON) -> None:
    """Write tensors and JSON into one safetensors file: part, then rename."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = safetensors.torch.save(plain, {_KEY: json.dumps(info, sort_keys=True)})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises
    ------
    AvbenchError
        If the file is absent.
    DataError
        If it is damaged or another program wrote it.
    """
    if not path.is_file():
        raise AvbenchError(f"there is no checkpoint {path}; name a file that 'avbench train' wrote")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            info = json.loads((file.metadata() or {})[_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, info  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"{path} is not an avbench checkpoint ({type(error).__name__}); name a file that "
            "'avbench train' wrote"
        ) from error


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
