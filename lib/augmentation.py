"""More velocity models from the same ones, by changes that a geologist would accept. Arrays are [n, nz, nx], m/s.

Velocities stay what they were; only places move. A flip of depth is not offered: velocity grows downwards.
"""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor
from torch.nn import functional

from lib import checks


def mirror(velocity: Tensor) -> Tensor:
    """Left and right exchanged, [n, nz, nx], m/s.

    Stands in for: the same section surveyed from the other side. Breaks down: where a region has one direction of dip.
    """
    return checks.tensor("velocity", velocity, shape=(None, None, None)).flip(2)


def shift(velocity: Tensor, down: Tensor, right: Tensor, *, grid_spacing: float) -> Tensor:
    """Each model moved by its own distances in metres, [n, nz, nx], m/s; what enters continues the edge.

    Stands in for: a section that begins elsewhere (right), sediments buried a little deeper or shallower (down).
    Breaks down: beyond a share of the thickness of the top layer, which the edge would invent.

    Args:
        velocity: Models, [n, nz, nx], m/s.
        down: Distance downwards, [n], m; negative is upwards.
        right: Distance to the right, [n], m.
        grid_spacing: Cell size, m.
    """
    velocity = checks.tensor("velocity", velocity, shape=(None, None, None))
    spacing = checks.positive("grid_spacing", grid_spacing)
    down, right = (checks.tensor(name, value, shape=(len(velocity),), like=velocity)
                   for name, value in (("down", down), ("right", right)))  # fmt: skip
    rows, columns = _cells(velocity)
    return _sample(velocity, rows - down[:, None] / spacing, columns - right[:, None] / spacing)


def stretch(velocity: Tensor, depth: Tensor, lateral: Tensor) -> Tensor:
    """Each model stretched by its own factors: in depth from the surface, laterally about its middle, m/s.

    Stands in for: thicker or thinner layers, folds of longer or shorter wavelength. Breaks down: a stretched depth
    keeps its velocities, so that their gradient with depth changes by 1 / factor.

    Args:
        velocity: Models, [n, nz, nx], m/s.
        depth: Factors in depth, [n], positive; 2 doubles the thickness of each layer.
        lateral: Factors across, [n], positive.
    """
    velocity = checks.tensor("velocity", velocity, shape=(None, None, None))
    for name, value in (("depth", depth), ("lateral", lateral)):
        if not bool((checks.tensor(name, value, shape=(len(velocity),), like=velocity) > 0).all()):
            raise ValueError(f"{name} must be positive, got a minimum of {float(value.min()):.3g}")
    rows, columns = _cells(velocity)
    middle = (velocity.shape[2] - 1) / 2
    # The surface is the upper edge of the first cell, half a cell above its centre.
    return _sample(velocity, (rows + 0.5) / depth[:, None] - 0.5, middle + (columns - middle) / lateral[:, None])


def augment(
    velocity: Tensor,
    copies: int,
    *,
    grid_spacing: float,
    max_shift: tuple[float, float] = (50.0, 400.0),
    max_stretch: tuple[float, float] = (1.1, 1.25),
    generator: torch.Generator | None = None,
) -> Tensor:
    """The models themselves, then `copies` changed ones of each: mirrored or not, shifted, stretched, all at random.

    Args:
        velocity: Models, [n, nz, nx], m/s.
        copies: Changed models of each.
        grid_spacing: Cell size, m.
        max_shift: Largest shift down and to the right, m; drawn evenly in both directions.
        max_stretch: Largest factors in depth and across, at least 1; log-factors are drawn evenly about 0.
        generator: Source of the changes.

    Returns:
        [n (1 + copies), nz, nx], m/s, the unchanged models first.

    Raises:
        TypeError, ValueError: Bad models or numbers.
    """
    velocity = checks.tensor("velocity", velocity, shape=(None, None, None))
    max_shift, max_stretch = _bounds("max_shift", max_shift, 0), _bounds("max_stretch", max_stretch, 1)
    generator = checks.random_source(generator, velocity.device)
    many = velocity.repeat(checks.count("copies", copies), 1, 1)
    numbers = 2 * torch.rand(5, len(many), generator=generator, dtype=many.dtype, device=many.device) - 1
    many = torch.where((numbers[0] > 0)[:, None, None], mirror(many), many)
    factors = [bound**number for bound, number in zip(max_stretch, numbers[1:3], strict=True)]
    distances = [bound * number for bound, number in zip(max_shift, numbers[3:5], strict=True)]
    return torch.cat([velocity, shift(stretch(many, *factors), *distances, grid_spacing=grid_spacing)])


def _bounds(name: str, pair: object, smallest: int) -> tuple[float, float]:
    """Two finite numbers of at least `smallest`, or what is wrong with them (TypeError, ValueError)."""
    if not isinstance(pair, (tuple, list)) or any(isinstance(b, bool) or not isinstance(b, Real) for b in pair):
        raise TypeError(f"{name} must be a pair of numbers, got {pair!r}")
    if len(pair) != 2:
        raise ValueError(f"{name} must be a pair of numbers, got {tuple(pair)}")
    if not all(math.isfinite(bound) and bound >= smallest for bound in pair):
        raise ValueError(f"{name} must be finite and at least {smallest}, got {tuple(pair)}")
    return float(pair[0]), float(pair[1])


def _cells(velocity: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column numbers, [1, nz] and [1, nx]."""
    return tuple(torch.arange(size).to(velocity)[None] for size in velocity.shape[1:])


def _sample(velocity: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values at rows [n, nz] and columns [n, nx] (in cells), between cells linearly, beyond the edges the edge."""
    _, nz, nx = velocity.shape
    grid = torch.stack(torch.broadcast_tensors(
        (2 * columns[:, None, :] + 1) / nx - 1, (2 * rows[:, :, None] + 1) / nz - 1
    ), 3)  # fmt: skip
    moved = functional.grid_sample(velocity[:, None], grid, padding_mode="border", align_corners=False)
    return moved[:, 0]
