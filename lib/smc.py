"""Sequential Monte Carlo over the noise levels: guided particles, weighted so that their law is right."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks
from lib.checks import Denoiser, Forward
from lib.diagnostics import effective_sample_size
from lib.guidance import damped_step, gains, gradient_and_tangent
from lib.reverse import Callback, Extrapolation, normal, observed, reverse_process, transition, variance_rule


def twisted_smc(
    denoise: Denoiser,
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    sigmas: Tensor,
    shape: tuple[int, int],
    *,
    guidance_variance: Callable[[float], float] | None = None,
    threshold: float = 0.5,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    denoise_last: bool = True,
) -> Tensor:
    """Twisted diffusion sampler: the samples are particles of one run, weighted, killed and copied level by level.

    A step proposes x' from N(mean + pull, s^2 (1 - q) I), the reverse step of `sample` with the pull of `dps`, and
    multiplies the weight by N(x'; mean, .) / N(x'; mean + pull, .) times twist(x') / twist(x),
    twist(x) = N(d_obs; F(D(x, sigma)), (noise_std^2 + v) I). At the end the twist is the likelihood itself: with many
    particles their law tends to the posterior under the prior that `sample` draws from, whatever pull and v are.

    How many that takes is up to the twist. One that is surer than the data are at level sigma (v = 0) kills particles
    that would have been needed, and what is left looks well: with the stylized map, 20,000 particles and an effective
    sample size above 1000, weights were off by .1. The default v widens it by the spread of x_0 as the data see it.
    Where the data see some directions a thousand times better than others, as waves do, no single v fits them all: few
    particles or one are left, and the samples are copies of it.

    Source: Wu et al. (2023), algorithm 1. Ours: the default v, and the pull cut as in `lib.guidance.likelihood_step`.

    Cost of a level: as `dps`, a forward solve, an adjoint and a forward-mode solve a particle; one forward solve at
    the last level. Tuning: v, the threshold, systematic resampling.

    Args:
        denoise: Posterior mean D(x, sigma) of the prior, differentiable, as in `sample`.
        forward: Batched map [B, d] -> [B, m], differentiable in both modes.
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        sigmas: Strictly falling positive noise levels, [K].
        shape: (number of particles, d).
        guidance_variance: sigma -> v, positive: widens the twists, not the last likelihood. None (default):
            sigma^2 / (1 + sigma^2), the spread of x_0 for standardized models, times the largest |J u|^2 over the
            particles, u the unit vector along which x_0 would move. Wu et al. take 0.
        threshold: Resample where the effective sample size is below this share of the particles; 0 to 1.
        callback: As in `dps`; the dict also holds `log_weights` [B], normalized, and their `effective_sample_size`,
            both before resampling, at all levels.
        denoise_last: Return D at the last level, weighted by the likelihood of D; False returns the state, weighted
            by the likelihood of the state.

    Returns:
        Particles resampled to equal weights, so that some coincide, [B, d].

    Raises:
        TypeError, ValueError: As `dps`, and a threshold outside [0, 1].
    """
    sigmas, d_obs, noise_std = observed(sigmas, d_obs, noise_std)
    given = variance_rule("guidance_variance", guidance_variance, None)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a share from 0 to 1, got {threshold!r}")
    generator = checks.random_source(generator, sigmas.device)
    extrapolate = Extrapolation()
    log_weights, twist_before = torch.zeros((), dtype=torch.float64, device=sigmas.device), 0.0

    def weigh(squares: Tensor, variance: float) -> dict:
        """Multiply the weights by the ratio of twists, in double precision: sums of 10^5 squares."""
        nonlocal log_weights, twist_before
        twist = -squares.double() / (2 * variance)
        log_weights = torch.log_softmax(log_weights + twist - twist_before, 0)
        twist_before = twist
        return {"log_weights": log_weights.clone(), "effective_sample_size": effective_sample_size(log_weights)}

    def advance(x: Tensor, sigma: Tensor, following: Tensor, tell: Callable[..., None]) -> Tensor:
        nonlocal log_weights, twist_before
        x0, gradient, squares, tangent = gradient_and_tangent(denoise, forward, d_obs, x, sigma)
        gain, slope = gains(gradient, forward, x0, tangent)
        added = given(sigma) if given else float(sigma**2 / (1 + sigma**2) * slope.max().square())
        variance = noise_std**2 + added
        entries = weigh(squares, variance)
        misfit = squares / (len(d_obs) * noise_std**2)
        tell(x0, misfit=misfit, gradient_norm=gradient.norm(dim=1), **entries)
        if entries["effective_sample_size"] < threshold * len(x):
            rows = _systematic(log_weights, generator)
            x, x0, gradient, gain, twist_before = (part[rows] for part in (x, x0, gradient, gain, twist_before))
            extrapolate.select(rows)
            log_weights = torch.zeros_like(log_weights)
        pull = damped_step(gradient, gain, sigma**2 - following**2, variance)
        mean, std = transition(x, extrapolate(x0, sigma, following), sigma, following)
        noise = normal(x.shape, x, generator)
        # log N(x'; mean, std^2) - log N(x'; mean + pull, std^2) at x' = mean + pull + std noise.
        log_weights = log_weights - ((pull / std).square() / 2 + pull / std * noise).sum(1).double()
        return mean + pull + std * noise

    def finish(x: Tensor, x0: Tensor) -> tuple[Tensor, dict]:
        result = x0 if denoise_last else x
        with torch.no_grad():
            data = checks.apply_forward(forward, result, num_data=len(d_obs))
        squares = (d_obs - data).double().square().sum(1)
        entries = weigh(squares, noise_std**2)
        return result[_systematic(log_weights, generator)], entries

    return reverse_process(
        advance, denoise, sigmas, shape,
        generator=generator, callback=callback, denoise_last=denoise_last, name="particles", finish=finish,
    )  # fmt: skip


def _systematic(log_weights: Tensor, generator: torch.Generator | None) -> Tensor:
    """Rows to keep, [B]: row n floor(B w_n) or one more times (systematic resampling; Kitagawa, 1996)."""
    number = len(log_weights)
    offset = torch.rand(1, generator=generator, dtype=torch.float64, device=log_weights.device)
    marks = (torch.arange(number, dtype=torch.float64, device=log_weights.device) + offset) / number
    edges = torch.exp(log_weights).cumsum(0)
    return torch.searchsorted(edges / edges[-1], marks).clamp_max(number - 1)
