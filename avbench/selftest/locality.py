"""Checks that a row of an embedding sees its own five frames and nothing else."""

from __future__ import annotations

import numpy as np

from avbench.data import JSON, Clip, Embeddings, FloatArray, IntArray
from avbench.selftest.material import starts
from avbench.selftest.report import Finding
from avbench.selftest.subject import ROW_FRAMES, Subject
from avbench.timing import SAMPLES_PER_FRAME

TIGHT, LOOSE = 1e-4, 1e-3
"""Differences, relative to the spread of the values: rounding up to the first, leaks beyond."""
_WINDOW = 20


def relative_difference(one: FloatArray, other: FloatArray, scale: FloatArray) -> float:
    """Return the largest difference of two arrays over the spread of ``scale``; inf if shaped so.

    Equal infinities do not differ; NaN differs from everything but NaN.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.shape != other.shape:
        return float("inf")
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if same.all():
        return 0.0
    finite = np.asarray(scale, np.float64)
    finite = finite[np.isfinite(finite)]
    spread = float(finite.std()) if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        worst = float(np.abs(one - other)[~same].max())
    if np.isnan(worst):
        return float("inf")
    return worst / spread if spread > 0 else float("inf")


def describe_difference(difference: float) -> str:
    """Say how equal two results are: to the bit, or up to what."""
    return "bit by bit" if difference == 0 else f"up to {difference:.1g} of their spread"


def locality(subject: Subject, clip: Clip) -> Finding:
    """Check that the embeddings of a window are the slice of those of its clip, ends included."""
    if subject.embedding is None:
        return Finding("locality", "not-applicable", "It sees nothing but the window it is given.")
    whole = subject.embed(clip)
    places = [0, *starts(clip, _WINDOW, subject.search, 3), len(clip) - _WINDOW]
    worst: dict[str, float] = {"picture": 0.0, "sound": 0.0}
    for start in dict.fromkeys(places):
        part = subject.embed(clip.window(start, _WINDOW) if _fits(clip, start) else clip)
        for what, rows, every in zip(worst, part, whole, strict=True):
            cut = every[start : start + _WINDOW - ROW_FRAMES + 1]
            worst[what] = max(worst[what], relative_difference(rows, cut, every))
    largest = max(worst.values())
    measured: dict[str, JSON] = {f"difference of {what}": d for what, d in worst.items()}
    if largest <= TIGHT:
        return Finding(
            "locality",
            "pass",
            "The embeddings of a window are the slice of those of its clip, "
            f"{describe_difference(largest)}.",
            measured,
        )
    return Finding(
        "locality",
        "warn" if largest <= LOOSE else "fail",
        f"The embeddings of a window differ from the slice of those of its clip "
        f"({' and '.join(w for w, d in worst.items() if d > TIGHT)}, "
        f"{describe_difference(largest)}): a row sees more than its own {ROW_FRAMES} frames, so "
        "that the benchmark, which slices, would let it see outside its window.",
        measured,
        f"compute row t from frames t .. t + {ROW_FRAMES - 1} and their sound alone; normalise "
        "within a row, never over the clip",
        "mean or variance normalisation over the clip, a recurrent or attention layer over rows, "
        "padded convolutions over time, centre padding of the spectrogram.",
    )


def _fits(clip: Clip, start: int) -> bool:
    return 0 <= start <= len(clip) - _WINDOW


def field_of_view(subject: Subject, clip: Clip) -> Finding:
    """Disturb one frame of the picture, then of the sound, and see which rows change."""
    name = "field-of-view"
    if subject.embedding is None:
        return Finding(name, "not-applicable", "It has no embeddings.")
    at = len(clip) // 2
    before = subject.embed(clip)
    frames, audio = clip.frames.copy(), clip.audio.copy()
    frames[at] = 255 - frames[at]
    span = slice(at * SAMPLES_PER_FRAME, (at + 1) * SAMPLES_PER_FRAME)
    audio[span] = 0.25 * np.sign(np.sin(np.arange(SAMPLES_PER_FRAME)))
    after = subject.embed(Clip(clip.key, frames, audio, clip.alignment, clip.meta))
    rows = {
        "picture": _changed(before.video, after.video),
        "sound": _changed(before.audio, after.audio),
    }
    # Row t sees frames t .. t + 4, hence frame f is seen by rows f - 4 .. f.
    seen = {w: (at - int(r.max()), at - int(r.min())) for w, r in rows.items() if len(r)}
    measured: dict[str, JSON] = {f"{what} row t sees frames": list(s) for what, s in seen.items()}
    blind = [what for what in rows if what not in seen]
    if blind:
        return Finding(
            name,
            "warn",
            f"A frame of {' and of '.join(blind)} turned to something else changes no row.",
            measured,
            "check that both streams get their input",
            "an input that is not used, or cut away.",
        )
    spans = " and ".join(f"{w} t{a:+d} .. t{b:+d}" for w, (a, b) in seen.items())
    limit = ROW_FRAMES - 1
    if all(a >= 0 and b <= limit for a, b in seen.values()):
        return Finding(name, "pass", f"Row t sees {spans}.", measured)
    return Finding(
        name,
        "fail",
        f"Row t sees {spans}; it may see t .. t+{limit} only.",
        measured,
        f"cut the window of row t before the network: frames t .. t + {limit}, samples "
        f"{SAMPLES_PER_FRAME} t .. {SAMPLES_PER_FRAME} (t + {ROW_FRAMES})",
        "context of neighbouring rows, padding, or a hop that starts before the window.",
    )


def _changed(before: FloatArray, after: FloatArray) -> IntArray:
    scale = float(np.asarray(before, np.float64).std()) or 1.0
    moved = np.abs(np.asarray(after, np.float64) - before).max(axis=1)
    return np.flatnonzero(moved > LOOSE * scale).astype(np.int64)


def rows_of(subject: Subject, clip: Clip, length: int, count: int) -> Embeddings:
    """Return ``count`` windows of a clip as a batch, cycling through its starts; (B, N, D)."""
    whole = subject.embed(clip)
    rows = length - ROW_FRAMES + 1
    last = len(whole.video) - rows
    places = [(7 * i) % (last + 1) for i in range(count)]
    heard = [min(max(p + (i % 5) - 2, 0), last) for i, p in enumerate(places)]
    video = np.stack([whole.video[p : p + rows] for p in places])
    return Embeddings(video, np.stack([whole.audio[p : p + rows] for p in heard]))
