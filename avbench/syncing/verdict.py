"""What the readings of all faces of a video come to, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avbench.metrics.perceptual import WINDOWS, inside
from avbench.syncing.reading import FAIR, GOOD, Reading
from avbench.timing import describe_offset, offset_to_ms

AGREEMENT = 0.75
"""Least share of the evidence that must lie within a frame of the answer."""
DETECT, ACCEPT = WINDOWS["bt1359-detect"], WINDOWS["bt1359-accept"]


@dataclass(frozen=True)
class Verdict:
    """The offset of a whole video, or why it cannot be told."""

    offset: int | None
    """In 25 fps frames; positive: the sound is early."""
    grade: str
    """``good`` or ``fair``; ``low`` where it cannot be told."""
    p_value: float | None
    """How often faces that do not speak would seem so sure together; None without a reading."""
    agreement: float | None
    """Share of the surest evidence within a frame of the offset."""
    reason: str
    """Why it cannot be told; empty where it can."""

    @property
    def words(self) -> str:
        """The verdict as one sentence without its full stop."""
        if self.offset is None:
            return f"cannot tell: {self.reason}"
        sure = "" if self.grade == "good" else ", probably"
        seen = f"; {noticed(self.offset)}" if self.offset else ""
        return f"{describe_offset(self.offset)}{sure}{seen}"


def noticed(offset: float) -> str:
    """Say whether a viewer would notice an offset, by ITU-R BT.1359.

    >>> noticed(-3), noticed(2)
    ('a viewer would not notice', 'a viewer may notice, and would accept it')
    """
    residual = [offset_to_ms(offset)]
    if inside(residual, DETECT)[0]:
        return "a viewer would not notice"
    if inside(residual, ACCEPT)[0]:
        return "a viewer may notice, and would accept it"
    return "a viewer would notice"


def decide(readings: Sequence[tuple[Reading, float]]) -> Verdict:
    """Weigh the readings of faces against each other.

    Faces that agree within a frame make an answer surer, and the more faces there are, the more
    often one looks sure by accident: `chance` counts both. The answer is the median of those that
    agree, weighted by confidence times seconds. It is withdrawn where faces that are as sure as
    the surest say something else, by more than a quarter of their weight.

    Parameters
    ----------
    readings
        Each with the seconds that it rests on.
    """
    if not readings:
        return Verdict(None, "low", None, None, "no face is seen for long enough")
    search = len(readings[0][0].curve) // 2
    inner = [(reading, seconds) for reading, seconds in readings if not reading.at_edge]
    groups = [_near(inner, reading.offset) for reading, _ in inner]
    chances = [chance([r.p_value for r, _ in group], len(readings), search) for group in groups]
    best = int(np.argmin(chances)) if chances else -1
    if best < 0 or chances[best] >= FAIR:
        reason = (
            f"nobody is seen to speak in time with the sound, within {search} frames either way"
        )
        return Verdict(None, "low", chances[best] if chances else 1.0, None, reason)
    offset = _weighted_median(groups[best])
    grades = {reading.grade for reading, _ in inner}
    surest = "good" if "good" in grades else "fair"
    sure = [(reading, seconds) for reading, seconds in inner if reading.grade == surest]
    share = _weight(_near(sure, offset)) / _weight(sure) if sure else 1.0
    if share < AGREEMENT:
        found = ", ".join(f"{k:+d}" for k in sorted({reading.offset for reading, _ in sure}))
        reason = f"its parts differ, with offsets of {found} frames"
        return Verdict(None, "low", chances[best], share, reason)
    return Verdict(offset, "good" if chances[best] < GOOD else "fair", chances[best], share, "")


def chance(p_values: Sequence[float], faces: int, search: int) -> float:
    """Return how often faces that do not speak would agree so surely, at most and about.

    Fisher's method joins the p-values of the surest m faces, for every m; m of ``faces`` can be
    chosen in so many ways, all but the first agree by accident in 3 of 2 search + 1 cases, and
    the best m is taken (Bonferroni throughout).

    Parameters
    ----------
    p_values
        Of the faces that agree within a frame.
    faces
        How many were measured.
    search
        Largest offset tried.

    >>> chance([0.02], 1, 15), round(chance([0.02], 3, 15), 3), chance([0.02, 0.02], 2, 15) < 0.001
    (0.02, 0.06, True)
    """
    from scipy import stats

    ordered = np.sort(np.maximum(p_values, 1e-300))
    lucky = 3 / (2 * search + 1)
    bounds = [float(faces * ordered[0])]
    for m in range(2, len(ordered) + 1):
        joined = float(stats.chi2.sf(-2 * np.log(ordered[:m]).sum(), 2 * m))
        bounds.append(joined * math.comb(faces, m) * lucky ** (m - 1))
    return min(1.0, len(bounds) * min(bounds))


def _near(readings: Sequence[tuple[Reading, float]], offset: int) -> list[tuple[Reading, float]]:
    return [pair for pair in readings if abs(pair[0].offset - offset) <= 1]


def _weight(readings: Sequence[tuple[Reading, float]]) -> float:
    return sum(reading.confidence * seconds for reading, seconds in readings)


def _weighted_median(readings: Sequence[tuple[Reading, float]]) -> int:
    ordered = sorted(readings, key=lambda pair: pair[0].offset)
    reached, half = 0.0, _weight(ordered) / 2
    for pair in ordered:
        reached += _weight([pair])
        if reached >= half:
            return pair[0].offset
    return ordered[-1][0].offset
