"""Forward and reverse mode of batched maps [B, d] -> [B, m], in batches, with their failures put into words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lib import checks
from lib.checks import Forward

_SOLVER_ROWS = 256  # a row of a solver holds the wavefields of all its shots
_NOT_DIFFERENTIABLE = "forward must be differentiable, its output does not depend on x as far as autograd sees"


def jvp(forward: Forward, x: Tensor, tangent: Tensor, *, num_data: int | None = None) -> tuple[Tensor, Tensor]:
    """Values F(x) and directional derivatives J(x) t of a batch: x, t [B, d] -> [B, m], [B, m]."""
    # As torch.func.jvp, without the wrappers that make each small operation of a solver's checks ten times as long.
    with forward_ad.dual_level():
        data = checks.apply_forward(forward, forward_ad.make_dual(x, tangent), num_data=num_data)
        values, derivative = forward_ad.unpack_dual(data)
    if derivative is None:  # a map that leaves torch would have the derivative 0 without a word
        raise ValueError(_NOT_DIFFERENTIABLE)
    return values, derivative


def _vectorized_jvp(forward: Forward, x: Tensor, tangent: Tensor, num_data: int | None) -> tuple[Tensor, Tensor]:
    """The same in the form that torch maps over many tangents at once."""
    return torch.func.jvp(lambda z: checks.apply_forward(forward, z, num_data=num_data), (x,), (tangent,), strict=True)


def vjp(
    forward: Forward, x: Tensor, *, num_data: int | None = None, once: bool = False
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Values F(x) [B, m] and the pullback w [B, m] -> J(x)^T w [B, d].

    With `once` the pullback can be called a single time and frees the wavefields that it needs as it goes.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        data = checks.apply_forward(forward, leaf, num_data=num_data)
    if not data.requires_grad:
        raise ValueError(_NOT_DIFFERENTIABLE)

    def pullback(cotangent: Tensor) -> Tensor:
        (pulled,) = torch.autograd.grad(data, leaf, cotangent, retain_graph=not once, allow_unused=True)
        if pulled is None:  # the gradients that the data require are those of other tensors, such as weights
            raise ValueError(_NOT_DIFFERENTIABLE)
        return pulled

    return data.detach(), pullback


def tried(forward: Forward, x: Tensor, *, max_rows: int, num_data: int) -> Tensor:
    """F(x) [B, m] at places to try, without a graph; infinite where F refuses one, beyond a survey's speeds perhaps."""
    values = []
    with torch.no_grad():
        for rows in x.split(max_rows):
            try:
                values.append(checks.apply_forward(forward, rows, num_data=num_data))
            except ValueError:
                if len(rows) == 1:
                    values.append(x.new_full((1, num_data), torch.inf))
                else:
                    values += [tried(forward, row[None], max_rows=1, num_data=num_data) for row in rows]
    return torch.cat(values)


def push(
    forward: Forward, x: Tensor, tangents: Tensor, *, max_rows: int = 256, num_data: int | None = None
) -> tuple[Tensor, Tensor]:
    """Values and several directional derivatives a point, many in one forward-mode call.

    Where `forward` is made of torch operations, all directions share one evaluation of F (a vectorized map over the
    tangents). A compiled solver refuses that; its rows are repeated instead, one for each direction.

    Args:
        forward: Batched map [B, d] -> [B, m].
        x: Points, [n, d].
        tangents: Directions, [n, q, d].
        max_rows: Rows of one call of `forward`, of a solver never more than 256; bounds the memory.
        num_data: m, checked if given.

    Returns:
        F(x), [n, m], and J(x_n) t for each direction, [n, q, m].
    """
    shared = _shared(forward, x, tangents, max_rows, num_data) if len(x) <= max_rows else None
    if shared is not None:
        return shared
    n, q, _ = tangents.shape
    values, derivatives = None, None
    for point, column in _pairs(tangents, min(max_rows, _SOLVER_ROWS)):
        data, derivative = jvp(forward, x[point], tangents[point, column], num_data=num_data)
        _same_rows(data.detach(), point)
        if derivatives is None:
            values, derivatives = (
                data.new_empty(len(x), data.shape[1]),
                data.new_empty(*tangents.shape[:2], len(data.T)),
            )
        values[point] = data
        derivatives[point, column] = derivative
    return values, derivatives


def pull(forward: Forward, x: Tensor, cotangents: Tensor, *, max_rows: int = 32, num_data: int | None = None) -> Tensor:
    """Several pullbacks J(x_n)^T w a point, many in one reverse-mode call: cotangents [n, q, m] -> [n, q, d]."""
    pulled = cotangents.new_empty(*cotangents.shape[:2], x.shape[1])
    for point, column in _pairs(cotangents, max_rows):
        pulled[point, column] = vjp(forward, x[point], num_data=num_data, once=True)[1](cotangents[point, column])
    return pulled


def _pairs(directions: Tensor, max_rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Numbers of points and directions [n, q, ...], in blocks of at most max_rows rows."""
    n, q = directions.shape[:2]
    rows = torch.arange(n * q, device=directions.device)
    for block in rows.split(max_rows):
        yield block // q, block % q


def _shared(
    forward: Forward, x: Tensor, tangents: Tensor, max_rows: int, num_data: int | None
) -> tuple[Tensor, Tensor] | None:
    """What `push` returns, or None where `forward` refuses to be vectorized."""
    derivatives = []
    over_directions = torch.func.vmap(
        lambda tangent: _vectorized_jvp(forward, x, tangent, num_data), in_dims=1, out_dims=(None, 1)
    )
    try:
        for block in tangents.split(max(1, max_rows // len(x)), 1):
            values, derivative = over_directions(block)
            derivatives.append(derivative)
        alone = checks.apply_forward(forward, x[:1].repeat(2, 1), num_data=num_data)
    except (RuntimeError, ValueError):  # what is wrong with a wrong map is said by the other way
        return None
    _same_rows(torch.cat([values[:1], alone]).detach(), torch.zeros(3, device=x.device))
    return values, derivatives[0] if len(derivatives) == 1 else torch.cat(derivatives, 1)


def _same_rows(data: Tensor, point: Tensor) -> None:
    """Equal rows in must give equal rows out, or `forward` mixes the rows of a batch (written for a single model?)."""
    same = point[1:] == point[:-1]
    jump = float(((data[1:] - data[:-1]).abs().amax(1) * same).amax()) if len(point) > 1 else 0.0
    if jump > 1e-2 * float(data.abs().amax()):
        raise ValueError(
            "forward must map each row of a batch [B, d] by itself (is it written for a single model, or random?); "
            f"equal rows gave data that differ by up to {jump:.3g}"
        )
