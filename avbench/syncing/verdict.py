"""What the readings of all faces of a video come to, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avbench.metrics.perceptual import WINDOWS, inside
from avbench.syncing.reading import Reading
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
    agreement: float | None
    """Share of the evidence within a frame of the offset."""
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

    Parameters
    ----------
    readings
        Each with the seconds that it rests on. Good ones count by confidence times seconds; fair
        ones only where none is good.

    Returns
    -------
    Verdict
        The weighted median, where `AGREEMENT` of the weight lies within a frame of it.
    """
    if not readings:
        return Verdict(None, "low", None, "no face is seen for long enough")
    grade = "good" if any(reading.grade == "good" for reading, _ in readings) else "fair"
    used = [(reading, seconds) for reading, seconds in readings if reading.grade == grade]
    if not used:
        search = len(readings[0][0].curve) // 2
        return Verdict(
            None,
            "low",
            None,
            f"nobody is seen to speak in time with the sound, within {search} frames either way",
        )
    offsets = np.array([reading.offset for reading, _ in used])
    weights = np.array([reading.confidence * seconds for reading, seconds in used])
    order = np.argsort(offsets, kind="stable")
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    offset = int(offsets[order][half])
    share = float(weights[np.abs(offsets - offset) <= 1].sum() / weights.sum())
    if share < AGREEMENT:
        found = ", ".join(f"{k:+d}" for k in sorted(set(offsets.tolist())))
        reason = f"its parts differ, with offsets of {found} frames"
        return Verdict(None, "low", share, reason)
    return Verdict(offset, grade, share, "")
