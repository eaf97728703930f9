"""What metrics are called, and how their values are shown, in tables and figures."""

from __future__ import annotations

from dataclasses import dataclass


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
_ERRORS = {
    "mean_absolute_error": "Mean absolute error",
    "median_absolute_error": "Median absolute error",
    "p95_absolute_error": "95th percentile of absolute errors",
    "max_absolute_error": "Largest absolute error",
}
_CONFIDENCE = {
    "auroc": ("AUROC of confidence against correctness", True),
    "aurc": ("Area under the risk-coverage curve", False),
}


def label(metric: str) -> Label:
    """Say how a metric is shown; one without a label here keeps its name and value.

    >>> label("accuracy@0").title, label("accuracy@1").title
    ('Accuracy (%) without tolerance', 'Accuracy (%) within ±1 frame')
    >>> label("mean_absolute_error")
    Label(title='Mean absolute error (frames)', scale=1.0, digits=2, higher_is_better=False)
    """
    kind, _, what = metric.partition("@")
    if kind == "accuracy":
        tail = within(int(what)) if int(what) else "without tolerance"
        return Label(f"Accuracy (%) {tail}", 100.0, 2, True)
    if kind == "rer":
        return Label(f"Relative error reduction (%), {within(int(what))}", 100.0, 2, True)
    if kind == "perceptual":
        return Label(f"Offsets (%) {_WINDOWS.get(what, what)}", 100.0, 2, True)
    if metric in _ERRORS:
        return Label(f"{_ERRORS[metric]} (frames)", 1.0, 2, False)
    if metric in _CONFIDENCE:
        title, higher = _CONFIDENCE[metric]
        return Label(title, 1.0, 3, higher)
    return Label(metric.replace("_", " "), 1.0, 3, not metric.endswith("_error"))


def within(tolerance: int) -> str:
    """Say a tolerance in words.

    >>> within(0), within(1), within(2)
    ('exact', 'within ±1 frame', 'within ±2 frames')
    """
    frames = "frame" if tolerance == 1 else "frames"
    return f"within ±{tolerance} {frames}" if tolerance else "exact"
