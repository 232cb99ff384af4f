"""Whether samples lie nearer to training than to held-out models: likelihoods of a kernel density of the samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_MOST = 1000  # models of each set
_BANDWIDTHS = 32


@dataclass(frozen=True)
class LikelihoodGap:
    """Mean log-likelihoods of a kernel density of the samples.

    Attributes:
        bandwidth: Chosen for the largest likelihood of one half of the held-out models, in units of the models.
        training: Mean log-likelihood of training models, nats.
        held_out: Of the other half of the held-out models, nats.
        difference: training - held_out; near 0 for samples that know the population only.
        standard_error: Of the difference, over training and held-out models.
    """

    bandwidth: float
    training: float
    held_out: float
    difference: float
    standard_error: float


def likelihood_gap(samples: Tensor, examples: Tensor, held_out: Tensor, scale: float) -> LikelihoodGap | None:
    """Compare training and held-out models under sum_b N(x_b, h^2 I) / B over samples x_b; None for few held out.

    Kernel densities are poor in many dimensions, so only the difference tells anything, not its size beside the true
    likelihood (Theis et al., 2016). At most 1000 models of each set, the first, are used. It is reported and takes no
    part in the verdict.

    Args:
        samples: [B, d].
        examples: Training models, [N, d].
        held_out: [M, d], M at least 4.
        scale: Spread of the examples; bandwidths from 1/50 to twice it are tried.
    """
    if len(held_out) < 4:
        return None
    centre = examples.mean(0)
    samples, examples, held_out = ((v[:_MOST] - centre).double() for v in (samples, examples, held_out))
    half = len(held_out) // 2
    squares = [torch.cdist(v, samples).square() for v in (held_out[:half], held_out[half:], examples)]
    widths = torch.logspace(math.log10(scale / 50), math.log10(2 * scale), _BANDWIDTHS).tolist()

    def logs(table: Tensor, width: float) -> Tensor:
        kernel = torch.logsumexp(-table / (2 * width**2), 1) - math.log(len(samples))
        return kernel - 0.5 * samples.shape[1] * math.log(2 * math.pi * width**2)

    best = max(widths, key=lambda width: float(logs(squares[0], width).mean()))
    there, here = logs(squares[1], best), logs(squares[2], best)
    error = sum(float(v.var(correction=0)) / max(1, len(v) - 1) for v in (there, here)) ** 0.5
    training, fresh = float(here.mean()), float(there.mean())
    return LikelihoodGap(best, training, fresh, training - fresh, error)
