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
    salt_velocity: float = 4500.0,
    size: float = 0.25,
    roughness: float = 0.15,
    num_layers: int = 6,
    amplitude: float = 0.06,
    top: float = 1600.0,
    bottom: float = 3500.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Folded layers that hold one salt body of constant velocity, [n, nz, nx], m/s.

    Around its centre the body's edge is at r(a) = r_0 (1 + sum_k c_k cos(k a + p_k)), k = 2 ... 5, half as high to
    once as high as wide.

    Stands in for: a salt pillow or stock, whose contrast scatters and shades what lies below. Breaks down: one body,
    with an outline that the centre sees all of; sediments are neither bent nor broken by it; pure salt.

    Args:
        n: Number of models.
        shape: Grid (nz, nx).
        salt_velocity: Wave speed of the salt, m/s.
        size: Mean radius r_0, as a share of the shorter side; at most 0.5.
        roughness: Standard deviation of the radius, as a share of r_0; at most 0.3, where the outline stays simple.
        num_layers, amplitude, top, bottom: Of the sediments, as in `folded`.
    """
    salt_velocity = checks.positive("salt_velocity", salt_velocity)
    size, roughness = checks.positive("size", size), checks.positive("roughness", roughness)
    if size > 0.5 or roughness > 0.3:
        raise ValueError(f"size must be at most 0.5 and roughness at most 0.3, got {size} and {roughness}")
    sediments = _stack(_folded_depth(n, shape, amplitude, generator), num_layers, top, bottom, generator)
    nz, nx = shape
    draw = torch.rand(n, 3, generator=generator, dtype=torch.float64)
    centre_z, centre_x = (0.4 + 0.3 * draw[:, 0]) * nz, (0.25 + 0.5 * draw[:, 1]) * nx
    flatness = 1 + draw[:, 2]
    waves = torch.randn(n, 4, generator=generator, dtype=torch.float64) * roughness * math.sqrt(2 / 4)
    phases = 2 * math.pi * torch.rand(n, 4, generator=generator, dtype=torch.float64)
    down = torch.arange(nz, dtype=torch.float64)[None, :, None] + 0.5 - centre_z[:, None, None]
    along = torch.arange(nx, dtype=torch.float64)[None, None, :] + 0.5 - centre_x[:, None, None]
    down, along = (way.expand(n, nz, nx) for way in (down * flatness[:, None, None], along))
    angle = torch.atan2(down, along)
    edge = torch.ones_like(angle)
    for k in range(4):
        edge = edge + waves[:, k, None, None] * torch.cos((k + 2) * angle + phases[:, k, None, None])
    inside = torch.hypot(down, along) < size * min(nz, nx) * edge
    return torch.where(inside, salt_velocity, sediments)


def _folded_depth(n: int, shape: tuple[int, int], amplitude: float, generator: torch.Generator | None) -> Tensor:
    """Depth below the bent datum in cells, [n, nz, nx]."""
    n = checks.count("n", n)
    nz, nx = grid(shape)
    amplitude = checks.positive("amplitude", amplitude)
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
