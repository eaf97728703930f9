"""Distances of genuine and false pairs of picture and sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from avbench.distort import rng_for
from avbench.errors import DataError
from avbench.metrics import verification
from avbench.metrics.confidence import auroc
from avbench.plots import style
from avbench.plots.rows import SyncedRows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FARTHEST = 50
"""Largest displacement of the sound of a false pair, in frames: two seconds, as in the paper."""
_BINS = 40


class Separation(NamedTuple):
    """How well single distances tell genuine from false pairs."""

    equal_error_rate: float
    """Fraction in [0, 1]; lower is better."""
    threshold: float
    """Largest distance that is accepted there."""
    auroc: float
    """Chance that a genuine pair is closer than a false one."""


def drawn_pairs(
    clips: Sequence[SyncedRows], *, per_clip: int = 50, farthest: int = FARTHEST, seed: int = 0
) -> pd.DataFrame:
    """Draw pictures of five frames, and measure them against their own and against false sound.

    False sound is that of the same clip, displaced by any number of frames but zero (Chung and
    Zisserman 2016, section 3.1).

    Parameters
    ----------
    clips
        In sync.
    per_clip
        Pictures drawn from each; each gives a genuine and a false pair.
    farthest
        Largest displacement of false sound in frames.
    seed
        The same seed gives the same pairs, whatever other clips there are.

    Returns
    -------
    DataFrame
        Columns ``key``, ``row`` (of the picture), ``shift`` (rows from there to the sound; 0:
        genuine) and ``distance`` (Euclidean).

    Raises
    ------
    DataError
        If no clip has two rows.
    """
    import pandas as pd

    parts = []
    for clip in clips:
        if len(clip) < 2:
            continue
        rng = rng_for(seed, "pairs", clip.key)
        rows = rng.integers(len(clip), size=per_clip)
        sounds = np.array([_elsewhere(int(row), len(clip), farthest, rng) for row in rows])
        for chosen in (rows, sounds):
            distance = np.linalg.norm(clip.video[rows] - clip.audio[chosen], axis=1)
            part = {"key": clip.key, "row": rows, "shift": chosen - rows, "distance": distance}
            parts.append(pd.DataFrame(part))
    if not parts:
        raise DataError("there are no clips of six frames or more to draw pairs from")
    return pd.concat(parts, ignore_index=True)


def _elsewhere(row: int, count: int, farthest: int, rng: np.random.Generator) -> int:
    """Draw another row of the clip, at most so far away."""
    low, high = max(0, row - farthest), min(count - 1, row + farthest)
    drawn = int(rng.integers(low, high))
    return drawn + (drawn >= row)


def separation(pairs: pd.DataFrame) -> Separation:
    """Return how well the distances of `drawn_pairs` tell the two kinds apart."""
    genuine = (pairs["shift"] == 0).to_numpy()
    score = -pairs["distance"].to_numpy(dtype=np.float64)
    curve = verification.roc(genuine, score)
    return Separation(
        verification.equal_error_rate(genuine, score),
        float(-curve.threshold[curve.balance]),
        auroc(genuine, score),
    )


def pairs(found: pd.DataFrame, *, title: str = "", width: float = 4.8) -> Figure:
    """Draw how far apart genuine and false pairs are.

    The figure is that of Chung and Zisserman (2016, Fig. 6).

    Parameters
    ----------
    found
        From `drawn_pairs`.
    title
        Printed above the numbers.
    width
        Inches.

    Returns
    -------
    Figure
        Two histograms, each in percent of its kind, and the threshold of equal errors.
    """
    distance = found["distance"].to_numpy(dtype=np.float64)
    genuine = (found["shift"] == 0).to_numpy()
    edges = np.linspace(distance.min(), max(distance.max(), distance.min() + 1e-9), _BINS + 1)
    measured = separation(found)
    with style.styled():
        figure = style.new_figure(width, 0.6 * width if width >= style.WIDE else 0.8 * width)
        axes = figure.subplots()
        for name, chosen, color in (
            ("genuine", genuine, style.PALETTE[0]),
            ("false", ~genuine, style.PALETTE[1]),
        ):
            share = np.full(int(chosen.sum()), 100 / chosen.sum())
            look: Any = {"color": color, "alpha": 0.55, "label": name}
            axes.hist(distance[chosen], edges.tolist(), weights=share, **look)
        axes.axvline(
            measured.threshold,
            color=style.INK,
            linewidth=0.9,
            linestyle=style.DASHES[1],
            label="threshold of equal errors",
        )
        numbers = (
            f"EER {100 * measured.equal_error_rate:.1f} %, AUROC {measured.auroc:.3f}, "
            f"{int(genuine.sum())} + {int((~genuine).sum())} pairs"
        )
        axes.set_title(style.fill(f"{title}\n{numbers}".strip(), width - 0.3))
        what = "Distance of one picture of five frames from its sound"
        axes.set_xlabel(style.fill(what, width - 0.8))
        axes.set_ylabel("Share of its kind (%)")
        axes.grid(axis="y")
        handles, _ = axes.get_legend_handles_labels()
        style.legend_above(figure, handles, width)
    return figure
