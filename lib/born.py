"""The Born operator: the wave equation linearized about a background velocity, a linear forward map."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import deepwave
import torch
from torch import Tensor

from lib import checks
from lib.acquisition import Acquisition
from lib.band import Band


class BornForward:
    """Scattered shot records of a small velocity perturbation, singly scattered: B p = dF/dv(background) p.

    The background field u and the scattered field w obey, with v the background and p the perturbation,

    u_tt = v^2 (laplace u - source),  w_tt = v^2 laplace w + 2 (p / v) u_tt,

    so the data are linear in p, and equal to the derivative of `AcousticForward` at the background in the direction p.
    Differentiable in forward and reverse mode; computes in the dtype and on the device of the perturbation.

    Stands in for: imaging of what a smooth background leaves out (linearized inversion, least-squares migration).
    Breaks down: no multiple scattering and no change of travel times; a long or strong perturbation needs the full
    equation.

    Source: Richardson, deepwave (2023); the Born approximation: Tarantola (1984).

    Args:
        acquisition: The survey.
        background: Wave speed to linearize about, [nz, nx], m/s.

    Raises:
        TypeError, ValueError: Not a survey, or speeds of another shape or out of the survey's bounds.
    """

    def __init__(self, acquisition: Acquisition, background: Tensor):
        if not isinstance(acquisition, Acquisition):
            raise TypeError(f"acquisition must be an Acquisition, got {type(acquisition).__name__}")
        background = checks.tensor("background", background, shape=acquisition.shape)
        self.acquisition, self._band = acquisition, Band(acquisition)
        self.background = acquisition.checked_velocity("background", background[None])[0].detach()

    @property
    def internal_steps(self) -> int:
        """Solver steps in each dt, see `Acquisition.internal_steps`."""
        return self.acquisition.internal_steps

    def __call__(self, perturbation: Tensor) -> Tensor:
        """Model the scattered data.

        Args:
            perturbation: Change of the wave speed, [B, nz, nx], m/s, of either sign and any size.

        Returns:
            Scattered pressure at the receivers, [B, shot, receiver, time].

        Raises:
            TypeError, ValueError: Not a finite float32 or float64 tensor of that shape.
        """
        perturbation = checks.tensor("perturbation", perturbation, shape=(None, *self.acquisition.shape))
        return _Linear.apply(perturbation, self._solve)

    def _solve(self, perturbation: Tensor) -> Tensor:
        _, records = scattered(self.acquisition, self.background.to(perturbation), perturbation)
        return self._band.limit(records)


def scattered(survey: Acquisition, velocity: Tensor, perturbation: Tensor) -> tuple[Tensor, Tensor]:
    """Records of velocities, and their derivative along perturbations, from one solve of both wave equations.

    Args:
        survey: The survey.
        velocity: Wave speeds, [B, nz, nx] or [nz, nx], m/s.
        perturbation: Their changes, [B, nz, nx], m/s.

    Returns:
        F(v) and dF/dv p, [B, shot, receiver, time].
    """
    batch, shots = len(perturbation), survey.num_shots
    receivers = survey.receiver_locations.to(perturbation.device).repeat(batch, 1, 1)
    with warnings.catch_warnings():
        # What we rely on: a perturbation in the outermost cells goes on into the absorbing layer.
        warnings.filterwarnings("ignore", message="dv is non-zero in the outermost cells")
        outputs = deepwave.scalar_born(
            velocity.expand_as(perturbation).repeat_interleave(shots, 0),
            survey.grid_spacing,
            survey.dt,
            dv=perturbation.repeat_interleave(shots, 0),
            bg_receiver_locations=receivers,
            sc_receiver_locations=receivers,
            **survey.solver_options(perturbation),
        )
    found = outputs.bg_receiver_amplitudes, outputs.sc_receiver_amplitudes
    return tuple(records.contiguous().reshape(batch, shots, *records.shape[1:]) for records in found)


class _Linear(torch.autograd.Function):
    """A linear map whose solver knows reverse mode only: forward mode is the map itself."""

    @staticmethod
    def forward(x: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
        """The map."""
        return solve(x)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep the shape of x and the map: the adjoint does not depend on where it is taken."""
        ctx.like, ctx.solve = torch.zeros_like(inputs[0]), inputs[1]

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor, None]:
        """Its adjoint, by the solver's reverse mode."""
        with torch.enable_grad():
            anywhere = ctx.like.requires_grad_()
            records = ctx.solve(anywhere)
        return torch.autograd.grad(records, anywhere, cotangent)[0], None

    @staticmethod
    def jvp(ctx, tangent: Tensor, _) -> Tensor:
        """Its derivative."""
        return ctx.solve(tangent)
