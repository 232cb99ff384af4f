"""Velocity models on a coarser grid, without aliasing."""

from __future__ import annotations

import math

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
    models = _speeds(models)
    nz, nx = grid(shape)
    if nz > models.shape[1] or nx > models.shape[2]:
        raise ValueError(f"shape must be at most the models' {list(models.shape[1:])}, got {[nz, nx]}")
    return _averaged(models, average, (nz, nx), (models.shape[1] / nz, models.shape[2] / nx))


def resample_to_spacing(
    models: Tensor, grid_spacing: float, new_spacing: float, *, average: str = "squared slowness"
) -> Tensor:
    """Velocity models on square cells of another, larger size; see `resample`.

    The part of a new cell that is left over at the bottom and at the right edge is cut off.

    Args:
        models: Wave speeds, [n, nz, nx], m/s.
        grid_spacing: Size of their cells, m.
        new_spacing: Size of the new cells, m.
        average: As for `resample`.

    Raises:
        TypeError, ValueError: As for `resample`; a size that is not positive, or leaves fewer than two cells a side.
    """
    models = _speeds(models)
    old, new = (
        checks.positive(name, value)
        for name, value in (("grid_spacing", grid_spacing), ("new_spacing", new_spacing))
    )
    if new < old:
        raise ValueError(f"new_spacing must be at least grid_spacing ({old:g} m), got {new:g}")
    # 64 cells of 12.5 m are 32 of 25 m, also where rounding says 31.999...
    sides = [math.floor(side * old / new + 1e-9) for side in models.shape[1:]]
    if min(sides) < 2:
        raise ValueError(f"new_spacing must leave at least two cells a side, got {new:g} m, which leaves {sides}")
    return _averaged(models, average, sides, (new / old, new / old))


def _averaged(models: Tensor, average: str, sides: tuple[int, int] | list[int], ratios: tuple[float, float]) -> Tensor:
    if average not in tuple(_POWERS):
        raise ValueError(f"average must be one of {tuple(_POWERS)}, got {average!r}")
    power = _POWERS[average]
    down, along = (_triangles(old, new, r) for old, new, r in zip(models.shape[1:], sides, ratios, strict=True))
    return (down.to(models) @ models**power @ along.to(models).T) ** (1 / power)


def _triangles(old: int, new: int, ratio: float) -> Tensor:
    """Weights [new, old] of triangles around the centres of new cells, `ratio` old cells wide; rows sum to 1."""
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) * ratio
    distance = (torch.arange(old, dtype=torch.float64) + 0.5 - centres[:, None]).abs()
    weights = (1 - distance / ratio).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)


def _speeds(models: object) -> Tensor:
    models = checks.tensor("models", models, shape=(None, None, None))
    if not bool((models > 0).all()):
        raise ValueError(f"models must be positive, got a smallest speed of {float(models.min()):g}")
    return models
