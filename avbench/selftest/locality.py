"""Checks that a row of an embedding sees its own five frames and nothing else."""

from __future__ import annotations

import numpy as np

from avbench.asking import ROW_FRAMES
from avbench.data import JSON, Clip, Embeddings, FloatArray, IntArray
from avbench.selftest.material import starts
from avbench.selftest.outcome import LOOSE, TIGHT, describe_difference, relative_difference
from avbench.selftest.report import Finding
from avbench.selftest.subject import Subject
from avbench.timing import SAMPLES_PER_FRAME

_WINDOW = 20


def locality(subject: Subject, clip: Clip) -> Finding:
    """Check that a row sees five frames: windows embed as slices of their clip, ends included.

    Also disturbs one frame of the picture, and of the sound, to say which frames a row sees.
    """
    if subject.embedding is None:
        return Finding("locality", "not-applicable", "It sees nothing but the window it is given.")
    worst = slice_differences(subject, clip)
    seen = field_of_view(subject, clip)
    largest, limit = max(worst.values()), ROW_FRAMES - 1
    measured: dict[str, JSON] = {f"difference of {what}": d for what, d in worst.items()}
    measured |= {f"{what} row t sees frames": list(span) for what, span in seen.items()}
    spans = " and ".join(f"{what} {_span(*span, len(clip))}" for what, span in seen.items())
    within = all(first >= 0 and last <= limit for first, last in seen.values())
    if largest <= TIGHT and within:
        return Finding(
            "locality",
            "pass",
            f"Row t sees {spans or 'nothing that was changed'}; the rows of a window are the slice "
            f"of those of its clip, {describe_difference(largest)}.",
            measured,
        )
    moved = " and ".join(what for what, difference in worst.items() if difference > TIGHT)
    return Finding(
        "locality",
        "warn" if largest <= LOOSE and within else "fail",
        f"A row sees more than its own {ROW_FRAMES} frames: row t sees {spans or 'no one frame'}, "
        f"and the rows of a window differ from the slice of those of its clip ({moved or 'none'}, "
        f"{describe_difference(largest)}). The benchmark slices, and would let it look outside.",
        measured,
        f"compute row t from frames t .. t+{limit} and their sound alone, and normalise within a "
        "row, never over the clip",
        "mean or variance normalisation over the clip, a recurrent or attention layer over rows, "
        "padded convolutions over time, centre padding of the spectrogram, or one stream delayed.",
    )


def _span(first: int, last: int, num_frames: int) -> str:
    everything = last - first >= num_frames - ROW_FRAMES
    return "all through the clip" if everything else f"t{first:+d} .. t{last:+d}"


def slice_differences(subject: Subject, clip: Clip) -> dict[str, float]:
    """Compare the rows of windows with slices of the clip's; stream -> largest difference."""
    whole = subject.embed(clip)
    last = len(clip) - _WINDOW
    places = [0, *starts(clip, _WINDOW, subject.search, 3), last]
    worst = {"picture": 0.0, "sound": 0.0}
    for start in dict.fromkeys(place for place in places if 0 <= place <= last):
        part = subject.embed(clip.window(start, _WINDOW))
        for what, rows, every in zip(worst, part, whole, strict=True):
            cut = every[start : start + _WINDOW - ROW_FRAMES + 1]
            worst[what] = max(worst[what], relative_difference(rows, cut, every))
    return worst


def field_of_view(subject: Subject, clip: Clip) -> dict[str, tuple[int, int]]:
    """Disturb one frame and see which rows change.

    Returns
    -------
    dict
        Stream -> first and last frame that row t sees, counted from t; a stream of which no row
        changes is left out.
    """
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
    # Where row t sees frames t .. t + 4, frame f is seen by rows f - 4 .. f.
    return {what: (at - int(r.max()), at - int(r.min())) for what, r in rows.items() if len(r)}


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
