"""How far apart two sets of samples are: the Wasserstein distance."""

from __future__ import annotations

import scipy
import torch
from torch import Tensor

from lib import checks

_MAX_EXACT = 500


def wasserstein(
    first: Tensor,
    second: Tensor,
    *,
    first_weights: Tensor | None = None,
    second_weights: Tensor | None = None,
    method: str = "sliced",
    num_projections: int = 100,
    generator: torch.Generator | None = None,
) -> float:
    """Wasserstein-1 distance of two (weighted) sets of points: the mean distance that mass must travel.

    In one dimension it is the area between the distribution functions, exact. In more, "sliced" is the mean of that
    over random directions: a distance too, but smaller than W1 (a shift by a vector a scores about
    sqrt(2 / (pi d)) |a|), to be compared with itself only. "exact" solves the transport problem, a linear program of
    n_1 n_2 unknowns.

    Source: SciPy (`wasserstein_distance`, `wasserstein_distance_nd`); Bonneel et al. (2015) for slices.

    Args:
        first: Points, [n_1, d].
        second: Points, [n_2, d].
        first_weights: Masses of the first, [n_1], not negative; None: equal.
        second_weights: Masses of the second, [n_2].
        method: "sliced" or "exact"; the same in one dimension.
        num_projections: Directions of "sliced".
        generator: Draws them, on the device of the points.

    Returns:
        The distance, in units of x.

    Raises:
        TypeError, ValueError: Bad points or weights, an unknown method, or more than 500 points for "exact".
    """
    first = checks.tensor("first", first, shape=(None, None)).detach()
    second = checks.tensor("second", second, shape=(None, first.shape[1]), like=first).detach()
    masses = [_masses("first_weights", first_weights, first), _masses("second_weights", second_weights, second)]
    num_projections = checks.count("num_projections", num_projections)
    generator = checks.random_source(generator, first.device)
    if method not in ("sliced", "exact"):
        raise ValueError(f"method must be 'sliced' or 'exact', got {method!r}")
    d = first.shape[1]
    if d == 1:
        return _along(first[:, 0], second[:, 0], masses)
    if method == "exact":
        if max(len(first), len(second)) > _MAX_EXACT:
            raise ValueError(
                f"method 'exact' takes at most {_MAX_EXACT} points a set, got {len(first)} and {len(second)}"
            )
        return float(scipy.stats.wasserstein_distance_nd(first.cpu().numpy(), second.cpu().numpy(), *masses))
    directions = torch.randn(num_projections, d, generator=generator, dtype=first.dtype, device=first.device)
    directions = directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True)
    slices = zip((first @ directions.T).T, (second @ directions.T).T, strict=True)
    return sum(_along(one, two, masses) for one, two in slices) / num_projections


def _along(first: Tensor, second: Tensor, masses: list) -> float:
    return float(scipy.stats.wasserstein_distance(first.cpu().numpy(), second.cpu().numpy(), *masses))


def _masses(name: str, weights: Tensor | None, points: Tensor):
    if weights is None:
        return None
    weights = checks.tensor(name, weights, shape=(len(points),), like=points).detach()
    if bool((weights < 0).any()) or not bool(weights.sum() > 0):
        raise ValueError(f"{name} must not be negative and not all 0, got a minimum of {float(weights.min()):.3g}")
    return weights.double().cpu().numpy()
