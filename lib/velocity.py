"""Velocity models in m/s: a smooth Gaussian field in a cosine basis; generators and loaders are importable too."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from lib import checks
from lib.constants import Constant
from lib.download import PUBLIC_MODELS, fetch_velocity_models
from lib.geology import faulted, folded, grid, layered, salt
from lib.loaders import load_velocity_models
from lib.resampling import resample

__all__ = [
    "CosineField",
    "PUBLIC_MODELS",
    "faulted",
    "fetch_velocity_models",
    "folded",
    "layered",
    "load_velocity_models",
    "resample",
    "salt",
]


class CosineField:
    """Smooth velocity fields from standard-normal coefficients: a Karhunen-Loeve expansion in cosines.

    field(z, x) = std sum_k c_k sqrt(lambda_k) cos(pi i_k (z + 1/2) / nz) cos(pi j_k (x + 1/2) / nx) / norm_k,
    with lambda_k the (normalized) Gaussian spectrum of correlation length `corr_length`, over the num_modes modes of
    largest lambda, those with i = 0 or j = 0 included: they carry most of the variance. The velocity is the
    background plus the field, bent by a tanh so that it stays inside [min_vel, max_vel] for any coefficients.

    Stands in for: smooth lateral and vertical variations of a sedimentary section, with a known population prior
    N(0, I). Breaks down: no interfaces, faults or salt; statistics are the same everywhere.

    Args:
        shape: Grid (nz, nx).
        num_modes: Number of coefficients d.
        corr_length: Correlation length, in cells.
        std: Standard deviation of the field, m/s.
        top: Background velocity at the surface, m/s.
        bottom: Background velocity at the largest depth, m/s.
        min_vel: Lower bound, m/s.
        max_vel: Upper bound, m/s.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        num_modes: int,
        *,
        corr_length: float = 8.0,
        std: float = 250.0,
        top: float = 1800.0,
        bottom: float = 3000.0,
        min_vel: float = 1400.0,
        max_vel: float = 4000.0,
    ):
        nz, nx = grid(shape)
        num_modes = checks.count("num_modes", num_modes)
        if num_modes > nz * nx:
            raise ValueError(f"num_modes must be at most the number of cells ({nz * nx}), got {num_modes}")
        corr_length, std, top, bottom, min_vel, max_vel = (
            checks.positive(name, value, dtype=torch.float64)
            for name, value in zip(
                ("corr_length", "std", "top", "bottom", "min_vel", "max_vel"),
                (corr_length, std, top, bottom, min_vel, max_vel),
                strict=True,
            )
        )
        if not 0 < min_vel < min(top, bottom) <= max(top, bottom) < max_vel:
            raise ValueError(
                "min_vel, top, bottom and max_vel must satisfy 0 < min_vel < top, bottom < max_vel, "
                f"got {min_vel}, {top}, {bottom}, {max_vel}"
            )
        self.shape, self.num_modes = (nz, nx), num_modes
        self.bounds = (min_vel, max_vel)
        self.modes, variances = _largest_modes(nz, nx, num_modes, corr_length)
        depth_part = _cosines(nz)[self.modes[:, 0]]
        lateral_part = _cosines(nx)[self.modes[:, 1]]
        basis = depth_part[:, :, None] * lateral_part[:, None, :]
        self.basis = basis * (std * variances.sqrt())[:, None, None]
        self.background = torch.linspace(top, bottom, nz, dtype=torch.float64)[:, None].expand(nz, nx)
        self._modes = Constant(self.basis.flatten(1))
        # The argument of the tanh is linear in (coefficients, 1): one product, since in forward mode each sum and each
        # product with a constant takes torch a fifth of a millisecond.
        middle, half = self._middle_and_half()
        self._ends = tuple(Constant(torch.tensor(end, dtype=torch.float64)) for end in (middle, max_vel))
        self._bent = Constant(torch.cat([self.basis.flatten(1), self.background.reshape(1, -1) - middle]) / half)

    def field(self, coefficients: Tensor) -> Tensor:
        """The Gaussian field alone, [B, d] -> [B, nz, nx], m/s."""
        coefficients = checks.tensor("coefficients", coefficients, shape=(None, self.num_modes))
        return (coefficients @ self._modes.like(coefficients)).reshape(-1, *self.shape)

    def __call__(self, coefficients: Tensor) -> Tensor:
        """Velocity models of coefficients [B, d]: [B, nz, nx], m/s, inside the bounds."""
        coefficients = checks.tensor("coefficients", coefficients, shape=(None, self.num_modes))
        extended = torch.nn.functional.pad(coefficients, (0, 1), value=1.0)
        return self._bend((extended @ self._bent.like(coefficients)).reshape(-1, *self.shape))

    def bounded(self, velocity: Tensor) -> Tensor:
        """Any velocities [B, nz, nx], m/s, bent by a tanh so that they stay inside the bounds."""
        velocity = checks.tensor("velocity", velocity, shape=(None, *self.shape))
        middle, half = self._middle_and_half()
        return self._bend((velocity - middle) / half)

    def _middle_and_half(self) -> tuple[float, float]:
        low, high = self.bounds
        return (low + high) / 2, (high - low) / 2

    def _bend(self, place: Tensor) -> Tensor:
        """Velocities, m/s, of (velocity - middle) / half; nothing changes near 0, and nothing passes the bounds."""
        # In float32 the sum may round to a number beyond the bounds, which the wave equation would refuse.
        low, high = _inside(self.bounds, place.dtype)
        centre, top = (end.like(place) for end in self._ends)
        return torch.lerp(centre, top, torch.tanh(place)).clamp(low, high)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Draw n coefficient vectors from the population N(0, I), [n, d]."""
        shape = (checks.count("n", n), self.num_modes)
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
        drawn = torch.empty(shape, dtype=dtype, device=device)
        return drawn.normal_(generator=checks.random_source(generator, drawn.device))


@functools.cache
def _inside(bounds: tuple[float, float], dtype: torch.dtype) -> tuple[float, float]:
    """The smallest and the largest number of a dtype that lie within the bounds."""
    low, high = (torch.tensor(bound, dtype=dtype) for bound in bounds)
    if float(low) < bounds[0]:
        low = torch.nextafter(low, high)
    if float(high) > bounds[1]:
        high = torch.nextafter(high, low)
    return float(low), float(high)


def _cosines(n: int) -> Tensor:
    """Cosine basis (DCT-II) of n cells, orthogonal with unit mean square, [n modes, n cells]; mode 0 is constant."""
    angles = math.pi * torch.outer(torch.arange(n, dtype=torch.float64), torch.arange(n, dtype=torch.float64) + 0.5) / n
    basis = torch.cos(angles) * math.sqrt(2)
    basis[0] = 1.0
    return basis


def _largest_modes(nz: int, nx: int, num_modes: int, corr_length: float) -> tuple[Tensor, Tensor]:
    """Index pairs [d, 2] and shares of the variance [d] of the modes with the largest variance."""
    row, column = torch.meshgrid(torch.arange(nz), torch.arange(nx), indexing="ij")
    squared = (math.pi * row.double() / nz).square() + (math.pi * column.double() / nx).square()
    spectrum = torch.exp(-0.5 * corr_length**2 * squared).flatten()
    order = torch.argsort(spectrum, descending=True, stable=True)[:num_modes]
    pairs = torch.stack([order // nx, order % nx], 1)
    return pairs, spectrum[order] / spectrum.sum()
