"""From the posteriors of all windows to the middle of what is probable, row by row, and the doubt.

Where a second of speech says little, the likeliest path (`avbench.aligning.posterior.viterbi`)
takes all its turns in one place, and may be far from the truth for long. The median of each row's
own probability, given all of the clip, has the least error to be expected, and tells that error.

How often pictures were dropped or copied is not known beforehand: of several laws of how the
picture moves on, the one under which the clip is likeliest is taken. A picture is held where the
sound outlasts it, as a player does.

Every picture has one row of sound of its own. The sound of pictures that were dropped is shown with
the nearest one that is left, the later of two (`avbench.distort.alignment_of`): of a gap of one,
before the later picture's own row; of a wider gap, half after the earlier one's. So a row of sound
is a picture's `OWN`, `BEFORE` or `AFTER` it, and how much the picture changes across a gap, which
tells whether any is missing there (`avbench.repairing.held.missing`), is weighed once for each gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from avbench.data import FloatArray, IntArray
from avbench.distort import rng_for

OWN, BEFORE, AFTER = range(3)
HALVED = 0.5
"""Each further row left out is so many times as probable."""
MOST_LEFT_OUT = 3
"""Rows of picture that one step leaves out, at most."""
MORE, ANOTHER = 0.3, 0.16
"""Share of gaps in which more than one picture is missing, and how probable it is that yet another
is, on either side."""
PATHS = 32
"""Alignments that are drawn, where they are."""
TRIED = 2500
"""Rows in the middle of a long clip by which the law is chosen: 100 s."""


class Law(NamedTuple):
    """How the picture moves on from one row of sound to the next."""

    stay: float
    """Probability that pictures are missing before the next one, so that this or that one stays."""
    leap: float
    """Probability that it leaves rows out, as where a picture was copied."""


LAWS = (
    Law(0.01, 0.01),
    Law(0.05, 0.02),
    Law(0.15, 0.01),
    Law(0.3, 0.01),
    Law(0.15, 0.15),
    Law(0.33, 0.17),
)
"""From recordings in sync, over those that lost pictures, to ones that lost and copied many: the
last is ``symmetric`` of `avbench.distort`, the fourth the same without copies."""


class Middle(NamedTuple):
    """What is most probable, and how far from the truth it may be."""

    offsets: IntArray
    """Median offset of each row; shape (N,)."""
    doubt: FloatArray
    """Mean distance of the probable offsets from it, in rows; shape (N,)."""
    law: Law
    """The law under which the clip is likeliest."""
    paths: IntArray
    """Offsets of alignments drawn by their probability, none of which goes back; shape (P, N)."""


class Way(NamedTuple):
    """A step that alignments take from one row of sound to the next."""

    source: int
    target: int
    """`OWN`, `BEFORE` or `AFTER`."""
    step: int
    """Rows of picture."""
    weight: FloatArray
    """How probable, by law and offset after the step; shape (L, K) or (L, 1)."""


def middle(
    blocks: Iterable[FloatArray],
    expected: IntArray | None = None,
    *,
    laws: Sequence[Law] = LAWS,
    paths: int = 0,
    missing: FloatArray | None = None,
) -> Middle:
    """Weigh every row against all others (forward and backward), and take the median of each.

    Parameters
    ----------
    blocks
        As for `avbench.aligning.posterior.viterbi`; the same rows and offsets.
    expected
        Row of picture that is shown with each row of sound, each the same as or one after that
        before it; one after the other where None; shape (N,).
    laws
        The likeliest one is taken, the first of those where several are.
    paths
        Alignments to draw, from a generator of their own.
    missing
        Natural logarithms of how much better it explains each row of picture that one picture, or
        more, are missing before it; shape (M, 2).

    Returns
    -------
    Middle
        Its offsets may go back by a row now and then, as each row is judged by itself.
    """
    told = [_seen(logs) for block in blocks for logs in block]
    due = np.arange(len(told)) if expected is None else np.asarray(expected, np.int64)
    clip = _Clip(told, due, missing)
    law = laws[int(_evidence(clip, laws).argmax())] if told else laws[0]
    steps = _Steps([law])
    ahead = [state[0].astype(np.float32) for state, _ in _forward(clip, steps)]
    offsets, doubt = np.zeros(len(told), np.int64), np.zeros(len(told))
    behind: FloatArray = np.ones(0)
    for at in range(len(told) - 1, -1, -1):
        if at + 1 == len(told):
            behind = np.ones(ahead[at].shape)
        else:
            behind = _back(behind * told[at + 1][0], clip.ways(at + 1, steps), clip.move(at + 1))
            behind = _share(behind, np.ones(behind.shape))
        share = _share(ahead[at] * behind, ahead[at]).sum(axis=0)
        every = np.arange(len(share)) - len(share) // 2
        offsets[at] = every[min(int(np.searchsorted(np.cumsum(share), 0.5)), len(every) - 1)]
        doubt[at] = float(share @ np.abs(every - offsets[at]))
    return Middle(offsets, doubt, law, _drawn(ahead, clip, steps, paths))


def _seen(logs: FloatArray) -> tuple[FloatArray, int]:
    """Return how probable a row makes each offset, up to a factor, and where the picture ends.

    That is the place of the clip's last picture among the offsets, K where it lies beyond.
    """
    known = np.flatnonzero(np.isfinite(logs))
    if not len(known):
        return np.ones(len(logs), np.float32), len(logs)
    last = int(known[-1])
    seen = np.exp(np.asarray(logs, np.float64) - np.max(logs)).astype(np.float32)
    return seen, len(logs) if last + 1 == len(logs) else last


class _Clip:
    """What is said of the rows of a clip."""

    def __init__(
        self,
        told: Sequence[tuple[FloatArray, int]],
        expected: IntArray,
        missing: FloatArray | None,
    ) -> None:
        self.told, self._expected = told, expected
        self._width = len(told[0][0]) if told else 0
        logs = np.zeros((0, 2)) if missing is None else np.asarray(missing, np.float64)
        # Rows of picture that do not exist, before and after, are as likely as any.
        self._pad = self._width + 1
        self._ratios = np.exp(np.pad(logs, ((self._pad, self._pad), (0, 0)))).T

    def __len__(self) -> int:
        return len(self.told)

    def move(self, row: int) -> int:
        """Return how far the expected row of picture moves before a row of sound."""
        return int(self._expected[row] - self._expected[row - 1]) if row else 0

    def ways(self, row: int, steps: _Steps) -> list[Way]:
        """Return the steps that lead to a row."""
        last = self.told[row][1]
        first = int(self._expected[row]) - self._width // 2 + self._pad
        places = (first + np.arange(self._width + 1)).clip(0, self._ratios.shape[1] - 1)
        one, more = self._ratios[:, places]
        after = more[1:]
        ways = [*steps.same, *(way._replace(weight=way.weight * one[:-1]) for way in steps.gaps)]
        if last < self._width:
            after[last:] = 0.0
            ways.append(Way(OWN, OWN, 0, (np.arange(self._width) == last)[None].astype(float)))
        return [*ways, Way(OWN, AFTER, 0, steps.more * after)]


class _Steps:
    """What laws say of steps, whatever the pictures."""

    def __init__(self, laws: Sequence[Law]) -> None:
        self.stay, leap = (np.array([[law[part]] for law in laws]) for part in (0, 1))
        self.more = self.stay * MORE
        other, done = np.full((1, 1), ANOTHER), np.full((1, 1), 1 - ANOTHER)
        leaps = HALVED ** np.arange(1, MOST_LEFT_OUT + 1)
        on = [1 - leap, *(leap * w for w in leaps / leaps.sum())]
        self.same = (
            Way(BEFORE, BEFORE, 0, other),
            Way(BEFORE, OWN, 0, done),
            Way(AFTER, AFTER, 0, other),
            *(Way(OWN, OWN, 1 + n, (1 - self.stay) * w) for n, w in enumerate(on)),
            *(Way(AFTER, BEFORE, 1 + n, done * w) for n, w in enumerate(on)),
        )
        gap = self.stay * (1 - MORE)
        self.gaps = tuple(Way(OWN, BEFORE, 1 + n, gap * w) for n, w in enumerate(on))
        """Those across one picture that is missing."""


def _forward(
    clip: _Clip, steps: _Steps, part: slice = slice(None)
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield how probable each role and offset is by what is said so far, and how probable that was.

    Shapes (L, 3, K) and (L,), row by row.
    """
    state: FloatArray | None = None
    for row in range(*part.indices(len(clip))):
        seen = clip.told[row][0]
        if state is None:
            start = np.ones((len(steps.stay), len(seen)))
            came = np.stack([start, steps.stay * start, 0 * start], axis=1)
        else:
            came = _onward(state, clip.ways(row, steps), clip.move(row))
        joint = came * seen
        total = joint.sum(axis=(1, 2))
        if not total.all():  # nothing that is said fits what was said before
            joint = np.where(total[:, None, None] > 0, joint, seen)
        state = np.asarray(joint / joint.sum(axis=(1, 2), keepdims=True))
        yield state, total


def _evidence(clip: _Clip, laws: Sequence[Law]) -> FloatArray:
    """Return the logarithm of how probable all rows are under each law; shape (L,)."""
    skip = max(len(clip) - TRIED, 0) // 2
    found = np.zeros(len(laws))
    for _, total in _forward(clip, _Steps(laws), slice(skip, skip + TRIED)):
        found += np.log(total.clip(min=1e-300))
    return found


def _onward(values: FloatArray, ways: Sequence[Way], move: int) -> FloatArray:
    """Carry probabilities from one row to the next; (L, 3, K)."""
    found = np.zeros(values.shape)
    for way in ways:
        found[:, way.target] += way.weight * _moved(values[:, way.source], way.step - move)
    return found


def _back(values: FloatArray, ways: Sequence[Way], move: int) -> FloatArray:
    """Carry probabilities from one row to the one before; (3, K)."""
    found = np.zeros(values.shape)
    for way in ways:
        found[way.source] += _moved(way.weight[0] * values[way.target], move - way.step)
    return found


def _moved(values: FloatArray, by: int) -> FloatArray:
    """Move values to higher places, or lower ones, with nothing from outside."""
    if not by:
        return values
    found = np.zeros(values.shape)
    if by > 0:
        found[..., by:] = values[..., :-by]
    else:
        found[..., :by] = values[..., -by:]
    return found


def _drawn(ahead: Sequence[FloatArray], clip: _Clip, law_steps: _Steps, count: int) -> IntArray:
    """Draw alignments from the last row to the first; (P, N)."""
    found = np.zeros((count, len(ahead)), np.int64)
    if not (count and len(ahead)):
        return found
    rng = rng_for(0, "alignments")
    chances = rng.random((len(ahead), count))
    width = ahead[0].shape[1]
    final = np.cumsum(ahead[-1], dtype=np.float64)
    chosen = np.searchsorted(final, chances[-1] * final[-1]).clip(max=len(final) - 1)
    role, place = np.divmod(chosen, width)
    found[:, -1] = place
    for at in range(len(ahead) - 2, -1, -1):
        ways, move = clip.ways(at + 1, law_steps), clip.move(at + 1)
        sources, targets, steps = np.array([way[:3] for way in ways]).T
        weights = np.stack([np.broadcast_to(way.weight[0], width) for way in ways])
        before = place[:, None] + move - steps
        inside = (before >= 0) & (before < width) & (targets == role[:, None])
        before = before.clip(0, width - 1)
        share = np.where(inside, ahead[at][sources, before] * weights[:, place].T, 0.0)
        sums = np.cumsum(share, axis=1)
        way = (sums <= chances[at][:, None] * sums[:, -1:]).sum(axis=1).clip(max=len(ways) - 1)
        role, place = sources[way], before[np.arange(count), way]
        found[:, at] = place
    return np.asarray(found - width // 2)


def _share(values: FloatArray, otherwise: FloatArray) -> FloatArray:
    """Scale values to a sum of 1, or others where these are all zero."""
    total = values.sum()
    return np.asarray(values / total if total > 0 else otherwise / otherwise.sum())
