"""Diagnostics: distances between weights, effective sample sizes, and memorization rates beside their null.

Calibration (`lib.calibration`), convergence of chains (`lib.convergence`) and the Wasserstein distance
(`lib.transport`) can be imported from here too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lib import checks
from lib.calibration import coverage, rank_histogram, rank_uniformity, sbc_ranks
from lib.convergence import chain_ess, rhat
from lib.transport import wasserstein

__all__ = [
    "MemorizationRate", "chain_ess", "coverage", "effective_sample_size", "memorization_rate", "nearest_distances",
    "nearest_ratio", "rank_histogram", "rank_uniformity", "rhat", "sbc_ranks", "total_variation", "wasserstein",
]  # fmt: skip

_THRESHOLDS = {"d1/d2": 1 / 3, "nearest-ratio": 0.7}
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


def nearest_distances(samples: Tensor, examples: Tensor, k: int, *, block: int = 1024) -> tuple[Tensor, Tensor]:
    """Distances to the k nearest examples, [B, k], ascending, and their indices, [B, k]; in blocks of samples.

    Args:
        samples: Points, [B, d].
        examples: Points among which neighbours are looked for, [N, d].
        k: Neighbours, 1 to N.
        block: Samples compared at a time; bounds the memory.

    Raises:
        TypeError, ValueError: Bad tensors, k outside 1..N, or distances that overflow the dtype.
    """
    examples = checks.tensor("examples", examples, shape=(None, None))
    samples = checks.tensor("samples", samples, shape=(None, examples.shape[1]), like=examples)
    k = checks.count("k", k)
    if k > len(examples):
        raise ValueError(f"k must be at most the number of examples ({len(examples)}), got {k}")
    found = []
    centre = examples.mean(0)
    for part in samples.split(block):
        # The product form only picks candidates (centred, so that its cancellation is small); their distances are
        # then formed from differences: an exact copy is at distance 0.
        near = torch.cdist(part - centre, examples - centre).topk(min(k + 4, len(examples)), largest=False).indices
        exact = torch.linalg.vector_norm(part[:, None] - examples[near], dim=-1)
        distances, order = exact.sort(dim=1)
        found.append((distances[:, :k], near.gather(1, order[:, :k])))
    distances, indices = (torch.cat(part) for part in zip(*found, strict=True))
    checks.finite("distance from samples to examples", distances)
    return distances, indices


def nearest_ratio(samples: Tensor, examples: Tensor, k: int) -> Tensor:
    """Distance to the nearest example over the mean distance to the next ones, d1 / mean(d2..dk), [B].

    Small for a copy, near 1 for a point no closer to one example than to others. An exact copy scores 0. The value
    of a *fresh* draw depends on N, k and the dimension: never read it without a null (`memorization_rate`).

    Args:
        samples: Samples, [B, d].
        examples: Training set, [N, d], N >= 2.
        k: Neighbours used, 2 to N; 2 gives d1 / d2.

    Raises:
        TypeError, ValueError: Bad tensors, a single example, or k outside 2..N.
    """
    k = checks.count("k", k, minimum=2)
    distances, _ = nearest_distances(samples, examples, k)
    nearest, others = distances[:, 0], distances[:, 1:].mean(1)
    return torch.where(nearest == 0, torch.zeros_like(nearest), nearest / others)


@dataclass(frozen=True)
class MemorizationRate:
    """Share of samples that copy, beside the share of fresh draws that the same rule would call copies.

    Attributes:
        rate: Share of samples below the threshold.
        null_rate: The same for fresh draws from the population, never trained on.
        interval: 95 % bootstrap interval of rate minus null_rate; from shares (k + 1/2) / (n + 1), so that it keeps a
            width where no sample or every sample copies.
        rule: Name of the rule.
        threshold: Ratio below which a point counts as a copy.
        num_samples: Number of samples.
        num_fresh: Number of fresh draws.
    """

    rate: float
    null_rate: float
    interval: tuple[float, float]
    rule: str
    threshold: float
    num_samples: int
    num_fresh: int

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
    if not isinstance(rule, str) or rule not in _THRESHOLDS:
        raise ValueError(f"rule must be one of {sorted(_THRESHOLDS)}, got {rule!r}")
    threshold = checks.positive("threshold", _THRESHOLDS[rule] if threshold is None else threshold)
    examples = checks.tensor("examples", examples, shape=(None, None))
    if len(examples) < 2:
        raise ValueError(f"examples must hold at least 2 models for a rule about neighbours, got {len(examples)}")
    generator = checks.random_source(generator, examples.device)
    fresh = checks.tensor("fresh", fresh, shape=(None, examples.shape[1]), like=examples)
    k = 2 if rule == "d1/d2" else min(50, len(examples))
    copied = (nearest_ratio(samples, examples, k) < threshold).double()
    null = (nearest_ratio(fresh, examples, k) < threshold).double()
    # Resampling 0/1 outcomes with replacement is a binomial draw at the observed share; moved half an outcome towards
    # the middle, or no copies among few samples would claim an interval of width 0.
    differences = _resampled(copied, generator) - _resampled(null, generator)
    low, high = (float(torch.quantile(differences, level)) for level in (0.025, 0.975))
    return MemorizationRate(
        float(copied.mean()), float(null.mean()), (low, high), rule, threshold, len(copied), len(null)
    )


def _resampled(outcomes: Tensor, generator: torch.Generator | None) -> Tensor:
    total = torch.full((_NUM_BOOTSTRAP,), float(len(outcomes)), dtype=torch.float64, device=outcomes.device)
    share = (outcomes.sum() + 0.5) / (len(outcomes) + 1)
    return torch.binomial(total, share.expand_as(total).contiguous(), generator=generator) / len(outcomes)
