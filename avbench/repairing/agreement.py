"""How well sound and picture agree, and whether that could be an accident.

Everything is judged by how alike rows are (cosines less the means of their row and column), against
the same face with its sound shifted by far, which cannot belong to it. An aligner finds some
agreement in any sound, so that a repair is judged by what the same aligner finds in such sound, and
by how much less it doubts than there. `DOUBT`, `WORTH` and `REMAINS` were chosen on the clips of
``benchmarks/align_repairs.py`` with other damages than it measures.
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

CHANCES = 8
"""Ways in which sound is joined wrongly."""
FAR = 60
"""Rows beyond which an aligner does not look for sound."""
SPAN = 25
"""Rows that the agreement at one instant is the mean of: one second."""
MOST_ROWS = 2500
"""Rows in the middle of a long clip that the surety of a repair is read from: 100 s."""
SURE = 0.01
"""Largest p-value that is believed."""
DOUBT, CLEAR = 0.5, 5.0
"""Largest doubt that is believed, as a share of the doubt in wrongly joined sound, and the
confidence from which on any is."""
WORTH = 9.0
"""How often the doubt a drift must be for its repair to be called good."""
REMAINS = 3.6
"""Drift that remains after a repair, in units of the doubt: posteriors take neighbouring rows for
independent of each other, which they are not."""

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
    """Mean drift that the repair takes away, in frames."""

    @property
    def remains(self) -> float:
        """Mean drift that may be left after the repair, in frames, about; NaN where unknown."""
        return REMAINS * self.doubt

    @property
    def grade(self) -> str:
        """``good`` where a third of the drift or less may be left, ``fair`` or ``low``.

        ``low`` where sound and lips agree no better than by chance, or not clearly so and the
        doubt is nearly as large as in sound that does not belong.
        """
        doubtful = self.doubt > DOUBT * self.chance_doubt and self.confidence < CLEAR
        if not self.p_value < SURE or doubtful:
            return "low"
        return "good" if self.drift >= WORTH * self.doubt else "fair"


def centred(rows: Embeddings) -> Embeddings:
    """Prepare rows so that their products are cosines less the means of row and column.

    The mean direction of each stream is taken away, which does that for all pairs at once.
    """
    video, audio = (normalise(np.nan_to_num(np.asarray(r, np.float64))) for r in rows)
    return Embeddings(video - video.mean(0), audio - audio.mean(0))


def along(rows: Embeddings, path: IntArray) -> FloatArray:
    """Return how alike each row of sound and its row of picture are; rows as from `centred`."""
    return np.asarray((rows.audio * rows.video[path]).sum(axis=1))


def wrong_sounds(audio: FloatArray) -> list[FloatArray]:
    """Return the rows of sound put where they do not belong.

    Sound that goes backwards fits no lips, whoever speaks, so that it is shifted around instead, by
    `FAR` and more. A clip too short for that is shifted by a third and more, and half of the ways
    go backwards.
    """
    rows = len(audio)
    if rows >= 4 * FAR:
        return [np.roll(audio, int(k), axis=0) for k in np.linspace(FAR, rows - FAR, CHANCES)]
    shifts = np.linspace(rows / 3, 2 * rows / 3, CHANCES // 2).astype(int)
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
    skip = max(len(path) - MOST_ROWS, 0) // 2
    part = slice(skip, skip + MOST_ROWS)
    low = int(expected[part].min())
    ready = centred(rows)
    heard = ready.audio[part]
    agrees = float(along(Embeddings(ready.video, heard), path[part]).mean())
    video, audio = rows.video[low:], rows.audio[part]
    wrong, doubts = [], []
    for sound, ready_sound in zip(wrong_sounds(audio), wrong_sounds(heard), strict=True):
        other = align(Embeddings(video, sound), expected[part] - low)
        there = Embeddings(ready.video, ready_sound)
        wrong.append(float(along(there, other.video_rows + low).mean()))
        doubts.append(float(other.doubt.mean()))
    spread = float(np.std(wrong, ddof=1))
    confidence = (agrees - float(np.mean(wrong))) / spread if spread > 0 else 0.0
    return Surety(
        confidence=confidence,
        p_value=float(stats.t.sf(confidence, CHANCES - 1)),
        doubt=float(found.doubt.mean()),
        chance_doubt=float(np.mean(doubts)),
        drift=float(np.abs(path - expected).mean()),
    )
