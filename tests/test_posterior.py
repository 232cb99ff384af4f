"""Posteriors under a memorized prior against quadrature, dense algebra and exact sampling (V2-V5)."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from lib.diagnostics import total_variation
from lib.forward import STYLIZED_EXAMPLES_1D, linear_map, stylized_1d, stylized_2d
from lib.jacobian import jacobian
from lib.mixture import MemorizedPrior
from lib.posterior import ConditionalDenoiser, linearized_posterior, lookup_weights

EXAMPLES, NOISE = STYLIZED_EXAMPLES_1D, 0.3


def datum(value):
    return torch.tensor([value], dtype=torch.float64)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quadrature_weights(y, bandwidth):
    grid = torch.linspace(-9, 9, 100_001, dtype=torch.float64)
    misfit = (y - stylized_1d(grid[:, None])[:, 0]).square() / (2 * NOISE**2)
    return torch.softmax(torch.logsumexp(-(grid - EXAMPLES).square() / (2 * bandwidth**2) - misfit, 1), 0)


def weights_without_determinant(y, bandwidth):
    variance = NOISE**2 + bandwidth**2 * (1 + 0.9 * EXAMPLES**2) ** 2
    return torch.softmax((-(y - stylized_1d(EXAMPLES)).square() / (2 * variance))[:, 0], 0)


class Counted:
    """A forward map that keeps the rows it was given."""

    def __init__(self, forward):
        self.forward, self.rows = forward, []

    def __call__(self, x):
        self.rows.append(x.detach().clone())
        return self.forward(x)


def test_lookup_weights_are_the_normalized_likelihoods():
    y = torch.tensor([0.4, 0.1], dtype=torch.float64)
    examples = randn(30, 2)
    logs = lookup_weights(examples, stylized_2d, y, 0.5)
    likelihoods = torch.stack([MultivariateNormal(stylized_2d(x[None])[0], 0.25 * torch.eye(2).double()).log_prob(y)
                               for x in examples])  # fmt: skip
    torch.testing.assert_close(logs, torch.log_softmax(likelihoods, 0))
    assert float(logs.exp().sum()) == pytest.approx(1)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_lookup_sees_each_example_exactly_once_and_nothing_else(batch_size):
    examples = randn(10, 2)
    forward = Counted(stylized_2d)
    lookup_weights(examples, forward, torch.zeros(2).double(), 0.5, batch_size=batch_size)
    assert torch.equal(torch.cat(forward.rows), examples)


def test_lookup_of_precise_data_is_one_example_and_never_nan():
    for noise in (1e-6, 1e-160):
        logs = lookup_weights(EXAMPLES, stylized_1d, datum(1.0), noise)
        assert logs.exp().tolist() == [0, 0, 1, 0, 0]


def test_one_example_has_all_the_weight():
    assert lookup_weights(EXAMPLES[:1], stylized_1d, datum(1.0), 0.1).tolist() == [0]
    mix = linearized_posterior(EXAMPLES[:1], 0.1, stylized_1d, datum(1.0), 0.1)
    assert mix.weights.tolist() == [1]


@pytest.mark.parametrize("m", [1, 2, 3])
def test_linear_map_posterior_is_exact_on_a_grid(m):
    """V2: weights and density against a 1401 x 1401 grid; one datum, two, and three for two parameters."""
    examples, y = randn(4, 2), randn(m, seed=2)
    forward = linear_map(randn(m, 2, seed=1))
    mix = linearized_posterior(examples, 0.5, forward, y, 0.4)
    axis = torch.linspace(-7, 7, 1401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    likelihood = -(y - forward(grid)).square().sum(1) / (2 * 0.4**2)
    joint = [likelihood - (grid - x).square().sum(1) / (2 * 0.5**2) for x in examples]
    masses = torch.softmax(torch.stack([torch.logsumexp(j, 0) for j in joint]), 0)
    assert total_variation(mix.weights, masses) < 1e-10
    density = torch.softmax(torch.logsumexp(torch.stack(joint), 0), 0)
    assert total_variation(torch.softmax(mix.log_prob(grid), 0), density) < 1e-10
    assert float(mix.log_prob(grid).exp().sum()) * 0.01**2 == pytest.approx(1, abs=1e-8)


def test_components_are_the_written_formulas():
    examples, y, b, g = randn(5, 2), torch.tensor([0.3, 0.2], dtype=torch.float64), 0.4, 0.3
    mix, eye, logs = linearized_posterior(examples, b, stylized_2d, y, g), torch.eye(2, dtype=torch.float64), []
    for n, x in enumerate(examples):
        slope, value = jacobian(stylized_2d, x), stylized_2d(x[None])[0]
        covariance = torch.linalg.inv(eye / b**2 + slope.T @ slope / g**2)
        torch.testing.assert_close(mix.covariances[n], covariance)
        torch.testing.assert_close(mix.means[n], x + covariance @ slope.T @ (y - value) / g**2)
        logs.append(MultivariateNormal(value, g**2 * eye + b**2 * slope @ slope.T).log_prob(y))
    torch.testing.assert_close(mix.log_weights, torch.log_softmax(torch.stack(logs), 0))


@pytest.mark.parametrize(("bandwidth", "limit"), [(0.5, 0.09), (0.3, 0.04), (0.05, 0.001)])
def test_linearized_weights_against_quadrature(bandwidth, limit):
    """V3."""
    mix = linearized_posterior(EXAMPLES, bandwidth, stylized_1d, datum(0.0), NOISE)
    assert total_variation(mix.weights, quadrature_weights(0.0, bandwidth)) < limit


def test_weights_need_the_log_determinant():
    """V3, trap: on this map the determinant is worth a quarter of the mass."""
    exact = quadrature_weights(0.0, 0.5)
    assert total_variation(weights_without_determinant(0.0, 0.5), exact) > 0.2
    mix = linearized_posterior(EXAMPLES, 0.5, stylized_1d, datum(0.0), NOISE)
    assert total_variation(mix.weights, weights_without_determinant(0.0, 0.5)) > 0.1


def test_bandwidth_to_zero_gives_the_lookup_at_second_order():
    """V4."""
    lookup = lookup_weights(EXAMPLES, stylized_1d, datum(0.7), NOISE).exp()
    gaps = [total_variation(linearized_posterior(EXAMPLES, b, stylized_1d, datum(0.7), NOISE).weights, lookup)
            for b in (0.025, 0.0125, 0.00625)]  # fmt: skip
    orders = [math.log2(gaps[0] / gaps[1]), math.log2(gaps[1] / gaps[2])]
    assert orders == pytest.approx([2.0, 2.0], abs=0.1)


@pytest.mark.parametrize(("dtype", "noise"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_precise_and_underdetermined_data_keep_the_priors_width(dtype, noise):
    examples, matrix = randn(6, 5).to(dtype), randn(3, 5, seed=1).to(dtype)
    y = matrix @ examples[0] + 0.01
    mix = linearized_posterior(examples, 1.0, linear_map(matrix), y, noise)
    assert all(torch.isfinite(t).all() for t in (mix.means, mix.covariances, mix.log_weights))
    variances = torch.linalg.eigvalsh(mix.covariances.double())
    torch.testing.assert_close(variances[:, 3:], torch.ones(6, 2).double(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mix.means @ matrix.T, y.expand(6, 3), rtol=1e-4, atol=1e-4)
    assert torch.isfinite(mix.denoise(examples, 0.1)).all()


@pytest.mark.parametrize("max_rows", [1, 2, 5, 256])
def test_batches_do_not_change_the_posterior(max_rows):
    examples, y = randn(7, 2), torch.zeros(2, dtype=torch.float64)
    one = linearized_posterior(examples, 0.3, stylized_2d, y, 0.3)
    two = linearized_posterior(examples, 0.3, stylized_2d, y, 0.3, max_rows=max_rows)
    torch.testing.assert_close(one.log_weights, two.log_weights)
    torch.testing.assert_close(one.means, two.means)


def test_a_network_as_map_leaves_no_graph_behind():
    network, examples = torch.nn.Linear(2, 3).double(), randn(4, 2)
    mix = linearized_posterior(examples, 0.3, network, torch.zeros(3).double(), 0.3)
    logs = lookup_weights(examples, network, torch.zeros(3).double(), 0.3)
    assert not any(t.requires_grad for t in (mix.means, mix.covariances, mix.log_weights, logs))


@pytest.mark.parametrize("sigma", [0.05, 0.7, torch.tensor(3.0), torch.tensor([0.2, 0.5, 2.0]).double()])
def test_conditional_denoiser_is_the_weighted_softmax(sigma):
    examples, logs, x = randn(6, 2), torch.log_softmax(randn(6, seed=1), 0), randn(3, 2, seed=2)
    logs[4] = -math.inf
    level = torch.as_tensor(sigma, dtype=torch.float64).reshape(-1, 1)
    shares = torch.softmax(logs - (x[:, None] - examples).square().sum(-1) / (2 * level**2), 1)
    found = ConditionalDenoiser(examples, logs + 5)(x, sigma)
    torch.testing.assert_close(found, shares @ examples, rtol=1e-6, atol=1e-6)


def test_equal_weights_make_it_the_priors_denoiser_and_inputs_stay():
    examples, x, logs = randn(6, 2), randn(3, 2, seed=2), torch.zeros(6, dtype=torch.float64)
    before = examples.clone(), x.clone(), logs.clone()
    found = ConditionalDenoiser(examples, logs)(x, 0.6)
    torch.testing.assert_close(found, MemorizedPrior(examples, 1.0).denoise(x, 0.6))
    lookup_weights(examples, stylized_2d, x[0], 0.3)
    linearized_posterior(examples, 0.1, stylized_2d, x[0], 0.3)
    assert all(map(torch.equal, (examples, x, logs), before))


def test_a_smaller_rank_drops_the_weak_directions():
    """V10: spectral error sigma^2 rho_{k+1}, and half of the log-determinant that is dropped."""
    x, matrix, b, g = randn(1, 4), randn(6, 4, seed=1), 0.7, 0.5
    forward, y = linear_map(matrix), linear_map(matrix)(x)[0]
    s = b * torch.linalg.svdvals(matrix) / g
    full = linearized_posterior(x, b, forward, y, g)
    for k in (1, 2, 3):
        cut = linearized_posterior(x, b, forward, y, g, k)
        error = torch.linalg.matrix_norm(cut.covariances[0] - full.covariances[0], 2)
        assert float(error) == pytest.approx(b**2 * float(s[k] ** 2 / (1 + s[k] ** 2)))
        gap = (torch.logdet(cut.covariances[0]) - torch.logdet(full.covariances[0])) / 2
        assert float(gap) == pytest.approx(float(torch.log1p(s[k:] ** 2).sum() / 2))
    torch.testing.assert_close(linearized_posterior(x, b, forward, y, g, rank=4).covariances, full.covariances)
    with pytest.raises(ValueError, match="rank must be at most d = 4, got 5"):
        linearized_posterior(x, b, forward, y, g, rank=5)


def smooth_map(m=160, d=200, decay=0.93):
    """A curved map whose Jacobian has singular values that fall by `decay`, as those of band-limited waves do."""
    left, right = (torch.linalg.qr(randn(n, min(m, d), seed=n)).Q for n in (m, d))
    matrix = left * (20 * decay ** torch.arange(min(m, d), dtype=torch.float64)) @ right.T
    return lambda x: 10 * torch.sin(x @ matrix.T / 10)


def test_low_rank_posterior_is_the_dense_one_up_to_what_is_dropped():
    """V10 with a Jacobian that is never formed, at each example of a curved map."""
    examples, forward, b, g = 0.3 * randn(6, 200), smooth_map(), 0.3, 0.5
    y = forward(examples[:1] + 0.05)[0] + g * randn(160, seed=5)
    full = linearized_posterior(examples, b, forward, y, g)
    for k in (20, 50):
        cut = linearized_posterior(examples, b, forward, y, g, k, generator=torch.Generator().manual_seed(0))
        for n, x in enumerate(examples):
            squares = (b * torch.linalg.svdvals(jacobian(forward, x)) / g) ** 2
            error = torch.linalg.matrix_norm(cut.covariances[n] - full.covariances[n], 2)
            assert float(error) == pytest.approx(float(b**2 * squares[k] / (1 + squares[k])), rel=1e-3)
            gap = (torch.logdet(cut.covariances[n]) - torch.logdet(full.covariances[n])) / 2
            assert float(gap) == pytest.approx(float(torch.log1p(squares[k:]).sum() / 2), rel=1e-3)
    cut, logs = linearized_posterior(examples, b, forward, y, g, 100), []
    for x in examples:
        slope = jacobian(forward, x)
        noisy = g**2 * torch.eye(160, dtype=torch.float64) + b**2 * slope @ slope.T
        logs.append(MultivariateNormal(forward(x[None])[0], noisy).log_prob(y))
    for mix in (cut, full):
        torch.testing.assert_close(mix.log_weights, torch.log_softmax(torch.stack(logs), 0), atol=1e-3, rtol=0)
    torch.testing.assert_close(cut.means, full.means, atol=1e-2 * b, rtol=0)


def test_low_rank_forms_no_matrix_of_full_size(monkeypatch):
    # Twenty thousand parameters: a covariance would take 3 GB, a Jacobian's decomposition hours.
    monkeypatch.setattr("lib.linearization.jacobians", None)
    matrix = randn(30, 10, seed=3) @ randn(10, 20_000) / 100
    examples, y = randn(4, 20_000, seed=1), randn(30, seed=2)
    mix = linearized_posterior(examples, 0.5, linear_map(matrix), y, 0.3, 10)
    noisy = 0.09 * torch.eye(30).double() + 0.25 * matrix @ matrix.T
    logs = MultivariateNormal(examples @ matrix.T, noisy).log_prob(y)
    torch.testing.assert_close(mix.log_weights, torch.log_softmax(logs, 0))
    assert mix.sample(3).shape == mix.denoise(examples[:3], 0.5).shape == (3, 20_000)
    assert torch.isfinite(mix.log_prob(examples)).all()
    assert mix.lengths(examples).shape == (4,)


def test_low_rank_repeats_with_its_generator_whatever_the_batches():
    examples, forward, y = 0.3 * randn(5, 200), smooth_map(), randn(160, seed=1)
    one, two, other = (
        linearized_posterior(
            examples, 0.3, forward, y, 0.5, 30, max_rows=rows, generator=torch.Generator().manual_seed(s)
        )
        for rows, s in ((1000, 1), (40, 1), (40, 2))
    )
    torch.testing.assert_close(one.means, two.means, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(two.log_weights, other.log_weights, atol=0.1, rtol=0)
    assert not torch.equal(two.means, other.means)


def test_a_rank_of_all_data_is_the_dense_posterior():
    examples, matrix, y = randn(4, 9), randn(3, 9, seed=1), randn(3, seed=2)
    full = linearized_posterior(examples, 0.4, linear_map(matrix), y, 0.3)
    for rank in (3, 5, 9):
        same = linearized_posterior(examples, 0.4, linear_map(matrix), y, 0.3, rank)
        torch.testing.assert_close(same.covariances, full.covariances)
        torch.testing.assert_close(same.log_weights, full.log_weights)


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6])
def test_precise_data_take_another_way_to_the_same_numbers(noise):
    """Up to |bandwidth J / noise|^2 = 1e6 the normal matrix is formed, beyond it is not: no step between them."""
    examples, matrix = randn(3, 4), randn(6, 4, seed=1)
    y = matrix @ examples[0] + 0.3 * noise
    mix = linearized_posterior(examples, 1.0, linear_map(matrix), y, noise)
    exact = torch.linalg.inv(matrix.T @ matrix / noise**2 + torch.eye(4).double())
    torch.testing.assert_close(mix.covariances[0], exact, rtol=1e-5, atol=0)
    expected = examples + (y - examples @ matrix.T) @ matrix @ exact / noise**2
    torch.testing.assert_close(mix.means, expected, rtol=1e-6, atol=1e-6)


def test_a_weak_direction_beside_a_strong_one_keeps_its_variance():
    # s = 1e9 and 1: the sum of their squares has no digits left for the weaker one.
    left, right = (torch.linalg.qr(randn(n, 2, seed=n)).Q for n in (3, 2))
    matrix = left * torch.tensor([1.0, 1e-9], dtype=torch.float64) @ right.T
    mix = linearized_posterior(randn(2, 2), 1.0, linear_map(matrix), randn(3), 1e-9)
    variances = torch.linalg.eigvalsh(mix.covariances)
    torch.testing.assert_close(variances[:, 1], torch.full((2,), 0.5).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("rank", [0, -1, 2.5])
def test_bad_ranks_are_refused(rank):
    with pytest.raises((ValueError, TypeError), match="rank must be"):
        linearized_posterior(randn(3, 4), 0.4, linear_map(randn(6, 4)), randn(6), 0.3, rank)
