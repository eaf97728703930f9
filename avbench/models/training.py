"""The one training loop: batches, schedule, mixed precision, interruption and going on.

Everything random is drawn from one NumPy generator whose state is saved with the weights, so a run
that was stopped and went on ends as one that was not. With the same number of threads on the same
kind of machine, the same seed gives the same weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from avbench import features
from avbench.data import JSON
from avbench.errors import UsageError
from avbench.models import augment
from avbench.models.augment import Augmentation
from avbench.models.checkpoint import read_tensors, write_tensors
from avbench.models.losses import cosine_matrix
from avbench.models.trainset import Batch, TrainingSet
from avbench.models.two_stream import TwoStream
from avbench.progress import bar

_SAVE_EVERY_S = 30.0
"""An interruption costs at most this much work: only between steps is the state consistent."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train, and on what."""

    steps: int
    clips: int = 16
    """Clips per step."""
    rows: int = 24
    """Aligned five-frame windows per clip."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises; it then falls to zero as a cosine."""
    weight_decay: float = 1e-2
    bfloat16: bool = False
    """Compute convolutions in bfloat16, twice as fast where the CPU has instructions for it."""
    augmentation: Augmentation | None = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if min(self.steps, self.clips, self.rows) < 1:
            raise UsageError(
                f"got steps {self.steps}, clips {self.clips}, rows {self.rows}; expected >= 1"
            )

    @property
    def num_frames(self) -> int:
        """Video frames that a batch needs of each clip."""
        return self.rows + features.WINDOW - 1

    def rate(self, step: int) -> float:
        """Return the factor on every learning rate at a step."""
        start = max(1, round(self.warmup * self.steps))
        if step < start:
            return (step + 1) / start
        return 0.5 * (1 + math.cos(math.pi * (step - start) / max(1, self.steps - start)))


@dataclass(frozen=True)
class FitReport:
    """What came of a training run."""

    steps: int
    loss: float
    """Mean over the last twentieth of the steps."""
    first_loss: float
    """Mean over the first twentieth of the steps."""
    seconds: float
    """Time at work, interruptions not counted."""
    clips: int
    frames: int
    skipped: int
    """Clips of no use: shorter than a batch's stretch, or without a constant offset."""
    complete: bool
    """Whether all clips fitted into memory."""
    recipe: Mapping[str, JSON]


_Network = TypeVar("_Network", bound=nn.Module)
LossOf = Callable[[Batch, np.random.Generator], torch.Tensor]
"""Computes the loss of one batch, drawing whatever else it needs."""


def new_network(make: Callable[[], _Network], rng: np.random.Generator) -> _Network:
    """Make a network whose random start comes from ``rng``, leaving torch's own state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63)))
        return make()


def has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 natively."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())


def similarity_of(network: TwoStream, batch: Batch, recipe: Recipe) -> torch.Tensor:
    """Embed a batch and return its cosines in full precision; shape (B, rows, rows)."""
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
        sound = network.embed_audio(batch.mels)
        pictures = network.embed_video(batch.pictures)
    return cosine_matrix(sound.float(), pictures.float())


def optimise(
    networks: nn.ModuleDict,
    rates: Mapping[str, float],
    loss_of: LossOf,
    data: TrainingSet,
    recipe: Recipe,
    rng: np.random.Generator,
    state: Path | None = None,
) -> FitReport:
    """Fit networks with AdamW.

    Parameters
    ----------
    networks
        What changes, by name.
    rates
        Peak learning rate of each of them.
    loss_of
        The loss of one batch.
    data
        Training clips.
    recipe
        Length and schedule.
    rng
        Source of everything random.
    state
        Where to keep the state of an unfinished run, which is taken up again if it is there and
        removed at the end.

    Raises
    ------
    UsageError
        If ``state`` belongs to a run with another recipe or other data.
    """
    groups = [{"params": [*networks[k].parameters()], "peak": rates[k]} for k in networks]
    optimiser = torch.optim.AdamW(groups, lr=0.0, weight_decay=recipe.weight_decay)
    identity = {**asdict(recipe), "clips_seen": len(data), "frames": data.num_frames}
    run = _Run(networks, optimiser, identity, rng)
    if state is not None and state.exists():
        run.restore(state)
    networks.train()
    saved = started = time.monotonic()
    progress = bar("training", total=recipe.steps, unit="step")
    progress.update(run.step)
    try:
        while run.step < recipe.steps:
            batch = data.draw(rng, recipe.clips, recipe.num_frames)
            batch = _prepare(batch, recipe, rng)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * recipe.rate(run.step)
            loss = loss_of(batch, rng)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            run.losses.append(float(loss.detach()))
            progress.update()
            if run.step % 10 == 0:
                progress.set_postfix(loss=f"{np.mean(run.losses[-50:]):.3f}", refresh=False)
            if state is not None and time.monotonic() - saved > _SAVE_EVERY_S:
                run.save(state, time.monotonic() - started)
                saved = time.monotonic()
    finally:
        progress.close()
        networks.eval()
    if state is not None:
        state.unlink(missing_ok=True)
    return _report(run, data, recipe, run.seconds + time.monotonic() - started)


def _prepare(batch: Batch, recipe: Recipe, rng: np.random.Generator) -> Batch:
    if recipe.augmentation is None:
        return augment.centre(batch)
    return augment.apply(batch, recipe.augmentation, rng)


def _report(run: _Run, data: TrainingSet, recipe: Recipe, seconds: float) -> FitReport:
    tail = max(1, len(run.losses) // 20)
    return FitReport(
        steps=recipe.steps,
        loss=float(np.mean(run.losses[-tail:])),
        first_loss=float(np.mean(run.losses[:tail])),
        seconds=seconds,
        clips=len(data),
        frames=data.num_frames,
        skipped=data.skipped,
        complete=data.complete,
        recipe=asdict(recipe),
    )


class _Run:
    """The part of a training run that must survive an interruption."""

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
        self.seconds = 0.0

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    def save(self, path: Path, seconds: float) -> None:
        """Write weights, optimiser, generator and losses into one safetensors file."""
        tensors = {f"network.{k}": v for k, v in self.networks.state_dict().items()}
        for index, entry in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in entry.items()}
        info = {
            "identity": self.identity,
            "losses": self.losses,
            "generator": self.rng.bit_generator.state,
            "seconds": self.seconds + seconds,
        }
        write_tensors(path, tensors, info)

    def restore(self, path: Path) -> None:
        """Take up what `save` wrote."""
        tensors, info = read_tensors(path)
        if info["identity"] != _plain(self.identity):
            raise UsageError(
                f"{path} is an unfinished run with another recipe or other data; give the same "
                "options as then, or delete the file to start again"
            )
        self.networks.load_state_dict(
            {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        )
        entries: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".")
                entries.setdefault(int(index), {})[key] = tensor
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**whole, "state": entries})
        self.rng.bit_generator.state = info["generator"]
        self.losses = list(info["losses"])
        self.seconds = float(info["seconds"])


def _plain(value: JSON) -> JSON:
    """Return a value as it reads after a trip through JSON."""
    import json

    return json.loads(json.dumps(value))
