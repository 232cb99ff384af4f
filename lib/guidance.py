"""The data's pull in diffusion posterior sampling: which way, and how far, one step of the reverse process moves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks
from lib.checks import Denoiser, Forward
from lib.jacobian import jvp, vjp

NORMALIZED_STEP = 0.1  # tuned by hand, as the rule it belongs to
_NOT_DIFFERENTIABLE = (
    "denoise must be differentiable for guidance, its output does not depend on x as far as autograd sees "
    "(is it wrapped in no_grad?)"
)


def with_graph(denoise: Denoiser, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """A leaf with the values of x and D(leaf, sigma), both [B, d], ready to be differentiated."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        denoised = checks.apply_denoiser(denoise, leaf, sigma)
    if not denoised.requires_grad:
        raise ValueError(_NOT_DIFFERENTIABLE)
    return leaf, denoised


def pull_back(denoised: Tensor, leaf: Tensor, weights: Tensor, **options: bool) -> Tensor:
    """J_D^T w [B, d] for what `with_graph` returns and w [B, d]; `options` are those of `torch.autograd.grad`."""
    (pulled,) = torch.autograd.grad(denoised, leaf, weights, allow_unused=True, **options)
    if pulled is None:  # the gradients that D requires are those of its weights
        raise ValueError(_NOT_DIFFERENTIABLE)
    return pulled


class Settled:
    """Samples that need no wave: what the data said of their denoised models at the level before.

    A memorized prior that has decided gives D(x, sigma) = x_n and J_D = 0, exactly, level after level. The gradient
    J_D^T J_F^T r is then 0 whatever F says, and the misfit is that of the level before: both are known without F.
    """

    def __init__(self):
        self._x0, self._squares = None, None

    def rows(self, leaf: Tensor, denoised: Tensor) -> Tensor:
        """Which samples are settled, [B], bool: D is what it was, bit for bit, and does not answer to x."""
        if self._x0 is None or self._x0.shape != denoised.shape:
            return torch.zeros(len(denoised), dtype=torch.bool, device=denoised.device)
        same = (denoised.detach() == self._x0).all(1)
        if bool(same.any()):
            # J_D^T w with a fixed w of no special direction: exactly 0 in all entries where J_D is.
            w = torch.randn(denoised.shape[1], generator=torch.Generator().manual_seed(0)).to(denoised)
            same &= ~pull_back(denoised, leaf, w.expand_as(denoised), retain_graph=True).any(1)
        return same

    def keep(self, denoised: Tensor, squares: Tensor) -> None:
        """Remember D [B, d] and the squared misfit [B] of this level."""
        self._x0, self._squares = denoised.detach(), squares

    def squares(self) -> Tensor:
        """The squared misfits [B] at the level before."""
        return self._squares.clone()


def denoise_and_gradient(
    denoise: Denoiser, forward: Forward, d_obs: Tensor, x: Tensor, sigma: Tensor, *, settled: Settled | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """D(x, sigma) [B, d], the gradient of -|d_obs - F(D(x, sigma))|^2 / 2 [B, d], and the squared misfit [B].

    The Jacobian of the denoiser is kept: the gradient is J_D^T J_F^T (d_obs - F(D)). With `settled` the samples whose
    result is known from the level before are left out of F.
    """
    return gradient_and_tangent(denoise, forward, d_obs, x, sigma, settled=settled)[:3]


def _pulled(forward: Forward, d_obs: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
    """J_F^T r of the residuals r = d_obs - F(x0), [B, d], and |r|^2, [B]."""
    data, pullback = vjp(forward, x0, num_data=len(d_obs), once=True)
    residual = d_obs - data
    return pullback(residual), torch.linalg.vecdot(residual, residual)


def gradient_and_tangent(
    denoise: Denoiser, forward: Forward, d_obs: Tensor, x: Tensor, sigma: Tensor, *, settled: Settled | None = None
) -> tuple[Tensor, Tensor, Tensor, Callable[[], Tensor]]:
    """What `denoise_and_gradient` returns, and a function that gives J_D g for that gradient g, [B, d].

    J_D g is the derivative of J_D^T w in w along g: a second reverse pass, a third of the time of torch's forward mode.
    """
    leaf, denoised = with_graph(denoise, x, sigma)
    known = settled.rows(leaf, denoised) if settled else None
    if known is None or not bool(known.any()):
        pull, squares = _pulled(forward, d_obs, denoised)
    else:
        pull, squares = torch.zeros_like(denoised), settled.squares()
        if not bool(known.all()):
            pull[~known], squares[~known] = _pulled(forward, d_obs, denoised[~known])
    if settled:
        settled.keep(denoised, squares)
    with torch.enable_grad():
        gradient = pull_back(denoised, leaf, pull.requires_grad_(), create_graph=True)

    def tangent() -> Tensor:
        return torch.autograd.grad(gradient, pull, gradient.detach(), retain_graph=True)[0]

    return denoised.detach(), gradient.detach(), squares, tangent


def normalized_step(gradient: Tensor, sigma: Tensor) -> Tensor:
    """A step of length 0.1 sigma sqrt(d) along each sample's gradient, whatever its size, [B, d].

    The noise level of the data cancels: with this rule the spread of the samples cannot depend on it.

    Source: the rule of the code of Siahkoohi and Sabeddu (2026), with a length tuned by us.
    """
    length = NORMALIZED_STEP * sigma * gradient.shape[1] ** 0.5
    norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return torch.where(norms > 0, length * gradient / norms, 0.0)


def likelihood_step(
    gradient: Tensor, forward: Forward, denoised: Tensor, interval: Tensor, variance: float,
    tangent: Callable[[], Tensor],
) -> Tensor:  # fmt: skip
    """One explicit step along the gradient of log N(d_obs; F(D(x, sigma)), variance I), cut where it is unstable.

    Euler's step is h g with h = sigma^2 - sigma_next^2. Along g the Gauss-Newton model of the likelihood is a
    parabola of curvature c = |J_F J_D g|^2 / (variance |g|^2), one forward-mode product away; a step s g ends
    |1 - s c| times as far from its top as it began. Where h c <= 2 Euler's step is taken unchanged. Beyond that it
    would move away, and s = (1 + (2 / (h c))^(1/4)) / c takes its place: the same at h c = 2, the top of the parabola
    itself for precise data. The power is ours: with a larger one more of a still harmless step is cut away.

    Source: the gradient is that of Chung et al. (2023), eq. (16) without their step size; the cut is ours.

    Args:
        gradient: g = J_D^T J_F^T (d_obs - F(D)), [B, d].
        denoised: D(x, sigma), [B, d].
        interval: sigma^2 - sigma_next^2, 0-d.
        variance: That of a datum in the likelihood.
        tangent: Gives J_D g [B, d], as `gradient_and_tangent` returns it.

    Returns:
        The displacement, [B, d].
    """
    along_x, _ = gains(gradient, forward, denoised, tangent)
    return damped_step(gradient, along_x, interval, variance)


def gains(
    gradient: Tensor, forward: Forward, denoised: Tensor, tangent: Callable[[], Tensor]
) -> tuple[Tensor, Tensor]:
    """|J_F J_D g| / |g| and |J_F J_D g| / |J_D g|, [B, 1]: how the data answer a step along g, and along J_D g.

    One forward-mode solve of the samples that have a direction; 0 for those that have none.
    """
    moved, answer = gradient.any(1), torch.zeros_like(gradient[:, :1])
    if bool(moved.all()):
        moved = slice(None)
    elif not bool(moved.any()):
        return answer, answer.clone()
    ahead = tangent()
    with torch.no_grad():
        _, response = jvp(forward, denoised[moved], ahead[moved])
    # Norms are divided before they are squared: their squares can leave the range of float32.
    answer[moved] = torch.linalg.vector_norm(response, dim=1, keepdim=True).detach()
    along_x, along_x0 = (torch.linalg.vector_norm(v, dim=1, keepdim=True).detach() for v in (gradient, ahead))
    return torch.where(along_x > 0, answer / along_x, 0.0), torch.where(along_x0 > 0, answer / along_x0, 0.0)


def damped_step(gradient: Tensor, gain: Tensor, interval: Tensor, variance: float) -> Tensor:
    """The step of `likelihood_step` for a gain |J_F J_D g| / |g| [B, 1] already known, [B, d]."""
    stiffness = interval / variance * gain.square()
    stable = stiffness.clamp_min(2)
    share = torch.where(stiffness > 2, (1 + (2 / stable).pow(0.25)) / stable, 1.0)
    return share * interval / variance * gradient
