"""What the benchmarks of several workers share: a run's processes, and the comparison of runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

MARK = "AVBENCH_BENCHMARK"
"""Variable by which the processes of a run are found."""


def marked(token: str) -> Iterator[tuple[Path, bytes, float]]:
    """Yield every process whose `MARK` this is.

    Yields
    ------
    tuple
        Its folder in ``/proc``, its command line, and its seconds of the processor so far.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={token}".encode() not in (folder / "environ").read_bytes():
                continue
            name = (folder / "cmdline").read_bytes()
            times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        except OSError:
            continue
        yield folder, name, sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def efficiency(first: tuple[int, float], number: int, seconds: float) -> str:
    """Say how well workers are used, against the first run's.

    >>> efficiency((1, 100.0), 4, 31.25)
    'efficiency 0.80 against 1'
    """
    return f"efficiency {first[0] * first[1] / number / seconds:.2f} against {first[0]}"


def end_with(sums: Mapping[str, str]) -> None:
    """Say whether all sets are the same to the byte, and end the program."""
    same = len(set(sums.values())) == 1
    click.echo(f"shards of {', '.join(sums)} are {'the same' if same else 'NOT the same'}")
    sys.exit(not same)
