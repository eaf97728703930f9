"""Figures for papers, from results and embeddings.

Every function returns a matplotlib figure and touches no global state; `save` writes it as PNG, PDF
or SVG, the same bytes for the same input. Colours are those of Okabe and Ito, which readers with
any colour vision tell apart; methods differ by marker too, for print in grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avbench.data import FloatArray
from avbench.errors import DataError, UsageError
from avbench.metrics.offset import chance
from avbench.results import Score
from avbench.similarity import diagonal_means, pick_offset

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of Okabe and Ito, without the yellow that vanishes on white."""
MARKERS = "osD^vPX"
_INK, _FAINT = "#333333", "#8A8A8A"
_STYLE: Any = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": _INK,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,
    "svg.hashsalt": "avbench",
}


def accuracy(
    scores: Iterable[Score], *, search: int, methods: Sequence[str] | None = None
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

    Returns
    -------
    Figure
        One colour and marker a method, the strongest first in the legend; bars show the standard
        deviation over the repeats.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = [row for row in scores if row.metric.startswith("accuracy@") and row.value is not None]
    rows = [row for row in rows if methods is None or row.method in methods]
    if not rows:
        raise DataError("there are no accuracies of these methods to draw")
    tolerances = sorted({int(row.metric.partition("@")[2]) for row in rows})
    lengths = sorted({row.window for row in rows})
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 3.3), layout="constrained", dpi=200)
        axes = figure.subplots()
        for tolerance, dashes in zip(tolerances, _dashes(), strict=False):
            level = 100 * chance(search, tolerance)
            axes.axhline(level, color=_FAINT, linewidth=0.8, linestyle=dashes, zorder=1)
        for place, method in enumerate(_by_strength(rows)):
            look: dict[str, Any] = {"color": PALETTE[place % 7], "marker": MARKERS[place % 7]}
            for tolerance, dashes in zip(tolerances, _dashes(), strict=False):
                _curve(axes, rows, method, tolerance, linestyle=dashes, **look)
            axes.plot([], [], label=method, **look)
        _legends(axes, tolerances)
        axes.set_xticks(lengths)
        axes.set_xlim(lengths[0] - 0.6, lengths[-1] + 0.6)
        axes.set_ylim(0, 101)
        axes.set_xlabel("Window length (frames of 40 ms)")
        axes.set_ylabel("Accuracy (%)")
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure


def _dashes() -> tuple[Any, ...]:
    return ("solid", (0, (4, 2)), (0, (1, 1.5)), (0, (4, 1.5, 1, 1.5)))


def _by_strength(rows: Sequence[Score]) -> list[str]:
    mean = {
        method: np.mean(
            [row.value for row in rows if row.method == method and row.value is not None]
        )
        for method in {row.method for row in rows}
    }
    return sorted(mean, key=lambda method: (-float(mean[method]), method))


def _curve(axes: Axes, rows: Sequence[Score], method: str, tolerance: int, **look: Any) -> None:
    wanted = [r for r in rows if (r.method, r.metric) == (method, f"accuracy@{tolerance}")]
    wanted.sort(key=lambda row: row.window)
    axes.errorbar(
        [row.window for row in wanted],
        [100 * (row.value or 0) for row in wanted],
        [100 * (row.std or 0) for row in wanted],
        capsize=1.8,
        elinewidth=0.8,
        markerfacecolor="white" if tolerance else look["color"],
        markeredgecolor=look["color"],
        markeredgewidth=0.9,
        **look,
    )


def _legends(axes: Axes, tolerances: Sequence[int]) -> None:
    from matplotlib.lines import Line2D

    kinds = [
        Line2D([], [], color=_INK, linestyle=dashes, label=_name(tolerance))
        for tolerance, dashes in zip(tolerances, _dashes(), strict=False)
    ]
    kinds.append(Line2D([], [], color=_FAINT, linewidth=0.8, label="chance"))
    methods, _ = axes.get_legend_handles_labels()
    where: dict[str, Any] = {"loc": "upper left", "borderaxespad": 0.0, "handlelength": 2.4}
    first = axes.legend(handles=methods, bbox_to_anchor=(1.03, 1.0), **where)
    axes.add_artist(first)
    where["loc"] = "lower left"
    axes.legend(handles=kinds, bbox_to_anchor=(1.03, 0.0), **where)


def _name(tolerance: int) -> str:
    if tolerance == 0:
        return "exact"
    return f"within ±{tolerance} frame{'' if tolerance == 1 else 's'}"


def confusion(predictions: pd.DataFrame, *, methods: Sequence[str], length: int) -> Figure:
    """Draw which offsets are taken for which, one panel a method.

    Parameters
    ----------
    predictions
        As from `avbench.benchmark.evaluate`.
    methods
        One panel each.
    length
        Window length in frames.

    Returns
    -------
    Figure
        Rows are true offsets and sum to 100 % with the unanswered questions, which are named in
        the title; columns are predicted offsets.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    parts = {}
    for method in methods:
        chosen = (predictions["method"] == method) & (predictions["length"] == length)
        parts[method] = predictions[chosen]
        if not chosen.any():
            raise DataError(f"there are no predictions of {method} at {length} frames to draw")
    everything = [s.dropna() for p in parts.values() for s in (p["offset"], p["predicted"])]
    reach = max(int(np.abs(s.to_numpy(dtype=float)).max(initial=1)) for s in everything)
    columns = len(parts) if len(parts) <= 3 else 2 if len(parts) == 4 else 3
    lines = math.ceil(len(parts) / columns)
    with mpl.rc_context(_STYLE):
        size = (2.5 * columns + 0.9, 2.6 * lines + 0.3)
        figure = Figure(figsize=size, layout="constrained", dpi=200)
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat[len(parts) :]:
            axes.remove()
        shown = grid.flat[: len(parts)]
        for axes, (method, part) in zip(shown, parts.items(), strict=True):
            picture = _confusion_panel(axes, part, reach)
            unanswered = int(part["predicted"].isna().sum())
            missing = f" ({unanswered} unanswered)" if unanswered else ""
            axes.set_title(f"{method}, {length} frames{missing}")
        figure.supxlabel("Predicted offset (frames)", fontsize=9, color=_INK)
        figure.supylabel("True offset (frames)", fontsize=9, color=_INK)
        bar = figure.colorbar(picture, ax=list(shown), shrink=0.75, aspect=25)
        bar.set_label("Share of the true offset (%)")
        bar.outline.set_linewidth(0.0)
    return figure


def _confusion_panel(axes: Axes, part: pd.DataFrame, reach: int) -> Any:
    """Draw one method's shares; a cell above five percent also carries its number."""
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
    for row, column in np.argwhere(shares >= 5):
        axes.text(
            column - reach,
            row - reach,
            f"{shares[row, column]:.0f}",
            ha="center",
            va="center",
            fontsize=max(3.0, 5.5 - 0.1 * reach),
            color="white" if shares[row, column] > 50 else _INK,
        )
    ticks = range(-reach, reach + 1, max(1, reach // 5))
    axes.set_xticks(list(ticks))
    axes.set_yticks(list(ticks))
    axes.tick_params(labelsize=7, length=2)
    for side in axes.spines.values():
        side.set_visible(False)
    return picture


def similarity(matrix: FloatArray, *, offset: int | None, search: int, title: str = "") -> Figure:
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
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    responses = diagonal_means(matrix, search)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.6, 2.9), layout="constrained", dpi=200)
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.15))
        picture = left.imshow(matrix, cmap="cividis", origin="upper", rasterized=True)
        bar = figure.colorbar(picture, ax=left, shrink=0.85, aspect=25)
        bar.set_label("Cosine similarity")
        bar.outline.set_linewidth(0.0)
        left.set_xlabel("Video row (frames)")
        left.set_ylabel("Audio row (frames)")
        for side in left.spines.values():
            side.set_visible(False)
        if offset is not None:
            _mark_diagonal(left, len(matrix), offset)
        _responses(right, responses, offset, search)
        if title:
            figure.suptitle(title, fontsize=9, color=_INK)
    return figure


def _mark_diagonal(axes: Axes, size: int, offset: int) -> None:
    """Frame the diagonal of an offset with two lines, so that its values stay visible."""
    first, last = max(0, -offset), min(size, size - offset)
    for shift in (-0.75, 0.75):
        rows = np.array([first - 0.5, last - 0.5])
        axes.plot(
            rows + offset + shift,
            rows,
            color="white",
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
    axes.plot(candidates[finite], responses[finite], "o", color=PALETTE[0])
    best = float(responses[answer + search])
    axes.plot([answer], [best], "o", color=PALETTE[1], markersize=6.5)
    axes.annotate(
        f"answer {answer:+d}",
        (answer, best),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        color=PALETTE[1],
    )
    if offset is not None:
        axes.axvline(offset, color=_FAINT, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    axes.axhline(0, color=_INK, linewidth=0.7)
    axes.margins(y=0.16)
    axes.set_xticks(candidates if search <= 8 else candidates[::5])
    axes.set_xlabel("Candidate offset (frames)\n← video leads      audio leads →")
    axes.set_ylabel("Mean similarity on its diagonal")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, PDF or SVG, by the ending of ``path``.

    Raises
    ------
    UsageError
        If the ending is another one.
    """
    import matplotlib as mpl

    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise UsageError(f"got figure {path}, expected a name that ends in .png, .pdf or .svg")
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with mpl.rc_context(_STYLE):
        figure.savefig(part, format=kind, metadata=dates.get(kind, {"Software": None}))
    part.replace(path)
