"""Noise levels: the formula of Karras et al., and the dictionary between the two parametrizations."""

import pytest
import torch

from lib.mixture import MemorizedPrior
from lib.schedule import alpha_bar_from_sigma, karras_sigmas, sigma_from_alpha_bar, start_mismatch


def test_levels_are_the_written_formula():
    levels = karras_sigmas(5, 80.0, 0.002)
    expected = [(80 ** (1 / 7) + i / 4 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(5)]
    torch.testing.assert_close(levels, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_levels", [2, 3, 100])
def test_levels_fall_strictly_between_their_ends(num_levels, dtype):
    levels = karras_sigmas(num_levels, 5.0, 0.02, dtype=dtype)
    assert levels.shape == (num_levels,)
    assert levels.dtype == dtype
    assert (levels.diff() < 0).all()
    assert levels[0] == torch.tensor(5.0, dtype=dtype)
    assert levels[-1] == torch.tensor(0.02, dtype=dtype)


def test_rho_one_is_even_and_larger_rho_moves_levels_down():
    even, bent = karras_sigmas(11, 2.0, 1.0, rho=1), karras_sigmas(11, 2.0, 1.0, rho=7)
    torch.testing.assert_close(even.diff(), torch.full((10,), -0.1, dtype=torch.float64))
    assert (bent[1:-1] < even[1:-1]).all()


def test_the_two_parametrizations_are_inverse():
    sigma = torch.logspace(-3, 2, 30, dtype=torch.float64)
    torch.testing.assert_close(sigma_from_alpha_bar(alpha_bar_from_sigma(sigma)), sigma, rtol=1e-9, atol=0)
    alpha_bar = torch.linspace(0.01, 0.99, 30, dtype=torch.float64)
    torch.testing.assert_close(alpha_bar_from_sigma(sigma_from_alpha_bar(alpha_bar)), alpha_bar)


def test_variance_preserving_score_is_the_exploding_one_rescaled(generator):
    examples = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    alpha_bar = torch.tensor(0.3, dtype=torch.float64)
    x_t = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    # x_t = sqrt(a) x_0 + sqrt(1 - a) e follows a mixture at sqrt(a) x_n: its score is that of x_sigma over sqrt(a).
    preserving = MemorizedPrior(alpha_bar.sqrt() * examples, float((1 - alpha_bar).sqrt()))
    exploding = MemorizedPrior(examples, float(sigma_from_alpha_bar(alpha_bar)))
    torch.testing.assert_close(preserving.score(x_t), exploding.score(x_t / alpha_bar.sqrt()) / alpha_bar.sqrt())


def test_start_of_the_papers_code_leaves_out_an_eighth_of_the_variance():
    sigma = float(sigma_from_alpha_bar(torch.tensor(0.13, dtype=torch.float64)))
    assert start_mismatch(sigma, 1.0) == pytest.approx(0.13)
    assert start_mismatch(10.0, 1.0) == pytest.approx(1 / 101)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: karras_sigmas(1, 2.0, 1.0), ValueError, "num_levels must be at least 2, got 1"),
        (lambda: karras_sigmas(2.5, 2.0, 1.0), TypeError, "num_levels must be a whole number, got float"),
        (lambda: karras_sigmas(5, 1.0, 1.0), ValueError, "sigma_min must be below sigma_max, got 1.0 and 1.0"),
        (lambda: karras_sigmas(5, -1.0, 1.0), ValueError, "sigma_max must be positive and finite, got -1.0"),
        (lambda: karras_sigmas(5, 1.0, 0.0), ValueError, "sigma_min must be positive and finite, got 0.0"),
        (lambda: karras_sigmas(5, float("nan"), 1.0), ValueError, "sigma_max must be positive and finite, got nan"),
        (lambda: karras_sigmas(5, 1.0, 0.1, rho=0), ValueError, "rho must be positive and finite, got 0.0"),
        (lambda: karras_sigmas(5, 1.0, 0.1, rho=1e-3), ValueError, r"rho must lie in \[0.01, 1000\].* got 0.001"),
        (lambda: karras_sigmas(5, 1.0, 0.1, dtype=torch.int64), TypeError, "dtype must be .* got torch.int64"),
        (lambda: sigma_from_alpha_bar(torch.tensor(2)), TypeError, "alpha_bar must have a floating dtype"),
        (lambda: alpha_bar_from_sigma(torch.ones(2, device="meta")), ValueError, "sigma must hold values, got .* meta"),
        (lambda: start_mismatch(1e300, 1.0), ValueError, "sigma_max must have a square"),
        (lambda: karras_sigmas(5, 1.0, 1e-30, dtype=torch.float32), ValueError, "sigma_min must have a square"),
        (lambda: karras_sigmas(90, 1.0, 0.9999999, dtype=torch.float32), ValueError, "sigmas must hold .* falling"),
        (lambda: sigma_from_alpha_bar(torch.tensor([0.0, 0.5])), ValueError, "alpha_bar must lie in .* got 0.0"),
        (lambda: sigma_from_alpha_bar(0.5), TypeError, "alpha_bar must be a torch.Tensor, got float"),
        (lambda: alpha_bar_from_sigma(torch.tensor([-1.0])), ValueError, "sigma must be positive .* got .* -1.0"),
        (lambda: alpha_bar_from_sigma(2), TypeError, "sigma must be a torch.Tensor, got int"),
        (lambda: start_mismatch(0.0, 1.0), ValueError, "sigma_max must be positive"),
        (lambda: start_mismatch(1.0, float("inf")), ValueError, "variance must be positive and finite, got inf"),
    ],
)
def test_bad_levels_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
