"""Gaussian mixtures with full covariances: density, moments, samples and denoiser against independent formulas."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from lib.gaussian import GaussianMixture
from lib.mixture import GaussianMixture as PublicGaussianMixture
from lib.mixture import MemorizedPrior


def problem(n=5, d=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(n, d, d, generator=generator, dtype=torch.float64)
    means = 2 * torch.randn(n, d, generator=generator, dtype=torch.float64)
    covariances = factors @ factors.mT + 0.1 * torch.eye(d, dtype=torch.float64)
    return means, covariances, torch.randn(n, generator=generator, dtype=torch.float64)


def points(d=3, seed=1):
    return 2 * torch.randn(7, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_public_in_mixture():
    assert PublicGaussianMixture is GaussianMixture


def test_attributes_are_what_was_given_with_normalized_weights():
    means, covariances, logs = problem()
    mix = GaussianMixture(means, covariances, logs)
    assert torch.equal(mix.means, means)
    assert torch.equal(mix.covariances, covariances)
    torch.testing.assert_close(mix.log_weights, torch.log_softmax(logs, 0))
    torch.testing.assert_close(mix.weights, torch.softmax(logs, 0))


def test_log_prob_and_moments_agree_with_torch_distributions():
    means, covariances, logs = problem()
    mix, x = GaussianMixture(means, covariances, logs), points()
    reference = MixtureSameFamily(Categorical(logits=logs), MultivariateNormal(means, covariances))
    torch.testing.assert_close(mix.log_prob(x), reference.log_prob(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(mix.mean, reference.mean)
    torch.testing.assert_close(mix.covariance.diagonal(), reference.variance)


def test_samples_have_the_moments_of_the_mixture(generator):
    mix = GaussianMixture(*problem())
    samples = mix.sample(200_000, generator=generator)
    error = samples.mean(0) - mix.mean
    assert (error.abs() < 5 * (mix.covariance.diagonal() / 200_000).sqrt()).all()
    assert (samples.T.cov() - mix.covariance).norm() / mix.covariance.norm() < 0.01


def test_denoise_is_the_formula_of_the_contract():
    means, covariances, logs = problem()
    mix, x, sigma = GaussianMixture(means, covariances, logs), points(), 0.8
    noisy = covariances + sigma**2 * torch.eye(3, dtype=torch.float64)
    shares = torch.softmax(logs + MultivariateNormal(means, noisy).log_prob(x[:, None]), 1)
    gains = covariances @ torch.linalg.inv(noisy)
    centres = means + torch.einsum("nde,bne->bnd", gains, x[:, None] - means)
    torch.testing.assert_close(mix.denoise(x, sigma), torch.einsum("bn,bnd->bd", shares, centres))


@pytest.mark.parametrize("sigma", [0.2, 1.5])
def test_denoise_is_the_posterior_mean_by_quadrature(sigma):
    means = torch.tensor([[-1.0], [0.5], [2.0]], dtype=torch.float64)
    covariances = torch.tensor([[[0.04]], [[0.3]], [[1.0]]], dtype=torch.float64)
    mix = GaussianMixture(means, covariances, torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64))
    grid = torch.linspace(-15, 15, 30001, dtype=torch.float64)
    x = torch.tensor([[-2.0], [0.0], [3.0]], dtype=torch.float64)
    weights = torch.softmax(mix.log_prob(grid[:, None]) - (x - grid).square() / (2 * sigma**2), 1)
    torch.testing.assert_close(mix.denoise(x, sigma)[:, 0], weights @ grid, rtol=0, atol=1e-9)


def test_tweedie_holds_for_the_mixture():
    means, covariances, logs = problem()
    mix, sigma = GaussianMixture(means, covariances, logs), 0.6
    smoothed = GaussianMixture(means, covariances + sigma**2 * torch.eye(3, dtype=torch.float64), logs)
    x = points().requires_grad_()
    (score,) = torch.autograd.grad(smoothed.log_prob(x).sum(), x)
    torch.testing.assert_close(mix.denoise(x, sigma).detach(), (x + sigma**2 * score).detach())


def test_isotropic_equal_components_are_the_memorized_prior():
    means, _, _ = problem()
    x = points()
    prior = MemorizedPrior(means, 0.5)
    mix = GaussianMixture(means, 0.25 * torch.eye(3, dtype=torch.float64).expand(5, 3, 3), torch.zeros(5).double())
    torch.testing.assert_close(mix.log_prob(x), prior.log_prob(x))
    torch.testing.assert_close(mix.denoise(x, 0.9), prior.denoise(x, 0.9, include_bandwidth=True))
    sigma = torch.linspace(0.1, 2, 7, dtype=torch.float64)
    torch.testing.assert_close(mix.denoise(x, sigma), prior.denoise(x, sigma, include_bandwidth=True))
    torch.testing.assert_close(mix.denoise(x, torch.tensor(0.9)), mix.denoise(x, 0.9), rtol=1e-6, atol=1e-6)


def test_component_of_weight_zero_is_never_drawn_and_never_counts(generator):
    means, covariances, logs = problem()
    logs[2] = -math.inf
    mix, x = GaussianMixture(means, covariances, logs), points()
    keep = [0, 1, 3, 4]
    rest = GaussianMixture(means[keep], covariances[keep], logs[keep])
    torch.testing.assert_close(mix.log_prob(x), rest.log_prob(x))
    torch.testing.assert_close(mix.denoise(x, 0.5), rest.denoise(x, 0.5))
    torch.testing.assert_close(mix.covariance, rest.covariance)
    assert mix.weights[2] == 0
    assert torch.isfinite(mix.sample(100, generator=generator)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_points_and_tiny_levels_stay_finite(dtype):
    means, _, logs = (t.to(dtype) for t in problem())
    mix = GaussianMixture(means, 1e-30 * torch.eye(3, dtype=dtype).expand(5, 3, 3), logs)
    x = torch.cat([1e6 * points(), means.double()]).to(dtype)
    for sigma in (1e-15, 1.0, 1e6):
        found = mix.denoise(x, sigma)
        assert found.dtype == dtype
        assert torch.isfinite(found).all()
    torch.testing.assert_close(mix.denoise(means, 1e-15), means)
    needles = GaussianMixture(means.double(), 1e-300 * torch.eye(3).double().expand(5, 3, 3), logs.double())
    assert torch.isfinite(needles.denoise(x.double(), 1e-150)).all()


def test_axes_keep_variances_that_a_matrix_would_lose():
    means, axes = torch.zeros(1, 2), torch.eye(2, dtype=torch.float64)[None]
    variances = torch.tensor([[1.0, 1e-20]], dtype=torch.float64)
    mix = GaussianMixture.from_axes(means, axes, variances, torch.zeros(1))
    expected = -math.log(2 * math.pi) - 0.5 * math.log(1e-20)
    assert float(mix.log_prob(torch.zeros(1, 2))) == pytest.approx(expected, rel=1e-6)
    assert mix.sample(3).dtype == torch.float32


def test_from_axes_is_the_same_mixture():
    means, covariances, logs = problem()
    variances, axes = torch.linalg.eigh(covariances)
    one, two = GaussianMixture(means, covariances, logs), GaussianMixture.from_axes(means, axes, variances, logs)
    torch.testing.assert_close(one.covariances, two.covariances)
    torch.testing.assert_close(one.log_prob(points()), two.log_prob(points()))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"means": torch.zeros(5)}, ValueError, r"means must have shape \[\*, \*\], got \[5\]"),
        ({"means": torch.zeros(0, 3)}, ValueError, "means must not be empty"),
        ({"covariances": torch.zeros(5, 3)}, ValueError, r"covariances must have shape \[5, 3, 3\], got \[5, 3\]"),
        ({"covariances": torch.zeros(5, 3, 3)}, TypeError, "covariances must have dtype torch.float64"),
        ({"covariances": -problem()[1]}, ValueError, "covariances must be positive definite, got"),
        ({"covariances": problem()[1].triu()}, ValueError, "covariances must be symmetric, got"),
        ({"covariances": problem()[1] * math.nan}, ValueError, "covariances must be finite, got 45"),
        ({"log_weights": torch.zeros(4).double()}, ValueError, r"log_weights must have shape \[5\], got \[4\]"),
        ({"log_weights": torch.full((5,), -math.inf).double()}, ValueError, "log_weights must give .* all are -inf"),
        ({"log_weights": torch.full((5,), math.nan).double()}, ValueError, "log_weights must not hold NaN"),
        ({"log_weights": [0.0] * 5}, TypeError, "log_weights must be a torch.Tensor, got list"),
    ],
)
def test_bad_mixtures_are_refused(change, error, message):
    means, covariances, logs = problem()
    arguments = {"means": means, "covariances": covariances, "log_weights": logs} | change
    with pytest.raises(error, match=message):
        GaussianMixture(**arguments)


def test_bad_points_are_refused():
    mix = GaussianMixture(*problem())
    with pytest.raises(ValueError, match=r"x must have shape \[\*, 3\], got \[7, 2\]"):
        mix.log_prob(points()[:, :2])
    with pytest.raises(ValueError, match="sigma must be positive and finite, got 0.0"):
        mix.denoise(points(), 0.0)
    with pytest.raises(TypeError, match="x must have dtype torch.float64 .* got torch.float32"):
        mix.denoise(points().float(), 1.0)


def low_rank(n=4, d=6, k=2, seed=3):
    """Means, axes, variances along and across them, log-weights; and the same covariances as matrices."""
    generator = torch.Generator().manual_seed(seed)
    means, logs = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((n, d), (n,)))
    axes = torch.linalg.qr(torch.randn(n, d, k, generator=generator, dtype=torch.float64)).Q
    variances, rest = (torch.rand(*shape, generator=generator, dtype=torch.float64) + 0.1 for shape in ((n, k), (n,)))
    across = torch.eye(d, dtype=torch.float64) - axes @ axes.mT
    return (means, axes, variances, logs), rest, (axes * variances[:, None]) @ axes.mT + rest[:, None, None] * across


def test_few_axes_are_the_same_mixture_as_the_matrices():
    parts, rest, covariances = low_rank()
    few, full = GaussianMixture.from_axes(*parts, rest=rest), GaussianMixture(parts[0], covariances, parts[3])
    x, vectors = points(6), points(6, seed=4)[:4]
    torch.testing.assert_close(few.log_prob(x), full.log_prob(x), rtol=1e-10, atol=1e-10)
    for sigma in (1e-3, 0.7, 30.0):
        torch.testing.assert_close(few.denoise(x, sigma), full.denoise(x, sigma), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(few.covariances, covariances)
    torch.testing.assert_close(few.covariance, full.covariance)
    expected = torch.einsum("nd,nde,ne->n", vectors, covariances, vectors).sqrt()
    torch.testing.assert_close(few.lengths(vectors), expected)
    torch.testing.assert_close(full.lengths(vectors), expected)


def test_few_axes_are_sampled_with_their_variances(generator):
    parts, rest, _ = low_rank()
    mix = GaussianMixture.from_axes(*parts, rest=rest)
    samples = mix.sample(200_000, generator=generator)
    assert ((samples.mean(0) - mix.mean).abs() < 5 * (mix.covariance.diagonal() / 200_000).sqrt()).all()
    assert (samples.T.cov() - mix.covariance).norm() / mix.covariance.norm() < 0.01


def test_precisions_are_inverse_covariances():
    means, covariances, logs = problem()
    one = GaussianMixture(means, covariances, logs)
    two = GaussianMixture.from_precisions(means, torch.linalg.inv(covariances), logs)
    torch.testing.assert_close(one.covariances, two.covariances)
    torch.testing.assert_close(one.log_prob(points()), two.log_prob(points()))
    torch.testing.assert_close(one.denoise(points(), 0.4), two.denoise(points(), 0.4))


def test_bad_axes_and_precisions_are_refused():
    (means, axes, variances, logs), rest, covariances = low_rank()
    with pytest.raises(ValueError, match="axes must be as many as dimensions .6., or fewer with `rest` given, got 2"):
        GaussianMixture.from_axes(means, axes, variances, logs)
    with pytest.raises(ValueError, match="rest must be positive, got a minimum of -"):
        GaussianMixture.from_axes(means, axes, variances, logs, rest=-rest)
    with pytest.raises(ValueError, match="variances must be positive, got a minimum of 0"):
        GaussianMixture.from_axes(means, axes, 0 * variances, logs, rest=rest)
    with pytest.raises(ValueError, match=r"rest must have shape \[4\], got \[3\]"):
        GaussianMixture.from_axes(means, axes, variances, logs, rest=rest[1:])
    with pytest.raises(ValueError, match="precisions must be positive definite, got an eigenvalue of -"):
        GaussianMixture.from_precisions(means, -covariances, logs).log_prob(means)
    with pytest.raises(ValueError, match=r"vectors must have shape \[4, 6\], got \[3, 6\]"):
        GaussianMixture.from_axes(means, axes, variances, logs, rest=rest).lengths(means[1:])


def test_first_use_inside_a_derivative_leaves_the_mixture_usable():
    means, covariances, logs = problem()
    mix = GaussianMixture.from_precisions(means, torch.linalg.inv(covariances), logs)
    x = points()
    inside = torch.func.jvp(lambda z: mix.denoise(z, 0.4), (x,), (x,))[0]
    torch.testing.assert_close(mix.denoise(x, 0.4), inside)
    torch.testing.assert_close(mix.covariances, covariances)
    assert mix.covariances.numpy().shape == (5, 3, 3)
