"""Jacobians of black-box batched maps by forward-mode differentiation, and the test of their adjoint."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks
from lib.checks import Forward

_NOT_DIFFERENTIABLE = "forward must be differentiable, its output does not depend on x as far as autograd sees"

def jvp(forward: Forward, x: Tensor, tangent: Tensor, *, num_data: int | None = None) -> tuple[Tensor, Tensor]:
    """Values F(x) and directional derivatives J(x) t of a batch: x, t [B, d] -> [B, m], [B, m]."""
    try:
        return torch.func.jvp(
            lambda z: checks.apply_forward(forward, z, num_data=num_data), (x,), (tangent,), strict=True
        )
    except RuntimeError as error:  # strict: a map that leaves torch would have the derivative 0 without a word
        if "independent" not in str(error):
            raise
        raise ValueError(_NOT_DIFFERENTIABLE) from error


def vjp(
    forward: Forward, x: Tensor, *, num_data: int | None = None
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Values F(x) [B, m] and the pullback w [B, m] -> J(x)^T w [B, d]."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        data = checks.apply_forward(forward, leaf, num_data=num_data)
    if not data.requires_grad:
        raise ValueError(_NOT_DIFFERENTIABLE)

    def pullback(cotangent: Tensor) -> Tensor:
        return torch.autograd.grad(data, leaf, cotangent, retain_graph=True)[0]

    return data.detach(), pullback


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
    n, d = x.shape
    max_rows = checks.count("max_rows", max_rows)
    basis = torch.eye(d, dtype=x.dtype, device=x.device)
    pairs = torch.cartesian_prod(torch.arange(n, device=x.device), torch.arange(d, device=x.device))
    values, columns = None, None
    for rows in pairs.reshape(n * d, 2).split(max_rows):
        point, axis = rows[:, 0], rows[:, 1]
        data, column = jvp(forward, x[point], basis[axis], num_data=num_data)
        _check_rows(data.detach(), point)
        if columns is None:
            values, columns = data.new_empty(n, data.shape[1]), data.new_empty(n, d, data.shape[1])
        values[point] = data
        columns[point, axis] = column
    return values, columns.mT


def _check_rows(data: Tensor, point: Tensor) -> None:
    """Equal rows in must give equal rows out, or `forward` mixes the rows of a batch (written for a single model?)."""
    same = point[1:] == point[:-1]
    jump = float(((data[1:] - data[:-1]).abs().amax(1) * same).amax()) if len(point) > 1 else 0.0
    if jump > 1e-2 * float(data.abs().amax()):
        raise ValueError(
            "forward must map each row of a batch [B, d] by itself (is it written for a single model, or random?); "
            f"equal rows gave data that differ by up to {jump:.3g}"
        )


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
