"""Hamiltonian dynamics about a Gaussian reference: the whitened posterior, its integrator, the tuning of its step."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks
from lib.checks import Forward
from lib.jacobian import jacobians

LogPrior = Callable[[Tensor], Tensor]
QUARTER_TURN = math.pi / 2  # after it a Gaussian has forgotten where it was


class WhitenedPosterior:
    """U = -log p(x) + |d_obs - F(x)|^2 / (2 gamma^2) in coordinates z, x = centre + L z, that make it nearly |z|^2 / 2.

    L L^T is the inverse of H = -grad^2 log p + J^T J / gamma^2 at the centre, the Gauss-Newton Hessian; where the prior
    is not log-concave there, the sizes of the eigenvalues of H stand for them. The centre then takes one Newton step,
    if that lowers U. All sums are in double precision.

    Args:
        forward: Batched map [B, d] -> [B, m], differentiable in both modes.
        d_obs: Observed data, [m].
        noise_std: Standard deviation gamma of their noise.
        centre: Where to linearize, [d].
        log_prior: Log-density of the prior up to a constant, [B, d] -> [B], twice differentiable.
    """

    def __init__(self, forward: Forward, d_obs: Tensor, noise_std: float, centre: Tensor, log_prior: LogPrior):
        self._forward, self._d_obs, self._noise_std, self._log_prior = forward, d_obs, noise_std, log_prior
        self._centre = centre.double()
        self._dtype = centre.dtype
        _, slopes = jacobians(forward, centre[None], num_data=len(d_obs))
        scaled = slopes[0].detach().double() / noise_std
        hessian = _prior_precision(log_prior, centre).double() + scaled.T @ scaled
        sizes, self._axes = torch.linalg.eigh((hessian + hessian.T) / 2)
        self._scales = sizes.abs().clamp_min(1e-12 * sizes.abs().max()).rsqrt()
        # A centre that is not quite the mode leaves a constant force, which the turns would not integrate exactly.
        origin = self._axes.new_zeros(1, len(centre))
        energy, slope = self._potential(origin)
        if bool(self(-slope)[0] < energy):
            self._centre = self._centre - ((slope * self._scales) @ self._axes.T)[0]

    def to_model(self, z: Tensor) -> Tensor:
        """x = centre + L z, [B, d], in the precision of the centre."""
        return (self._centre + (z * self._scales) @ self._axes.T).to(self._dtype)

    def whiten(self, x: Tensor) -> Tensor:
        """z of models x, [B, d], double precision."""
        return ((x.double() - self._centre) @ self._axes) / self._scales

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """U [B] and its gradient by z [B, d]; infinity and 0 where F or p leaves the numbers or refuses the place."""
        try:
            return self._potential(z)
        except ValueError:  # one row beyond the speeds of a survey must not end all chains
            if len(z) == 1:
                return z.new_full((1,), torch.inf), torch.zeros_like(z)
            energies, slopes = zip(*(self(row[None]) for row in z), strict=True)
            return torch.cat(energies), torch.cat(slopes)

    def _potential(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x = self.to_model(z)
        inside = torch.isfinite(x).all(1)
        x = torch.where(inside[:, None], x, self._centre.to(x))
        with torch.enable_grad():
            x = x.requires_grad_()
            data = self._forward(x.clone())
            misfit = ((self._d_obs - data) / self._noise_std).double().square().sum(1) / 2
            energy = misfit - self._log_prior(x).double()
            (slope,) = torch.autograd.grad(energy.sum(), x)
        inside = inside & torch.isfinite(energy) & torch.isfinite(slope).all(1)
        slope = (slope.double() @ self._axes) * self._scales
        return torch.where(inside, energy.detach(), torch.inf), torch.where(inside[:, None], slope, 0.0)

    def start(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The same at first states, with a map or a prior of the wrong shape refused (TypeError, ValueError)."""
        x = self.to_model(z)
        checks.apply_forward(self._forward, x, num_data=len(self._d_obs))
        with torch.enable_grad():
            density = self._log_prior(x.requires_grad_())
        if not isinstance(density, Tensor) or density.shape != (len(x),):
            found = list(density.shape) if isinstance(density, Tensor) else type(density).__name__
            raise ValueError(f"log_prior must map a batch [B, d] to [B], it mapped {list(x.shape)} to {found}")
        if not density.requires_grad:
            raise ValueError(
                "log_prior must be differentiable, its output does not depend on x as far as autograd sees"
            )
        energy, slope = self._potential(z)
        if not bool(torch.isfinite(energy).all()):
            raise ValueError(f"starts must have a finite posterior density, got potentials {energy.tolist()}")
        return energy, slope


def turn(
    target: WhitenedPosterior, z: Tensor, momentum: Tensor, slope: Tensor, angle: float, num_steps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`num_steps` of half a kick, a turn by `angle`, half a kick: new z, momentum, U and slope.

    The turn solves the dynamics of |z|^2 / 2 exactly; the kicks add what U is more than that. Reversible, and volumes
    stay. Source: Beskos et al. (2011).
    """
    cosine, sine, energy = math.cos(angle), math.sin(angle), None
    for _ in range(num_steps):
        momentum = momentum - angle / 2 * (slope - z)
        z, momentum = cosine * z + sine * momentum, cosine * momentum - sine * z
        energy, slope = target(z)
        momentum = momentum - angle / 2 * (slope - z)
    return z, momentum, energy, slope


class DualAveraging:
    """Tunes the angle so that proposals are accepted with the probability wanted, up to a largest angle.

    Source: Hoffman and Gelman (2014), section 3.2, with their constants .05, 10 and .75.
    """

    def __init__(self, target: float, largest: float):
        self._target, self._top, self._count = target, math.log(largest), 0
        self._gap, self._average = 0.0, self._top
        self.angle = largest / 2

    def update(self, acceptance: float) -> None:
        """Learn from the mean acceptance probability of one proposal."""
        self._count += 1
        share = 1 / (self._count + 10)
        self._gap = (1 - share) * self._gap + share * (self._target - acceptance)
        log_angle = min(self._top, self._top - math.sqrt(self._count) / 0.05 * self._gap)
        weight = self._count**-0.75
        self._average = weight * log_angle + (1 - weight) * self._average
        self.angle = math.exp(log_angle)

    def settle(self) -> None:
        """End of the warm-up: the average of the angles tried, later ones counting more."""
        if self._count:
            self.angle = math.exp(self._average)


def _prior_precision(log_prior: LogPrior, centre: Tensor) -> Tensor:
    """-grad^2 log p at a point, [d, d]."""
    try:
        hessian = torch.autograd.functional.hessian(lambda x: log_prior(x[None])[0], centre)
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"log_prior must map [B, d] to [B] and be twice differentiable; it failed: {error}") from error
    checks.finite("second derivative of log_prior at centre", hessian)
    return -hessian
