"""Posterior sampling with decoupled levels: at each one a guess of x_0 is moved to the data, then noised afresh."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks
from lib.checks import Denoiser, Forward
from lib.jacobian import jvp, vjp
from lib.reverse import Callback, denoised, normal, observed, reverse_process, variance_rule


def daps(
    denoise: Denoiser,
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    sigmas: Tensor,
    shape: tuple[int, int],
    *,
    num_ode_steps: int = 5,
    num_langevin_steps: int = 20,
    step_share: float = 0.5,
    model_variance: Callable[[float], float] | None = None,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    denoise_last: bool = True,
) -> Tensor:
    """Decoupled annealing: no step from one level to the next, but a new x_0 at each, noised to the next level.

    At level sigma: x_0^ is the end of the probability flow from x; x_0 is drawn by Langevin steps from
    N(x_0; x_0^, r^2 I) N(d_obs; F(x_0), noise_std^2 I); the next state is x_0 + s e with fresh noise e at level s.
    So x may move far between two levels, and guidance never passes through the denoiser: under a memorized prior it
    does not die. Exact where x_0 given x is N(x_0^, r^2 I), which it never quite is. In the linear test
    (tests/test_exact_reference.py) the means are off by up to .05 posterior standard deviations under N(0, I), by .1
    under prior variances from .05 to 4, the variances by 6 and 12 %; by more where the data are weak.

    Source: Zhang et al. (2024), algorithm 1, with r = sigma as they choose. Ours is the length h of the Langevin steps:
    `step_share` over the largest curvature met at this level, 1/r^2 + |J g|^2 / (noise_std |g|)^2 along the first
    gradient g, then what successive gradients show; a step that raises the energy by more than d + 20 nats is undone
    and followed by one of a quarter of the length. And the noise of a step is the mean of two draws, one shared with
    the next step (Leimkuhler and Matthews, 2013): for a Gaussian that removes the bias of a finite h.

    Cost of a level and sample: `num_langevin_steps` + 1 times a forward solve with its adjoint, a forward-mode solve,
    `num_ode_steps` denoisings. Tuning: both counts (the authors take 100 Langevin steps; where the
    data see some directions a thousand times better than others, the weak ones hardly move in either), the share, r.

    Args:
        denoise: Posterior mean D(x, sigma) of the prior, as in `sample`; never differentiated.
        forward: Batched map [B, d] -> [B, m], differentiable in both modes.
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        sigmas: Strictly falling positive noise levels, [K].
        shape: (number of samples, d).
        num_ode_steps: Steps of the probability flow; 1 makes x_0^ the denoised x.
        num_langevin_steps: Langevin steps a level.
        step_share: h times the curvature, above 0, below 2.
        model_variance: sigma -> r^2, positive. None (default): sigma^2.
        callback: As in `sample`, with `x0` the guess x_0^; the dict also holds the `draw` x_0 [B, d] and its `misfit`,
            |d_obs - F(draw)|^2 / (m noise_std^2) [B], at all levels but the last.
        denoise_last: As in `sample`.

    Returns:
        Samples, [B, d].

    Raises:
        TypeError, ValueError: As `sample`, bad data, noise or forward map, or bad counts, share or variance.
    """
    sigmas, d_obs, noise_std = observed(sigmas, d_obs, noise_std)
    num_ode_steps = checks.count("num_ode_steps", num_ode_steps)
    num_langevin_steps = checks.count("num_langevin_steps", num_langevin_steps)
    step_share = checks.positive("step_share", step_share)
    if step_share >= 2:
        raise ValueError(f"step_share must be below 2, or Langevin steps diverge, got {step_share}")
    spread = variance_rule("model_variance", model_variance, lambda sigma: float(sigma) ** 2)
    generator = checks.random_source(generator, sigmas.device)

    def advance(x: Tensor, sigma: Tensor, following: Tensor, tell: Callable[..., None]) -> Tensor:
        guess = _flow(denoise, x, sigma, sigmas[-1], num_ode_steps)
        target = _Target(forward, d_obs, noise_std, guess, spread(sigma))
        draw, squares = _langevin(target, num_langevin_steps, step_share, generator)
        tell(guess, draw=draw.clone(), misfit=squares.to(x) / len(d_obs))
        return draw + following * normal(x.shape, x, generator)

    return reverse_process(
        advance, denoise, sigmas, shape,
        generator=generator, callback=callback, denoise_last=denoise_last, name="DAPS",
    )  # fmt: skip


def _flow(denoise: Denoiser, x: Tensor, sigma: Tensor, last: Tensor, num_steps: int) -> Tensor:
    """End of the probability flow from x at sigma: Euler steps evenly spaced in log sigma down to `last`, then D."""
    ratios = torch.linspace(1, 0, num_steps, dtype=x.dtype, device=x.device)
    levels = last * (sigma / last) ** ratios
    for level, following in zip(levels[:-1], levels[1:], strict=True):
        x0 = denoised(denoise, x, level)
        x = x0 + following / level * (x - x0)
    return denoised(denoise, x, levels[-1])


class _Target:
    """-log N(x; guess, r^2 I) - log N(d_obs; F(x), gamma^2 I), up to a constant, row by row."""

    def __init__(self, forward: Forward, d_obs: Tensor, noise_std: float, guess: Tensor, variance: float):
        self.forward, self.d_obs, self.noise_std = forward, d_obs, noise_std
        self.guess, self.variance = guess, variance

    def descent(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Its value [B, 1], minus its gradient, the part of that which the data make [B, d], the squared misfit [B]."""
        data, pullback = vjp(self.forward, x, num_data=len(self.d_obs), once=True)
        residual = (self.d_obs - data) / self.noise_std
        pull, squares = pullback(residual) / self.noise_std, residual.double().square().sum(1)
        energy = (squares + (x - self.guess).double().square().sum(1) / self.variance) / 2
        return energy[:, None], pull - (x - self.guess) / self.variance, pull, squares

    def curvature(self, x: Tensor, direction: Tensor) -> Tensor:
        """That of its Gauss-Newton model along a direction, [B, 1]."""
        norm = torch.linalg.vector_norm(direction, dim=1, keepdim=True)
        unit = torch.where(norm > 0, direction / norm, 0.0)
        response = jvp(self.forward, x, unit)[1].detach() / self.noise_std
        return 1 / self.variance + response.square().sum(1, keepdim=True)


def _langevin(
    target: _Target, num_steps: int, step_share: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """A draw that began at the guess, [B, d], and its squared misfit in units of the noise, [B]."""
    x, noise = target.guess, normal(target.guess.shape, target.guess, generator)
    energy, descent, pull, squares = target.descent(x)
    curvature = target.curvature(x, pull)
    for _ in range(num_steps):
        length, fresh = step_share / curvature, normal(x.shape, x, generator)
        moved = length * descent + (length / 2).sqrt() * (noise + fresh)
        noise, there = fresh, target.descent(x + moved)
        # In equilibrium the energy rises by a few nats at times. More than this is a step that was too long, undone.
        undone = there[0] > energy + x.shape[1] + 20
        turn, far = (torch.linalg.vector_norm(v, dim=1, keepdim=True) for v in (there[1] - descent, moved))
        # Where F steepens, the next step must not be as long as the last one.
        steeper = torch.maximum(curvature, torch.where(far > 0, turn / far, 0.0))
        curvature = torch.where(undone, 4 * curvature, steeper)
        x = torch.where(undone, x, x + moved)
        energy, descent = torch.where(undone, energy, there[0]), torch.where(undone, descent, there[1])
        squares = torch.where(undone[:, 0], squares, there[3])
    return x, squares
