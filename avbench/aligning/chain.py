"""From votes to one row of picture for each row of sound, none before the one of the row before.

Functions
---------
- `tally`: which rows of picture were voted for, and how often.
- `longest_chain`: runs of rows without a gap, as long as they can be (Shalev and Wolf, 2020,
  section 4).
- `weighted_chain`: the chain of most votes over the whole clip, which may leave any row out.

Neither goes back; both may stay at a row of picture. Where chains tie, the one wins that departs
least from showing row after row (the least sum of ``|step - 1|`` between matches), then the one
whose first difference from the other comes at an earlier row of sound, then of picture.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from avbench.data import FloatArray, IntArray

NONE = -1
"""Stands for no row of picture."""


def tally(votes: FloatArray) -> tuple[IntArray, IntArray]:
    """Count equal votes.

    Parameters
    ----------
    votes
        Rows of picture, NaN for none; shape (A, K).

    Returns
    -------
    tuple
        Candidates, ascending in each row, `NONE` where there are fewer than K, and the number of
        votes for each, 0 for `NONE`; shape (A, K) each.

    >>> tally(np.array([[7.0, 4.0, 7.0], [np.nan, 5.0, np.nan]]))[0].tolist()
    [[-1, 4, 7], [-1, -1, 5]]
    """
    ordered = np.sort(np.where(np.isnan(votes), NONE, votes).astype(np.int64), axis=1)
    count = (ordered[:, :, None] == ordered[:, None, :]).sum(axis=2)
    last = np.ones(ordered.shape, bool)
    last[:, :-1] = ordered[:, :-1] != ordered[:, 1:]
    kept = last & (ordered != NONE)
    index = np.where(kept, ordered, NONE)
    order = np.argsort(index, axis=1, kind="stable")
    count = np.where(kept, count, 0)
    return np.take_along_axis(index, order, 1), np.take_along_axis(count, order, 1)


def longest_chain(index: IntArray, count: IntArray) -> FloatArray:
    """Chain the candidates of most votes, run by run (Shalev and Wolf, 2020, section 4).

    A run takes one candidate from each row in turn, and is made as long as it can be. A row at
    which it would have to go back ends it; such rows are left out, and the next run begins at the
    first row with a candidate that does not go back behind the run before it.

    Parameters
    ----------
    index, count
        As from `tally`; shape (A, K).

    Returns
    -------
    FloatArray
        Row of picture, NaN where a row is left out; shape (A,).
    """
    most = count.max(axis=1, keepdims=True)
    candidates = [
        [int(i) for i, n in zip(row, votes, strict=True) if n and n == top]
        for row, votes, (top,) in zip(index, count, most, strict=True)
    ]
    chosen = np.full(len(candidates), np.nan)
    row, floor = 0, 0
    while row < len(candidates):
        run = _run(candidates, row, floor)
        if run:
            chosen[row : row + len(run)] = run
            floor = run[-1]
        row += max(len(run), 1)
    return chosen


def _run(candidates: list[list[int]], row: int, floor: int) -> list[int]:
    """Return the longest run from a row on, the steadiest of those; empty where there is none."""
    states = {i: (0, NONE) for i in candidates[row] if i >= floor}
    history = []
    while states:
        history.append(states)
        row += 1
        states = _advance(states, candidates[row]) if row < len(candidates) else {}
    if not history:
        return []
    at = min(history[-1], key=lambda i: (history[-1][i][0], i))
    run = []
    for states in reversed(history):
        run.append(at)
        at = states[at][1]
    return run[::-1]


def _advance(
    states: dict[int, tuple[int, int]], candidates: list[int]
) -> dict[int, tuple[int, int]]:
    """Return candidate -> (cost of the steadiest run that ends in it, candidate before it)."""
    found = {}
    for i in candidates:
        ways = [(cost + abs(i - j - 1), j) for j, (cost, _) in states.items() if j <= i]
        if ways:
            found[i] = min(ways)
    return found


def weighted_chain(index: IntArray, count: IntArray) -> FloatArray:
    """Chain the candidates whose votes sum to most over the whole clip, in O(A log A).

    Parameters
    ----------
    index, count
        As from `tally`; shape (A, K).

    Returns
    -------
    FloatArray
        Row of picture, NaN where a row is left out; shape (A,).

    Notes
    -----
    Rows are taken from the last to the first. The chains that begin at later rows are kept in the
    order of their first candidate, those alone that no other beats in both place and worth; as the
    steps from ``i`` to ``j > i`` cost ``j - i - 1``, worth can be compared without knowing ``i``.
    """
    front = _Front()
    same: dict[int, _Chain] = {}
    for row in range(len(index) - 1, -1, -1):
        new = [
            _best(int(i), int(n), row, front, same)
            for i, n in zip(index[row], count[row], strict=True)
            if n
        ]
        for chain in new:
            front.add(chain)
            held = same.get(chain.index)
            if held is None or chain.worth() > held.worth():
                same[chain.index] = chain
    chosen = np.full(len(index), np.nan)
    link = max(front.chains, key=_Chain.worth_alone, default=None)
    while link is not None:
        chosen[link.row] = link.index
        link = link.after
    return chosen


class _Chain:
    """The best chain that begins with one candidate."""

    __slots__ = ("after", "cost", "index", "row", "votes")

    def __init__(self, row: int, index: int, votes: int, cost: int, after: _Chain | None) -> None:
        self.row, self.index, self.votes, self.cost, self.after = row, index, votes, cost, after

    def worth(self) -> tuple[int, int, int, int]:
        """Rank it as what follows a smaller candidate, or the same one."""
        return self.votes, -self.cost - self.index, -self.row, -self.index

    def worth_alone(self) -> tuple[int, int, int, int]:
        """Rank it as a whole."""
        return self.votes, -self.cost, -self.row, -self.index


class _Front:
    """Chains by their first candidate; each is worth more than all with a later one."""

    def __init__(self) -> None:
        self.chains: list[_Chain] = []
        self._places: list[int] = []

    def beyond(self, index: int) -> _Chain | None:
        """Return the chain of most worth that begins after a row of picture."""
        at = bisect_left(self._places, index + 1)
        return self.chains[at] if at < len(self.chains) else None

    def add(self, chain: _Chain) -> None:
        """Take a chain in, and out what it beats."""
        at = bisect_left(self._places, chain.index)
        worth = chain.worth()
        if at < len(self.chains) and self.chains[at].worth() >= worth:
            return
        stop = at + (at < len(self.chains) and self._places[at] == chain.index)
        while at and self.chains[at - 1].worth() <= worth:
            at -= 1
        self.chains[at:stop], self._places[at:stop] = [chain], [chain.index]


def _best(index: int, votes: int, row: int, front: _Front, same: dict[int, _Chain]) -> _Chain:
    """Return the best chain that begins with a candidate."""
    ways = []
    if (later := front.beyond(index)) is not None:
        ways.append((later, later.cost + later.index - index - 1))
    if (stay := same.get(index)) is not None:
        ways.append((stay, stay.cost + 1))
    if not ways:
        return _Chain(row, index, votes, 0, None)
    after, cost = max(ways, key=lambda w: (w[0].votes, -w[1], -w[0].row, -w[0].index))
    return _Chain(row, index, votes + after.votes, cost, after)
