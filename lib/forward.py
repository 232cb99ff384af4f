"""Cheap forward maps: the stylized problems of the paper and a linear map, all batched [B, d] -> [B, m]."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks

STYLIZED_EXAMPLES_1D = torch.tensor([[-1.5], [-0.4], [0.4], [1.2], [2.5]], dtype=torch.float64)
STYLIZED_NOISE_STD = 0.3


def stylized_1d(x: Tensor) -> Tensor:
    """F(x) = x + 0.3 x^3, [B, 1] -> [B, 1]: monotone, so each datum has one model, but its slope varies.

    Source: Siahkoohi and Sabeddu (2026), the stylized problem in one dimension.
    """
    checks.tensor("x", x, shape=(None, 1))
    return x + 0.3 * x**3


def stylized_2d(x: Tensor) -> Tensor:
    """F(x) = (x1 + 0.3 x1 x2, x2 + 0.2 x1^2), [B, 2] -> [B, 2]: the axes of the posterior turn from place to place.

    Source: Siahkoohi and Sabeddu (2026), the stylized problem in two dimensions.
    """
    checks.tensor("x", x, shape=(None, 2))
    x1, x2 = x.unbind(1)
    return torch.stack([x1 + 0.3 * x1 * x2, x2 + 0.2 * x1**2], 1)


def linear_map(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    """The map x -> matrix x for a batch: matrix [m, d] gives a callable [B, d] -> [B, m]."""
    matrix = checks.tensor("matrix", matrix, shape=(None, None))

    def forward(x: Tensor) -> Tensor:
        checks.tensor("x", x, shape=(None, matrix.shape[1]), like=matrix)
        return x @ matrix.T

    return forward
