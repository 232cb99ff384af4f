"""Noise levels of the reverse process, and the dictionary between its two usual parametrizations.

Variance exploding (VE, used everywhere here): x_sigma = x_0 + sigma e. Variance preserving (VP, DDPM):
x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) e. They are the same process, x_t = sqrt(alpha_bar) x_sigma.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lib import checks


def karras_sigmas(
    num_levels: int,
    sigma_max: float,
    sigma_min: float,
    *,
    rho: float = 7.0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Tensor:
    """Noise levels that fall from sigma_max to sigma_min, densest where sigma is small.

    sigma_i = (sigma_max^(1/rho) + i/(K-1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho, i = 0..K-1.

    Source: Karras et al. (2022), eq. (5).

    Args:
        num_levels: K, at least 2.
        sigma_max: First level, in units of x.
        sigma_min: Last level, in units of x, below sigma_max.
        rho: 1 spaces the levels evenly; larger values move them towards sigma_min.

    Returns:
        Strictly falling levels, [K].

    Raises:
        TypeError, ValueError: Not a count or not positive numbers, sigma_min not below sigma_max, another dtype than
            float32 or float64, or so many levels that they coincide in it.
    """
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
    num_levels = checks.count("num_levels", num_levels, minimum=2)
    sigma_max = checks.positive("sigma_max", sigma_max, dtype=dtype)
    sigma_min = checks.positive("sigma_min", sigma_min, dtype=dtype)
    rho = checks.positive("rho", rho)
    if not 0.01 <= rho <= 1000:
        raise ValueError(f"rho must lie in [0.01, 1000], or powers of the levels overflow or coincide, got {rho}")
    if sigma_min >= sigma_max:
        raise ValueError(f"sigma_min must be below sigma_max, got {sigma_min} and {sigma_max}")
    ramp = torch.linspace(0, 1, num_levels, dtype=torch.float64)
    top, bottom = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    levels = (top + ramp * (bottom - top)) ** rho
    levels[0], levels[-1] = sigma_max, sigma_min
    return checks.noise_levels(levels.to(dtype=dtype, device=device))


def sigma_from_alpha_bar(alpha_bar: Tensor) -> Tensor:
    """VE noise level of a VP one: sigma = sqrt((1 - alpha_bar) / alpha_bar); any shape, values in (0, 1).

    Raises:
        TypeError, ValueError: Not a floating tensor, or values outside (0, 1).
    """
    alpha_bar = _of_any_shape("alpha_bar", alpha_bar)
    if not bool(((alpha_bar > 0) & (alpha_bar < 1)).all()):
        raise ValueError(f"alpha_bar must lie in (0, 1), got {float(alpha_bar.min())} to {float(alpha_bar.max())}")
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def alpha_bar_from_sigma(sigma: Tensor) -> Tensor:
    """VP signal fraction of a VE level: alpha_bar = 1 / (1 + sigma^2); any shape, positive values.

    Raises:
        TypeError, ValueError: Not a floating tensor, or values that are not positive and finite.
    """
    sigma = _of_any_shape("sigma", sigma)
    if not bool((sigma > 0).all()):
        raise ValueError(f"sigma must be positive and finite, got a minimum of {float(sigma.min())}")
    return 1 / (1 + sigma.square())


def start_mismatch(sigma_max: float, variance: float) -> float:
    """Share of the variance that a start at N(0, sigma_max^2 I) leaves out: variance / (sigma_max^2 + variance).

    Args:
        sigma_max: First noise level.
        variance: Mean variance of the data per coordinate, about zero.

    Raises:
        TypeError, ValueError: Not positive numbers.
    """
    sigma_max = checks.positive("sigma_max", sigma_max, dtype=torch.float64)
    variance = checks.positive("variance", variance)
    return variance / (sigma_max**2 + variance)


def _of_any_shape(name: str, value: Tensor) -> Tensor:
    return checks.tensor(name, value, shape=(None,) * getattr(value, "ndim", 1))
