"""``avbench selftest``: test whether a method keeps the contract of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from avbench.errors import AvbenchError


def _options(ctx: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.isidentifier() and equals):
            raise click.BadParameter(f"got '{text}', expected NAME=VALUE such as search=10")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


@click.command("selftest")
@click.option(
    "--method",
    required=True,
    metavar="NAME",
    help="An installed method, of any package; see 'avbench methods'.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="File to load it from; the shipped one otherwise.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_options,
    help="Option of the method's load, such as search=10; repeat it for several.",
)
@click.option(
    "--shards",
    type=click.Path(file_okay=False, path_type=Path),
    help="Test on clips of this shard set, for methods that cannot read drawn heads.",
)
@click.option("--split", help="Split of the shard set.  [default: all]")
@click.option(
    "--limit",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    help="Clips to test on: drawn heads, or from the shards.",
)
@click.option(
    "--windows-per-clip",
    "windows",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Windows that are asked about at every offset; fewer for slow methods.",
)
@click.option(
    "--check",
    "only",
    multiple=True,
    metavar="NAME",
    help="Run this check, and those that it rests on; repeat it for several.  [default: all]",
)
@click.option(
    "--json",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the report as JSON.",
)
def command(
    method: str,
    checkpoint: Path | None,
    options: dict[str, Any],
    shards: Path | None,
    split: str | None,
    limit: int,
    windows: int,
    only: Sequence[str],
    target: Path | None,
) -> None:
    r"""Test whether a method keeps the contract that the benchmark relies on.

    Draws a few talking heads in memory and asks the method about them: sign and bias of its
    offsets, equivariance, locality of its embeddings, independence of batch, order, threads and
    process, silence and noise, the truth it must not see, and the decoder under it. Says in words
    what is wrong, what usually causes it and how to mend it. Exits with 1 when a check fails.

    \b
    Examples:
      avbench selftest --method sync-e2e
      avbench selftest --method my-method --checkpoint my.safetensors --option search=10
      avbench selftest --method my-method --check sign --check bias
      avbench selftest --method my-method --shards filmed/shards --split val --json report.json

    \b
    In Python:
      from avbench import selftest
      print(selftest.run("sync-e2e").to_text())
    """
    from avbench import selftest
    from avbench.shards import read_clips, write_json

    clips = None if shards is None else list(read_clips(shards, split, limit))
    report = selftest.run(
        method,
        checkpoint=checkpoint,
        options=options,
        clips=clips,
        heads=limit,
        windows=windows,
        only=only,
        progress=True,
    )
    if target is not None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_json(target, report.to_json())
        except OSError as error:
            raise AvbenchError(f"{target} cannot be written: {error.strerror}") from error
    click.echo(report.to_text())
    if not report.ok:
        raise SystemExit(1)
