"""Tangents of a forward map in units of noise and bandwidth: what a Gaussian posterior needs of a Jacobian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_GRAM = 1e6  # up to this |A|^2 forming A^T A leaves ten digits of the 1 of the prior beside it


@dataclass(frozen=True)
class DenseTangent:
    """F(z) and A = (bandwidth / noise_std) J(z) at n points, in double precision, with I + A^T A = L L^T.

    Attributes:
        values: F(z), [n, m].
        slopes: J(z), [n, m, d].
        ratio: bandwidth / noise_std.
        precision: I + A^T A, [n, d, d].
        lower: L, [n, d, d].
    """

    values: Tensor
    slopes: Tensor
    ratio: float
    precision: Tensor
    lower: Tensor

    def apply(self, step: Tensor) -> Tensor:
        """A times steps [n, d] in bandwidths, [n, m]."""
        return self.ratio * (self.slopes @ step[..., None])[..., 0]

    def best_step(self, residual: Tensor) -> Tensor:
        """The c [n, d] that minimizes |r - A c|^2 + |c|^2: (I + A^T A)^-1 A^T r."""
        return torch.cholesky_solve(self.ratio * (self.slopes.mT @ residual[..., None]), self.lower)[..., 0]

    @property
    def log_det(self) -> Tensor:
        """log det(I + A A^T), [n]."""
        return 2 * self.lower.diagonal(dim1=1, dim2=2).log().sum(1)

    def spread(self, bandwidth: float) -> dict[str, Tensor]:
        """The covariances, as `GaussianMixture.from_precisions` takes them."""
        return {"precisions": self.precision / bandwidth**2}


@dataclass(frozen=True)
class SpectralTangent:
    """The same by singular values, where data are precise, fewer than parameters, or J is known at low rank only.

    Attributes:
        values: F(z), [n, m].
        images: W = A V = U S, [n, m, k].
        squares: Squared singular values of A, [n, k].
        axes: V, [n, d, k].
    """

    values: Tensor
    images: Tensor
    squares: Tensor
    axes: Tensor

    def apply(self, step: Tensor) -> Tensor:
        """A times steps [n, d] in bandwidths, [n, m]."""
        return (self.images @ (self.axes.mT @ step[..., None]))[..., 0]

    def best_step(self, residual: Tensor) -> Tensor:
        """The c [n, d] that minimizes |r - A c|^2 + |c|^2: V (1 + S^2)^-1 W^T r."""
        along = (self.images.mT @ residual[..., None]) / (1 + self.squares)[..., None]
        return (self.axes @ along)[..., 0]

    @property
    def log_det(self) -> Tensor:
        """log det(I + A A^T), [n]."""
        return torch.log1p(self.squares).sum(1)

    def spread(self, bandwidth: float) -> dict[str, Tensor]:
        """The covariances, as `GaussianMixture.from_axes` takes them."""
        variances = bandwidth**2 / (1 + self.squares)
        rest = torch.full_like(variances[:, 0], bandwidth**2)
        return {"axes": self.axes, "variances": variances, "rest": rest}


def whole(values: Tensor, slopes: Tensor, ratio: float) -> DenseTangent | SpectralTangent:
    """The tangent of F [n, m] and a full J [n, m, d], both float64, by the cheapest way that is accurate.

    Raises:
        OverflowError: (ratio J)^2 overflows.
    """
    if slopes.shape[1] >= slopes.shape[2]:
        precision = torch.bmm(slopes.mT, slopes).mul_(ratio**2)
        diagonal = precision.diagonal(dim1=1, dim2=2)
        if bool(diagonal.sum(1).max() < _GRAM):
            diagonal += 1
            return DenseTangent(values, slopes, ratio, precision, torch.linalg.cholesky(precision))
    # (Forming A^T A would drown the 1 of the prior where the data are precise.)
    matrix = ratio * slopes
    if not bool(torch.isfinite(torch.linalg.vector_norm(matrix).square())):
        raise OverflowError
    left, s, right = torch.linalg.svd(matrix, full_matrices=False)
    return SpectralTangent(values, left * s[:, None], s.square(), right.mT)
