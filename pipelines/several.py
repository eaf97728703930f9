"""What to do where several faces are seen at the same time, and what each clip says of the others.

The 2016 SyncNet paper (section 3.1) leaves out clips that show more than one face, since nothing
tells who speaks. Others keep, of the faces of a shot, the one whose sync confidence is highest.
Neither is lossless: the first refuses a speaker for a passer-by, the second a listener who is a
good example of a closed mouth. So all are kept unless one of these rules is asked for, and each
clip says how many others were seen and how well the best of them fits the sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from avbench.data import JSON, IntArray

FaceRule = Literal["keep-all", "single", "best-sync"]
SEVERAL = "several-faces"
"""Reason of the frames of a face beside which another was seen (rule single)."""
OUTDONE = "sync: another face fits the sound better"
"""Reason of a track that lost against another (rule best-sync)."""
UNDECIDED = "sync: no telling which of several faces fits the sound"
"""Reason of a track that could not be measured, nor could any that it shares frames with."""

Span = tuple[int, int]


def beside(span: Span, others: Sequence[Span]) -> IntArray:
    """Return how many of the others are seen in each frame of a span; shape (stop - start,).

    >>> beside((10, 15), [(0, 12), (11, 13), (15, 20)]).tolist()
    [1, 2, 1, 0, 0]
    """
    start, stop = span
    counts = np.zeros(stop - start, np.int64)
    for first, last in others:
        counts[max(first - start, 0) : max(last - start, 0)] += 1
    return counts


def alone(span: Span, others: Sequence[Span], shortest: int) -> list[tuple[int, int, bool]]:
    """Divide a span into parts that show nobody else, and the rest.

    Parameters
    ----------
    span
        Frames [start, stop) of a track.
    others
        The same of all other faces that are seen.
    shortest
        What shows nobody else for fewer frames than this belongs to the rest.

    Returns
    -------
    list of (start, stop, bool)
        They tile the span; True where nobody else is seen.

    >>> alone((0, 10), [(4, 6), (8, 9)], 2)
    [(0, 4, True), (4, 6, False), (6, 8, True), (8, 10, False)]
    """
    free = beside(span, others) == 0
    for first, last in _runs(free):
        if free[first] and last - first < shortest:
            free[first:last] = False
    return [(span[0] + first, span[0] + last, bool(free[first])) for first, last in _runs(free)]


def _runs(values: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[Span]:
    """Return the ranges of equal values."""
    edges = np.flatnonzero(np.diff(values)) + 1
    return list(pairwise([0, *edges.tolist(), len(values)])) if len(values) else []


def rivals(
    track: Mapping[str, JSON], tracks: Sequence[Mapping[str, JSON]]
) -> list[Mapping[str, JSON]]:
    """Return the other tracks that share frames with a track; each has key, start and stop."""
    return [
        other
        for other in tracks
        if other["key"] != track["key"]
        and other["start"] < track["stop"]
        and track["start"] < other["stop"]
    ]


def outdone(
    tracks: Sequence[Mapping[str, JSON]], scores: Mapping[str, Mapping[str, JSON]]
) -> dict[str, str]:
    """Choose among tracks that share frames those whose sync confidence is highest.

    The most confident is kept, those that share frames with it lose against it, and so on among
    the rest; of equals the first by key.

    Parameters
    ----------
    tracks
        Of one video: key, start, stop.
    scores
        What was measured, by key; a track without a confidence loses against any that has one,
        and cannot be chosen while it shares frames with another like it.

    Returns
    -------
    dict
        Key of each track that loses -> key of the one that it loses against; empty where that is
        not known.
    """
    kept: list[Mapping[str, JSON]] = []
    lost: dict[str, str] = {}
    known = [track for track in tracks if _confidence(track, scores) is not None]
    for track in sorted(known, key=lambda t: (-scores[t["key"]]["confidence"], t["key"])):
        better = rivals(track, kept)
        if better:
            lost[track["key"]] = better[0]["key"]
        else:
            kept.append(track)
    silent = [track for track in tracks if _confidence(track, scores) is None]
    for track in silent:
        better = rivals(track, kept)
        if better:
            lost[track["key"]] = better[0]["key"]
        elif rivals(track, silent):
            lost[track["key"]] = ""
    return lost


def runner_up(
    track: Mapping[str, JSON],
    tracks: Sequence[Mapping[str, JSON]],
    scores: Mapping[str, Mapping[str, JSON]],
) -> dict[str, JSON] | None:
    """Return key, confidence and offset of the most confident other track that shares frames.

    None where there is no other, or none that was measured.
    """
    known = [t for t in rivals(track, tracks) if _confidence(t, scores) is not None]
    if not known:
        return None
    best = min(known, key=lambda t: (-scores[t["key"]]["confidence"], t["key"]))
    score = scores[best["key"]]
    return {
        "key": best["key"],
        "confidence": score["confidence"],
        "offset": score.get("offset"),
    }


def _confidence(
    track: Mapping[str, JSON], scores: Mapping[str, Mapping[str, JSON]]
) -> float | None:
    found: float | None = scores.get(track["key"], {}).get("confidence")
    return found
