"""Is a posterior as sure as it should be? Simulation-based calibration: ranks of the truth, and coverage."""

from __future__ import annotations

import scipy
import torch
from torch import Tensor

from lib import checks


def sbc_ranks(samples: Tensor, truths: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Rank of each truth among the posterior samples of its own data, coordinate by coordinate, [R, d].

    Draw a truth from the prior, data from the truth, L independent samples from the posterior, R times over: if the
    posterior is Bayes' for that prior, all L + 1 ranks are equally likely. Ties, the rule where samples are training
    examples and the truth is one of them, are broken at random: without that the ranks are not uniform.

    Source: Talts et al. (2018), algorithm 1.

    Args:
        samples: Posterior samples of R experiments, [R, L, d].
        truths: The truths behind their data, [R, d].
        generator: Breaks the ties, on the device of `samples`.

    Returns:
        Whole numbers from 0 to L, [R, d].

    Raises:
        TypeError, ValueError: Bad tensors or shapes that do not belong together.
    """
    samples = checks.tensor("samples", samples, shape=(None, None, None)).detach()
    truths = checks.tensor("truths", truths, shape=(samples.shape[0], samples.shape[2]), like=samples).detach()
    generator = checks.random_source(generator, samples.device)
    below = (samples < truths[:, None]).sum(1)
    ties = (samples == truths[:, None]).sum(1)
    spread = torch.rand(ties.shape, generator=generator, dtype=torch.float64, device=samples.device)
    return below + (spread * (ties + 1)).long().minimum(ties)


def rank_histogram(ranks: Tensor, num_samples: int, *, num_bins: int = 10) -> Tensor:
    """Counts of ranks in bins of equal width, [num_bins, d]; flat for a calibrated posterior.

    A posterior that is too narrow piles the ranks up at both ends, one that is too wide in the middle.

    Args:
        ranks: From `sbc_ranks`, [R, d].
        num_samples: L, the samples each truth was ranked among.
        num_bins: Bins; it must divide L + 1, or some would hold more ranks than others.

    Raises:
        TypeError, ValueError: Bad ranks, or bins that do not divide L + 1.
    """
    num_samples, num_bins = checks.count("num_samples", num_samples), checks.count("num_bins", num_bins, minimum=2)
    ranks = _ranks(ranks, num_samples)
    if (num_samples + 1) % num_bins:
        raise ValueError(f"num_bins must divide num_samples + 1 ({num_samples + 1}), got {num_bins}")
    bins = ranks // ((num_samples + 1) // num_bins)
    return torch.stack([torch.bincount(column, minlength=num_bins) for column in bins.T], 1)


def rank_uniformity(
    ranks: Tensor,
    num_samples: int,
    *,
    test: str = "chi2",
    num_bins: int = 10,
    generator: torch.Generator | None = None,
) -> Tensor:
    """p-value that ranks are uniform, coordinate by coordinate, [d], double precision.

    "chi2" compares the `rank_histogram` with a flat one; "ks", Kolmogorov and Smirnov's largest difference of the
    distribution functions, after each rank is spread at random over its share of [0, 1], so that the null is exact.

    Args:
        ranks: From `sbc_ranks`, [R, d].
        num_samples: L, the samples each truth was ranked among.
        test: "chi2" or "ks".
        num_bins: Bins of "chi2", each expected to hold 5 ranks or more.
        generator: Spreads the ranks for "ks".

    Raises:
        TypeError, ValueError: As `rank_histogram`, an unknown test, or fewer than 5 ranks a bin.
    """
    if test not in ("chi2", "ks"):
        raise ValueError(f"test must be 'chi2' or 'ks', got {test!r}")
    if test == "ks":
        positions = _positions(_ranks(ranks, checks.count("num_samples", num_samples)), num_samples, generator)
        values = [scipy.stats.kstest(column.cpu().numpy(), "uniform").pvalue for column in positions.T]
    else:
        counts = rank_histogram(ranks, num_samples, num_bins=num_bins)
        if len(ranks) < 5 * num_bins:
            raise ValueError(
                f"ranks must be at least 5 a bin ({5 * num_bins}) for the chi-square test, got {len(ranks)}"
            )
        values = scipy.stats.chisquare(counts.cpu().numpy()).pvalue
    return torch.as_tensor(values, dtype=torch.float64, device=ranks.device)


def coverage(samples: Tensor, truths: Tensor, levels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Share of truths inside the central interval of each level, [K, d]; equal to the level if calibrated.

    The interval of level p holds the middle share p of the ranks, spread at random over their shares of [0, 1]: for a
    calibrated posterior the expected coverage is p exactly, however few the samples and whatever their ties. Over R
    experiments it scatters by sqrt(p (1 - p) / R).

    Args:
        samples: Posterior samples of R experiments, [R, L, d].
        truths: The truths behind their data, [R, d].
        levels: Probabilities, [K], in (0, 1).
        generator: Breaks ties and spreads the ranks.

    Raises:
        TypeError, ValueError: As `sbc_ranks`, or levels outside (0, 1).
    """
    ranks = sbc_ranks(samples, truths, generator=generator)
    levels = checks.tensor("levels", levels, shape=(None,), like=samples)
    if not bool(((levels > 0) & (levels < 1)).all()):
        raise ValueError(f"levels must lie in (0, 1), got {float(levels.min()):.4g} to {float(levels.max()):.4g}")
    outness = 2 * (_positions(ranks, samples.shape[1], generator) - 0.5).abs()
    return (outness <= levels[:, None, None]).to(samples.dtype).mean(1)


def _ranks(ranks: Tensor, num_samples: int) -> Tensor:
    if not isinstance(ranks, Tensor) or ranks.is_floating_point() or ranks.is_complex():
        raise TypeError(f"ranks must be a tensor of whole numbers, got {getattr(ranks, 'dtype', type(ranks).__name__)}")
    if ranks.ndim != 2 or ranks.numel() == 0:
        raise ValueError(f"ranks must have shape [R, d] and not be empty, got {list(ranks.shape)}")
    if int(ranks.min()) < 0 or int(ranks.max()) > num_samples:
        raise ValueError(
            f"ranks must lie from 0 to num_samples = {num_samples}, got {int(ranks.min())} to {int(ranks.max())}"
        )
    return ranks


def _positions(ranks: Tensor, num_samples: int, generator: torch.Generator | None) -> Tensor:
    """Ranks spread over [0, 1], [R, d]: uniform exactly if the ranks are."""
    generator = checks.random_source(generator, ranks.device)
    spread = torch.rand(ranks.shape, generator=generator, dtype=torch.float64, device=ranks.device)
    return (ranks + spread) / (num_samples + 1)
