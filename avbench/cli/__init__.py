"""The ``avbench`` command: one module per subcommand, imported when it is invoked.

Exit codes: 0 done; 1 something went wrong that the message explains; 2 the request itself is
wrong; 3 bad data; 4 a missing optional dependency; 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from avbench import __version__
from avbench.errors import AvbenchError

COMMANDS = {
    "doctor": "Say what is installed, what is missing and how to get it.",
    "synth": "Make the embedded corpus: drawn talking heads with planted truth.",
    "build-shards": "Turn videos into facetracks and WebDataset shards.",
    "export": "Write a shard set as LRS-style folders, Parquet or for Hugging Face.",
    "pipeline": "Measure how right and how fast the pipeline is on this machine.",
    "inspect": "Look into a shard set: totals, samples, pictures.",
    "why": "Say what became of one source file of a build, and what to change to keep it.",
    "pages": "Show every source of a shard set as pages for the browser.",
    "overlay": "Draw tracks, reasons and sync scores into a source video.",
    "stats": "Count what shard sets hold: splits, pairs, hours, offsets, drift.",
    "train": "Fit a method on a shard set.",
    "refine": "Refuse tracks whose sound does not belong, by networks trained on the others.",
    "import-weights": "Turn weights that others released into a checkpoint.",
    "methods": "List the installed methods.",
    "protocols": "List the rules under which numbers may be compared.",
    "selftest": "Test whether a method keeps the contract of the benchmark.",
    "run": "Measure methods on a shard set.",
    "redub": "Retime one speaker's picture to another's voice, and measure how well.",
    "sync": "Say how early or late the sound of videos is, and mend it.",
    "align": "Repair a video whose sound and picture drift apart.",
    "study": "Ask people which videos are real: make the study, read the answers.",
    "lse": "Measure the lip-sync error (LSE-D, LSE-C) of a shard set.",
    "compare": "Compare methods across runs that asked the same questions.",
    "table": "Write the table of a finished run: text, Markdown, LaTeX, CSV, Parquet.",
    "leaderboard": "Show, check and publish reported and measured numbers.",
    "plot": "Draw figures from the results of runs.",
}
"""Subcommand name -> one line for the overview; the module is the name with underscores."""


class _LazyGroup(click.Group):
    """A group whose subcommands are imported only when invoked, so that help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"avbench.cli.{cmd_name.replace('-', '_')}")
        return _with_breaks(module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AvbenchError as error:
            click.echo(f"avbench: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("avbench: interrupted; run the same command again to go on", err=True)
            ctx.exit(130)


def _with_breaks(command: click.Command) -> click.Command:
    r"""Let ``\b`` in raw docstrings mean to click what it means in others: keep these lines."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    for nested in getattr(command, "commands", {}).values():
        _with_breaks(nested)
    return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="avbench")
def main() -> None:
    r"""Turn raw video of talking people into lip-sync datasets, and measure every method on them.

    \b
    A first tour, on drawn talking heads:
      avbench synth --out demo/videos --videos 24 --pool test
      avbench build-shards demo/videos --out demo/shards
      avbench run --method sync-e2e --shards demo/shards --out demo/results
    """


_with_breaks(main)

if __name__ == "__main__":
    sys.exit(main())
