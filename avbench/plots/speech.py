"""Accuracy against how much of a window is speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avbench.data import FloatArray
from avbench.distort import rng_for
from avbench.errors import DataError
from avbench.labels import within
from avbench.plots import style
from avbench.plots.matrices import part_of
from avbench.statistics.clusters import Interval, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of speech between which windows are taken together; the last holds all-speech ones."""


def speech_table(
    predictions: pd.DataFrame,
    spoken: Mapping[str, NDArray[np.bool_]],
    *,
    methods: Sequence[str],
    length: int,
    tolerance: int = 0,
) -> pd.DataFrame:
    """Return how often methods are right in windows with so much speech.

    Parameters
    ----------
    predictions
        As from `avbench.benchmark.evaluate`, of one offset task.
    spoken
        Clip -> which frames of its sound speak, as from `avbench.speech.speaking`.
    methods
        Those to count.
    length
        Window length in frames.
    tolerance
        Largest error that counts as right, in frames.

    Returns
    -------
    DataFrame
        Two rows per method and range of `EDGES`: ``kind`` ``between`` counts the windows whose
        share of speech lies in [``least``, ``most``) (the last range holds its end), ``from``
        all with at least ``least``. ``questions``, ``share`` of all questions, ``value`` (the
        share answered rightly) and its 95 % interval ``low`` to ``high``, resampled by recording;
        NaN where there is none.

    Raises
    ------
    DataError
        If a clip that was asked about is not in ``spoken``.
    """
    import pandas as pd

    rows: list[list[Any]] = []
    for method in methods:
        part = part_of(predictions, method, length)
        shares = window_shares(part, spoken)
        said = part["predicted"].to_numpy(dtype=np.float64, na_value=np.nan)
        error = np.abs(part["offset"].to_numpy(dtype=np.float64) - said)
        right = np.nan_to_num(error, nan=np.inf) <= tolerance
        sources = part["source"].to_numpy()
        for least, most in pairwise(EDGES):
            enough = shares >= least
            below = (shares < most) | (most == EDGES[-1])
            for kind, chosen in (("between", enough & below), ("from", enough)):
                rng = rng_for(0, "speech", method, length, tolerance, kind, str(least))
                found = _interval(right[chosen], sources[chosen], rng)
                mean = right[chosen].mean() if chosen.any() else np.nan
                low, high = (np.nan if end is None else end for end in (found.low, found.high))
                count = int(chosen.sum())
                rows.append([method, kind, least, most, count, count / len(part), mean, low, high])
                if kind == "from":
                    rows[-1][3] = EDGES[-1]
    columns = ["method", "kind", "least", "most", "questions", "share", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def window_shares(part: pd.DataFrame, spoken: Mapping[str, NDArray[np.bool_]]) -> FloatArray:
    """Return the share of speech in the sound of every window.

    Raises
    ------
    DataError
        If a clip is not in ``spoken``.
    """
    shares = np.empty(len(part))
    columns = (part[name] for name in ("key", "start", "displacement", "length"))
    for place, (key, start, displacement, length) in enumerate(zip(*columns, strict=True)):
        if key not in spoken:
            raise DataError(f"clip {key} was measured and is not there; name its own shards")
        first = start + displacement
        shares[place] = spoken[key][first : first + length].mean()
    return shares


def _interval(
    right: NDArray[np.bool_], sources: NDArray[np.object_], rng: np.random.Generator
) -> Interval:
    if not len(right):
        return Interval(None, None, None, 0)
    return mean_interval(right, sources, rng=rng)


def speech(table: pd.DataFrame, *, length: int, tolerance: int, width: float = 5.6) -> Figure:
    """Draw accuracy against the share of speech, over how many windows have so much of it.

    Parameters
    ----------
    table
        As from `speech_table`.
    length, tolerance
        Those that it was made with, for the words.
    width
        Inches.

    Returns
    -------
    Figure
        A point per method and range, with its 95 % interval; bars show the share of all windows.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    between = table[(table["kind"] == "between") & (table["questions"] > 0)]
    looks = style.looks(dict.fromkeys(between["method"]))
    with style.styled():
        figure = style.new_figure(width, 0.57 * width if width >= style.WIDE else 0.85 * width)
        axes = figure.subplots()
        one = between[between["method"] == next(iter(looks))]
        middles = 50 * (one["least"] + one["most"])
        axes.bar(middles, 100 * one["share"], width=17, color=style.GRID, zorder=1)
        for place, (method, look) in enumerate(looks.items()):
            part = between[between["method"] == method]
            aside = 2.2 * (place - (len(looks) - 1) / 2)
            value = 100 * part["value"]
            below = (value - 100 * part["low"]).clip(lower=0).fillna(0)
            above = (100 * part["high"] - value).clip(lower=0).fillna(0)
            x = 50 * (part["least"] + part["most"]) + aside
            axes.errorbar(x, value, [below, above], elinewidth=0.8, linewidth=0.6, **look)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 102)
        axes.set_xlabel("Speech in the sound of a window (%)")
        axes.set_ylabel(f"Accuracy, {within(tolerance)} (%)")
        axes.set_title(f"Windows of {length} frames")
        handles: list[Any] = [Line2D([], [], label=name, **look) for name, look in looks.items()]
        handles.append(Patch(color=style.GRID, label="share of all windows"))
        style.legend_above(figure, handles, width)
    return figure
