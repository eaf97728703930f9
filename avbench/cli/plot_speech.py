"""``avbench plot speech``: accuracy against how much of a window is speech."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.cli._clips import SHARDS
from avbench.cli._figures import data_option, figure_options, write, write_data
from avbench.cli._results import LENGTH, METHODS, RESULTS, TOLERANCE, longest, methods_to_draw, read
from avbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray


@click.command("speech", short_help="Accuracy against the speech in a window.")
@RESULTS
@SHARDS
@METHODS
@LENGTH
@TOLERANCE
@data_option
@figure_options
def speech(
    results: Path,
    shards: Path,
    names: Sequence[str],
    length: int | None,
    tolerance: int,
    data: Path | None,
    **out: Any,
) -> None:
    r"""Draw accuracy against the share of speech in the sound of a window.

    In silence there is nothing to synchronise. This tells how much of what a method gets wrong is
    silence, in corpora whose recordings begin and end with it. RESULTS is a directory that avbench
    run wrote, --shards what it measured on. With --data, every share also comes with the accuracy
    in all windows that have at least as much.

    \b
    Examples:
      avbench plot speech grid/results --shards grid/shards --length 20 --tolerance 1 \
          --out speech.pdf
      avbench plot speech grid/results --shards grid/shards --data speech.csv --out speech.png
    """
    from avbench import plots

    run = read(results)
    if "displacement" not in run.predictions:
        raise DataError(f"{results} holds no offsets of windows; name the results of such a run")
    options: dict[str, Any] = {"length": longest(run, length), "tolerance": tolerance}
    spoken = _spoken(shards, set(run.predictions["key"]))
    methods = methods_to_draw(run, names)
    table = plots.speech_table(run.predictions, spoken, methods=methods, **options)
    write_data(data, table)
    write(plots.speech, out, table, **options)


def _spoken(shards: Path, keys: Collection[str]) -> dict[str, NDArray[np.bool_]]:
    """Listen to the clips of these keys."""
    from avbench.media import read_sound
    from avbench.progress import track
    from avbench.shards import open_set
    from avbench.speech import speaking

    found = open_set(shards)
    samples = track(found.samples(), "listening", found.count(), "clip")
    return {s.key: speaking(read_sound(s.sound)) for s in samples if s.key in keys}
