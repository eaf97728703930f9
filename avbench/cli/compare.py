"""``avbench compare``: methods of several runs in pairs, question by question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avbench.errors import UsageError

if TYPE_CHECKING:
    from avbench.results import Run


@click.command("compare")
@click.argument("results", nargs=-1, required=True, metavar="[NAME=]RESULTS...")
@click.option(
    "--pool",
    is_flag=True,
    help="The runs are trainings of the same methods: compare the means over all runs, or, "
    "where runs share a NAME, over the runs of each name.",
)
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    metavar="A,B",
    help="Show A minus B; repeat it for several.  [default: each method and the one before it, "
    "in the order of --method]",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="Method to compare; repeat it for several.  [default: all but those that are told the "
    "truth]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "md", "latex", "json"]),
    default="text",
    show_default=True,
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File to write.  [default: the terminal]",
)
def command(
    results: Sequence[str],
    pool: bool,
    pairs: Sequence[str],
    methods: Sequence[str],
    form: str,
    out: Path | None,
) -> None:
    r"""Compare methods across runs that asked the same questions.

    RESULTS are directories that avbench run wrote. A run holds every method once; two checkpoints
    or two options of one method are measured in two runs and compared here, where a method is
    called NAME/METHOD and NAME is the directory's unless it is given. All numbers are paired by
    question; intervals are over recordings or speakers, and p-values are Holm's over all pairs.

    \b
    Examples:
      avbench compare runs/angular runs/contrastive --method syncnet
      avbench compare zero=runs/a valid=runs/b --pair valid/syncnet,zero/syncnet
      avbench compare --pool runs/seed-0 runs/seed-1 runs/seed-2 \
          --method syncnet --method diag-avg --method sync-cls
      avbench compare --pool old=runs/old-0 old=runs/old-1 new=runs/new-0 new=runs/new-1
      avbench compare runs/angular runs/contrastive --format json --out pairs.json

    \b
    In Python:
      from avbench import joint
      from avbench.results import read_run
      joint.comparisons(joint.stacked(runs), runs)   # runs: {"seed-0": read_run(...), ...}
    """
    from avbench import joint
    from avbench.shards import to_json, write_atomic

    groups = _read(results, pool)
    runs = {name: run for group in groups.values() for name, run in group.items()}
    if len(groups) > 1:
        predictions = joint.arms(groups)
    else:
        predictions = joint.stacked(runs) if pool else joint.side_by_side(runs)
    present = [str(name) for name in predictions["method"].unique()]
    wanted = _wanted(present, methods)
    told = {name for run in runs.values() for name in _told(run)}
    ranked = [name for name in wanted if methods or name.rpartition("/")[2] not in told]
    if len(ranked) < 2:
        raise UsageError(
            f"there is nothing to compare with {', '.join(ranked) or 'nothing'}; name more runs "
            "or methods"
        )
    unranked = [name for name in present if name not in ranked]
    found = joint.comparisons(predictions, runs, unranked)
    shown = [_pair(pair) for pair in pairs] or list(zip(ranked[1:], ranked, strict=False))
    if form == "json":
        content = to_json(found)
    else:
        table = joint.differences_table(found, shown, _caption(groups, pool))
        makers = {"text": table.to_text, "md": table.to_markdown, "latex": table.to_latex}
        content = makers[form]()
    if out is None:
        click.echo(content, nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, content.encode())
        click.echo(f"{out}")


def _read(results: Sequence[str], pool: bool) -> dict[str, dict[str, Run]]:
    """Read runs by arm and name, in the order given; there are arms where a name comes twice."""
    from avbench.results import read_run

    named = []
    for given in results:
        name, equals, folder = given.partition("=")
        path = Path(folder if equals else given)
        named.append((name if equals else path.resolve().name, path))
    several = pool and len({name for name, _ in named}) < len(named)
    groups: dict[str, dict[str, Run]] = {}
    for name, path in named:
        group = groups.setdefault(name if several else "", {})
        known = str(path.resolve()) if several else name
        if known in group:
            raise UsageError(
                f"the run {path} is given twice"
                if several
                else f"two runs are called '{name}'; name one of them: other={path}"
            )
        group[known] = read_run(path)
    return groups


def _told(run: Run) -> list[str]:
    methods = run.block.get("methods", {})
    return [name for name, facts in methods.items() if facts.get("sees_truth")]


def _wanted(present: Sequence[str], methods: Sequence[str]) -> list[str]:
    """Return the methods asked for, by full name or by that within its run, in the order asked."""
    if not methods:
        return list(present)
    wanted = []
    for method in methods:
        found = [name for name in present if method in (name, name.rpartition("/")[2])]
        if not found:
            raise UsageError(f"no run holds a method '{method}'; there are {', '.join(present)}")
        wanted += found
    return list(dict.fromkeys(wanted))


def _pair(text: str) -> tuple[str, str]:
    first, comma, second = text.partition(",")
    if not (first and comma and second):
        raise UsageError(f"got --pair {text}, expected two methods such as sync-cls,diag-avg")
    return first.strip(), second.strip()


def _caption(groups: dict[str, dict[str, Run]], pool: bool) -> str:
    group = next(iter(groups.values()))
    task = next(iter(group.values())).block["task"]
    how = names = ", ".join(group)
    if "" not in groups:  # Trainings of an arm are told apart by paths, which nobody needs to see.
        how = f"{', '.join(groups)}, each the mean over {len(group)} trainings"
    elif pool:
        how = f"mean over {len(group)} runs ({names})"
    return f"Paired comparison, {task['protocol']} v{task['version']}: {how}"
