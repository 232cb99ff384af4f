"""Distances of a denoiser from closed forms, and the nats that its losses imply."""

import pytest
import torch

from lib.denoising_gap import denoising_gap
from lib.likelihood_gap import likelihood_gap
from lib.mixture import MemorizedPrior


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def levels(low, high, number):
    return torch.logspace(*torch.tensor([low, high]).double().log10().tolist(), number, dtype=torch.float64)


def test_memorized_denoiser_has_no_gap_and_a_gaussian_has_that_of_the_scale():
    examples, held_out = randn(30, 5), randn(40, 5, seed=1)
    prior = MemorizedPrior(examples, 0.1)
    none = denoising_gap(prior.denoise, examples, held_out, levels(0.1, 3, 4), generator=seeded(0))
    assert max(none.training + none.held_out) == 0
    assert none.nearest_level()[0] == 0
    assert none.loss_memorized == none.loss_held_out
    centre, variance = examples.mean(0), examples.var(0)
    gaussian = denoising_gap(
        lambda x, s: centre + variance / (variance + s**2) * (x - centre),
        examples, held_out, levels(0.1, 3, 4), generator=seeded(0),
    )  # fmt: skip
    assert gaussian.held_out == gaussian.broad_held_out
    assert gaussian.training == gaussian.broad_training
    assert gaussian.nearest_level()[0] == 1


def test_distance_is_relative_to_the_memorized_denoiser_about_the_mean():
    examples = randn(30, 5) + 100
    prior = MemorizedPrior(examples, 0.1)

    def halfway(x, sigma):
        return 0.5 * (prior.denoise(x, sigma) + examples.mean(0))

    found = denoising_gap(halfway, examples, None, levels(0.1, 1, 3), generator=seeded(0))
    assert found.training == pytest.approx((0.5, 0.5, 0.5))
    assert found.held_out is None
    assert found.nats is None
    assert found.nearest_level() is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_population_denoiser_stays_above_half_of_the_gaussian_where_levels_tell(seed, shift):
    """A mixture of two Gaussians: neither the Gaussian nor the memorized denoiser is right."""
    signs = torch.randint(0, 2, (340, 1), generator=seeded(seed)) * 2.0 - 1
    models = randn(340, 4, seed=seed) + shift * signs
    population = MemorizedPrior(shift * torch.tensor([[1.0], [-1.0]]).double().expand(2, 4).contiguous(), 1.0)
    found = denoising_gap(
        lambda x, s: population.denoise(x, s, include_bandwidth=True),
        models[:40], models[40:], levels(0.1, 6, 12), num_points=1000, generator=seeded(seed),
    )  # fmt: skip
    share, _ = found.nearest_level()
    assert share > 0.5
    assert abs(found.nats) < 4 * found.nats_error  # it does better on neither set


def test_nats_are_the_difference_of_smoothed_log_likelihoods():
    """I-MMSE against the density itself; 60 levels leave a percent to the trapezoidal rule."""
    examples, held_out, s = randn(6, 3), randn(2000, 3, seed=1), 0.4
    prior = MemorizedPrior(examples, s)
    found = denoising_gap(prior.denoise, examples, held_out, levels(s, 50, 60), num_points=4000, generator=seeded(2))
    direct = []
    for models in (examples, held_out):
        x = models[torch.randint(len(models), (20_000,), generator=seeded(3))]
        direct.append(float(prior.log_prob(x + s * randn(20_000, 3, seed=4)).mean()))
    expected = direct[0] - direct[1]
    assert expected > 3
    assert found.nats == pytest.approx(expected, rel=0.02, abs=4 * found.nats_error)
    assert found.nats_error < 0.05 * expected


def test_levels_beyond_the_last_are_counted():
    """Of the point mass at 0 the error is |x|^2 at every level, and the divergence |x|^2 / (2 s^2)."""
    examples, held_out = randn(40, 3), 2 * randn(500, 3, seed=1)
    found = denoising_gap(lambda x, s: 0 * x, examples, held_out, levels(0.4, 0.8, 60), generator=seeded(2))
    losses = found.loss_held_out[0] - found.loss_training[0]
    assert found.nats == pytest.approx(3 * losses / (2 * 0.4**2), rel=1e-3)


def test_ratio_of_errors_is_one_for_the_population_and_zero_for_the_memorized_denoiser():
    examples, held_out = randn(40, 6), randn(400, 6, seed=1)
    known = denoising_gap(lambda x, s: x / (1 + s**2), examples, held_out, levels(0.1, 3, 8), generator=seeded(0))
    _, low, high, _ = known.smallest_ratio()
    assert low < 1 < high
    # At large noise the error of a model is its squared length over d, so its mean over n models varies by 2 / (n d).
    expected = (3 * (2 / (40 * 6) + 2 / (400 * 6)) ** 0.5)  # before one model's noisy points
    last = known.ratio_high[-1] / known.ratio_low[-1]
    assert 0.7 < torch.tensor(last).log().item() / 2 / expected < 1.6
    memorized = MemorizedPrior(examples, 0.1).denoise
    by_heart = denoising_gap(memorized, examples, held_out, levels(0.1, 3, 8), generator=seeded(0))
    ratio, low, high, sigma = by_heart.smallest_ratio()
    assert low <= ratio <= high < 1e-6
    assert sigma < 0.2
    assert denoising_gap(known_to_none, examples, None, levels(0.1, 1, 2)).smallest_ratio() is None


def known_to_none(x, sigma):
    return x


def test_points_about_one_model_count_as_one():
    """Forty times the points about the same ten models leave the interval, and the error of the nats, as wide."""
    examples, held_out = randn(10, 4), randn(10, 4, seed=1)
    few, many = (
        denoising_gap(lambda x, s: x / (1 + s**2), examples, held_out, levels(0.5, 3, 3), num_points=n,
                      generator=seeded(1))
        for n in (500, 20_000)
    )  # fmt: skip
    assert many.nats_error > 0.7 * few.nats_error
    assert many.ratio_high[-1] / many.ratio_low[-1] > (few.ratio_high[-1] / few.ratio_low[-1]) ** 0.7


def test_kernel_density_prefers_training_models_only_if_samples_copy():
    examples, held_out, fresh = randn(50, 10), randn(200, 10, seed=1), randn(400, 10, seed=2)
    copies = MemorizedPrior(examples, 0.02).sample(400, generator=seeded(3))
    memorized, population = (likelihood_gap(x, examples, held_out, 1.0) for x in (copies, fresh))
    assert memorized.difference > 10 * memorized.standard_error
    assert abs(population.difference) < 3 * population.standard_error
    assert likelihood_gap(fresh, examples, held_out[:3], 1.0) is None
    prior = MemorizedPrior(fresh, population.bandwidth)
    assert population.training == pytest.approx(float(prior.log_prob(examples).mean()))
    assert population.held_out == pytest.approx(float(prior.log_prob(held_out[100:]).mean()))
