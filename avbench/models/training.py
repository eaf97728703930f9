"""The one training loop: batches, schedule, mixed precision, validation, and going on.

Everything random is drawn from one NumPy generator whose state is saved with the weights, so a run
that was stopped and went on ends as one that was not. With the same number of threads on the same
kind of machine, the same seed gives the same weights.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import nn

from avbench import features
from avbench.data import JSON
from avbench.errors import UsageError
from avbench.models import augment
from avbench.models.augment import Augmentation, FaceAugmentation, GeometryAugmentation
from avbench.models.checkpoint import read_tensors, write_tensors
from avbench.models.losses import cosine_matrix
from avbench.models.state import TrainingState
from avbench.models.trainset import Batch, TrainingSet
from avbench.models.two_stream import Network
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
    """Share of the steps in which the rate rises."""
    schedule: Literal["cosine", "exponential"] = "cosine"
    """How the rate falls after that: to zero, or by equal factors to ``last_rate``."""
    last_rate: float = 0.01
    """Factor on the rate at the end of an exponential schedule."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float = 1e-2
    bfloat16: bool = False
    """Compute convolutions in bfloat16, twice as fast where the CPU has instructions for it."""
    augmentation: Augmentation | FaceAugmentation | GeometryAugmentation | None = field(
        default_factory=Augmentation
    )

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
        part = (step - start) / max(1, self.steps - start)
        if self.schedule == "exponential":
            return float(self.last_rate**part)
        return 0.5 * (1 + math.cos(math.pi * part))


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
    checks: tuple[tuple[int, float], ...] = ()
    """Steps done and loss on the validation clips; the weights are those of the least."""


Log = Callable[[str, float, int], None]
"""Takes the name of a number, the number, and the steps done."""


@dataclass(frozen=True, eq=False)
class Watch:
    """What is looked at while a run goes on."""

    validation: TrainingSet | None = None
    """Clips that are not trained on: the run keeps the weights that do best on them."""
    every: int = 200
    """Steps between two looks at them."""
    patience: int = 3
    """Stop after this many looks without a gain."""
    batches: int = 8
    """Batches in a look, the same every time."""
    log: Log | None = None
    """Is told every loss."""
    about: Mapping[str, JSON] = field(default_factory=dict)
    """What else an unfinished run must agree in, and the report should name."""

    def __post_init__(self) -> None:
        if min(self.every, self.patience, self.batches) < 1:
            raise UsageError(
                f"got every {self.every}, patience {self.patience}, batches {self.batches}; "
                "expected >= 1"
            )


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


def rows_of(network: Network, batch: Batch, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Embed a batch: sound and pictures in full precision; shape (B, rows, D) each.

    It is computed where the weights are. Only the CPU has been tried.
    """
    where = next(network.parameters()).device
    with torch.autocast(where.type, torch.bfloat16, enabled=recipe.bfloat16):
        sound = network.embed_audio(batch.sound.to(where))
        pictures = network.embed_video(batch.pictures.to(where))
    return sound.float(), pictures.float()


def similarity_of(network: Network, batch: Batch, recipe: Recipe) -> torch.Tensor:
    """Embed a batch and return its cosines in full precision; shape (B, rows, rows)."""
    return cosine_matrix(*rows_of(network, batch, recipe))


def optimise(
    networks: nn.ModuleDict,
    rates: Mapping[str, float],
    loss_of: LossOf,
    data: TrainingSet,
    recipe: Recipe,
    rng: np.random.Generator,
    state: Path | None = None,
    watch: Watch | None = None,
) -> FitReport:
    """Fit networks to clips.

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
    watch
        Validation and logging; none where None.

    Raises
    ------
    UsageError
        If ``state`` belongs to a run with another recipe or other data.
    """
    watch = watch or Watch()
    groups = [{"params": [*networks[k].parameters()], "peak": rates[k]} for k in networks]
    optimiser = _optimiser(groups, recipe)
    identity = {**asdict(recipe), "clips_seen": len(data), "frames": data.num_frames}
    run = TrainingState(networks, optimiser, {**identity, **watch.about}, rng)
    if state is not None and state.exists():
        run.restore(state)
    networks.train()
    saved = started = time.monotonic()
    progress = bar("training", total=recipe.steps, unit="step")
    progress.update(run.step)
    try:
        while run.step < recipe.steps and run.stale < watch.patience:
            _step(run, loss_of, data, recipe, watch)
            progress.update()
            if run.step % 10 == 0:
                progress.set_postfix(loss=f"{np.mean(run.losses[-50:]):.3f}", refresh=False)
            if state is not None and time.monotonic() - saved > _SAVE_EVERY_S:
                run.save(state, time.monotonic() - started)
                saved = time.monotonic()
    finally:
        progress.close()
        networks.eval()
    if run.best:
        networks.load_state_dict(run.best)
    if state is not None:
        state.unlink(missing_ok=True)
    report = _report(run, data, recipe, run.seconds + time.monotonic() - started)
    return replace(report, recipe={**report.recipe, **watch.about})


def finished(
    network: nn.Module,
    name: str,
    train: Callable[[Path | None], FitReport],
    state: Path | None,
    identity: Mapping[str, JSON],
) -> FitReport:
    """Train a part of a network, or take it up where an earlier call had finished it.

    Parameters
    ----------
    network
        All of it, kept as it is when the part is done.
    name
        Of the part: it is kept beside ``state``, as ``state.name``.
    train
        Trains the part, given where its own unfinished run is kept.
    state
        Where an unfinished run is kept; None: nothing is.
    identity
        What the earlier call must agree in.

    Raises
    ------
    UsageError
        If what was kept belongs to another run.
    """
    if state is None:
        return train(None)
    path = state.with_name(f"{state.name}.{name}")
    plain = json.loads(json.dumps(identity))
    if path.exists():
        tensors, info = read_tensors(path)
        if info["identity"] != plain:
            raise UsageError(f"{path} belongs to another training run; remove it, or finish that")
        network.load_state_dict(tensors)
        report = dict(info["report"])
        report["checks"] = tuple(tuple(check) for check in report["checks"])
        return FitReport(**report)
    found = train(state)
    write_tensors(path, network.state_dict(), {"identity": plain, "report": asdict(found)})
    return found


def _optimiser(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            groups, lr=0.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=recipe.weight_decay)


def _step(
    run: TrainingState, loss_of: LossOf, data: TrainingSet, recipe: Recipe, watch: Watch
) -> None:
    """Take one step, and look at the validation clips where it is time to."""
    batch = _prepare(data.draw(run.rng, recipe.clips, recipe.num_frames), recipe, run.rng)
    for group in run.optimiser.param_groups:
        group["lr"] = group["peak"] * recipe.rate(run.step)
    loss = loss_of(batch, run.rng)
    run.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimiser.step()
    run.losses.append(float(loss.detach()))
    if watch.log is not None:
        watch.log("loss/train", run.losses[-1], run.step)
    if watch.validation is not None and run.step % watch.every == 0:
        run.check(_validate(run.networks, loss_of, watch.validation, watch.batches, recipe))
        if watch.log is not None:
            watch.log("loss/validation", run.checks[-1][1], run.step)


def _validate(
    networks: nn.ModuleDict, loss_of: LossOf, data: TrainingSet, batches: int, recipe: Recipe
) -> float:
    """Return the mean loss on the validation clips, unchanged; the same batches every time."""
    rng = np.random.default_rng(0)
    networks.eval()
    with torch.no_grad():
        losses = []
        for _ in range(batches):
            batch = data.draw(rng, recipe.clips, recipe.num_frames)
            losses.append(float(loss_of(augment.centre(batch), rng)))
    networks.train()
    return float(np.mean(losses))


def _prepare(batch: Batch, recipe: Recipe, rng: np.random.Generator) -> Batch:
    if recipe.augmentation is None:
        return augment.centre(batch)
    if isinstance(recipe.augmentation, FaceAugmentation):
        return augment.apply_to_faces(batch, recipe.augmentation, rng)
    if isinstance(recipe.augmentation, GeometryAugmentation):
        return augment.apply_to_points(batch, recipe.augmentation, rng)
    return augment.apply(batch, recipe.augmentation, rng)


def _report(run: TrainingState, data: TrainingSet, recipe: Recipe, seconds: float) -> FitReport:
    tail = max(1, len(run.losses) // 20)
    return FitReport(
        steps=run.step,
        loss=float(np.mean(run.losses[-tail:])),
        first_loss=float(np.mean(run.losses[:tail])),
        seconds=seconds,
        clips=len(data),
        frames=data.num_frames,
        skipped=data.skipped,
        complete=data.complete,
        recipe=asdict(recipe),
        checks=tuple(run.checks),
    )
