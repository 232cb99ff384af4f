"""Posterior samplers that weigh the spread of x_0: pseudoinverse guidance and Tweedie moment projection."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks
from lib.checks import Denoiser, Forward
from lib.gauss_newton import Covariance, Tangent
from lib.guidance import pull_back, with_graph
from lib.reverse import Advance, Callback, guided, observed, reverse_process, variance_rule


def pigdm(
    denoise: Denoiser,
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    sigmas: Tensor,
    shape: tuple[int, int],
    *,
    model_variance: Callable[[float], float] | None = None,
    max_steps: int = 20,
    tolerance: float = 1e-3,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    denoise_last: bool = True,
) -> Tensor:
    """Pseudoinverse-guided diffusion: x_0 given x is taken for N(D, r^2 I), and F for its tangent J at D.

    The reverse process of `sample` with D replaced by
    E[x_0 | x, y] = D + sigma^2 J_D^T J^T (r^2 J J^T + noise_std^2 I)^-1 (d_obs - F(D)).

    Exact in the limit of many levels for a linear F and the prior N(0, I), whose spread r^2 = sigma^2 / (1 + sigma^2)
    is the default. Under any other prior r is a guess: with prior variances from .05 to 4 the means of the linear test
    (tests/test_exact_reference.py) are off by .15 posterior standard deviations, the variances by 10 %.

    Source: Song et al. (2023), their guidance for noisy linear data. The tangent for a nonlinear F and the shortened
    step (`lib.gauss_newton.Tangent.share`) are ours.

    Cost of a level and sample: a forward solve; up to `max_steps` times an adjoint and a forward-mode solve; 1 to 9
    forward solves for the length of the step. Tuning: r, the accuracy of the solve, the halving of the step.

    Args:
        denoise: Posterior mean D(x, sigma) of the prior, differentiable, as in `sample`.
        forward: Batched map [B, d] -> [B, m], differentiable in both modes.
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        sigmas: Strictly falling positive noise levels, [K].
        shape: (number of samples, d).
        model_variance: sigma -> r^2, positive. None (default): sigma^2 / (1 + sigma^2), for standardized models.
        max_steps: Most conjugate-gradient steps a level (`lib.gauss_newton.Tangent.gain`).
        tolerance: Residual at which they stop, a share of that at the start.
        callback: As in `sample`; the dict also holds `misfit`, |d_obs - F(x0)|^2 / (m noise_std^2) [B],
            `gradient_norm` [B], and `share` [B], the part of the step that was taken, at all levels but the last.
        denoise_last: As in `sample`.

    Returns:
        Samples, [B, d].

    Raises:
        TypeError, ValueError: As `sample`, bad data, noise or forward map, or a solve without steps or tolerance.
    """
    variance = variance_rule("model_variance", model_variance, lambda sigma: sigma**2 / (1 + sigma**2))

    def spread(leaf: Tensor, x0: Tensor, sigma: Tensor) -> Covariance:
        level = variance(sigma)
        return lambda step: level * step

    return reverse_process(
        _projected(spread, denoise, forward, d_obs, noise_std, sigmas, max_steps, tolerance, generator),
        denoise, sigmas, shape, generator=generator, callback=callback, denoise_last=denoise_last, name="PiGDM",
    )  # fmt: skip


def tmpd(
    denoise: Denoiser,
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    sigmas: Tensor,
    shape: tuple[int, int],
    *,
    max_steps: int = 20,
    tolerance: float = 1e-3,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    denoise_last: bool = True,
) -> Tensor:
    """Tweedie moment projected diffusion: x_0 given x is taken for N(D, C) with its own covariance C = sigma^2 J_D.

    The reverse process of `sample` with D replaced by
    E[x_0 | x, y] = D + sigma^2 J_D^T J^T (J C J^T + noise_std^2 I)^-1 (d_obs - F(D)),  F replaced by its tangent J.

    Exact in the limit of many levels for a linear F and any Gaussian prior. Under a memorized prior C is the spread of
    the examples still in play, and 0 once one of them holds all the weight: the guidance then dies.

    Source: Boys et al. (2023), with the full covariance, not its diagonal or row sums. C is symmetrized, (J_D +
    J_D^T) / 2, for denoisers that are no gradients; the tangent for a nonlinear F and the shortened step are ours.

    Cost of a level and sample: as `pigdm`, and 2 derivatives of the denoiser a step. Tuning: the accuracy of the
    solve and the halving of the step; the spread needs none.

    Args:
        denoise: Posterior mean D(x, sigma) of the prior, differentiable in both modes, as in `sample`.
        forward: Batched map [B, d] -> [B, m], differentiable in both modes.
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        sigmas: Strictly falling positive noise levels, [K].
        shape: (number of samples, d).
        max_steps: As in `pigdm`.
        tolerance: As in `pigdm`.
        callback: As in `pigdm`.
        denoise_last: As in `sample`.

    Returns:
        Samples, [B, d].

    Raises:
        TypeError, ValueError: As `pigdm`.
    """

    def spread(leaf: Tensor, x0: Tensor, sigma: Tensor) -> Covariance:
        def covariance(step: Tensor) -> Tensor:
            back = pull_back(x0, leaf, step, retain_graph=True)
            with torch.no_grad():  # weights of a network must not start a graph that grows from level to level
                _, ahead = torch.func.jvp(lambda z: checks.apply_denoiser(denoise, z, sigma), (leaf.detach(),), (step,))
            return sigma**2 * (back + ahead) / 2

        return covariance

    return reverse_process(
        _projected(spread, denoise, forward, d_obs, noise_std, sigmas, max_steps, tolerance, generator),
        denoise, sigmas, shape, generator=generator, callback=callback, denoise_last=denoise_last, name="TMPD",
    )  # fmt: skip


def _projected(
    spread: Callable[[Tensor, Tensor, Tensor], Covariance], denoise: Denoiser, forward: Forward, d_obs: Tensor,
    noise_std: float, sigmas: Tensor, max_steps: int, tolerance: float, generator: torch.Generator | None,
) -> Advance:  # fmt: skip
    """One level of either sampler, with spread(leaf, D(leaf), sigma) the covariance of x_0 that it assumes."""
    sigmas, d_obs, noise_std = observed(sigmas, d_obs, noise_std)
    max_steps, tolerance = checks.count("max_steps", max_steps), checks.positive("tolerance", tolerance)

    def guide(x: Tensor, sigma: Tensor, interval: Tensor) -> tuple[Tensor, Tensor, dict]:
        leaf, graph = with_graph(denoise, x, sigma)
        x0, tangent = graph.detach(), Tangent(forward, graph, d_obs, noise_std)
        covariance = spread(leaf, graph, sigma)
        gain = tangent.gain(covariance, max_steps=max_steps, tolerance=tolerance)
        price = (gain * covariance(gain)).sum(1, keepdim=True)
        gradient = pull_back(graph, leaf, gain)
        share = tangent.share(sigma**2 * gradient, price)
        gradient = share * gradient
        misfit = tangent.residual.square().mean(1)
        report = {"x0": x0, "misfit": misfit, "gradient_norm": gradient.norm(dim=1), "share": share[:, 0].clone()}
        # The step heads for the conditional mean, so that its extrapolation is second order in both terms.
        return x0 + sigma**2 * gradient, torch.zeros_like(x0), report

    return guided(guide, checks.random_source(generator, sigmas.device))
