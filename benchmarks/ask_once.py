"""Time the whole offset table against bare embedding, and a second look against the first.

    python benchmarks/ask_once.py DIR [--split test] [--limit 100]

DIR is a shard set, such as demo/shards. Everything runs in one process on one thread; ratios
count, not seconds. Three times are taken: decoding and embedding every clip once per extractor
(the floor), the table of every global method at four lengths with ten repeats from an empty cache,
and the same table again from the full cache. The second must cost at most 1.3 times the floor, the
third at most a fiftieth of the second. ``--method`` chooses some of the methods.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch

from avbench import methods
from avbench.asking import by_extractor
from avbench.benchmark import evaluate
from avbench.cache import EmbeddingCache
from avbench.media import decoder_versions
from avbench.methods import EmbeddingMethod, Method
from avbench.shards import ShardSet, open_set
from avbench.tasks import OffsetTask


def floor(loaded: Sequence[Method], data: ShardSet, split: str, limit: int) -> float:
    """Return the seconds of one bare pass: decode each clip, embed it once per extractor."""
    first_of_each = [group[0] for group in by_extractor(loaded)]
    started = perf_counter()
    for clip in data.clips(split, limit):
        for method in first_of_each:
            method.embed(clip.without_truth())
    return perf_counter() - started


def table(
    loaded: Sequence[Method], data: ShardSet, split: str, limit: int, cache: EmbeddingCache
) -> float:
    """Return the seconds of the whole table."""
    started = perf_counter()
    evaluate(loaded, data.items(split, limit), OffsetTask(), cache=cache)
    return perf_counter() - started


def main() -> int:
    """Print the times and ratios; 1 where a ratio misses its aim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--method", action="append", dest="methods")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    data = open_set(chosen.shards)
    found = [methods.load(name) for name in chosen.methods or methods.available()]
    loaded = [method for method in found if isinstance(method, EmbeddingMethod)]
    where = (data, chosen.split, chosen.limit)
    floor(loaded, data, chosen.split, 2)  # imports and lazily made tables are nobody's cost
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(Path(folder), decoder_versions())
        bare = floor(loaded, *where)
        first = table(loaded, *where, cache)
        again = min(table(loaded, *where, cache) for _ in range(3))
    print(f"methods                       {', '.join(method.name for method in loaded)}")
    print(f"clips                         {min(chosen.limit, data.count(chosen.split))}")
    print(f"bare decoding and embedding   {bare:8.2f} s")
    print(f"table, empty cache            {first:8.2f} s, {first / bare:.2f} x bare (<= 1.3)")
    print(f"table, full cache             {again:8.2f} s, first / {first / again:.0f} (>= 50)")
    return int(first > 1.3 * bare or again > first / 50)


if __name__ == "__main__":
    sys.exit(main())
