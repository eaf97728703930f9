"""What metrics are called, and how their values are shown, in tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

from avbench.errors import UnknownName
from avbench.metrics.catalogue import lookup


@dataclass(frozen=True)
class Label:
    """How one metric is shown."""

    title: str
    """Its name with its unit."""
    scale: float
    """Shown value = stored value times this; proportions are stored as fractions."""
    digits: int
    """Decimals."""
    higher_is_better: bool


_WINDOWS = {
    "bt1359-detect": "undetectable by ITU-R BT.1359",
    "bt1359-accept": "acceptable by ITU-R BT.1359",
    "ebu-r37": "within EBU R37",
    "atsc-is191": "within ATSC IS-191",
    "film-br265": "within ITU-R BR.265 (film)",
}
_TITLES = {
    "mean_absolute_error": "Mean absolute error",
    "median_absolute_error": "Median absolute error",
    "p95_absolute_error": "95th percentile of absolute errors",
    "max_absolute_error": "Largest absolute error",
    "perceptual_score": "Perceptual score",
    "auroc": "AUROC of confidence against correctness",
    "aurc": "Area under the risk-coverage curve",
    "ece": "Expected calibration error",
    "lse_d": "LSE-D",
    "lse_c": "LSE-C",
    "mcd": "Mel-cepstral distortion",
    "mcd_dtw": "Mel-cepstral distortion along the best warp",
    "f1": "F1",
}
_PLAIN = ("auroc", "aurc", "mouth_height_correlation", "mouth_width_correlation", "f1")
"""Fractions that papers do not print as percentages."""


def label(metric: str) -> Label:
    """Say how a metric of `avbench.metrics.catalogue` is shown.

    One that is not in the catalogue keeps its name and value; higher is taken for better.

    >>> label("accuracy@0").title, label("accuracy@1").title
    ('Accuracy (%) without tolerance', 'Accuracy (%) within ±1 frame')
    >>> label("mean_absolute_error")
    Label(title='Mean absolute error (frames)', scale=1.0, digits=2, higher_is_better=False)
    """
    kind, _, what = metric.partition("@")
    try:
        known = lookup(metric)
    except UnknownName:
        return Label(metric.replace("_", " "), 1.0, 3, True)
    better = known.higher_is_better
    if kind == "accuracy" and what:
        tail = within(int(what)) if int(what) else "without tolerance"
        return Label(f"Accuracy (%) {tail}", 100.0, 2, better)
    if kind == "rer":
        return Label(f"Relative error reduction (%), {within(int(what))}", 100.0, 2, better)
    if kind == "perceptual":
        return Label(f"Offsets (%) {_WINDOWS.get(what, what)}", 100.0, 2, better)
    title = _TITLES.get(metric, metric.replace("_", " ").replace("@", " at ").capitalize())
    if metric in _PLAIN:
        return Label(title, 1.0, 3, better)
    if known.unit == "fraction":
        return Label(f"{title} (%)", 100.0, 2, better)
    return Label(title if known.unit == "distance" else f"{title} ({known.unit})", 1.0, 2, better)


def within(tolerance: int) -> str:
    """Say a tolerance in words.

    >>> within(0), within(1), within(2)
    ('exact', 'within ±1 frame', 'within ±2 frames')
    """
    frames = "frame" if tolerance == 1 else "frames"
    return f"within ±{tolerance} {frames}" if tolerance else "exact"
