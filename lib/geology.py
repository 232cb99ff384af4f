"""Generators of simple geology: flat, folded and faulted layers, and salt. Arrays are [n, nz, nx], depth first, m/s."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lib import checks


def grid(shape: object) -> tuple[int, int]:
    """Return a grid's shape as (nz, nx), or say what is wrong with it; at least two cells a side."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"shape must be (nz, nx), got {shape!r}")
    if len(shape) != 2:
        raise ValueError(f"shape must be (nz, nx), got {tuple(shape)}")
    nz, nx = (checks.count("shape", side, minimum=2) for side in shape)
    return nz, nx


def layered(
    n: int,
    shape: tuple[int, int],
    *,
    num_layers: int = 6,
    top: float = 1600.0,
    bottom: float = 4000.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Flat layers whose velocities grow with depth on average, [n, nz, nx], m/s.

    Stands in for: an undisturbed sedimentary basin. Breaks down: no lateral change at all, no gradient in a layer.

    Args:
        n: Number of models.
        shape: Grid (nz, nx).
        num_layers: Layers in each model.
        top: Mean velocity of the first layer, m/s.
        bottom: Mean velocity of the last layer, m/s.
    """
    n, (nz, nx) = checks.count("n", n), grid(shape)
    generator = checks.random_source(generator, torch.get_default_device())
    depth = torch.arange(nz, dtype=torch.float64)[None, :, None].expand(n, nz, nx)
    return _stack(depth, num_layers, top, bottom, generator)


def folded(
    n: int,
    shape: tuple[int, int],
    *,
    num_layers: int = 6,
    amplitude: float = 0.1,
    top: float = 1600.0,
    bottom: float = 4000.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Layers bent by a sum of three sines, [n, nz, nx], m/s.

    Stands in for: gently folded sediments. Breaks down: every interface has the same shape; no overturned folds.

    Args:
        n: Number of models.
        shape: Grid (nz, nx).
        amplitude: Standard deviation of the bend, as a share of the depth.
        num_layers, top, bottom: As in `layered`.
    """
    return _stack(_folded_depth(n, shape, amplitude, generator), num_layers, top, bottom, generator)


def faulted(
    n: int,
    shape: tuple[int, int],
    *,
    num_layers: int = 6,
    amplitude: float = 0.06,
    throw: float = 0.15,
    top: float = 1600.0,
    bottom: float = 4000.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Folded layers cut by one straight, dipping fault, [n, nz, nx], m/s.

    Stands in for: a tilted block with a normal or reverse fault. Breaks down: one fault only, no drag, no fill.

    Args:
        n: Number of models.
        shape: Grid (nz, nx).
        throw: Largest vertical displacement, as a share of the depth.
        amplitude, num_layers, top, bottom: As in `folded`.
    """
    throw = checks.positive("throw", throw)
    depth = _folded_depth(n, shape, amplitude, generator)
    nz, nx = shape
    draw = torch.rand(n, 3, generator=generator, dtype=torch.float64)
    foot = (0.25 + 0.5 * draw[:, 0]) * nx
    slope = 0.8 * (draw[:, 1] - 0.5)
    shift = 2 * throw * nz * (draw[:, 2] - 0.5)
    trace = foot[:, None] + slope[:, None] * torch.arange(nz, dtype=torch.float64)
    beyond = torch.arange(nx, dtype=torch.float64)[None, None, :] > trace[:, :, None]
    return _stack(depth + shift[:, None, None] * beyond, num_layers, top, bottom, generator)


def salt(
    n: int,
    shape: tuple[int, int],
    *,
    num_layers: int = 6,
    amplitude: float = 0.06,
    salt_velocity: float = 4500.0,
    top: float = 1600.0,
    bottom: float = 4000.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Folded layers with one salt body, an ellipse of constant velocity at half depth, [n, nz, nx], m/s.

    Stands in for: a detached salt body in sediments. Breaks down: a smooth outline, no overhang, layers that do not
    bend around it.

    Args:
        n: Number of models.
        shape: Grid (nz, nx).
        salt_velocity: Velocity inside, m/s.
        amplitude, num_layers, top, bottom: As in `folded`.
    """
    salt_velocity = checks.positive("salt_velocity", salt_velocity)
    layers = _stack(_folded_depth(n, shape, amplitude, generator), num_layers, top, bottom, generator)
    nz, nx = shape
    draw = torch.rand(4, n, 1, 1, generator=generator, dtype=torch.float64)
    depth, place = (0.4 + 0.2 * draw[0]) * nz, (0.3 + 0.4 * draw[1]) * nx
    height, width = (0.12 + 0.1 * draw[2]) * nz, (0.15 + 0.15 * draw[3]) * nx
    rows, columns = (torch.arange(size, dtype=torch.float64) + 0.5 for size in (nz, nx))
    inside = ((rows[:, None] - depth) / height).square() + ((columns - place) / width).square() < 1
    return torch.where(inside, salt_velocity, layers)


def _folded_depth(n: int, shape: tuple[int, int], amplitude: float, generator: torch.Generator | None) -> Tensor:
    """Depth below the bent datum in cells, [n, nz, nx]."""
    n = checks.count("n", n)
    nz, nx = grid(shape)
    amplitude = checks.positive("amplitude", amplitude)
    generator = checks.random_source(generator, torch.get_default_device())
    waves = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    phases = 2 * math.pi * torch.rand(n, 3, generator=generator, dtype=torch.float64)
    cycles = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    along = 2 * math.pi * cycles[:, None] * torch.arange(nx, dtype=torch.float64) / nx
    bend = (waves[:, :, None] * torch.sin(along + phases[:, :, None])).sum(1) * amplitude * nz / math.sqrt(1.5)
    return torch.arange(nz, dtype=torch.float64)[None, :, None] + bend[:, None, :]


def _stack(depth: Tensor, num_layers: int, top: float, bottom: float, generator: torch.Generator | None) -> Tensor:
    """Fill random layers along a depth coordinate [n, nz, nx] with velocities that grow downwards on average."""
    n, nz = len(depth), depth.shape[1]
    num_layers = checks.count("num_layers", num_layers)
    checks.positive("top", top), checks.positive("bottom", bottom)
    cuts = torch.rand(n, num_layers - 1, generator=generator, dtype=torch.float64).sort(1).values * nz
    layer = (depth[:, :, :, None] > cuts[:, None, None, :]).sum(-1)
    trend = torch.linspace(top, bottom, num_layers, dtype=torch.float64)
    jitter = 0.08 * torch.randn(n, num_layers, generator=generator, dtype=torch.float64)
    speeds = (trend * (1 + jitter)).clamp(0.6 * min(top, bottom), 1.4 * max(top, bottom))
    return speeds.gather(1, layer.reshape(n, -1)).reshape(depth.shape)
