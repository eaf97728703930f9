"""Gradients on a similarity matrix say what moves the classifier's output."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from avbench.errors import UsageError
from avbench.models import checkpoint as checkpoints
from avbench.models.pattern import PatternClassifier
from avbench.models.saliency import Of, gradient
from avbench.similarity import diagonal_means


@pytest.fixture(scope="module")
def classifier() -> PatternClassifier:
    found = checkpoints.load(checkpoints.shipped("sync-e2e")).classifier
    assert found is not None
    return found.eval()


def planted(rows: int, offset: int, seed: int = 0) -> np.ndarray:
    """Return a noisy matrix with a bright diagonal, as smooth as neighbouring windows are."""
    rng = np.random.default_rng(seed)
    matrix = 0.1 * rng.standard_normal((rows, rows))
    for beside, height in ((-1, 0.4), (0, 0.8), (1, 0.4)):
        matrix += height * np.eye(rows, k=offset + beside)
    return matrix


@pytest.mark.parametrize("of", ["output", "loss"])
def test_gradients_are_slopes(classifier: PatternClassifier, of: Of) -> None:
    matrix, offset, step = planted(7, 2), 2, 1e-3
    found = gradient(classifier, matrix, offset, of)
    assert found.shape == (7, 7)

    def output(change: np.ndarray) -> float:
        given = torch.from_numpy(matrix + change)[None]
        with torch.inference_mode():
            logits = classifier.double()(given)
        scores = logits if of == "output" else F.log_softmax(logits, -1)
        return float(scores[0, offset + 5])

    try:
        rng = np.random.default_rng(1)
        for _ in range(3):
            way = rng.standard_normal(matrix.shape)
            slope = (output(step * way) - output(-step * way)) / (2 * step)
            assert float((found * way).sum()) == pytest.approx(slope, rel=0.05, abs=0.05)
    finally:
        classifier.float()


@pytest.mark.parametrize("offset", [-4, 0, 3])
def test_a_trained_classifier_looks_at_the_true_diagonal(
    classifier: PatternClassifier, offset: int
) -> None:
    found = np.mean(
        [gradient(classifier, planted(16, offset, seed), offset) for seed in range(5)], axis=0
    )
    means = diagonal_means(found, 5)
    assert int(means.argmax()) - 5 == offset
    assert means.max() > 5 * np.abs(found).mean()


def test_the_loss_pushes_against_the_other_offsets(classifier: PatternClassifier) -> None:
    """The gradients of all log-probabilities, weighted by the probabilities, cancel."""
    matrix = planted(7, 1)
    with torch.inference_mode():
        given = torch.from_numpy(matrix.astype(np.float32))[None]
        chances = F.softmax(classifier(given), -1)[0].numpy()
    total = sum(p * gradient(classifier, matrix, k - 5, "loss") for k, p in enumerate(chances))
    assert np.abs(total).max() < 1e-4


def test_sizes_and_offsets_it_does_not_know_are_named(classifier: PatternClassifier) -> None:
    with pytest.raises(UsageError, match=r"window of 14 frames.*11, 13, 15, 20 frames"):
        gradient(classifier, np.zeros((10, 10)), 0)
    with pytest.raises(UsageError, match=r"offset \+6.*up to 5"):
        gradient(classifier, np.zeros((7, 7)), 6)
