"""Laws that every metric of the catalogue keeps, whatever it measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from avbench.metrics import (
    alignment,
    asd,
    confidence,
    lse,
    mcd,
    mouth,
    offset,
    pairwise,
    per_video,
    perceptual,
    retrieval,
    verification,
)
from avbench.metrics.catalogue import CATALOGUE, lookup

Records = tuple[np.ndarray, ...]
"""Arrays whose first axis counts questions, pairs, frames or clips."""


@dataclass(frozen=True)
class Subject:
    """A metric, and how to ask it."""

    metric: str
    """Name in the catalogue."""
    measure: Callable[..., float]
    good: Callable[[np.random.Generator], Records]
    """Records that cannot be answered better."""
    bad: Callable[[np.random.Generator], Records]
    """Records answered at random."""
    best: float
    """Value of what cannot be better."""
    bounds: tuple[float, float]
    answer: int | None = None
    """Which array holds the answers, NaN where there is none; None where none can be missing, or
    where the metric is over answered questions alone."""


N = 40


def _offsets(rng: np.random.Generator) -> Records:
    truth, said = rng.integers(-5, 6, (2, N)).astype(float)
    return truth, said


def _exact(rng: np.random.Generator) -> Records:
    truth, _ = _offsets(rng)
    return truth, truth.copy()


def _labels(rng: np.random.Generator) -> Records:
    return np.arange(N) % 3 == 0, rng.integers(0, 8, N) / 8


def _told_apart(rng: np.random.Generator) -> Records:
    truth, score = _labels(rng)
    return truth, score + truth


def _queries(rng: np.random.Generator) -> Records:
    return rng.integers(0, 9, (N, 12)).astype(float), rng.integers(0, 12, N)


def _found(rng: np.random.Generator) -> Records:
    scores, target = _queries(rng)
    scores[np.arange(N), target] = 10
    return scores, target


def _faces(rng: np.random.Generator) -> Records:
    return rng.normal(size=(N, 68, 2)), rng.normal(size=(N, 68, 2))


def _same_faces(rng: np.random.Generator) -> Records:
    face, _ = _faces(rng)
    return face, face + 3


def _f1(truth: np.ndarray, score: np.ndarray) -> float:
    return asd.f1(truth, score >= 0.9)


def _residual_score(truth: np.ndarray, said: np.ndarray) -> float:
    return perceptual.perceptual_score(perceptual.to_ms(truth - said))


def _of(name: str) -> Callable[..., float]:
    return lambda truth, said: offset.evaluate(truth, said)[name]


INF = math.inf
SUBJECTS = {
    **{
        name: Subject(name, _of(name), _exact, _offsets, 1, (0, 1), answer=1)
        for name in ("accuracy@0", "accuracy@1", *(f"perceptual@{w}" for w in perceptual.WINDOWS))
    },
    **{
        f"{name}_absolute_error": Subject(
            f"{name}_absolute_error", _of(f"{name}_absolute_error"), _exact, _offsets, 0, (0, 10)
        )
        for name in offset.STATISTICS
    },
    "macro": Subject(
        "accuracy@0",
        lambda truth, said, video: per_video.macro_accuracy(truth, said, video.tolist()),
        lambda rng: (*_exact(rng), np.arange(N) // 7),
        lambda rng: (*_offsets(rng), np.arange(N) // 7),
        1,
        (0, 1),
        answer=1,
    ),
    "perceptual_score": Subject(
        "perceptual_score", _residual_score, _exact, _offsets, 1, (0, 1), answer=1
    ),
    "auroc": Subject("auroc", confidence.auroc, _told_apart, _labels, 1, (0, 1)),
    "aurc": Subject(
        "aurc",
        confidence.aurc,
        lambda rng: (np.ones(N, bool), rng.random(N)),
        _labels,
        0,
        (0, 1),
    ),
    "ece": Subject(
        "ece",
        lambda right, stated: confidence.calibration(right, stated).ece,
        lambda rng: (np.arange(N) % 3 == 0, (np.arange(N) % 3 == 0).astype(float)),
        _labels,
        0,
        (0, 1),
    ),
    "equal_error_rate": Subject(
        "equal_error_rate", verification.equal_error_rate, _told_apart, _labels, 0, (0, 1)
    ),
    "mean_average_precision": Subject(
        "mean_average_precision", verification.average_precision, _told_apart, _labels, 1, (0, 1)
    ),
    "interpolated": Subject(
        "mean_average_precision",
        lambda truth, score: verification.average_precision(truth, score, interpolated=True),
        _told_apart,
        _labels,
        1,
        (0, 1),
    ),
    "accuracy": Subject(
        "accuracy",
        lambda truth, score: verification.binary_accuracy(truth, score, 0.9).accuracy,
        lambda rng: (t := np.arange(N) % 3 == 0, t.astype(float)),
        _labels,
        1,
        (0, 1),
    ),
    "f1": Subject(
        "f1", _f1, lambda rng: (t := np.arange(N) % 3 == 0, t.astype(float)), _labels, 1, (0, 1)
    ),
    "recall@1": Subject("recall@1", retrieval.recall_at, _found, _queries, 1, (0, 1)),
    "recall@10": Subject(
        "recall@10", lambda s, t: retrieval.recall_at(s, t, 10), _found, _queries, 1, (0, 1)
    ),
    "pairwise_accuracy": Subject(
        "pairwise_accuracy",
        lambda a, b: pairwise.pairwise(a, b).over_all,
        lambda rng: (rng.random(N) + 1, rng.random(N)),
        lambda rng: (rng.integers(0, 3, N) * 1.0, rng.integers(0, 3, N) * 1.0),
        1,
        (0, 1),
        answer=0,
    ),
    "mouth_height_correlation": Subject(
        "mouth_height_correlation",
        lambda a, b: mouth.pearson(mouth.height(a), mouth.height(b)),
        _same_faces,
        _faces,
        1,
        (-1, 1),
    ),
    "mouth_width_correlation": Subject(
        "mouth_width_correlation",
        lambda a, b: mouth.pearson(mouth.width(a), mouth.width(b)),
        _same_faces,
        _faces,
        1,
        (-1, 1),
    ),
    "lse_d": Subject(
        "lse_d",
        lambda curves: lse.lse(curves, "facetrack").distance,
        lambda rng: (np.abs(np.arange(-15, 16.0)) * np.ones((N, 1)),),
        lambda rng: (rng.random((N, 31)) + 5,),
        0,
        (0, INF),
    ),
    "lse_c": Subject(
        "lse_c",
        lambda curves: lse.lse(curves, "facetrack").confidence,
        lambda rng: (np.where(np.arange(31) == 15, 0, 9.0) * np.ones((N, 1)),),
        lambda rng: (rng.random((N, 31)) + 5,),
        9,
        (0, INF),
    ),
}
RETIMING = {"duplicated": 0.0, "deleted": 0.0, "consecutive": 97.5, "unique": 100.0}
"""Per 100 of 40 frames left as they were; the first frame follows none."""


def _each(kept: Callable[[Subject], bool] = lambda subject: True) -> pytest.MarkDecorator:
    names = [name for name, subject in SUBJECTS.items() if kept(subject)]
    return pytest.mark.parametrize("subject", [SUBJECTS[name] for name in names], ids=names)


subjects = _each()
seeds = pytest.mark.parametrize("seed", range(5))


def _value(subject: Subject, records: Records) -> float:
    return subject.measure(*records)


@subjects
@seeds
def test_the_best_is_best_and_all_else_is_within_bounds(subject: Subject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    good, bad = _value(subject, subject.good(rng)), _value(subject, subject.bad(rng))
    low, high = subject.bounds
    assert good == pytest.approx(subject.best, abs=1e-12)
    assert low <= bad <= high
    if subject.metric not in ("lse_c",):  # has no best value but that of the planted curves
        assert subject.best == (high if lookup(subject.metric).higher_is_better else low)
    better = good - bad if lookup(subject.metric).higher_is_better else bad - good
    assert better > 0


@subjects
@seeds
def test_the_order_of_the_records_does_not_matter(subject: Subject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    records = subject.bad(rng)
    order = rng.permutation(len(records[0]))
    shuffled = tuple(array[order] for array in records)
    assert _value(subject, shuffled) == pytest.approx(_value(subject, records), rel=1e-12)


@subjects
def test_measuring_changes_no_input(subject: Subject) -> None:
    records = subject.bad(np.random.default_rng(0))
    before = [array.copy() for array in records]
    _value(subject, records)
    assert all(np.array_equal(a, b) for a, b in zip(before, records, strict=True))


@_each(lambda subject: subject.answer is not None)
@seeds
def test_an_answer_withheld_never_helps(subject: Subject, seed: int) -> None:
    assert subject.answer is not None
    records = subject.bad(np.random.default_rng(seed))
    value = _value(subject, records)
    for place in range(0, N, 5):
        fewer = [array.copy() for array in records]
        fewer[subject.answer][place] = math.nan
        assert _value(subject, tuple(fewer)) <= value + 1e-12


@subjects
def test_nothing_asked_has_no_value(subject: Subject) -> None:
    empty = tuple(array[:0] for array in subject.bad(np.random.default_rng(0)))
    if subject.metric == "equal_error_rate":
        with pytest.raises(ValueError, match="some of each"):
            _value(subject, empty)
    else:
        assert math.isnan(_value(subject, empty))


# LSE takes one array, and mouths are cut to the frames that both videos have.
@_each(lambda subject: not subject.metric.startswith(("lse", "mouth")))
def test_records_of_unequal_number_are_refused(subject: Subject) -> None:
    records = subject.bad(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"got \(?\d+|shape"):
        _value(subject, (*records[:-1], records[-1][:-1]))


def test_every_metric_of_the_catalogue_is_held_to_a_law() -> None:
    held = {s.metric if s.metric in CATALOGUE else _stem(s.metric) for s in SUBJECTS.values()}
    held |= set(RETIMING) | {"mcd", "mcd_dtw", "rer@"}  # the ones below, and in their own tests
    assert held == set(CATALOGUE)


def _stem(name: str) -> str:
    return name.partition("@")[0] + "@"


def test_a_picture_left_alone_is_retimed_best() -> None:
    rng = np.random.default_rng(0)
    alone = alignment.retime(np.arange(N), N).per_100()
    assert {name: alone[name] for name in RETIMING} == pytest.approx(RETIMING)
    for _ in range(20):
        other = alignment.retime(np.sort(rng.integers(0, N, N)), N).per_100()
        for name in RETIMING:
            sign = 1 if lookup(name).higher_is_better else -1
            assert sign * other[name] <= sign * alone[name]


@pytest.mark.parametrize("measure", [mcd.mcd, mcd.mcd_dtw])
def test_a_sound_is_not_far_from_itself(measure: Callable[..., float]) -> None:
    sound = np.random.default_rng(0).standard_normal(4000)
    assert measure(sound, sound) == 0
    assert measure(sound, -3 * sound) == pytest.approx(0, abs=1e-9)  # level and polarity
