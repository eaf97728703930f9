"""Every loss and its gradient against its equation written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from avbench.errors import UnknownName
from avbench.models import losses
from avbench.models.losses import (
    AngularLoss,
    AveNetLoss,
    ContrastiveLoss,
    CrossDomainLoss,
    MultiWayLoss,
    cosine_matrix,
    false_pairs,
)


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


def rows(batch=2, count=5, dim=4, seed=0):
    made = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(batch, count, dim, generator=made).double() for _ in range(2))


def cosine(a, b):
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def literal_contrastive(audio, video, genuine, margin):
    """Eq. 1 and 2 of Chung and Zisserman, 2016."""
    total = 0.0
    for a, v, y in zip(audio, video, genuine, strict=True):
        d = distance(a, v)
        total += y * d**2 + (1 - y) * max(margin - d, 0) ** 2
    return total / (2 * len(genuine))


def literal_ave_net(audio, video, genuine, scale, bias):
    """Two outputs, softmax and cross-entropy, as in "Objects that sound"."""
    total = 0.0
    for a, v, y in zip(audio, video, genuine, strict=True):
        d = distance(a / np.linalg.norm(a), v / np.linalg.norm(v))
        yes, no = math.exp(scale * (1 - d) + bias), math.exp(0.0)
        total -= math.log((yes if y else no) / (yes + no))
    return total / len(genuine)


def literal_match(anchors, others, score):
    """Eq. 1 of "Seeing voices and hearing voices"."""
    total = 0.0
    for j, anchor in enumerate(anchors):
        total += math.log(score(anchor, others[j]) / sum(score(anchor, o) for o in others))
    return -total / len(anchors)


def literal_within(own, others, score):
    """Eq. 5: pairs of one modality against the genuine pair."""
    total = 0.0
    for j in range(len(own)):
        genuine = score(own[j], others[j])
        against = sum(score(own[k], own[j]) for k in range(len(own)) if k != j)
        total += math.log(genuine / (genuine + against))
    return -total / len(own)


def pairs(seed=0):
    """Pairs of rows far and near, genuine and false."""
    audio, video = (side.flatten(0, 1) for side in rows(seed=seed))
    video[::3] = audio[::3] + 0.1 * video[::3]
    return audio, video, torch.arange(10) % 2


@pytest.mark.parametrize("margin", [0.5, 3.0, 20.0])
def test_contrastive_is_equation_1(margin):
    audio, video, genuine = pairs()
    loss = ContrastiveLoss(margin).of_pairs(audio, video, genuine.double())
    expected = literal_contrastive(audio.numpy(), video.numpy(), genuine.tolist(), margin)
    assert loss.item() == pytest.approx(expected)


def test_ave_net_is_a_softmax_of_two_outputs():
    audio, video, genuine = pairs()
    loss = AveNetLoss(4.0, -0.5).double().of_pairs(audio, video, genuine.double())
    expected = literal_ave_net(audio.numpy(), video.numpy(), genuine.tolist(), 4.0, -0.5)
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("both", [True, False])
def test_multi_way_is_equations_1_to_3(both):
    audio, video = rows()

    def score(a, b):
        return math.exp(1 / distance(a, b))

    expected = 0.0
    for a, v in zip(audio.numpy(), video.numpy(), strict=True):
        expected += literal_match(v, a, score) / 2
        if both:
            expected += literal_match(a, v, score) / 2
    loss = MultiWayLoss(both=both, floor=1e-9).of_rows(audio, video, np.random.default_rng(0))
    assert loss.item() == pytest.approx(expected)
    near = MultiWayLoss(both=both).of_rows(audio, video, np.random.default_rng(0))
    assert near.item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("bias", [0.0, -5.0])
def test_cross_domain_is_equations_4_to_6_whatever_the_bias(bias):
    audio, video = rows()

    def score(a, b):
        return math.exp(6.0 * cosine(a, b) + bias)

    expected = 0.0
    for a, v in zip(audio.numpy(), video.numpy(), strict=True):
        across = literal_match(a, v, score) + literal_match(v, a, score)
        expected += (across + literal_within(a, v, score) + literal_within(v, a, score)) / 2
    loss = CrossDomainLoss(6.0).double().of_rows(audio, video, np.random.default_rng(0))
    assert loss.item() == pytest.approx(expected)


def test_angular_of_rows_is_angular_of_their_cosines():
    audio, video = rows()
    loss = AngularLoss(6.0).double()
    given = loss(cosine_matrix(audio, video))
    assert torch.equal(loss.of_rows(audio, video, np.random.default_rng(0)), given)


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_gradients_are_right(name):
    loss = losses.make(name).double()
    if name == "contrastive":
        loss.margin = 2.0  # near the distances of these rows: some false pairs are far enough
    audio, video = (side.requires_grad_() for side in rows())
    parameters = [p for p in loss.parameters() if p.requires_grad]

    def value(audio, video, *_):
        return loss.of_rows(audio, video, np.random.default_rng(3))

    assert torch.autograd.gradcheck(value, (audio, video, *parameters))


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_coinciding_rows_give_finite_numbers(name):
    audio = rows()[0]
    audio[0, 1] = audio[0, 0]
    audio[1] = 0
    one, other = audio.clone().requires_grad_(), audio.clone().requires_grad_()
    loss = losses.make(name).double()
    value = loss.of_rows(one, other, np.random.default_rng(0))
    value.backward()
    assert value.isfinite()
    for tensor in (one, other, *loss.parameters()):
        assert tensor.grad.isfinite().all()


def test_the_inverse_distance_is_bounded():
    for step in (0.0, 1e-8, 1e-4, 7e-3, 1e-2):
        audio = torch.zeros(1, 2, 3, dtype=torch.float64)
        video = torch.full((1, 2, 3), step, dtype=torch.float64, requires_grad=True)
        inverse = MultiWayLoss(floor=1e-2).logits(audio, video)
        inverse[0, 0, 0].backward()
        assert inverse.max() <= 100
        assert video.grad.norm() <= 0.385 / 1e-4


def test_false_pairs_are_other_times_within_reach():
    rng = np.random.default_rng(0)
    drawn = np.stack([false_pairs(12, 3, rng) for _ in range(2000)])
    apart = drawn - np.arange(12)
    assert set(np.unique(apart)) == {-3, -2, -1, 1, 2, 3}
    assert set(np.unique(drawn[:, 0])) == {1, 2, 3}
    counts = np.bincount(drawn[:, 6], minlength=12)[[3, 4, 5, 7, 8, 9]]
    assert counts.min() > 0.8 * counts.max()
    with pytest.raises(ValueError, match="at least 2 rows"):
        false_pairs(1, 3, rng)


def test_a_pair_loss_sees_each_true_pair_and_a_false_one():
    seen = []

    class Looks(losses.PairLoss):
        def of_pairs(self, audio, video, genuine):
            seen.append((audio, video, genuine))
            return genuine.mean()

    times = torch.arange(6.0).view(1, 6, 1).expand(3, 6, 1)
    Looks(reach=2).of_rows(times, times + 0.5, np.random.default_rng(0))
    audio, video, genuine = seen[0]
    apart = (audio - video + 0.5).squeeze(-1)
    assert genuine.sum() == 18
    assert (apart[genuine == 1] == 0).all()
    assert set(apart[genuine == 0].abs().tolist()) == {1.0, 2.0}


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_aligned_rows_cost_less_than_shuffled_ones(name):
    audio, video = rows(batch=4, count=8)
    near = audio + 0.05 * video
    loss = losses.make(name).double()
    aligned = loss.of_rows(audio, near, np.random.default_rng(0))
    assert aligned < loss.of_rows(audio, near.flip(1), np.random.default_rng(0))


def test_a_learned_scale_starts_where_it_is_told():
    assert losses.make("cddl", 7.5).scale.item() == 7.5
    assert losses.make("ave-net").scale.item() == 10.0
    assert not list(losses.make("contrastive", 7.5).parameters())
    with pytest.raises(UnknownName, match="Did you mean 'multi-way'"):
        losses.make("multiway")
