"""The reverse process: exact with an exact denoiser (V5); its callback, generator and start; arguments of `dps`."""

import inspect
import warnings

import pytest
import torch

from lib.diagnostics import total_variation
from lib.forward import STYLIZED_EXAMPLES_1D, linear_map, stylized_1d
from lib.mixture import GaussianMixture, MemorizedPrior
from lib.posterior import ConditionalDenoiser, linearized_posterior, lookup_weights
from lib.samplers import dps, sample
from lib.schedule import karras_sigmas

EXAMPLES, NOISE = STYLIZED_EXAMPLES_1D, 0.3
SIGMAS = karras_sigmas(20, 10.0, 0.05)
Y = torch.tensor([1.0], dtype=torch.float64)
PRIOR = MemorizedPrior(EXAMPLES, 0.05)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def shares(samples):
    return torch.bincount((samples - EXAMPLES.T).abs().argmin(1), minlength=5).double() / len(samples)


def wasserstein(samples, weights):
    """W1 of one-dimensional samples against weighted examples: the area between the distribution functions."""
    points, order = torch.cat([samples[:, 0], EXAMPLES[:, 0]]).sort()
    masses = torch.cat([torch.full((len(samples),), 1 / len(samples), dtype=torch.float64), -weights])[order]
    return float((masses.cumsum(0)[:-1].abs() * points.diff()).sum())


def run_sample(**options):
    return sample(PRIOR.denoise, SIGMAS, (6, 1), **options)


def run_dps(**options):
    return dps(PRIOR.denoise, stylized_1d, Y, NOISE, SIGMAS, (6, 1), **options)


@pytest.mark.parametrize("y", [0.0, 0.7, 1.0])
def test_exact_denoiser_samples_the_exact_posterior_without_a_wave_solve(y):
    """V5: N evaluations of the forward map, then none."""
    calls = []

    def forward(x):
        calls.append(len(x))
        return stylized_1d(x)

    logs = lookup_weights(EXAMPLES, forward, torch.tensor([y], dtype=torch.float64), NOISE)
    assert sum(calls) == 5
    samples = sample(ConditionalDenoiser(EXAMPLES, logs), karras_sigmas(60, 10.0, 0.01), (5000, 1), generator=seeded(0))
    assert sum(calls) == 5
    assert total_variation(shares(samples), logs.exp()) < 0.03
    assert wasserstein(samples, logs.exp()) < 0.03


def test_stopped_early_the_state_follows_the_mixture_of_the_last_level():
    sigmas = karras_sigmas(60, 10.0, 0.3)
    state = sample(PRIOR.denoise, sigmas, (20_000, 1), generator=seeded(1), denoise_last=False)
    lands = sample(PRIOR.denoise, sigmas, (500, 1), generator=seeded(1))
    grid = torch.linspace(-4, 5, 400, dtype=torch.float64)
    exact = torch.distributions.Normal(EXAMPLES, 0.3).cdf(grid).mean(0)
    found = (state < grid).double().mean(0)
    assert (found - exact).abs().max() < 0.02  # Kolmogorov-Smirnov: .0096 at 5 %, the rest is for the steps
    assert (lands - EXAMPLES.T).abs().min(1).values.median() < 0.2


def test_mixture_denoiser_samples_the_posterior_of_a_linear_map():
    mix = linearized_posterior(EXAMPLES, 0.3, linear_map(torch.tensor([[1.5]]).double()), Y, NOISE)
    state = sample(mix.denoise, karras_sigmas(60, 10.0, 0.01), (20_000, 1), generator=seeded(2))
    assert isinstance(mix, GaussianMixture)
    assert float(state.mean()) == pytest.approx(float(mix.mean), abs=0.01)
    assert float(state.var()) == pytest.approx(float(mix.covariance), rel=0.05)


def test_one_example_is_reached_whatever_the_steps():
    for levels in (2, 3, 30):
        state = sample(MemorizedPrior(EXAMPLES[4:], 0.1).denoise, karras_sigmas(levels, 80.0, 0.01), (50, 1))
        torch.testing.assert_close(state, EXAMPLES[4:].expand(50, 1))
        state = sample(MemorizedPrior(EXAMPLES[4:], 0.1).denoise, karras_sigmas(levels, 80.0, 0.01), (50, 1),
                       generator=seeded(0), denoise_last=False)  # fmt: skip
        assert float((state - 2.5).std()) == pytest.approx(0.01, rel=0.3)


def test_it_stays_random_after_the_first_draw():
    """Trap: a chain that is deterministic after its first draw. Two chains from one start must part."""
    starts, ends = [], []
    for seed in (0, 1):
        torch.manual_seed(7)
        calls = []

        def reseed(report, calls=calls, seed=seed):
            if not calls:
                calls.append(report["x"].clone())
                torch.manual_seed(seed)

        for run in (run_sample, run_dps):
            calls.clear()
            torch.manual_seed(7)
            ends.append(run(callback=reseed, denoise_last=False))
            starts.append(calls[0])
    assert torch.equal(starts[0], starts[2])
    assert not torch.isclose(ends[0], ends[2]).any()
    assert not torch.isclose(ends[1], ends[3]).any()


@pytest.mark.parametrize("run", [run_sample, run_dps])
def test_generator_fixes_the_samples_and_none_is_the_global_one(run):
    first, second, other = (run(generator=seeded(s), denoise_last=False) for s in (1, 1, 2))
    torch.manual_seed(1)
    third = run(denoise_last=False)
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("run", [run_sample, run_dps])
def test_callback_sees_every_level_and_changes_nothing(run):
    reports = []
    state = run(generator=seeded(1), callback=reports.append)
    assert torch.equal(state, run(generator=seeded(1)))
    assert [r["step"] for r in reports] == list(range(20))
    assert [float(r["sigma"]) for r in reports] == SIGMAS.tolist()
    assert all({"x", "x0", "sigma", "step"} <= set(r) and r["x"].shape == r["x0"].shape == (6, 1) for r in reports)
    for report in reports:
        torch.testing.assert_close(report["x0"], PRIOR.denoise(report["x"], report["sigma"]))
    assert torch.equal(reports[-1]["x0"], state)
    assert torch.equal(reports[-1]["x"], run(generator=seeded(1), denoise_last=False))
    if run is run_dps:
        misfit = (Y - stylized_1d(reports[3]["x0"])).square().sum(1) / NOISE**2
        torch.testing.assert_close(reports[3]["misfit"], misfit)


def test_start_is_normal_with_the_first_level():
    reports = []
    sample(PRIOR.denoise, SIGMAS[:2], (5000, 1), generator=seeded(0), callback=reports.append)
    assert float(reports[0]["x"].std()) == pytest.approx(10, rel=0.05)
    assert abs(float(reports[0]["x"].mean())) < 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_have_the_dtype_of_the_levels_and_inputs_stay(dtype):
    examples, sigmas, y = EXAMPLES.to(dtype), SIGMAS.to(dtype), Y.to(dtype)
    before = examples.clone(), sigmas.clone(), y.clone()
    prior = MemorizedPrior(examples, 0.05)
    assert sample(prior.denoise, sigmas, (3, 1)).dtype == dtype
    assert dps(prior.denoise, stylized_1d, y, NOISE, sigmas, (3, 1)).dtype == dtype
    assert all(map(torch.equal, (examples, sigmas, y), before))


@pytest.mark.parametrize("run", [run_sample, run_dps])
def test_start_too_small_for_the_examples_is_warned_of(run, monkeypatch):
    """Trap: a start at N(0, sigma^2 I) that leaves out the variance of the data."""
    monkeypatch.setitem(globals(), "SIGMAS", karras_sigmas(5, 1.0, 0.05))
    with pytest.warns(UserWarning, match=r"sigmas\[0\] must be large against .* got 1 "):
        run()
    monkeypatch.setitem(globals(), "SIGMAS", karras_sigmas(5, 20.0, 0.05))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(generator=seeded(0))


def test_positional_arguments_are_those_of_the_contract():
    names = {sample: "denoise sigmas shape", dps: "denoise forward d_obs noise_std sigmas shape guidance"}
    for function, expected in names.items():
        parameters = inspect.signature(function).parameters.values()
        assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == expected.split()
        assert {"generator", "callback", "denoise_last"} <= {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
