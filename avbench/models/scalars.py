"""Losses as TensorBoard scalars, where TensorBoard is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from avbench.errors import MissingDependency

if TYPE_CHECKING:
    from avbench.models.training import Log


@contextmanager
def tensorboard(folder: Path) -> Iterator[Log]:
    """Write numbers into a folder that ``tensorboard --logdir`` reads.

    Raises
    ------
    MissingDependency
        If TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependency(
            "--tensorboard needs the package tensorboard; install it with: pip install tensorboard"
        ) from error
    with SummaryWriter(str(folder)) as writer:
        yield writer.add_scalar
