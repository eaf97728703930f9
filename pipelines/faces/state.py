"""Read the weights of a PyTorch network from a file that holds tensors and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from avbench.errors import UsageError


def load_state(
    weights: Path, take: Callable[[Mapping[str, torch.Tensor]], object], sentence: str
) -> None:
    """Hand the named tensors of a file to a network; nothing in the file is executed.

    Parameters
    ----------
    weights
        The file.
    take
        The network's ``load_state_dict``.
    sentence
        What to say after the file's name where it holds anything else.

    Raises
    ------
    UsageError
        If the file holds anything but the network's tensors.
    """
    try:
        with warnings.catch_warnings():
            # About files that then turn out to be no weights.
            warnings.simplefilter("ignore")
            tensors = torch.load(weights, map_location="cpu", weights_only=True)
        # A file saved from several GPUs says "module." before every name.
        take({name.removeprefix("module."): tensor for name, tensor in tensors.items()})
    # Whatever a file of something else makes the reader trip over: it is nowhere listed.
    except Exception as error:
        raise UsageError(f"{weights} {sentence}") from error
