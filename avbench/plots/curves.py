"""Curves over window lengths: accuracy, and reported beside measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from avbench.errors import DataError
from avbench.labels import within
from avbench.leaderboard.rows import MEASURED, Row
from avbench.plots import style
from avbench.results import Score
from avbench.tables.beside import groups_of, metric_title
from avbench.tables.notes import chance_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Spread = Literal["interval", "repeats"]
_BARS = {"interval": "95 % interval", "repeats": "std. over repeats"}


@dataclass(frozen=True)
class _Point:
    """One number of a curve, in percent, with its bar."""

    window: int
    value: float
    below: float = 0.0
    above: float = 0.0


def accuracy(
    scores: Iterable[Score],
    *,
    search: int,
    methods: Sequence[str] | None = None,
    spread: Spread = "interval",
    truth: str = "uniform",
    width: float = 5.6,
) -> Figure:
    """Draw accuracy against window length: exact solid, within a tolerance dashed.

    Parameters
    ----------
    scores
        Rows of one task and data set; only accuracies are drawn.
    search
        Range of the offsets in frames, for the lines of chance.
    methods
        Those to draw; all where None.
    spread
        What the bars show: the 95 % ``interval``, or the standard deviation over ``repeats``.
    truth
        How true offsets are drawn, for the lines of chance: ``uniform`` or ``centre``.
    width
        Inches.

    Returns
    -------
    Figure
        One colour and marker a method, the strongest first in the legend.

    Raises
    ------
    DataError
        If nothing is there to draw, or no accuracy has the interval asked for.
    """
    rows = [row for row in scores if row.metric.startswith("accuracy@") and row.value is not None]
    rows = [row for row in rows if methods is None or row.method in methods]
    if not rows:
        raise DataError("there are no accuracies of these methods to draw")
    if spread == "interval" and all(row.low is None for row in rows):
        raise DataError("these results hold no 95 % intervals; measure again, or draw repeats")
    tolerances = sorted({int(row.metric.partition("@")[2]) for row in rows})
    lengths = sorted({row.window for row in rows})
    wide = width >= style.WIDE
    with style.styled():
        figure = style.new_figure(width, 0.57 * width if wide else 0.85 * width)
        axes = figure.subplots()
        for tolerance, dashes in zip(tolerances, style.DASHES, strict=False):
            level = 100 * chance_level(search, tolerance, truth)
            axes.axhline(level, color=style.FAINT, linewidth=0.8, linestyle=dashes, zorder=1)
        names = _by_strength(rows)
        for method, look in style.looks(names).items():
            for tolerance, dashes in zip(tolerances, style.DASHES, strict=False):
                wanted = (method, f"accuracy@{tolerance}")
                points = [_point(r, spread) for r in rows if (r.method, r.metric) == wanted]
                _curve(axes, points, hollow=tolerance > 0, linestyle=dashes, **look)
        _windows(axes, lengths)
        _legends(figure, axes, style.looks(names), tolerances, spread, width)
    return figure


def accuracy_table(
    scores: Iterable[Score], *, methods: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return what `accuracy` draws, as fractions: a row per method, window length and metric."""
    import pandas as pd

    columns = ["method", "window", "metric", "value", "low", "high", "std", "n"]
    rows = [
        [getattr(row, column) for column in columns]
        for row in scores
        if row.metric.startswith("accuracy@")
        and row.value is not None
        and (methods is None or row.method in methods)
    ]
    return pd.DataFrame(rows, columns=columns)


def _windows(axes: Axes, lengths: Sequence[int]) -> None:
    axes.set_xticks(list(lengths))
    axes.set_xlim(lengths[0] - 0.6, lengths[-1] + 0.6)
    axes.set_ylim(0, 102)
    axes.set_xlabel("Window length (frames of 40 ms)")
    axes.set_ylabel("Accuracy (%)")
    axes.grid(axis="y")


def _point(row: Score, spread: Spread) -> _Point:
    value = 100 * (row.value or 0.0)
    if spread == "repeats":
        return _Point(row.window, value, 100 * (row.std or 0), 100 * (row.std or 0))
    if row.low is None or row.high is None:
        return _Point(row.window, value)
    # Rounding may put an end of the interval a hair on the wrong side of the value.
    return _Point(
        row.window, value, max(0.0, value - 100 * row.low), max(0.0, 100 * row.high - value)
    )


def _by_strength(rows: Sequence[Score]) -> list[str]:
    mean = {
        method: np.mean(
            [row.value for row in rows if row.method == method and row.value is not None]
        )
        for method in {row.method for row in rows}
    }
    return sorted(mean, key=lambda method: (-float(mean[method]), method))


def _curve(axes: Axes, points: Iterable[_Point], *, hollow: bool, **look: Any) -> None:
    wanted = sorted(points, key=lambda point: point.window)
    axes.errorbar(
        [point.window for point in wanted],
        [point.value for point in wanted],
        [[point.below for point in wanted], [point.above for point in wanted]],
        capsize=1.8,
        elinewidth=0.8,
        markerfacecolor="white" if hollow else look["color"],
        markeredgecolor=look["color"],
        markeredgewidth=0.9,
        **look,
    )


def _legends(
    figure: Figure,
    axes: Axes,
    methods: Mapping[str, Mapping[str, Any]],
    tolerances: Sequence[int],
    spread: Spread,
    width: float,
) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], label=method, **look) for method, look in methods.items()]
    kinds = [
        Line2D([], [], color=style.INK, linestyle=dashes, label=within(tolerance))
        for tolerance, dashes in zip(tolerances, style.DASHES, strict=False)
    ]
    bar: Any = {"marker": "|", "markersize": 8, "markeredgewidth": 0.9, "linestyle": "none"}
    kinds.append(Line2D([], [], color=style.INK, label=_BARS[spread], **bar))
    kinds.append(Line2D([], [], color=style.FAINT, linewidth=0.8, label="chance"))
    if width < style.WIDE:
        style.legend_above(figure, [*lines, *kinds], width)
        return
    where: dict[str, Any] = {"borderaxespad": 0.0}
    first = axes.legend(handles=lines, bbox_to_anchor=(1.03, 1.0), loc="upper left", **where)
    axes.add_artist(first)
    axes.legend(handles=kinds, bbox_to_anchor=(1.03, 0.0), loc="lower left", **where)


def reported(
    rows: Iterable[Row],
    *,
    metric: str = "accuracy@0",
    methods: Sequence[str] | None = None,
    width: float = 6.6,
) -> Figure:
    """Draw reported beside measured numbers against window length.

    Parameters
    ----------
    rows
        As from `avbench.leaderboard.rows`; those of other metrics, without a window length or a
        value, of chance, or that frame a table only, are left out.
    metric
        A proportion, in percent.
    methods
        Those to draw; all where None.
    width
        Inches.

    Returns
    -------
    Figure
        A panel for each set of rows that may be compared, never two in one; a method looks the
        same in all of them. Hollow: reported, with the spread over repeats where it is printed;
        filled: measured, with the 95 % interval.

    Raises
    ------
    DataError
        If nothing is there to draw.
    """
    chosen = [
        row
        for row in rows
        if row.metric == metric
        and row.value is not None
        and row.window is not None
        and row.ranked
        and (methods is None or row.method in methods)
    ]
    if not chosen:
        raise DataError(f"there are no rows of {metric} with a window length to draw")
    groups = sorted(groups_of(chosen), key=lambda group: group[0].kind == MEASURED)
    lines, columns = style.shape(len(groups), int(width / 1.5))
    looks = style.looks(dict.fromkeys(row.method for row in _strongest_first(chosen)))
    lowest = min(row.value for row in chosen if row.value is not None)
    bottom = 0 if lowest < 40 else 10 * int((lowest - 5) / 10)
    with style.styled():
        from matplotlib.lines import Line2D

        height = lines * min(2.4, 0.85 * width / columns + 0.7) + 0.25
        figure = style.new_figure(width, height)
        for axes, group in zip(
            style.panels(figure, len(groups), columns, sharey=True), groups, strict=True
        ):
            _panel(axes, group, looks, width / columns)
            axes.set_ylim(bottom, 102)
        figure.supxlabel("Window length (frames of 40 ms)")
        figure.supylabel(metric_title(chosen[0]))
        handles = [Line2D([], [], label=method, **look) for method, look in looks.items()]
        style.legend_above(figure, handles, width)
    return figure


def _strongest_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-(row.value or 0.0), row.method))


def _panel(
    axes: Axes, group: Sequence[Row], looks: Mapping[str, Mapping[str, Any]], width: float
) -> None:
    first = group[0]
    ours = first.kind == MEASURED
    for method in dict.fromkeys(row.method for row in group):
        points = [_row_point(row) for row in group if row.method == method]
        _curve(axes, points, hollow=not ours, **looks[method])
    lengths = sorted({row.window for row in group if row.window is not None})
    axes.set_xticks(lengths)
    axes.set_xlim(lengths[0] - 0.8, lengths[-1] + 0.8)
    axes.grid(axis="y")
    version = "" if first.version is None else f" v{first.version}"
    data = f"{first.dataset}{' (drawn faces)' if first.drawn else ''}, {first.protocol}{version}"
    data += f", {first.condition}" if ours and first.condition else ""
    who = "Measured" if ours else f"Reported: {first.source.partition(':')[0].partition(';')[0]}"
    axes.set_title(style.fill(f"{who}\n{data}", width - 0.3))


def _row_point(row: Row) -> _Point:
    value, window = row.value or 0.0, row.window or 0
    if row.kind == MEASURED and row.low is not None and row.high is not None:
        return _Point(window, value, max(0.0, value - row.low), max(0.0, row.high - value))
    if row.kind != MEASURED and row.std is not None:
        return _Point(window, value, row.std, row.std)
    return _Point(window, value)
