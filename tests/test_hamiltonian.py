"""The whitened posterior and its integrator: exact for a Gaussian, reversible for any, tuned to an acceptance."""

import math

import pytest
import torch

from lib.forward import linear_map, stylized_2d
from lib.hamiltonian import DualAveraging, WhitenedPosterior, turn
from lib.mixture import MemorizedPrior


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def standard(x):
    return -x.square().sum(1) / 2


def linear(centre=None):
    matrix, d_obs = randn(6, 4), randn(6, seed=1)
    return WhitenedPosterior(
        linear_map(matrix), d_obs, 0.2, torch.zeros(4).double() if centre is None else centre, standard
    )


def curved():
    return WhitenedPosterior(stylized_2d, torch.tensor([0.5, 0.3]).double(), 0.3, torch.zeros(2).double(), standard)


def test_whitening_makes_a_gaussian_posterior_standard_from_wherever_it_is_linearized():
    for centre in (torch.zeros(4).double(), 3 * randn(4, seed=2)):
        target, z = linear(centre), randn(5, 4, seed=3)
        energy, slope = target(z)
        torch.testing.assert_close(energy - energy[0], (z.square().sum(1) - z[0].square().sum()) / 2)
        torch.testing.assert_close(slope, z)
        torch.testing.assert_close(target.whiten(target.to_model(z)), z)


def test_potential_is_minus_log_posterior_and_the_slope_is_its_gradient():
    target, z = curved(), randn(5, 2, seed=3)
    x = target.to_model(z)
    misfit = (torch.tensor([0.5, 0.3]).double() - stylized_2d(x)).square().sum(1)
    torch.testing.assert_close(target(z)[0], misfit / 0.18 + x.square().sum(1) / 2)
    step = 1e-6 * torch.eye(2).double()
    for axis in range(2):
        numerical = (target(z + step[axis])[0] - target(z - step[axis])[0]) / 2e-6
        torch.testing.assert_close(target(z)[1][:, axis], numerical, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("angle", [0.1, 1.0, 3.0])
def test_a_gaussian_is_turned_without_error_however_long_the_turn(angle):
    target, z, momentum = linear(), randn(5, 4), randn(5, 4, seed=1)
    energy, slope = target(z)
    new, velocity, after, _ = turn(target, z, momentum, slope, angle, 3)
    torch.testing.assert_close(after + velocity.square().sum(1) / 2, energy + momentum.square().sum(1) / 2)
    torch.testing.assert_close(new, math.cos(3 * angle) * z + math.sin(3 * angle) * momentum)


def test_the_integrator_is_reversible_and_keeps_volume():
    target, z, momentum = curved(), randn(5, 2), randn(5, 2, seed=1)
    new, velocity, _, slope = turn(target, z, momentum, target(z)[1], 0.4, 3)
    back, reversed_velocity, _, _ = turn(target, new, -velocity, slope, 0.4, 3)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(-reversed_velocity, momentum)
    columns = []
    for axis in torch.eye(4).double():
        ends = []
        for sign in (1, -1):
            start, kick = (sign * 1e-5 * part for part in axis.split(2))
            moved, turned, _, _ = turn(target, z[:1] + start, momentum[:1] + kick, target(z[:1] + start)[1], 0.4, 3)
            ends.append(torch.cat([moved, turned], 1)[0])
        columns.append((ends[0] - ends[1]) / 2e-5)
    assert float(torch.linalg.det(torch.stack(columns))) == pytest.approx(1, abs=1e-6)


def test_error_of_the_energy_falls_with_the_square_of_the_angle():
    target, z, momentum = curved(), randn(50, 2), randn(50, 2, seed=1)
    start = target(z)[0] + momentum.square().sum(1) / 2
    errors = []
    for steps in (8, 16, 32):
        _, velocity, energy, _ = turn(target, z, momentum, target(z)[1], 1.0 / steps, steps)
        errors.append(float((energy + velocity.square().sum(1) / 2 - start).abs().median()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.3)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.3)


def test_states_beyond_the_numbers_have_infinite_potential_and_no_slope():
    energy, slope = curved()(torch.tensor([[0.0, 0.0], [math.inf, 0.0], [1e200, 0.0]]).double())
    assert torch.isfinite(energy).tolist() == [True, False, False]
    assert (slope[1:] == 0).all()


def test_a_prior_that_is_not_log_concave_at_the_centre_still_gives_scales_of_its_size():
    prior = MemorizedPrior(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).double(), 0.3)
    target = WhitenedPosterior(stylized_2d, torch.zeros(2).double(), 5.0, torch.zeros(2).double(), prior.log_prob)
    z = randn(5, 2)
    assert target.to_model(z).abs().max() < 2  # the scales are those of the mixture, not a clamp's
    torch.testing.assert_close(target.whiten(target.to_model(z)), z)


def test_dual_averaging_finds_the_angle_of_the_acceptance_wanted():
    """A made-up acceptance that falls with the angle: exp(-angle) is .7 at .357."""
    tuner = DualAveraging(0.7, 1.5)
    for _ in range(500):
        tuner.update(math.exp(-tuner.angle))
    tuner.settle()
    assert tuner.angle == pytest.approx(-math.log(0.7), rel=0.1)
    easy = DualAveraging(0.7, 1.5)
    for _ in range(50):
        easy.update(1.0)
    easy.settle()
    assert easy.angle == pytest.approx(1.5)
