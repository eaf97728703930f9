"""Many pairs as the tables of the paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avbench.data import JSON
from avbench.errors import DataError
from avbench.metrics import alignment
from avbench.metrics.alignment import Retiming
from avbench.redub.measuring import Measured
from avbench.redub.paired import Gap, gaps_table

_MOUTH = ("height", "width", "truth_height", "truth_width")
_SOUND = ("mcd", "mcd_dtw")
_PAIRED = {
    "width": "corr x",
    "height": "corr y",
    "truth_width": "true x",
    "truth_height": "true y",
    "duplicated": "dup",
    "deleted": "del",
    "consecutive": "conseq",
    "unique": "unique",
}


@dataclass(frozen=True)
class Report:
    """What came of all pairs with one method."""

    method: str
    pairs: int
    means: Mapping[str, float]
    """Mean over the pairs where it is defined: ``height``, ``width`` (correlations y and x of
    Table 4), those of the drawn mouths, ``mcd``, ``mcd_dtw`` (Table 6); NaN where nowhere."""
    deviations: Mapping[str, float]
    """Standard deviations over the same pairs."""
    undefined: Mapping[str, int]
    """Pairs without a correlation, because a mouth does not move or is not found."""
    frames: Mapping[str, float]
    """Frames of a pair in the mean, as in Table 5: duplicated, deleted, consecutive, unique."""
    per_100: Mapping[str, float]
    """The same and more per hundred frames (`avbench.metrics.alignment.Retiming.per_100`)."""
    errors: Mapping[str, float]
    """Shift errors against the phones, over all frames; empty where they are unknown."""
    reached: float
    """Share of frames whose true picture an aligner can reach; NaN where unknown."""
    seconds: float
    """Time of all alignments, embeddings not counted."""
    media_s: float
    """Seconds of voice."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of voice; below 1 is faster than real time."""
        return self.seconds / self.media_s

    def to_json(self) -> dict[str, JSON]:
        """Return everything as JSON, what is not defined as null."""
        flat = {name: value for name, value in vars(self).items() if not isinstance(value, Mapping)}
        tables = {name: dict(value) for name, value in vars(self).items() if name not in flat}
        whole = {**flat, **tables, "real_time_factor": self.real_time_factor}
        return {name: _plain(value) for name, value in whole.items()}


def report(found: Iterable[Measured]) -> list[Report]:
    """Sum up pairs, method by method in the order of appearance.

    Raises
    ------
    DataError
        If there are none.
    """
    groups: dict[str, list[Measured]] = {}
    for one in found:
        groups.setdefault(one.method, []).append(one)
    if not groups:
        raise DataError("there are no pairs to report")
    return [_report(name, group) for name, group in groups.items()]


def _report(name: str, group: Sequence[Measured]) -> Report:
    columns = {key: np.array([getattr(one, key) for one in group]) for key in (*_MOUTH, *_SOUND)}
    defined = {key: values[~np.isnan(values)] for key, values in columns.items()}
    total = sum((one.frames for one in group), Retiming())
    counts = ("duplicated", "deleted", "consecutive", "unique")
    errors = [one.errors for one in group if one.errors is not None]
    said = {}
    if errors:
        zeros = [np.zeros(len(error)) + np.arange(len(error)) for error in errors]
        guesses = [zero + error for zero, error in zip(zeros, errors, strict=True)]
        said = alignment.evaluate(zeros, guesses)
    reached = np.array([one.reached for one in group])
    return Report(
        method=name,
        pairs=len(group),
        means={key: _mean(values) for key, values in defined.items()},
        deviations={
            key: float(values.std()) if len(values) else math.nan for key, values in defined.items()
        },
        undefined={key: len(group) - len(defined[key]) for key in _MOUTH[:2]},
        frames={key: getattr(total, key) / len(group) for key in counts},
        per_100=total.per_100(),
        errors=said,
        reached=_mean(reached[~np.isnan(reached)]),
        seconds=sum(one.seconds for one in group),
        media_s=total.output * 0.04,
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _plain(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def table(
    reports: Sequence[Report],
    seconds: Mapping[str, float],
    media_s: float,
    how: Mapping[str, str] | None = None,
) -> str:
    """Write the tables of the paper as text.

    Parameters
    ----------
    reports
        One a method.
    seconds
        Time of what all methods share, such as finding lips; name -> seconds.
    media_s
        Seconds of all recordings, for its real-time factor.
    how
        How the windows of each method became one alignment.
    """
    planted = any(one.errors for one in reports)
    head = ["method", "corr x", "corr y", "dup", "del", "conseq", "unique"]
    if planted:
        head += ["true x", "true y", "exact %", "±1 %", "error"]
    head += ["MCD", "MCD-DTW", "RTF"]
    lines = [head]
    for one in reports:
        mean, frames = one.means, one.frames
        cells = [_cell(mean["width"]), _cell(mean["height"])]
        cells += [_cell(frames[k], 1) for k in ("duplicated", "deleted", "consecutive", "unique")]
        if planted:
            error = one.errors
            cells += [_cell(mean["truth_width"]), _cell(mean["truth_height"])]
            cells += [_cell(100 * error.get(f"accuracy@{k}", math.nan), 1) for k in (0, 1)]
            cells += [_cell(error.get("mean_absolute_error", math.nan))]
        for key in _SOUND:
            spread = one.deviations[key]
            text = _cell(mean[key])
            cells.append(text if math.isnan(mean[key]) else f"{text} ± {spread:.2f}")
        lines.append([one.method, *cells, _cell(one.real_time_factor, 4)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    rows = [
        "  ".join(
            cell.ljust(wide) if place == 0 else cell.rjust(wide)
            for place, (cell, wide) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    notes = _notes(reports, seconds, media_s)
    ways = sorted(set((how or {}).values()))
    by_way = [f"{way} ({', '.join(n for n, w in (how or {}).items() if w == way)})" for way in ways]
    if by_way:
        notes.append(f"From windows to a whole recording: {', '.join(by_way)}.")
    return "\n".join([*rows, "", *notes])


def paired_tables(found: Sequence[Sequence[Gap]]) -> str:
    """Write the differences from each method that others were compared with; empty for none."""
    known = [some for some in found if some]
    if not known:
        return ""
    have = {gap.quantity for some in known for gap in some}
    shown = {name: title for name, title in _PAIRED.items() if name in have}
    clusters = known[0][0].found.clusters
    note = (
        f"In brackets: 95 % interval of the paired difference over {clusters} pairs of speakers "
        "(both directions and all sentences of two speakers are one cluster). *: told apart from "
        "zero after Holm's correction over the table."
    )
    return "\n\n" + "\n\n".join([*(gaps_table(some, shown) for some in known), note])


def _notes(reports: Sequence[Report], seconds: Mapping[str, float], media_s: float) -> list[str]:
    first = reports[0]
    notes = [
        f"{first.pairs} pairs. corr: Pearson of the mouth's width (x) and height (y) with those of "
        "the voice's own picture; dup to unique: frames of a pair; RTF: seconds of aligning per "
        "second of voice."
    ]
    if any(one.errors for one in reports):
        notes.append(
            "true: the same of the mouths as drawn; exact, ±1, error: against the phones "
            f"(frames); {100 * first.reached:.1f} % of the frames lie within the range of a "
            "second. Drawn faces: never to be compared with recorded people."
        )
    lost = {key: max(one.undefined[key] for one in reports) for key in first.undefined}
    if any(lost.values()):
        shown = ", ".join(f"{key} {count}" for key, count in lost.items())
        notes.append(f"Pairs without a correlation, left out of its mean, at most: {shown}.")
    shared = ", ".join(f"{name} {value / media_s:.3f}" for name, value in seconds.items())
    notes.append(f"Shared by all methods, seconds per second of recording: {shared}.")
    return notes


def _cell(value: float, digits: int = 2) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
