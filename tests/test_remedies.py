"""Remedies in closed form: each is the memorized prior where it is switched off, and its formula where it is on."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from lib.mixture import MemorizedPrior
from lib.remedies import SmoothedScore, hedged_prior, tikhonov
from lib.samplers import sample
from lib.schedule import karras_sigmas


def randn(*shape, seed=0):
    """Standard normal numbers, double precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, POINTS = randn(6, 3), randn(5, 3, seed=1)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 5.0])
def test_no_smoothing_is_the_memorized_score(sigma):
    smoothed = SmoothedScore(X, 0.0)
    torch.testing.assert_close(smoothed.score(POINTS, sigma), MemorizedPrior(X, sigma).score(POINTS))
    small = SmoothedScore(X, 1e-5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(small.denoise(POINTS, sigma), smoothed.denoise(POINTS, sigma), atol=1e-3, rtol=0)


def test_smoothing_averages_the_score_over_perturbations():
    smoothed = SmoothedScore(X, 0.5, num_perturbations=40_000, generator=torch.Generator().manual_seed(0))
    noise = 0.5 * randn(200_000, 3, seed=2)
    expected = torch.stack([MemorizedPrior(X, 0.7).score(point + noise).mean(0) for point in POINTS])
    torch.testing.assert_close(smoothed.score(POINTS, 0.7), expected, atol=0.05, rtol=0)
    assert (smoothed.score(POINTS, 0.7) - MemorizedPrior(X, 0.7).score(POINTS)).abs().max() > 0.3


def test_smoothed_samples_lie_between_the_examples():
    line = torch.tensor([[-1.0], [1.0]]).double()
    levels = karras_sigmas(80, 20.0, 0.01, dtype=torch.float64)
    for smoothing, spread_out in ((0.0, False), (1.0, True)):
        prior = SmoothedScore(line, smoothing, num_perturbations=400, generator=torch.Generator().manual_seed(0))
        x = sample(prior.denoise, levels, (400, 1), generator=torch.Generator().manual_seed(1))
        assert (x.abs() < 1.001).all()  # between two examples, never beyond
        assert bool((x.abs() < 0.9).double().mean() > 0.5) == spread_out


def test_smoothing_takes_a_level_for_each_row():
    prior = SmoothedScore(X, 0.5, generator=torch.Generator().manual_seed(0))
    levels = torch.tensor([0.3, 0.5, 1.0, 2.0, 4.0]).double()
    rows = torch.cat([prior.denoise(POINTS[k : k + 1], float(level)) for k, level in enumerate(levels)])
    torch.testing.assert_close(prior.denoise(POINTS, levels), rows)
    assert prior.score(POINTS, levels).shape == (5, 3)


def test_tikhonov_minimizes_the_penalized_loss():
    prior, sigma, c = MemorizedPrior(X, 0.3), 0.6, 0.2
    score = (prior.denoise(POINTS, sigma) - POINTS) / sigma**2
    damped = (tikhonov(prior.denoise, c)(POINTS, sigma) - POINTS) / sigma**2

    def loss(s):
        return ((s - score).square() + c / sigma**2 * s.square()).sum()

    for direction in (1e-3 * randn(5, 3, seed=4), -1e-3 * damped, 1e-3 * damped):
        assert loss(damped) < loss(damped + direction)
    torch.testing.assert_close(damped, (prior.denoise(POINTS, sigma) - POINTS) / (sigma**2 + c))
    assert torch.equal(tikhonov(prior.denoise, 0)(POINTS, sigma), POINTS + (prior.denoise(POINTS, sigma) - POINTS))


def test_damped_process_stops_away_from_the_examples():
    generator = torch.Generator().manual_seed(0)
    levels = karras_sigmas(60, 20.0, 0.01, dtype=torch.float64)
    x = sample(tikhonov(MemorizedPrior(X, 0.1).denoise, 0.04), levels, (300, 3), generator=generator)
    distance = torch.cdist(x, X).amin(1) / 3**0.5
    assert 0.1 < float(distance.median()) < 0.4  # sqrt(c) = .2


def test_hedge_denoises_as_a_mixture_of_two_priors():
    b, w, sigma = 0.3, 0.2, 0.8
    hedge, kernel = hedged_prior(X, b, w), MemorizedPrior(X, b)
    wide = torch.diag(2 * X.var(0) + b**2)
    noisy_kernel = MemorizedPrior(X, (b**2 + sigma**2) ** 0.5).log_prob(POINTS)
    noisy_wide = MultivariateNormal(X.mean(0), wide + sigma**2 * torch.eye(3).double()).log_prob(POINTS)
    broad = torch.sigmoid(noisy_wide - noisy_kernel + torch.tensor(w / (1 - w)).double().log())
    pulled = X.mean(0) + (POINTS - X.mean(0)) @ wide @ torch.linalg.inv(wide + sigma**2 * torch.eye(3).double())
    own = kernel.denoise(POINTS, sigma, include_bandwidth=True)
    expected = broad[:, None] * pulled + (1 - broad)[:, None] * own
    torch.testing.assert_close(hedge.denoise(POINTS, sigma), expected)
    density = (1 - w) * kernel.log_prob(POINTS).exp() + w * MultivariateNormal(X.mean(0), wide).log_prob(POINTS).exp()
    torch.testing.assert_close(hedge.log_prob(POINTS).exp(), density)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SmoothedScore(X, -1.0), "smoothing must be positive"),
        (lambda: SmoothedScore(X, 1.0, num_perturbations=3), "even"),
        (lambda: tikhonov(lambda x, sigma: x, -0.1), "constant must be positive"),
        (lambda: hedged_prior(X, 0.1, 1.0), "weight must be below 1"),
        (lambda: hedged_prior(X, 0.1, 0.0), "weight must be positive"),
        (lambda: hedged_prior(X[:1], 0.1, 0.5), "at least 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    with pytest.raises(TypeError, match="denoise"):
        tikhonov(X, 1.0)


SMOOTHED = SmoothedScore(X, 0.5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("apply", [SMOOTHED.denoise, SMOOTHED.score, tikhonov(MemorizedPrior(X, 0.1).denoise, 0.1)])
@pytest.mark.parametrize(
    ("x", "sigma", "error", "message"),
    [
        (POINTS.float(), 1.0, TypeError, "must have dtype"),
        (POINTS.numpy(), 1.0, TypeError, "x must be a torch.Tensor, got ndarray"),
        (POINTS[:, :2], 1.0, ValueError, r"x must have shape \[\*, 3\], got \[5, 2\]"),
        (POINTS[0], 1.0, ValueError, r"x must have shape \[\*, .\], got \[3\]"),
        (POINTS, torch.ones(3).double(), ValueError, r"sigma must have shape \[5\], got \[3\]"),
        (POINTS, torch.ones(5), TypeError, "sigma must have dtype"),
        (POINTS, 0.0, ValueError, "sigma must be positive"),
    ],
)
def test_points_and_levels_are_refused_in_the_counts_of_the_caller(apply, x, sigma, error, message):
    with pytest.raises(error, match=message):
        apply(x, sigma)


@pytest.mark.parametrize(("found", "error"), [(None, TypeError), (POINTS[:2], ValueError), (POINTS.float(), TypeError)])
def test_what_a_damped_denoiser_returns_is_checked(found, error):
    with pytest.raises(error, match="denoise's output must"):
        tikhonov(lambda x, sigma: found, 0.1)(POINTS, 1.0)
