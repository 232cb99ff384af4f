"""Mixtures of probabilistic PCA: a few Gaussians, each wide along a few directions of its own, by EM."""

from __future__ import annotations

import torch
from torch import Tensor

from lib import checks
from lib.gaussian import GaussianMixture


def ppca_mixture(
    examples: Tensor,
    num_components: int,
    rank: int,
    *,
    num_iterations: int = 100,
    min_variance: float = 1e-4,
    generator: torch.Generator | None = None,
) -> GaussianMixture:
    """Fit sum_k w_k N(mu_k, V_k diag(variances_k) V_k^T + rest_k (I - V_k V_k^T)) by maximum likelihood.

    An iteration shares the examples out, r_nk ~ w_k N(x_n; mu_k, Sigma_k), and refits each component to its share: the
    `rank` leading eigenvectors and eigenvalues of the weighted covariance, and as `rest` the mean of the eigenvalues
    left over. The likelihood never falls. One component is probabilistic PCA; it needs no iteration.

    Stands in for: models near a few low-dimensional families. Breaks down: with fewer examples a component than its
    rank it memorizes them like any maximum-likelihood fit; choose both numbers by held-out likelihood.

    Source: Tipping and Bishop (1999), section 3 and appendix C.

    Args:
        examples: Training set, [N, d].
        num_components: Components K, at most N.
        rank: Directions k of each component, below d and at most N.
        num_iterations: EM iterations.
        min_variance: Smallest variance in any direction, in squared units of the examples.
        generator: Chooses the first means among the examples, later ones far from earlier ones.

    Returns:
        The mixture, in the dtype of the examples.

    Raises:
        TypeError, ValueError: Bad examples or numbers.
    """
    examples = checks.tensor("examples", examples, shape=(None, None))
    n, d = examples.shape
    num_components, rank = checks.count("num_components", num_components), checks.count("rank", rank)
    num_iterations = checks.count("num_iterations", num_iterations)
    min_variance = checks.positive("min_variance", min_variance)
    for name, value, limit in (("num_components", num_components, n), ("rank", rank, min(n, d - 1))):
        if value > limit:
            raise ValueError(f"{name} must be at most {limit} for examples [{n}, {d}], got {value}")
    x = examples.double()
    shares = _first_shares(x, num_components, checks.random_source(generator, x.device))
    for _ in range(num_iterations if num_components > 1 else 1):
        parts = _refit(x, shares, rank, min_variance)
        shares = torch.softmax(_log_joint(x, *parts), 1)
    means, axes, variances, rest, log_weights = parts
    dtype = examples.dtype
    return GaussianMixture.from_axes(means.to(dtype), axes, variances, log_weights.to(dtype), rest=rest)


def _first_shares(x: Tensor, num_components: int, generator: torch.Generator | None) -> Tensor:
    """One-hot shares [N, K] by the nearest of K examples, each new one drawn by its squared distance to the rest."""
    centres = [torch.randint(len(x), (1,), generator=generator, device=x.device)]
    for _ in range(num_components - 1):
        squares = torch.cdist(x, x[torch.cat(centres)]).square().amin(1)
        if not bool((squares > 0).any()):
            raise ValueError(f"examples must hold {num_components} different models, got fewer")
        centres.append(torch.multinomial(squares, 1, generator=generator))
    nearest = torch.cdist(x, x[torch.cat(centres)]).argmin(1)
    return torch.nn.functional.one_hot(nearest, num_components).to(x)


def _refit(x: Tensor, shares: Tensor, rank: int, min_variance: float) -> tuple[Tensor, ...]:
    """Means, axes, variances, rests and log-weights that maximize the likelihood expected under shares [N, K]."""
    # A component that has lost its examples keeps the weight of a rounding error, not a division by zero.
    sizes = shares.sum(0).clamp_min(1e-12)
    means = (shares.T @ x) / sizes[:, None]
    # From the scaled offsets themselves: a covariance matrix would lose small eigenvalues to rounding.
    scaled = (shares.T / sizes[:, None]).sqrt()[..., None] * (x - means[:, None])
    _, singular, right = torch.linalg.svd(scaled, full_matrices=False)
    values = x.new_zeros(len(sizes), x.shape[1])
    values[:, : singular.shape[1]] = singular.square()
    variances, rest = values[:, :rank].clamp_min(min_variance), values[:, rank:].mean(1).clamp_min(min_variance)
    return means, right[:, :rank].mT.contiguous(), variances, rest, torch.log_softmax(sizes.log(), 0)


def _log_joint(x: Tensor, means: Tensor, axes: Tensor, variances: Tensor, rest: Tensor, log_weights: Tensor) -> Tensor:
    """log [w_k N(x_n; mu_k, Sigma_k)] up to one constant, [N, K]."""
    offsets = x[:, None] - means
    along = torch.einsum("kdr,nkd->nkr", axes, offsets).square()
    across = (offsets.square().sum(2) - along.sum(2)).clamp_min(0)
    log_det = variances.log().sum(1) + (x.shape[1] - axes.shape[2]) * rest.log()
    return log_weights - 0.5 * ((along / variances).sum(2) + across / rest + log_det)
