"""Networks of other conventions become the denoiser they were made from."""

import math

import pytest
import torch

from lib.adapters import denoiser_from_vp, denoiser_in_units
from lib.mixture import MemorizedPrior
from lib.schedule import sigma_from_alpha_bar

TABLE = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
PREDICTIONS = ["epsilon", "v", "x0"]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def closed_form():
    prior = MemorizedPrior(randn(20, 6), 0.3)
    return lambda x, sigma: prior.denoise(x.flatten(1), sigma, include_bandwidth=True).reshape(x.shape)


def network_of(denoise, alpha_bar, prediction):
    """The network that a VP training would end with, whose optimal denoiser is `denoise`."""

    def network(x_t, t):
        a = alpha_bar(t).reshape(-1, *[1] * (x_t.ndim - 1))
        x0 = denoise(x_t / a.sqrt(), sigma_from_alpha_bar(a.flatten()))
        epsilon = (x_t - a.sqrt() * x0) / (1 - a).sqrt()
        return {"x0": x0, "epsilon": epsilon, "v": a.sqrt() * epsilon - (1 - a).sqrt() * x0}[prediction]

    return network


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_closed_form_wrapped_as_a_network_comes_back(prediction):
    denoise = closed_form()
    found = denoiser_from_vp(network_of(denoise, lambda t: TABLE[t], prediction), TABLE, prediction)
    x = randn(5, 2, 3, seed=1)
    for step in (0, 10, 500, 999):
        sigma = float(sigma_from_alpha_bar(TABLE[step]))
        torch.testing.assert_close(found(x, sigma), denoise(x, sigma), rtol=1e-6, atol=1e-6)
    levels = sigma_from_alpha_bar(TABLE[[3, 77, 300, 600, 950]])
    torch.testing.assert_close(found(x, levels), denoise(x, levels), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found(x, levels[2]), denoise(x, float(levels[2])), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_continuous_time_is_found_by_bisection(prediction):
    def alpha_bar(t):
        return torch.cos((t * 0.99 + 0.005) * math.pi / 2) ** 2

    denoise = closed_form()
    found = denoiser_from_vp(network_of(denoise, alpha_bar, prediction), alpha_bar, prediction)
    x = randn(5, 6, seed=1)
    for sigma in (0.05, 0.7, 20.0):
        torch.testing.assert_close(found(x, sigma), denoise(x, sigma), rtol=1e-6, atol=1e-6)


def test_between_entries_the_time_is_the_nearest_or_interpolated_and_the_state_is_exact():
    told = []

    def network(x_t, t):
        told.append((x_t, t))
        return x_t

    between = math.exp(float(sigma_from_alpha_bar(TABLE[[400, 401]]).log() @ torch.tensor([0.3, 0.7]).double()))
    x = randn(2, 6)
    denoiser_from_vp(network, TABLE, "x0")(x, between)
    denoiser_from_vp(network, TABLE, "x0", timestep="interpolated")(x, between)
    assert told[0][1].tolist() == [401, 401]
    assert told[1][1].tolist() == pytest.approx([400.7, 400.7])
    torch.testing.assert_close(told[0][0], x / math.sqrt(1 + between**2))


def test_range_is_that_of_the_schedule_and_levels_outside_are_refused():
    found = denoiser_from_vp(lambda x, t: x, TABLE)
    low, high = (float(level) for level in sigma_from_alpha_bar(TABLE[[0, -1]]))
    assert found.sigma_range == pytest.approx((low, high))
    with pytest.raises(ValueError, match="sigma must lie in the schedule's range"):
        found(randn(2, 6), 2 * high)
    with pytest.raises(ValueError, match="sigma must lie in the schedule's range"):
        found(randn(2, 6), low / 2)


def test_denoiser_in_units_commutes_with_the_units():
    z = randn(20, 6)
    mean = 2500 + 100 * randn(6, seed=3)
    inside, outside = MemorizedPrior(z, 0.1), MemorizedPrior(mean + 400 * z, 0.1)
    found = denoiser_in_units(inside.denoise, mean, 400)
    x = mean + 600 * randn(5, 6, seed=1)
    for sigma in (40.0, torch.tensor(300.0).double(), torch.linspace(100, 500, 5).double()):
        torch.testing.assert_close(found(x, sigma), outside.denoise(x, sigma))
    assert not hasattr(found, "sigma_range")
    ranged = denoiser_in_units(denoiser_from_vp(lambda x, t: x, TABLE), 1.0, 400)
    assert ranged.sigma_range[1] == pytest.approx(400 * float(sigma_from_alpha_bar(TABLE[-1])))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: denoiser_from_vp(3, TABLE), TypeError, "network must be a callable"),
        (lambda: denoiser_from_vp(abs, TABLE, "noise"), ValueError, "prediction must be one of .* got 'noise'"),
        (lambda: denoiser_from_vp(abs, TABLE, timestep="up"), ValueError, "timestep must be .* got 'up'"),
        (lambda: denoiser_from_vp(abs, TABLE.flip(0)), ValueError, "alphas_bar must hold .* strictly falling"),
        (lambda: denoiser_from_vp(abs, TABLE[:1]), ValueError, "alphas_bar must hold at least two"),
        (lambda: denoiser_from_vp(abs, TABLE * 2), ValueError, r"alphas_bar must lie in \(0, 1\)"),
        (lambda: denoiser_from_vp(abs, 1 - TABLE), ValueError, "got .* betas"),
        (lambda: denoiser_from_vp(abs, lambda t: 0.1 + t / 2), ValueError, "alphas_bar must fall from t = 0 to 1"),
        (lambda: denoiser_from_vp(abs, lambda t: t.nothing), ValueError, "alphas_bar must map tensors .* failed"),
        (lambda: denoiser_in_units(abs, "a", 1), TypeError, "mean must be a number or a tensor, got str"),
        (lambda: denoiser_in_units(abs, torch.ones(3), 1)(randn(2, 6), 1.0), ValueError, "mean must broadcast"),
        (lambda: denoiser_from_vp(abs, lambda t: t - 2), ValueError, "alphas_bar must map times"),
        (lambda: denoiser_from_vp(lambda x, t: x[0], TABLE)(randn(2, 6), 1.0), ValueError, "network must return"),
        (lambda: denoiser_in_units(3, 0, 1), TypeError, "denoise must be a callable"),
        (lambda: denoiser_in_units(abs, 0, 0), ValueError, "std must be positive"),
        (lambda: denoiser_in_units(abs, math.nan, 1), ValueError, "mean must be finite"),
        (lambda: denoiser_in_units(abs, 0, torch.ones(3)), TypeError, "std must be one positive number"),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
