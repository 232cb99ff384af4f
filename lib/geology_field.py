"""A population worth learning: generated geology, low-passed to a few coefficients of very unequal variance."""

from __future__ import annotations

import torch
from torch import Tensor

from lib import checks
from lib.geology import faulted, folded, layered
from lib.velocity import CosineField

_KINDS = (layered, folded, faulted)
_CALIBRATION = 3000  # models behind the centre and the unit


class GeologyField:
    """Layered, folded and faulted models as coefficients of a cosine basis, centred and scaled to unit mean square.

    v(z, x) = centre + unit sum_k c_k phi_k(z, x), with orthogonal cosines phi_k of unit mean square, those of the
    lowest wavenumbers; the velocity is bent by a tanh into the bounds, as in `CosineField`. Distances between
    coefficients are distances between low-passed models. The population of c has no formula: it is what the
    generators draw.

    Stands in for: a basin of flat, folded and faulted layers seen at seismic resolution. Breaks down: edges are as
    sharp as the shortest cosine; the centre and the unit are those of the population, known before any example.

    Args:
        shape: Grid (nz, nx).
        num_modes: Number of coefficients d.
        min_vel: Lower bound, m/s.
        max_vel: Upper bound, m/s.

    Attributes:
        centre: Mean of the population, a function of depth, [nz, nx], m/s.
        unit: Velocity of a coefficient of one, m/s.
    """

    def __init__(self, shape: tuple[int, int], num_modes: int, *, min_vel: float = 1400.0, max_vel: float = 4000.0):
        # The order of the modes is that of any isotropic spectrum, whatever its correlation length.
        cosines = CosineField(shape, num_modes, min_vel=min_vel, max_vel=max_vel, corr_length=min(shape) / 6)
        sizes = cosines.basis.square().mean((1, 2), keepdim=True).sqrt()
        if not bool((sizes > 0).all()):
            raise ValueError(
                f"num_modes must be at most {int((sizes > 0).sum())} on a grid of {cosines.shape}: the spectrum of "
                f"shorter cosines is 0 in double precision, got {num_modes}"
            )
        self.basis = cosines.basis / sizes
        self.shape, self.num_modes, self.bounds = cosines.shape, cosines.num_modes, cosines.bounds
        self._bend = cosines
        self.centre, self.unit = torch.zeros(self.shape, dtype=torch.float64), 1.0
        velocity = self.images(_CALIBRATION, generator=torch.Generator().manual_seed(0))
        # No place along a layer is special: the mean depends on depth alone.
        self.centre = velocity.mean((0, 2))[:, None].expand(self.shape).clone()
        self.unit = float(self.encode(velocity).square().mean().sqrt())

    def images(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n models of the generators, a third of each kind, shuffled, [n, nz, nx], m/s."""
        n = checks.count("n", n)
        counts = [len(range(k, n, len(_KINDS))) for k in range(len(_KINDS))]
        drawn = [make(count, self.shape, top=1700.0, bottom=3400.0, generator=generator)
                 for make, count in zip(_KINDS, counts, strict=True) if count]  # fmt: skip
        return torch.cat(drawn)[torch.randperm(n, generator=generator)].clamp(1450.0, 3900.0)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n coefficient vectors of the population, [n, d], double precision."""
        return self.encode(self.images(n, generator=generator))

    def encode(self, velocity: Tensor) -> Tensor:
        """Coefficients of models [n, nz, nx] in m/s: what the cosines catch of them, [n, d]."""
        velocity = checks.tensor("velocity", velocity, shape=(None, *self.shape))
        cells = self.shape[0] * self.shape[1]
        offset = velocity - self.centre.to(velocity)
        return torch.einsum("nzx,kzx->nk", offset, self.basis.to(velocity)) / (cells * self.unit)

    def field(self, coefficients: Tensor) -> Tensor:
        """Departure from the centre before the bend, linear, [B, d] -> [B, nz, nx], m/s."""
        coefficients = checks.tensor("coefficients", coefficients, shape=(None, self.num_modes))
        return self.unit * torch.einsum("bk,kzx->bzx", coefficients, self.basis.to(coefficients))

    def __call__(self, coefficients: Tensor) -> Tensor:
        """Velocity models of coefficients [B, d]: [B, nz, nx], m/s, inside the bounds."""
        return self._bend.bounded(self.field(coefficients) + self.centre.to(coefficients))
