"""The look of all figures, and how they are written.

Colours are those of Okabe and Ito, which readers with any colour vision tell apart; methods
differ by marker too, for print in grey. Letters have the same size whatever the width, so a
figure is to be drawn at the width it will have in print (`avbench.venues`) and not scaled.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avbench.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of Okabe and Ito, without the yellow that vanishes on white."""
MARKERS = "osD^vPX"
DASHES: tuple[Any, ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)), (0, (4, 1.5, 1, 1.5)))
INK, FAINT, GRID = "#333333", "#8A8A8A", "#E6E6E6"
WIDE = 4.6
"""Inches from which on a legend stands beside the axes, not above."""
DPI = 200
"""Dots per inch on a screen."""
PRINT_DPI = 400
"""Dots per inch of pictures in print, where IEEE asks for 300 at least."""
_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.labelsize": 8,
    "figure.titlesize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlepad": 4,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": INK,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.2,
    "pdf.fonttype": 42,
    "svg.hashsalt": "avbench",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of all figures; nothing outside the context is touched."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, whose parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


def looks(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Give each method a colour and a marker; no two of up to 49 look the same."""
    return {
        method: {"color": PALETTE[place % 7], "marker": MARKERS[(place + place // 7) % 7]}
        for place, method in enumerate(methods)
    }


def shape(count: int, most: int) -> tuple[int, int]:
    """Return lines and columns of a grid for so many panels, its lines as even as they can be.

    >>> shape(5, most=4), shape(4, most=4), shape(3, most=1)
    ((2, 3), (1, 4), (3, 1))
    """
    lines = -(-count // max(1, most))
    return lines, -(-count // lines)


def panels(figure: Figure, count: int, columns: int, **options: Any) -> list[Axes]:
    """Return so many axes in a grid, row by row, the last row shorter where it must be."""
    lines = -(-count // columns)
    grid: Sequence[Axes] = list(np.ravel(figure.subplots(lines, columns, squeeze=False, **options)))
    for axes in grid[count:]:
        axes.remove()
    for axes in grid[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)  # also where the panel below was taken away
    return list(grid[:count])


def legend_above(figure: Figure, handles: Sequence[Any], width: float) -> None:
    """Put one legend above all axes, and make the figure as much higher as it takes.

    It has as many columns as the width has room for.
    """
    longest = max(len(str(handle.get_label())) for handle in handles)
    room = max(1, int(width * 72 / (26 + 4.2 * longest)))
    columns = min(room, len(handles))
    lines = -(-len(handles) // columns)
    columns = -(-len(handles) // lines)
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.155 * lines)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.2)


def fill(text: str, width: float) -> str:
    """Break a text into lines that are not wider than so many inches; its own breaks stay."""
    room = max(8, int(width * 72 / 4.4))
    return "\n".join(textwrap.fill(line, room) for line in text.split("\n"))


def no_spines(axes: Axes) -> None:
    """Take the frame away from a picture."""
    for side in axes.spines.values():
        side.set_visible(False)


def save(figure: Figure, path: Path, kind: str | None = None, *, dpi: int = DPI) -> None:
    """Write a figure as PNG, PDF or SVG; the same figure gives the same bytes.

    Parameters
    ----------
    figure
        From one of the functions of `avbench.plots`.
    path
        Its folder is made if absent.
    kind
        ``png``, ``pdf`` or ``svg``; by the ending of ``path`` where None.
    dpi
        Dots per inch of a PNG, and of the pictures in the others.

    Raises
    ------
    UsageError
        If the ending is another one, or says something else than ``kind``.
    """
    ending = path.suffix.lower().removeprefix(".")
    kind = kind or ending
    if kind not in FORMATS:
        raise UsageError(f"got figure {path}, expected a name that ends in .png, .pdf or .svg")
    if ending in FORMATS and ending != kind:
        raise UsageError(f"got figure {path} and format {kind}; let them agree")
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with styled():
        figure.savefig(part, format=kind, dpi=dpi, metadata=dates.get(kind, {"Software": None}))
    part.replace(path)
