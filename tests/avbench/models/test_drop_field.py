"""The field that is told where frames were dropped, against every path of its states written out.

The paths are enumerated from the conventions of `avbench.models.drop_field`, not from its code.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from avbench.distort import alignment_of
from avbench.models.drop_field import LOW, PASSED, DropField

SURE = -30.0
"""Logarithm of what is next to impossible."""


def random(seed, *shape):
    return torch.from_numpy(2 * np.random.default_rng(seed).standard_normal(shape))


def learned(seed):
    """A field whose parameters are anything."""
    field = DropField().double().requires_grad_(False)
    rng = np.random.default_rng([seed, 1])
    for parameter in field.parameters():
        parameter += torch.from_numpy(rng.standard_normal(parameter.shape))
    return field


def log_sigmoid(value):
    return -math.log1p(math.exp(-value))


def ways_on(state, columns, field, told):
    """Return which states follow one, and the score of going there."""
    kind, at = state
    if kind == "shown":
        for passed, score in enumerate(field.passed.tolist()):
            if (to := at + 1 + passed) < columns:
                yield ("shown", to), score + told[to][0]
        if at + 1 < columns:
            yield ("one", at + 1), told[at + 1][1]
            yield ("first", at + 1), told[at + 1][2]
    elif kind == "one":
        yield ("shown", at), 0.0
    elif kind == "first":
        yield ("later", at), 0.0
    else:
        yield ("shown", at), log_sigmoid(-float(field.more))
        yield ("later", at), log_sigmoid(float(field.more))


def counts_as(state):
    kind, at = state
    return at - 1 if kind == "first" else at


def every_path(emission, dropped, field):
    """Posteriors of the pictures of one window, path by path."""
    rows, columns = emission.shape
    trust, prior = field.trust.tolist(), field.prior.tolist()
    told = [
        [t * d + p for t, d, p in zip(trust, log, prior, strict=True)] for log in dropped.tolist()
    ]
    share, (alone, several) = float(field.share), field.bias.tolist()
    score, start = emission.tolist(), field.start.tolist()

    def said(state, row):
        of_picture = score[row][counts_as(state)]
        extra = {"one": alone, "first": several, "later": several}.get(state[0])
        return of_picture if extra is None else share * of_picture + extra

    weights = np.zeros((rows, columns))

    def go_on(path, total):
        total += said(path[-1], len(path) - 1)
        if len(path) == rows:
            for row, state in enumerate(path):
                weights[row, counts_as(state)] += math.exp(total)
            return
        for state, way in ways_on(path[-1], columns, field, told):
            go_on([*path, state], total + way)

    for at in range(columns):
        for kind, number in (("shown", None), ("one", 1), ("first", 2), ("later", 2)):
            if counts_as((kind, at)) >= 0:
                go_on([(kind, at)], start[at] + (0.0 if number is None else told[at][number]))
    return torch.from_numpy(weights / weights.sum(1, keepdims=True))


@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (3, 1), (2, 6), (4, 4), (6, 3), (4, 6)])
def test_posteriors_are_those_of_all_paths_written_out(rows, columns):
    field = learned(rows)
    emission = random(rows, 2, rows, columns)
    dropped = torch.log_softmax(random(columns, 2, columns, 3), dim=-1)
    found = field(emission, dropped).exp()
    for index in range(2):
        expected = every_path(emission[index], dropped[index], field)
        torch.testing.assert_close(found[index], expected, rtol=1e-9, atol=1e-12)


def test_rows_of_a_whole_window_sum_to_one():
    emission = 5 * random(0, 3, 25, 75).float()
    dropped = torch.log_softmax(random(1, 3, 75, 3).float(), dim=-1)
    for size in (1e-3, 1.0, 1e3):
        said = DropField().requires_grad_(False)(size * emission, dropped)
        assert torch.isfinite(said).all()
        torch.testing.assert_close(said.exp().sum(-1), torch.ones(3, 25), atol=1e-4, rtol=0)


def test_a_picture_that_is_not_there_is_not_believed_in():
    emission = random(2, 2, 8, 20).float()
    # The ends of a window are not there, and answers that are not allowed differ by row.
    gone = torch.zeros(8, 20, dtype=torch.bool)
    gone[:, :3] = gone[:, 17:] = True
    gone[2, 5:9] = True
    field = DropField().requires_grad_(False)
    found = field(emission.masked_fill(gone, LOW), torch.zeros(2, 20, 3)).exp()
    assert float(found[:, gone].max()) < 1e-6
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 8))


@pytest.mark.parametrize("sides", [(0, 4), (4, 0), (2, 3)])
def test_windows_of_fewer_pictures_are_filled_up_without_a_trace(sides):
    before, after = sides
    emission, dropped = random(3, 1, 6, 9), torch.log_softmax(random(4, 1, 9, 3), dim=-1)
    field = learned(5)
    field.start.zero_()  # which knows places
    field.trust.abs_()
    alone = field(emission, dropped)
    filled = torch.nn.functional.pad(emission, sides, value=LOW)
    nothing = emission.new_tensor([0.0, LOW, LOW])
    told = torch.cat((nothing.expand(1, before, 3), dropped, nothing.expand(1, after, 3)), dim=1)
    torch.testing.assert_close(field(filled, told)[..., before : before + 9], alone)


def planted(gaps):
    """Frames that are left, what was dropped before each in sharp logarithms, and the truth."""
    frames = np.cumsum(np.array([0, *gaps]) + 1) - 1
    sharp = np.full((len(frames), 3), SURE)
    sharp[np.arange(len(frames)), [0, *np.minimum(gaps, 2)]] = 0.0
    truth = alignment_of(frames, int(frames[-1]) + 1).video_index
    return torch.from_numpy(sharp)[None], torch.from_numpy(truth)


@pytest.mark.parametrize("place", [1, 3, 7])
@pytest.mark.parametrize("gap", [0, 1, 2, 3])
def test_what_was_dropped_is_enough_to_find_the_way(gap, place):
    """Between its two ends sound says nothing at all; further frames are dropped elsewhere."""
    gaps = [0, 0, 1, 0, 0, 1, 0, 0]
    gaps[place] = gap
    dropped, truth = planted(gaps)
    emission = torch.zeros(1, len(truth), len(gaps) + 1, dtype=torch.float64)
    emission[0, 0, 1:] = emission[0, -1, :-1] = SURE
    found = DropField().double().requires_grad_(False)(emission, dropped)[0].exp()
    assert torch.equal(found.argmax(-1), truth)
    assert float(found.gather(-1, truth[:, None]).min()) > 0.8


@pytest.mark.parametrize("seed", range(4))
def test_a_planted_path_is_found_exactly(seed):
    """Sound says which picture is shown, and that none is where its frame was dropped."""
    gaps = np.random.default_rng(seed).integers(0, 4, 12)
    dropped, truth = planted(gaps)
    frames = np.cumsum([0, *gaps + 1])
    emission = torch.full((1, len(truth), len(frames)), SURE, dtype=torch.float64)
    emission[0, frames, np.arange(len(frames))] = -SURE
    field = DropField().double().requires_grad_(False)
    field.share.zero_()  # dropped frames are like no picture
    found = field(emission, dropped)[0].exp()
    assert torch.equal(found.argmax(-1), truth)
    assert float(found.gather(-1, truth[:, None]).min()) > 0.999


def test_passing_over_a_picture_costs_what_it_says():
    """With both ends certain and the pictures between not dropped, one way alone is left."""
    dropped = torch.full((1, 4, 3), SURE, dtype=torch.float64)
    dropped[..., 0] = 0.0
    emission = torch.zeros(1, 3, 4, dtype=torch.float64)
    emission[0, 0, 1:] = emission[0, 2, :3] = SURE
    found = DropField().double().requires_grad_(False)(emission, dropped)[0].exp()
    # From 0 to 3 in two moves: one of them passes over 1, and which one is open.
    half = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64)
    torch.testing.assert_close(found[1], half, atol=1e-6, rtol=0)
    # In three moves none passes over any, and ways that do are as rare as their probability.
    emission = torch.zeros(1, 2, 4, dtype=torch.float64)
    emission[0, 0, 1:] = SURE
    second = DropField().double().requires_grad_(False)(emission, dropped)[0, 1].exp()
    expected = torch.tensor([0.0, *PASSED[:3]], dtype=torch.float64)
    torch.testing.assert_close(second, expected / expected.sum(), atol=1e-6, rtol=0)


def test_the_gradient_is_right():
    field = learned(7)
    names = [name for name, _ in field.named_parameters()]
    values = [value.clone().requires_grad_() for value in field.parameters()]
    emission = random(8, 1, 3, 4).requires_grad_()
    dropped = torch.log_softmax(random(9, 1, 4, 3), dim=-1).requires_grad_()

    def posteriors(emission, dropped, *values):
        named = dict(zip(names, values, strict=True))
        return torch.func.functional_call(field, named, (emission, dropped))

    assert torch.autograd.gradcheck(posteriors, (emission, dropped, *values))


def test_gradients_are_finite_where_pictures_are_missing():
    field, emission = DropField(), random(10, 2, 25, 75).float().requires_grad_()
    there = torch.zeros(2, 1, 75, dtype=torch.bool)
    there[0, :, 20:50] = there[1, :, :] = True
    dropped = torch.where(there.mT, torch.log_softmax(random(11, 2, 75, 3).float(), -1), 0.0)
    target = torch.arange(22, 47).expand(2, -1)
    found = field(torch.where(there, emission, LOW), dropped)
    (-found.gather(-1, target.unsqueeze(-1)).mean()).backward()
    for name, values in (("emission", emission), *field.named_parameters()):
        assert torch.isfinite(values.grad).all(), name
        assert values.grad.any(), name
    assert not emission.grad[0, :, :20].any()
