"""The posterior of a Gaussian mixture under linear data, against a grid and against the linearized posterior."""

import pytest
import torch

from lib.conditioning import LinearPosterior
from lib.gaussian import GaussianMixture
from lib.posterior import linearized_posterior


def randn(*shape, seed=0):
    """Standard normal numbers, double precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture(n=3, d=2):
    """A mixture of unequal full covariances and weights."""
    root = randn(n, d, d, seed=1)
    return GaussianMixture(2 * randn(n, d), 0.3 * root @ root.mT + 0.05 * torch.eye(d), torch.arange(n).double())


def test_density_is_prior_times_likelihood():
    prior, matrix, d_obs, noise = mixture(), randn(1, 2, seed=2), torch.tensor([0.7]).double(), 0.3
    grid = torch.cartesian_prod(*[torch.linspace(-9, 9, 1201).double()] * 2)
    joint = prior.log_prob(grid) - (d_obs - grid @ matrix.T).square().sum(1) / (2 * noise**2)
    exact = torch.softmax(joint, 0) / 0.015**2
    found = LinearPosterior(prior, matrix, noise)(d_obs).log_prob(grid).exp()
    assert float((found - exact).abs().max() / exact.max()) < 1e-6


@pytest.mark.parametrize("m", [2, 7])
def test_it_is_the_linearized_posterior_of_a_kernel_density(m):
    examples, matrix, d_obs = randn(4, 3), randn(m, 3, seed=3), randn(m, seed=4)
    kernels = GaussianMixture(examples, 0.2**2 * torch.eye(3).double().expand(4, 3, 3), torch.zeros(4).double())
    found = LinearPosterior(kernels, matrix, 0.1)(d_obs)
    expected = linearized_posterior(examples, 0.2, lambda x: x @ matrix.T, d_obs, 0.1)
    torch.testing.assert_close(found.means, expected.means)
    torch.testing.assert_close(found.covariances, expected.covariances)
    torch.testing.assert_close(found.log_weights, expected.log_weights)


def test_precise_data_keep_the_covariance_positive():
    posterior = LinearPosterior(mixture(3, 4), randn(4, 4, seed=5), 1e-7)(randn(4, seed=6))
    assert float(torch.linalg.eigvalsh(posterior.covariances).min()) > -1e-18
    assert torch.isfinite(posterior.sample(10, generator=torch.Generator().manual_seed(0))).all()


def test_bad_input_is_named():
    with pytest.raises(TypeError, match="prior must be a GaussianMixture"):
        LinearPosterior(randn(3, 2), randn(1, 2), 0.1)
    with pytest.raises(ValueError, match="matrix must have shape"):
        LinearPosterior(mixture(), randn(1, 3), 0.1)
    with pytest.raises(ValueError, match="noise_std"):
        LinearPosterior(mixture(), randn(1, 2), 0.0)
    with pytest.raises(ValueError, match="d_obs"):
        LinearPosterior(mixture(), randn(1, 2), 0.1)(randn(2))


def test_noise_too_small_for_the_rounding_is_named():
    matrix = randn(4, 2, seed=2)  # more data than unknowns: without noise their covariance is singular
    with pytest.raises(ValueError, match=r"noise_std must be large enough .* got 1e-09"):
        LinearPosterior(mixture(), matrix, 1e-9)
    with pytest.raises(ValueError, match="noise_std must have a square that torch.float64 can hold .* got 1e-200"):
        LinearPosterior(mixture(), matrix, 1e-200)
    with pytest.raises(ValueError, match="covariance of the data must be finite"):
        LinearPosterior(mixture(), 1e200 * matrix, 1.0)
