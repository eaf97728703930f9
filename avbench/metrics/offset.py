"""How well predicted offsets agree with true ones.

A method hears and sees a short window of a clip whose sound was displaced by a known number of
frames, and says by how many. These functions compare what it said with what was true.

Conventions
-----------
* Offsets are whole 25 fps video frames, positive where audio leads (`avbench.timing`).
* ``reference`` holds the true offsets, ``estimate`` the predicted ones; equal shapes ``(n,)``.
* NaN in ``estimate`` means that the method gave no answer. It counts as wrong in every accuracy,
  and has no shift error; `answered` says how many answers there are.
* Accuracies and error reductions are fractions; only tables print percentages.
* Counts are summed before the one division, so that results of parts combine without bias.

Metrics
-------
* `hits` and `accuracy`: share of predictions within a tolerance of the truth.
* `mean_absolute_error`, `median_absolute_error`, `p95_absolute_error`, `max_absolute_error`: shift
  errors in frames.
* `rer`: relative error reduction against a reference method.
* `chance`: accuracy of answers that know nothing of the question.
* `outcomes`: hit or miss of every question, for every metric that is a proportion.
* `evaluate`: all that needs no other method, with perceptual windows (`avbench.metrics.perceptual`)
  and the quality of confidence (`avbench.metrics.confidence`).

References
----------
Kim, Heo, Chung and Lee, "End-to-end lip synchronisation based on pattern classification" (2021):
the two tolerances, 0 and 1 frame, and the relative error reduction of Tables 2 and 3. One entry
printed there, Diag-avg at 11 frames without tolerance (31.32), does not follow from the printed
accuracies (63.34 against 45.17 gives 33.14); the other 23 do.
Shalev and Wolf, "End to end lip synchronization with a temporal autoencoder" (2020): shift errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avbench.metrics.confidence import aurc, auroc
from avbench.metrics.perceptual import WINDOWS, inside, to_ms

Offsets: TypeAlias = ArrayLike
"""Offsets in frames, whole numbers; shape (n,)."""


@dataclass(frozen=True)
class Count:
    """A number of hits out of a number of questions; counts add, and divide once.

    >>> sum([Count(1, 2), Count(3, 6)], Count()).fraction
    0.5
    """

    correct: int = 0
    total: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.correct + other.correct, self.total + other.total)

    @property
    def fraction(self) -> float:
        """Hits divided by questions; NaN where nothing was asked."""
        return self.correct / self.total if self.total else math.nan


def validate(reference: Offsets, estimate: Offsets) -> tuple[NDArray[np.float64], ...]:
    """Check two series of offsets and return them as floats.

    Parameters
    ----------
    reference
        True offsets in frames; shape (n,).
    estimate
        Predicted offsets in frames, NaN where there is no answer; shape (n,).

    Returns
    -------
    tuple of NDArray
        ``reference`` and ``estimate``; float64, shape (n,).

    Raises
    ------
    ValueError
        If the shapes differ or are not one-dimensional, a true offset is not finite, or an offset
        is not a whole number (usually seconds or milliseconds given for frames).
    """
    truth, said = (np.asarray(x, dtype=np.float64) for x in (reference, estimate))
    if truth.ndim != 1 or truth.shape != said.shape:
        raise ValueError(
            f"got reference of shape {truth.shape} and estimate of shape {said.shape}, "
            "expected two series of equal length"
        )
    if not np.all(np.isfinite(truth)) or np.any(np.isinf(said)):
        raise ValueError("got an offset that is not finite; only an estimate may be NaN")
    for name, values in (("reference", truth), ("estimate", said)):
        known = values[~np.isnan(values)]
        if np.any(known != np.round(known)):
            worst = known[known != np.round(known)][0]
            raise ValueError(
                f"got {name} offset {worst:g}, expected whole frames; are these seconds?"
            )
    return truth, said


def hits(reference: Offsets, estimate: Offsets, tolerance: int = 0) -> Count:
    """Count the predictions within ``tolerance`` frames of the truth, bounds included.

    Parameters
    ----------
    reference, estimate
        True and predicted offsets in frames; shape (n,). NaN in ``estimate`` is no hit.
    tolerance
        Largest absolute difference that still counts, in frames.

    Returns
    -------
    Count
        Hits and questions.
    """
    truth, said = validate(reference, estimate)
    return Count(int(np.sum(np.abs(said - truth) <= _check_tolerance(tolerance))), len(truth))


def accuracy(reference: Offsets, estimate: Offsets, tolerance: int = 0) -> float:
    """Return the fraction of predictions within ``tolerance`` frames of the truth.

    >>> accuracy([0, 3, -5, 1], [0, 4, 5, float("nan")], tolerance=1)
    0.5
    """
    return hits(reference, estimate, tolerance).fraction


def answered(reference: Offsets, estimate: Offsets) -> Count:
    """Count the questions that got an answer, right or wrong."""
    truth, said = validate(reference, estimate)
    return Count(int(np.sum(~np.isnan(said))), len(truth))


def absolute_errors(reference: Offsets, estimate: Offsets) -> NDArray[np.float64]:
    """Return the absolute shift error of every answered question, in frames; shape (m,)."""
    truth, said = validate(reference, estimate)
    errors: NDArray[np.float64] = np.abs(said - truth)
    return errors[~np.isnan(errors)]


def mean_absolute_error(reference: Offsets, estimate: Offsets) -> float:
    """Return the mean absolute shift error in frames; NaN where nothing was answered."""
    return _statistic("mean", reference, estimate)


def median_absolute_error(reference: Offsets, estimate: Offsets) -> float:
    """Return the median absolute shift error in frames; NaN where nothing was answered."""
    return _statistic("median", reference, estimate)


def p95_absolute_error(reference: Offsets, estimate: Offsets) -> float:
    """Return the absolute shift error that 95 % of the answers do not exceed, in frames.

    It is an error that was made, never one between two; NaN where nothing was answered.
    """
    return _statistic("p95", reference, estimate)


def max_absolute_error(reference: Offsets, estimate: Offsets) -> float:
    """Return the largest absolute shift error in frames; NaN where nothing was answered."""
    return _statistic("max", reference, estimate)


def _p95(errors: NDArray[np.float64]) -> float:
    return float(np.quantile(errors, 0.95, method="inverted_cdf"))


STATISTICS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": lambda errors: float(errors.mean()),
    "median": lambda errors: float(np.median(errors)),
    "p95": _p95,
    "max": lambda errors: float(errors.max()),
}
"""Statistic of the absolute errors -> how it is computed; each is ``<name>_absolute_error``."""


def _statistic(name: str, reference: Offsets, estimate: Offsets) -> float:
    errors = absolute_errors(reference, estimate)
    return STATISTICS[name](errors) if len(errors) else math.nan


def rer(accuracy: float, reference_accuracy: float) -> float:
    """Return the relative error reduction against a reference method (Kim et al. 2021).

    Parameters
    ----------
    accuracy, reference_accuracy
        Fractions in [0, 1] measured on the same questions.

    Returns
    -------
    float
        The part of the reference's errors that is gone: 1 where none is left, 0 where nothing was
        gained, negative where there are more. NaN where the reference makes no error.

    Raises
    ------
    ValueError
        If an accuracy is outside [0, 1] (usually a percentage).

    >>> round(rer(0.6688, 0.4517), 3)
    0.396
    """
    for value in (accuracy, reference_accuracy):
        if not 0 <= value <= 1:
            raise ValueError(
                f"got accuracy {value:g}, expected a fraction in [0, 1]; is it a percentage?"
            )
    error = 1 - reference_accuracy
    return (accuracy - reference_accuracy) / error if error > 0 else math.nan


Law: TypeAlias = int | Sequence[float] | NDArray[np.float64] | None
"""How an offset is drawn: always the same (int), by probabilities over ``-search .. search``, or
uniformly (None)."""


def chance(search: int, tolerance: int = 0, *, truth: Law = None, answer: Law = None) -> float:
    """Return the accuracy of answers that know nothing of the question.

    Parameters
    ----------
    search
        Truth and answer lie in ``-search .. search``, in frames.
    tolerance
        Largest absolute difference that counts as a hit, in frames.
    truth, answer
        How either is drawn, independently of the other; see `Law`.

    Raises
    ------
    ValueError
        If a number is negative, a constant lies outside the range, or probabilities are not
        ``2 * search + 1`` that sum to one.

    Examples
    --------
    Guessing among eleven offsets, and always saying 0 (Kim et al. 2021); guessing among 31 where
    the truth is the middle (Perfect Match), where saying 0 would always be right:

    >>> [round(100 * chance(5, t), 2) for t in (0, 1)], round(100 * chance(5, 1, answer=0), 2)
    ([9.09, 25.62], 27.27)
    >>> round(100 * chance(15, 1, truth=0), 2), chance(15, 1, truth=0, answer=0)
    (9.68, 1.0)
    """
    _check_tolerance(tolerance)
    if search < 0:
        raise ValueError(f"got {search = }, expected at least 0 frames")
    offsets = np.arange(-search, search + 1)
    hit = np.abs(offsets[:, None] - offsets) <= tolerance
    return float(_probabilities(truth, search) @ hit @ _probabilities(answer, search))


def _probabilities(law: Law, search: int) -> NDArray[np.float64]:
    size = 2 * search + 1
    if law is None:
        return np.full(size, 1 / size)
    if isinstance(law, int):
        if abs(law) > search:
            raise ValueError(f"got constant offset {law}, expected it within ±{search}")
        return np.asarray(np.arange(-search, search + 1) == law, dtype=np.float64)
    given = np.asarray(law, dtype=np.float64)
    if given.shape != (size,) or np.any(given < 0) or not math.isclose(given.sum(), 1):
        raise ValueError(f"got {given.shape = }, expected {size} probabilities that sum to 1")
    return given


def evaluate(
    reference: Offsets,
    estimate: Offsets,
    tolerances: Iterable[int] = (0, 1),
    confidence: ArrayLike | None = None,
) -> dict[str, float]:
    """Compute every metric that needs no other method.

    Parameters
    ----------
    reference, estimate
        True and predicted offsets in frames; shape (n,).
    tolerances
        One ``accuracy@<tolerance>`` each, in frames.
    confidence
        Of each prediction, larger where surer, NaN where not stated; shape (n,). Its quality is
        measured against correctness within the first tolerance, the one a protocol is known by.

    Returns
    -------
    dict
        Metric name -> value, the names of `avbench.metrics.catalogue`: accuracies and shares in
        perceptual windows as fractions, errors in frames, and ``auroc`` and ``aurc`` where there
        are confidences.
    """
    truth, said = validate(reference, estimate)
    errors = np.abs(truth - said)
    judged = _outcomes(truth - said, tolerances)
    found = {name: float(hit.mean()) if len(hit) else math.nan for name, hit in judged.items()}
    known = errors[~np.isnan(errors)]
    for name, statistic in STATISTICS.items():
        found[f"{name}_absolute_error"] = float(statistic(known)) if len(known) else math.nan
    if confidence is not None:
        # Confidence in an answer that was never given is no confidence.
        sure = np.where(np.isnan(said), np.nan, np.asarray(confidence, dtype=np.float64))
        correct = next(iter(judged.values()))
        found["auroc"] = auroc(correct, sure)
        found["aurc"] = aurc(correct, sure)
    return found


def outcomes(
    reference: Offsets, estimate: Offsets, tolerances: Iterable[int] = (0, 1)
) -> dict[str, NDArray[np.bool_]]:
    """Judge every question by every metric that is a proportion.

    Parameters
    ----------
    reference, estimate
        True and predicted offsets in frames; shape (n,).
    tolerances
        One ``accuracy@<tolerance>`` each, in frames.

    Returns
    -------
    dict
        ``accuracy@<tolerance>`` and ``perceptual@<window>`` -> whether each question is a hit,
        false without an answer; shape (n,). Their means are what `evaluate` gives.
    """
    truth, said = validate(reference, estimate)
    return _outcomes(truth - said, tolerances)


def _outcomes(
    residual: NDArray[np.float64], tolerances: Iterable[int]
) -> dict[str, NDArray[np.bool_]]:
    allowed = [_check_tolerance(tolerance) for tolerance in tolerances]
    if not allowed:
        raise ValueError("got no tolerance, expected at least one")
    errors, late_or_early = np.abs(residual), to_ms(residual)
    found = {f"accuracy@{tolerance}": errors <= tolerance for tolerance in allowed}
    return found | {
        f"perceptual@{name}": inside(late_or_early, window) for name, window in WINDOWS.items()
    }


def _check_tolerance(tolerance: int) -> int:
    if tolerance < 0:
        raise ValueError(f"got {tolerance = }, expected at least 0 frames")
    return tolerance
