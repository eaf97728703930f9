"""Pictures of matrices: which offset is taken for which, and similarity of sound and picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from avbench.data import FloatArray
from avbench.errors import DataError
from avbench.plots import style
from avbench.similarity import diagonal_means, pick_offset

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def part_of(predictions: pd.DataFrame, method: str, length: int) -> pd.DataFrame:
    """Return what one method said at one window length.

    Raises
    ------
    DataError
        If it said nothing.
    """
    part = predictions[(predictions["method"] == method) & (predictions["length"] == length)]
    if part.empty:
        raise DataError(f"there are no predictions of {method} at {length} frames to draw")
    return part


def titled(method: str, part: pd.DataFrame) -> str:
    """Name a method and how many questions it left unanswered."""
    unanswered = int(part["predicted"].isna().sum())
    return f"{method} ({unanswered} unanswered)" if unanswered else method


def confusion(
    predictions: pd.DataFrame, *, methods: Sequence[str], length: int, width: float | None = None
) -> Figure:
    """Draw which offsets are taken for which, one panel a method.

    Parameters
    ----------
    predictions
        As from `avbench.benchmark.evaluate`.
    methods
        One panel each.
    length
        Window length in frames.
    width
        Inches; 2.5 a panel, at most three beside each other, where None.

    Returns
    -------
    Figure
        Rows are true offsets and sum to 100 % with the unanswered questions, which are named in
        the title; columns are predicted offsets.

    Raises
    ------
    DataError
        If a method has no predictions at this length.
    """
    parts = {method: part_of(predictions, method, length) for method in methods}
    everything = [s.dropna() for p in parts.values() for s in (p["offset"], p["predicted"])]
    reach = max(int(np.abs(s.to_numpy(dtype=float)).max(initial=1)) for s in everything)
    _, columns = style.shape(len(parts), 3)
    if width is None:
        width = 2.5 * columns + 0.9
    lines, columns = style.shape(len(parts), min(columns, int(width / 1.45)))
    with style.styled():
        side = (width - 0.9) / columns
        figure = style.new_figure(width, (side + 0.1) * lines + 0.5)
        shown = style.panels(figure, len(parts), columns, sharex=True, sharey=True)
        for axes, (method, part) in zip(shown, parts.items(), strict=True):
            picture = _confusion_panel(axes, part, reach, side)
            axes.set_title(titled(method, part))
        figure.supxlabel(f"Predicted offset (frames), windows of {length} frames")
        figure.supylabel("True offset (frames)")
        bar = figure.colorbar(picture, ax=shown, shrink=0.75, aspect=25)
        bar.set_label("Share of the true offset (%)")
        bar.outline.set_linewidth(0.0)
    return figure


def confusion_table(
    predictions: pd.DataFrame, *, methods: Sequence[str], length: int
) -> pd.DataFrame:
    """Return what `confusion` draws: how often each answer was given to each true offset.

    Unanswered questions have no ``predicted``.
    """
    chosen = predictions[predictions["method"].isin(methods) & (predictions["length"] == length)]
    keys = ["method", "offset", "predicted"]
    return chosen.groupby(keys, dropna=False).size().rename("count").reset_index()


def _confusion_panel(axes: Axes, part: pd.DataFrame, reach: int, side: float) -> Any:
    """Draw one method's shares; a cell above five percent carries its number, if it has room."""
    size = 2 * reach + 1
    counts = np.zeros((size, size))
    known = part.dropna(subset=["predicted"])
    truth = known["offset"].to_numpy(dtype=np.int64) + reach
    said = known["predicted"].to_numpy(dtype=np.int64) + reach
    np.add.at(counts, (truth, said), 1)
    asked = np.bincount(part["offset"].to_numpy(dtype=np.int64) + reach, minlength=size)
    shares = 100 * counts / np.maximum(asked, 1)[:, None]
    edge = reach + 0.5
    picture = axes.imshow(
        shares, cmap="Blues", vmin=0, vmax=100, extent=(-edge, edge, edge, -edge), rasterized=True
    )
    points = 0.42 * 72 * 0.85 * side / size  # two digits take about as much as they are high
    for row, column in np.argwhere(shares >= 5) if points >= 4 else ():
        axes.text(
            column - reach,
            row - reach,
            f"{shares[row, column]:.0f}",
            ha="center",
            va="center",
            fontsize=min(6.0, points),
            color="white" if shares[row, column] > 50 else style.INK,
        )
    step = max(1, reach // (5 if side > 1.9 else 2))
    ticks = list(range(-(reach // step) * step, reach + 1, step))
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.tick_params(labelsize=7, length=2)
    style.no_spines(axes)
    return picture


def similarity(
    matrix: FloatArray, *, offset: int | None, search: int, title: str = "", width: float = 6.6
) -> Figure:
    """Draw a window's similarity matrix beside its mean response per candidate offset.

    Parameters
    ----------
    matrix
        Cosine similarity, rows audio and columns video (`avbench.similarity`); shape (N, N).
    offset
        The true offset in frames, whose diagonal is marked; None where it is unknown.
    search
        Range of candidate offsets in frames.
    title
        Printed above.
    width
        Inches; a narrow figure has the two below each other.
    """
    responses = diagonal_means(matrix, search)
    wide = width >= style.WIDE
    with style.styled():
        figure = style.new_figure(width, 0.44 * width if wide else 1.45 * width)
        if wide:
            left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.15))
        else:
            left, right = figure.subplots(2, 1, height_ratios=(1.3, 1.0))
        picture = left.imshow(matrix, cmap="cividis", origin="upper", rasterized=True)
        bar = figure.colorbar(picture, ax=left, shrink=0.85, aspect=25)
        bar.set_label("Cosine similarity")
        bar.outline.set_linewidth(0.0)
        left.set_xlabel("Video row (frames)")
        left.set_ylabel("Audio row (frames)")
        style.no_spines(left)
        if offset is not None:
            mark_diagonal(left, len(matrix), offset)
        _responses(right, responses, offset, search)
        if title:
            figure.suptitle(title)
    return figure


def mark_diagonal(axes: Axes, size: int, offset: int, color: str = "white") -> None:
    """Frame the diagonal of an offset with two lines, so that its values stay visible."""
    first, last = max(0, -offset), min(size, size - offset)
    for shift in (-0.75, 0.75):
        rows = np.array([first - 0.5, last - 0.5])
        axes.plot(
            rows + offset + shift,
            rows,
            color=color,
            linewidth=0.9,
            linestyle=(0, (3, 2)),
            scalex=False,
            scaley=False,
        )


def _responses(axes: Axes, responses: FloatArray, offset: int | None, search: int) -> None:
    candidates = np.arange(-search, search + 1)
    answer, _, _ = pick_offset(-responses, search)
    finite = np.isfinite(responses)
    axes.vlines(candidates[finite], 0, responses[finite], color="#C9D6DF", linewidth=3.0)
    axes.plot(candidates[finite], responses[finite], "o", color=style.PALETTE[0])
    best = float(responses[answer + search])
    axes.plot([answer], [best], "o", color=style.PALETTE[1], markersize=6.5)
    axes.annotate(
        f"answer {answer:+d}",
        (answer, best),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        color=style.PALETTE[1],
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )
    if offset is not None:
        axes.axvline(offset, color=style.FAINT, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    axes.axhline(0, color=style.INK, linewidth=0.7)
    axes.margins(y=0.16)
    axes.set_xticks(candidates if search <= 8 else candidates[::5])
    axes.set_xlabel("Candidate offset (frames)\n← video leads      audio leads →")
    axes.set_ylabel("Mean similarity on its diagonal")
