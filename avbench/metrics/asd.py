"""Active speaker detection: who of the people in the picture is talking.

Conventions
-----------
* One score per frame of a speaker, larger where the person is surer to talk; one label per frame.
* NaN in a score means that the face was missed there. What becomes of such a frame is a rule that
  moves the numbers, and is chosen by name (`MissedFaces`).
* The threshold is set on one speaker and used for the others, who are averaged with equal weight.

Metrics
-------
* `smooth`: scores averaged over windows of 1, 10 or 100 frames.
* `resample`: labels brought to the frames of the scores.
* `balanced_threshold`: where false accepts and false rejects balance on the calibration speaker.
* `f1`: of one speaker. `columbia`: the whole protocol.
* `fixed`: the protocol of TalkNet, for its numbers alone.

References
----------
Chung and Zisserman, "Out of time: automated lip sync in the wild" (2016), section 4.2 and Table 3:
scores averaged over windows of 10 and of 100 frames, threshold where the ROC of the speaker Abbas
meets the diagonal, F1 of the five others; after Chakravarty et al. (2016). Not stated there: the
missed faces, and how labels came to 25 fps. The evaluation of TalkNet (Tao et al. 2021) on the
same videos has a fixed threshold of 0, means over five frames, labels taken to 25 fps by cutting
off fractions, and counts a missed face as silent; its numbers follow another protocol and are not
to be ranked with these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avbench.metrics.verification import roc, validate
from avbench.timing import FPS

WINDOWS = (1, 10, 100)
"""Frames that scores are averaged over: none, and the two of the paper."""

MissedFaces = Literal["silent", "skip"]
"""Frames without a face: taken for not speaking, or left out of the count."""
Rule = Literal["nearest", "floor"]
"""How labels of another frame rate come to 25 fps; see `resample`."""


def smooth(scores: ArrayLike, window: int) -> NDArray[np.float64]:
    """Average each score with its neighbours, of which fewer exist at the ends.

    Parameters
    ----------
    scores
        One per frame, NaN where the face was missed: it stays NaN and enters no mean; shape (T,).
    window
        Frames averaged; an even window has its extra frame in the past.

    Returns
    -------
    NDArray
        Shape (T,).

    >>> smooth([0, 3, 6, 9], 3).tolist(), smooth([0, 4, 8], 2).tolist()
    ([1.5, 3.0, 6.0, 7.5], [0.0, 2.0, 6.0])
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or np.any(np.isinf(values)):
        raise ValueError(f"got scores of shape {values.shape}, expected finite ones, or NaN, (T,)")
    if window < 1:
        raise ValueError(f"got {window = }, expected at least 1 frame")
    known = ~np.isnan(values)
    place = np.arange(len(values))
    first = np.maximum(place - window // 2, 0)
    stop = np.minimum(place - window // 2 + window, len(values))
    # Every mean from its own numbers: a running sum would carry rounding from frame to frame.
    means = [
        values[a:b][known[a:b]].mean() if known[t] else math.nan
        for t, (a, b) in enumerate(zip(first, stop, strict=True))
    ]
    return np.array(means, dtype=np.float64)


def resample(labels: ArrayLike, fps: float, num_frames: int, rule: Rule) -> NDArray[np.bool_]:
    """Take labels of a video to the frames that its scores have, at 25 fps.

    Parameters
    ----------
    labels
        Whether the person talks in each frame of the source; shape (S,).
    fps
        Frame rate of the source.
    num_frames
        Frames wanted; past the end of the source the last label holds.
    rule
        ``nearest`` gives each frame the label of the source frame nearest in time. ``floor`` moves
        each source label to the frame whose number is left when the fraction is cut off, as the
        evaluation of TalkNet does; where several fall on one frame the last counts, and a frame
        that none falls on keeps the label before it.

    >>> resample([0, 1, 1, 0, 0, 0], fps=50, num_frames=3, rule="nearest").tolist()
    [False, True, False]
    """
    truth = validate(labels, np.zeros(np.shape(labels)))[0]
    if not len(truth) or not fps > 0 or rule not in ("nearest", "floor"):
        raise ValueError(f"got {len(truth)} labels, {fps = }, {rule = }, expected some, at a rate")
    place = np.arange(num_frames)
    if rule == "nearest":
        source = np.floor(place * fps / FPS + 0.5)
    else:
        falls_on = np.floor(np.arange(len(truth)) * FPS / fps)
        source = np.searchsorted(falls_on, place, side="right") - 1.0
    return np.asarray(truth[np.clip(source, 0, len(truth) - 1).astype(np.int64)])


def balanced_threshold(speaking: ArrayLike, scores: ArrayLike) -> float:
    """Return the threshold where the rates of false accepts and false rejects are closest.

    Parameters
    ----------
    speaking
        Whether the calibration speaker talks in each frame; shape (T,).
    scores
        One per frame; shape (T,).

    Raises
    ------
    ValueError
        If the speaker talks always, or never: no rate is then defined.
    """
    curve = roc(speaking, scores)
    return float(curve.threshold[curve.balance])


def f1(speaking: ArrayLike, said: ArrayLike) -> float:
    """Return the harmonic mean of precision and recall of frames taken for speech.

    Parameters
    ----------
    speaking, said
        Whether the person talks in each frame, and whether the method says so; shape (T,).

    Returns
    -------
    float
        In [0, 1], higher is better; NaN where nobody talks and nothing is said to.

    >>> round(f1([1, 1, 0, 0], [1, 0, 1, 0]), 2), f1([1, 0], [1, 0])
    (0.5, 1.0)
    """
    truth, answer = (validate(x, np.zeros(np.shape(x)))[0] for x in (speaking, said))
    if truth.shape != answer.shape:
        raise ValueError(f"got {truth.shape} labels for {answer.shape} answers, expected as many")
    hits = int((truth & answer).sum())
    total = int(truth.sum() + answer.sum())
    return 2 * hits / total if total else math.nan


@dataclass(frozen=True, eq=False)
class Speaker:
    """One person of one video."""

    speaking: NDArray[np.bool_]
    """Whether the person talks in each frame; shape (T,)."""
    scores: NDArray[np.float64]
    """Larger where surer of it, NaN where the face was missed; shape (T,)."""


@dataclass(frozen=True)
class AsdResult:
    """F1 on videos of several speakers."""

    threshold: float
    """Set on the calibration speaker, or fixed."""
    f1: Mapping[str, float]
    """Speaker -> F1 as a fraction, without the calibration speaker."""
    window: int
    missed: MissedFaces

    @property
    def macro(self) -> float:
        """Mean over the speakers, each weighing the same."""
        values = [value for value in self.f1.values() if not math.isnan(value)]
        return sum(values) / len(values) if values else math.nan


def columbia(
    speakers: Mapping[str, Speaker],
    calibration: str,
    window: int = 10,
    missed: MissedFaces = "silent",
) -> AsdResult:
    """Set the threshold on one speaker and measure F1 on every other.

    Parameters
    ----------
    speakers
        All speakers by name.
    calibration
        The one that the threshold is set on (Abbas in the paper); has no F1 of its own.
    window
        Frames that scores are averaged over.
    missed
        What becomes of frames without a face, in calibration too: ``silent`` rejects them at any
        threshold, ``skip`` leaves them out.

    Raises
    ------
    ValueError
        If the calibration speaker is unknown or alone, or ``missed`` is not a rule.
    """
    if missed not in ("silent", "skip"):
        raise ValueError(f"got {missed = }, expected 'silent' or 'skip'")
    if calibration not in speakers or len(speakers) < 2:
        raise ValueError(f"got speakers {sorted(speakers)}, expected {calibration!r} and others")
    ready = {name: _prepare(person, window, missed) for name, person in speakers.items()}
    threshold = balanced_threshold(*ready.pop(calibration))
    found = {name: f1(speaking, scores >= threshold) for name, (speaking, scores) in ready.items()}
    return AsdResult(threshold, found, window, missed)


def _prepare(
    person: Speaker, window: int, missed: MissedFaces
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    speaking, scores = validate(person.speaking, smooth(person.scores, window))
    seen = scores > -np.inf
    return (speaking[seen], scores[seen]) if missed == "skip" else (speaking, scores)


def fixed(speakers: Mapping[str, Speaker], threshold: float = 0.0) -> AsdResult:
    """Measure F1 at a fixed threshold, as the evaluation of TalkNet does on the same videos.

    Scores are averaged over the two frames before and the two after, except that the last frame of
    the video enters no mean (an upper bound that is one too low, kept because the published
    numbers have it). Missed faces are silent.

    Parameters
    ----------
    speakers
        All that are measured, by name.
    threshold
        Scores above or at it are speech; 0 for a classifier's logits.
    """
    found = {
        name: f1(person.speaking, _talknet_means(person.scores) >= threshold)
        for name, person in speakers.items()
    }
    return AsdResult(threshold, found, window=5, missed="silent")


def _talknet_means(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if len(values) < 2:
        return np.where(np.isnan(values), -np.inf, values)
    means = smooth(values, 5)
    known = ~np.isnan(values)
    for t in np.flatnonzero(known[-3:]) + max(0, len(values) - 3):
        near = values[max(0, t - 2) : len(values) - 1]
        means[t] = near[~np.isnan(near)].mean() if np.any(~np.isnan(near)) else values[t]
    return np.where(known, means, -np.inf)
