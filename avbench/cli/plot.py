"""``avbench plot``: figures for papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.cli._figures import data_option, figure_options, write, write_data
from avbench.cli._results import LENGTH, METHODS, RESULTS, TOLERANCE, longest, methods_to_draw, read
from avbench.cli.plot_distances import pairs, responses
from avbench.cli.plot_patterns import before_after, gradients
from avbench.cli.plot_similarity import similarity
from avbench.cli.plot_speech import speech
from avbench.errors import DataError, UnknownName

if TYPE_CHECKING:
    from avbench.distort import Law
    from avbench.results import Run

KNOWS_NOTHING = "constant"
"""A method that frames a table and never ranks."""


@click.group("plot")
def command() -> None:
    r"""Draw figures from the results of runs.

    With --venue and --columns a figure is drawn as wide as it will be printed, its letters at the
    size they will have there; include it without scaling.

    \b
    Examples:
      avbench plot accuracy demo/results --out accuracy.pdf --venue interspeech
      avbench plot confusion demo/results --length 15 --out confusion.png
      avbench plot differences demo/results --out differences.pdf --venue cvpr --columns 2
      avbench plot similarity --shards demo/shards --offset 3 --out similarity.svg
    """


for drawn_from_clips in (similarity, responses, pairs, before_after, gradients, speech):
    command.add_command(drawn_from_clips)


@command.command("accuracy", short_help="Accuracy against window length.")
@RESULTS
@METHODS
@click.option(
    "--spread",
    type=click.Choice(["interval", "repeats"]),
    default="interval",
    show_default=True,
    help="What the bars show: the 95 % interval, or the standard deviation over repeats.",
)
@data_option
@figure_options
def accuracy(
    results: Path, names: Sequence[str], spread: str, data: Path | None, **out: Any
) -> None:
    r"""Draw accuracy against window length, with intervals and chance.

    RESULTS is a directory that avbench run wrote.

    \b
    Examples:
      avbench plot accuracy demo/results --out accuracy.pdf
      avbench plot accuracy demo/results --spread repeats --venue icassp --out accuracy.pdf
    """
    from avbench import plots

    run = read(results)
    task = run.block["task"]
    write_data(data, plots.accuracy_table(run.scores, methods=methods_to_draw(run, names)))
    write(
        plots.accuracy,
        out,
        run.scores,
        search=int(task["search"]),
        truth=task.get("rules", {}).get("truth", "uniform"),
        methods=methods_to_draw(run, names),
        spread=spread,
    )


@command.command("confusion", short_help="Which offsets are taken for which.")
@RESULTS
@METHODS
@LENGTH
@data_option
@figure_options
def confusion(
    results: Path, names: Sequence[str], length: int | None, data: Path | None, **out: Any
) -> None:
    r"""Draw which true offsets are taken for which, one panel a method.

    RESULTS is a directory that avbench run wrote.

    \b
    Examples:
      avbench plot confusion demo/results --length 11 --method sync-e2e --out confusion.png
    """
    from avbench import plots

    run = read(results)
    methods = methods_to_draw(run, names)
    options: dict[str, Any] = {"methods": methods, "length": longest(run, length)}
    write_data(data, plots.confusion_table(run.predictions, **options))
    write(plots.confusion, out, run.predictions, **options)


@command.command("risk-coverage", short_help="Wrong ones among the surest answers.")
@RESULTS
@METHODS
@LENGTH
@TOLERANCE
@figure_options
def risk_coverage(
    results: Path, names: Sequence[str], length: int | None, tolerance: int, **out: Any
) -> None:
    r"""Draw how many of the surest answers are wrong, against how many are relied on.

    RESULTS is a directory that avbench run wrote. Methods that give every answer the same
    confidence are left out unless they are named.

    \b
    Examples:
      avbench plot risk-coverage demo/results --length 20 --out risk.pdf --venue ieee
    """
    from avbench import plots

    run = read(results)
    length = longest(run, length)
    methods = _confident(run, names, length)
    options = {"methods": methods, "length": length, "tolerance": tolerance}
    write(plots.risk_coverage, out, run.predictions, **options)


@command.command("confidence", short_help="How sure right and wrong answers were.")
@RESULTS
@METHODS
@LENGTH
@TOLERANCE
@figure_options
def confidence(
    results: Path, names: Sequence[str], length: int | None, tolerance: int, **out: Any
) -> None:
    r"""Draw how sure right and wrong answers were, one panel a method.

    RESULTS is a directory that avbench run wrote. Methods that give every answer the same
    confidence are left out unless they are named.

    \b
    Examples:
      avbench plot confidence demo/results --length 20 --tolerance 1 --out confidence.pdf
    """
    from avbench import plots

    run = read(results)
    length = longest(run, length)
    methods = _confident(run, names, length)
    options = {"methods": methods, "length": length, "tolerance": tolerance}
    write(plots.confidence, out, run.predictions, **options)


@command.command("errors", short_help="Residual offsets and what viewers notice.")
@RESULTS
@METHODS
@LENGTH
@figure_options
def errors(results: Path, names: Sequence[str], length: int | None, **out: Any) -> None:
    r"""Draw what is left of the offset after correction, over the windows of perception.

    RESULTS is a directory that avbench run wrote. The windows are those of ITU-R BT.1359 and EBU
    R37; sound that is late is noticed later than sound that is early.

    \b
    Examples:
      avbench plot errors demo/results --method syncnet --method sync-e2e --out errors.pdf
    """
    from avbench import plots

    run = read(results)
    methods = methods_to_draw(run, names)
    write(plots.errors, out, run.predictions, methods=methods, length=longest(run, length))


@command.command("differences", short_help="Paired differences between methods.")
@RESULTS
@METHODS
@click.option("--metric", default="accuracy@0", show_default=True)
@click.option(
    "--against",
    default=None,
    metavar="NAME",
    help="Draw each method minus this one.  [default: every pair]",
)
@click.option("--length", "lengths", type=int, multiple=True, help="Window length.  [default: all]")
@figure_options
def differences(
    results: Path,
    names: Sequence[str],
    metric: str,
    against: str | None,
    lengths: Sequence[int],
    **out: Any,
) -> None:
    r"""Draw paired differences between methods with their 95 % intervals.

    RESULTS is a directory that avbench run wrote. A point is filled where the test, corrected for
    the number of pairs, tells the two methods apart.

    \b
    Examples:
      avbench plot differences demo/results --against syncnet --out differences.pdf
      avbench plot differences demo/results --metric accuracy@1 --length 20 --out pairs.png
    """
    from avbench import plots

    run = read(results)
    if not run.comparisons:
        raise DataError(f"{results} holds no paired comparisons; measure two methods or more")
    if against is not None:
        methods_to_draw(run, [against])
    if not names:  # what knows nothing is no rival, and would stretch the axis
        names = [name for name in methods_to_draw(run, ()) if name != KNOWS_NOTHING]
    write(
        plots.differences,
        out,
        run.comparisons,
        metric=metric,
        methods=methods_to_draw(run, names),
        against=against,
        windows=lengths or None,
    )


@command.command("reported", short_help="What papers report beside what was measured.")
@click.argument("leaderboards", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--protocol", default="kim-strict-5", show_default=True, help="Rules that the rows follow."
)
@click.option("--metric", default="accuracy@0", show_default=True)
@click.option(
    "--method", "names", multiple=True, metavar="NAME", help="Method to draw.  [default: all]"
)
@figure_options
def reported(
    leaderboards: Path, protocol: str, metric: str, names: Sequence[str], **out: Any
) -> None:
    r"""Draw what papers report beside what was measured, in panels that share no data.

    LEADERBOARDS is a folder with reported/ and measured/, such as leaderboards here.

    \b
    Examples:
      avbench plot reported leaderboards --out reported.pdf --venue neurips
      avbench plot reported leaderboards --protocol pm-window-15 --metric accuracy@1 --out pm.png
    """
    from avbench import plots
    from avbench.leaderboard.rows import read_measured, read_reported

    rows = [*read_reported(leaderboards), *read_measured(leaderboards)]
    if not rows:
        raise DataError(f"{leaderboards} holds neither reported nor measured rows")
    if protocol not in (known := {row.protocol for row in rows}):
        raise UnknownName("protocol", protocol, known)
    chosen = [row for row in rows if row.protocol == protocol]
    write(plots.reported, out, chosen, metric=metric, methods=list(names) or None)


@command.command("drift", short_help="How drop and duplicate laws drift.")
@click.option(
    "--law",
    "laws",
    type=click.Choice(["tae2020", "symmetric"]),
    multiple=True,
    help="Law to draw; repeat it for several.  [default: both]",
)
@click.option("--length", type=click.IntRange(1), default=79, show_default=True, help="Frames.")
@click.option("--clips", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--limit", type=click.IntRange(1), default=25, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@figure_options
def drift(laws: Sequence[Law], length: int, clips: int, limit: int, seed: int, **out: Any) -> None:
    r"""Draw how far sound and picture run apart under the laws that drop and duplicate frames.

    A law with a bias makes truth that a constant guess gets right too often.

    \b
    Examples:
      avbench plot drift --out drift.pdf --venue interspeech
      avbench plot drift --law symmetric --length 200 --out symmetric.png
    """
    from avbench import plots

    options = {"clips": clips, "length": length, "limit": limit, "seed": seed}
    chosen = laws or plots.LAWS
    write(plots.drift, out, {law: plots.drawn_offsets(law, **options) for law in chosen})


def _confident(run: Run, names: Sequence[str], length: int) -> list[str]:
    """Return the methods asked for, or all that say how sure they are."""
    from avbench import plots

    chosen = methods_to_draw(run, names)
    if names:
        return chosen
    found = [name for name in chosen if plots.has_confidence(run.predictions, name, length)]
    if not found:
        raise DataError(f"no method says how sure it is: {', '.join(chosen)}")
    return found
