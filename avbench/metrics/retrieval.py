"""Retrieval: how often the right candidate is among the first.

Conventions
-----------
* One row per query, one score per candidate, larger where surer; ``target`` is the column of the
  right candidate.
* A tie with the target counts against the method: a constant score retrieves nothing.
* NaN for the target means that the method did not find it; NaN elsewhere ranks last.

References
----------
R@K of Chung, Chung and Kang, "Perfect match" (2019), and of Chung, Kang and Chung, "Seeing voices
and hearing voices" (2020), where the truth is one of the candidates.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def validate(scores: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Check scores and targets and return them as arrays, NaN scores as -inf.

    Parameters
    ----------
    scores
        Larger where surer; shape (n, candidates).
    target
        Column of the right candidate, integers; shape (n,).

    Raises
    ------
    ValueError
        If the shapes do not match, or a target is no column.
    """
    values, right = np.asarray(scores, dtype=np.float64), np.asarray(target)
    if values.ndim != 2 or right.shape != values.shape[:1]:
        raise ValueError(
            f"got scores of shape {values.shape} and targets of shape {right.shape}, "
            "expected (n, candidates) and (n,)"
        )
    if len(right) and not (
        np.issubdtype(right.dtype, np.integer)
        and right.min() >= 0
        and right.max() < values.shape[1]
    ):
        raise ValueError(f"got a target that is not a column in [0, {values.shape[1]})")
    return np.where(np.isnan(values), -np.inf, values), right.astype(np.int64)


def ranks(scores: ArrayLike, target: ArrayLike) -> NDArray[np.int64]:
    """Return the place of the right candidate, from 1, the last place among equals; shape (n,).

    >>> ranks([[0.9, 0.1, 0.5], [0.5, 0.5, 0.1]], [2, 0]).tolist()
    [2, 2]
    """
    values, right = validate(scores, target)
    own = values[np.arange(len(right)), right]
    place: NDArray[np.int64] = (values >= own[:, None]).sum(axis=1)
    return place


def recall_at(scores: ArrayLike, target: ArrayLike, k: int = 1) -> float:
    """Return the share of queries whose right candidate is among the first ``k``.

    Parameters
    ----------
    scores, target
        As in `validate`; shape (n, candidates) and (n,).
    k
        How many candidates are looked at.

    Returns
    -------
    float
        In [0, 1], higher is better; NaN where nothing was asked. Guessing gives ``k`` divided by
        the number of candidates.

    >>> recall_at([[0.9, 0.1, 0.5], [0.1, 0.7, 0.5]], [2, 1], k=1)
    0.5
    """
    if k < 1:
        raise ValueError(f"got {k = }, expected at least 1")
    values, right = validate(scores, target)
    found = values[np.arange(len(right)), right] > -np.inf
    hit = (ranks(values, right) <= k) & found
    return float(hit.mean()) if len(hit) else math.nan
