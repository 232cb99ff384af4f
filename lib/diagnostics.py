"""Diagnostics: distances between weights, effective sample sizes, and memorization rates beside their null.

Nearest neighbours (`lib.neighbours`), calibration (`lib.calibration`), convergence of chains (`lib.convergence`) and
the Wasserstein distance (`lib.transport`) can be imported from here too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lib import checks
from lib.calibration import coverage, rank_histogram, rank_uniformity, sbc_ranks
from lib.convergence import chain_ess, rhat
from lib.neighbours import nearest_distances, nearest_ratio, ratio_of_distances
from lib.transport import wasserstein

__all__ = [
    "MemorizationRate", "chain_ess", "coverage", "effective_sample_size", "memorization_rate", "nearest_distances",
    "nearest_ratio", "rank_histogram", "rank_uniformity", "rate_of_ratios", "ratio_of_distances", "rhat", "sbc_ranks",
    "total_variation", "wasserstein",
]  # fmt: skip

RULES = {"d1/d2": 1 / 3, "nearest-ratio": 0.7}  # name: ratio below which a point counts as a copy
_NUM_BOOTSTRAP = 2000


def total_variation(p: Tensor, q: Tensor) -> float:
    """Total variation distance of two discrete distributions, half the sum of |p - q|, in [0, 1].

    Args:
        p: Probabilities, [K], summing to 1.
        q: Probabilities on the same K outcomes, [K].

    Raises:
        TypeError, ValueError: Wrong shapes or dtypes, negative entries, or sums other than 1 (to 1e-4).
    """
    p = checks.tensor("p", p, shape=(None,)).detach()
    q = checks.tensor("q", q, shape=(len(p),), like=p).detach()
    for name, value in (("p", p), ("q", q)):
        if bool((value < 0).any()) or abs(float(value.double().sum()) - 1) > 1e-4:
            raise ValueError(
                f"{name} must hold probabilities that sum to 1, got a minimum of {float(value.min()):.3g} "
                f"and a sum of {float(value.sum()):.6g}"
            )
    return 0.5 * float((p.double() - q.double()).abs().sum())


def effective_sample_size(log_weights: Tensor) -> float:
    """Effective number of examples behind log-weights [N]: (sum w)^2 / sum w^2, between 1 and N.

    Source: Kong (1992); the weights need not be normalized.

    Raises:
        TypeError, ValueError: Not a floating tensor [N], NaN or +inf, or no positive weight.
    """
    if not isinstance(log_weights, Tensor):
        raise TypeError(f"log_weights must be a torch.Tensor, got {type(log_weights).__name__}")
    if log_weights.ndim != 1 or log_weights.numel() == 0:
        raise ValueError(f"log_weights must have shape [N], N at least 1, got {list(log_weights.shape)}")
    if not log_weights.is_floating_point():
        raise TypeError(f"log_weights must have a floating dtype, got {log_weights.dtype}")
    logs = checks.log_weights(log_weights, log_weights).double()
    return float(torch.exp(-torch.logsumexp(2 * logs, 0)))


@dataclass(frozen=True)
class MemorizationRate:
    """Share of samples that copy, beside the share of fresh draws that the same rule would call copies.

    Attributes:
        rate: Share of samples below the threshold.
        null_rate: The same for fresh draws from the population, never trained on.
        interval: Bootstrap interval of rate minus null_rate; from shares (k + 1/2) / (n + 1), so that it keeps a
            width where no sample or every sample copies.
        rule: Name of the rule.
        threshold: Ratio below which a point counts as a copy.
        num_samples: Number of samples.
        num_fresh: Number of fresh draws.
        confidence: Probability that the interval is meant to have.
    """

    rate: float
    null_rate: float
    interval: tuple[float, float]
    rule: str
    threshold: float
    num_samples: int
    num_fresh: int
    confidence: float = 0.95

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.rule} < {self.threshold:.3g}: {self.rate:.1%} of {self.num_samples} samples, "
            f"null {self.null_rate:.1%} of {self.num_fresh} fresh draws, difference in [{low:+.1%}, {high:+.1%}]"
        )


def memorization_rate(
    samples: Tensor,
    examples: Tensor,
    fresh: Tensor,
    rule: str = "d1/d2",
    threshold: float | None = None,
    *,
    generator: torch.Generator | None = None,
) -> MemorizationRate:
    """Share of samples that copy a training example, with the same share of fresh draws as its null.

    Rules: "d1/d2", nearest over second nearest distance (Yoon et al., 2023; below 1/3 by default), and
    "nearest-ratio", d1 / mean(d2..dk) with k = min(50, N) (the rule of Siahkoohi and Sabeddu, 2026; below 0.7).

    Args:
        samples: Samples of the prior or posterior under test, [B, d].
        examples: Training set, [N, d], N >= 2.
        fresh: Draws from the population that were never trained on, [M, d].
        rule: "d1/d2" or "nearest-ratio".
        threshold: Ratio below which a point counts as a copy; None takes the default of the rule.

    Returns:
        A `MemorizationRate` with `.rate`, `.null_rate` and `.interval`.

    Raises:
        TypeError, ValueError: Bad tensors, fewer than two examples, an unknown rule, a threshold not positive.
    """
    if not isinstance(rule, str) or rule not in RULES:
        raise ValueError(f"rule must be one of {sorted(RULES)}, got {rule!r}")
    threshold = checks.positive("threshold", RULES[rule] if threshold is None else threshold)
    examples = checks.tensor("examples", examples, shape=(None, None))
    if len(examples) < 2:
        raise ValueError(f"examples must hold at least 2 models for a rule about neighbours, got {len(examples)}")
    generator = checks.random_source(generator, examples.device)
    fresh = checks.tensor("fresh", fresh, shape=(None, examples.shape[1]), like=examples)
    k = 2 if rule == "d1/d2" else min(50, len(examples))
    ratios, null = nearest_ratio(samples, examples, k), nearest_ratio(fresh, examples, k)
    return rate_of_ratios(ratios, null, rule, threshold, generator=generator)


def rate_of_ratios(
    ratios: Tensor,
    null: Tensor,
    rule: str,
    threshold: float,
    *,
    confidence: float = 0.95,
    independent: int | None = None,
    generator: torch.Generator | None = None,
) -> MemorizationRate:
    """The rate of `memorization_rate` from ratios at hand, of samples [B] and of fresh draws [M].

    Args:
        ratios: Of the samples, [B].
        null: Of the fresh draws, [M].
        rule: Name of the rule.
        threshold: Ratio below which a point counts as a copy.
        confidence: Of the interval.
        independent: Independent outcomes among the M, where they are fewer; None: all.
    """
    copied, fresh = (ratios < threshold).double(), (null < threshold).double()
    # Resampling 0/1 outcomes with replacement is a binomial draw at the observed share; moved half an outcome towards
    # the middle, or no copies among few samples would claim an interval of width 0.
    differences = _resampled(copied, len(copied), generator) - _resampled(fresh, independent or len(fresh), generator)
    low, high = (float(torch.quantile(differences, 0.5 + side * confidence / 2)) for side in (-1, 1))
    rate, null_rate = float(copied.mean()), float(fresh.mean())
    return MemorizationRate(rate, null_rate, (low, high), rule, threshold, len(copied), len(fresh), confidence)


def _resampled(outcomes: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    total = torch.full((_NUM_BOOTSTRAP,), float(number), dtype=torch.float64, device=outcomes.device)
    share = (outcomes.mean() * number + 0.5) / (number + 1)
    return torch.binomial(total, share.expand_as(total).contiguous(), generator=generator) / number
