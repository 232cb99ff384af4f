"""The tangent of a forward map at a batch of points: Gauss-Newton steps that weigh noise against the spread of x_0."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib.autodiff import tried
from lib.checks import Forward
from lib.jacobian import jvp, vjp

Covariance = Callable[[Tensor], Tensor]
MAX_HALVINGS = 8


class Tangent:
    """F to first order, F(D + p) = F(D) + J p, known only through products with J and J^T.

    Args:
        forward: Batched map [B, d] -> [B, m], differentiable in both modes.
        points: Points D, [B, d].
        d_obs: Observed data, [m].
        noise_std: Standard deviation gamma of their noise.
    """

    def __init__(self, forward: Forward, points: Tensor, d_obs: Tensor, noise_std: float):
        self._forward, self._points, self._d_obs, self._noise_std = forward, points.detach(), d_obs, noise_std
        data, self._pullback = vjp(forward, self._points, num_data=len(d_obs))
        # All data are in units of the noise from here on: precise ones do not overflow.
        self.residual = (d_obs - data) / noise_std

    def push(self, step: Tensor) -> Tensor:
        """J p / gamma, [B, d] -> [B, m]: one forward-mode solve."""
        return jvp(self._forward, self._points, step)[1].detach() / self._noise_std

    def pull(self, weights: Tensor) -> Tensor:
        """J^T w / gamma, [B, m] -> [B, d]: one adjoint solve."""
        return self._pullback(weights) / self._noise_std

    def gain(self, covariance: Covariance, *, max_steps: int, tolerance: float) -> Tensor:
        """z = J^T (gamma^2 I + J C J^T)^-1 (d_obs - F(D)), [B, d]; C z is the Gauss-Newton step under N(D, C).

        Conjugate gradients in data space, one system a sample, no matrix formed. In model space the system
        C^-1 + J^T J / gamma^2 needs the inverse of C, and a memorized prior makes C singular; here C may be anything
        symmetric that is not negative, and C = 0 is solved at once. The price is vectors of m numbers, small beside
        the wave fields that made them. Of the solution w only J^T w is needed, which the steps leave behind for free.
        Stopped early, the steps have served the directions that the data see best.

        Args:
            covariance: p -> C p, the spread of x_0 that the sampler assumes, [B, d] -> [B, d].
            max_steps: Most steps; each costs an adjoint and a forward-mode solve for the whole batch.
            tolerance: A sample is done where the residual of its system has fallen to this share.
        """
        left, direction, gain = self.residual, self.residual, torch.zeros_like(self._points)
        square = left.square().sum(1, keepdim=True)
        goal, active = tolerance**2 * square, square > 0
        for _ in range(max_steps):
            back = self.pull(direction)
            image = direction + self.push(covariance(back))
            curvature = (direction * image).sum(1, keepdim=True)
            # The Jacobian of a network can make C indefinite: a direction of no curvature ends that sample's solve.
            active = active & (curvature > 0)
            length = torch.where(active, square / torch.where(active, curvature, 1.0), 0.0)
            gain = gain + length * back
            left = left - length * image
            before, square = square, left.square().sum(1, keepdim=True)
            active = active & (square > goal)
            if not bool(active.any()):
                break
            direction = left + square / torch.where(before > 0, before, 1.0) * direction
        return gain

    def share(self, step: Tensor, price: Tensor) -> Tensor:
        """The largest s of 1, 1/2, ..., 1/256 that lowers |d_obs - F(D + s p)|^2 / gamma^2 + s^2 p^T C^-1 p, [B, 1].

        1 where F is linear. Where F bends within the step, a full one can end far from the data and farther still
        from the prior; on a wave equation it does, or it ends where F refuses to compute. 0 where no s helps. Each s
        tried costs a forward solve.

        Args:
            step: p, [B, d].
            price: p^T C^-1 p, [B, 1].
        """
        start = self.residual.double().square().sum(1, keepdim=True)
        share = torch.ones_like(price)
        for _ in range(MAX_HALVINGS + 1):
            trial = self._points + share * step
            data = tried(self._forward, trial, max_rows=len(trial), num_data=len(self._d_obs))
            squares = ((self._d_obs - data) / self._noise_std).double().square().sum(1, keepdim=True)
            worse = squares + share.square() * price > start * (1 + torch.finfo(step.dtype).eps)
            if not bool(worse.any()):
                break
            share = torch.where(worse, share / 2, share)
        return torch.where(worse, 0.0, share)
