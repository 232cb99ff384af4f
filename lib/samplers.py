"""Reverse diffusion from noise to a sample, unconditional or guided by data (diffusion posterior sampling)."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.checks import Denoiser, Forward
from lib.guidance import denoise_and_gradient, likelihood_step, normalized_step

Callback = Callable[[dict], None]


def sample(
    denoise: Denoiser,
    sigmas: Tensor,
    shape: tuple[int, int],
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    denoise_last: bool = True,
) -> Tensor:
    """Run the reverse process from N(0, sigmas[0]^2 I) down to sigmas[-1].

    One step from sigma to sigma' with q = (sigma' / sigma)^2, one call of the denoiser and fresh noise e:
    x' = (1 - q) D + q x + sigma' sqrt(1 - q) e, where D is extrapolated in log sigma from this level and the one
    before (second order). Exact for one point mass whatever the steps.

    Source: Lu et al. (2022), DPM-Solver++(2M), in its stochastic form; Karras et al. (2022) for the levels.

    Args:
        denoise: Posterior mean D(x, sigma), from x [B, d] and a 0-d sigma to [B, d].
        sigmas: Strictly falling positive noise levels, [K]; their dtype and device are those of the samples.
        shape: (number of samples, d).
        callback: Called at every level with a dict of the state `x` [B, d], the denoised `x0` [B, d], the level
            `sigma` and its index `step`.
        denoise_last: Return D at the last level (the point-mass prior). False returns the state itself, whose law is
            the mixture of bandwidth sigmas[-1].

    Returns:
        Samples, [B, d].

    Raises:
        TypeError, ValueError: Bad levels or shape, or a denoiser that does not return finite values of that shape.
    """

    def guide(x: Tensor, sigma: Tensor, interval: Tensor) -> tuple[Tensor, Tensor, dict]:
        return _denoised(denoise, x, sigma), torch.zeros_like(x), {}

    return _reverse(guide, denoise, sigmas, shape, generator, callback, denoise_last, "sampling")


def dps(
    denoise: Denoiser,
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    sigmas: Tensor,
    shape: tuple[int, int],
    guidance: str = "likelihood",
    *,
    guidance_variance: Callable[[float], float] | None = None,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    denoise_last: bool = True,
) -> Tensor:
    """Diffusion posterior sampling: the reverse process of `sample`, pulled at each level towards the data.

    "likelihood" follows the gradient of log N(d_obs; F(D(x, sigma)), C) with C = noise_std^2 I by default, cut to the
    length that stays stable (see `lib.guidance.likelihood_step`); a level costs a forward solve, an adjoint and a
    forward-mode solve. It is an approximation even so: D stands in for all models compatible with x.
    "normalized" takes a step of fixed length along the gradient, whatever noise_std: kept for comparison.

    Source: Chung et al. (2023), algorithm 1.

    Args:
        denoise: Posterior mean D(x, sigma) of the prior, differentiable, as in `sample`.
        forward: Batched map [B, d] -> [B, m], differentiable (in forward mode too for "likelihood").
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        sigmas: Strictly falling positive noise levels, [K].
        shape: (number of samples, d).
        guidance: "likelihood" or "normalized".
        guidance_variance: sigma -> variance added to noise_std^2 in C, for the spread of x_0 that D ignores. None
            (default): none, as Chung et al.
        callback: As in `sample`; the dict also holds `misfit`, |d_obs - F(x0)|^2 / (m noise_std^2) [B], and
            `gradient_norm` [B], at all levels but the last.
        denoise_last: As in `sample`.

    Returns:
        Samples, [B, d].

    Raises:
        TypeError, ValueError: As `sample`, an unknown guidance, or bad data, noise or forward map.
    """
    if guidance not in ("likelihood", "normalized"):
        raise ValueError(f"guidance must be 'likelihood' or 'normalized', got {guidance!r}")
    sigmas = checks.noise_levels(sigmas)
    d_obs = checks.tensor("d_obs", d_obs, shape=(None,), like=sigmas).detach()
    noise_std = checks.positive("noise_std", noise_std, dtype=sigmas.dtype)
    if guidance_variance is not None:
        checks.function("guidance_variance", guidance_variance, "sigma to a variance")

    def guide(x: Tensor, sigma: Tensor, interval: Tensor) -> tuple[Tensor, Tensor, dict]:
        x0, gradient, squares = denoise_and_gradient(denoise, forward, d_obs, x, sigma)
        if guidance == "normalized":
            pull = normalized_step(gradient, sigma)
        else:
            variance = noise_std**2
            if guidance_variance is not None:
                variance += checks.positive("guidance_variance", guidance_variance(float(sigma)))
            pull = likelihood_step(gradient, denoise, forward, x, x0, interval, sigma, variance).detach()
        report = {"misfit": squares / (len(d_obs) * noise_std**2), "gradient_norm": gradient.norm(dim=1)}
        return x0, pull, report

    return _reverse(guide, denoise, sigmas, shape, generator, callback, denoise_last, "posterior sampling")


def _reverse(
    guide: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, dict]],
    denoise: Denoiser,
    sigmas: Tensor,
    shape: tuple[int, int],
    generator: torch.Generator | None,
    callback: Callback | None,
    denoise_last: bool,
    name: str,
) -> Tensor:
    sigmas = checks.noise_levels(sigmas).detach()
    checks.function("denoise", denoise, "[B, d] and a level to [B, d]")
    if callback is not None:
        checks.function("callback", callback, "a dict to nothing")
    generator = checks.random_source(generator, sigmas.device)
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise ValueError(f"shape must be (number of samples, d), got {shape}")
    shape = tuple(checks.count("shape", side) for side in shape)
    x = sigmas[0] * _normal(shape, sigmas, generator)
    before, log_step = None, None
    for step in tqdm(range(len(sigmas) - 1), desc=name, unit="level", delay=5, leave=False):
        sigma, following = sigmas[step], sigmas[step + 1]
        x0, pull, report = guide(x, sigma, sigma**2 - following**2)
        if before is None:
            _warn_of_a_small_start(x0, sigma)
        if callback is not None:
            # Copies: a callback may rescale what it gets, the chain goes on with its own.
            callback({"x": x.clone(), "x0": x0.clone(), "sigma": float(sigma), "step": step, **report})
        extrapolated, previous_log_step = x0, log_step
        log_step = torch.log(sigma / following)
        if before is not None:
            extrapolated = x0 + 0.5 * log_step / previous_log_step * (x0 - before)
        before = x0
        kept = (following / sigma) ** 2
        fresh = following * (1 - kept).sqrt() * _normal(shape, sigmas, generator)
        x = (1 - kept) * extrapolated + kept * x + fresh + pull
    if callback is None and not denoise_last:
        return x
    x0 = _denoised(denoise, x, sigmas[-1])
    if callback is not None:
        callback({"x": x.clone(), "x0": x0.clone(), "sigma": float(sigmas[-1]), "step": len(sigmas) - 1})
    return x0 if denoise_last else x


def _normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)


def _denoised(denoise: Denoiser, x: Tensor, sigma: Tensor) -> Tensor:
    with torch.no_grad():
        return checks.apply_denoiser(denoise, x, sigma)


def _warn_of_a_small_start(x0: Tensor, sigma: Tensor) -> None:
    """The start N(0, sigma^2 I) ignores the data; that is harmless only while sigma dwarfs them."""
    size = float(x0.square().mean().sqrt())
    if size > float(sigma) / 3:
        warnings.warn(
            f"sigmas[0] must be large against the data's mean and spread, got {float(sigma):.4g} where the denoised "
            f"start has a root mean square of {size:.4g}: centre and scale the data, or raise sigmas[0]",
            stacklevel=4,
        )
