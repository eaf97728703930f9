"""``avbench train``: fit a method on a shard set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from avbench.data import JSON, Clip
    from avbench.shards import Sample, ShardSet


@click.command()
@click.option("--method", required=True, help="syncnet, sync-cls, sync-e2e, or a plug-in's.")
@click.option(
    "--shards",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Directory from 'avbench build-shards'; repeat it to train on several sets at once.",
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
@click.option(
    "--recipe",
    default=None,
    help="Train syncnet as published: syncnet-2016, ave-net, perfect-match, kim-2021, "
    "seeing-voices.  [default: avbench's own]",
)
@click.option(
    "--architecture",
    default=None,
    help="New network, of syncnet or under sync-cls and sync-e2e: small, medium, late-fusion, "
    "syncnet-2016, "
    "syncnet-v2, two-stream, two-stream-2020, tae-2020, lip-geometry.  [default: the recipe's, "
    "else small, or that of --init]",
)
@click.option(
    "--loss",
    default=None,
    help="Loss of syncnet: angular, ave-net, cddl, contrastive, multi-way; angular-video and "
    "multi-way-video look in one direction; mouth-shape teaches to see how mouths move, before "
    "another loss.  [default: the recipe's, else angular]",
)
@click.option(
    "--truth",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that 'avbench synth' wrote and clips were cut from, for --loss mouth-shape; "
    "repeat it for several.",
)
@click.option("--split", default=None, help="Train on this split only.  [default: all]")
@click.option(
    "--validation-split",
    default=None,
    help="Stop when clips of this split gain no more, and keep the best weights (syncnet).",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    default=None,
    help="Passes over the clips without a gain before it stops.  [default: the recipe's, else 3]",
)
@click.option(
    "--steps", type=click.IntRange(1), default=None, help="Batches.  [default: the method's own]"
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=None,
    help="Clips in a batch (syncnet).  [default: the recipe's]",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=None,
    help="Peak learning rate.  [default: the recipe's, else the method's own]",
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=None,
    help="Five-frame windows of a clip in a batch (sync-cls, sync-e2e).  [default: the method's]",
)
@click.option(
    "--augment",
    type=click.FloatRange(0, 1, min_open=True),
    default=None,
    help="Strength of the changes to pictures and sound; weaker ones suit short runs.  "
    "[default: 1]",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--threads", type=click.IntRange(1), default=None, help="CPU threads.  [default: all cores]"
)
@click.option(
    "--device",
    default=None,
    help="Compute on this torch device, such as cuda, compiled and in bfloat16 (syncnet). "
    "Untested.  [default: cpu]",
)
@click.option(
    "--tensorboard",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Write losses for TensorBoard into this folder (syncnet); needs the package tensorboard.",
)
@click.option("--limit", type=click.IntRange(1), default=None, help="Read at most this many clips.")
@click.option(
    "--cache-mib",
    type=click.IntRange(1),
    default=4096,
    show_default=True,
    help="Memory for training clips; reading stops there. Six seconds take 0.6 MiB, and for "
    "tae-crf 1.1.",
)
def command(
    method: str,
    shards: tuple[Path, ...],
    out: Path,
    init: Path | None,
    split: str | None,
    seed: int,
    threads: int | None,
    limit: int | None,
    cache_mib: int,
    **choices: Any,
) -> None:
    r"""Fit a method to the synced clips of a shard set.

    Clips are read once and kept as small grey mouth pictures and log-mel frames. An interrupted
    run goes on when the same command is given again. The same seed and the same number of
    threads on the same kind of machine give the same checkpoint.

    With --recipe, --architecture or --loss, syncnet becomes a published network or is trained as
    published. Such networks see whole faces: a second takes 4 MiB, and a CPU takes days.

    \b
    Examples:
      avbench train --method syncnet  --shards train --out syncnet.safetensors
      avbench train --method sync-cls --shards train --init syncnet.safetensors \
          --out sync-cls.safetensors
      avbench train --method sync-e2e --shards train --init sync-cls.safetensors \
          --out sync-e2e.safetensors
      avbench train --method syncnet  --architecture late-fusion --loss mouth-shape \
          --truth videos --shards train --out shapes.safetensors
      avbench train --method syncnet  --init shapes.safetensors --shards train \
          --out syncnet.safetensors
      avbench train --method syncnet --recipe seeing-voices --split train \
          --validation-split val --shards lrs2 --out cddl.safetensors
    """
    import os

    # Read when torch is imported: threads that wait asleep cost nothing, and threads that wait
    # awake make training ten times slower where other programs keep processors busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from avbench.distort import rng_for
    from avbench.models.checkpoint import load_extractor
    from avbench.shards import open_set, write_json

    architecture = _architecture(choices.pop("architecture"), choices["recipe"], init)
    trainee = _start(method, init, rng_for(seed, "start", method), architecture)
    data = [open_set(directory) for directory in shards]
    if threads is not None:
        torch.set_num_threads(threads)
    with _options(trainee, data, split, choices) as options:
        trainee.fit(
            _decode(data, split, limit),
            rng=rng_for(seed, "fit", method),
            cache_mib=cache_mib,
            state=out.with_name(out.name + ".unfinished"),
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
            "data": {
                "sha256": [found.sha256 for found in data],
                "split": split,
                "limit": limit,
                "validation_split": choices["validation_split"],
            },
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


def _architecture(named: str | None, recipe: str | None, init: Path | None) -> str | None:
    """Return the network to make; None leaves it to the checkpoint or the method."""
    from avbench.models import architectures, recipes

    if named is not None:
        architectures.get(named)
    published = recipes.get(recipe) if recipe else None
    return named or (published.architecture if published and init is None else None)


def _start(method: str, init: Path | None, rng: Any, architecture: str | None) -> Any:
    """Make the method to train.

    Raises
    ------
    UsageError
        If it has nothing to train, or its network cannot be chosen.
    """
    import inspect

    from avbench import methods
    from avbench.errors import UsageError

    found: Any = methods.load_class(method)
    if not (hasattr(found, "fit") and hasattr(found, "start")):
        hint = "; it uses syncnet's checkpoint" if method == "diag-avg" else ""
        raise UsageError(f"method '{method}' has nothing to train{hint}")
    if architecture is None:
        return found.start(init, rng=rng)
    if "architecture" not in inspect.signature(found.start).parameters:
        raise UsageError(
            f"the network of method '{method}' is that of its --init; leave out --architecture "
            "and --recipe, or train syncnet"
        )
    return found.start(init, rng=rng, architecture=architecture)


@contextmanager
def _options(
    trainee: Any, data: Sequence[ShardSet], split: str | None, choices: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield what was chosen as options of the method's ``fit``.

    Raises
    ------
    UsageError
        If the method has no such option, or would be validated on what it is trained on.
    """
    import inspect

    from avbench.errors import UsageError
    from avbench.models.scalars import tensorboard

    chosen = {name: value for name, value in choices.items() if value not in (None, ())}
    held_out, folder = chosen.pop("validation_split", None), chosen.pop("tensorboard", None)
    if held_out is not None and split in (None, held_out):
        raise UsageError(
            f"split '{held_out}' would be trained and validated on; name another with --split"
        )
    wanted = {**chosen, **({"validation": 1} if held_out else {}), **({"log": 1} if folder else {})}
    known = inspect.signature(trainee.fit).parameters
    if missing := [name for name in wanted if name not in known]:
        flags = {"validation": "validation-split", "log": "tensorboard"}
        raise UsageError(
            f"method '{trainee.name}' has no option --{flags.get(missing[0], missing[0])}; leave "
            "it out, or train syncnet"
        )
    if held_out is not None:
        chosen["validation"] = _decode(data, held_out, None)
    with tensorboard(folder) if folder else nullcontext() as log:
        yield {**chosen, "log": log} if folder else chosen


def _decode(data: Sequence[ShardSet], split: str | None, limit: int | None) -> Iterator[Clip]:
    """Return the clips of the sets that have the split, decoded in order.

    Raises
    ------
    UnknownName
        If none has it.
    """
    from avbench.errors import UnknownName

    having = [found for found in data if split is None or split in found.splits]
    if not having:
        raise UnknownName("split", str(split), {name for found in data for name in found.splits})
    total = sum(found.count(split) for found in having)
    samples = islice((sample for found in having for sample in found.samples(split)), limit)
    return _ahead(samples, total if limit is None else min(limit, total))


def _ahead(samples: Iterable[Sample], total: int) -> Iterator[Clip]:
    """Decode clips in order, a few ahead in threads."""
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    from avbench.progress import track
    from avbench.shards import decode_sample

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
