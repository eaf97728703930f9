"""Two matrices of each of several clips: before and after training, or with their gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from avbench.data import FloatArray
from avbench.errors import DataError
from avbench.plots import style
from avbench.plots.matrices import mark_diagonal
from avbench.similarity import diagonal_means

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Twin:
    """Two matrices of one window; rows are audio, columns video."""

    key: str
    offset: int
    """The true one, in frames; positive: audio leads."""
    top: FloatArray
    """Shape (N, N)."""
    bottom: FloatArray
    """Shape (N, N)."""


def contrast(matrix: FloatArray, offset: int) -> float:
    """Return how far the diagonal of an offset stands out from the two beside it.

    Mean over its elements, less the mean of the means of the neighbours that exist; the narrower
    a pattern, the higher.
    """
    means = diagonal_means(matrix, abs(offset) + 1)
    place = offset + abs(offset) + 1
    beside = means[[place - 1, place + 1]]
    return float(means[place] - beside[np.isfinite(beside)].mean())


def twin_table(twins: Sequence[Twin], names: tuple[str, str]) -> pd.DataFrame:
    """Return what is drawn: a row per window, matrix and element."""
    import pandas as pd

    parts = []
    for place, twin in enumerate(twins):
        for name, matrix in zip(names, (twin.top, twin.bottom), strict=True):
            audio, video = np.indices(matrix.shape)
            facts = {"panel": place, "key": twin.key, "offset": twin.offset, "matrix": name}
            values = {"audio": audio.ravel(), "video": video.ravel(), "value": matrix.ravel()}
            parts.append(pd.DataFrame({**facts, **values}))
    return pd.concat(parts, ignore_index=True)


def before_after(
    twins: Sequence[Twin], *, names: tuple[str, str] = ("before", "after"), width: float = 6.6
) -> Figure:
    """Draw similarity matrices of the same windows before (top) and after (bottom) training.

    The figure is that of Kim et al. (2021, Fig. 7).

    Parameters
    ----------
    twins
        Similarities of each window, as one extractor and then as another sees them.
    names
        Of the two extractors.
    width
        Inches; windows that do not fit beside each other go below.

    Returns
    -------
    Figure
        One scale of colours for each extractor; the diagonal of the true offset is framed, and
        a title says how far it stands out from its neighbours (`contrast`).

    Raises
    ------
    DataError
        If there are no windows.
    """
    _check(twins)
    looks = [
        {
            "cmap": "cividis",
            "vmin": min(float(part(twin).min()) for twin in twins),
            "vmax": max(float(part(twin).max()) for twin in twins),
        }
        for part in (_top, _bottom)
    ]
    titles = [
        [f"offset {twin.offset:+d}\n{_contrasted(twin.top, twin.offset)}" for twin in twins],
        [_contrasted(twin.bottom, twin.offset) for twin in twins],
    ]
    labels = names if width < style.WIDE else [f"Similarity, {name}" for name in names]
    return _grid(twins, looks, titles, labels, "white", width, least=0.95)


def gradients(twins: Sequence[Twin], *, width: float = 6.6) -> Figure:
    """Draw similarity matrices (top) and what a classifier looks at in them (bottom).

    The figure is that of Kim et al. (2021, Fig. 6).

    Parameters
    ----------
    twins
        Similarity of each window and the gradient on it, as from
        `avbench.models.saliency.gradient`.
    width
        Inches; windows that do not fit beside each other go below.

    Returns
    -------
    Figure
        Gradients on one scale, zero white: where positive, more similarity speaks for the true
        offset.

    Raises
    ------
    DataError
        If there are no windows.
    """
    _check(twins)
    reach = max(float(np.abs(twin.bottom).max()) for twin in twins) or 1.0
    looks = [
        {
            "cmap": "cividis",
            "vmin": min(float(twin.top.min()) for twin in twins),
            "vmax": max(float(twin.top.max()) for twin in twins),
        },
        {"cmap": "PuOr_r", "vmin": -reach, "vmax": reach},
    ]
    titles = [[f"offset {twin.offset:+d}" for twin in twins], ["" for _ in twins]]
    return _grid(twins, looks, titles, ("Similarity", "Gradient"), style.INK, width)


def _top(twin: Twin) -> FloatArray:
    return twin.top


def _bottom(twin: Twin) -> FloatArray:
    return twin.bottom


def _contrasted(matrix: FloatArray, offset: int) -> str:
    return f"contrast {contrast(matrix, offset):.2f}"


def _check(twins: Sequence[Twin]) -> None:
    if not twins:
        raise DataError("there are no windows to draw")


def _grid(
    twins: Sequence[Twin],
    looks: Sequence[dict[str, Any]],
    titles: Sequence[Sequence[str]],
    labels: Sequence[str],
    frame: str,
    width: float,
    least: float = 0.75,
) -> Figure:
    """Draw the two matrices of each window below each other, windows side by side.

    As many go into a line as have room for titles of ``least`` inches.
    """
    from matplotlib.ticker import MaxNLocator

    lines, columns = style.shape(len(twins), max(1, int((width - 0.9) / least)))
    side = min(1.5, (width - 1.4) / columns)
    with style.styled():
        figure = style.new_figure(width, lines * (2 * side + 0.6) + 0.4)
        figure.set_layout_engine("compressed")
        grid = np.asarray(figure.subplots(2 * lines, columns, squeeze=False, sharex=True))
        pictures: dict[int, Any] = {}
        for place, twin in enumerate(twins):
            line, column = divmod(place, columns)
            for half, matrix in enumerate((twin.top, twin.bottom)):
                axes = grid[2 * line + half, column]
                pictures[half] = axes.imshow(matrix, origin="upper", rasterized=True, **looks[half])
                mark_diagonal(axes, len(matrix), twin.offset, color="white" if not half else frame)
                axes.set_title(titles[half][place])
                if column == 0:
                    axes.set_ylabel(labels[half])
                _plain(axes, last=half == 1)
        for axes in grid.reshape(lines, 2, columns)[
            -1, :, len(twins) - (lines - 1) * columns :
        ].flat:
            axes.remove()
        for number, row in enumerate(grid):
            shown = [axes for axes in row if axes.figure is not None]
            low, high = pictures[number % 2].get_clim()
            ticks = MaxNLocator(4 if width >= style.WIDE else 2).tick_values(low, high)
            inside = [float(tick) for tick in ticks if low <= tick <= high]
            bar = figure.colorbar(pictures[number % 2], ax=shown, aspect=16, ticks=inside)
            bar.ax.tick_params(labelsize=7, length=2)
            bar.outline.set_linewidth(0.0)
        figure.supxlabel("Video row (frames)")
        figure.supylabel("Audio row (frames)")
    return figure


def _plain(axes: Axes, *, last: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):  # set one by one: locator_params would rescale the axes
        axis.set_major_locator(MaxNLocator(3, integer=True))
    axes.tick_params(labelsize=7, length=2, labelbottom=last)
    style.no_spines(axes)
