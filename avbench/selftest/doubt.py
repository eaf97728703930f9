"""Checks of how a method takes what cannot be synchronised: silence, stills, noise, NaN."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from avbench.data import JSON, Clip, FloatArray
from avbench.distort import rng_for
from avbench.errors import AvbenchError
from avbench.selftest.material import DEGENERATE, flash
from avbench.selftest.report import Finding
from avbench.selftest.subject import Answer, Subject, explain

GOOD, POOR = 0.8, 0.6
"""Area under the ROC curve from which a confidence is useful, and below which it is not."""
_FLASH_OFFSETS = (-3, 0, 3)


def auroc(higher: FloatArray, lower: FloatArray) -> float:
    """Return the probability that one of ``higher`` is above one of ``lower``, ties half.

    NaN if either is empty.
    """
    if not (len(higher) and len(lower)):
        return float("nan")
    one, other = np.asarray(higher)[:, None], np.asarray(lower)[None]
    return float((one > other).mean() + 0.5 * (one == other).mean())


def degenerate_answers(subject: Subject, windows: Sequence[Clip]) -> dict[str, list[Answer]]:
    """Ask about windows spoilt in every way; kind of damage -> answers."""
    return {
        kind: [subject.ask(spoil(w, rng_for(0, kind, w.key, n))) for n, w in enumerate(windows)]
        for kind, spoil in DEGENERATE.items()
    }


def survives(answers: Mapping[str, Sequence[Answer]]) -> Finding:
    """Check that it answers about silence, stills and noise instead of breaking down.

    Parameters
    ----------
    answers
        Kind of damage -> answers about windows damaged so.
    """
    broken = {
        kind: next(a.failure for a in said if a.failure is not None)
        for kind, said in answers.items()
        if any(a.failure is not None for a in said)
    }
    measured: dict[str, JSON] = {"broken": broken}
    if not broken:
        kinds = ", ".join(answers)
        return Finding("survives", "pass", f"It answers about {kinds} too.", measured)
    return Finding(
        "survives",
        "fail",
        f"It breaks down on {', '.join(broken)}: {next(iter(broken.values()))}.",
        measured,
        "answer with a low confidence instead; recordings hold pauses and stills",
        "a division by the loudness or the contrast, or a logarithm of zero.",
    )


def confidence(
    real: FloatArray, spoilt: Mapping[str, FloatArray], mismatched: FloatArray
) -> Finding:
    """Say whether the confidence is lower where there is nothing to synchronise.

    Parameters
    ----------
    real
        Confidences of windows of speech in sync; shape (W,).
    spoilt
        Kind of damage -> confidences of the same windows damaged so.
    mismatched
        Confidences of windows with the sound of another clip.
    """
    name = "confidence"
    if not np.isfinite(real).any():
        return Finding(name, "not-applicable", "It gives no confidence.")
    # No confidence where there is nothing to be sure of is as good as a low one.
    areas = {
        kind: round(auroc(_low(real), _low(values)), 3)
        for kind, values in {**spoilt, "another clip's sound": mismatched}.items()
    }
    measured: dict[str, JSON] = {"AUROC of speech against": areas}
    everything = np.concatenate([real, *spoilt.values(), mismatched])
    if len(np.unique(everything[np.isfinite(everything)])) == 1 and np.isfinite(everything).all():
        return Finding(
            name,
            "fail",
            f"Its confidence is {real[0]:.3g} for everything: it tells nothing.",
            measured,
            "return float('nan') where there is none, or median minus minimum distance",
            "a placeholder.",
        )
    worst = min(areas, key=lambda kind: areas[kind])
    level = areas[worst]
    sentence = (
        f"Its confidence is higher for speech in sync than for {worst} in {level:.0%} of the "
        f"pairs, which is the worst of {len(areas)} kinds of nonsense."
    )
    if level >= GOOD:
        return Finding(name, "pass", sentence, measured)
    return Finding(
        name,
        "fail" if areas["another clip's sound"] < POOR or max(areas.values()) < POOR else "warn",
        sentence,
        measured,
        "let the confidence compare the best candidate with the others (median minus minimum "
        "distance), not its level alone",
        "a confidence that follows loudness or contrast, or scores that are large wherever a "
        "norm is small.",
    )


def _low(values: FloatArray) -> FloatArray:
    return np.where(np.isnan(values), -np.inf, values)


def not_numbers(subject: Subject, window: Clip) -> Finding:
    """Check what it makes of sound that holds NaN or infinity."""
    said: dict[str, JSON] = {}
    sure, crude = [], []
    for what, value in (("NaN", np.nan), ("infinity", np.inf)):
        audio = window.audio.copy()
        audio[len(audio) // 2 : len(audio) // 2 + 100] = value
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # arithmetic warns of what is asked for here
                prediction = subject.predict(replace(window, audio=audio))
        except Exception as error:
            said[what] = explain(error)
            if not (isinstance(error, (AvbenchError, ValueError)) and str(error)):
                crude.append(what)
            continue
        said[what] = f"{prediction.offset}, confidence {prediction.confidence:.3g}"
        if np.isfinite(prediction.confidence):
            sure.append(what)
    if not sure and not crude:
        return Finding(
            "not-a-number", "pass", "Sound with NaN or infinity makes it unsure, or refuse.", said
        )
    if crude:
        sentence = f"Sound that holds {crude[0]} ends in '{said[crude[0]]}'."
    else:
        sentence = f"Sound that holds {sure[0]} gets an answer with a finite confidence."
    return Finding(
        "not-a-number",
        "warn",
        sentence,
        said,
        "raise a DataError where the sound is not finite, or return the confidence NaN",
        "a nan_to_num or a maximum that swallows NaN, or no check at all.",
    )


def click_and_flash(subject: Subject, size: tuple[int, int], trusted: bool) -> Finding:
    """Ask about one white frame and one click; faces are not needed for that.

    Parameters
    ----------
    subject
        The method.
    size
        Height and width of the picture.
    trusted
        Whether its answers about speech can be told from guessing.
    """
    said = {k: subject.ask(flash(subject.length, k, size)).offset for k in _FLASH_OFFSETS}
    right = sum(k == offset for k, offset in said.items())
    measured: dict[str, JSON] = {f"at {k:+d}": offset for k, offset in said.items()}
    words = ", ".join(f"{k:+d} as {'nothing' if o is None else f'{o:+d}'}" for k, o in said.items())
    if right == len(said):
        return Finding(
            "click-and-flash", "pass", "It synchronises a click and a white flash.", measured
        )
    if not getattr(subject.method, "any_sync", False) or not trusted:
        return Finding(
            "click-and-flash",
            "not-applicable",
            f"For information: it reads a click and a white flash at {words}. A method of faces "
            "need not know better; one of any sound and picture declares any_sync = True.",
            measured,
        )
    return Finding(
        "click-and-flash",
        "fail",
        f"It declares any_sync and reads a click and a white flash at {words}.",
        measured,
        "look at the rows around the flash: they must be nearest to the rows around the click",
        "a method of faces after all, or a shift between picture and sound (see bias).",
    )
