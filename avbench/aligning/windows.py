"""A long clip, asked about window by window: what each window says of each row of sound.

Shalev and Wolf (2020), section 4: an aligner looks at one second of sound (25 rows) and the three
seconds of picture (75 rows) that have it in their middle; it is asked every ten rows, so that a row
of sound has two or three answers. What the paper leaves open is decided here:

* windows of sound lie inside the clip, and one more ends with its last row, which may give the
  last rows a fourth answer; a clip of less than a second is one window whose last row is repeated;
* a window of picture keeps the sound in its middle at the ends of the clip too; the first and the
  last row are repeated beyond them, as a player holds a picture, and an answer there means that
  first or last row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from avbench.data import Embeddings, FloatArray, IntArray
from avbench.errors import DataError
from avbench.methods import Aligner

PICTURE, SOUND, STRIDE = 75, 25, 10
"""Rows of picture and of sound in a window, and between the starts of windows."""
LEAD = (PICTURE - SOUND) // 2
"""Rows of picture before and after those that the sound would have if in sync."""
BATCH = 64
"""Windows that are asked about at once: what memory depends on, whatever the clip's length."""
OVERLAP = -(-SOUND // STRIDE) + 1
"""Windows that a row of sound can lie in, at most."""
MIDDLE = SOUND // 2
"""Row of a window of sound that its window of picture is centred on."""


class Answers(NamedTuple):
    """What an aligner says of a batch of windows, in rows of the clip."""

    starts: IntArray
    """First row of sound of each window; shape (B,)."""
    video_rows: FloatArray
    """Row of picture of each row of sound, NaN for none; shape (B, SOUND)."""
    log_posterior: FloatArray | None
    """Of the rows of picture from ``first`` on; shape (B, SOUND, PICTURE)."""
    first: IntArray
    """First row of picture of each window, negative where it begins before the clip; (B,)."""


def window_starts(num_audio: int) -> IntArray:
    """Return the first row of sound of every window of a clip.

    >>> window_starts(47).tolist(), window_starts(20).tolist()
    ([0, 10, 20, 22], [0])
    """
    last = max(num_audio - SOUND, 0)
    starts = np.arange(0, last + 1, STRIDE)
    return np.asarray(starts if starts[-1] == last else np.append(starts, last), np.int64)


def in_step(num_audio: int) -> IntArray:
    """Return the rows of picture that are shown with each row of sound, if all are shown once."""
    return np.arange(num_audio, dtype=np.int64)


def ask(method: Aligner, rows: Embeddings, expected: IntArray | None = None) -> Iterator[Answers]:
    """Ask an aligner about every window of a clip, a batch at a time.

    Parameters
    ----------
    method
        The aligner.
    rows
        Embeddings of the clip; shapes (M, D) and (A, D), M and A may differ.
    expected
        Row of picture that is shown with each row of sound, each the same as or one after that
        before it: windows are centred on it. `in_step` where None; shape (A,).

    Raises
    ------
    DataError
        If there is no row of picture or of sound.
    """
    video, audio = rows
    expected = in_step(len(audio)) if expected is None else expected
    if not (len(video) and len(audio)):
        raise DataError(f"got {len(video)} rows of picture and {len(audio)} of sound to align")
    starts = window_starts(len(audio))
    for at in range(0, len(starts), BATCH):
        some = starts[at : at + BATCH]
        middle = np.minimum(some + MIDDLE, len(audio) - 1)
        first = np.asarray(expected[middle] - (middle - some) - LEAD, np.int64)
        shown = (first[:, None] + np.arange(PICTURE)).clip(0, len(video) - 1)
        heard = (some[:, None] + np.arange(SOUND)).clip(max=len(audio) - 1)
        found = method.align(video[shown], audio[heard])
        shown_at = np.asarray(found.index, np.float64) + first[:, None]
        yield Answers(some, shown_at.clip(0, len(video) - 1), found.log_posterior, first)


def votes(answers: Iterator[Answers], num_audio: int) -> FloatArray:
    """Gather what all windows say of each row of sound.

    Returns
    -------
    FloatArray
        Rows of picture, NaN where a window says nothing; shape (num_audio, OVERLAP).
    """
    found = np.full((num_audio, OVERLAP), np.nan)
    window = 0
    for some in answers:
        for start, said in zip(some.starts, some.video_rows, strict=True):
            stop = min(start + SOUND, num_audio)
            found[start:stop, window % OVERLAP] = said[: stop - start]
            window += 1
    return found
