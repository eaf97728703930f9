"""The angular loss and its gradient against the formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from avbench.models.losses import AngularLoss, cosine_matrix


def literal(similarity, scale, bias, anchors):
    """Eq. 3 of Kim et al., term by term; anchors are the columns (video) or the rows (audio)."""
    total, rows = 0.0, similarity.shape[-1]
    for matrix in similarity:
        for i in range(rows):
            line = matrix[:, i] if anchors == "video" else matrix[i, :]
            denominator = sum(math.exp(scale * s + bias) for s in line)
            total -= math.log(math.exp(scale * line[i] + bias) / denominator)
    return total / (rows * len(similarity))


@pytest.fixture
def similarity():
    return torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("bias", [0.0, -5.0])
def test_it_is_equation_3_whatever_the_bias(similarity, bias):
    loss = AngularLoss(7.0, both=False)(similarity)
    assert loss.item() == pytest.approx(literal(similarity.numpy(), 7.0, bias, "video"))


def test_both_directions_are_averaged(similarity):
    expected = [literal(similarity.numpy(), 7.0, 0.0, side) for side in ("video", "audio")]
    assert AngularLoss(7.0)(similarity).item() == pytest.approx(np.mean(expected))


def test_its_gradient_is_softmax_minus_truth(similarity):
    similarity.requires_grad_()
    AngularLoss(7.0, both=False)(similarity).backward()
    matrices = similarity.detach().numpy()
    weights = np.exp(7 * matrices)
    expected = 7 * (weights / weights.sum(axis=1, keepdims=True) - np.eye(5)) / 15
    assert similarity.grad.numpy() == pytest.approx(expected)


def test_a_perfect_match_costs_nothing():
    assert AngularLoss(100.0)(torch.eye(4).unsqueeze(0)).item() == pytest.approx(0, abs=1e-6)


def test_cosine_matrix_has_audio_rows():
    audio = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    video = torch.tensor([[0.0, 3.0]])
    assert cosine_matrix(audio, video).tolist() == [[0.0], [1.0]]
