"""Components judged at their own means (V11b), against the formulas written out, on cheap maps and on waves."""

import math

import pytest
import torch

from lib.acquisition import Acquisition
from lib.forward import STYLIZED_EXAMPLES_1D, linear_map, stylized_1d, stylized_2d
from lib.gaussian import GaussianMixture
from lib.jacobian import jacobian
from lib.posterior import linearized_posterior
from lib.seismic import AcousticForward, VelocityForward, add_noise
from lib.validity import validity
from lib.velocity import CosineField


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def report(examples, bandwidth, forward, d_obs, noise_std, rank=None, **options):
    mix = linearized_posterior(examples, bandwidth, forward, d_obs, noise_std, rank)
    return validity(mix, examples, bandwidth, forward, d_obs, noise_std, **options)


def by_hand(examples, bandwidth, forward, d_obs, noise_std):
    """Shift, remainder, log-likelihood error and pull of each component, by the Jacobian and the covariance."""
    mix, rows = linearized_posterior(examples, bandwidth, forward, d_obs, noise_std), []
    for x, mu, covariance in zip(examples, mix.means, mix.covariances, strict=True):
        slope, (at_x, at_mu) = jacobian(forward, x), forward(torch.stack([x, mu]))
        tangent = at_x + slope @ (mu - x)
        nats = ((d_obs - at_mu).square().sum() - (d_obs - tangent).square().sum()) / (2 * noise_std**2)
        pull = slope.T @ (at_mu - tangent)
        remainder = (at_mu - tangent).norm() / (noise_std * len(d_obs) ** 0.5)
        rows.append([(mu - x).norm() / bandwidth, remainder, nats, (pull @ covariance @ pull).sqrt() / noise_std**2])
    return torch.tensor(rows, dtype=torch.float64), float(mix.log_weights.topk(2).values.diff().abs())


SURVEY = {"grid_spacing": 50.0, "dt": 0.005, "nt": 120, "peak_freq": 3.5, "max_vel": 4000.0}
FIELD = CosineField((16, 16), 8, corr_length=4.0)
WAVES = VelocityForward(FIELD, AcousticForward(Acquisition.surface((16, 16), num_shots=2, num_receivers=8, **SURVEY)))


def wave_problem():
    examples, truth = randn(5, 8), randn(1, 8, seed=1)
    clean = WAVES(truth)[0]
    noise_std = float(0.3 * clean.std())
    return examples, WAVES, add_noise(clean, noise_std, generator=torch.Generator().manual_seed(2)), noise_std


@pytest.mark.parametrize("bandwidth", [1e-3, 0.05, 0.5])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_numbers_are_the_written_ones_in_two_dimensions(bandwidth, batch_size):
    arguments = randn(5, 2), bandwidth, stylized_2d, torch.tensor([0.4, 0.1], dtype=torch.float64), 0.05
    found, (rows, gap) = report(*arguments, batch_size=batch_size), by_hand(*arguments)
    for name, column in zip(("shift", "remainder", "log_likelihood_error", "pull"), rows.T, strict=True):
        torch.testing.assert_close(getattr(found, name), column, rtol=1e-6, atol=1e-9)
    assert found.gap == pytest.approx(gap)
    assert torch.equal(found.valid, (rows[:, 3] < 0.1) & (rows[:, 2].abs() < gap / 10))


@pytest.mark.parametrize("bandwidth", [1e-4, 0.05, 0.3])
def test_numbers_are_the_written_ones_for_waves(bandwidth):
    examples, forward, d_obs, noise_std = wave_problem()
    found = report(examples, bandwidth, forward, d_obs, noise_std)
    rows, gap = by_hand(examples, bandwidth, forward, d_obs, noise_std)
    for name, column in zip(("shift", "remainder", "log_likelihood_error", "pull"), rows.T, strict=True):
        torch.testing.assert_close(getattr(found, name), column, rtol=1e-5, atol=1e-6)
    assert found.gap == pytest.approx(gap)


def test_v11b_waves_leave_the_tangent_at_their_means_though_random_points_do_not():
    examples, forward, d_obs, noise_std = wave_problem()
    bandwidth, near = 0.05, randn(5, 8, seed=3)
    wide, narrow = (report(examples, b, forward, d_obs, noise_std) for b in (bandwidth, 1e-5))
    assert narrow.valid.all()
    assert wide.valid.sum() <= 1
    assert wide.shift.median() > math.sqrt(8)  # further than a draw of the prior
    slope = torch.stack([jacobian(forward, x) for x in examples])
    moved = forward(examples + bandwidth * near) - forward(examples) - bandwidth * (slope @ near[..., None])[..., 0]
    at_random = moved.norm(dim=1) / (noise_std * len(d_obs) ** 0.5)
    assert wide.remainder.median() > 10 * at_random.median()


def test_a_linear_map_is_valid_at_any_bandwidth():
    examples, matrix, d_obs = randn(4, 12), randn(40, 12, seed=1), randn(40, seed=2)
    for bandwidth in (1e-3, 1.0, 100.0):
        found = report(examples, bandwidth, linear_map(matrix), d_obs, 0.3)
        assert found.valid.all()
        assert torch.stack([found.remainder, found.log_likelihood_error.abs(), found.pull]).max() < 1e-8


def test_verdict_follows_the_bandwidth_in_one_dimension():
    d_obs = torch.tensor([0.7], dtype=torch.float64)
    verdicts = [report(STYLIZED_EXAMPLES_1D, b, stylized_1d, d_obs, 0.3).valid.sum() for b in (1e-3, 0.05, 0.5)]
    assert verdicts[0] == 5
    assert verdicts[0] > verdicts[1] >= verdicts[2]


def test_low_rank_is_judged_in_its_own_standard_deviations():
    examples, matrix = 0.1 * randn(3, 40), randn(20, 40, seed=1) * 0.7 ** torch.arange(40)
    forward = lambda x: torch.sin(x @ matrix.T)  # noqa: E731
    d_obs = forward(examples[:1] + 0.1)[0]
    whole, cut = (report(examples, 0.1, forward, d_obs, 0.05, rank) for rank in (None, 15))
    torch.testing.assert_close(whole.pull, cut.pull, rtol=1e-2, atol=1e-6)


def test_one_component_has_no_rival():
    found = report(randn(1, 2), 1e-3, stylized_2d, torch.zeros(2).double(), 0.3)
    assert found.gap == math.inf
    assert found.valid.tolist() == [True]


def test_two_rivals_of_equal_weight_allow_no_error_of_the_log_likelihood():
    examples = torch.tensor([[0.5], [-0.5]], dtype=torch.float64)
    found = report(examples, 0.01, stylized_1d, torch.zeros(1).double(), 0.3)
    assert found.pull.max() < 0.1
    assert found.gap < 1e-12
    assert not found.valid.any()


def test_single_precision_agrees():
    arguments = randn(5, 2), 0.3, stylized_2d, torch.tensor([0.4, 0.1], dtype=torch.float64), 0.3
    double = report(*arguments)
    single = report(*(a.float() if isinstance(a, torch.Tensor) else a for a in arguments))
    for name in ("shift", "remainder", "log_likelihood_error", "pull"):
        torch.testing.assert_close(getattr(single, name), getattr(double, name), rtol=1e-3, atol=1e-4)


def test_it_cannot_be_changed_and_leaves_no_graph():
    network = torch.nn.Linear(2, 3).double()
    found = report(randn(4, 2), 0.3, network, torch.zeros(3).double(), 0.3)
    assert not found.pull.requires_grad
    with pytest.raises(AttributeError):
        found.gap = 0.0


def test_bad_arguments_are_refused():
    examples, d_obs = randn(4, 2), torch.zeros(2, dtype=torch.float64)
    mix = linearized_posterior(examples, 0.3, stylized_2d, d_obs, 0.3)
    rest = (0.3, stylized_2d, d_obs, 0.3)
    with pytest.raises(TypeError, match="mixture must be a GaussianMixture, got Tensor"):
        validity(mix.means, examples, *rest)
    with pytest.raises(ValueError, match=r"mixture.means must have shape \[3, 2\], got \[4, 2\]"):
        validity(mix, examples[:3], *rest)
    with pytest.raises(ValueError, match="bandwidth must be positive and finite, got 0.0"):
        validity(mix, examples, 0.0, *rest[1:])
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        validity(mix, examples, *rest, batch_size=0)
    with pytest.raises(ValueError, match="forward must return as many data as d_obs has"):
        validity(mix, examples, 0.3, stylized_2d, torch.zeros(3).double(), 0.3)
    with pytest.raises(TypeError, match="mixture.means must have dtype torch.float32"):
        validity(
            GaussianMixture(mix.means, mix.covariances, mix.log_weights),
            examples.float(),
            0.3,
            stylized_2d,
            d_obs.float(),
            0.3,
        )
