"""``avbench run``: measure methods on a shard set."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from avbench.errors import AvbenchError, UsageError

if TYPE_CHECKING:
    from avbench.alignment_task import AnyTask
    from avbench.data import JSON
    from avbench.datasets import Dataset
    from avbench.methods import Method

ALL, NONE = "all", "none"
_ASIDE = ("condition", "limit", "reference", "threads")
"""What of a run's description no answer depends on."""
_TASK = ("lengths", "search", "repeats", "windows_per_clip", "seed", "tolerances")


def _lengths(
    ctx: click.Context, option: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    if text is None:
        return None
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


def _pairs(ctx: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise click.BadParameter(f"got '{wrong[0]}', expected NAME=VALUE such as root=/my/clips")
    return {name: value for name, _, value in pairs}


def _options(
    ctx: click.Context, option: click.Parameter, texts: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        method, _, key = name.rpartition(".")
        if not (method and key.isidentifier() and equals):
            raise click.BadParameter(
                f"got '{text}', expected METHOD.NAME=VALUE: syncnet.edge=valid"
            )
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        found.setdefault(method, {})[key] = parsed
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
@click.option(
    "--protocol",
    "rules",
    default="kim-strict-5",
    show_default=True,
    metavar="NAME",
    help="Rules of asking; 'avbench protocols' lists them.",
)
@click.option(
    "--shards",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that build-shards wrote.",
)
@click.option(
    "--dataset",
    metavar="NAME",
    help="Data set of an installed package, in place of --shards.",
)
@click.option(
    "--dataset-option",
    "dataset_options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="Passed to the data set: where its files lie, for instance.",
)
@click.option("--split", default="test", show_default=True)
@click.option(
    "--lengths",
    default=None,
    callback=_lengths,
    help="Window lengths in 25 fps frames, such as 11,13,15,20.  [default: as the protocol says]",
)
@click.option(
    "--search",
    type=click.IntRange(1),
    default=None,
    help="Offsets are drawn from, and looked for in, this many frames either way; the protocol "
    "takes its name from it.  [default: as the protocol says]",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=None,
    help="Fresh draws of all offsets and windows.  [default: as the protocol says]",
)
@click.option(
    "--windows-per-clip",
    type=click.IntRange(1),
    default=None,
    help="Windows per clip, length and repeat.  [default: as the protocol says]",
)
@click.option(
    "--tolerances",
    default=None,
    callback=_lengths,
    help="Errors in frames that still count as right, such as 0,1,2.  [default: as the protocol "
    "says]",
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
    "--option",
    "method_options",
    multiple=True,
    metavar="METHOD.NAME=VALUE",
    callback=_options,
    help="Option of a method, such as syncnet.edge=valid (no zeros for sound outside the window).",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory for predictions, scores and the table; an earlier run's are replaced.",
)
@click.option("--limit", type=click.IntRange(1), default=None, help="Only the first clips.")
@click.option(
    "--condition",
    default="",
    metavar="TEXT",
    help="What sets these numbers apart from others of the same methods and data, such as what "
    "they were trained on; rows of two conditions never share a rank.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=lambda: os.cpu_count() or 1,
    help="Clips decoded and embedded at once; results do not depend on it.  [default: all CPUs]",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Directory of embeddings that later runs use again.  [default: $AVBENCH_CACHE, else "
    "avbench/embeddings in your directory of caches]",
)
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    r"""Measure methods on a shard set and print the table.

    Every method is asked the same questions: windows of the clips whose sound was displaced by
    a known offset, or whose pictures were dropped and duplicated, under the rules of a protocol.
    Clips are embedded once per network, and the embeddings are kept: another run over the same
    clips, with other lengths, repeats or methods, takes seconds. An interrupted run goes on where
    it stopped when the same command is run again.

    \b
    Examples:
      avbench run --method all --shards demo/shards --out demo/results
      avbench run --method sync-e2e --method diag-avg --shards demo/shards --out demo/two
      avbench run --method constant --reference none --shards demo/shards --out demo/smoke --limit 8
      avbench run --method syncnet --checkpoint syncnet=my.safetensors --shards demo/shards --out my
      avbench run --method all --protocol pm-window-15 --shards demo/shards --out demo/pm
      avbench run --method skip-dtw --protocol tae-local --shards demo/shards --out demo/local
      avbench run --method syncnet --option syncnet.edge=valid --shards demo/shards --out valid

    \b
    In Python:
      from avbench.results import read_run
      read_run(Path("demo/results")).predictions.groupby("method").failure.count()
    """
    from avbench import datasets, protocols
    from avbench.alignment_task import task_of

    task = task_of(
        protocols.get(options["rules"]),
        **{n: options[n] for n in _TASK},
    )
    data = _open(options)
    datasets.check_split(data, options["split"])  # known before any network is loaded
    asked = ctx.get_parameter_source("reference") is not click.core.ParameterSource.DEFAULT
    methods, reference = _load(
        options["names"],
        options["reference"],
        asked,
        options["checkpoints"],
        options["method_options"],
        task,
    )
    block = _describe(task, methods, reference, data, options)
    _measure(task, methods, data, options, block)
    _report(options["out"])


def _open(options: dict[str, Any]) -> Dataset:
    from avbench import datasets
    from avbench.shards import open_set

    if (options["shards"] is None) == (options["dataset"] is None):
        raise UsageError("say what to measure on: either --shards DIR or --dataset NAME")
    if options["dataset"]:
        return datasets.load(options["dataset"], **options["dataset_options"])
    return open_set(options["shards"])


def _load(
    names: Sequence[str],
    reference: str,
    reference_asked: bool,
    checkpoints: dict[str, Path],
    method_options: dict[str, dict[str, Any]],
    task: AnyTask,
) -> tuple[list[Method], str | None]:
    """Load the methods by name, and the reference beside them.

    A method that was named must load; one that is there by ``all``, or as a reference nobody asked
    for, is left out with a word where it cannot be, or where the protocol is not for it.
    """
    from avbench import methods
    from avbench.benchmark import unfit

    wanted = {name: True for name in names if name != ALL}
    if reference != NONE and reference_asked:
        wanted[reference] = True
    for name in methods.available() if ALL in names else ():
        wanted.setdefault(name, False)
    if reference != NONE:
        wanted.setdefault(reference, False)
    for flag, named in (("checkpoint", checkpoints), ("option", method_options)):
        if unused := set(named) - set(wanted):
            raise UsageError(
                f"--{flag} names {', '.join(sorted(unused))}, which is not measured; "
                "add it with --method"
            )
    loaded: dict[str, Method] = {}
    others = []
    for name, wished in wanted.items():
        required = wished or name in checkpoints or name in method_options
        try:
            given = method_options.get(name, {})
            found = methods.load(name, checkpoints.get(name), search=task.search, **given)
        except AvbenchError as error:
            if required:
                raise
            click.echo(f"{name} is left out: {error}", err=True)
            continue
        reason = unfit(found, task)
        if reason and required:
            raise UsageError(reason)
        if reason:
            others.append(name)
        else:
            loaded[name] = found
    if others:
        click.echo(f"{', '.join(others)}: left out, {task.protocol} is not for them", err=True)
    if not loaded:
        raise AvbenchError("no installed method can be loaded; 'avbench methods' says why")
    if reference in loaded and reference not in names and ALL not in names:
        click.echo(f"{reference} is measured too: error reductions are relative to it", err=True)
    return list(loaded.values()), reference if reference in loaded else None


def _describe(
    task: AnyTask,
    methods: Sequence[Method],
    reference: str | None,
    data: Dataset,
    options: dict[str, Any],
) -> dict[str, JSON]:
    """Collect what the numbers are about to be measured with."""
    from avbench.results import environment, identify

    facts = {m.name: identify(m, options["checkpoints"].get(m.name)) for m in methods}
    for name, given in options["method_options"].items():
        facts[name]["options"] = given
    return {
        **environment(threads=1),
        "task": task.describe(),
        "dataset": data.name,
        "synthetic": data.synthetic,
        "split": options["split"],
        "limit": options["limit"],
        **({"condition": options["condition"]} if options["condition"] else {}),
        "shards_sha256": data.sha256,
        "reference": reference,
        "methods": facts,
    }


def _measure(
    task: AnyTask,
    methods: Sequence[Method],
    data: Dataset,
    options: dict[str, Any],
    block: dict[str, JSON],
) -> None:
    """Evaluate and write; the answers are kept in a journal until the results are written."""
    from avbench.benchmark import evaluate
    from avbench.cache import EmbeddingCache, default_directory
    from avbench.journal import Journal
    from avbench.results import write_run
    from avbench.shards import MANIFEST, ShardSet, write_json

    relevant = {k: v for k, v in block.items() if k not in _ASIDE}
    fingerprint = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()
    out, split, limit = options["out"], options["split"], options["limit"]
    started = perf_counter()
    samples = data.count(split)
    cache = EmbeddingCache(options["cache"] or default_directory(), block["decoder"])
    with Journal(out / "answers.partial.jsonl", fingerprint) as journal:
        if journal:
            click.echo(f"going on after {len(journal)} clips of an interrupted run", err=True)
        outcome = evaluate(
            methods,
            data.items(split, limit),
            task,
            reference=block["reference"],
            dataset=block["dataset"],
            split=split,
            total=min(samples, limit or samples),
            workers=options["workers"],
            cache=cache,
            journal=journal,
        )
        if isinstance(data, ShardSet):
            write_json(out / MANIFEST, dict(data.manifest))
        described = outcome.describe(block)
        write_run(out, outcome.predictions, outcome.scores, described, started=started)
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
