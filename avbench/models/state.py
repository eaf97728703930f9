"""The part of a training run that must survive an interruption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from avbench.data import JSON
from avbench.errors import UsageError
from avbench.models.checkpoint import read_tensors, write_tensors


class TrainingState:
    """Weights, optimiser, generator, and what has been measured so far."""

    def __init__(
        self,
        networks: nn.ModuleDict,
        optimiser: torch.optim.Optimizer,
        identity: Mapping[str, JSON],
        rng: np.random.Generator,
    ) -> None:
        self.networks, self.optimiser, self.rng = networks, optimiser, rng
        self.identity = identity
        self.losses: list[float] = []
        self.checks: list[tuple[int, float]] = []
        """Steps done and loss on the validation clips, check by check."""
        self.best: dict[str, torch.Tensor] = {}
        """Weights at the least validation loss."""
        self.seconds = 0.0

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    @property
    def stale(self) -> int:
        """Checks since the best one."""
        values = [loss for _, loss in self.checks]
        return len(values) - 1 - int(np.argmin(values)) if values else 0

    def check(self, loss: float) -> None:
        """Note a validation loss, and the weights where none was less."""
        self.checks.append((self.step, loss))
        if self.stale == 0:
            self.best = {k: v.detach().clone() for k, v in self.networks.state_dict().items()}

    def save(self, path: Path, seconds: float) -> None:
        """Write everything into one safetensors file."""
        tensors = {f"network.{k}": v for k, v in self.networks.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, entry in self.optimiser.state_dict()["state"].items():
            # Momentum starts out as None, which is as good as absent.
            kept = {k: v for k, v in entry.items() if isinstance(v, torch.Tensor)}
            tensors |= {f"optimiser.{index}.{k}": v for k, v in kept.items()}
        info = {
            "identity": self.identity,
            "losses": self.losses,
            "checks": self.checks,
            "generator": self.rng.bit_generator.state,
            "seconds": self.seconds + seconds,
        }
        write_tensors(path, tensors, info)

    def restore(self, path: Path) -> None:
        """Take up what `save` wrote.

        Raises
        ------
        UsageError
            If it belongs to a run with another recipe or other data.
        """
        tensors, info = read_tensors(path)
        if info["identity"] != json.loads(json.dumps(self.identity)):
            raise UsageError(
                f"{path} is an unfinished run with another recipe or other data; give the same "
                "options as then, or delete the file to start again"
            )
        self.networks.load_state_dict(_under("network.", tensors))
        self.best = _under("best.", tensors)
        entries: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _under("optimiser.", tensors).items():
            index, key = name.split(".")
            entries.setdefault(int(index), {})[key] = tensor
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**whole, "state": entries})
        self.rng.bit_generator.state = info["generator"]
        self.losses = list(info["losses"])
        self.checks = [(int(step), float(loss)) for step, loss in info["checks"]]
        self.seconds = float(info["seconds"])


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
