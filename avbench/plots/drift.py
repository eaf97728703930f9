"""How far sound and picture run apart in clips with dropped and duplicated frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from avbench.data import IntArray
from avbench.distort import Law, alignment_of, drop_duplicate, rng_for
from avbench.errors import DataError
from avbench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAWS: tuple[Law, ...] = ("tae2020", "symmetric")


def drawn_offsets(law: Law, *, clips: int, length: int, limit: int = 25, seed: int = 0) -> IntArray:
    """Draw the true offsets of clips that a law damages.

    Parameters
    ----------
    law
        One of `avbench.distort`.
    clips, length
        How many, and frames of each.
    limit
        Bound on the running displacement, in frames.
    seed
        The same seed gives the same clips.

    Returns
    -------
    IntArray
        Video index minus audio index; positive: audio leads; shape (clips, length).
    """
    rows = []
    for clip in range(clips):
        rng = rng_for(seed, "drift", law, clip)
        shown = drop_duplicate(length, rng=rng, law=law, limit=limit)
        rows.append(alignment_of(shown, length).video_index - np.arange(length))
    return np.array(rows, dtype=np.int64)


def drift(offsets: Mapping[str, IntArray], *, width: float = 6.6) -> Figure:
    """Draw how true offsets spread as a clip goes on, and which offsets there are in all.

    Parameters
    ----------
    offsets
        Label -> offsets in frames; shape (clips, length), the lengths may differ.
    width
        Inches; a narrow figure has the two panels below each other.

    Returns
    -------
    Figure
        Left the mean over clips at each audio frame, and the range that holds 80 % of them;
        right the share of all audio frames at each offset. A law without bias stays at zero,
        until sound past the last picture has only that to belong to.

    Raises
    ------
    DataError
        If there is nothing to draw.
    """
    from matplotlib.lines import Line2D

    if not offsets or any(rows.size == 0 for rows in offsets.values()):
        raise DataError("there are no clips with offsets to draw")
    wide = width >= style.WIDE
    looks = style.looks(offsets)
    with style.styled():
        figure = style.new_figure(width, 0.36 * width if wide else 1.35 * width)
        over, share = figure.subplots(1, 2) if wide else figure.subplots(2, 1)
        for name, rows in offsets.items():
            _over_time(over, rows, looks[name]["color"])
            _shares(share, rows, looks[name]["color"])
        over.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
        over.set_xlabel("Audio frame (40 ms)")
        over.set_ylabel("True offset (frames)")
        share.axvline(0, color=style.FAINT, linewidth=0.8, zorder=1)
        share.set_xlabel("True offset (frames)\n← video leads      audio leads →")
        share.set_ylabel("Share of audio frames (%)")
        share.set_ylim(bottom=0)
        handles = [
            Line2D([], [], color=looks[name]["color"], label=_named(name, rows))
            for name, rows in offsets.items()
        ]
        style.legend_above(figure, handles, width)
    return figure


def _named(name: str, rows: IntArray) -> str:
    return f"{name}: mean {round(float(rows.mean()), 1) + 0.0:+.1f}"


def _over_time(axes: Axes, rows: IntArray, color: str) -> None:
    time = np.arange(rows.shape[1])
    low, high = np.quantile(rows, [0.1, 0.9], axis=0)
    axes.fill_between(time, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(time, rows.mean(axis=0), color=color)


def _shares(axes: Axes, rows: IntArray, color: str) -> None:
    values, counts = np.unique(rows, return_counts=True)
    every = np.arange(values[0] - 1, values[-1] + 2)
    found = np.zeros(len(every))
    found[values - every[0]] = 100 * counts / rows.size
    axes.step(every, found, where="mid", color=color)
