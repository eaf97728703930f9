"""Checks of the shape of a method: names, `load`, `predict`, `embed`, `compare`."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np

from avbench.asking import ROW_FRAMES
from avbench.data import JSON, Clip, FloatArray, Prediction
from avbench.errors import AvbenchError
from avbench.selftest.report import Finding
from avbench.selftest.subject import Subject, answers_of, explain

_TRY_LENGTHS = (40, 25, 60, 20, 15, 11, 80, 5)
_TRY_SHORT = (15, 20, 11, 25)
_BATCH = 3


def names(subject: Subject) -> Finding:
    """Check `name`, `BIBTEX` and the signature of `load`."""
    cls, method = subject.origin.cls, subject.method
    wrong: list[str] = []
    name, entry = getattr(method, "name", None), getattr(method, "BIBTEX", None)
    if not (isinstance(name, str) and name):
        wrong.append(f"name is {name!r}, expected a word")
    elif subject.origin.name not in (None, name):
        wrong.append(f"it is installed as '{subject.origin.name}' and calls itself '{name}'")
    if not isinstance(entry, str):
        wrong.append(f"BIBTEX is {type(entry).__name__}, expected a string (empty for none)")
    elif entry and (not entry.lstrip().startswith("@") or entry.count("{") != entry.count("}")):
        wrong.append("BIBTEX is no BibTeX entry, or its braces do not match")
    wrong += _signature(cls)
    measured: dict[str, JSON] = {"name": name, "class": f"{cls.__module__}.{cls.__qualname__}"}
    remedy = "give the class name, BIBTEX and load(checkpoint=None, *, search=5) as in the README"
    if wrong:
        return Finding("names", "fail", _list(wrong), measured, remedy, "a part left out.")
    if not entry and subject.embedding is not None:
        return Finding(
            "names",
            "warn",
            "BIBTEX is empty, so that nobody who uses it can cite it.",
            measured,
            "set BIBTEX to the entry of the paper; nothing, where there is none",
            "a method without a paper, or a part left out.",
        )
    return Finding("names", "pass", "name, BIBTEX and load are as they should be.", measured)


def _signature(cls: type) -> list[str]:
    if not callable(getattr(cls, "load", None)):
        return ["the class has no load, so that no command can make one"]
    return [] if takes(cls, "search") else ["load takes no search, which the benchmark passes"]


def takes(cls: type, option: str) -> bool:
    """Whether the ``load`` of a class takes an option."""
    parameters = inspect.signature(getattr(cls, "load", cls)).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    return option in parameters or inspect.Parameter.VAR_KEYWORD in kinds


def search(subject: Subject, clip: Clip) -> Finding:
    """Check that a smaller search range gives fewer candidates and smaller answers."""
    if subject.search < 2:
        return Finding("search", "not-applicable", "Its search range is one frame already.")
    if _signature(subject.origin.cls):
        return Finding("search", "not-applicable", "Its load takes no search, see names.")
    smaller = max(subject.search - 2, 1)
    try:
        other = replace(subject, method=subject.origin.load(search=smaller), search=smaller)
        prediction = other.predict(clip)
        got = None if prediction.scores is None else len(prediction.scores)
    except Exception as error:
        if subject.origin.unknown and isinstance(error, AvbenchError):
            return Finding("search", "not-applicable", f"It cannot be loaded again: {error}")
        return Finding(
            "search",
            "fail",
            f"It cannot be loaded or asked with search={smaller}: {explain(error)}",
            {"search": smaller},
            "let load take search, the largest offset in frames, and score 2 * search + 1 offsets",
            "a search range fixed in the code.",
        )
    columns = _columns(other, clip)
    measured: dict[str, JSON] = {
        "search": smaller,
        "scores": got,
        "columns": columns,
        "offset": prediction.offset,
    }
    expected = 2 * smaller + 1
    outside = prediction.offset is not None and abs(prediction.offset) > smaller
    if outside or got not in (None, expected) or columns not in (None, expected):
        return Finding(
            "search",
            "fail",
            f"With search={smaller} it must score {expected} offsets; it gives "
            f"{columns if got is None else got}, and answers {prediction.offset}.",
            measured,
            "score exactly the offsets -search .. search, ascending",
            "a search range fixed in the code.",
        )
    return Finding("search", "pass", f"search={smaller} is honoured.", measured)


def _columns(subject: Subject, clip: Clip) -> int | None:
    if subject.embedding is None:
        return None
    rows = subject.embed(clip)
    return int(subject.compare(rows.video[None], rows.audio[None]).shape[-1])


def predict(subject: Subject, clips: tuple[Clip, Clip]) -> Finding:
    """Check what `predict` returns about two clips of different length."""
    wrong: list[str] = []
    for clip in clips:
        try:
            wrong += _faults(subject, clip, subject.predict(clip))
        except Exception as error:
            wrong.append(f"it raised on {len(clip)} frames: {explain(error)}")
    measured: dict[str, JSON] = {"frames": [len(clip) for clip in clips]}
    if not wrong and subject.ask(clips[0]).varies:
        return Finding(
            "predict",
            "warn",
            "Its alignments are not a constant offset; tasks that ask for an offset count such "
            "answers as failures (here their median is judged).",
            measured,
            "answer with Alignment.from_offset where an offset is asked for",
            "a method made for sound and picture that drift.",
        )
    if not wrong:
        return Finding(
            "predict", "pass", "predict answers with the right key, length and scores.", measured
        )
    return Finding(
        "predict",
        "fail",
        _list(wrong),
        measured,
        "return Prediction(clip.key, Alignment.from_offset(k, len(clip)), confidence, scores)",
        "an answer made for a fixed length or key, or scores in another order.",
    )


def _faults(subject: Subject, clip: Clip, said: object) -> list[str]:
    if not isinstance(said, Prediction):
        return [f"predict returned {type(said).__name__}, expected a Prediction"]
    wrong = []
    if said.key != clip.key:
        wrong.append(f"the prediction has key {said.key!r} for clip {clip.key!r}")
    if len(said.alignment) != len(clip):
        wrong.append(f"it aligns {len(said.alignment)} audio frames of a clip of {len(clip)}")
    if not isinstance(said.confidence, (float, int, np.floating)):
        wrong.append(f"its confidence is {type(said.confidence).__name__}, expected a float")
    if said.scores is not None:
        wrong += _score_faults(subject, said)
    return wrong


def _score_faults(subject: Subject, said: Prediction) -> list[str]:
    scores = np.asarray(said.scores)
    if scores.ndim != 1 or len(scores) % 2 == 0:
        return [f"its scores have shape {scores.shape}, expected (2 * search + 1,)"]
    if np.isnan(scores).any() or not np.isfinite(scores).any():
        return ["its scores are NaN or all infinite"]
    middle = len(scores) // 2
    if said.offset is None:
        return []
    if abs(said.offset) > middle:
        return [f"it answers {said.offset} with scores for offsets within ±{middle}"]
    if scores[said.offset + middle] < scores.max():
        best = int(scores.argmax()) - middle
        return [f"it answers {said.offset:+d}, but its scores are highest at {best:+d}"]
    return []


def embed(subject: Subject, clip: Clip) -> Finding:
    """Check the rows of `embed`, and the identity of the extractor."""
    name = "embed"
    if subject.embedding is None:
        return Finding(name, "not-applicable", "It compares no embeddings; predict is asked.")
    try:
        rows = subject.embed(clip)
    except Exception as error:
        return _embed_fails([f"it raised on {len(clip)} frames: {explain(error)}"], {})
    expected = len(clip) - ROW_FRAMES + 1
    wrong: list[str] = []
    for what, array in zip(("picture", "sound"), rows, strict=True):
        if array.ndim != 2 or len(array) != expected:
            wrong.append(
                f"the rows of {what} of {len(clip)} frames have shape {array.shape}, expected "
                f"({expected}, D): one for each {ROW_FRAMES} frames"
            )
        elif not np.issubdtype(array.dtype, np.floating):
            wrong.append(f"the rows of {what} are {array.dtype}, expected float32")
        elif not np.isfinite(array).all():
            wrong.append(f"the rows of {what} hold {int((~np.isfinite(array)).sum())} NaN or inf")
    if not wrong and rows.video.shape != rows.audio.shape:
        wrong.append(f"rows of picture {rows.video.shape} and sound {rows.audio.shape} differ")
    identity = subject.embedding.extractor
    if not (isinstance(identity, str) and identity):
        wrong.append(f"extractor is {identity!r}, expected a string that names the weights")
    measured: dict[str, JSON] = {
        "picture": list(rows.video.shape),
        "sound": list(rows.audio.shape),
        "dtype": str(rows.video.dtype),
        "extractor": str(identity),
    }
    if wrong:
        return _embed_fails(wrong, measured)
    dtypes = {str(rows.video.dtype), str(rows.audio.dtype)}
    if dtypes != {"float32"}:
        return Finding(
            name,
            "warn",
            f"The rows are {' and '.join(sorted(dtypes))}, expected float32.",
            measured,
            "convert them with astype(np.float32)",
            "NumPy computes in float64 unless told otherwise.",
        )
    return Finding(name, "pass", "embed gives one finite float32 row per five frames.", measured)


def _embed_fails(wrong: list[str], measured: dict[str, JSON]) -> Finding:
    return Finding(
        "embed",
        "fail",
        _list(wrong),
        measured,
        "return Embeddings(video, audio) of shape (T - 4, D) each, float32, finite; row t sees "
        "frames t .. t + 4; extractor is a hash of the weights",
        "padding that adds rows, a stride, a division by a zero norm, or log of zero.",
    )


def compare(subject: Subject, clip: Clip) -> Finding:
    """Check the scores of `compare`, and that `predict` answers from the same ones."""
    if subject.embedding is None:
        return Finding("compare", "not-applicable", "It compares no embeddings.")
    wrong: list[str] = []
    measured: dict[str, JSON] = {}
    try:
        rows = subject.embed(clip)
        video, audio = (np.stack([part] * _BATCH) for part in rows)
        scores = subject.compare(video, audio)
        measured = {"shape": list(scores.shape), "search": subject.search}
        if scores.ndim != 2 or scores.shape != (_BATCH, 2 * subject.search + 1):
            wrong.append(
                f"{_BATCH} windows gave scores of shape {scores.shape}, expected "
                f"({_BATCH}, {2 * subject.search + 1})"
            )
        elif np.isnan(scores).any() or not np.isfinite(scores).any(axis=1).all():
            wrong.append("the scores are NaN or all infinite")
        else:
            wrong += _other_path(subject, clip, scores)
    except Exception as error:
        wrong.append(f"it raised: {explain(error)}")
    if not wrong:
        return Finding(
            "compare", "pass", "compare scores every offset, and predict says the same.", measured
        )
    return Finding(
        "compare",
        "fail",
        _list(wrong),
        measured,
        "return (B, 2 * search + 1) scores, ascending offsets, higher is better, -inf where there "
        "is no evidence, and let predict use embed and compare",
        "distances returned for scores, axes swapped, or a second implementation in predict.",
    )


def _other_path(subject: Subject, clip: Clip, scores: FloatArray) -> list[str]:
    """Say where `predict` disagrees with `embed` and `compare`, which the benchmark uses."""
    said, found = subject.ask(clip), answers_of(scores)[0].offset
    # Where predict fails, its own check says so.
    if said.failure is not None or said.offset == found:
        return []
    return [f"predict answers {said.offset}, embed and compare {found}, about the same clip"]


def find_lengths(subject: Subject, clip: Clip) -> Subject:
    """Return the subject with the window lengths to ask about: those it answers."""
    room = len(clip) - 2 * subject.search
    answered = [n for n in _TRY_LENGTHS if n <= room and _answers(subject, clip, n)]
    if not answered:
        return subject
    length = answered[0]
    short = next((n for n in _TRY_SHORT if n < length and _answers(subject, clip, n)), None)
    return replace(subject, length=length, short=short)


def _answers(subject: Subject, clip: Clip, length: int) -> bool:
    return subject.ask(clip.window(subject.search, length)).failure is None


def shortest(subject: Subject, clip: Clip) -> Finding:
    """Find the shortest window that it answers, and how it refuses shorter ones."""
    lengths = list(range(1, 21))
    refused: dict[int, BaseException] = {}
    for length in lengths:
        try:
            subject.predict(clip.window(0, length))
        except Exception as error:
            refused[length] = error
    fit = [n for n in lengths if n not in refused]
    least = fit[0] if fit else None
    blunt = {
        n: explain(e)
        for n, e in refused.items()
        if not isinstance(e, (AvbenchError, ValueError)) or not str(e)
    }
    measured: dict[str, JSON] = {"shortest": least, "refused": list(refused)}
    gaps = [n for n in refused if least is not None and n > least]
    if gaps:
        return Finding(
            "shortest",
            "warn",
            f"It answers windows of {least} frames, but not of {gaps}.",
            measured,
            "answer every length from the shortest on",
            "a network with a head per length.",
        )
    if blunt:
        length, message = next(iter(blunt.items()))
        return Finding(
            "shortest",
            "warn",
            f"A window that is too short, of {length} frame{'s' * (length > 1)}, ends in "
            f"'{message}', which does not say how many it needs.",
            {**measured, "unclear": len(blunt)},
            "raise an avbench.errors.DataError with the length it got and the length it needs",
            "no check of the length.",
        )
    if least is None or least > 11:
        return Finding(
            "shortest",
            "warn",
            f"It answers no window below {least or lengths[-1] + 1} frames; the standard protocol "
            "asks from 11 frames on.",
            measured,
            "ask it with --lengths that it can answer",
            "a network made for longer windows.",
        )
    how = "; shorter ones are refused with a clear message" if refused else ""
    return Finding("shortest", "pass", f"It answers windows from {least} frames on{how}.", measured)


def _list(wrong: list[str]) -> str:
    text = "; ".join(wrong)
    return text[0].upper() + text[1:] + "."
