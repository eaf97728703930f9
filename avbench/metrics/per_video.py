"""Offsets judged video by video, where several windows or frames belong to one.

Conventions are those of `avbench.metrics.offset`. ``video`` names the video, or clip, that each
window belongs to.

Metrics
-------
* `macro_accuracy`: mean within each video, then over videos; `avbench.metrics.offset.accuracy`,
  its micro counterpart, weighs every window alike. They differ where videos differ in length.
* `top1_per_video`: share of videos whose most frequent answer is the truth.

References
----------
Chung, Chung and Kang, "Perfect match" (2019), and the evaluations after it: macro accuracy.
Shalev and Wolf, "End to end lip synchronization with a temporal autoencoder" (2020), Table 2:
top-1 accuracy per video. How a video's many answers become one is not stated there; here, as in
the voting of the released comparison with SyncNet, the most frequent one is taken.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from avbench.metrics.offset import Count, Offsets, hits, validate


def vote(estimate: Offsets) -> float:
    """Return the most frequent offset; NaN where there is no answer.

    Ties go to the smallest offset in magnitude, then to the negative one, so that the order of
    the windows never matters (the released code takes the one that came first).

    >>> vote([3, 3, -1, float("nan")]), vote([2, -1, 1])
    (3.0, -1.0)
    """
    said = validate(np.zeros(len(np.asarray(estimate))), estimate)[1]
    values, counts = np.unique(said[~np.isnan(said)], return_counts=True)
    most = values[counts == counts.max()] if len(values) else values
    return float(min(most, key=lambda offset: (abs(offset), offset), default=np.nan))


def macro_accuracy(
    reference: Offsets, estimate: Offsets, video: Sequence[Hashable], tolerance: int = 0
) -> float:
    """Return the mean over videos of the accuracy within each.

    Parameters
    ----------
    reference, estimate
        True and predicted offsets in frames, NaN for no answer; shape (n,).
    video
        Video of each window; n of them.
    tolerance
        Largest absolute difference that still counts, in frames.

    Returns
    -------
    float
        In [0, 1]; NaN where nothing was asked.

    >>> macro_accuracy([0, 0, 0], [0, 1, 0], ["a", "a", "b"])
    0.75
    """
    shares = [hits(t, s, tolerance).fraction for t, s in _parts(reference, estimate, video)]
    return float(np.mean(shares)) if shares else float("nan")


def top1_per_video(
    reference: Offsets, estimate: Offsets, video: Sequence[Hashable], tolerance: int = 0
) -> Count:
    """Count the videos whose most frequent answer is right.

    Parameters
    ----------
    reference, estimate
        True and predicted offsets in frames, NaN for no answer; shape (n,). For predicted
        alignments the offset of each frame: ``alignment - arange``.
    video
        Video of each window or frame; n of them.
    tolerance
        Largest absolute difference that still counts, in frames.

    Returns
    -------
    Count
        Right videos and all videos; a video without any answer is wrong.

    Raises
    ------
    ValueError
        If the truth differs within a video.

    >>> top1_per_video([2, 2, 2, 0], [2, 1, 2, 1], ["a", "a", "a", "b"]).fraction
    0.5
    """
    truths, answers = [], []
    for truth, said in _parts(reference, estimate, video):
        if np.any(truth != truth[0]):
            raise ValueError("got a video with several true offsets, expected a constant one")
        truths.append(truth[0])
        answers.append(vote(said))
    return hits(np.array(truths), np.array(answers), tolerance)


def _parts(
    reference: Offsets, estimate: Offsets, video: Sequence[Hashable]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    truth, said = validate(reference, estimate)
    if len(video) != len(truth):
        raise ValueError(f"got {len(video)} videos for {len(truth)} windows, expected as many")
    places: dict[Hashable, list[int]] = {}
    for place, name in enumerate(video):
        places.setdefault(name, []).append(place)
    for chosen in places.values():
        yield truth[chosen], said[chosen]
