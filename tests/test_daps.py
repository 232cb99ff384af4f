"""DAPS: the two halves of a level, the probability flow and the Langevin draw, each against a closed form."""

import pytest
import torch

from lib.daps import _flow, _langevin, _Target
from lib.forward import linear_map, stylized_1d
from lib.mixture import MemorizedPrior
from lib.samplers import daps
from lib.schedule import karras_sigmas


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def test_flow_of_a_gaussian_shrinks_by_its_closed_form():
    """x' = (x - D) / sigma with D = x / (1 + sigma^2) takes x to x / sqrt(1 + sigma^2)."""
    x, sigma, last = randn(5, 2), torch.tensor(3.0).double(), torch.tensor(0.001).double()
    found = _flow(lambda x, s: x / (1 + s**2), x, sigma, last, 2000)
    torch.testing.assert_close(found, x / 10**0.5, rtol=0.02, atol=0)


def test_one_step_of_the_flow_is_the_denoiser():
    prior, x, sigma = MemorizedPrior(randn(6, 2), 0.1), randn(4, 2, seed=1), torch.tensor(0.8).double()
    assert torch.equal(_flow(prior.denoise, x, sigma, torch.tensor(0.1).double(), 1), prior.denoise(x, sigma))


@pytest.mark.parametrize("step_share", [0.25, 1.0])
def test_langevin_draws_of_a_gaussian_have_no_bias_from_the_step(step_share):
    """Plain Langevin steps would be 1 / (1 - share / 2) too wide along the stiffest direction: 2 at a share of 1."""
    matrix, d_obs, noise_std, variance = randn(5, 3), randn(5, seed=1), 0.5, 0.8
    target = _Target(linear_map(matrix), d_obs, noise_std, torch.zeros(4000, 3).double(), variance)
    draws, _ = _langevin(target, 200, step_share, seeded(2))
    precision = torch.eye(3).double() / variance + matrix.T @ matrix / noise_std**2
    mean = torch.linalg.solve(precision, matrix.T @ d_obs / noise_std**2)
    sizes, axes = torch.linalg.eigh(precision)
    along = (draws - mean) @ axes * sizes.sqrt()
    assert along.mean(0).abs().max() < 4 / 4000**0.5
    assert (along.var(0) - 1).abs().max() < 4 * (2 / 4000) ** 0.5


def test_langevin_steps_shorten_where_the_map_steepens():
    """F = x + .3 x^3 has slope 1 at the guess and 31 at the datum: steps fit for the guess would diverge there."""
    target = _Target(stylized_1d, torch.tensor([310.0]).double(), 0.3, torch.zeros(200, 1).double(), 100.0)
    draws, _ = _langevin(target, 100, 0.5, seeded(0))
    assert (draws - 10).abs().max() < 0.1


def test_it_needs_no_gradient_of_the_denoiser_and_does_not_die_under_point_masses():
    examples, reports = 3 * randn(5, 2), []
    prior, forward = MemorizedPrior(examples, 0.1), linear_map(torch.eye(2).double())

    def denoise(x, sigma):
        assert not torch.is_grad_enabled() or not x.requires_grad
        return prior.denoise(x, sigma)

    daps(denoise, forward, examples[0] + 0.3, 0.1, karras_sigmas(40, 20.0, 0.1), (20, 2), generator=seeded(0),
         callback=reports.append)  # fmt: skip
    late = reports[-2]
    away = [(late[key] - examples[0] - 0.3).norm(dim=1).median() for key in ("draw", "x0")]
    assert away[0] < 0.8 * away[1]


def test_misfit_reported_is_that_of_the_draw():
    reports, y = [], torch.tensor([1.0]).double()
    daps(lambda x, s: x / (1 + s**2), stylized_1d, y, 0.3, karras_sigmas(5, 20.0, 0.1), (3, 1), callback=reports.append)
    for report in reports[:-1]:
        misfit = (y - stylized_1d(report["draw"])).square().sum(1) / 0.09
        torch.testing.assert_close(report["misfit"], misfit)
