"""Embeddings of a clip moved into sync: what figures of distances are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from avbench.data import Embeddings, FloatArray
from avbench.errors import DataError
from avbench.similarity import normalise


@dataclass(frozen=True, eq=False)
class SyncedRows:
    """Embeddings of one clip whose sound row t belongs to its picture row t."""

    key: str
    source: str
    """Speaker or recording; clips that share it are not strangers to each other."""
    video: FloatArray
    """Shape (N, D)."""
    audio: FloatArray
    """Shape (N, D)."""

    def __len__(self) -> int:
        return len(self.video)

    @classmethod
    def of(
        cls, key: str, source: str, rows: Embeddings, offset: int, *, unit: bool = False
    ) -> SyncedRows:
        """Undo a constant offset and keep the rows that have a partner.

        Parameters
        ----------
        key, source
            Names of the clip and of what it was cut from.
        rows
            Of the clip as it is; shape (T - 4, D) each.
        offset
            Its true offset in frames; positive: audio leads.
        unit
            Scale rows to unit length.
        """
        video, audio = rows.video[max(0, offset) :], rows.audio[max(0, -offset) :]
        count = min(len(video), len(audio))
        video, audio = video[:count], audio[:count]
        if unit:
            video, audio = normalise(video), normalise(audio)
        return cls(key, source, video, audio)


def strangers(clips: Iterable[SyncedRows]) -> list[SyncedRows]:
    """Return for each clip the next one of another source, going round.

    Raises
    ------
    DataError
        If all clips are of one source.
    """
    known = list(clips)
    found = []
    for place, clip in enumerate(known):
        after = [*known[place + 1 :], *known[:place]]
        other = next((one for one in after if one.source != clip.source), None)
        if other is None:
            raise DataError(
                f"all {len(known)} clips are of one source ({clip.source}); unrelated sound needs "
                "clips of two, so raise --limit or choose another split"
            )
        found.append(other)
    return found


def displaced(
    clip: SyncedRows, sound: FloatArray, *, offset: int, margin: int, search: int
) -> tuple[FloatArray, FloatArray]:
    """Cut the middle of a picture, and displaced sound with ``search`` rows more on either side.

    Parameters
    ----------
    clip
        Whose picture.
    sound
        Rows of sound in sync with it, or of anybody; shape (M, D).
    offset
        How early the sound is made to be heard, in frames; positive: audio leads.
    margin
        Rows of picture left out at either end; at least ``search + abs(offset)``.

    Returns
    -------
    tuple
        Shape (K, D) and (K + 2 * search, D), as `avbench.similarity.sliding_distances` takes them
        with ``lead=search``.

    Raises
    ------
    DataError
        If nothing is left of the picture.
    """
    count = min(len(clip), len(sound)) - 2 * margin
    if count < 1:
        raise DataError(
            f"clip {clip.key} has {min(len(clip), len(sound)) + 4} frames and this needs "
            f"{2 * margin + 5}; choose a smaller --search or --shift"
        )
    first = margin - search + offset
    return (
        clip.video[margin : margin + count],
        np.asarray(sound[first : first + count + 2 * search]),
    )
