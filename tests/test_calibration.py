"""Calibration over many truths: V12 on the stylized map, and ranks that are uniform exactly when they should be."""

import math

import pytest
import torch
from scipy import stats

from lib.diagnostics import coverage, rank_histogram, rank_uniformity, sbc_ranks
from lib.forward import stylized_2d
from lib.mixture import MemorizedPrior
from lib.posterior import lookup_weights

N, REPETITIONS, DRAWS, NOISE = 20, 4000, 99, 0.3


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


EXAMPLES = randn(N, 2, seed=1)


def lookup_experiment(truths, seed):
    """Data of each truth and samples of the lookup posterior, [R, DRAWS, 2]."""
    data = stylized_2d(truths) + NOISE * randn(len(truths), 2, seed=seed)
    misfit = (data[:, None] - stylized_2d(EXAMPLES)).square().sum(-1)
    logs = torch.log_softmax(-misfit / (2 * NOISE**2), 1)
    for row in range(3):
        torch.testing.assert_close(logs[row], lookup_weights(EXAMPLES, stylized_2d, data[row], NOISE))
    picks = torch.multinomial(logs.exp(), DRAWS, replacement=True, generator=seeded(seed + 1))
    return EXAMPLES[picks]


def test_v12_memorized_truths_are_calibrated_and_population_truths_are_not():
    """V12: the outer two tenths of the ranks hold .2 if calibrated, twice that and more for the population."""
    picks = torch.randint(N, (REPETITIONS,), generator=seeded(2))
    inside = sbc_ranks(lookup_experiment(EXAMPLES[picks], 10), EXAMPLES[picks], generator=seeded(3))
    truths = randn(REPETITIONS, 2, seed=4)
    outside = sbc_ranks(lookup_experiment(truths, 20), truths, generator=seeded(5))
    for test in ("chi2", "ks"):
        assert (rank_uniformity(inside, DRAWS, test=test, generator=seeded(6)) > 0.01).all()
        assert (rank_uniformity(outside, DRAWS, test=test, generator=seeded(6)) < 1e-6).all()
    extremes = rank_histogram(outside, DRAWS)[[0, -1]] / REPETITIONS
    assert (extremes.sum(0) > 0.4).all(), extremes


def test_v12_with_a_bandwidth_the_exact_posterior_on_a_grid_is_calibrated_too():
    prior, generator = MemorizedPrior(EXAMPLES, 0.3), seeded(0)
    axis = torch.linspace(-4, 4, 121, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    # Truths on the grid, so that the prior of truth and posterior is one and the same.
    prior_logs, values = prior.log_prob(grid), stylized_2d(grid)
    truths = grid[torch.multinomial(torch.softmax(prior_logs, 0), 500, replacement=True, generator=generator)]
    data = stylized_2d(truths) + NOISE * randn(500, 2, seed=1)
    squares = values.square().sum(1) - 2 * data @ values.T
    masses = torch.softmax(prior_logs - squares / (2 * NOISE**2), 1)
    samples = grid[torch.multinomial(masses, 49, replacement=True, generator=generator)]
    ranks = sbc_ranks(samples, truths, generator=generator)
    assert (rank_uniformity(ranks, 49, generator=generator) > 0.01).all()
    cover = coverage(samples, truths, torch.tensor([0.5, 0.9]).double(), generator=generator)
    assert (cover - torch.tensor([[0.5], [0.9]])).abs().max() < 4 * (0.25 / 500) ** 0.5


def test_ties_are_broken_at_random_or_the_ranks_would_not_be_uniform():
    """A truth that is one of two examples, equally likely: the samples tie with it half of the time."""
    values = torch.tensor([0.0, 1.0]).double()
    picks = [torch.randint(2, shape, generator=seeded(k)) for k, shape in enumerate([(5000, 9, 1), (5000, 1)])]
    samples, truths = values[picks[0]], values[picks[1]]
    assert rank_uniformity(sbc_ranks(samples, truths, generator=seeded(2)), 9).item() > 0.01
    below = (samples < truths[:, None]).sum(1)
    assert rank_uniformity(below, 9).item() < 1e-6


def test_ranks_count_the_samples_below():
    samples = torch.tensor([[[3.0], [1.0], [2.0]], [[3.0], [1.0], [2.0]], [[3.0], [1.0], [2.0]]])
    truths = torch.tensor([[0.0], [2.5], [9.0]])
    assert sbc_ranks(samples, truths).tolist() == [[0], [2], [3]]
    tied = sbc_ranks(torch.zeros(3000, 4, 1), torch.zeros(3000, 1), generator=seeded(0))
    assert torch.bincount(tied[:, 0]).double().div(3000).sub(0.2).abs().max() < 4 * (0.16 / 3000) ** 0.5
    again = sbc_ranks(torch.zeros(3000, 4, 1), torch.zeros(3000, 1), generator=seeded(0))
    assert torch.equal(tied, again)


def test_histogram_counts_ranks_and_the_p_value_is_that_of_pearson():
    ranks = torch.arange(20).repeat(10)[:, None]
    assert rank_histogram(ranks, 19, num_bins=4).tolist() == [[50]] * 4
    assert rank_uniformity(ranks, 19).item() == pytest.approx(1)
    counts = torch.tensor([30, 10, 10, 10])
    found = rank_uniformity(torch.repeat_interleave(torch.arange(4), counts)[:, None], 3, num_bins=4)
    statistic = float(((counts - 15.0) ** 2 / 15).sum())
    assert found.item() == pytest.approx(stats.chi2.sf(statistic, 3))


@pytest.mark.parametrize("test", ["chi2", "ks"])
def test_p_values_of_calibrated_ranks_are_uniform_themselves(test):
    ranks = torch.randint(10, (500, 300), generator=seeded(0))
    values = rank_uniformity(ranks, 9, test=test, generator=seeded(1))
    assert stats.kstest(values.numpy(), "uniform").pvalue > 0.01


@pytest.mark.parametrize(("scale", "sign"), [(0.5, -1), (2.0, 1)])
def test_coverage_falls_short_of_a_posterior_too_narrow_and_passes_one_too_wide(scale, sign):
    truths, levels = randn(4000, 1), torch.tensor([0.5, 0.8]).double()
    good = coverage(randn(4000, 50, 1, seed=1), truths, levels, generator=seeded(0))
    off = coverage(scale * randn(4000, 50, 1, seed=1), truths, levels, generator=seeded(0))
    assert (good[:, 0] - levels).abs().max() < 4 * (0.25 / 4000) ** 0.5
    assert (sign * (off[:, 0] - levels) > 0.1).all()
    exact = 2 * stats.norm.cdf(scale * stats.norm.ppf(0.75)) - 1
    assert float(off[0]) == pytest.approx(exact, abs=0.05)


def test_coverage_of_few_samples_and_of_ties_is_exact():
    truths, levels = randn(20_000, 1), torch.tensor([0.5, 0.9]).double()
    found = coverage(randn(20_000, 1, 1, seed=1), truths, levels, generator=seeded(0))
    assert (found[:, 0] - levels).abs().max() < 4 * (0.25 / 20_000) ** 0.5
    flat = coverage(torch.zeros(20_000, 9, 1).double(), torch.zeros(20_000, 1).double(), levels, generator=seeded(0))
    assert (flat[:, 0] - levels).abs().max() < 4 * (0.25 / 20_000) ** 0.5


RANKS = torch.zeros(60, 2, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sbc_ranks(randn(3, 4), randn(3, 2)), ValueError, r"samples must have shape \[\*, \*, \*\]"),
        (lambda: sbc_ranks(randn(3, 4, 2), randn(3, 1)), ValueError, r"truths must have shape \[3, 2\], got \[3, 1\]"),
        (lambda: sbc_ranks(randn(3, 4, 2) / 0, randn(3, 2)), ValueError, "samples must be finite"),
        (
            lambda: rank_histogram(RANKS, 9, num_bins=3),
            ValueError,
            r"num_bins must divide num_samples \+ 1 \(10\), got 3",
        ),
        (lambda: rank_histogram(RANKS + 10, 9), ValueError, "ranks must lie from 0 to num_samples = 9, got 10 to 10"),
        (
            lambda: rank_histogram(RANKS.double(), 9),
            TypeError,
            "ranks must be a tensor of whole numbers, got torch.float64",
        ),
        (lambda: rank_histogram(RANKS[:, 0], 9), ValueError, r"ranks must have shape \[R, d\] .* got \[60\]"),
        (lambda: rank_uniformity(RANKS[:40], 9), ValueError, r"ranks must be at least 5 a bin \(50\) .* got 40"),
        (lambda: rank_uniformity(RANKS, 9, test="t"), ValueError, "test must be 'chi2' or 'ks', got 't'"),
        (lambda: coverage(randn(3, 4, 2), randn(3, 2), torch.tensor([1.0]).double()), ValueError, "levels must lie in"),
        (lambda: sbc_ranks(randn(3, 4, 2), randn(3, 2), generator=1), TypeError, "generator must be a torch.Generator"),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_inputs_stay():
    samples, truths = randn(3, 4, 2), randn(3, 2, seed=1)
    before = samples.clone(), truths.clone()
    coverage(samples, truths, torch.tensor([0.5]).double())
    assert torch.equal(samples, before[0])
    assert torch.equal(truths, before[1])
    assert math.isfinite(float(rank_uniformity(RANKS, 9, test="ks").max()))
