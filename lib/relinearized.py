"""The linearized posterior with its tangents where the posterior is: iterated Gauss-Newton, then Laplace."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from lib import checks
from lib.assembly import assemble
from lib.autodiff import tried
from lib.checks import Forward
from lib.gaussian import GaussianMixture
from lib.linearization import Problem, by_axes, components

_DESCENT = 1e-4  # share of the descent promised by the slope that a step must keep (Armijo)
_HALVINGS = 20
_KIND = "relinearized posterior"


def relinearized_posterior(
    examples: Tensor,
    bandwidth: float,
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    rank: int | None = None,
    *,
    max_iterations: int = 30,
    tolerance: float = 1e-2,
    max_rows: int | None = None,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
) -> GaussianMixture:
    """Posterior under a memorized prior of bandwidth b, each component linearized at its own mode.

    The component of example n has the mode z_n = argmin phi_n, found from x_n by Gauss-Newton steps that are halved
    until `forward` accepts the place and phi_n is enough lower:

    phi_n(z) = |d_obs - F(z)|^2 / (2 gamma^2) + |z - x_n|^2 / (2 b^2),
    Sigma_n = (I / b^2 + J(z_n)^T J(z_n) / gamma^2)^-1,  mu_n = z_n,
    log w_n = -phi_n(z_n) - log det(I + b^2 J(z_n)^T J(z_n) / gamma^2) / 2 (normalized).

    This is Laplace's approximation of each component with the Gauss-Newton curvature: it needs a posterior that is
    narrow against the curvature of F, where `linearized_posterior` needs a prior that is. Exact for a linear F, after
    one step. Where phi_n has several minima it knows only the one that the descent from x_n finds.

    Source: Gauss-Newton and line search: Nocedal and Wright (2006), chapters 3 and 10; Laplace's approximation:
    Tierney and Kadane (1986).

    Args:
        examples: Training set, [N, d].
        bandwidth: Standard deviation b of the prior's components, positive.
        forward: Batched map [B, d] -> [B, m], as in `linearized_posterior`.
        d_obs: Observed data, [m].
        noise_std: Standard deviation gamma of the noise in each datum, positive.
        rank: Singular directions of each Jacobian to keep, as in `linearized_posterior`. Directions left out stay at
            the example, so keep all in which b^2 s^2 / gamma^2 is not small.
        max_iterations: Most Gauss-Newton steps.
        tolerance: A component is done when the next step is shorter than this, in its own standard deviations.
        max_rows: Rows of one call of `forward`, as in `linearized_posterior`.
        generator: Source of the random directions of a low rank.
        checkpoint: File to write while it computes; if it exists, the computation goes on from it.

    Returns:
        The posterior as a `GaussianMixture` with N components.

    Warns:
        UserWarning: Some components did not get there within `max_iterations`, or no shorter step lowered phi_n. Each
            stays where it stopped, with the true phi_n and the curvature of that place.

    Raises:
        TypeError, ValueError, FileNotFoundError: As `linearized_posterior`; a tolerance that is not positive.
    """
    problem = Problem.checked(examples, bandwidth, forward, d_obs, noise_std, rank, max_rows, generator)
    settings = {
        "max_iterations": checks.count("max_iterations", max_iterations),
        "tolerance": checks.positive("tolerance", tolerance),
    }
    mixture, held = assemble(
        problem,
        lambda problem, numbers: _modes(problem, numbers, **settings),
        kind=_KIND,
        settings=settings,
        checkpoint=checkpoint,
    )
    left = held["decrements"] > tolerance
    if bool(left.any()):
        warnings.warn(
            f"{int(left.sum())} of {len(left)} components are not at their modes, the last step left is "
            f"{float(held['decrements'].max()):.2g} standard deviations (tolerance {tolerance:g}); together they have "
            f"the weight {float(mixture.weights[left].sum()):.2g}",
            stacklevel=2,
        )
    return mixture


def _modes(problem: Problem, numbers: list[int], *, max_iterations: int, tolerance: float) -> dict[str, Tensor]:
    """The components of the given examples, linearized at their modes or where the search stopped."""
    x = problem.examples[numbers]
    z, found = x.clone(), {}
    moving = torch.arange(len(x), device=x.device)
    for iteration in range(max_iterations + 1):
        tangent = problem.tangent(z[moving], [numbers[k] for k in moving.tolist()])
        parts = by_axes(components(problem, x[moving], z[moving], tangent))
        misfits = problem.residual(tangent.values).square().sum(1)
        here = _objective(problem, misfits, z[moving], x[moving])
        arrived = parts["decrements"] <= tolerance
        # Not there: the tangent's minimum is no place that F knows. Keep this place, with its true objective.
        stays = {"means": z[moving], "log_weights": -here - 0.5 * tangent.log_det}
        kept = {name: torch.where(_column(arrived, value), parts[name], value) for name, value in stays.items()}
        first = {"misfits": misfits} if iteration == 0 else {}
        _store(found, moving, parts | kept | first)
        going = ~arrived
        if iteration == max_iterations or not bool(going.any()):
            break
        moving, parts = moving[going], {name: value[going] for name, value in parts.items()}
        z[moving], moved = _descend(problem, x[moving], z[moving], parts, here[going])
        moving = moving[moved]
        if len(moving) == 0:
            break
    return found


def _descend(problem: Problem, x: Tensor, z: Tensor, parts: dict[str, Tensor], here: Tensor) -> tuple[Tensor, Tensor]:
    """Points z [n, d] after a step towards the means, halved until it lowers the objective; which have moved, [n]."""
    step, slope = parts["means"] - z, parts["decrements"].square()
    z, length, moved = z.clone(), torch.ones_like(here), torch.zeros_like(here, dtype=torch.bool)
    for _ in range(_HALVINGS):
        pending = (~moved).nonzero()[:, 0]
        if len(pending) == 0:
            break
        trial = z[pending] + (length[pending, None] * step[pending]).to(z.dtype)
        values = tried(problem.forward, trial, max_rows=problem.max_rows, num_data=len(problem.d_obs))
        misfits = problem.residual(values).square().sum(1)
        rounding = torch.finfo(z.dtype).eps * (values.double().norm(dim=1) / problem.noise_std) * misfits.sqrt()
        rounding = rounding.nan_to_num(0.0, 0.0)  # of a place that F refuses
        limit = here[pending] - _DESCENT * length[pending] * slope[pending] + rounding
        lower = _objective(problem, misfits, trial, x[pending]) <= limit
        z[pending[lower]], moved[pending[lower]] = trial[lower], True
        length[pending] /= 2
    return z, moved


def _objective(problem: Problem, misfits: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """phi_n(z) of misfits |d_obs - F(z)|^2 / noise_std^2 [n] and points z, x [n, d], [n]."""
    return 0.5 * (misfits + ((z - x).double() / problem.bandwidth).square().sum(1))


def _column(mask: Tensor, like: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (like.ndim - 1))


def _store(found: dict[str, Tensor], rows: Tensor, parts: dict[str, Tensor]) -> None:
    """Write parts into the rows of tables, which the first call makes."""
    for name, value in parts.items():
        found.setdefault(name, torch.zeros_like(value))[rows] = value
