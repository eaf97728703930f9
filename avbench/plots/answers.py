"""Figures of single answers: how surely they were given, and how far off they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from avbench.data import FloatArray
from avbench.errors import DataError
from avbench.labels import within
from avbench.metrics import confidence as selective
from avbench.metrics import perceptual
from avbench.plots import style
from avbench.plots.matrices import part_of, titled
from avbench.timing import FPS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

FEWEST = 20
"""A risk-coverage curve begins with so many answers; the share of wrong ones among fewer says
nothing."""
BANDS = ("bt1359-accept", "bt1359-detect", "ebu-r37")
"""Perceptual windows that are shaded, the widest first."""
_SHADES = ("#DDF0FB", "#AEDAF5", "#7FC4EE", "#56B4E9", "#2E93CC")
_POINTS = 300
_BINS = 30


def answered(
    predictions: pd.DataFrame, method: str, length: int, tolerance: int
) -> tuple[NDArray[np.bool_], FloatArray]:
    """Return for each question whether the answer was right, and how sure it was (NaN: unsaid)."""
    part = part_of(predictions, method, length)
    said = part["predicted"].to_numpy(dtype=np.float64, na_value=np.nan)
    error = np.abs(part["offset"].to_numpy(dtype=np.float64) - said)
    sure = part["confidence"].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.nan_to_num(error, nan=np.inf) <= tolerance, sure


def has_confidence(predictions: pd.DataFrame, method: str, length: int) -> bool:
    """Say whether a method says how sure it is, in more than one way."""
    _, sure = answered(predictions, method, length, 0)
    return len(np.unique(sure[np.isfinite(sure)])) > 1


def risk_coverage(
    predictions: pd.DataFrame,
    *,
    methods: Sequence[str],
    length: int,
    tolerance: int = 0,
    width: float = 4.8,
) -> Figure:
    """Draw what is wrong among the surest answers, against how many are relied on.

    Parameters
    ----------
    predictions
        As from `avbench.benchmark.evaluate`.
    methods
        Those to draw; each must say how sure it is.
    length
        Window length in frames.
    tolerance
        Largest error that counts as right, in frames.
    width
        Inches.

    Returns
    -------
    Figure
        A curve a method, with the area under it (the mean risk) in the legend; lower is better.
        It ends in the share of all questions that were answered wrongly.

    Raises
    ------
    DataError
        If a method never says how sure it is.
    """
    from matplotlib.lines import Line2D

    wide = width >= style.WIDE
    with style.styled():
        figure = style.new_figure(width, 0.62 * width if wide else 0.85 * width)
        axes = figure.subplots()
        handles = []
        for method, look in style.looks(methods).items():
            right, sure = answered(predictions, method, length, tolerance)
            if np.all(np.isnan(sure)):
                raise DataError(f"{method} never says how sure it is; choose other methods")
            curve = selective.risk_coverage(right, sure)
            least = min(FEWEST, len(right)) - 1
            picks = np.unique(np.linspace(least, len(right) - 1, _POINTS).astype(int))
            axes.plot(
                100 * curve.coverage[picks],
                100 * curve.risk[picks],
                color=look["color"],
                marker=look["marker"],
                markevery=(len(picks) - 1, len(picks)),
                clip_on=False,
            )
            area = selective.aurc(right, sure)
            handles.append(Line2D([], [], label=f"{method} (area {area:.3f})", **look))
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("Coverage: surest answers relied on (%)")
        axes.set_ylabel("Risk: wrong among them (%)")
        axes.set_title(f"Windows of {length} frames; right: {within(tolerance)}")
        axes.grid(axis="y")
        if wide:
            axes.legend(handles=handles, bbox_to_anchor=(1.03, 1.0), loc="upper left")
        else:
            style.legend_above(figure, handles, width)
    return figure


def confidence(
    predictions: pd.DataFrame,
    *,
    methods: Sequence[str],
    length: int,
    tolerance: int = 0,
    width: float = 6.6,
) -> Figure:
    """Draw how sure right and wrong answers were, one panel a method.

    Parameters
    ----------
    predictions, methods, length, tolerance, width
        As in `risk_coverage`.

    Returns
    -------
    Figure
        Two histograms a panel, of the questions answered rightly and wrongly, each in percent of
        all questions; in the title the chance that a right answer is surer than a wrong one. The
        scale of the confidence is each method's own.

    Raises
    ------
    DataError
        If a method never says how sure it is.
    """
    from matplotlib.patches import Patch

    lines, columns = style.shape(len(methods), int(width / 1.4))
    right_look: dict[str, Any] = {"color": style.PALETTE[0], "alpha": 0.55}
    wrong_look: dict[str, Any] = {"color": style.PALETTE[1], "alpha": 0.55}
    with style.styled():
        figure = style.new_figure(width, lines * min(2.0, 0.75 * width / columns + 0.3) + 0.35)
        shown = style.panels(figure, len(methods), columns, sharey=True)
        for axes, method in zip(shown, methods, strict=True):
            right, sure = answered(predictions, method, length, tolerance)
            known = np.isfinite(sure)
            if not known.any():
                raise DataError(f"{method} never says how sure it is; choose other methods")
            first, last = float(sure[known].min()), float(sure[known].max())
            edges = np.linspace(first, max(last, first + 1e-9), _BINS + 1).tolist()
            share = np.full(len(sure), 100 / len(sure))
            for chosen, look in ((known & right, right_look), (known & ~right, wrong_look)):
                axes.hist(sure[chosen], edges, weights=share[chosen], **look)
            area = selective.auroc(right, sure)
            shown_area = "no AUROC" if np.isnan(area) else f"AUROC {area:.2f}"
            axes.set_title(f"{method}\n{shown_area}")
            axes.locator_params(axis="x", nbins=4)
        what = f"Confidence, on each method's own scale (windows of {length} frames)"
        figure.supxlabel(style.fill(what, width))
        figure.supylabel("Share of all questions (%)")
        names = (within(tolerance), f"not {within(tolerance)}")
        looks = (right_look, wrong_look)
        handles = [Patch(label=n, **look) for n, look in zip(names, looks, strict=True)]
        style.legend_above(figure, handles, width)
    return figure


def errors(
    predictions: pd.DataFrame,
    *,
    methods: Sequence[str],
    length: int,
    bands: Sequence[str] = BANDS,
    width: float = 6.6,
) -> Figure:
    """Draw what is left of the offset after correction, over the windows of perception.

    Parameters
    ----------
    predictions, methods, length, width
        As in `confusion`; a panel a method.
    bands
        Names of `avbench.metrics.perceptual.WINDOWS` to shade, the widest first.

    Returns
    -------
    Figure
        Share of the questions by true minus predicted offset: positive where audio still leads.
        Each title says how much is inside each shaded window, the widest first, unanswered
        questions counted as outside.
    """
    lines, columns = style.shape(len(methods), int(width / 1.4))
    windows = [perceptual.WINDOWS[name] for name in bands]
    shades = dict(zip(bands, _SHADES, strict=False))
    with style.styled():
        figure = style.new_figure(width, lines * min(2.2, 0.8 * width / columns + 0.3) + 0.4)
        shown = style.panels(figure, len(methods), columns, sharex=True, sharey=True)
        for axes, method in zip(shown, methods, strict=True):
            part = part_of(predictions, method, length)
            shares = _error_panel(axes, part, windows, shades)
            inside = ", ".join(f"{share:.0f}" for share in shares)
            axes.set_title(f"{titled(method, part)}\ninside: {inside} %")
        what = f"True minus predicted offset (frames of 40 ms), windows of {length} frames"
        figure.supxlabel(style.fill(f"{what}\n← audio lags      audio leads →", width))
        figure.supylabel("Share of questions (%)")
        style.legend_above(figure, _band_handles(windows, shades), width)
    return figure


def _band_handles(windows: Sequence[perceptual.Window], shades: Mapping[str, str]) -> list[Any]:
    from matplotlib.patches import Patch

    return [
        Patch(
            color=shades[window.name],
            linewidth=0,
            label=f"{window.name}: {window.lag_ms:+g} to {window.lead_ms:+g} ms",
        )
        for window in windows
    ]


def _error_panel(
    axes: Axes,
    part: pd.DataFrame,
    windows: Sequence[perceptual.Window],
    shades: Mapping[str, str],
) -> list[float]:
    """Draw one method's residuals; return how many percent are inside each window."""
    said = part["predicted"].to_numpy(dtype=np.float64, na_value=np.nan)
    left = part["offset"].to_numpy(dtype=np.float64) - said
    known = left[np.isfinite(left)].astype(np.int64)
    values, counts = np.unique(known, return_counts=True)
    for window in windows:
        axes.axvspan(
            window.lag_ms * FPS / 1000,
            window.lead_ms * FPS / 1000,
            color=shades[window.name],
            linewidth=0,
            zorder=0,
        )
    axes.bar(values, 100 * counts / len(part), width=0.7, color=style.PALETTE[0], zorder=2)
    axes.locator_params(axis="x", integer=True)
    return [100 * perceptual.perceptual_accuracy(perceptual.to_ms(left), w) for w in windows]
