"""How well sound and picture agree, and whether that could be an accident.

Everything is judged by how alike rows are (cosines less the means of their row and column), against
the same face with its sound shifted by far, which cannot belong to it. An aligner finds some
agreement in any sound, so that a repair is judged by what the same aligner finds in such sound, and
by how much less it doubts than there. What is left of a drift is read from alignments that the
aligner holds for probable, against which the picture as it is and as repaired are timed. `SURE`,
`DOUBT`, `REMAINS` and `AT_LEAST` were chosen on sentences of one speaker of GRID
(``benchmarks/align_repairs.py --part val``), and are reported on others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.ndimage import uniform_filter1d

from avbench.aligning.whole import AlignedRows
from avbench.data import Embeddings, FloatArray, IntArray
from avbench.similarity import normalise

CHANCES = 8, 24
"""Ways in which sound is joined wrongly: in long clips and in short ones."""
FAR = 60
"""Rows beyond which an aligner does not look for sound."""
SPAN = 25
"""Rows that the agreement at one instant is the mean of: one second."""
MOST_ROWS = 2500
"""Rows in the middle of a long clip that the surety of a repair is read from: 100 s."""
SURE = 0.05
"""Largest p-value that is believed."""
DOUBT, CLEAR = 0.75, 5.0
"""Largest doubt that is believed, as a share of the doubt in wrongly joined sound, and the
confidence from which on any is."""
WORTH = 3.0
"""How often what remains a drift must be for its repair to be called good."""
REMAINS, AT_LEAST = 0.9, 0.5
"""Drift that remains after a repair, in units of what the drawn alignments say, and what comes on
top of it in frames: posteriors take neighbouring rows for independent of each other, which they are
not, and recordings are themselves out by a fraction of a frame."""

Align = Callable[[Embeddings, IntArray], AlignedRows]
"""Rows and the expected row of picture per row of sound, to an alignment."""


@dataclass(frozen=True)
class Surety:
    """How sure a repair is."""

    confidence: float
    """Agreement after alignment above that of wrongly joined sound, in the spread of the latter."""
    p_value: float
    """How often sound that does not belong comes so high, about."""
    doubt: float
    """Distance from the truth in frames by the aligner's own posteriors; NaN where it has none."""
    chance_doubt: float
    """The same for wrongly joined sound."""
    drift: float
    """Mean drift of the picture as it is, in frames."""
    remains: float
    """Mean drift that may be left after the repair, in frames, about; NaN where unknown."""

    @property
    def grade(self) -> str:
        """``good`` where a third of the drift or less may be left, ``fair`` or ``low``.

        ``low`` where sound and lips agree no better than by chance, or not clearly so and the
        doubt is nearly as large as in sound that does not belong.
        """
        doubtful = self.doubt > DOUBT * self.chance_doubt and self.confidence < CLEAR
        if not self.p_value < SURE or doubtful:
            return "low"
        return "good" if self.drift >= WORTH * self.remains else "fair"


def drift_of(shown: IntArray, drawn: IntArray) -> FloatArray:
    """Return how far the picture that is shown is from the sound, by probable alignments.

    A picture belongs to the middle of the rows of sound that an alignment shows it with, the last
    one to the first of them, as it is held where the picture ends before the sound; pictures beyond
    those that it shows go on at their own rate.

    Parameters
    ----------
    shown
        Row of picture that is shown with each row of sound; shape (A,).
    drawn
        Alignments; shape (P, A).

    Returns
    -------
    FloatArray
        Mean distance over the alignments, in frames; shape (A,).

    >>> drift_of(np.array([0, 1, 2, 3]), np.array([[0, 2, 2, 3]])).tolist()
    [0.0, 0.25, 0.5, 0.0]
    """
    place = np.arange(len(shown))
    found: FloatArray = np.zeros(len(shown))
    for path in drawn:
        pictures, first, count = np.unique(path, return_index=True, return_counts=True)
        time = first + (count - 1) / 2
        time[-1] = first[-1]
        outside = np.minimum(shown - pictures[0], 0) + np.maximum(shown - pictures[-1], 0)
        found += np.abs(np.interp(shown, pictures, time) + outside - place)
    return found / max(len(drawn), 1)


def left_by(path: IntArray, drawn: IntArray) -> FloatArray:
    """Return how far a repair may be from the truth: `drift_of` it, and what that leaves out."""
    return REMAINS * drift_of(path, drawn) + AT_LEAST


def centred(rows: Embeddings) -> Embeddings:
    """Prepare rows so that their products are cosines less the means of row and column.

    The mean direction of each stream is taken away, which does that for all pairs at once.
    """
    video, audio = (normalise(np.nan_to_num(np.asarray(r, np.float64))) for r in rows)
    return Embeddings(video - video.mean(0), audio - audio.mean(0))


def along(rows: Embeddings, path: IntArray) -> FloatArray:
    """Return how alike each row of sound and its row of picture are; rows as from `centred`."""
    return np.asarray((rows.audio * rows.video[path]).sum(axis=1))


def wrong_sounds(audio: FloatArray, chances: int = CHANCES[0]) -> list[FloatArray]:
    """Return the rows of sound put where they do not belong, in so many ways.

    Sound that goes backwards fits no lips, whoever speaks, so that it is shifted around instead, by
    `FAR` and more. A clip too short for that is shifted by a third and more, and half of the ways
    go backwards.
    """
    rows = len(audio)
    if rows >= 4 * FAR:
        return [np.roll(audio, int(k), axis=0) for k in np.linspace(FAR, rows - FAR, chances)]
    shifts = np.linspace(rows / 3, 2 * rows / 3, chances // 2).astype(int)
    return [np.roll(some, int(k), axis=0) for k in shifts for some in (audio, audio[::-1])]


def over_time(rows: Embeddings, path: IntArray) -> FloatArray:
    """Return how well sound and picture agree in the second around each row of sound.

    Returns
    -------
    FloatArray
        In units of the spread of wrongly joined sound, above its mean; shape (A,).
    """
    ready = centred(rows)
    wrong = np.concatenate(
        [_smooth(along(Embeddings(ready.video, s), path)) for s in wrong_sounds(ready.audio)]
    )
    spread = float(wrong.std())
    found = _smooth(along(ready, path)) - wrong.mean()
    return np.asarray(found / spread if spread > 0 else np.zeros(len(found)))


def _smooth(values: FloatArray) -> FloatArray:
    return np.asarray(uniform_filter1d(values, min(SPAN, len(values)), mode="nearest"))


def surety(rows: Embeddings, expected: IntArray, found: AlignedRows, align: Align) -> Surety:
    """Judge an alignment by those that its aligner finds for sound that does not belong.

    Parameters
    ----------
    rows
        Embeddings of the clip.
    expected
        Row of picture that is shown with each row of sound; shape (A,).
    found
        The alignment.
    align
        What found it.
    """
    path = found.video_rows
    known = found.drawn is not None and len(found.drawn) > 0
    drawn = found.drawn if found.drawn is not None and known else path[None]
    skip = max(len(path) - MOST_ROWS, 0) // 2
    part = slice(skip, skip + MOST_ROWS)
    low = int(expected[part].min())
    ready = centred(rows)
    heard = ready.audio[part]
    agrees = float(along(Embeddings(ready.video, heard), path[part]).mean())
    video, audio = rows.video[low:], rows.audio[part]
    chances = int(np.clip(CHANCES[0] * MOST_ROWS // len(audio), *CHANCES))
    ways = (wrong_sounds(x, chances) for x in (audio, heard))
    wrong, doubts = [], []
    for sound, ready_sound in zip(*ways, strict=True):
        other = align(Embeddings(video, sound), expected[part] - low)
        there = Embeddings(ready.video, ready_sound)
        wrong.append(float(along(there, other.video_rows + low).mean()))
        doubts.append(float(other.doubt.mean()))
    spread = float(np.std(wrong, ddof=1))
    confidence = (agrees - float(np.mean(wrong))) / spread if spread > 0 else 0.0
    return Surety(
        confidence=confidence,
        p_value=float(stats.t.sf(confidence, chances - 1)),
        doubt=float(found.doubt.mean()),
        chance_doubt=float(np.mean(doubts)),
        drift=float(drift_of(expected, drawn).mean()),
        remains=float(left_by(path, drawn).mean()) if known else float("nan"),
    )
