"""The data's pull in `dps`: V6, V7, the linear-Gaussian contract, and the traps of the paper's code."""

import math

import pytest
import torch

from lib.diagnostics import total_variation
from lib.forward import STYLIZED_EXAMPLES_1D, linear_map, stylized_1d, stylized_2d
from lib.guidance import denoise_and_gradient, gains, gradient_and_tangent, likelihood_step, normalized_step
from lib.jacobian import jacobian
from lib.mixture import MemorizedPrior
from lib.posterior import ConditionalDenoiser, lookup_weights
from lib.samplers import dps, sample
from lib.schedule import karras_sigmas

EXAMPLES, NOISE = STYLIZED_EXAMPLES_1D, 0.3
Y = torch.tensor([1.0], dtype=torch.float64)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def population(x, sigma):
    """Denoiser of the prior N(0, I)."""
    return x / (1 + sigma**2)


def shares(samples):
    return torch.bincount((samples - EXAMPLES.T).abs().argmin(1), minlength=5).double() / len(samples)


def conditioned(d, condition, seed=0):
    left, right = (torch.linalg.qr(randn(d, d, seed=seed + k)).Q for k in (0, 1))
    return left * torch.logspace(0, -math.log10(condition), d, dtype=torch.float64) @ right


def gaussian_problem(matrix, noise_std, levels=100, num_samples=200, **options):
    """Samples of dps under N(0, I) and a linear map, with the exact mean and covariance of the posterior."""
    m, d = matrix.shape
    y = matrix @ randn(d, seed=5) + noise_std * randn(m, seed=6)
    precision = torch.eye(d, dtype=torch.float64) + matrix.T @ matrix / noise_std**2
    mean = torch.linalg.solve(precision, matrix.T @ y / noise_std**2)
    sigmas = karras_sigmas(levels, 10.0, 0.02)
    shape = (num_samples, d)
    samples = dps(population, linear_map(matrix), y, noise_std, sigmas, shape, generator=seeded(7), **options)
    return samples, mean, torch.linalg.inv(precision)


def gradient_at(x, sigma, examples, y):
    prior = MemorizedPrior(examples, 0.1)
    return denoise_and_gradient(prior.denoise, stylized_2d, y, x, torch.tensor(sigma, dtype=torch.float64))


@pytest.mark.parametrize("sigma_max", [5.0, 10.0])
def test_dps_under_a_memorized_prior_misses_the_weights_by_a_little(sigma_max):
    """V6: the mean over seeds; one seed of 2000 samples scatters by .01."""
    weights = lookup_weights(EXAMPLES, stylized_1d, Y, NOISE).exp()
    prior, sigmas = MemorizedPrior(EXAMPLES, 0.05), karras_sigmas(100, sigma_max, 0.05)
    gaps = []
    for seed in range(3):
        samples = dps(prior.denoise, stylized_1d, Y, NOISE, sigmas, (2000, 1), generator=seeded(seed))
        gaps.append(total_variation(shares(samples), weights))
    assert 0.03 < sum(gaps) / 3 < 0.12, gaps


def test_spread_of_the_normalized_rule_does_not_move_with_the_noise():
    """V7: four digits from gamma = .01 to 100."""
    matrix = conditioned(3, 3)
    spreads = []
    for noise_std in (0.01, 1.0, 100.0):
        sigmas = karras_sigmas(40, 10.0, 0.05)
        samples = dps(population, linear_map(matrix), matrix @ randn(3), noise_std, sigmas, (200, 3),
                      guidance="normalized", generator=seeded(0))  # fmt: skip
        spreads.append(float(samples.std(0).norm()))
    assert spreads == pytest.approx([spreads[0]] * 3, rel=1e-4)


def test_spread_of_the_likelihood_rule_and_of_the_exact_sampler_do():
    """V7."""
    matrix = conditioned(3, 3)
    spreads = [float(gaussian_problem(matrix, g)[0].std(0).norm()) for g in (0.03, 0.3, 3.0)]
    assert spreads[0] < 0.5 * spreads[1] < 0.4 * spreads[2]
    spreads = []
    for noise_std in (0.03, 3.0, 100.0):
        denoise = ConditionalDenoiser(EXAMPLES, lookup_weights(EXAMPLES, stylized_1d, Y, noise_std))
        spreads.append(float(sample(denoise, karras_sigmas(40, 10.0, 0.05), (1000, 1), generator=seeded(0)).std()))
    assert spreads[0] < 0.1 * spreads[1]
    assert spreads[1] < 0.9 * spreads[2]


@pytest.mark.parametrize("levels", [30, 100])
@pytest.mark.parametrize("noise_std", [1.0, 0.3, 0.1, 0.05, 1e-3, 1e-6])
@pytest.mark.parametrize(("d", "condition"), [(1, 1), (10, 1), (10, 30), (20, 10)])
def test_posterior_mean_is_reached_within_a_half_and_nothing_diverges(d, condition, noise_std, levels):
    samples, mean, _ = gaussian_problem(conditioned(d, condition), noise_std, levels)
    assert samples.abs().max() < 10
    # One gradient a level cannot reach the directions that precise data see a thousand times more weakly than others.
    limit = 0.5 if condition <= 10 or noise_std >= 0.05 else 0.8
    assert (samples.mean(0) - mean).norm() < limit * mean.norm()


@pytest.mark.parametrize("m", [1, 4, 30])
def test_fewer_or_more_data_than_unknowns(m):
    samples, mean, covariance = gaussian_problem(randn(m, 10) / math.sqrt(10), 0.3)
    assert (samples.mean(0) - mean).norm() < 0.5 * mean.norm()
    assert 0.3 < float(samples.var(0).sum() / covariance.trace()) < 1.5


def test_float32_precise_data_stay_finite():
    matrix = conditioned(10, 30).float()
    samples = dps(population, linear_map(matrix), matrix @ randn(10).float(), 1e-3,
                  karras_sigmas(50, 10.0, 0.02, dtype=torch.float32), (20, 10), generator=seeded(0))  # fmt: skip
    assert samples.abs().max() < 10


def test_gradient_keeps_the_jacobian_of_the_denoiser():
    """Trap: J_D^T J_F^T r, not J_F^T r."""
    examples, x, y, sigma = randn(5, 2), randn(4, 2, seed=1), torch.tensor([0.3, 0.2], dtype=torch.float64), 0.8
    prior = MemorizedPrior(examples, 0.1)
    denoised, gradient, squares = gradient_at(x, sigma, examples, y)
    for n, point in enumerate(x):
        inner, outer = jacobian(lambda z: prior.denoise(z, sigma), point), jacobian(stylized_2d, denoised[n])
        residual = y - stylized_2d(denoised[n : n + 1])[0]
        torch.testing.assert_close(gradient[n], inner.T @ outer.T @ residual)
        assert not torch.allclose(gradient[n], outer.T @ residual, rtol=0.1)
        torch.testing.assert_close(squares[n], residual.square().sum())
    leaf = x.clone().requires_grad_()
    loss = -(y - stylized_2d(prior.denoise(leaf, sigma))).square().sum() / 2
    torch.testing.assert_close(gradient, torch.autograd.grad(loss, leaf)[0])


def test_guidance_dies_where_one_example_has_all_the_mass():
    examples = 10 * randn(5, 2)
    _, gradient, _ = gradient_at(examples[:1] + 0.01, 0.1, examples, torch.zeros(2).double())
    assert gradient.abs().max() == 0
    assert normalized_step(gradient, torch.tensor(0.1)).abs().max() == 0


def test_normalized_step_has_one_length_a_sample():
    """Trap: one norm over the whole batch."""
    gradient = randn(5, 4) * torch.logspace(-6, 6, 5).double()[:, None]
    step = normalized_step(gradient, torch.tensor(2.0).double())
    torch.testing.assert_close(step.norm(dim=1), torch.full((5,), 0.1 * 2 * 2).double())
    torch.testing.assert_close(step / step.norm(dim=1, keepdim=True), gradient / gradient.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("guidance", ["likelihood", "normalized"])
def test_a_sample_is_pulled_the_same_alone_or_in_a_batch(guidance):
    examples, x, y = randn(5, 2), 3 * randn(4, 2, seed=1), torch.tensor([0.3, 0.2], dtype=torch.float64)
    prior, sigma = MemorizedPrior(examples, 0.1), torch.tensor(0.8).double()

    def pull(points):
        denoised, gradient, _, tangent = gradient_and_tangent(prior.denoise, stylized_2d, y, points, sigma)
        if guidance == "normalized":
            return normalized_step(gradient, sigma)
        return likelihood_step(gradient, stylized_2d, denoised, sigma**2 / 9, 1e-2, tangent)

    torch.testing.assert_close(pull(x), torch.cat([pull(point[None]) for point in x]))


def test_likelihood_step_is_eulers_where_that_is_stable():
    matrix, x, sigma = conditioned(3, 3), randn(4, 3), torch.tensor(1.0).double()
    forward = linear_map(matrix)
    denoised, gradient, _, tangent = gradient_and_tangent(population, forward, randn(3, seed=1), x, sigma)
    step = likelihood_step(gradient, forward, denoised, 0.1 * sigma, 1.0, tangent)
    torch.testing.assert_close(step, 0.1 * gradient)
    precise = likelihood_step(gradient, forward, denoised, 0.1 * sigma, 1e-12, tangent)
    curvature = (gradient @ matrix.T / 2).square().sum(1, keepdim=True) / gradient.square().sum(1, keepdim=True)
    torch.testing.assert_close(precise, gradient / curvature, rtol=1e-2, atol=0)  # the exact minimum along g


def test_step_along_the_gradient_is_that_of_forward_mode():
    examples, x, y = randn(5, 2), randn(4, 2, seed=1), torch.tensor([0.3, 0.2], dtype=torch.float64)
    sigma = torch.tensor(0.8, dtype=torch.float64)
    denoise = MemorizedPrior(examples, 0.1).denoise
    x0, gradient, squares, tangent = gradient_and_tangent(denoise, stylized_2d, y, x, sigma)
    for found, expected in zip((x0, gradient, squares), gradient_at(x, 0.8, examples, y), strict=True):
        assert torch.equal(found, expected)
    _, along = torch.func.jvp(lambda z: denoise(z, sigma), (x,), (gradient,))
    torch.testing.assert_close(tangent(), along)
    _, response = torch.func.jvp(stylized_2d, (x0,), (along,))
    expected = response.norm(dim=1, keepdim=True) / gradient.norm(dim=1, keepdim=True)
    torch.testing.assert_close(gains(gradient, stylized_2d, x0, tangent)[0], expected)


def test_variance_added_to_the_noise_weakens_the_pull():
    plain, mean, _ = gaussian_problem(conditioned(3, 3), 0.1)
    weak, _, _ = gaussian_problem(conditioned(3, 3), 0.1, guidance_variance=lambda sigma: 1e6)
    assert (weak.mean(0)).norm() < 0.3 * mean.norm() < (plain.mean(0)).norm()


def test_weights_of_a_network_start_no_graph():
    network = torch.nn.Linear(2, 2).double()
    states = []
    found = dps(lambda x, sigma: network(x) / (1 + sigma**2), stylized_2d, torch.zeros(2).double(), 0.3,
                karras_sigmas(5, 20.0, 0.1), (3, 2), callback=states.append, denoise_last=False)  # fmt: skip
    assert not found.requires_grad
    assert not any(s[k].requires_grad for s in states for k in ("x", "x0"))
    assert network.weight.grad is None


def test_unknown_guidance_is_refused():
    with pytest.raises(ValueError, match="guidance must be 'likelihood' or 'normalized', got 'dps'"):
        gaussian_problem(conditioned(3, 3), 0.1, guidance="dps")


@pytest.mark.parametrize("guidance", ["likelihood", "normalized"])
def test_maps_whose_weights_alone_have_gradients_are_refused(guidance):
    network, zero = torch.nn.Linear(2, 2).double(), torch.zeros(2, dtype=torch.float64)
    levels = karras_sigmas(5, 20.0, 0.1)

    def fixed(x, *level):
        return network(x.detach())

    with pytest.raises(ValueError, match="denoise must be differentiable for guidance"):
        dps(fixed, stylized_2d, zero, 0.3, levels, (3, 2), guidance=guidance)
    with pytest.raises(ValueError, match="forward must be differentiable"):
        dps(population, fixed, zero, 0.3, levels, (3, 2), guidance=guidance)
