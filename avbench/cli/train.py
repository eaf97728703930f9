"""``avbench train``: fit a method on a shard set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from avbench.data import JSON, Clip
    from avbench.shards import ShardSet


@click.command()
@click.option("--method", required=True, help="syncnet, sync-cls, sync-e2e, or a plug-in's.")
@click.option(
    "--shards",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Directory from 'avbench build-shards'.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Checkpoint to write; what made it goes beside it as JSON.",
)
@click.option(
    "--init",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Checkpoint to start from.  [default: random for syncnet, else the shipped syncnet]",
)
@click.option("--split", default=None, help="Train on this split only.  [default: all]")
@click.option(
    "--steps", type=click.IntRange(1), default=None, help="Batches.  [default: the method's own]"
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--threads", type=click.IntRange(1), default=None, help="CPU threads.  [default: all cores]"
)
@click.option("--limit", type=click.IntRange(1), default=None, help="Read at most this many clips.")
@click.option(
    "--cache-mib",
    type=click.IntRange(1),
    default=3072,
    show_default=True,
    help="Memory for training clips; reading stops there. Six seconds take about 0.6 MiB.",
)
def command(
    method: str,
    shards: Path,
    out: Path,
    init: Path | None,
    split: str | None,
    steps: int | None,
    seed: int,
    threads: int | None,
    limit: int | None,
    cache_mib: int,
) -> None:
    r"""Fit a method to the synced clips of a shard set.

    Clips are read once and kept as small grey mouth pictures and log-mel frames. An interrupted
    run goes on when the same command is given again. The same seed and the same number of
    threads on the same kind of machine give the same checkpoint.

    \b
    Examples:
      avbench train --method syncnet  --shards train --out syncnet.safetensors
      avbench train --method sync-cls --shards train --init syncnet.safetensors \
          --out sync-cls.safetensors
      avbench train --method sync-e2e --shards train --init sync-cls.safetensors \
          --out sync-e2e.safetensors
    """
    import os

    # Read when torch is imported: threads that wait asleep cost nothing, and threads that wait
    # awake make training ten times slower where other programs keep processors busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from avbench.distort import rng_for
    from avbench.models.checkpoint import load_extractor
    from avbench.shards import open_set, write_json

    trainee = _start(method, init, rng_for(seed, "start", method))
    data = open_set(shards)
    if threads is not None:
        torch.set_num_threads(threads)
    options: dict[str, Any] = {} if steps is None else {"steps": steps}
    state = out.with_name(out.name + ".unfinished")
    trainee.fit(
        _decode(data, split, limit),
        rng=rng_for(seed, "fit", method),
        cache_mib=cache_mib,
        state=state,
        **options,
    )
    trainee.save(out)
    report = trainee.report
    write_json(
        out.with_suffix(".json"),
        {
            "command": _command_line(),
            "method": method,
            "seed": seed,
            "threads": torch.get_num_threads(),
            "checkpoint_sha256": _sha256(out),
            "init_sha256": None if init is None else _sha256(init),
            # Of the file, whose weights are rounded, not of the network in memory.
            "extractor": load_extractor(out).id,
            "data": {"sha256": data.sha256, "split": split, "limit": limit},
            "fit": asdict(report),
            "versions": _versions(),
        },
    )
    if not report.complete:
        click.echo(f"memory was full after {report.clips} clips; raise --cache-mib to use all")
    click.echo(
        f"{out}: {report.steps} steps on {report.clips} clips ({report.skipped} skipped) in "
        f"{report.seconds / 60:.1f} minutes, loss {report.first_loss:.3f} -> {report.loss:.3f}"
    )


def _start(method: str, init: Path | None, rng: Any) -> Any:
    """Make the method to train.

    Raises
    ------
    UsageError
        If it has nothing to train.
    """
    from avbench import methods
    from avbench.errors import UsageError

    found: Any = methods.load_class(method)
    if not (hasattr(found, "fit") and hasattr(found, "start")):
        hint = "; it uses syncnet's checkpoint" if method == "diag-avg" else ""
        raise UsageError(f"method '{method}' has nothing to train{hint}")
    return found.start(init, rng=rng)


def _decode(data: ShardSet, split: str | None, limit: int | None) -> Iterator[Clip]:
    """Decode clips in order, a few ahead in threads."""
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor
    from itertools import islice

    from avbench.progress import track
    from avbench.shards import decode_sample

    total = len(data.index(split)) if limit is None else min(limit, len(data.index(split)))
    samples = islice(data.samples(split), limit)
    with ThreadPoolExecutor(4) as pool:
        ahead: deque[Future[Clip]] = deque()
        for sample in track(samples, "reading", total=total, unit="clip"):
            ahead.append(pool.submit(decode_sample, sample))
            if len(ahead) > 8:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _command_line() -> str:
    """Return the command as given, but for directories, which mean nothing elsewhere."""
    import shlex
    import sys

    parts = [Path(part).name if "/" in part else part for part in sys.argv[1:]]
    return shlex.join(["avbench", *parts])


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def _versions() -> dict[str, JSON]:
    import platform

    import numpy
    import torch

    from avbench import __version__
    from avbench.media import decoder_versions

    return {
        "avbench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        **decoder_versions(),
    }
