"""Audio x video similarity and what can be read off it: pure functions on arrays.

Conventions
-----------
``video`` and ``audio`` hold one embedding per row, shape (..., V, D) and (..., A, D); row t covers
frames t .. t + 4. In ``similarity[..., a, v]`` rows are audio and columns are video, so a constant
offset (video index - audio index) is NumPy's diagonal number. Candidate offsets run from
``-search`` to ``search``, ascending.

Functions
---------
- `similarity_matrix`: cosine of every pair.
- `diagonal_means`: mean along each diagonal (Diag-avg).
- `sliding_distances`: mean distance per candidate offset (SyncNet's sliding window).
- `frame_confidence`: how sure every single window is of the offset of them all.
- `pick_offset`, `pick_offsets`: the best candidate and its confidence, of one curve or many.

References
----------
J. S. Chung and A. Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops, 2016.
Y. J. Kim et al., "End-to-End Lip Synchronisation Based on Pattern Classification", SLT 2021.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from avbench.data import FloatArray, IntArray

Edge = Literal["zero", "valid"]
"""What stands in for sound outside the clip: zero embeddings, or nothing."""

_TINY = 1e-8


def normalise(embeddings: FloatArray) -> FloatArray:
    """Scale each row to unit length; a zero row stays zero. Shape (..., N, D)."""
    norms = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    return np.asarray(embeddings / np.maximum(norms, _TINY))


def similarity_matrix(audio: FloatArray, video: FloatArray) -> FloatArray:
    """Return the cosine similarity of every audio row with every video row.

    Parameters
    ----------
    audio, video
        Embeddings; shape (..., A, D) and (..., V, D).

    Returns
    -------
    FloatArray
        Rows audio, columns video, in [-1, 1]; shape (..., A, V).
    """
    _check_pair(video, audio)
    return np.asarray(normalise(audio) @ np.swapaxes(normalise(video), -1, -2))


def diagonal_means(similarity: FloatArray, search: int, lead: int = 0) -> FloatArray:
    """Return the mean similarity along each diagonal, over the elements that exist.

    Nothing is padded: the line of offset k in an N x N matrix has N - |k| elements (Diag-avg of
    Kim et al.). A line without elements means no evidence and reads -inf.

    Parameters
    ----------
    similarity
        Rows audio, columns video; shape (..., A, V).
    search
        Largest candidate offset in frames, >= 0.
    lead
        Audio rows before the one that belongs to the first video row; negative: video rows before
        the one that belongs to the first audio row.

    Returns
    -------
    FloatArray
        Offsets ascending; shape (..., 2 * search + 1).
    """
    _check_search(search)
    if similarity.ndim < 2:
        raise ValueError(f"got similarity of shape {similarity.shape}, expected (..., A, V)")
    means = np.full((*similarity.shape[:-2], 2 * search + 1), -np.inf)
    for column, offset in enumerate(range(-search, search + 1)):
        line = np.diagonal(similarity, offset - lead, axis1=-2, axis2=-1)
        if line.shape[-1]:
            means[..., column] = line.mean(axis=-1)
    return means


def sliding_distances(
    video: FloatArray, audio: FloatArray, search: int, edge: Edge = "zero", lead: int = 0
) -> FloatArray:
    """Return the mean Euclidean distance between pictures and displaced sound.

    Each video row is compared with the audio row ``offset`` frames before it, and the distances
    are averaged over the rows (the sliding window of Chung and Zisserman, 2016).

    Parameters
    ----------
    video, audio
        Embeddings, compared as they are (normalise first where wanted); shape (..., V, D) and
        (..., A, D).
    search
        Largest candidate offset in frames, >= 0.
    edge
        ``"zero"``: sound outside the clip is a zero embedding, as in the papers. ``"valid"``: only
        pairs inside the clip count; a candidate without any reads inf.
    lead
        Audio rows before the one that belongs to the first video row: with ``lead = search`` and
        as many rows after the last, every candidate has sound of its own (Perfect Match).
        Negative: video rows before the one that belongs to the first audio row.

    Returns
    -------
    FloatArray
        Lower is better, offsets ascending; shape (..., 2 * search + 1).
    """
    _check_pair(video, audio)
    _check_search(search)
    if edge not in ("zero", "valid"):
        raise ValueError(f"got edge {edge!r}, expected 'zero' or 'valid'")
    rows, sounds = video.shape[-2], audio.shape[-2]
    to_zero = np.linalg.norm(video, axis=-1)
    out = np.empty((*video.shape[:-2], 2 * search + 1))
    for column, offset in enumerate(range(-search, search + 1)):
        ahead = offset - lead
        start = min(max(0, ahead), rows)
        stop = max(start, min(rows, sounds + ahead))
        difference = video[..., start:stop, :] - audio[..., start - ahead : stop - ahead, :]
        total = np.linalg.norm(difference, axis=-1).sum(axis=-1)
        if edge == "zero":
            outside = to_zero[..., :start].sum(axis=-1) + to_zero[..., stop:].sum(axis=-1)
            out[..., column] = (total + outside) / rows
        else:
            out[..., column] = total / (stop - start) if stop > start else np.inf
    return out


def frame_confidence(
    video: FloatArray, audio: FloatArray, search: int, lead: int = 0, smoothing: int = 9
) -> FloatArray:
    """Return how sure every window is of the offset of least mean distance.

    The median of the mean distances over all offsets, minus the window's own distance at the
    chosen one, median-filtered over ``smoothing`` windows with zeros beyond the ends: as in the
    code that was released with SyncNet. A window that has no sound at that offset counts as one
    at the median.

    Parameters
    ----------
    video, audio, search, lead
        As in `sliding_distances`, of one clip; shape (V, D) and (A, D).
    smoothing
        Length of the filter, odd.

    Returns
    -------
    FloatArray
        Higher is surer; shape (V,).
    """
    from scipy.ndimage import median_filter

    curve = sliding_distances(video, audio, search, edge="valid", lead=lead)
    offset, least, confidence = pick_offset(curve, search)
    heard = np.arange(len(video)) - offset + lead
    inside = (heard >= 0) & (heard < len(audio))
    above = np.zeros(len(video))
    own = np.linalg.norm(video[inside] - audio[heard[inside]], axis=1)
    above[inside] = confidence + least - own
    return np.asarray(median_filter(above, smoothing, mode="constant"))


def pick_offset(distances: FloatArray, search: int) -> tuple[int, float, float]:
    """Return the offset of least distance, that distance, and the confidence.

    Ties go to the smallest offset in magnitude, then to the negative one.

    Parameters
    ----------
    distances
        One per candidate offset, ascending; inf or NaN where there is no evidence; shape
        (2 * search + 1,).

    Returns
    -------
    tuple
        Offset in frames (positive: audio leads), least distance, and confidence: median minus
        minimum of the finite distances (Chung and Zisserman, 2016). Without any evidence: 0, inf
        and NaN.
    """
    values = np.asarray(distances)
    if values.shape != (2 * search + 1,):
        raise ValueError(f"got {values.shape = }, expected ({2 * search + 1},)")
    offsets, least, confidence = pick_offsets(values[None], search)
    return int(offsets[0]), float(least[0]), float(confidence[0])


def pick_offsets(
    distances: FloatArray, search: int
) -> tuple[IntArray, NDArray[np.float64], NDArray[np.float64]]:
    """Pick the offsets of many curves at once, by the rule of `pick_offset`.

    Parameters
    ----------
    distances
        One curve a row; shape (B, 2 * search + 1).

    Returns
    -------
    tuple
        Offsets, least distances and confidences; shape (B,) each.
    """
    _check_search(search)
    values = np.asarray(distances, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 2 * search + 1:
        raise ValueError(f"got {values.shape = }, expected (B, {2 * search + 1})")
    finite = np.isfinite(values)
    known = np.where(finite, values, np.inf)
    preferred = np.array(sorted(range(-search, search + 1), key=lambda k: (abs(k), k)))
    columns = preferred[np.argmin(known[:, preferred + search], axis=1)]
    least = known.min(axis=1)
    if finite.all():
        middle = np.median(values, axis=1)
    else:
        rows = [np.median(v[f]) if f.any() else np.nan for v, f in zip(values, finite, strict=True)]
        middle = np.array(rows, dtype=np.float64)
    lost = ~finite.any(axis=1)
    confidence = np.where(lost, np.nan, middle - np.where(lost, 0.0, least))
    return columns.astype(np.int64), least, confidence


def _check_pair(video: FloatArray, audio: FloatArray) -> None:
    if video.ndim < 2 or audio.ndim != video.ndim or video.shape[:-2] != audio.shape[:-2]:
        raise ValueError(
            f"got {video.shape = }, {audio.shape = }, expected (..., V, D) and (..., A, D)"
        )
    if video.shape[-1] != audio.shape[-1]:
        raise ValueError(f"got {video.shape = }, {audio.shape = }, expected the same last axis")
    if not (video.shape[-2] and audio.shape[-2]):
        raise ValueError(f"got {video.shape = }, {audio.shape = }, expected at least one row each")


def _check_search(search: int) -> None:
    if search < 0:
        raise ValueError(f"got {search = }, expected >= 0")
