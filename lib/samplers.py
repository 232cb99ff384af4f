"""Reverse diffusion from noise to a sample, unconditional or guided by data (diffusion posterior sampling)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib.checks import Denoiser, Forward
from lib.daps import daps
from lib.guidance import Settled, gradient_and_tangent, likelihood_step, normalized_step
from lib.league import pigdm, tmpd
from lib.mcmc import Chains, mcmc
from lib.reverse import Callback, denoised, guided, observed, reverse_process, variance_rule
from lib.smc import twisted_smc

__all__ = ["Chains", "daps", "dps", "mcmc", "pigdm", "sample", "tmpd", "twisted_smc"]


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
        return denoised(denoise, x, sigma), torch.zeros_like(x), {}

    return reverse_process(
        guided(guide, generator), denoise, sigmas, shape,
        generator=generator, callback=callback, denoise_last=denoise_last, name="sampling",
    )  # fmt: skip


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
    skip_settled: bool = True,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    denoise_last: bool = True,
) -> Tensor:
    """Diffusion posterior sampling: the reverse process of `sample`, pulled at each level towards the data.

    "likelihood" follows the gradient of log N(d_obs; F(D(x, sigma)), C) with C = noise_std^2 I by default, cut to the
    length that stays stable (see `lib.guidance.likelihood_step`); a level costs a forward solve, an adjoint and a
    forward-mode solve. It is an approximation even so: D stands in for all models compatible with x. With a linear F
    and a Gaussian prior (tests/test_exact_reference.py) its variances are half of what they should be, its means off
    by up to .25 posterior standard deviations.
    "normalized" takes a step of fixed length along the gradient, whatever noise_std: kept for comparison.

    Source: Chung et al. (2023), algorithm 1.

    Args:
        denoise: Posterior mean D(x, sigma) of the prior, differentiable (twice for "likelihood"), as in `sample`.
        forward: Batched map [B, d] -> [B, m], differentiable (in forward mode too for "likelihood").
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        sigmas: Strictly falling positive noise levels, [K].
        shape: (number of samples, d).
        guidance: "likelihood" or "normalized".
        guidance_variance: sigma -> variance added to noise_std^2 in C, for the spread of x_0 that D ignores. None
            (default): none, as Chung et al.
        skip_settled: Leave a sample out of the forward map at levels where its gradient is known to be exactly 0: a
            memorized prior has decided for one example, and the denoised model is that of the level before. The
            samples are the same; False solves for all of them at every level.
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
    sigmas, d_obs, noise_std = observed(sigmas, d_obs, noise_std)
    added = variance_rule("guidance_variance", guidance_variance, lambda sigma: 0.0)
    settled = Settled() if skip_settled else None

    def guide(x: Tensor, sigma: Tensor, interval: Tensor) -> tuple[Tensor, Tensor, dict]:
        x0, gradient, squares, tangent = gradient_and_tangent(denoise, forward, d_obs, x, sigma, settled=settled)
        if guidance == "normalized":
            pull = normalized_step(gradient, sigma)
        else:
            variance = noise_std**2 + added(sigma)
            pull = likelihood_step(gradient, forward, x0, interval, variance, tangent)
        report = {"misfit": squares / (len(d_obs) * noise_std**2), "gradient_norm": gradient.norm(dim=1)}
        return x0, pull, report

    return reverse_process(
        guided(guide, generator), denoise, sigmas, shape,
        generator=generator, callback=callback, denoise_last=denoise_last, name="posterior sampling",
    )  # fmt: skip
