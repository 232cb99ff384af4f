"""Acoustic seismics on deepwave: the wave equation as a batched forward map, and the noise of its data."""

from __future__ import annotations

from collections.abc import Callable

import deepwave
import torch
from torch import Tensor
from torch.autograd import forward_ad

from lib import checks
from lib.acquisition import Acquisition
from lib.band import Band
from lib.born import BornForward, scattered
from lib.thinned import Thinned

__all__ = ["AcousticForward", "Acquisition", "BornForward", "Thinned", "VelocityForward", "add_noise"]


class AcousticForward:
    """Shot records of velocity models by the constant-density acoustic wave equation.

    u_tt = v^2 (laplace u - source), fourth order in space, absorbing layers on all four sides (no free surface); the
    wavelet drives one cell, so a point source has the strength wavelet x cell area. All shots of all models run in
    one call; the result is differentiable in forward and reverse mode. Computes in the dtype and on the device of the
    velocity it is given.

    Source: Richardson, deepwave (2023).

    Args:
        acquisition: The survey.
    """

    def __init__(self, acquisition: Acquisition):
        if not isinstance(acquisition, Acquisition):
            raise TypeError(f"acquisition must be an Acquisition, got {type(acquisition).__name__}")
        self.acquisition, self._band = acquisition, Band(acquisition)

    @property
    def internal_steps(self) -> int:
        """Solver steps in each dt, see `Acquisition.internal_steps`."""
        return self.acquisition.internal_steps

    def __call__(self, velocity: Tensor) -> Tensor:
        """Model the data.

        Args:
            velocity: Wave speed, [B, nz, nx], m/s, between 1 and `acquisition.max_vel`.

        Returns:
            Pressure at the receivers, [B, shot, receiver, time].

        Raises:
            TypeError, ValueError: Not a finite float32 or float64 tensor of that shape, or speeds out of bounds.
        """
        survey = self.acquisition
        velocity = survey.checked_velocity("velocity", velocity)
        speed, tangent = forward_ad.unpack_dual(velocity)
        if tangent is not None:  # the data come with their derivative, from one solve
            return forward_ad.make_dual(*scattered(survey, speed, tangent))
        batch, shots = len(velocity), survey.num_shots
        records = deepwave.scalar(
            velocity.repeat_interleave(shots, 0),
            survey.grid_spacing,
            survey.dt,
            receiver_locations=survey.receiver_locations.to(velocity.device).repeat(batch, 1, 1),
            **survey.solver_options(velocity),
        ).receiver_amplitudes
        return self._band.limit(records.contiguous()).reshape(batch, shots, *records.shape[1:])


class VelocityForward:
    """The flattened forward map F: [B, d] -> [B, m] of an inversion.

    Args:
        to_velocity: Map from parameters [B, d] to wave speeds [B, nz, nx], m/s; for pixels,
            `lambda x: x.reshape(-1, nz, nx)`. For a Born operator: to perturbations of the speed.
        acoustic: The wave equation, or its Born operator: with a linear `to_velocity` F is then linear. Either may be
            `Thinned`.
    """

    def __init__(self, to_velocity: Callable[[Tensor], Tensor], acoustic: AcousticForward | BornForward | Thinned):
        if not callable(to_velocity):
            raise TypeError(f"to_velocity must be callable, got {type(to_velocity).__name__}")
        if not isinstance(acoustic, (AcousticForward, BornForward, Thinned)):
            found = type(acoustic).__name__
            raise TypeError(f"acoustic must be an AcousticForward, got {found} (BornForward and Thinned would do, too)")
        self.to_velocity, self.acoustic = to_velocity, acoustic

    def __call__(self, x: Tensor) -> Tensor:
        """Data of parameters x [B, d], flattened over shot, receiver and time, [B, m]."""
        return self.acoustic(self.to_velocity(x)).flatten(1)


def add_noise(data: Tensor, noise_std: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Data plus white Gaussian noise of standard deviation `noise_std`, in units of the data; any shape."""
    data = checks.tensor("data", data, shape=(None,) * getattr(data, "ndim", 1))
    noise_std = checks.positive("noise_std", noise_std, dtype=data.dtype)
    generator = checks.random_source(generator, data.device)
    return data + noise_std * torch.empty_like(data).normal_(generator=generator)
