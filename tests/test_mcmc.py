"""MCMC against what is known: a Gaussian posterior, quadrature, and chains that go on where they stopped."""

import math

import pytest
import torch

from lib.forward import STYLIZED_EXAMPLES_1D, linear_map, stylized_1d, stylized_2d
from lib.mixture import MemorizedPrior
from lib.samplers import Chains, mcmc


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def run(**changes):
    arguments = dict(forward=stylized_2d, d_obs=torch.tensor([0.5, 0.3]).double(), noise_std=0.3,
                     centre=torch.zeros(2).double(), num_draws=20, num_warmup=10, generator=seeded(0))  # fmt: skip
    return mcmc(**(arguments | changes))


@pytest.mark.parametrize("variances", [torch.ones(4), torch.tensor([4.0, 1.0, 0.25, 0.05])])
def test_gaussian_posterior_is_reached_within_the_monte_carlo_error(variances):
    matrix, noise_std, variances = randn(6, 4), 0.3, variances.double()
    d_obs = matrix @ (variances.sqrt() * randn(4, seed=1)) + noise_std * randn(6, seed=2)
    covariance = torch.linalg.inv(torch.diag(1 / variances) + matrix.T @ matrix / noise_std**2)
    mean = covariance @ matrix.T @ d_obs / noise_std**2
    chains = run(forward=linear_map(matrix), d_obs=d_obs, centre=torch.zeros(4).double(), num_draws=1000,
                 log_prior=lambda x: -(x.square() / variances).sum(1) / 2)  # fmt: skip
    assert (chains.acceptance > 0.999).all()  # nothing is refused: the reference is the posterior
    assert (chains.rhat < 1.01).all()
    sizes, axes = torch.linalg.eigh(covariance)
    along = (chains.samples - mean).flatten(0, 1) @ axes / sizes.sqrt()
    assert (along.mean(0) * chains.ess.min().sqrt()).abs().max() < 4
    squares = Chains((along.square()).reshape(4, 1000, 4), *(chains.potential, chains.acceptance, 1.0, 1))
    assert ((along.square().mean(0) - 1) * (squares.ess.min() / 2).sqrt()).abs().max() < 4


def quadrature(forward, d_obs, noise_std, log_prior, d):
    axis = torch.linspace(-6, 6, 40_001 if d == 1 else 801, dtype=torch.float64)
    grid = axis[:, None] if d == 1 else torch.cartesian_prod(axis, axis)
    mass = torch.softmax(log_prior(grid) - (d_obs - forward(grid)).square().sum(1) / (2 * noise_std**2), 0)
    mean = mass @ grid
    return mean, (mass @ (grid - mean) ** 2).sqrt()


@pytest.mark.parametrize("bandwidth", [0.3, 0.05])
@pytest.mark.parametrize(
    ("forward", "example", "d_obs"),
    [(stylized_1d, STYLIZED_EXAMPLES_1D[2], [1.0]), (stylized_2d, torch.tensor([0.3, -0.5]).double(), [0.5, 0.3])],
)
def test_one_component_of_a_mixture_prior_agrees_with_quadrature(forward, example, d_obs, bandwidth):
    d_obs = torch.tensor(d_obs).double()
    prior = MemorizedPrior(example[None], bandwidth)
    mean, std = quadrature(forward, d_obs, 0.3, prior.log_prob, len(example))
    chains = run(forward=forward, d_obs=d_obs, centre=example, log_prior=prior.log_prob, num_draws=600)
    draws, error = chains.samples.flatten(0, 1), std / chains.ess.sqrt()
    assert (chains.rhat < 1.02).all()
    assert ((draws.mean(0) - mean) / error).abs().max() < 4
    torch.testing.assert_close(draws.std(0), std, rtol=0.08, atol=0)


def test_places_that_the_map_refuses_have_no_probability():
    """As a survey refuses speeds beyond its largest: the other rows of the batch go on."""

    def bounded(x):
        if bool((x > 0.5).any()):
            raise ValueError("velocity must be at most 0.5")
        return x

    starts = torch.tensor([[-2.0], [-1.0], [0.0], [0.4]]).double()
    chains = run(forward=bounded, d_obs=torch.zeros(1).double(), noise_std=1e3, centre=torch.zeros(1).double(),
                 starts=starts, num_draws=1500, num_warmup=100)  # fmt: skip
    draws = chains.samples.flatten()
    normal = torch.distributions.Normal(0.0, 1.0)
    expected = -math.exp(normal.log_prob(torch.tensor(0.5)).item()) / normal.cdf(torch.tensor(0.5)).item()
    assert draws.max() <= 0.5
    assert abs(draws.mean() - expected) < 4 * draws.std() / chains.ess.min().sqrt()
    with pytest.raises(ValueError, match="velocity must be at most 0.5"):
        run(forward=bounded, d_obs=torch.zeros(1).double(), centre=torch.ones(1).double())


def test_the_law_does_not_depend_on_where_it_is_linearized():
    """Far from the mode the preconditioner is wrong, the angle is tuned down, and the answer is the same."""
    d_obs = torch.tensor([1.0]).double()
    mean, std = quadrature(stylized_1d, d_obs, 0.3, lambda x: -x.square().sum(1) / 2, 1)
    chains = run(forward=stylized_1d, d_obs=d_obs, centre=torch.tensor([2.0]).double(), num_draws=500, num_warmup=100,
                 num_steps=3)  # fmt: skip
    draws = chains.samples.flatten(0, 1)
    assert ((draws.mean(0) - mean) / std * chains.ess.sqrt()).abs().max() < 4
    torch.testing.assert_close(draws.std(0), std, rtol=0.1, atol=0)


def test_chains_that_sit_in_two_modes_show_in_rhat():
    """F = x^2 cannot tell x from -x; chains started on both sides stay there, R-hat says so."""
    starts = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]).double()
    chains = run(forward=lambda x: x**2, d_obs=torch.ones(1).double(), noise_std=0.05, starts=starts,
                 centre=torch.ones(1).double(), num_draws=50)  # fmt: skip
    assert chains.rhat.item() > 1.5
    one_sided = run(forward=lambda x: x**2, d_obs=torch.ones(1).double(), noise_std=0.05, starts=starts.abs(),
                    centre=torch.ones(1).double(), num_draws=50)  # fmt: skip
    assert one_sided.rhat.item() < 1.1  # and it does not see a mode that no chain has seen


def test_all_chains_go_through_the_forward_map_together_and_the_cost_is_counted():
    rows = []

    def forward(x):
        rows.append(len(x))
        return stylized_2d(x)

    chains = run(forward=forward, num_chains=3, num_steps=2)
    assert set(rows[-60:]) == {3}
    assert chains.num_gradients == 1 + 30 * 2
    assert chains.samples.shape == (3, 20, 2)
    assert chains.potential.shape == chains.acceptance.shape == (3, 20)


def test_each_chain_tosses_its_own_coin(monkeypatch):
    """Proposals of probability a half: about half of the chains take each."""

    def half_as_likely(target, z, momentum, slope, angle, num_steps):
        kinetic = momentum.square().sum(1) / 2
        return z + 1e-9, momentum, target(z)[0] + math.log(2) + 0 * kinetic, slope

    monkeypatch.setattr("lib.mcmc.turn", half_as_likely)
    starts = randn(100, 2)
    chains = run(num_chains=100, num_draws=1, num_warmup=0, starts=starts)
    moved = (chains.samples[:, 0] - starts).abs().amax(1) > 1e-10
    assert moved.double().mean().item() == pytest.approx(0.5, abs=0.2)


def test_potential_is_that_of_the_draws():
    chains = run()
    x = chains.samples.flatten(0, 1)
    misfit = (torch.tensor([0.5, 0.3]).double() - stylized_2d(x)).square().sum(1)
    torch.testing.assert_close(chains.potential.flatten(), misfit / 0.18 + x.square().sum(1) / 2)


def test_a_run_goes_on_where_it_stopped():
    generator = seeded(5)
    first = run(generator=generator)
    both = run(resume=first, num_draws=7, generator=generator)
    assert both.samples.shape == (4, 27, 2)
    assert torch.equal(both.samples[:, :20], first.samples)
    assert both.angle == first.angle
    assert both.num_gradients == first.num_gradients + 1 + 7 * 2
    whole = run(num_draws=27, generator=seeded(5))
    torch.testing.assert_close(both.samples, whole.samples)


def test_generator_fixes_the_draws_and_the_callback_sees_them():
    reports, first = [], run()
    assert torch.equal(run(callback=reports.append).samples, first.samples)
    torch.manual_seed(0)
    assert torch.equal(run(generator=None).samples, first.samples)
    assert not torch.equal(run(generator=seeded(1)).samples, first.samples)
    assert [r["step"] for r in reports] == list(range(30))
    assert [r["warmup"] for r in reports] == [True] * 10 + [False] * 20
    torch.testing.assert_close(torch.stack([r["x"] for r in reports[10:]], 1), first.samples)
    torch.testing.assert_close(torch.stack([r["acceptance"] for r in reports[10:]], 1), first.acceptance)


def test_single_precision_models_give_single_precision_draws():
    chains = run(d_obs=torch.tensor([0.5, 0.3]), centre=torch.zeros(2))
    assert chains.samples.dtype == torch.float32
    assert chains.potential.dtype == torch.float64


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"centre": torch.zeros(1, 2).double()}, ValueError, r"centre must have shape \[\*\], got \[1, 2\]"),
        ({"d_obs": torch.zeros(2)}, TypeError, "d_obs must have dtype torch.float64"),
        ({"d_obs": torch.zeros(3).double()}, ValueError, r"forward must return as many data as d_obs has \(3\), got 2"),
        ({"noise_std": -1.0}, ValueError, "noise_std must be positive and finite, got -1.0"),
        ({"num_draws": 0}, ValueError, "num_draws must be at least 1, got 0"),
        ({"num_warmup": -1}, ValueError, "num_warmup must be at least 0, got -1"),
        ({"num_chains": 0}, ValueError, "num_chains must be at least 1, got 0"),
        ({"num_steps": 2.0}, TypeError, "num_steps must be a whole number, got float"),
        ({"target_acceptance": 1.0}, ValueError, "target_acceptance must be below 1, got 1.0"),
        ({"starts": torch.zeros(3, 2).double()}, ValueError, r"starts must have shape \[4, 2\], got \[3, 2\]"),
        ({"starts": 1e200 * torch.ones(4, 2).double()}, ValueError, "finite"),
        ({"log_prior": lambda x: x}, ValueError, r"log_prior must map \[B, d\] to \[B\]"),
        ({"log_prior": lambda x: x.detach().sum(1)}, ValueError, "log_prior must be differentiable"),
        ({"resume": 3}, TypeError, "resume must be Chains of an earlier run, got int"),
        ({"callback": 3}, TypeError, "callback must be a callable from a dict"),
        ({"forward": lambda x: x.detach()}, ValueError, "forward must be differentiable"),
    ],
)
def test_misuse_is_named(changes, error, message):
    with pytest.raises(error, match=message):
        run(**changes)
