"""Twisted SMC: exact in the limit of many particles, and honest about how few are left."""

import pytest
import torch
from torch.distributions import Normal

from lib.diagnostics import effective_sample_size, total_variation
from lib.forward import STYLIZED_EXAMPLES_1D, linear_map, stylized_1d
from lib.guidance import gradient_and_tangent, likelihood_step
from lib.mixture import MemorizedPrior
from lib.posterior import lookup_weights
from lib.samplers import sample, twisted_smc
from lib.schedule import karras_sigmas
from lib.smc import _systematic

EXAMPLES, NOISE = STYLIZED_EXAMPLES_1D, 0.3
Y = torch.tensor([1.0], dtype=torch.float64)
PRIOR = MemorizedPrior(EXAMPLES, 0.05)
SIGMAS = karras_sigmas(60, 10.0, 0.05)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def shares(samples):
    return torch.bincount((samples - EXAMPLES.T).abs().argmin(1), minlength=5).double() / len(samples)


def run(num_particles=2000, seed=0, **options):
    reports = []
    samples = twisted_smc(PRIOR.denoise, stylized_1d, Y, NOISE, SIGMAS, (num_particles, 1), generator=seeded(seed),
                          callback=reports.append, **options)  # fmt: skip
    return samples, reports


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_weights_are_exact_whenever_particles_are_resampled(threshold):
    """Never, sometimes, at every level: the three estimate the same weights."""
    exact = lookup_weights(EXAMPLES, stylized_1d, Y, NOISE).exp()
    gaps = [total_variation(shares(run(4000, seed, threshold=threshold)[0]), exact) for seed in range(2)]
    assert sum(gaps) / 2 < 0.04


def test_a_twist_too_sure_of_itself_kills_particles_and_the_effective_sample_size_does_not_show_it():
    """v close to 0: weights off by more than three times as much, with hundreds of particles left at the end."""
    exact = lookup_weights(EXAMPLES, stylized_1d, Y, NOISE).exp()
    narrow = [run(5000, seed, guidance_variance=lambda sigma: 1e-6) for seed in range(2)]
    wide = [run(5000, seed) for seed in range(2)]
    error = [max(total_variation(shares(samples), exact) for samples, _ in runs) for runs in (narrow, wide)]
    assert error[0] > 3 * error[1]
    assert narrow[0][1][-1]["effective_sample_size"] > 500


def test_effective_sample_size_is_that_of_the_weights_reported():
    _, reports = run(500)
    for report in reports:
        assert report["log_weights"].shape == (500,)
        assert float(report["log_weights"].exp().sum()) == pytest.approx(1)
        assert report["effective_sample_size"] == pytest.approx(effective_sample_size(report["log_weights"]))
    assert 1 <= min(r["effective_sample_size"] for r in reports) < 500


def test_first_weights_are_those_of_the_twist():
    _, reports = run(200, guidance_variance=lambda sigma: 0.5)
    misfit = (Y - stylized_1d(reports[0]["x0"])).square().sum(1)
    torch.testing.assert_close(reports[0]["log_weights"], torch.log_softmax(-misfit / (2 * (NOISE**2 + 0.5)), 0))


def test_one_step_multiplies_the_weight_by_the_ratio_of_step_and_proposal():
    """Written out: likelihood at the end times N(x'; mean) / N(x'; mean + pull), the first twist cancels."""
    sigmas, reports = torch.tensor([3.0, 1.0]).double(), []
    twisted_smc(PRIOR.denoise, stylized_1d, Y, NOISE, sigmas, (50, 1), generator=seeded(0), callback=reports.append,
                guidance_variance=lambda sigma: 2.0, threshold=0.0)  # fmt: skip
    x, x0, new = reports[0]["x"], reports[0]["x0"], reports[1]["x"]
    _, gradient, _, tangent = gradient_and_tangent(PRIOR.denoise, stylized_1d, Y, x, sigmas[0])
    pull = likelihood_step(gradient, stylized_1d, x0, torch.tensor(8.0), NOISE**2 + 2, tangent)
    mean, std = x0 * 8 / 9 + x / 9, (8 / 9) ** 0.5
    assert pull.abs().max() > 0.3 * std
    ratio = Normal(mean, std).log_prob(new) - Normal(mean + pull, std).log_prob(new)
    likelihood = -(Y - stylized_1d(reports[1]["x0"])).square() / (2 * NOISE**2)
    torch.testing.assert_close(reports[1]["log_weights"], torch.log_softmax((ratio + likelihood)[:, 0], 0))


def test_without_resampling_and_pull_it_is_importance_sampling(monkeypatch):
    """Then all that counts is the likelihood at the end, over the prior's own samples."""
    monkeypatch.setattr("lib.smc.damped_step", lambda gradient, *_: torch.zeros_like(gradient))
    _, reports = run(300, threshold=0.0)
    prior = sample(PRIOR.denoise, SIGMAS, (300, 1), generator=seeded(0))
    torch.testing.assert_close(reports[-1]["x0"], prior)
    likelihood = -(Y - stylized_1d(prior)).square().sum(1) / (2 * NOISE**2)
    torch.testing.assert_close(reports[-1]["log_weights"], torch.log_softmax(likelihood, 0))


def test_the_state_is_weighted_by_its_own_likelihood_where_it_is_what_comes_back():
    found = [run(300, threshold=0.0, denoise_last=last)[1][-1] for last in (True, False)]
    torch.testing.assert_close(found[0]["x"], found[1]["x"])
    gap = found[0]["log_weights"] - found[1]["log_weights"]
    squares = [(Y - stylized_1d(report[key])).square().sum(1) for report, key in zip(found, ("x0", "x"), strict=True)]
    expected = (squares[1] - squares[0]) / (2 * NOISE**2)
    torch.testing.assert_close(gap - gap.mean(), expected - expected.mean())


def test_data_that_see_some_directions_far_better_leave_one_particle():
    """No scalar v is right for singular values from 1 to 1000 times the noise; the samples are copies of one."""
    scales, reports = torch.logspace(0, 3, 20, dtype=torch.float64), []
    forward = linear_map(torch.diag(scales))
    y = scales + torch.randn(20, generator=seeded(2), dtype=torch.float64)
    samples = twisted_smc(lambda x, sigma: x / (1 + sigma**2), forward, y, 1.0, karras_sigmas(30, 10.0, 0.02), (50, 20),
                          generator=seeded(0), callback=reports.append)  # fmt: skip
    assert min(report["effective_sample_size"] for report in reports) < 1.1
    assert len(samples.unique(dim=0)) < 10


def test_systematic_resampling_keeps_each_row_its_share_up_to_one():
    logs = torch.log_softmax(torch.randn(40, generator=seeded(0), dtype=torch.float64), 0)
    total = torch.zeros(40)
    for seed in range(400):
        counts = torch.bincount(_systematic(logs, seeded(seed)), minlength=40)
        assert int(counts.sum()) == 40
        assert ((counts - 40 * logs.exp()).abs() < 1).all()
        total += counts
    torch.testing.assert_close(total / 400, 40 * logs.exp().float(), atol=0.1, rtol=0)  # unbiased
