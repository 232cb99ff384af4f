"""Have Markov chains converged, and what are their draws worth: R-hat and effective sample size, from ArviZ."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks


def rhat(chains: Tensor) -> Tensor:
    """Rank-normalized split R-hat of every coordinate, [d]: near 1 where the chains agree, below 1.01-1.05 is asked.

    sqrt of the variance of all draws over the mean variance within half chains, for the ranks of the draws (turned to
    normal scores) and for their distances from the median; the larger of the two. It sees only what the chains saw:
    chains that all miss a mode agree.

    Source: Vehtari et al. (2021); computed by ArviZ, `pip install arviz-stats`.

    Args:
        chains: Draws, [chains, draws, d], at least 2 chains of 4 draws.

    Raises:
        TypeError, ValueError: Not a finite tensor of that shape.
        ImportError: `arviz-stats` is not installed.
    """
    chains = _checked(chains, min_chains=2)
    return _each(chains, lambda statistics, draws: statistics.rhat(draws, chain_axis=0, draw_axis=1))


def chain_ess(chains: Tensor, kind: str = "bulk") -> Tensor:
    """Effective sample size of every coordinate, [d]: so many independent draws tell as much.

    Source: Vehtari et al. (2021); computed by ArviZ, `pip install arviz-stats`.

    Args:
        chains: Draws, [chains, draws, d], at least 4 draws.
        kind: "bulk", rank-normalized, for the centre of the distribution; "tail", the smaller of those of the 5 % and
            95 % quantiles; "mean", for the Monte-Carlo error of the mean, std / sqrt(ess).

    Raises:
        TypeError, ValueError: Not a finite tensor of that shape, or an unknown kind.
        ImportError: `arviz-stats` is not installed.
    """
    if kind not in ("bulk", "tail", "mean"):
        raise ValueError(f"kind must be 'bulk', 'tail' or 'mean', got {kind!r}")
    options = {"method": kind} | ({"prob": (0.05, 0.95)} if kind == "tail" else {})
    chains = _checked(chains, min_chains=1)
    return _each(chains, lambda statistics, draws: statistics.ess(draws, chain_axis=0, draw_axis=1, **options))


def _checked(chains: Tensor, min_chains: int) -> Tensor:
    chains = checks.tensor("chains", chains, shape=(None, None, None)).detach()
    if chains.shape[0] < min_chains or chains.shape[1] < 4:
        raise ValueError(
            f"chains must hold at least {min_chains} chains of 4 draws, [chains, draws, d], got {list(chains.shape)}"
        )
    return chains


def _each(chains: Tensor, statistic: Callable) -> Tensor:
    try:
        from arviz_stats.base import array_stats
    except ImportError as error:
        raise ImportError("R-hat and effective sample size need ArviZ: pip install 'arviz-stats>=0.8'") from error
    values = statistic(array_stats, chains.double().cpu().numpy())
    return torch.as_tensor(values, dtype=chains.dtype, device=chains.device)
