"""Leading singular vectors of a Jacobian that is never formed: randomized subspace iteration by JVP and VJP."""

from __future__ import annotations

import torch
from torch import Tensor

from lib import checks
from lib.autodiff import pull, push
from lib.checks import Forward

_SETTLED = 5e-4  # relative change of the leading singular values; that of their vectors is then near its square root
_REVERSE = 8  # a row of reverse mode keeps the history of a wavefield: so many times fewer rows in one call


def low_rank_jacobian(
    forward: Forward,
    x: Tensor,
    rank: int,
    *,
    generator: torch.Generator | None = None,
    oversampling: int = 10,
    power_iterations: int = 10,
    max_rows: int = 256,
) -> tuple[Tensor, Tensor, Tensor]:
    """The `rank` leading singular vectors and values of J = dF/dx at one point, without J.

    J is sent q = rank + oversampling random directions (JVPs), the range Q of the answers is pulled back (VJPs), and
    the small matrix Q^T J has the singular values of J up to what Q misses. Where they fall slowly the pair is
    repeated, from the range of J^T Q: each time what is missed shrinks by (s_{q+1} / s_k)^2. Cost: q JVPs and q VJPs
    each time; where (times)(1 + a VJP's cost over a JVP's) q exceeds d, `jacobian` is cheaper and needs more memory.

    Source: Halko, Martinsson and Tropp (2011), algorithms 4.4 and 5.1.

    Args:
        forward: Batched map [B, d] -> [B, m], differentiable in both modes.
        x: One point, [d].
        rank: Number k of singular values, at most min(d, m).
        generator: Source of the random directions.
        oversampling: Directions beyond `rank`.
        power_iterations: Most repetitions; fewer where the leading singular values settle to 5e-4.
        max_rows: Rows of one forward-mode call; a reverse-mode call, which keeps its history, has an eighth of them.

    Returns:
        U [m, k], S [k] falling and Vh [k, d] in x's dtype, with J near U diag(S) Vh.

    Raises:
        TypeError, ValueError: As `jacobian`; a rank above min(d, m), counts that are not whole or too small.
    """
    x = checks.tensor("x", x, shape=(None,)).detach()
    rank = checks.count("rank", rank)
    if rank > len(x):
        raise ValueError(f"rank must be at most d = {len(x)}, got {rank}")
    oversampling = checks.count("oversampling", oversampling, minimum=0)
    generator = checks.random_source(generator, x.device)
    start = torch.empty(1, min(rank + oversampling, len(x)), len(x), dtype=x.dtype, device=x.device)
    start.normal_(generator=generator)
    _, left, s, right = leading(forward, x[None], start, rank, power_iterations=power_iterations, max_rows=max_rows)
    return left[0].to(x.dtype), s[0].to(x.dtype), right[0].mT.to(x.dtype)


def leading(
    forward: Forward,
    x: Tensor,
    start: Tensor,
    rank: int,
    *,
    power_iterations: int = 10,
    max_rows: int = 256,
    num_data: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Leading singular triplets of the Jacobians at several points, as `low_rank_jacobian`.

    Args:
        forward: Batched map [B, d] -> [B, m].
        x: Points, [n, d].
        start: Random directions, [n, q, d], rank <= q <= d.
        rank: k, at most min(d, m).
        power_iterations: Most repetitions.
        max_rows: Rows of one call in forward mode.
        num_data: m, checked if given.

    Returns:
        F(x) [n, m]; left vectors [n, m, k], values [n, k], right vectors [n, d, k], float64.
    """
    most = checks.count("power_iterations", power_iterations, minimum=0)
    max_rows = checks.count("max_rows", max_rows)
    directions, before = torch.linalg.qr(start.double().mT).Q, None
    while True:
        values, columns = push(forward, x, directions.mT.to(x.dtype), max_rows=max_rows, num_data=num_data)
        num_data, q = columns.shape[2], columns.shape[1]
        if rank > num_data:
            raise ValueError(f"rank must be at most m = {num_data}, the number of data, got {rank}")
        span = torch.linalg.qr(columns.double().mT).Q
        rows = pull(forward, x, span.mT.to(x.dtype), max_rows=max(1, max_rows // _REVERSE), num_data=num_data).double()
        inner, s, right = torch.linalg.svd(rows, full_matrices=False)  # (Q^T J) = inner s right
        leading_s = s[:, :rank]
        whole = q >= min(x.shape[1], num_data)  # the directions span all there is
        if whole or most == 0 or (before is not None and _settled(before, leading_s, x.dtype)):
            return values, span @ inner[..., :rank], leading_s, right[:, :rank].mT
        before, most = leading_s, most - 1
        directions = right.mT


def _settled(before: Tensor, now: Tensor, dtype: torch.dtype) -> bool:
    """Whether leading singular values [n, k] changed by less than their tolerance or the rounding of the largest."""
    slack = _SETTLED * now + 10 * torch.finfo(dtype).eps * now[:, :1]
    return bool(((now - before).abs() <= slack).all())
