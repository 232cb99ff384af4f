"""Held-out likelihood: the kernel density against brute force, its best bandwidth against a grid, the bound."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from lib.density import cross_validated, fit_bandwidth, kernel_log_prob, likelihood_bound
from lib.mixture import MemorizedPrior


def randn(*shape, seed=0):
    """Standard normal numbers, double precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kernel_density_is_the_memorized_prior():
    examples, points = randn(7, 3), randn(4, 3, seed=1)
    expected = MemorizedPrior(examples, 0.4).log_prob(points)
    torch.testing.assert_close(kernel_log_prob(points, examples, 0.4), expected)


def test_leave_one_out_is_the_density_of_the_others():
    x = randn(6, 2)
    for k, value in enumerate(kernel_log_prob(x, None, 0.5)):
        others = torch.cat([x[:k], x[k + 1 :]])
        torch.testing.assert_close(value, MemorizedPrior(others, 0.5).log_prob(x[k : k + 1])[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("held_out", [False, True])
def test_bandwidth_is_the_best_of_a_grid_and_solves_its_equation(seed, held_out):
    x, points = randn(30, 4, seed=seed), randn(20, 4, seed=100 + seed) if held_out else None
    bandwidth = fit_bandwidth(x, points)

    def mean(b):
        return float((kernel_log_prob(x, None, b) if points is None else kernel_log_prob(points, x, b)).mean())

    grid = [0.01 * 1.02**k for k in range(400)]
    assert mean(bandwidth) >= max(map(mean, grid)) - 1e-9
    squares = torch.cdist(x if points is None else points, x).square()
    squares = squares.fill_diagonal_(math.inf) if points is None else squares
    shares = torch.softmax(-squares / (2 * bandwidth**2), 1)
    expected = (shares * squares.nan_to_num(posinf=0)).sum(1).mean() / 4
    assert bandwidth**2 == pytest.approx(float(expected), rel=1e-4)


def test_bandwidth_falls_with_more_examples_and_scales_with_them():
    x = randn(800, 2)
    assert fit_bandwidth(x) < 0.7 * fit_bandwidth(x[:40])
    assert fit_bandwidth(100 * x[:40]) == pytest.approx(100 * fit_bandwidth(x[:40]), rel=1e-4)


def test_cross_validation_predicts_each_fold_by_the_others():
    x, odd = randn(10, 2), torch.arange(10) % 2 == 1
    expected = sum(MemorizedPrior(x[part], 0.5).log_prob(x[~part]).sum() for part in (odd, ~odd))
    found = cross_validated(lambda train: MemorizedPrior(train, 0.5).log_prob, x, folds=2)
    assert found == pytest.approx(float(expected) / 10)


SCALES = torch.tensor([2.0, 1.0, 0.3], dtype=torch.float64)


def bound(denoise, x, **options):
    """The mean bound of models x and its standard error."""
    values = likelihood_bound(denoise, x, generator=torch.Generator().manual_seed(1), **options)
    return float(values.mean()), float(values.std()) / len(values) ** 0.5


def test_bound_is_nearly_tight_for_an_exact_denoiser():
    x = randn(4000, 3) * SCALES
    exact = MultivariateNormal(torch.zeros(3).double(), SCALES.square().diag()).log_prob(x)
    value, error = bound(lambda x, sigma: SCALES**2 / (SCALES**2 + sigma**2) * x, x)
    assert abs(value - float(exact.mean())) < 0.02 + 2 * error  # over ten seeds within .065, error .032
    looser = bound(lambda x, sigma: SCALES**2 / (SCALES**2 + sigma**2) * x, x, sigma_min=0.3)[0]
    ratio = SCALES**2 / (SCALES**2 + 0.3**2)  # variance of what the last step forgets, over its noise
    gap = float((ratio - 1 - ratio.log()).sum() / 2)
    assert value - looser == pytest.approx(gap, abs=0.03)  # .098; over six seeds .096 to .121


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_bound_falls_by_what_the_denoiser_is_wrong(factor):
    x = randn(4000, 1)

    def denoise(x, sigma):
        return factor * x / (1 + sigma**2)

    exact = float(MultivariateNormal(torch.zeros(1).double(), torch.eye(1).double()).log_prob(x).mean())
    assert bound(denoise, x)[0] < exact - 0.2


def test_bound_exposes_point_masses():
    x = randn(20, 3)
    prior, fresh = MemorizedPrior(x, 0.5), randn(200, 3, seed=1)
    wide = bound(lambda x, sigma: prior.denoise(x, sigma, include_bandwidth=True), fresh)[0]
    assert wide == pytest.approx(float(prior.log_prob(fresh).mean()), abs=0.3)
    assert bound(prior.denoise, fresh)[0] < wide - 100


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_bandwidth(torch.ones(3, 2)), "must differ from the examples"),
        (lambda: fit_bandwidth(torch.ones(1, 2)), "at least 2"),
        (lambda: fit_bandwidth(randn(3, 2), randn(3, 3)), "shape"),
        (lambda: kernel_log_prob(randn(3, 2), None, 0.0), "bandwidth must be positive"),
        (lambda: cross_validated(lambda train: train.sum, randn(3, 2), folds=4), "at most the number of examples"),
        (lambda: cross_validated(lambda train: lambda x: x[:, 0] * math.nan, randn(4, 2), folds=2), "finite"),
        (lambda: likelihood_bound(lambda x, sigma: x, randn(3, 2), sigma_min=2.0, sigma_max=1.0), "below sigma_max"),
        (lambda: likelihood_bound(lambda x, sigma: x[:, :1], randn(3, 2)), "denoise's output"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kernel_log_prob(randn(3, 2), None, 1e-200), ValueError, "bandwidth must have a square .* got 1e-200"),
        (lambda: kernel_log_prob(randn(3, 2), None, 1e200), ValueError, r"bandwidth must have a square .* got 1e\+200"),
        (lambda: kernel_log_prob(randn(1, 2), None, 1.0), ValueError, "points must hold at least 2 models"),
        (lambda: kernel_log_prob(randn(3, 2), randn(3, 3), 1.0), ValueError, r"examples must have shape \[\*, 2\]"),
        (lambda: kernel_log_prob(randn(3, 2), randn(3, 2).float(), 1.0), TypeError, "examples must have dtype"),
        (lambda: kernel_log_prob(randn(3, 2), randn(3, 2).to("meta"), 1.0), ValueError, "examples must be on device"),
        (lambda: fit_bandwidth(randn(3, 2).numpy()), TypeError, "examples must be a torch.Tensor"),
        (lambda: fit_bandwidth(randn(1, 2)), ValueError, "examples must hold at least 2 models"),
        (lambda: fit_bandwidth(randn(3, 2), randn(3, 2).numpy()), TypeError, "held_out must be a torch.Tensor"),
        (lambda: fit_bandwidth(randn(3, 2), randn(4, 3)), ValueError, r"held_out must have shape \[\*, 2\]"),
        (lambda: fit_bandwidth(randn(3, 2), randn(3, 2).float()), TypeError, "held_out must have dtype"),
        (lambda: fit_bandwidth(randn(3, 2), randn(3, 2).to("meta")), ValueError, "held_out must be on device cpu"),
    ],
)
def test_misuse_names_the_argument_of_the_caller(call, error, message):
    with pytest.raises(error, match=message):
        call()
