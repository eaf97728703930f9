"""What a data set is to a benchmark, and how to get one by name.

A shard set is one (`avbench.shards.ShardSet`). Others are plug-ins: a name in the entry point
group ``avbench.datasets`` that points to a class or function returning one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from avbench import plugins
from avbench.data import Item
from avbench.errors import AvbenchError, UnknownName, UsageError


@runtime_checkable
class Dataset(Protocol):
    """Clips with their truth, in named splits, the same ones in the same order every time."""

    @property
    def name(self) -> str:
        """Name in tables and leaderboards."""
        ...

    @property
    def synthetic(self) -> bool | None:
        """Whether the people are drawn or made by a machine; None where unknown."""
        ...

    @property
    def splits(self) -> Sequence[str]:
        """Names of the splits."""
        ...

    @property
    def sha256(self) -> str:
        """Identity of the data (`identity` makes one of files)."""
        ...

    def count(self, split: str) -> int:
        """Return the number of clips in a split."""
        ...

    def items(self, split: str, limit: int | None = None) -> Iterator[Item]:
        """Yield the clips of a split, at most ``limit``."""
        ...


def available() -> list[str]:
    """Return the names of the installed data sets, importing none of them."""
    return plugins.available(plugins.DATASETS)


def load(name: str, **options: str) -> Dataset:
    """Return a data set by name.

    Parameters
    ----------
    name
        One of `available`.
    options
        Passed to what the name points to, as text: where the files lie, for instance.

    Raises
    ------
    UnknownName
        If no installed package offers it.
    UsageError
        If it does not take the options.
    AvbenchError
        If what it points to returns no data set.
    """
    make = cast("Any", plugins.load(plugins.DATASETS, name))
    try:
        found = make(**options)
    except TypeError as error:
        raise UsageError(
            f"data set '{name}' does not take the options {sorted(options)} ({error}); give others "
            "with --dataset-option NAME=VALUE"
        ) from error
    if not isinstance(found, Dataset):
        raise AvbenchError(
            f"data set '{name}' lacks some of name, synthetic, splits, sha256, count and items; "
            "see avbench.datasets.Dataset"
        )
    return found


def check_split(dataset: Dataset, split: str) -> None:
    """Raise UnknownName where a data set has no such split."""
    if split not in dataset.splits:
        raise UnknownName("split", split, dataset.splits)


def identity(paths: Iterable[Path]) -> str:
    """Return one SHA-256 for the names and contents of files, for `Dataset.sha256`."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
