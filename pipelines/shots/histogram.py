"""Shot boundaries from colour histograms of consecutive frames.

A picture is cut into a grid of blocks and each block keeps one histogram per colour channel, so
that two rooms of the same colours still differ. The distance of two pictures is a low quantile of
the distances of their blocks: a caption, an inset or one moving person changes some blocks, a cut
changes most of them.

Scores
------
step
    Distance of a frame to the one before.
hard
    Smallest distance between the ``flash + 1`` frames before and the ``flash + 1`` frames from
    here on. A flash lights up for a moment and goes: some frame after it looks like one before.
    What is below the threshold is not made smaller.
spread, blend, change
    Of a window of L frames around this one: how far its ends lie apart; how far the pictures
    between them are from weighted means of the two (0 in a dissolve; 0.2 and more for motion or a
    hard cut); how much the ends differ beyond a change of light, in grey levels. The last two are
    measured where the first exceeds its threshold, and 1 and 0 elsewhere.

References
----------
Lienhart, "Reliable transition detection in videos: a survey and practitioner's guide", 2001
(histogram differences, flashes, the linear model of a dissolve). Zhang, Kankanhalli and Smoliar,
"Automatic partitioning of full-motion video", 1993 (comparison over a longer span).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from avbench.data import FloatArray, IntArray, UInt8Array
from avbench.media.picture import sampled

from .boundaries import Boundaries

_SIDE = 96
"""Side in pixels of the shrunken picture whose colours are counted."""
_THUMB = 24
"""Side in pixels of the thumbnail on which blends are recognised."""


@dataclass(frozen=True)
class ShotSettings:
    """What counts as a boundary between shots.

    The defaults were chosen on 22 real files (6 cuts), on 25 splices of them (126 cuts, 149
    dissolves and fades, flashes) and on 24 rendered programmes (140 cuts, 34 dissolves, moving
    cameras, flickering light): all are found, and nothing else.
    """

    grid: int = 4
    """Blocks per side of the picture."""
    bins: int = 16
    """Histogram bins per colour channel; divides 256."""
    quantile: float = 0.4
    """Which block's distance speaks for the picture: up to 60 % of it may change without a cut."""
    threshold: float = 0.06
    """Least hard score of a cut."""
    contrast: float = 4.0
    """How many times a cut's hard score exceeds the median step nearby."""
    vicinity: int = 8
    """Frames on either side over which that median is taken."""
    flash: int = 2
    """Longest flash in frames that is not a pair of cuts."""
    spans: tuple[int, ...] = (8, 16)
    """Lengths in frames of the windows in which dissolves are looked for; multiples of four."""
    spread: float = 0.1
    """Least distance between the ends of such a window."""
    change: float = 14.0
    """Least difference of its ends beyond a change of light, in grey levels."""
    blend: float = 0.115
    """Greatest deviation from weighted means inside a window whose ends differ by ``change``. It
    grows with the root of the difference: what moves meanwhile matters less in a large change."""


class Picture(NamedTuple):
    """What is kept of one frame."""

    histogram: FloatArray
    """Shape (blocks, 3 * bins); each block sums to one."""
    thumb: FloatArray
    """Shape (24, 24, 3), 0..255."""


@dataclass(frozen=True, eq=False)
class ShotScores:
    """The scores of every frame of a video; see the module for what they mean."""

    step: FloatArray
    """Shape (T,)."""
    hard: FloatArray
    """Shape (T,)."""
    spread: FloatArray
    """Shape (T, number of spans)."""
    blend: FloatArray
    """Shape (T, number of spans)."""
    change: FloatArray
    """Shape (T, number of spans)."""


def describe(image: UInt8Array, settings: ShotSettings) -> Picture:
    """Reduce an RGB picture of any size, shape (H, W, 3), to what shots are told apart by."""
    small = image if image.shape[:2] == (_SIDE, _SIDE) else sampled(image, _SIDE)
    thumb = cv2.resize(small, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA)
    blocks, width = settings.grid**2, 3 * settings.bins
    places = _places(settings.grid, settings.bins) + small // (256 // settings.bins)
    counts = np.bincount(places.ravel(), minlength=blocks * width).reshape(blocks, width)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return Picture(shares.astype(np.float32), thumb.astype(np.float32))


@lru_cache(maxsize=4)
def _places(grid: int, bins: int) -> IntArray:
    """Return where the counts of each pixel's block and channel begin; shape (96, 96, 3)."""
    rows = np.arange(_SIDE) * grid // _SIDE
    block = rows[:, None] * grid + rows[None, :]
    return (block[..., None] * 3 * bins + np.arange(3) * bins).astype(np.int32)


def distance(first: FloatArray, second: FloatArray, quantile: float) -> FloatArray:
    """Return how much of the pictures' colours differs, 0 (nothing) to 1 (everything).

    Parameters
    ----------
    first, second
        Block histograms; shape (..., blocks, 3 * bins), broadcast against each other.
    quantile
        Which of the blocks' distances is returned.
    """
    of_blocks = np.sort(0.5 * np.abs(first - second).sum(axis=-1), axis=-1)
    rank = round(quantile * (of_blocks.shape[-1] - 1))
    result: FloatArray = of_blocks[..., rank]
    return result


def blend_error(thumbs: FloatArray) -> float:
    """Return how far the inner pictures of a window are from weighted means of its ends.

    Parameters
    ----------
    thumbs
        First end, pictures at equal steps, second end; shape (N, H, W, 3) with N > 2.

    Returns
    -------
    float
        Root mean square deviation of the inner pictures from the straight line between the ends,
        relative to its length: 0 in a perfect dissolve, 0.4 where the middle is a hard cut.
    """
    flat = thumbs.reshape(len(thumbs), -1)
    first, last = flat[0], flat[-1]
    weights = np.linspace(0, 1, len(flat))[1:-1, None]
    errors = np.linalg.norm(flat[1:-1] - first - weights * (last - first), axis=1)
    length = max(float(np.linalg.norm(last - first)), 1e-6)
    return float(np.sqrt(np.mean(errors**2))) / length


def content_change(first: FloatArray, last: FloatArray) -> float:
    """Return how much two pictures differ beyond a change of light, in grey levels (RMS).

    Light multiplies contrasts by a gain (within 0.7 to 1.4; beyond that it is a fade) and adds a
    colour.

    Parameters
    ----------
    first, last
        Shape (H, W, 3).
    """
    one, two = (thumb.reshape(-1, 3) - thumb.mean(axis=(0, 1)) for thumb in (first, last))
    left = []
    for source, result in ((one, two), (two, one)):
        gain = float((source * result).sum()) / max(float((source * source).sum()), 1e-6)
        left.append(float(np.linalg.norm(result - np.clip(gain, 0.7, 1 / 0.7) * source)))
    return max(left) / float(np.sqrt(one.size))


class ShotDetector:
    """Takes the pictures of a video in order and says where its shots end.

    Keeps the scores of all frames and the descriptions of the last few.
    """

    def __init__(self, settings: ShotSettings | None = None) -> None:
        self.settings = settings or ShotSettings()
        self._recent: deque[Picture] = deque(
            maxlen=max(2 * self.settings.flash + 2, max(self.settings.spans, default=0) + 1)
        )
        self._step: list[float] = []
        self._hard: list[float] = []
        # One list per span: of a video of two hours, its frames' scores take 50 MB.
        self._spread: list[list[float]] = [[] for _ in self.settings.spans]
        self._blend: list[list[float]] = [[] for _ in self.settings.spans]
        self._change: list[list[float]] = [[] for _ in self.settings.spans]
        self._settled = Boundaries(0, (), ())

    @property
    def side(self) -> int:
        """Side of the grid of pixels that is enough of a picture; 0 for all of it."""
        return _SIDE

    def push(self, image: UInt8Array) -> None:
        """Take the next picture; RGB, shape (H, W, 3)."""
        settings = self.settings
        self._recent.append(describe(image, settings))
        now = len(self._step)
        self._step.append(self._distance(-2, -1) if now else 0.0)
        self._hard.append(self._step[-1])
        # The frame whose surroundings are complete only now.
        for centre in range(max(now - settings.flash, 1), now + 1):
            # Below the threshold it decides nothing how much lower it is.
            if self._hard[centre] > settings.threshold:
                self._settle_hard(now, centre)
        for column, span in enumerate(settings.spans):
            self._spread[column].append(0.0)
            self._blend[column].append(1.0)
            self._change[column].append(0.0)
            if now >= span:
                self._settle_span(column, span, now - span // 2)

    def scores(self, start: int = 0) -> ShotScores:
        """Return the scores of all frames so far, or of those from ``start`` on."""
        return ShotScores(
            step=np.array(self._step[start:]),
            hard=np.array(self._hard[start:]),
            spread=self._by_frame(self._spread, start),
            blend=self._by_frame(self._blend, start),
            change=self._by_frame(self._change, start),
        )

    def table(self) -> Mapping[str, FloatArray]:
        """Return the scores of all frames so far by name; each of shape (T,)."""
        scores = self.scores()
        columns = {"step": scores.step, "hard": scores.hard}
        for column, span in enumerate(self.settings.spans):
            for name in ("spread", "blend", "change"):
                columns[f"{name}_{span}"] = getattr(scores, name)[:, column]
        return columns

    def settled(self) -> Boundaries:
        """Return the boundaries of as many frames as no later picture can tell otherwise of."""
        settings, done = self.settings, self._settled
        # A decision looks so far around; twice that, since cuts join transitions.
        reach = 2 * (max([0, *settings.spans]) + max(settings.vicinity, settings.flash + 2))
        stop = len(self._step) - reach
        if stop > done.num_frames:
            start = max(done.num_frames - reach, 0)
            found = find_boundaries(self.scores(start), settings)
            spans = [(a + start, b + start) for a, b in found.transitions]
            spans = [span for span in spans if span[0] >= done.num_frames]
            # A transition is settled when all of it is.
            stop = min([stop, *(a for a, b in spans if b > stop)])
            cuts = tuple(c + start for c in found.cuts if done.num_frames <= c + start < stop)
            over = tuple(span for span in spans if span[1] <= stop)
            self._settled = Boundaries(stop, done.cuts + cuts, done.transitions + over)
        return self._settled

    def finish(self) -> Boundaries:
        """Return the boundaries of the frames so far, those that were settled among them."""
        return find_boundaries(self.scores(), self.settings)

    def _by_frame(self, columns: list[list[float]], start: int) -> FloatArray:
        table = np.array([column[start:] for column in columns], np.float64)
        return table.reshape(len(columns), len(self._step) - start).T

    def _distance(self, first: int, second: int) -> float:
        one, two = self._recent[first].histogram, self._recent[second].histogram
        return float(distance(one, two, self.settings.quantile))

    def _settle_span(self, column: int, span: int, centre: int) -> None:
        """Score the window of ``span`` frames that ends with the newest frame."""
        self._spread[column][centre] = self._distance(-1 - span, -1)
        if self._spread[column][centre] <= self.settings.spread:
            return
        steps = range(-1 - span, 0, span // 4)
        thumbs = np.stack([self._recent[step].thumb for step in steps])
        self._blend[column][centre] = blend_error(thumbs)
        self._change[column][centre] = content_change(thumbs[0], thumbs[-1])

    def _settle_hard(self, now: int, centre: int) -> None:
        """Compare the newest frame with those before ``centre``, in the flash-proof score."""
        back = range(centre - 1, max(centre - 2 - self.settings.flash, -1), -1)
        before = np.stack([self._recent[frame - now - 1].histogram for frame in back])
        nearest = distance(before, self._recent[-1].histogram, self.settings.quantile).min()
        self._hard[centre] = min(self._hard[centre], float(nearest))


def find_boundaries(scores: ShotScores, settings: ShotSettings) -> Boundaries:
    """Decide from the scores of all frames where the shots end.

    The first or last step of a dissolve may look like a cut: a cut within half the shortest span
    of a transition is its edge.
    """
    cuts = [int(cut) for cut in find_cuts(scores, settings)]
    reach = min(settings.spans, default=0) // 2
    transitions: list[tuple[int, int]] = []
    for start, stop in find_transitions(scores, settings):
        near = [cut for cut in cuts if start - reach <= cut <= stop + reach]
        cuts = [cut for cut in cuts if cut not in near]
        transitions.append((min([start, *near]), max([stop, *near])))
    return Boundaries(len(scores.step), tuple(cuts), tuple(transitions))


def find_cuts(scores: ShotScores, settings: ShotSettings) -> IntArray:
    """Return the first frames of shots that begin with a hard cut; shape (cuts,)."""
    hard, reach = scores.hard, settings.flash + 1
    loud = np.flatnonzero(hard > settings.threshold)
    cuts = []
    for frame in loud:
        around = np.r_[
            scores.step[max(frame - settings.vicinity, 1) : frame],
            scores.step[frame + 1 : frame + 1 + settings.vicinity],
        ]
        calm = float(np.median(around)) if len(around) else 0.0
        # Steps of a still picture are zero; 0.005 is the noise of coding.
        if hard[frame] < settings.contrast * (calm + 0.005):
            continue
        peak = hard[max(frame - reach, 0) : frame + reach + 1]
        if hard[frame] >= peak.max():
            cuts.append(frame)
    return np.array(cuts, np.int64)


def find_transitions(scores: ShotScores, settings: ShotSettings) -> tuple[tuple[int, int], ...]:
    """Return the frame ranges of gradual changes: windows that blend, joined where they touch."""
    inside = np.zeros(len(scores.step), bool)
    for column, span in enumerate(settings.spans):
        change = scores.change[:, column]
        limit = settings.blend * np.sqrt(change / settings.change)
        blends = scores.spread[:, column] > settings.spread
        blends &= (change > settings.change) & (scores.blend[:, column] < limit)
        # A window still blends when a tenth of it at either end lies outside the dissolve.
        reach = 4 * span // 10
        for centre in np.flatnonzero(blends):
            inside[centre - reach + 1 : centre + reach] = True
    edges = np.flatnonzero(np.diff(np.r_[False, inside, False].astype(np.int8)))
    return tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2))
