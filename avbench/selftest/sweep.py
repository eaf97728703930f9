"""Ask a method about the same picture with its sound displaced by every offset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from avbench.asking import ROW_FRAMES
from avbench.data import Clip, FloatArray, IntArray
from avbench.selftest.material import cut, own_offset, starts
from avbench.selftest.subject import Answer, Subject, answers_of, explain

WINDOWS = 3
"""Windows per clip."""
MOST_OFFSETS = 11
MAX_BIAS = 3
"""Largest constant shift in frames that is looked for."""
SURE = 1e-3
"""Chance of being taken for better than guessing by luck, at most."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a method answered about W windows, each at K offsets."""

    offsets: IntArray
    """True offsets, ascending; shape (K,)."""
    predicted: FloatArray
    """Answers in frames, NaN where it failed; shape (W, K)."""
    confidence: FloatArray
    """Shape (W, K)."""
    search: int
    """Largest candidate offset."""
    length: int
    """Frames of a window."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Message -> number of questions."""


class Reading(NamedTuple):
    """The straight line that answers follow best: predicted = sign * offset + bias."""

    sign: int
    bias: int
    exact: float
    """Share of the answers on the line, of those whose place on it lies in the search range."""
    near: float
    """Share within one frame of it."""
    right: float
    """Share of exact answers as they stand: on the line of sign 1 and bias 0."""
    luck: float
    """Bound on the probability that guessing lies on some line as often."""

    @property
    def known(self) -> bool:
        """Whether the answers follow the sound better than guessing would."""
        return self.luck < SURE


def measure(
    subject: Subject,
    clips: Iterable[Clip],
    length: int,
    windows: int = WINDOWS,
    lead: int = 0,
) -> Sweep:
    """Ask about windows of clips at every offset of the search range.

    A method that compares embeddings is asked as the benchmark does it: each clip is embedded
    once, windows are slices.

    Parameters
    ----------
    subject
        The method.
    clips
        With a constant known offset.
    length
        Frames of a window.
    windows
        Windows per clip.
    lead
        Rows of sound on either side of a window that embeddings are compared with beside its own.
    """
    search = subject.search
    count = min(2 * search + 1, MOST_OFFSETS)
    offsets = np.unique(np.rint(np.linspace(-search, search, count)).astype(np.int64))
    answers: list[list[Answer]] = []
    for clip in clips:
        places = starts(clip, length, search + lead, windows)
        by_slices = (
            _slicer(subject, clip, lead) if subject.embedding is not None and places else None
        )
        for start in places:
            if by_slices is None:
                answers.append([subject.ask(cut(clip, start, length, int(k))) for k in offsets])
            else:
                answers.append(by_slices(start, length, offsets))
    table = np.array(
        [[np.nan if a.offset is None else a.offset for a in row] for row in answers], np.float64
    )
    sure = np.array([[a.confidence for a in row] for row in answers], np.float64)
    failures = Counter(a.failure for row in answers for a in row if a.failure is not None)
    shape = (len(answers), len(offsets))
    return Sweep(offsets, table.reshape(shape), sure.reshape(shape), search, length, failures)


def _slicer(
    subject: Subject, clip: Clip, lead: int
) -> Callable[[int, int, IntArray], list[Answer]]:
    try:
        rows = subject.embed(clip)
    except Exception as error:
        failed = Answer(None, failure=explain(error))
        return lambda start, length, offsets: [failed] * len(offsets)
    own = own_offset(clip)

    def ask(start: int, length: int, offsets: IntArray) -> list[Answer]:
        count = length - ROW_FRAMES + 1
        heard = [start + int(k) - own for k in offsets]
        video = np.stack([rows.video[start : start + count]] * len(offsets))
        audio = np.stack([rows.audio[s - lead : s + count + lead] for s in heard])
        try:
            return answers_of(subject.compare(video, audio))
        except Exception as error:
            return [Answer(None, failure=explain(error))] * len(offsets)

    return ask


def read(sweep: Sweep) -> Reading:
    """Find the line that the answers follow best, and how likely guessing does as well.

    Guessing hits a place with probability 1 / (places to guess among). The answers about one
    window are taken for one trial, since the same picture may mislead them all alike; the bound is
    the binomial tail, times the number of lines looked at.
    """
    search = sweep.search
    limit = min(MAX_BIAS, search - 1)
    biases = sorted(range(-limit, limit + 1), key=abs)
    lines = [(sign, bias) for sign in (1, -1) for bias in biases]
    exact, near, luck = {}, {}, {}
    for sign, bias in lines:
        place = sign * sweep.offsets + bias
        inside = np.abs(place) <= search
        error = np.abs(sweep.predicted[:, inside] - place[inside])
        exact[sign, bias] = _mean(error == 0)
        near[sign, bias] = _mean(error <= 1)
        # Uniform offsets: a guess is right about one in as many as are asked about.
        chance = 1 / max(int(inside.sum()), 1)
        tails = [
            float(binom.sf(np.floor((error <= near_by).mean(axis=1).sum()) - 1, len(error), p))
            for near_by, p in ((0, chance), (1, min(3 * chance, 1.0)))
            if error.size
        ]
        luck[sign, bias] = min([1.0, *(2 * len(lines) * tail for tail in tails)])
    # Another line than the right one must be clearly better, not better by accident.
    best = max(lines, key=lambda line: exact[line] - 0.1 * (line != (1, 0)))
    return Reading(*best, exact[best], near[best], exact[1, 0], luck[best])


def _mean(hits: np.ndarray) -> float:
    return float(hits.mean()) if hits.size else 0.0
