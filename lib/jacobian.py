"""Jacobians of black-box batched maps: whole, or their leading singular vectors; and the test of their adjoint."""

from __future__ import annotations

import torch
from torch import Tensor

from lib import checks
from lib.autodiff import jvp, push, vjp
from lib.checks import Forward
from lib.low_rank import low_rank_jacobian

__all__ = ["dot_test", "jacobian", "jacobians", "jvp", "low_rank_jacobian", "vjp"]


def jacobians(
    forward: Forward, x: Tensor, *, max_rows: int = 256, num_data: int | None = None
) -> tuple[Tensor, Tensor]:
    """Values and Jacobians of a batch, several columns (and several points) in one forward-mode call.

    Args:
        forward: Batched map [B, d] -> [B, m].
        x: Points, [n, d].
        max_rows: Rows of one call of `forward`; bounds the memory.
        num_data: m, checked if given.

    Returns:
        F(x), [n, m], and J = dF/dx, [n, m, d].
    """
    max_rows = checks.count("max_rows", max_rows)
    basis = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
    values, columns = push(forward, x, basis, max_rows=max_rows, num_data=num_data)
    return values, columns.mT


def jacobian(forward: Forward, x: Tensor, *, max_rows: int = 256) -> Tensor:
    """Jacobian of a batched map at one point, column by column in a few batched forward-mode calls.

    Args:
        forward: Batched map [B, d] -> [B, m].
        x: One point, [d].
        max_rows: Columns computed in one call of `forward`; bounds the memory.

    Returns:
        J = dF/dx at x, [m, d].

    Raises:
        TypeError, ValueError: x is not one finite point [d], or `forward` does not map [B, d] to finite [B, m].
    """
    x = checks.tensor("x", x, shape=(None,))
    return jacobians(forward, x[None], max_rows=max_rows)[1][0]


def dot_test(forward: Forward, x: Tensor, *, generator: torch.Generator | None = None) -> float:
    """How far forward mode and reverse mode are from being adjoint: |<Jp, w> - <p, J^T w>| / (|Jp| |w|).

    A few machine epsilons for an exact pair. One random p and w touch every entry, unlike a few sampled pixels.

    Args:
        forward: Batched map [B, d] -> [B, m].
        x: One point, [d].

    Returns:
        The relative mismatch.

    Raises:
        TypeError, ValueError: As `jacobian`; ValueError also where Jp is 0, so that nothing is tested.
    """
    x = checks.tensor("x", x, shape=(None,)).detach()
    generator = checks.random_source(generator, x.device)
    p = torch.empty_like(x).normal_(generator=generator)
    forward_mode = jvp(forward, x[None], p[None])[1].detach()
    w = torch.empty_like(forward_mode).normal_(generator=generator)
    scale = float(forward_mode.norm() * w.norm())
    if scale == 0:
        raise ValueError("forward must depend on x for a dot test, its derivative along a random direction is 0")
    _, pullback = vjp(forward, x[None])
    return abs(float((forward_mode * w).sum() - (p * pullback(w)[0]).sum())) / scale
