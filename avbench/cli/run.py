"""``avbench run``: measure methods on a shard set."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.errors import AvbenchError, UsageError

if TYPE_CHECKING:
    from avbench.data import JSON
    from avbench.methods import Method
    from avbench.shards import ShardSet
    from avbench.tasks import OffsetTask

ALL, NONE = "all", "none"


def _lengths(ctx: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"got '{text}', expected frames such as 11,13,15,20") from None


def _checkpoints(
    ctx: click.Context, option: click.Parameter, texts: Sequence[str]
) -> dict[str, Path]:
    found = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(
                f"got '{text}', expected NAME=PATH such as syncnet=my.safetensors"
            )
        found[name] = Path(path)
    return found


@click.command("run")
@click.option(
    "--method",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help="Method to measure; repeat it for several, or 'all' for every one that can be loaded.",
)
@click.option("--task", type=click.Choice(["offset"]), default="offset", show_default=True)
@click.option(
    "--shards",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory that build-shards wrote.",
)
@click.option("--split", default="test", show_default=True)
@click.option(
    "--lengths",
    default="11,13,15,20",
    show_default=True,
    callback=_lengths,
    help="Window lengths in 25 fps frames.",
)
@click.option(
    "--search",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Offsets are drawn from, and looked for in, this many frames either way.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Fresh draws of all offsets and windows.",
)
@click.option(
    "--windows-per-clip",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Windows per clip, length and repeat.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--reference",
    default="syncnet",
    show_default=True,
    metavar="NAME",
    help="Method that error reductions are relative to, measured too; 'none' for none.",
)
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    metavar="NAME=PATH",
    callback=_checkpoints,
    help="File that avbench train wrote, for one method; the shipped one otherwise.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory for predictions, scores and the table; an earlier run's are replaced.",
)
@click.option("--limit", type=click.IntRange(1), default=None, help="Only the first clips.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=None,
    help="Threads of the networks.  [default: as many as PyTorch chooses]",
)
@click.pass_context
def command(ctx: click.Context, /, task: str, **options: Any) -> None:
    r"""Measure methods on a shard set and print the table.

    Every method is asked the same questions: windows of the clips whose sound was displaced by
    a known offset, with nothing outside the window (the strict protocol of Kim et al. 2021).
    An interrupted run goes on where it stopped when the same command is run again.

    \b
    Examples:
      avbench run --method all --shards demo/shards --out demo/results
      avbench run --method sync-e2e --method diag-avg --shards demo/shards --out demo/two
      avbench run --method constant --reference none --shards demo/shards --out demo/smoke --limit 8
      avbench run --method syncnet --checkpoint syncnet=my.safetensors --shards demo/shards --out my

    \b
    In Python:
      from avbench.results import read_run
      read_run(Path("demo/results")).predictions.groupby("method").failure.count()
    """
    from avbench.shards import open_set
    from avbench.tasks import OffsetTask

    chosen = OffsetTask(
        lengths=options["lengths"],
        search=options["search"],
        repeats=options["repeats"],
        windows_per_clip=options["windows_per_clip"],
        seed=options["seed"],
    )
    if options["threads"]:
        import torch

        torch.set_num_threads(options["threads"])
    shards = open_set(options["shards"])
    shards.index(options["split"])  # an unknown split is known before any network is loaded
    asked = ctx.get_parameter_source("reference") is not click.core.ParameterSource.DEFAULT
    methods, reference = _load(
        options["names"], options["reference"], asked, options["checkpoints"], chosen.search
    )
    block = _describe(chosen, methods, reference, shards, options)
    _measure(chosen, methods, shards, options, block)
    _report(options["out"])


def _load(
    names: Sequence[str],
    reference: str,
    reference_asked: bool,
    checkpoints: dict[str, Path],
    search: int,
) -> tuple[list[Method], str | None]:
    """Load the methods by name, and the reference beside them.

    A method that was named must load; one that is there by ``all``, or as a reference nobody asked
    for, is left out with a word where it cannot be.
    """
    from avbench import methods

    wanted = {name: True for name in names if name != ALL}
    if reference != NONE and reference_asked:
        wanted[reference] = True
    for name in methods.available() if ALL in names else ():
        wanted.setdefault(name, False)
    if reference != NONE:
        wanted.setdefault(reference, False)
    if unused := set(checkpoints) - set(wanted):
        raise UsageError(
            f"--checkpoint names {', '.join(sorted(unused))}, which is not measured; "
            "add it with --method"
        )
    loaded: dict[str, Method] = {}
    for name, required in wanted.items():
        try:
            loaded[name] = methods.load(name, checkpoints.get(name), search=search)
        except AvbenchError as error:
            if required or name in checkpoints:
                raise
            click.echo(f"{name} is left out: {error}", err=True)
    if not loaded:
        raise AvbenchError("no installed method can be loaded; 'avbench methods' says why")
    if reference in loaded and reference not in names and ALL not in names:
        click.echo(f"{reference} is measured too: error reductions are relative to it", err=True)
    return list(loaded.values()), reference if reference in loaded else None


def _describe(
    task: OffsetTask,
    methods: Sequence[Method],
    reference: str | None,
    shards: ShardSet,
    options: dict[str, Any],
) -> dict[str, JSON]:
    """Collect what the numbers are about to be measured with."""
    from avbench.results import environment, identify

    recipe = shards.manifest["recipe"]
    torch = sys.modules.get("torch")  # not imported for methods that need none
    return {
        **environment(torch.get_num_threads() if torch else None),
        "task": task.describe(),
        "dataset": recipe.get("dataset", options["shards"].resolve().name),
        "synthetic": recipe.get("synthetic"),
        "split": options["split"],
        "limit": options["limit"],
        "shards_sha256": shards.sha256,
        "reference": reference,
        "methods": {m.name: identify(m, options["checkpoints"].get(m.name)) for m in methods},
    }


def _measure(
    task: OffsetTask,
    methods: Sequence[Method],
    shards: ShardSet,
    options: dict[str, Any],
    block: dict[str, JSON],
) -> None:
    """Evaluate and write; the answers are kept in a journal until the results are written."""
    from avbench.benchmark import evaluate
    from avbench.journal import Journal
    from avbench.results import write_run

    relevant = {k: v for k, v in block.items() if k not in ("limit", "reference", "threads")}
    fingerprint = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()
    out, limit = options["out"], options["limit"]
    samples = sum(info.samples for info in shards.shards if info.split == options["split"])
    with Journal(out / "answers.partial.jsonl", fingerprint) as journal:
        if journal:
            click.echo(f"going on after {len(journal)} clips of an interrupted run", err=True)
        outcome = evaluate(
            methods,
            shards.clips(options["split"], limit),
            task,
            reference=block["reference"],
            dataset=block["dataset"],
            split=options["split"],
            total=min(samples, limit or samples),
            journal=journal,
        )
        write_run(out, outcome.predictions, outcome.scores, outcome.describe(block))
        journal.discard()


def _report(out: Path) -> None:
    """Print the table of the results in a folder and write it beside them in three forms."""
    from avbench.results import PREDICTIONS, RUN, SCORES, read_run
    from avbench.shards import write_atomic
    from avbench.tables import run_table

    run = read_run(out)
    table = run_table(run)
    forms = {"txt": table.to_text(), "md": table.to_markdown(), "tex": table.to_latex()}
    for suffix, text in forms.items():
        write_atomic(out / f"table.{suffix}", text.encode())
    click.echo(forms["txt"])
    times = [f"{name} {facts['seconds']:.1f} s" for name, facts in run.block["methods"].items()]
    click.echo(f"Time, shared embeddings counted for each: {', '.join(times)}")
    click.echo(f"In {out}: table.txt, table.md, table.tex, {SCORES}, {PREDICTIONS}, {RUN}")
    mute = [row.method for row in run.scores if row.n == row.n_failed]
    if mute:
        raise AvbenchError(
            f"{', '.join(sorted(set(mute)))} failed on every question of some window length; "
            "the notes under the table say how"
        )
