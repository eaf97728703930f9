"""What the fitting of decoders is told, and how it feeds back answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from avbench.data import JSON
from avbench.models.corrupt import Laws
from avbench.models.training import Log, Recipe
from avbench.models.trainset import TrainingSet


@dataclass(frozen=True, eq=False)
class Plan:
    """What a training run is asked for."""

    data: TrainingSet
    recipe: Recipe
    rate: float
    law: Laws
    copies: int
    forcing: float
    log: Log | None

    @property
    def about(self) -> dict[str, JSON]:
        """What an unfinished run must agree in, beside the recipe."""
        return {"law": self.law, "copies": self.copies, "rate": self.rate}


class Forcing(nn.Module):
    """How many true answers are fed back: a share that falls to zero in a straight line.

    The number of steps is kept with the weights, so that a run that goes on knows where it is.
    """

    done: torch.Tensor

    def __init__(self, first: float, steps: int) -> None:
        super().__init__()
        self.first, self.steps = first, steps
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))

    def forward(self) -> float:
        """Return the share at this step, and count the step if in training."""
        if not self.training:
            return 0.0
        done = int(self.done)
        self.done += 1
        return self.first * max(0.0, 1 - done / max(1, self.steps))
