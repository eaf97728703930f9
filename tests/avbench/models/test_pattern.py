"""Windows cut for the pattern classifier, and the classifier's shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avbench.models.pattern import PatternClassifier, PatternConfig, draw_windows, pattern_loss

SMALL = PatternConfig(rows=(7, 9), widths=(4, 4, 4))


def aligned(batch, rows):
    """A matrix whose element (a, v) tells a clip, and v - a."""
    step = torch.arange(rows)
    clip = 1000.0 * torch.arange(batch).view(-1, 1, 1)
    return clip + (step.view(1, 1, -1) - step.view(1, -1, 1))


@pytest.mark.parametrize(("rows", "total"), [(7, 24), (9, 12), (16, 24), (7, 7)])
def test_the_true_line_of_a_window_lies_on_its_class(rows, total):
    windows, target = draw_windows(aligned(3, total), rows, 5, 40, np.random.default_rng(0))
    assert windows.shape == (120, rows, rows)
    for number, (window, label) in enumerate(zip(windows.numpy(), target.tolist(), strict=True)):
        line = np.diagonal(window, label - 5)
        assert line.tolist() == [1000.0 * (number // 40)] * len(line)


def test_all_offsets_and_places_are_drawn():
    rng = np.random.default_rng(0)
    matrix = torch.arange(24.0).view(1, 24, 1).expand(1, 24, 24)
    windows, target = draw_windows(matrix, 7, 5, 4000, rng)
    assert sorted(set(target.tolist())) == list(range(11))
    counts = np.bincount(target.numpy())
    assert counts.min() > 0.7 * counts.max()
    assert set(windows[:, 0, 0].tolist()) == set(range(18))


def test_a_matrix_smaller_than_a_window_is_refused():
    with pytest.raises(ValueError, match="at least"):
        draw_windows(torch.zeros(1, 6, 6), 7, 5, 1, np.random.default_rng(0))


@pytest.mark.parametrize("rows", [7, 9])
def test_one_head_per_size(rows):
    classifier = PatternClassifier(SMALL).eval()
    assert classifier(torch.zeros(2, rows, rows)).shape == (2, 11)


@pytest.mark.parametrize(("rows", "millions"), [(7, 3.25), (9, 5.35), (11, 7.97), (16, 16.82)])
def test_paper_widths_have_the_papers_size(rows, millions):
    config = PatternConfig(rows=(rows,), widths=(256, 256, 128))
    count = sum(p.numel() for p in PatternClassifier(config).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_search_that_no_window_holds_is_refused():
    with pytest.raises(ValueError, match="rows"):
        PatternConfig(rows=(5,), search=5)


def test_an_untrained_classifier_guesses():
    loss = pattern_loss(
        PatternClassifier(SMALL).eval(), torch.zeros(2, 24, 24), 8, np.random.default_rng(0)
    )
    assert loss.item() == pytest.approx(np.log(11), abs=0.4)
