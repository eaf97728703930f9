"""Checks of the answers themselves: sign, bias, equivariance. Pure functions of a `Sweep`."""

from __future__ import annotations

import numpy as np

from avbench.data import JSON, FloatArray
from avbench.selftest.report import Finding
from avbench.selftest.sweep import Reading, Sweep, read

GOOD, POOR = 0.8, 0.5
"""Share of answers that must follow a law to pass, and below which they fail."""


def failures(*sweeps: Sweep) -> Finding:
    """Count the questions on which the method raised, by message."""
    total = sum(sweep.predicted.size for sweep in sweeps)
    lost = int(sum(np.isnan(sweep.predicted).sum() for sweep in sweeps))
    counts: dict[str, int] = {}
    for sweep in sweeps:
        for message, number in sweep.failures.items():
            counts[message] = counts.get(message, 0) + number
    measured: dict[str, JSON] = {"questions": total, "failed": lost, "messages": counts}
    if not lost:
        return Finding("failures", "pass", f"It answered all {total} questions.", measured)
    worst = max(counts, key=lambda message: counts[message]) if counts else "no message"
    return Finding(
        "failures",
        "fail",
        f"It failed on {lost} of {total} questions, mostly with: {worst}.",
        measured,
        "make it answer every window that is long enough; each failure counts as a wrong answer",
        "an exception on sound or picture that the method did not expect.",
    )


def skill(sweep: Sweep, drawn: bool) -> Finding:
    """Say whether the answers follow the sound at all.

    Parameters
    ----------
    sweep
        Answers about clips in sync.
    drawn
        Whether the clips are drawn heads.
    """
    reading = read(sweep)
    measured: dict[str, JSON] = {
        "exact": reading.right,
        "chance": 1 / len(sweep.offsets),
        "windows": len(sweep.predicted),
        "length": sweep.length,
    }
    if np.isnan(sweep.predicted).all():
        return Finding("skill", "not-applicable", "It answered nothing, see failures.", measured)
    if len(np.unique(sweep.predicted[~np.isnan(sweep.predicted)])) <= 1:
        return _constant(sweep, measured)
    if reading.known:
        return Finding(
            "skill",
            "pass",
            f"Its answers follow the sound: {reading.exact:.0%} of {sweep.predicted.size} lie on "
            f"one straight line (guessing: {1 / len(sweep.offsets):.0%}).",
            {**measured, "on the line": reading.exact},
        )
    return Finding(
        "skill",
        "fail",
        "Its answers cannot be told from guessing, so that sign, bias and equivariance cannot be "
        "judged either.",
        measured,
        "give clips of the kind it was trained on with --shards"
        + (" (these are drawn heads)" if drawn else "")
        + "; if it guesses there too, look at what it is fed: crop, colours, scale, sound level",
        "weights that were not loaded, inputs scaled otherwise than in training, or a network "
        "that has not seen such faces.",
    )


def _constant(sweep: Sweep, measured: dict[str, JSON]) -> Finding:
    said = f"{int(np.nanmax(sweep.predicted)):+d}"
    sure = sweep.confidence[np.isfinite(sweep.confidence)]
    if len(np.unique(sure)) <= 1:
        return Finding(
            "skill",
            "warn",
            f"It answers {said} to everything: a floor to compare with, not a measurement.",
            measured,
            "nothing, if it is meant as a floor",
            "a baseline; or a method that does not look at its input.",
        )
    return Finding(
        "skill",
        "fail",
        f"It answers {said} to everything, although its confidence varies.",
        measured,
        "look at the scores of single candidates: the largest must move with the sound",
        "a collapsed network, or an answer that is not read off the scores.",
    )


def sign(sweep: Sweep) -> Finding:
    """Say whether sound that is early reads positive."""
    reading = read(sweep)
    if (unknown := unless_known("sign", sweep, reading)) is not None:
        return unknown
    moved = sweep.offsets != 0
    truth, said = sweep.offsets[moved], sweep.predicted[:, moved]
    nearer = np.abs(said - truth) < np.abs(said + truth)
    measured: dict[str, JSON] = {
        "nearer +k": float(nearer.mean()),
        "nearer -k": float((np.abs(said + truth) < np.abs(said - truth)).mean()),
    }
    if reading.sign > 0:
        return Finding(
            "sign",
            "pass",
            f"Sound that is k frames early reads nearer +k than -k ({nearer.mean():.0%}).",
            measured,
        )
    return Finding(
        "sign",
        "fail",
        "Your sign is swapped: sound that is early (audio leads) reads negative, and must read "
        "positive.",
        measured,
        "offset = video index - audio index (avbench.timing): negate the answer and reverse the "
        "order of the scores",
        "similarity[v, a] read for similarity[a, v], candidates listed from +search down, or the "
        "convention of another code base (audio - video).",
    )


def bias(sweep: Sweep) -> Finding:
    """Say whether the answers are a constant number of frames off."""
    reading = read(sweep)
    if (unknown := unless_known("bias", sweep, reading)) is not None:
        return unknown
    error = sweep.predicted - reading.sign * sweep.offsets
    measured: dict[str, JSON] = {
        "bias": reading.bias,
        "exact as it stands": reading.right,
        f"exact less {reading.bias:+d}": reading.exact,
        "median error": float(np.nanmedian(error)),
    }
    if reading.bias == 0:
        return Finding("bias", "pass", "Its answers are not shifted as a whole.", measured)
    frames = f"{abs(reading.bias)} frame{'s' if abs(reading.bias) > 1 else ''}"
    way = "high" if reading.bias > 0 else "low"
    return Finding(
        "bias",
        "fail",
        f"Its answers are biased by {reading.bias:+d} ({frames} too {way}) at every offset: "
        f"{reading.exact:.0%} would be exact without it, {reading.right:.0%} are.",
        measured,
        "make row t of the picture and row t of the sound see the same 200 ms, frames t .. t + 4",
        "a constant shift somewhere: a decoder that drops or repeats the first frame, padding or "
        "centring of the sound's frames, a hop that counts from the middle, or candidates "
        "numbered from 1.",
    )


def one_sided(sweep: Sweep) -> Finding:
    """Look for the mark of a shift by part of a frame: near misses on one side only.

    A symmetric distribution of errors around the truth has as many answers one frame low as one
    frame high, and more exact ones than either. Drawn mouths lead their sound by a quarter frame,
    which alone makes few near misses.
    """
    reading = read(sweep)
    if (unknown := unless_known("one-sided", sweep, reading)) is not None:
        return unknown
    if reading.bias:
        return Finding(
            "one-sided", "not-applicable", "All answers are shifted, see bias; mend that first."
        )
    place = reading.sign * sweep.offsets
    inner = np.abs(place) < sweep.search  # at the ends an error can go one way only
    error = sweep.predicted[:, inner] - place[inner]
    low, exact, high = (int((error == e).sum()) for e in (-1, 0, 1))
    near = max(low + exact + high, 1)
    share = max(low, high) / max(low + high, 1)
    missed = (low + high) / near
    measured: dict[str, JSON] = {
        "one frame low": low,
        "exact": exact,
        "one frame high": high,
        "accuracy@0": exact / max(error.size, 1),
        "accuracy@1": near / max(error.size, 1),
    }
    way = "low" if low > high else "high"
    if share < GOOD or missed < 0.15:
        return Finding(
            "one-sided", "pass", "Near misses are few, or lie on both sides alike.", measured
        )
    return Finding(
        "one-sided",
        "fail" if share >= 0.9 and missed >= 0.3 else "warn",
        f"{missed:.0%} of the answers within one frame are off, and {share:.0%} of these are one "
        f"frame too {way}: exact accuracy is far below accuracy within one frame without need.",
        measured,
        "compare the times that the middle of a row of picture and of sound stand for; they must "
        "be equal to a few milliseconds",
        "a shift by part of a frame: centre padding of the spectrogram, a window of sound that is "
        "longer than that of the picture, or a decoder's delay.",
    )


def shift(sweep: Sweep) -> Finding:
    """Say for how many windows f(sound moved by k) = f(sound) + k, over the search range."""
    reading = read(sweep)
    if (unknown := unless_known("shift", sweep, reading)) is not None:
        return unknown
    middle = int(np.flatnonzero(sweep.offsets == 0)[0])
    expected = sweep.predicted[:, [middle]] + reading.sign * sweep.offsets
    inside = np.abs(expected) <= sweep.search
    inside[:, middle] = False
    holds = sweep.predicted == expected
    fraction = float(holds[inside].mean()) if inside.any() else 0.0
    by_offset = {
        f"{k:+d}": round(float(holds[inside[:, i], i].mean()), 3)
        for i, k in enumerate(sweep.offsets.tolist())
        if inside[:, i].any()
    }
    measured: dict[str, JSON] = {"holds": fraction, "by offset": by_offset}
    turned = "" if reading.sign > 0 else ", its sign turned round,"
    sentence = (
        f"Sound moved by k frames{turned} moves the answer by k in {fraction:.0%} of the cases "
        f"over the whole search range of ±{sweep.search}."
    )
    if fraction >= GOOD:
        return Finding("shift", "pass", sentence, measured)
    return Finding(
        "shift",
        "fail" if fraction < POOR else "warn",
        sentence,
        measured,
        "look at the offsets at which it fails: large ones point to padding, all alike to noise",
        "candidates near the ends of the range scored on padding, an embedding that depends on "
        "its place in the clip, or a prior for small offsets.",
    )


def edges(sweep: Sweep) -> Finding:
    """Compare the accuracy at the ends of the search range with that in its middle."""
    reading = read(sweep)
    if (unknown := unless_known("edges", sweep, reading)) is not None:
        return unknown
    place = reading.sign * sweep.offsets + reading.bias
    kept = np.abs(place) <= sweep.search
    hits = (sweep.predicted == place)[:, kept].mean(axis=0)
    outer = np.abs(place[kept]) >= max(sweep.search - 1, 1)
    if not outer.any() or outer.all():
        return Finding("edges", "not-applicable", "The search range has no inside.")
    inside, ends = float(hits[~outer].mean()), float(hits[outer].mean())
    measured: dict[str, JSON] = {"inside": inside, "ends": ends, "length": sweep.length}
    sentence = (
        f"In windows of {sweep.length} frames it reads the largest offsets right in {ends:.0%} of "
        f"the cases, the smaller ones in {inside:.0%}."
    )
    if ends >= inside - 0.25:
        return Finding("edges", "pass", sentence, measured)
    return Finding(
        "edges",
        "warn",
        sentence,
        measured,
        "say in its description how it treats sound outside the window, and offer the other way "
        "as an option",
        "sound outside the window counted as zeros, which handicaps large offsets, or a mean over "
        "fewer pairs, which makes them noisy.",
    )


def longer(short: Sweep, long: Sweep) -> Finding:
    """Say whether more frames help: accuracy must not fall as windows grow."""
    if (unknown := unless_known("longer", long, read(long))) is not None:
        return unknown
    less, more = _exact(short), _exact(long)
    spread = float(np.sqrt((_variance(short) + _variance(long)) / 2 + 1e-12))
    measured: dict[str, JSON] = {
        f"exact at {short.length}": less,
        f"exact at {long.length}": more,
    }
    sentence = (
        f"Exact in {less:.0%} of windows of {short.length} frames and {more:.0%} of {long.length}."
    )
    if more >= less - 3 * spread / np.sqrt(max(len(long.predicted), 1)):
        return Finding("longer", "pass", sentence, measured)
    return Finding(
        "longer",
        "warn",
        sentence + " More frames should not hurt.",
        measured,
        "let it use every frame that it is given, or say which lengths it is made for",
        "a network trained on one length that is fed others, or only part of a long window used.",
    )


def outside(sweep: Sweep, within: Sweep) -> Finding:
    """Judge answers about windows whose sound is longer than their picture on both sides.

    Parameters
    ----------
    sweep
        Answers from sound that is longer by the search range on either side.
    within
        Answers about windows of that length with no more sound than picture.
    """
    reading, usual = read(sweep), read(within)
    measured: dict[str, JSON] = {
        "exact": reading.right,
        "exact within the window": usual.right,
        "failed": int(np.isnan(sweep.predicted).sum()),
        "length": sweep.length,
    }
    sentence = (
        f"With {sweep.search} rows of sound on either side, {reading.right:.0%} of windows of "
        f"{sweep.length} frames are exact; {usual.right:.0%} with no more sound than picture."
    )
    if not usual.known:
        return Finding(
            "outside",
            "not-applicable",
            f"In windows of {within.length} frames its answers cannot be told from guessing.",
        )
    if reading.right >= usual.right - 0.1:
        return Finding("outside", "pass", sentence, measured)
    why = f" First complaint: {next(iter(sweep.failures))}." if sweep.failures else ""
    return Finding(
        "outside",
        "fail",
        sentence + why,
        measured,
        "take lead = (audio.shape[1] - video.shape[1]) // 2: row v of the picture belongs to row "
        "v + lead of the sound at offset 0; or leave hears_outside away",
        "the extra rows taken for the window's own, which shifts every candidate by lead.",
    )


def reversal(said: FloatArray, offsets: FloatArray) -> Finding:
    """Say whether a window played backwards reads minus its offset.

    Parameters
    ----------
    said
        Answers about windows played backwards, NaN where it failed; shape (W,).
    offsets
        Offsets of the windows before they were turned, none zero, as the method reads them (its
        own sign and bias applied); shape (W,).
    """
    turned = float((np.abs(said + offsets) <= 1).mean()) if len(said) else 0.0
    kept = float((np.abs(said - offsets) <= 1).mean()) if len(said) else 0.0
    measured: dict[str, JSON] = {"reads -k": turned, "reads +k": kept, "windows": len(said)}
    sentence = (
        f"Played backwards, {turned:.0%} of the windows read minus their offset (±1 frame), "
        f"{kept:.0%} the offset itself."
    )
    if turned > kept:
        return Finding("reversal", "pass", sentence, measured)
    return Finding(
        "reversal",
        "warn",
        sentence,
        measured,
        "nothing, where the method needs speech that runs forwards",
        "a method that knows speech rather than sync, or an answer that does not come from the "
        "order of the frames.",
    )


def unless_known(name: str, sweep: Sweep, reading: Reading) -> Finding | None:
    """Return why nothing can be said where the answers cannot be told from guessing."""
    answers = np.unique(sweep.predicted[~np.isnan(sweep.predicted)])
    if not len(answers):
        return Finding(name, "not-applicable", "It answered nothing, see failures.")
    if len(answers) == 1:
        return Finding(name, "not-applicable", "Its answer never changes, see skill.")
    if not reading.known:
        return Finding(
            name,
            "not-applicable",
            f"In windows of {sweep.length} frames its answers cannot be told from guessing.",
        )
    return None


def _exact(sweep: Sweep) -> float:
    reading = read(sweep)
    return reading.exact


def _variance(sweep: Sweep) -> float:
    return float((sweep.predicted == sweep.offsets).mean(axis=1).var())
