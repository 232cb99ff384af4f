"""Velocity models on a coarser grid, without aliasing."""

from __future__ import annotations

import torch
from torch import Tensor

from lib import checks
from lib.geology import grid

# What is averaged, as a power of the velocity.
_POWERS = {"squared slowness": -2, "slowness": -1, "velocity": 1}


def resample(models: Tensor, shape: tuple[int, int], *, average: str = "squared slowness") -> Tensor:
    """Velocity models on a coarser grid of the same extent.

    Each new cell is a weighted mean with a triangle that is two new cells wide, so that what the new grid cannot carry
    is damped before it is sampled: at f cycles per new cell to sinc(f)^2, 9 % at 1.5 times the new Nyquist frequency
    (a plain mean over the new cell leaves 30 %, picking every k-th cell everything). Weights are positive and sum to
    one: no ringing at an interface, no speed beyond those of the models, a constant stays constant.

    What is averaged is a choice. Waves much longer than the cells, in the wave equation of constant density that
    `lib.seismic` solves (v^-2 u_tt = laplacian u), see the mean of v^-2 in every direction; that is the default.
    "slowness" keeps the vertical travel time of waves much shorter than the layers; "velocity" keeps neither, and is
    the fastest of the three.

    Args:
        models: Wave speeds, [n, nz, nx], m/s.
        shape: The new grid (nz, nx). Where the ratio of the sides changes, cells are no longer as high as wide.
        average: "squared slowness", "slowness" or "velocity".

    Returns:
        Wave speeds on the new grid, [n, nz, nx], m/s, in the dtype of the models.

    Raises:
        TypeError, ValueError: Bad models, a speed that is not positive, a shape finer than theirs (interpolation would
            add cells, not detail), or an unknown average.
    """
    models = checks.tensor("models", models, shape=(None, None, None))
    if not bool((models > 0).all()):
        raise ValueError(f"models must be positive, got a smallest speed of {float(models.min()):g}")
    nz, nx = grid(shape)
    if nz > models.shape[1] or nx > models.shape[2]:
        raise ValueError(f"shape must be at most the models' {list(models.shape[1:])}, got {[nz, nx]}")
    if average not in tuple(_POWERS):
        raise ValueError(f"average must be one of {tuple(_POWERS)}, got {average!r}")
    power = _POWERS[average]
    down, along = _triangles(models.shape[1], nz), _triangles(models.shape[2], nx)
    return (down.to(models) @ models**power @ along.to(models).T) ** (1 / power)


def _triangles(old: int, new: int) -> Tensor:
    """Weights [new, old] of triangles around the centres of new cells, two of these wide; rows sum to 1."""
    ratio = old / new
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) * ratio
    distance = (torch.arange(old, dtype=torch.float64) + 0.5 - centres[:, None]).abs()
    weights = (1 - distance / ratio).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
