"""The split of sentences and voices into pools that share nothing."""

from __future__ import annotations

import hashlib

from avbench.errors import UnknownName

POOLS: dict[str, range] = {"train": range(0, 60), "val": range(60, 75), "test": range(75, 100)}
"""Pool -> its share of a hundred hash buckets; a sentence or voice belongs to one pool only."""


def pool_of(*key: str | int) -> str:
    """Return the pool that owns ``key``, whatever the seed of the corpus.

    >>> pool_of("sentence", "The boat is blue.") in POOLS
    True
    """
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    bucket = int.from_bytes(digest[:8], "big") % 100
    return next(pool for pool, buckets in POOLS.items() if bucket in buckets)


def check_pool(pool: str) -> None:
    """Raise `UnknownName` unless ``pool`` exists."""
    if pool not in POOLS:
        raise UnknownName("pool", pool, POOLS)
