"""Derivatives of the wave equation (V8) and the validity of its linearization (V11, V11b)."""

import pytest
import torch

from lib.acquisition import Acquisition
from lib.diagnostics import total_variation
from lib.jacobian import dot_test, jacobian, jvp
from lib.posterior import linearized_posterior, lookup_weights
from lib.seismic import AcousticForward, VelocityForward, add_noise
from lib.velocity import CosineField


def survey(**options):
    """Two shots along the surface of a 20 x 20 grid."""
    settings = {"grid_spacing": 50.0, "dt": 0.005, "nt": 160, "peak_freq": 3.5, "max_vel": 4000.0}
    return Acquisition.surface((20, 20), num_shots=2, num_receivers=10, **settings, **options)


FIELD = CosineField((20, 20), 12, corr_length=4.0)
FORWARD = VelocityForward(FIELD, AcousticForward(survey()))


def draw(n, seed=0):
    """Coefficients from the population."""
    return FIELD.sample(n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_v8_forward_and_reverse_mode_are_adjoint(seed):
    assert dot_test(FORWARD, draw(1)[0], generator=torch.Generator().manual_seed(seed)) < 1e-9


def test_v8_jvp_equals_central_differences_also_batched():
    x, tangent, step = draw(3), draw(3, seed=1), 1e-4
    _, forward_mode = jvp(FORWARD, x, tangent)
    differences = (FORWARD(x + step * tangent) - FORWARD(x - step * tangent)) / (2 * step)
    assert ((forward_mode - differences).norm(dim=1) < 1e-7 * forward_mode.norm(dim=1)).all()
    single = torch.cat([jvp(FORWARD, x[i : i + 1], tangent[i : i + 1])[1] for i in range(3)])
    torch.testing.assert_close(forward_mode, single, rtol=1e-10, atol=1e-9)


def gradient(forward, x, d_obs):
    """Gradient of half the squared residual."""
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad((forward(leaf) - d_obs).square().sum() / 2, leaf)[0]


def test_gradient_sampling_matches_full():
    sampled = VelocityForward(FIELD, AcousticForward(survey(gradient_interval=4)))
    x, d_obs = draw(1), FORWARD(draw(1, seed=1))
    full = gradient(FORWARD, x, d_obs)
    error = (gradient(sampled, x, d_obs) - full).norm() / full.norm()
    assert 0 < error < 1e-3  # 4e-6 to 1e-4 is usual for band-limited residuals


class CroppedAdjoint(torch.autograd.Function):
    """Trap 6: pad by repeating the edge, and forget the adjoint of the padding: crop the gradient."""

    @staticmethod
    def forward(inner):
        """Pad by three cells."""
        return torch.nn.functional.pad(inner[:, None], (3, 3, 3, 3), mode="replicate")[:, 0]

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Nothing is kept."""

    @staticmethod
    def backward(ctx, cotangent):
        """The wrong one."""
        return cotangent[:, 3:-3, 3:-3]

    @staticmethod
    def jvp(ctx, tangent):
        """The right one: the map is linear."""
        return CroppedAdjoint.forward(tangent)


def test_trap_6_dot_test_sees_what_ten_interior_pixels_do_not():
    forward = VelocityForward(lambda x: CroppedAdjoint.apply(x.reshape(-1, 14, 14)), AcousticForward(survey()))
    x = FIELD(draw(1))[:, 3:-3, 3:-3].reshape(1, -1)
    d_obs = forward(x + 20)
    wrong = gradient(forward, x, d_obs)[0].reshape(14, 14)
    cells = torch.randint(1, 13, (10, 2), generator=torch.Generator().manual_seed(0))
    for row, column in cells.tolist():
        step = torch.zeros(1, 14, 14, dtype=x.dtype)
        step[0, row, column] = 0.01
        up, down = ((forward(x + s * step.reshape(1, -1)) - d_obs).square().sum() / 2 for s in (1, -1))
        assert abs((up - down) / 0.02 - wrong[row, column]) < 1e-3 * wrong.abs().max()
    assert dot_test(forward, x[0], generator=torch.Generator().manual_seed(0)) > 1e-6


def test_v11_remainder_is_small_near_and_large_far():
    x, directions = draw(6), draw(6, seed=1)
    data, (_, slope) = FORWARD(x), jvp(FORWARD, x, directions)
    gamma = 0.1 * data.std()
    remainder = {
        sigma: ((FORWARD(x + sigma * directions) - data - sigma * slope).norm(dim=1) / gamma / data.shape[1] ** 0.5)
        for sigma in (0.01, 0.02, 3.0)
    }
    assert remainder[0.01].max() < 0.02
    assert remainder[3.0].median() > 1
    assert (remainder[0.02] / remainder[0.01] - 4).abs().max() < 0.4  # second order


def v11b(forward, examples, bandwidth, d_obs, gamma):
    """Shift in bandwidths, log-likelihood error in nats, remainder in posterior standard deviations, gap, valid."""
    mixture = linearized_posterior(examples, bandwidth, forward, d_obs, gamma)
    rows = []
    for x, mu, covariance in zip(examples, mixture.means, mixture.covariances, strict=True):
        slope, (at_x, at_mu) = jacobian(forward, x), forward(torch.stack([x, mu]))
        tangent = at_x + slope @ (mu - x)
        nats = ((d_obs - at_mu).square().sum() - (d_obs - tangent).square().sum()) / (2 * gamma**2)
        pull = slope.T @ (at_mu - tangent)
        rows.append([(mu - x).norm() / bandwidth, nats.abs(), (pull @ covariance @ pull).sqrt() / gamma**2])
    table = torch.tensor(rows)
    gap = mixture.log_weights.topk(2).values.diff().abs()
    return table, float(gap), (table[:, 2] < 0.1) & (table[:, 1] < gap / 10)


def test_v11b_validity_of_components_at_their_own_means():
    examples, truth = draw(4), draw(1, seed=9)
    clean = FORWARD(truth)[0]
    gamma = float(0.3 * clean.std())
    d_obs = add_noise(clean, gamma, generator=torch.Generator().manual_seed(2))
    wide, _, wide_valid = v11b(FORWARD, examples, 0.3, d_obs, gamma)
    narrow, _, narrow_valid = v11b(FORWARD, examples, 1e-4, d_obs, gamma)
    assert torch.isfinite(wide).all()
    assert not wide_valid.any()  # data outweigh the prior: the means leave the region where the tangent holds
    assert wide[:, 1].median() > 1
    assert narrow_valid.all()
    matrix = torch.randn(40, 12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    linear, _, linear_valid = v11b(lambda x: x @ matrix.T, examples, 0.3, matrix @ truth[0], 0.5)
    assert linear_valid.all()
    assert linear[:, 1:].max() < 1e-9


@pytest.mark.slow
def test_low_rank_posterior_of_a_thousand_pixels_is_the_dense_one():
    """Rank d/32: band-limited waves recorded on one side see few directions of the pixels."""
    settings = {"grid_spacing": 50.0, "dt": 0.005, "nt": 120, "peak_freq": 3.5, "max_vel": 4000.0}
    acquisition = Acquisition.surface((32, 32), num_shots=1, num_receivers=8, **settings)
    forward = VelocityForward(lambda x: x.reshape(-1, 32, 32), AcousticForward(acquisition))
    field, generator = CosineField((32, 32), 64, corr_length=32 / 6, std=400.0), torch.Generator().manual_seed(0)
    models, truth = (field(field.sample(n, generator=generator)).reshape(n, -1) for n in (3, 1))
    clean = forward(truth)[0]
    gamma, bandwidth = float(3 * clean.std()), 300.0  # noise that leaves the three of them a weight; m/s
    problem = models, bandwidth, forward, add_noise(clean, gamma, generator=generator), gamma
    full = linearized_posterior(*problem)
    cut = linearized_posterior(*problem, 32, generator=generator)
    assert full.weights.max() < 0.99
    assert total_variation(cut.weights, full.weights) < 1e-6
    error = torch.linalg.matrix_norm(cut.covariances - full.covariances, 2)
    assert (error < 1e-5 * torch.linalg.matrix_norm(full.covariances, 2)).all()
    assert (cut.means - full.means).abs().max() < 0.001 * bandwidth


def test_weights_of_an_fwi_problem_collapse():
    examples = draw(5)
    clean = FORWARD(examples[2:3])[0]
    weights = lookup_weights(examples, FORWARD, clean, float(clean.std())).exp()
    assert weights[2] > 0.99  # although the noise is as strong as the signal
