"""Words of the leaderboard site: what metrics, protocols and single numbers mean."""

from __future__ import annotations

from avbench import protocols
from avbench.errors import UnknownName
from avbench.leaderboard.rows import MEASURED, Row
from avbench.metrics.catalogue import lookup

_PERCEPTUAL = {
    "bt1359-detect": "that viewers do not detect (ITU-R BT.1359)",
    "bt1359-accept": "that viewers accept (ITU-R BT.1359)",
    "ebu-r37": "that EBU R37 allows",
    "atsc-is191": "that ATSC IS-191 allows",
    "film-br265": "that film practice allows (ITU-R BR.265)",
}
_TITLES = {
    "p95_absolute_error": "95th percentile of the absolute error",
    "max_absolute_error": "Largest absolute error",
    "auroc": "AUROC of confidence against correctness",
    "aurc": "Area under the risk-coverage curve",
    "lse_c": "LSE-C",
    "lse_d": "LSE-D",
    "mcd": "Mel-cepstral distortion",
    "mcd_dtw": "Mel-cepstral distortion after time warping",
    "f1": "F1",
}
_FIRST = ("accuracy", "rer", "perceptual")
"""Families of metrics that come first, because papers print them."""
DASH = "\N{EN DASH}"
"""Stands where there is no number."""
_UNITS = {"percent": "%", "": ""}


def metric_words(metric: str) -> str:
    """Say what a metric is.

    >>> metric_words("accuracy@1")
    'Accuracy within ±1 frame'
    """
    family, _, detail = metric.partition("@")
    if family == "accuracy" and detail.isdigit():
        return f"Accuracy {_within(int(detail))}"
    if family == "rer" and detail.isdigit():
        return f"Relative error reduction {_within(int(detail))}"
    if family == "recall" and detail.isdigit():
        return f"Right candidate among the first {detail}"
    if family == "perceptual":
        return f"Errors {_PERCEPTUAL.get(detail, f'within {detail}')}"
    title = metric.replace("_", " ")
    return _TITLES.get(metric, title[:1].upper() + title[1:])


def metric_summary(metric: str) -> str:
    """Return the definition of a metric in one sentence; empty for one of a source's own."""
    try:
        known = lookup(metric)
    except UnknownName:
        return ""
    better = "higher" if known.higher_is_better else "lower"
    tolerance = metric.partition("@")[2]
    summary = known.summary.replace("frame(s)", "frame" if tolerance == "1" else "frames")
    return f"{summary} The {better}, the better."


def _within(tolerance: int) -> str:
    if not tolerance:
        return "without tolerance"
    return f"within ±{tolerance} frame{'' if tolerance == 1 else 's'}"


def metric_order(metric: str) -> tuple[int, str]:
    """Return a key that puts the metrics of the papers first."""
    family = metric.partition("@")[0]
    return _FIRST.index(family) if family in _FIRST else len(_FIRST), metric


def lower_is_better(metric: str) -> bool:
    """Say whether less of a metric is better; more is, for one of a source's own."""
    try:
        return not lookup(metric).higher_is_better
    except UnknownName:
        return False


def unit_words(unit: str) -> str:
    """Return a unit as it follows a number."""
    return _UNITS.get(unit, unit)


def number(value: float | None, unit: str) -> str:
    """Return a number with the digits that its unit deserves; a dash where there is none.

    >>> number(66.876, "percent"), number(0.5, "fraction"), number(None, "percent") == DASH
    ('66.88', '0.500', True)
    """
    if value is None:
        return DASH
    return f"{value:.3f}" if unit == "fraction" else f"{value:.2f}"


def value_words(row: Row, rank: str = "") -> str:
    """Say all that is known about a number in one sentence."""
    unit = unit_words(row.unit)
    if row.value is None and not row.printed:
        parts = ["undefined"]
    else:
        parts = [f"{row.printed or number(row.value, row.unit)} {unit}".strip()]
    if row.low is not None and row.high is not None:
        made = f" ({row.interval})" if row.interval else ""
        parts.append(
            f"95 % interval {number(row.low, row.unit)} to {number(row.high, row.unit)}{made}"
        )
    if row.std is not None:
        over = f" over {row.repeats} repeats" if row.repeats else ""
        spread = row.printed_std or number(row.std, row.unit)
        parts.append(f"standard deviation {spread}{over}")
    if row.n is not None:
        failed = f", {row.n_failed:,} without an answer" if row.n_failed is not None else ""
        parts.append(f"{row.n:,} questions{failed}")
    if rank:
        place = f"rank {rank.lstrip('=')}"
        parts.append(f"{place}, shared" if rank.startswith("=") else place)
    if row.reference:
        parts.append(f"relative to {row.reference}")
    if row.kind != MEASURED:
        parts.append(f"{row.kind}: {row.source}")
    if row.suspect:
        parts.append(f"suspect: {row.suspect}")
    return "; ".join(parts)


def is_protocol(name: str) -> bool:
    """Say whether avbench knows the rules of a protocol."""
    try:
        protocols.get(name)
    except UnknownName:
        return False
    return True


def protocol_words(name: str, version: int | None) -> list[str]:
    """Say in sentences what the rules of a protocol are.

    Parameters
    ----------
    name, version
        Of the protocol; version None where nothing was measured under it.

    Returns
    -------
    list of str
        The source in words, then the rules; nothing for a name that avbench does not know.
    """
    if not is_protocol(name):
        return []
    rules = protocols.get(name)
    frames = ", ".join(map(str, rules.lengths))
    windows = f"Windows of {frames} frames" if frames else "Whole clips"
    sound = (
        "with the sound of the window alone"
        if rules.sound == "window"
        else f"with {rules.search} frames of sound more on either side"
    )
    mean = (
        "the mean is over all questions"
        if rules.reduction == "micro"
        else "the mean is within clips first, then over clips"
    )
    repeats = "one draw" if rules.repeats == 1 else f"{rules.repeats} draws by default"
    words = [
        rules.source,
        f"{windows}, {sound}; candidates within ±{rules.search} frames; {mean}; {repeats}.",
    ]
    if version not in (None, rules.version):
        words.append(
            f"These are the rules of version {rules.version}; the numbers here were measured "
            f"under version {version} and are not compared with others."
        )
    return words
