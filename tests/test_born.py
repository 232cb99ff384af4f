"""The Born operator: linear, adjoint, the derivative of the wave equation; the mixture posterior is exact under it."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from lib.acquisition import Acquisition
from lib.born import BornForward
from lib.diagnostics import total_variation
from lib.jacobian import dot_test, jacobian, jvp, low_rank_jacobian
from lib.posterior import linearized_posterior, relinearized_posterior
from lib.seismic import AcousticForward, VelocityForward, add_noise
from lib.seismic import BornForward as PublicBornForward
from lib.validity import validity
from lib.velocity import CosineField

SURVEY = Acquisition.surface(
    (20, 20), grid_spacing=50.0, dt=0.005, nt=160, peak_freq=3.5, max_vel=4000.0, num_shots=2, num_receivers=6
)
FIELD = CosineField((20, 20), 12, corr_length=4.0)


def draw(n, seed=0):
    return FIELD.sample(n, generator=torch.Generator().manual_seed(seed))


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


BACKGROUND = FIELD(draw(1))[0]
BORN = BornForward(SURVEY, BACKGROUND)
PIXELS = VelocityForward(lambda x: x.reshape(-1, 20, 20), BORN)
LINEAR = VelocityForward(FIELD.field, BORN)


def test_it_is_public_in_seismic_and_counts_its_steps():
    assert PublicBornForward is BornForward
    assert BORN.internal_steps == SURVEY.internal_steps == 1


def test_data_are_linear_in_the_perturbation():
    p = randn(2, 20, 20)
    records = BORN(p)
    assert records.shape == (2, 2, 6, 160)
    torch.testing.assert_close(
        BORN(2 * p[:1] - 3e4 * p[1:]), 2 * records[:1] - 3e4 * records[1:], rtol=1e-10, atol=1e-9
    )
    assert not BORN(0 * p).any()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_forward_and_reverse_mode_are_adjoint(seed):
    assert dot_test(PIXELS, randn(400), generator=torch.Generator().manual_seed(seed)) < 1e-12
    assert dot_test(LINEAR, draw(1)[0], generator=torch.Generator().manual_seed(seed)) < 1e-12


def test_it_is_the_derivative_of_the_wave_equation_at_its_background():
    p, acoustic = randn(3, 20, 20), AcousticForward(SURVEY)
    _, derivative = torch.func.jvp(acoustic, (BACKGROUND.expand(3, -1, -1).clone(),), (p,))
    assert (BORN(p) - derivative).norm() < 1e-12 * derivative.norm()  # the edges and the absorbing layer included
    differences = (acoustic(BACKGROUND + 0.01 * p) - acoustic(BACKGROUND - 0.01 * p)) / 0.02
    assert (BORN(p) - differences).norm() < 1e-7 * derivative.norm()


def test_its_derivatives_are_itself_wherever_they_are_taken():
    x, t = draw(3), draw(3, seed=1)
    torch.testing.assert_close(jvp(LINEAR, x, t)[1], LINEAR(t), rtol=0, atol=1e-12)
    matrix = jacobian(LINEAR, x[0])
    torch.testing.assert_close(matrix, jacobian(LINEAR, 0 * x[0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(x @ matrix.T, LINEAR(x), rtol=1e-10, atol=1e-9)
    leaf = x.clone().requires_grad_()
    w = randn(3, SURVEY.num_data, seed=2)
    (pulled,) = torch.autograd.grad(LINEAR(leaf), leaf, w)
    torch.testing.assert_close(pulled, w @ matrix, rtol=1e-9, atol=1e-9 * float(pulled.abs().max()))


@pytest.fixture(scope="module")
def problem():
    examples, truth = draw(6, seed=3), draw(1, seed=4)
    clean = LINEAR(truth)[0]
    noise_std = float(3 * clean.std())  # so strong that several examples keep a weight
    d_obs = add_noise(clean, noise_std, generator=torch.Generator().manual_seed(5))
    return examples, LINEAR, d_obs, noise_std


def test_the_mixture_posterior_is_exact_under_it(problem):
    examples, _, d_obs, noise_std = problem
    bandwidth = 0.5
    mix = linearized_posterior(examples, bandwidth, LINEAR, d_obs, noise_std)
    matrix, eye = LINEAR(torch.eye(12, dtype=torch.float64)).T, torch.eye(12, dtype=torch.float64)
    covariance = torch.linalg.inv(eye / bandwidth**2 + matrix.T @ matrix / noise_std**2)
    means = examples + (d_obs - examples @ matrix.T) @ matrix @ covariance / noise_std**2
    noisy = noise_std**2 * torch.eye(len(d_obs), dtype=torch.float64) + bandwidth**2 * matrix @ matrix.T
    logs = MultivariateNormal(examples @ matrix.T, noisy).log_prob(d_obs)  # 1920 data, dense
    assert mix.weights.max() < 0.95  # a test of weights, not of one of them
    assert total_variation(mix.weights, torch.softmax(logs, 0)) < 1e-9
    torch.testing.assert_close(mix.means, means)
    torch.testing.assert_close(mix.covariances, covariance.expand(6, 12, 12))
    # Density up to the evidence, against prior times likelihood: the points that a posterior is asked at.
    x = mix.sample(5, generator=torch.Generator().manual_seed(6))
    prior = -(x[:, None] - examples).square().sum(-1) / (2 * bandwidth**2)
    joint = torch.logsumexp(prior, 1) - (d_obs - x @ matrix.T).square().sum(1) / (2 * noise_std**2)
    found = mix.log_prob(x) - joint
    torch.testing.assert_close(found, found[:1].expand(5), rtol=0, atol=1e-8)


def test_all_ways_to_the_posterior_agree_where_f_is_linear(problem):
    mix = linearized_posterior(problem[0], 0.5, *problem[1:])
    for other in (
        relinearized_posterior(problem[0], 0.5, *problem[1:]),
        linearized_posterior(problem[0], 0.5, *problem[1:], 11),
    ):
        torch.testing.assert_close(other.log_weights, mix.log_weights, rtol=0, atol=1e-3)
        torch.testing.assert_close(other.means, mix.means, rtol=0, atol=1e-2)
    report = validity(mix, problem[0], 0.5, *problem[1:])
    assert report.valid.all()
    assert report.pull.max() < 1e-9


def test_pixels_of_low_rank_are_those_of_the_whole_matrix():
    matrix = jacobian(PIXELS, torch.zeros(400, dtype=torch.float64))
    exact = torch.linalg.svdvals(matrix)
    left, s, right = low_rank_jacobian(
        PIXELS, torch.zeros(400, dtype=torch.float64), 16, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(s, exact[:16], rtol=1e-3, atol=0)
    assert torch.linalg.matrix_norm(matrix - left * s @ right, 2) < 1.01 * exact[16]


def test_single_precision_and_the_dtype_of_the_perturbation():
    p = randn(1, 20, 20)
    single = BORN(p.float())
    assert single.dtype == torch.float32
    assert (single - BORN(p)).norm() < 1e-4 * single.norm()


@pytest.mark.parametrize(
    ("acquisition", "background", "error", "message"),
    [
        ({}, BACKGROUND, TypeError, "acquisition must be an Acquisition, got dict"),
        (SURVEY, BACKGROUND[None], ValueError, r"background must have shape \[20, 20\], got \[1, 20, 20\]"),
        (SURVEY, BACKGROUND.numpy(), TypeError, "background must be a torch.Tensor, got ndarray"),
        (SURVEY, 2 * BACKGROUND + 2000, ValueError, r"background must lie in \[1, max_vel = 4000\] m/s, got"),
        (SURVEY, BACKGROUND * float("nan"), ValueError, "background must be finite"),
    ],
)
def test_refuses_bad_backgrounds(acquisition, background, error, message):
    with pytest.raises(error, match=message):
        BornForward(acquisition, background)


def test_refuses_bad_perturbations():
    with pytest.raises(ValueError, match=r"perturbation must have shape \[\*, 20, 20\], got \[20, 20\]"):
        BORN(BACKGROUND)
    with pytest.raises(TypeError, match="perturbation must have a floating dtype, got torch.int64"):
        BORN(torch.ones(1, 20, 20, dtype=torch.int64))
    with pytest.raises(ValueError, match="perturbation must be finite, got 400 NaN"):
        BORN(BACKGROUND[None] * float("nan"))


@pytest.mark.slow
def test_an_image_of_a_thousand_pixels_has_the_posterior_of_dense_algebra():
    """A low-rank posterior against the covariance of the data, 960 x 960, and all columns of the operator."""
    shape, settings = (32, 32), {"grid_spacing": 50.0, "dt": 0.005, "nt": 120, "peak_freq": 3.5, "max_vel": 4000.0}
    survey = Acquisition.surface(shape, num_shots=1, num_receivers=8, **settings)
    background = torch.linspace(1800, 3000, 32, dtype=torch.float64)[:, None].expand(shape)
    image = VelocityForward(lambda x: x.reshape(-1, *shape), BornForward(survey, background))
    examples, bandwidth = 300 * randn(3, 1024), 300.0  # m/s
    clean = image(300 * randn(1, 1024, seed=1))[0]
    noise_std = float(8 * clean.std())
    d_obs = add_noise(clean, noise_std, generator=torch.Generator().manual_seed(2))
    mix = linearized_posterior(
        examples, bandwidth, image, d_obs, noise_std, 40, generator=torch.Generator().manual_seed(3)
    )
    matrix = jacobian(image, torch.zeros(1024, dtype=torch.float64))
    noisy = noise_std**2 * torch.eye(960, dtype=torch.float64) + bandwidth**2 * matrix @ matrix.T
    logs = MultivariateNormal(examples @ matrix.T, noisy).log_prob(d_obs)
    assert mix.weights.max() < 0.99
    assert total_variation(mix.weights, torch.softmax(logs, 0)) < 1e-6
    gain = bandwidth**2 * matrix.T @ torch.linalg.inv(noisy)  # by way of the data, not of the parameters
    torch.testing.assert_close(
        mix.means, examples + (d_obs - examples @ matrix.T) @ gain.T, rtol=0, atol=1e-3 * bandwidth
    )
    covariance = bandwidth**2 * (torch.eye(1024, dtype=torch.float64) - gain @ matrix)
    error = torch.linalg.matrix_norm(mix.covariances - covariance, 2)
    assert error.max() < 1e-6 * bandwidth**2
