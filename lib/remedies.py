"""Remedies against memorization in closed form: priors that need the examples and one number, and no training."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lib import checks
from lib.checks import Denoiser
from lib.mixture import GaussianMixture, MemorizedPrior


class SmoothedScore:
    """The memorized score averaged over perturbed copies of its argument: its samples lie between training models.

    score_s(x, sigma) = (1/M) sum_m score(x + s e_m, sigma), the score of the point masses at the examples, so that
    D_s(x, sigma) = x + sigma^2 score_s(x, sigma) = (1/M) sum_m D(x + s e_m, sigma) for perturbations e_m of mean zero
    (here standard normal pairs e, -e, the same at each call). For sigma -> 0 each D is the example nearest to a
    perturbed point: D_s is a weighted average of a few examples, with weights that change over a distance s.

    Source: Scarvelis, Borde and Solomon (2025), sigma-CFDM. They smooth along their own time, with rescaled states;
    here s is the same at all levels of the variance-exploding process.

    Args:
        examples: Training set, [N, d].
        smoothing: Size s of a perturbation in each coordinate, in units of the examples; 0 is the memorized score.
        num_perturbations: Perturbations M, an even number.
        generator: Source of the perturbations.

    Raises:
        TypeError, ValueError: Bad examples, a negative smoothing, an odd number of perturbations.
    """

    def __init__(
        self,
        examples: Tensor,
        smoothing: float,
        *,
        num_perturbations: int = 64,
        generator: torch.Generator | None = None,
    ):
        self._prior = MemorizedPrior(examples, 1.0)
        self.examples, self.smoothing = self._prior.examples, _not_negative("smoothing", smoothing)
        half, odd = divmod(checks.count("num_perturbations", num_perturbations), 2)
        if odd:
            raise ValueError(f"num_perturbations must be even: they come in pairs, got {num_perturbations}")
        generator = checks.random_source(generator, examples.device)
        steps = self.smoothing * examples.new_empty(half, examples.shape[1]).normal_(generator=generator)
        self._steps = torch.cat([steps, -steps]) if self.smoothing else torch.zeros_like(examples[:1])

    def denoise(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """D_s(x, sigma) at x [B, d]; sigma is a float, 0-d or [B]. Returns [B, d]."""
        x = checks.tensor("x", x, shape=(None, self.examples.shape[1]), like=self.examples)
        checks.noise_level(sigma, x)
        moved = x[:, None] + self._steps
        if isinstance(sigma, Tensor) and sigma.ndim:
            sigma = sigma.repeat_interleave(len(self._steps))
        return self._prior.denoise(moved.flatten(0, 1), sigma).reshape(moved.shape).mean(1)

    def score(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The smoothed score (D_s(x, sigma) - x) / sigma^2 at x [B, d], [B, d]."""
        return (self.denoise(x, sigma) - x) / checks.noise_level(sigma, x).square()


def tikhonov(denoise: Denoiser, constant: float) -> Denoiser:
    """The denoiser whose score is damped by a penalty on its size: x + sigma^2 / (sigma^2 + c) (D(x, sigma) - x).

    The minimizer of E |s - s_N|^2 + lambda E |s|^2 over all functions s is s_N / (1 + lambda), where s_N is the score
    that denoising score matching learns; with lambda = c / sigma^2 the score stays finite at the examples,
    (D - x) / (sigma^2 + c), and the reverse process comes to a halt near sigma^2 = c.

    Source: Baptista et al. (2025): Tikhonov regularization with a penalty that grows as 1 / sigma^2.

    Args:
        denoise: Posterior mean D(x, sigma), [B, d] and a level to [B, d].
        constant: The constant c, a variance in squared units of the models; 0 changes nothing.

    Raises:
        TypeError, ValueError: Not a function, or a negative constant.
    """
    checks.function("denoise", denoise, "[B, d] and a level to [B, d]")
    constant = _not_negative("constant", constant)

    def damped(x: Tensor, sigma: float | Tensor) -> Tensor:
        x = checks.tensor("x", x, shape=(None, None))
        squared = checks.noise_level(sigma, x).square()
        return x + squared / (squared + constant) * (checks.apply_denoiser(denoise, x, sigma) - x)

    return damped


def hedged_prior(examples: Tensor, bandwidth: float, weight: float, *, inflation: float = 2.0) -> GaussianMixture:
    """A kernel density and a broad Gaussian in one mixture: where the examples end, the Gaussian takes over.

    p = (1 - w) (1/N) sum_n N(x; x_n, b^2 I) + w N(x; mean, inflation diag(variances) + b^2 I), with the mean and the
    variances of the examples coordinate by coordinate. Denoised as one mixture: the broad part takes over by its
    *density* at level sigma. A network has none, so that this remedy needs a closed form.

    Args:
        examples: Training set, [N, d], N >= 2.
        bandwidth: Standard deviation b of a kernel.
        weight: Share w of the broad Gaussian, in (0, 1).
        inflation: Variance of the Gaussian over that of the examples.

    Returns:
        The mixture of N + 1 components, the broad one last.

    Raises:
        TypeError, ValueError: Bad examples or numbers.
    """
    examples = checks.tensor("examples", examples, shape=(None, None))
    (n, d), bandwidth = examples.shape, checks.positive("bandwidth", bandwidth, dtype=examples.dtype)
    inflation, weight = checks.positive("inflation", inflation), checks.positive("weight", weight)
    if n < 2:
        raise ValueError(f"examples must hold at least 2 models, whose spread the Gaussian takes, got {n}")
    if weight >= 1:
        raise ValueError(f"weight must be below 1, got {weight}")
    x = examples.double()
    broad = inflation * x.var(0) + bandwidth**2
    variances = torch.cat([torch.full_like(x, bandwidth**2), broad[None]])
    logs = torch.cat([x.new_full((n,), math.log((1 - weight) / n)), x.new_tensor([math.log(weight)])])
    axes = torch.eye(d, dtype=x.dtype, device=x.device).expand(n + 1, d, d)
    means = torch.cat([examples, examples.mean(0, keepdim=True)])
    return GaussianMixture.from_axes(means, axes, variances, logs.to(examples.dtype))


def _not_negative(name: str, value: float) -> float:
    """`value` as a float, or what is wrong with it; 0 switches a remedy off."""
    return 0.0 if isinstance(value, int | float) and not isinstance(value, bool) and value == 0 else checks.positive(
        name, value
    )  # fmt: skip
