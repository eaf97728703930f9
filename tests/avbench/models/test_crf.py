"""The monotone field, against every path written out; and sheared matrices."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from avbench.models.crf import (
    Emission,
    EmissionConfig,
    MonotoneCrf,
    forward_scores,
    path_score,
    shear,
    unshear,
)


def random(seed, *shape):
    return torch.from_numpy(2 * np.random.default_rng(seed).standard_normal(shape))


def field(count=5):
    crf = MonotoneCrf(tuple(np.arange(1.0, count + 1) / count)).double()
    return crf.requires_grad_(False)


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (3, 3), (4, 7), (5, 2)])
def test_a_constant_shift_is_a_column_of_a_sheared_matrix(rows, columns):
    values = random(0, 2, rows, columns)
    sheared = shear(values, fill=9.0)
    assert sheared.shape == (2, rows, rows + columns - 1)
    for shift in range(1 - rows, columns):
        line = torch.diagonal(values, shift, dim1=1, dim2=2)
        found = sheared[:, :, shift + rows - 1]
        assert torch.equal(found[found != 9.0].view(2, -1), line)
    assert torch.equal(unshear(sheared, columns), values)


def every_path(emission, crf):
    """Posteriors and total weight of one emission, path by path."""
    rows, columns = emission.shape
    weights, total = torch.zeros(rows, columns, dtype=torch.float64), 0.0
    for path in product(range(columns), repeat=rows):
        weight = float(path_score(emission[None], crf.steps, torch.tensor([path])).exp())
        total += weight
        for row, column in enumerate(path):
            weights[row, column] += weight
    return weights / total, total


@pytest.mark.parametrize(("rows", "columns", "steps"), [(1, 3, 5), (4, 5, 5), (3, 7, 3), (5, 4, 2)])
def test_posteriors_are_those_of_all_paths_written_out(rows, columns, steps):
    crf = field(steps)
    emission = random(rows, 2, rows, columns)
    found = crf(emission).exp()
    for index in range(2):
        expected, total = every_path(emission[index], crf)
        torch.testing.assert_close(found[index], expected)
        scores = forward_scores(emission, crf.steps)[index, -1]
        assert float(scores.logsumexp(0)) == pytest.approx(np.log(total))


def test_the_likelihood_of_all_paths_adds_up_to_one():
    crf = field()
    emission = random(1, 1, 4, 4)
    paths = torch.tensor(list(product(range(4), repeat=4)))
    said = crf.log_likelihood(emission.expand(len(paths), -1, -1), paths)
    assert float(said.exp().sum()) == pytest.approx(1)
    backwards = (paths.diff(dim=-1) < 0).any(-1)
    assert torch.isneginf(said[backwards]).all()
    assert torch.isfinite(said[~backwards]).all()


def test_a_leap_beyond_the_longest_step_has_no_likelihood():
    emission = random(2, 1, 2, 8)
    for far, legal in ((4, True), (5, False)):
        said = field().log_likelihood(emission, torch.tensor([[1, 1 + far]]))
        assert bool(torch.isfinite(said)) is legal


def test_windows_of_a_batch_do_not_see_each_other():
    crf, emission = field(), random(3, 4, 6, 9)
    together = crf(emission)
    for index in range(4):
        torch.testing.assert_close(crf(emission[index : index + 1])[0], together[index])


def test_posteriors_survive_emissions_of_any_size():
    crf = MonotoneCrf().requires_grad_(False)
    for size in (1e-3, 1e2, 1e4):
        said = crf(size * random(4, 2, 25, 75).float())
        assert torch.isfinite(said).all()
        torch.testing.assert_close(said.exp().sum(-1), torch.ones(2, 25), atol=1e-3, rtol=0)


def test_the_gradient_is_right():
    emission = random(5, 1, 3, 4).requires_grad_()
    steps = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64).log().requires_grad_()

    def posteriors(emission, steps):
        crf = MonotoneCrf((1.0, 1.0, 1.0)).double()
        return torch.func.functional_call(crf, {"steps": steps}, (emission,))

    assert torch.autograd.gradcheck(posteriors, (emission, steps))


def test_steps_are_learned_from_paths():
    rng = np.random.default_rng(6)
    truth = np.array([0.3, 0.4, 0.0, 0.3, 0.0])
    moves = rng.choice(5, size=(256, 9), p=truth)
    paths = torch.from_numpy(np.concatenate([np.zeros((256, 1), int), moves.cumsum(1)], 1))
    crf, flat = MonotoneCrf(), torch.zeros(256, 10, 40)
    optimiser = torch.optim.Adam(crf.parameters(), lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        (-crf.log_likelihood(flat, paths).mean()).backward()
        optimiser.step()
    learned = torch.softmax(crf.steps.detach(), 0).numpy()
    assert np.abs(learned - truth).max() < 0.08


def test_the_emission_keeps_a_shift_of_everything():
    emission = Emission(EmissionConfig())
    inside = torch.rand(1, 12, 40)
    moved = torch.roll(inside, 3, dims=2)
    with torch.no_grad():
        first, second = emission(inside), emission(moved)
    # Three layers reach 6 rows and 3 shifts far, so 9 columns: the sides see something else.
    torch.testing.assert_close(first[..., 12:27], second[..., 15:30])
    assert sum(p.numel() for p in emission.parameters()) < 2500
