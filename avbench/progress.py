"""Progress with an estimate of the time left, on a terminal or in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], what: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """Yield ``items`` while showing how many are done and the time left, on standard error.

    A terminal gets a live bar; a log gets a line every ten seconds at most.
    """
    yield from bar(what, total=total, unit=unit, items=items)


def bar(
    what: str, total: int | None = None, unit: str = "it", items: Iterable[T] | None = None
) -> tqdm[T]:
    """Make a progress bar; call its ``update(n)``, or iterate over it where ``items`` is given."""
    live = sys.stderr.isatty()
    return tqdm(
        items,
        desc=what,
        total=total,
        unit=unit,
        file=sys.stderr,
        mininterval=0.2 if live else 10.0,
        ascii=None if live else True,
        dynamic_ncols=live,
    )
