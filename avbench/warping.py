"""Warping sound onto picture: dynamic programmes on bands of costs.

Conventions
-----------
A band is sheared so that a constant offset is a column: ``band[..., i, w]`` is what it costs to
show row ``i + lead + w - reach`` of the picture with row i of the sound, ``inf`` where there is no
such row. `Band.lead` is the picture row of the first sound row in sync. Memory and time grow with
the rows of sound times ``2 * reach + 1``, never with their square.

Functions
---------
- `band_of`: costs from embeddings, by one of `COSTS`.
- `skips`: the cheapest path of steps 0, 1, 2, ... in which every step but 1 costs extra.
- `skip_posteriors`: how likely each pair is, over all such paths.
- `warp`: the cheapest path of moves right, down and diagonal (dynamic time warping; DTA).
- `invert`: from a picture for each sound to a sound for each picture, or back.

References
----------
T. Halperin, A. Ephrat and S. Peleg, "Dynamic Temporal Alignment of Speech to Lips", ICASSP 2019,
and the code released with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avbench.data import FloatArray, IntArray
from avbench.similarity import normalise

Cost = Literal["squared", "distance", "cosine"]
"""Mean squared difference over the dimensions, Euclidean distance, one minus the cosine."""
PENALTIES = (0.2, 0.0, 0.2, 0.2, 0.2)
"""Of the steps that dropped and duplicated frames make: a frame is shown four times at most."""
HEAT = 0.2 / float(np.log(10))
"""At which a penalty of 0.2 makes a step a tenth as likely."""
_CHUNK = 256
"""Rows of sound whose costs are computed at once."""


class Band(NamedTuple):
    """Costs of pairs near the diagonal."""

    costs: FloatArray
    """Sheared, ``inf`` outside the picture; shape (B, N, 2 * reach + 1)."""
    lead: int
    """Picture row that belongs to the first sound row in sync."""
    num_video: int
    """Rows of picture, M."""

    @property
    def reach(self) -> int:
        """Largest shift in rows, either way."""
        return int(self.costs.shape[2] // 2)

    def rows(self, columns: IntArray) -> IntArray:
        """Turn a column per sound row into a row of picture; shape (B, N) each."""
        return np.asarray(columns + np.arange(columns.shape[1]) + self.lead - self.reach)


def band_of(video: FloatArray, audio: FloatArray, reach: int, cost: Cost = "cosine") -> Band:
    """Return the costs of all pairs within a shift.

    Parameters
    ----------
    video, audio
        Embeddings of B windows, the sound's in the middle of the picture's; shape (B, M, D) and
        (B, N, D).
    reach
        Largest shift in rows.
    cost
        ``"squared"``: mean squared difference over the dimensions (DTA); ``"distance"``:
        Euclidean; ``"cosine"``: one minus the cosine.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    fits = video.ndim == audio.ndim == 3 and video.shape[::2] == audio.shape[::2]
    if not (fits and video.shape[1] and audio.shape[1]) or reach < 0:
        raise ValueError(
            f"got {video.shape = }, {audio.shape = }, {reach = }, expected (B, M, D), (B, N, D) "
            "and a reach >= 0"
        )
    batch, rows, dim = audio.shape
    lead = (video.shape[1] - rows) // 2
    costs = np.full((batch, rows, 2 * reach + 1), np.inf, np.float32)
    if cost == "cosine":
        video, audio = normalise(video), normalise(audio)
    for start in range(0, rows, _CHUNK):
        stop = min(start + _CHUNK, rows)
        first = start + lead - reach
        places = np.arange(max(0, first), min(stop + lead + reach, video.shape[1]))
        if not len(places):
            continue
        heard, seen = audio[:, start:stop], video[:, places[0] : places[-1] + 1]
        products = heard @ seen.swapaxes(1, 2)
        if cost == "cosine":
            block = 1 - products
        else:
            squares = [np.square(x).sum(axis=2) for x in (heard, seen)]
            block = (squares[0][:, :, None] + squares[1][:, None] - 2 * products).clip(min=0)
            block = np.sqrt(block) if cost == "distance" else block / dim
        columns = np.arange(start, stop)[:, None] + lead - reach + np.arange(2 * reach + 1)
        inside = (columns >= places[0]) & (columns <= places[-1])
        at = (columns - places[0]).clip(0, len(places) - 1)
        found = np.take_along_axis(block, at[None], axis=2)
        costs[:, start:stop] = np.where(inside, found, np.inf)
    return Band(costs, lead, video.shape[1])


def skips(band: Band, penalties: Sequence[float] = PENALTIES) -> IntArray:
    """Return the cheapest path that never goes back, row by row of sound.

    It starts and ends anywhere in the band. The cost of a path is that of its cells plus a penalty
    per step: showing the same picture again is step 0, the next one step 1, leaving out one step 2.

    Parameters
    ----------
    band
        Costs.
    penalties
        Of the steps 0, 1, 2, ...

    Returns
    -------
    IntArray
        Picture row of each sound row; ties go to the smaller shift backwards, and to the earlier
        of the listed steps; shape (B, N).
    """
    costs = band.costs
    batch, rows, width = costs.shape
    steps = np.full((batch, rows, width), 1, np.int8)
    total = costs[:, 0].astype(np.float64)
    for i in range(1, rows):
        ways = _ways(total, penalties)
        steps[:, i] = ways.argmin(axis=0)
        total = ways.min(axis=0) + costs[:, i]
    columns = np.empty((batch, rows), np.int64)
    each = np.arange(batch)
    columns[:, -1] = total.argmin(axis=1)
    for i in range(rows - 1, 0, -1):
        columns[:, i - 1] = columns[:, i] - steps[each, i, columns[:, i]] + 1
    return band.rows(columns.clip(0, width - 1))


def _ways(total: FloatArray, penalties: Sequence[float]) -> FloatArray:
    """Return what each step into each column costs; (B, W) to (steps, B, W)."""
    batch, width = total.shape
    room = len(penalties)
    padded = np.full((batch, width + room + 1), np.inf)
    padded[:, room - 1 : room - 1 + width] = total
    # Step s moves s - 1 columns to the right of the diagonal.
    ways = [padded[:, room - s : room - s + width] + penalty for s, penalty in enumerate(penalties)]
    return np.stack(ways)


def skip_posteriors(
    band: Band, penalties: Sequence[float] = PENALTIES, heat: float = HEAT
) -> FloatArray:
    """Return how likely each picture row is for each sound row, over all paths of `skips`.

    Parameters
    ----------
    band
        Costs.
    penalties
        Of the steps 0, 1, 2, ...
    heat
        A path is as likely as exp(-cost / heat); the default makes a step other than 1 a tenth
        as likely as a step of 1.

    Returns
    -------
    FloatArray
        Logarithms of probabilities, each row's summing to 1; shape (B, N, M).
    """
    cells = -band.costs.astype(np.float64) / heat
    batch, rows, width = cells.shape
    ahead = np.zeros_like(cells)
    ahead[:, 0] = cells[:, 0]
    for i in range(1, rows):
        ways = _ways(-ahead[:, i - 1], [p / heat for p in penalties])
        ahead[:, i] = np.logaddexp.reduce(-ways, axis=0) + cells[:, i]
    behind = np.zeros((batch, width))
    found = ahead
    for i in range(rows - 2, -1, -1):
        # Backwards, step s moves s - 1 columns to the left: the same ways in a mirror.
        after = (behind + cells[:, i + 1])[:, ::-1]
        ways = _ways(-after, [p / heat for p in penalties])
        behind = np.logaddexp.reduce(-ways, axis=0)[:, ::-1]
        found[:, i] += behind
    found -= np.logaddexp.reduce(found, axis=2, keepdims=True)
    whole = np.full((batch, rows, band.num_video), -np.inf)
    columns = np.arange(rows)[:, None] + band.lead - band.reach + np.arange(width)
    row, column = np.nonzero((columns >= 0) & (columns < band.num_video))
    whole[:, row, columns[row, column]] = found[:, row, column]
    return whole


def warp(band: Band, penalty: float = 0.05, free: int = 0) -> IntArray:
    """Return the last picture row on the cheapest warping path, row by row of sound.

    The path goes from cell to cell to the next picture, to the next sound, or to both; the first
    two cost ``penalty`` extra. It starts at cost 0 in one of the first cells of the first row or
    column and ends in one of the last.

    Parameters
    ----------
    band
        Costs.
    penalty
        Of moves that are not diagonal.
    free
        Cells beside the corners in which a path may start and end too. What one of the two has
        more rows than the other is free as well.

    Returns
    -------
    IntArray
        Sound before the start of a path shows picture -1, sound after its end picture M: neither
        belongs to any; shape (B, N).
    """
    costs = band.costs
    batch, rows, width = costs.shape
    in_row, in_column = (max(0, x) + free for x in (band.num_video - rows, rows - band.num_video))
    corner = np.arange(width) + band.lead - band.reach
    entries = np.zeros((batch, rows, width), np.int16)
    diagonal = np.zeros((batch, rows, width), np.bool_)
    starts = np.zeros((rows, width), np.bool_)
    best = _End.nowhere(batch)
    total = np.full((batch, width), np.inf)
    for i in range(rows):
        place, here = corner + i, costs[:, i].astype(np.float64)
        down = np.full((batch, width), np.inf)
        down[:, :-1] = total[:, 1:] + penalty
        diagonal[:, i] = total <= down
        starts[i] = (
            ((place >= 0) & (place <= in_row)) if i == 0 else (place == 0) & (i <= in_column)
        )
        into = np.minimum(total, down) + here
        into[:, starts[i]] = 0.0
        total, entries[:, i] = _along(into, here + penalty)
        last = (
            (place >= band.num_video - 1 - in_row) if i == rows - 1 else place == band.num_video - 1
        )
        if i >= rows - 1 - in_column:
            best = best.or_at(i, np.where(last, total, np.inf))
    return _traced(band, best, entries, diagonal, starts)


class _End(NamedTuple):
    """Where the cheapest paths end, so far; shape (B,) each."""

    cost: FloatArray
    row: IntArray
    column: IntArray

    @classmethod
    def nowhere(cls, batch: int) -> _End:
        none = np.zeros(batch, np.int64)
        return cls(np.full(batch, np.inf), none, none)

    def or_at(self, row: int, costs: FloatArray) -> _End:
        column = costs.argmin(axis=1)
        cost = np.take_along_axis(costs, column[:, None], axis=1)[:, 0]
        better = cost < self.cost
        return _End(
            np.where(better, cost, self.cost),
            np.where(better, row, self.row),
            np.where(better, column, self.column),
        )


def _along(into: FloatArray, step: FloatArray) -> tuple[FloatArray, IntArray]:
    """Let paths go right within a row; return their cost and the column where they came in.

    With S the running sum of the steps, ``min over k <= w of into[k] + S[w] - S[k]`` is a running
    minimum, so that no loop over the columns is needed.
    """
    inside = np.isfinite(step)
    sums = np.cumsum(np.where(inside, step, 0.0), axis=1)
    gaps = into - sums
    least = np.minimum.accumulate(gaps, axis=1)
    fresh = gaps < np.concatenate([np.full((len(gaps), 1), np.inf), least[:, :-1]], axis=1)
    entry = np.maximum.accumulate(np.where(fresh, np.arange(gaps.shape[1]), 0), axis=1)
    return np.where(inside, least + sums, np.inf), entry


def _traced(
    band: Band,
    end: _End,
    entries: NDArray[np.int16],
    diagonal: NDArray[np.bool_],
    starts: NDArray[np.bool_],
) -> IntArray:
    """Follow the paths back from their ends."""
    batch, rows, _ = entries.shape
    each = np.arange(batch)
    found = np.full((batch, rows), band.num_video, np.int64)
    column, going = end.column.copy(), np.ones(batch, np.bool_)
    for i in range(rows - 1, -1, -1):
        on = going & (i <= end.row)
        place = column + i + band.lead - band.reach
        found[:, i] = np.where(on, place, np.where(going, band.num_video, -1))
        entry = entries[each, i, column]
        before = np.where(diagonal[each, i, entry], entry, entry + 1)
        going &= ~(on & starts[i, entry])
        column = np.where(on & going, before, column)
    return found


def invert(index: IntArray, num_video: int) -> IntArray:
    """Return the last row that shows each picture, or else the first that shows a later one.

    Parameters
    ----------
    index
        Picture of each row, never going back, as from `warp`; shape (B, N).
    num_video
        Rows of picture, M.

    Returns
    -------
    IntArray
        Rows in ``[0, N)``; shape (B, M).

    >>> invert(np.array([[0, 0, 2, 3]]), 4).tolist()
    [[1, 2, 2, 3]]
    """
    pictures = np.arange(num_video)
    out = np.empty((len(index), num_video), np.int64)
    for found, row in zip(out, index, strict=True):
        last = np.searchsorted(row, pictures, side="right") - 1
        shown = row[last.clip(min=0)] == pictures
        found[:] = np.where(shown, last, last + 1)
    return out.clip(0, index.shape[1] - 1)
