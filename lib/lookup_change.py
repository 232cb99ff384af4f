"""How much a posterior hangs on one training example: effective size of the lookup, and leave-nearest-out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.checks import Forward
from lib.diagnostics import effective_sample_size, total_variation
from lib.posterior import lookup_weights


@dataclass(frozen=True)
class LookupChange:
    """The lookup posterior, and what is left of it without its likeliest example.

    Attributes:
        effective_size: (sum w)^2 / sum w^2 of the weights, 1 to N.
        num_examples: N.
        top: Number of the likeliest example.
        top_weight: Its posterior weight.
        total_variation: Between the posteriors with and without it; equals its weight.
        mean_change: Distance between the two posterior means, over the prior's spread (root mean square distance of
            the examples from their mean).
        spread: Spread of the posterior about its mean, over that of the prior.
        log_evidence_lost: Nats by which the best of the other examples fits worse than the top one.
    """

    effective_size: float
    num_examples: int
    top: int
    top_weight: float
    total_variation: float
    mean_change: float
    spread: float
    log_evidence_lost: float


def lookup_change(
    examples: Tensor, forward: Forward, d_obs: Tensor, noise_std: float, *, batch_size: int = 64
) -> LookupChange:
    """Weights of the examples given data, and the change of the posterior when the likeliest example is removed.

    A posterior learned from the population would hardly notice one training model less.

    Args:
        examples: Distinct training models, [N, d], N at least 2.
        forward: Batched map [B, d] -> [B, m].
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        batch_size: Examples in one call of `forward`.

    Raises:
        TypeError, ValueError: As `lib.posterior.lookup_weights`.
    """
    logs = lookup_weights(examples, forward, d_obs, noise_std, batch_size=batch_size)
    top = int(logs.argmax())
    others = logs.clone()
    others[top] = -torch.inf
    reduced = torch.softmax(others.double(), 0)
    weights = torch.softmax(logs.double(), 0)
    centre = examples.mean(0)
    before, after = ((w.to(examples) @ (examples - centre)) for w in (weights, reduced))
    prior = float(torch.linalg.vector_norm(examples - centre, dim=1).double().square().mean().sqrt())
    away = torch.linalg.vector_norm(examples - (centre + before), dim=1).double().square()
    return LookupChange(
        effective_size=effective_sample_size(logs.double()),
        num_examples=len(examples),
        top=top,
        top_weight=float(weights[top]),
        total_variation=total_variation(weights, reduced),
        mean_change=float(torch.linalg.vector_norm(before - after)) / prior,
        spread=float((weights * away).sum().sqrt()) / prior,
        log_evidence_lost=float(logs[top].double() - others.max().double()),
    )
