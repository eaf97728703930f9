"""Forest plot of paired differences: which methods can be told apart, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from avbench.data import JSON
from avbench.errors import DataError
from avbench.labels import label
from avbench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _Gap:
    """The difference of one pair of methods at one window length, as it is shown."""

    pair: tuple[str, str]
    window: int
    value: float
    low: float | None
    high: float | None
    told_apart: bool


def differences(
    comparisons: Mapping[str, JSON],
    *,
    metric: str = "accuracy@0",
    methods: Sequence[str] | None = None,
    against: str | None = None,
    windows: Sequence[int] | None = None,
    width: float = 5.6,
) -> Figure:
    """Draw how much more one method scores than another on the same questions.

    Parameters
    ----------
    comparisons
        The paired comparisons of a run (`avbench.results.Run.comparisons`).
    metric
        What to compare.
    methods
        Those to draw; all where None.
    against
        Draw each method minus this one; every pair, the better minus the other, where None.
    windows
        Window lengths in frames; all where None.
    width
        Inches.

    Returns
    -------
    Figure
        A line a pair, on it a point with its 95 % interval for each window length; filled where
        the test, corrected for the number of pairs, tells the two apart. One interval alone
        may leave out zero where the corrected test does not.

    Raises
    ------
    DataError
        If there is no such pair.
    """
    gaps = [
        gap
        for gap in _gaps(comparisons, metric, against)
        if (methods is None or all(name in methods or name == against for name in gap.pair))
        and (windows is None or gap.window in windows)
    ]
    if not gaps:
        raise DataError(f"there are no paired differences of {metric} between these methods")
    if against is None:
        gaps = _better_first(gaps)
    pairs = _largest_first(gaps)
    lengths = sorted({gap.window for gap in gaps})
    with style.styled():
        from matplotlib.lines import Line2D

        row = 0.1 * len(lengths) + 0.1
        figure = style.new_figure(width, row * len(pairs) + 0.65)
        axes = figure.subplots()
        looks = style.looks(map(str, lengths))
        step = 0.75 / max(1, len(lengths))
        for gap in gaps:
            place = pairs.index(gap.pair) + step * (lengths.index(gap.window) + 0.5) - 0.375
            _draw(axes, gap, place, **looks[str(gap.window)])
        axes.axvline(0, color=style.INK, linewidth=0.7, zorder=1)
        axes.set_yticks(range(len(pairs)), [f"{a} − {b}" for a, b in pairs])  # noqa: RUF001
        axes.set_ylim(len(pairs) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        what = f"Difference in {_unit(metric)}, with 95 % interval"
        figure.supxlabel(style.fill(what, width))
        handles = [
            Line2D([], [], linestyle="none", label=f"{length} frames", **looks[str(length)])
            for length in lengths
        ]
        hollow: dict[str, Any] = {"color": style.INK, "marker": "o", "markerfacecolor": "white"}
        handles.append(Line2D([], [], linestyle="none", label="not told apart", **hollow))
        style.legend_above(figure, handles, width)
    return figure


def _unit(metric: str) -> str:
    title = label(metric).title
    return f"{title[0].lower()}{title[1:]}".replace("(%)", "(percentage points)")


def _gaps(comparisons: Mapping[str, JSON], metric: str, against: str | None) -> Iterator[_Gap]:
    scale = label(metric).scale
    for cell in comparisons.get("cells", ()):
        for pair in cell["pairs"] if cell["metric"] == metric else ():
            a, b = pair["a"], pair["b"]
            ends = [pair["low"], pair["high"]]
            sign = -1.0 if against == a else 1.0
            if against is not None and against not in (a, b):
                continue
            low, high = (None if end is None else scale * sign * end for end in ends[:: int(sign)])
            yield _Gap(
                pair=(b, a) if sign < 0 else (a, b),
                window=cell["window"],
                value=scale * sign * pair["difference"],
                low=low,
                high=high,
                told_apart=bool(pair["significant"]),
            )


def _better_first(gaps: Sequence[_Gap]) -> list[_Gap]:
    """Turn pairs round whose mean difference is negative."""
    means = {p: np.mean([g.value for g in gaps if g.pair == p]) for p in {g.pair for g in gaps}}
    return [gap if means[gap.pair] >= 0 else _turned(gap) for gap in gaps]


def _turned(gap: _Gap) -> _Gap:
    low, high = (None if end is None else -end for end in (gap.high, gap.low))
    return _Gap((gap.pair[1], gap.pair[0]), gap.window, -gap.value, low, high, gap.told_apart)


def _largest_first(gaps: Sequence[_Gap]) -> list[tuple[str, str]]:
    means = {p: np.mean([g.value for g in gaps if g.pair == p]) for p in {g.pair for g in gaps}}
    return sorted(means, key=lambda pair: (-float(means[pair]), pair))


def _draw(axes: Axes, gap: _Gap, place: float, *, color: str, marker: str) -> None:
    if gap.low is not None and gap.high is not None:
        axes.plot([gap.low, gap.high], [place, place], color=color, linewidth=1.1, zorder=2)
    axes.plot(
        [gap.value],
        [place],
        color=color,
        marker=marker,
        markerfacecolor=color if gap.told_apart else "white",
        zorder=3,
    )
