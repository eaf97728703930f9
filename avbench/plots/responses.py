"""Mean distance against offset: synced, displaced and unrelated sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avbench.data import FloatArray
from avbench.errors import DataError
from avbench.plots import style
from avbench.plots.rows import SyncedRows, displaced, strangers
from avbench.similarity import pick_offset, pick_offsets, sliding_distances

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Responses:
    """Mean distances of clips under one condition."""

    curves: FloatArray
    """Offsets ascending; shape (clips, 2 * search + 1)."""
    offset: int | None
    """Where the trough belongs, in frames (positive: audio leads); None: nowhere."""


def response_curves(
    clips: Sequence[SyncedRows], *, search: int, shift: int
) -> dict[str, Responses]:
    """Compare pictures with their sound in sync and displaced, and with that of somebody else.

    Parameters
    ----------
    clips
        Of two sources at least.
    search
        Largest candidate offset in frames; every candidate has sound of its own.
    shift
        Offset of the displaced sound in frames; positive: audio leads.

    Returns
    -------
    dict
        ``synced``, ``shifted`` and ``unrelated``, over the same pictures where the sound of
        somebody else is as long.

    Raises
    ------
    DataError
        If there are no clips, one is too short, or all are of one source.
    """
    if not clips:
        raise DataError("there are no clips with a constant offset to draw")
    margin = search + abs(shift)
    cases = {
        "synced": (0, [clip.audio for clip in clips]),
        "shifted": (shift, [clip.audio for clip in clips]),
        "unrelated": (None, [other.audio for other in strangers(clips)]),
    }
    found = {}
    for name, (offset, sounds) in cases.items():
        curves = []
        for clip, sound in zip(clips, sounds, strict=True):
            cut = displaced(clip, sound, offset=offset or 0, margin=margin, search=search)
            curves.append(sliding_distances(*cut, search, edge="valid", lead=search))
        found[name] = Responses(np.array(curves), offset)
    return found


def response_table(found: Mapping[str, Responses], keys: Sequence[str]) -> pd.DataFrame:
    """Return what `responses` draws: a row per condition, clip and candidate offset."""
    import pandas as pd

    parts = []
    for name, case in found.items():
        search = case.curves.shape[1] // 2
        for key, curve in zip(keys, case.curves, strict=True):
            offsets = np.arange(-search, search + 1)
            parts.append(
                pd.DataFrame({"case": name, "key": key, "offset": offsets, "distance": curve})
            )
    return pd.concat(parts, ignore_index=True)


def responses(found: Mapping[str, Responses], *, width: float = 6.6) -> Figure:
    """Draw mean distance against offset, one panel a condition.

    The figure is that of Chung and Zisserman (2016, Fig. 8), over many clips in place of one.

    Parameters
    ----------
    found
        From `response_curves`.
    width
        Inches; a narrow figure has the panels below each other.

    Returns
    -------
    Figure
        Thin: single clips; thick: their mean. A title says how many troughs are at the true
        offset, and the mean confidence (median minus minimum) of the clips.
    """
    from matplotlib.lines import Line2D

    wide = width >= style.WIDE
    with style.styled():
        figure = style.new_figure(width, 0.36 * width if wide else 1.7 * width)
        columns = len(found) if wide else 1
        shown = style.panels(figure, len(found), columns, sharey=True, sharex=True)
        for axes, (name, case) in zip(shown, found.items(), strict=True):
            _curves(axes, case)
            axes.set_title(f"{_titled(name, case)}\n{_summary(case)}")
        figure.supxlabel("Candidate offset (frames)\n← video leads      audio leads →")
        figure.supylabel("Mean distance")
        handles = [
            Line2D([], [], color=style.FAINT, linewidth=0.7, label="one clip"),
            Line2D([], [], color=style.PALETTE[0], linewidth=1.8, label="mean"),
            Line2D([], [], color=style.PALETTE[1], linestyle=style.DASHES[1], label="true offset"),
        ]
        style.legend_above(figure, handles, width)
    return figure


def _titled(name: str, case: Responses) -> str:
    return f"shifted by {case.offset:+d}" if name == "shifted" else name


def _summary(case: Responses) -> str:
    search = case.curves.shape[1] // 2
    offsets, _, sure = pick_offsets(case.curves, search)
    mean = f"mean confidence {np.nanmean(sure):.2f}"
    if case.offset is None:
        return f"no true offset\n{mean}"
    return f"trough right in {int(np.sum(offsets == case.offset))} of {len(offsets)}\n{mean}"


def _curves(axes: Axes, case: Responses) -> None:
    search = case.curves.shape[1] // 2
    candidates = np.arange(-search, search + 1)
    for curve in case.curves:
        axes.plot(candidates, curve, color=style.FAINT, linewidth=0.5, alpha=0.5)
    mean = case.curves.mean(axis=0)
    axes.plot(candidates, mean, color=style.PALETTE[0], linewidth=1.8)
    if case.offset is not None:
        look = {"color": style.PALETTE[1], "linestyle": style.DASHES[1], "linewidth": 1.0}
        axes.axvline(case.offset, zorder=1, **look)
        trough, least, _ = pick_offset(mean, search)
        axes.plot([trough], [least], "o", color=style.PALETTE[1])
    axes.grid(axis="y")
