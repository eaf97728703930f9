"""Weights that others released, name by name, without running anything that comes with them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from avbench.errors import AvbenchError, DataError
from avbench.models.architectures import SYNCNET_V2
from avbench.models.vgg import PaperTwoStream

_STREAMS = {
    "netcnnaud": "audio",
    "netfcaud": "audio_head",
    "netcnnlip": "video",
    "netfclip": "video_head",
}
"""First part of a released name -> the stream it belongs to here."""
_COUNTER = "num_batches_tracked"
"""A counter of training that no prediction reads; old files lack it."""


def read_syncnet_v2(path: Path, *, local: bool = True) -> PaperTwoStream:
    """Read the released SyncNet (``syncnet_v2.model``), a state dict that ``torch.save`` wrote.

    Nothing in the file is executed: only tensors are unpickled. Every name and shape is checked.

    Parameters
    ----------
    path
        The file.
    local
        Let a row hear its own 0.2 s only, as every other network here, and not 15 ms more.

    Raises
    ------
    AvbenchError
        If there is no such file.
    DataError
        If it is damaged, holds anything but tensors, or is not that network.
    """
    network = PaperTwoStream(replace(SYNCNET_V2, local=local))
    theirs = _read_tensors(path)
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name.endswith(_COUNTER):
            theirs.setdefault(_released_name(name), torch.zeros_like(tensor))
    problem = _mismatch(theirs, {_released_name(k): v for k, v in wanted.items()})
    if problem:
        raise DataError(
            f"{path} is not the released SyncNet: {problem}; give the file syncnet_v2.model of "
            "its authors"
        )
    network.load_state_dict({name: theirs[_released_name(name)] for name in wanted})
    return network.eval()


def _released_name(name: str) -> str:
    stream, _, rest = name.partition(".")
    return {v: k for k, v in _STREAMS.items()}[stream] + "." + rest


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise AvbenchError(f"there is no file {path}; name the weights file to import")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise DataError(
            f"{path} cannot be read as plain weights ({type(error).__name__}: {reason}); give a "
            "file that holds tensors only, such as syncnet_v2.model"
        ) from error
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in found.items()
    ):
        raise DataError(
            f"{path} holds a {type(found).__name__} that is no table of named tensors; give a "
            "state dict, such as syncnet_v2.model"
        )
    return dict(found)


def _mismatch(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> str:
    """Return what is wrong in words, or nothing."""
    if missing := [name for name in wanted if name not in found]:
        return f"it lacks {_some(missing)}"
    if unknown := [name for name in found if name not in wanted]:
        return f"it has {_some(unknown)} besides"
    for name, tensor in wanted.items():
        here, there = tuple(found[name].shape), tuple(tensor.shape)
        if here != there:
            return f"{name} has shape {here}, expected {there}"
        if not torch.isfinite(found[name]).all():
            return f"{name} holds values that are not finite"
    return ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
