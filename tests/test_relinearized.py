"""The mixture linearized at its modes: against quadrature where the plain one fails, exact for a linear map."""

import pytest
import torch
from scipy.optimize import minimize

from lib.acquisition import Acquisition
from lib.diagnostics import total_variation
from lib.forward import STYLIZED_EXAMPLES_1D, linear_map, stylized_1d, stylized_2d
from lib.jacobian import jacobian
from lib.posterior import linearized_posterior, lookup_weights, relinearized_posterior
from lib.seismic import AcousticForward, VelocityForward, add_noise
from lib.validity import validity
from lib.velocity import CosineField


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quadrature(examples, bandwidth, forward, d_obs, noise_std, axis):
    """Weights [N], means [N, d] and covariances [N, d, d] of the components on a grid."""
    grid = torch.cartesian_prod(*[axis] * examples.shape[1]).reshape(-1, examples.shape[1])
    misfit = (d_obs - forward(grid)).square().sum(1) / (2 * noise_std**2)
    joint = torch.stack([-(grid - x).square().sum(1) / (2 * bandwidth**2) - misfit for x in examples])
    density = torch.softmax(joint, 1)
    means = density @ grid
    offsets = grid - means[:, None]
    covariances = torch.einsum("ng,ngd,nge->nde", density, offsets, offsets)
    return torch.softmax(torch.logsumexp(joint, 1), 0), means, covariances


def in_deviations(offsets, covariances):
    """Lengths of offsets [N, d] in standard deviations of covariances [N, d, d], [N]."""
    return torch.einsum("nd,nde,ne->n", offsets, torch.linalg.inv(covariances), offsets).sqrt()


AXIS = torch.linspace(-9, 9, 20_001, dtype=torch.float64)


@pytest.mark.parametrize("value", [0.0, 0.7, 1.0, 3.0])
@pytest.mark.parametrize("bandwidth", [0.3, 0.5, 1.0, 2.0])
def test_one_dimension_where_the_tangents_at_the_examples_fail(value, bandwidth):
    d_obs = torch.tensor([value], dtype=torch.float64)
    arguments = STYLIZED_EXAMPLES_1D, bandwidth, stylized_1d, d_obs, 0.1
    weights, means, covariances = quadrature(*arguments, AXIS)
    plain, better = linearized_posterior(*arguments), relinearized_posterior(*arguments)
    assert not validity(plain, *arguments).valid.all()
    assert in_deviations(plain.means - means, covariances).max() > 10
    assert in_deviations(better.means - means, covariances).max() < 0.1
    assert total_variation(better.weights, weights) < 0.005  # of .02 to .27
    assert total_variation(better.weights, weights) < total_variation(plain.weights, weights) / 5
    assert ((better.covariances / covariances).sqrt() - 1).abs().max() < 0.07


@pytest.mark.parametrize(("bandwidth", "noise"), [(0.3, 0.1), (0.3, 0.05), (0.5, 0.05)])
def test_two_dimensions_where_the_tangents_at_the_examples_fail(bandwidth, noise):
    examples, d_obs = 0.7 * randn(5, 2, seed=1), torch.tensor([0.5, 0.3], dtype=torch.float64)
    arguments = examples, bandwidth, stylized_2d, d_obs, noise
    weights, means, covariances = quadrature(*arguments, torch.linspace(-2.5, 2.5, 701, dtype=torch.float64))
    plain, better = linearized_posterior(*arguments), relinearized_posterior(*arguments)
    assert not validity(plain, *arguments).valid.all()
    assert in_deviations(plain.means - means, covariances).max() > 1
    assert in_deviations(better.means - means, covariances).max() < 0.1
    assert total_variation(better.weights, weights) < 0.01
    assert total_variation(better.weights, weights) < total_variation(plain.weights, weights) / 3


def test_means_are_the_modes_of_the_components_and_weights_the_written_ones():
    examples, d_obs, b, g = 0.7 * randn(4, 2), torch.tensor([0.5, 0.3], dtype=torch.float64), 0.4, 0.1
    mix = relinearized_posterior(examples, b, stylized_2d, d_obs, g, tolerance=1e-8)
    logs = []
    for x, mean, covariance in zip(examples, mix.means, mix.covariances, strict=True):

        def objective(z, x=x):
            z = torch.from_numpy(z)
            misfit = (d_obs - stylized_2d(z[None])[0]).square().sum() / (2 * g**2)
            return float(misfit + (z - x).square().sum() / (2 * b**2))

        found = minimize(objective, x.numpy(), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13})
        torch.testing.assert_close(mean, torch.from_numpy(found.x), rtol=0, atol=1e-7)
        slope, eye = jacobian(stylized_2d, mean), torch.eye(2, dtype=torch.float64)
        torch.testing.assert_close(covariance, torch.linalg.inv(eye / b**2 + slope.T @ slope / g**2))
        logs.append(-found.fun - torch.logdet(eye + b**2 * slope.T @ slope / g**2) / 2)
    torch.testing.assert_close(mix.log_weights, torch.log_softmax(torch.stack(logs), 0), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("m", "d"), [(6, 4), (3, 5), (4, 4)])
@pytest.mark.parametrize("noise", [0.5, 1e-5])
def test_a_linear_map_takes_one_step_and_is_exact(m, d, noise):
    examples, d_obs, linear = randn(5, d), randn(m, seed=1), linear_map(randn(m, d, seed=2))
    exact = linearized_posterior(examples, 0.7, linear, d_obs, noise)
    found = relinearized_posterior(examples, 0.7, linear, d_obs, noise, max_iterations=1)
    torch.testing.assert_close(found.means, exact.means, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.covariances, exact.covariances)
    torch.testing.assert_close(found.log_weights, exact.log_weights, rtol=1e-9, atol=1e-4)  # of 1e10 nats


def test_bandwidth_to_zero_gives_the_lookup():
    d_obs = torch.tensor([0.7], dtype=torch.float64)
    arguments = STYLIZED_EXAMPLES_1D, stylized_1d, d_obs, 0.3
    mix = relinearized_posterior(arguments[0], 1e-4, *arguments[1:])
    assert total_variation(mix.weights, lookup_weights(*arguments).exp()) < 1e-6
    torch.testing.assert_close(mix.means, arguments[0], rtol=0, atol=1e-4)


def test_steps_are_halved_where_gauss_newton_alone_would_run_away():
    # From beyond 1.39 the plain iteration for arctan diverges; the prior of bandwidth 50 does not hold it.
    examples = torch.tensor([[1.0], [2.0], [3.0], [-4.0]], dtype=torch.float64)
    mix = relinearized_posterior(examples, 50.0, torch.atan, torch.zeros(1).double(), 1e-3)
    torch.testing.assert_close(mix.means, torch.zeros(4, 1).double(), rtol=0, atol=1e-4)


def test_a_place_that_the_map_refuses_is_not_taken():
    refused = []

    def bounded(x):
        if x.detach().abs().max() > 3.5:  # a step from the flat middle of the cubic would go to 10
            refused.append(x)
            raise ValueError("x must lie in [-3.5, 3.5]")
        return stylized_1d(x)

    examples = torch.tensor([[0.0], [2.5], [0.1]], dtype=torch.float64)
    arguments = torch.tensor([10.0], dtype=torch.float64), 0.1
    found = relinearized_posterior(examples, 5.0, bounded, *arguments)
    assert refused
    free = relinearized_posterior(examples, 5.0, stylized_1d, *arguments)
    torch.testing.assert_close(found.means, free.means, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.log_weights, free.log_weights, rtol=0, atol=1e-3)


def test_low_rank_agrees_where_nothing_is_dropped_that_the_data_see():
    examples, matrix = 0.1 * randn(4, 60), randn(40, 60, seed=1) * 0.7 ** torch.arange(60)
    forward = lambda x: torch.sin(x @ matrix.T) + (x @ matrix.T) ** 2 / 5  # noqa: E731
    d_obs = forward(0.1 * randn(1, 60, seed=2))[0] + 0.05 * randn(40, seed=3)
    whole = relinearized_posterior(examples, 0.1, forward, d_obs, 0.05)
    cut = relinearized_posterior(examples, 0.1, forward, d_obs, 0.05, 30, generator=torch.Generator().manual_seed(0))
    assert total_variation(whole.weights, cut.weights) < 1e-3
    torch.testing.assert_close(whole.means, cut.means, rtol=0, atol=1e-4)
    plain = linearized_posterior(examples, 0.1, forward, d_obs, 0.05)
    assert (plain.means - whole.means).abs().max() > 0.01


def test_what_does_not_arrive_is_said_and_keeps_its_true_objective():
    examples = torch.tensor([[0.0], [3.0]], dtype=torch.float64)
    d_obs, b, g = torch.zeros(1).double(), 1.0, 0.1
    with pytest.warns(UserWarning, match="1 of 2 components are not at their modes, the last step left is .* weight"):
        mix = relinearized_posterior(examples, b, stylized_1d, d_obs, g, max_iterations=1)
    z = mix.means[1:]
    assert z.item() < 3
    slope = jacobian(stylized_1d, z[0]).item()
    logs = torch.tensor([
        -0.5 * torch.log1p(torch.tensor((b / g) ** 2)),
        -(stylized_1d(z).item() ** 2) / (2 * g**2) - (z.item() - 3) ** 2 / (2 * b**2)
        - 0.5 * torch.log1p(torch.tensor((b * slope / g) ** 2)),
    ], dtype=torch.float64)  # fmt: skip
    torch.testing.assert_close(mix.log_weights, torch.log_softmax(logs, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("max_rows", [1, 3, 256])
def test_batches_do_not_change_the_result(max_rows):
    arguments = 0.7 * randn(5, 2), 0.4, stylized_2d, torch.tensor([0.5, 0.3], dtype=torch.float64), 0.1
    one, two = relinearized_posterior(*arguments), relinearized_posterior(*arguments, max_rows=max_rows)
    torch.testing.assert_close(one.means, two.means)
    torch.testing.assert_close(one.log_weights, two.log_weights)


SURVEY = {"grid_spacing": 50.0, "dt": 0.005, "nt": 120, "peak_freq": 3.5, "max_vel": 4000.0}
FIELD = CosineField((16, 16), 8, corr_length=4.0)
WAVES = VelocityForward(FIELD, AcousticForward(Acquisition.surface((16, 16), num_shots=2, num_receivers=8, **SURVEY)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_waves_have_their_modes_where_the_gradient_of_the_posterior_vanishes(dtype):
    examples, truth = randn(3, 8).to(dtype), randn(1, 8, seed=1).to(dtype)
    clean = WAVES(truth)[0]
    noise_std = float(0.3 * clean.std())
    d_obs = add_noise(clean, noise_std, generator=torch.Generator().manual_seed(2))
    mix = relinearized_posterior(examples, 0.3, WAVES, d_obs, noise_std)

    def objective(x):
        return ((d_obs - WAVES(x)) / noise_std).square().sum(1) / 2 + (x - examples).square().sum(1) / 0.18

    leaf = mix.means.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(leaf).sum(), leaf)
    assert mix.lengths(gradient).max() < 0.02  # standard deviations from the mode
    plain = linearized_posterior(examples, 0.3, WAVES, d_obs, noise_std)
    gains = objective(plain.means) - objective(mix.means)  # nats
    assert (gains > 0).all()
    assert gains.max() > 10


def test_laplace_is_the_integral_of_a_component_of_waves():
    """By importance sampling with the component itself: the evidence in nats, and the share of effective samples."""
    examples, truth = randn(1, 8), randn(1, 8, seed=1)
    clean = WAVES(truth)[0]
    noise_std = float(0.3 * clean.std())
    d_obs = add_noise(clean, noise_std, generator=torch.Generator().manual_seed(2))
    mix = relinearized_posterior(examples, 0.1, WAVES, d_obs, noise_std)

    def objective(x):
        return (d_obs - WAVES(x)).square().sum(1) / (2 * noise_std**2) + (x - examples).square().sum(1) / 0.02

    samples = mix.sample(400, generator=torch.Generator().manual_seed(3))
    at_mode = objective(mix.means) + mix.log_prob(mix.means)
    logs = at_mode - objective(samples) - mix.log_prob(samples)
    share = float(logs.exp().sum() ** 2 / (2 * logs).exp().sum() / 400)
    assert share > 0.5
    assert abs(float(logs.exp().mean().log())) < 0.2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tolerance": 0.0}, ValueError, "tolerance must be positive and finite, got 0.0"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1, got 0"),
        ({"rank": 3}, ValueError, "rank must be at most d = 2, got 3"),
        ({"bandwidth": -1.0}, ValueError, "bandwidth must be positive and finite, got -1.0"),
        ({"noise_std": 1e-200}, ValueError, "noise_std must have a square"),
        ({"d_obs": torch.zeros(3).double()}, ValueError, "forward must return as many data as d_obs has"),
        ({"forward": lambda x: x / 0}, ValueError, "forward's output must be finite"),
    ],
)
def test_bad_arguments_are_refused(change, error, message):
    arguments = {
        "examples": randn(4, 2), "bandwidth": 0.3, "forward": stylized_2d,
        "d_obs": torch.zeros(2).double(), "noise_std": 0.3,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        relinearized_posterior(**(arguments | change))
