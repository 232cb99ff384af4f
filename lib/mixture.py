"""Memorized priors in closed form: Gaussian mixtures centred on training examples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lib import checks
from lib.gaussian import GaussianMixture
from lib.point_masses import WeightedExamples

__all__ = ["GaussianMixture", "MemorizedPrior", "WeightedExamples"]


class MemorizedPrior:
    """What a diffusion model knows once it has memorized: (1/N) sum_n N(x; x_n, bandwidth^2 I).

    At noise level sigma the minimizer of denoising score matching on N examples is the score of this mixture with
    bandwidth sigma: a reverse process that stops at sigma_min has the bandwidth sigma_min.

    Source: Siahkoohi and Sabeddu (2026); Karras et al. (2022), appendix B.3; Vincent (2011).

    Args:
        examples: Training set, [N, d].
        bandwidth: Standard deviation of each component, in the units of the examples, positive.

    Raises:
        TypeError, ValueError: Bad examples, or a bandwidth that is not positive or whose square underflows.
    """

    def __init__(self, examples: Tensor, bandwidth: float):
        self._points = WeightedExamples(examples)
        self.examples = self._points.examples
        self.bandwidth = checks.positive("bandwidth", bandwidth, dtype=examples.dtype)

    def _point(self, x: Tensor) -> Tensor:
        return checks.tensor("x", x, shape=(None, self.examples.shape[1]), like=self.examples)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of the mixture at x [B, d], [B]; errors as in `denoise`."""
        x = self._point(x)
        variance = x.new_full((1, 1), self.bandwidth).square()
        total = self._points.log_sum(x, variance)
        return total - 0.5 * x.shape[1] * math.log(2 * math.pi * self.bandwidth**2)

    def score(self, x: Tensor) -> Tensor:
        """Gradient of `log_prob` at x [B, d], [B, d]: (D(x, bandwidth) - x) / bandwidth^2 (Tweedie; Efron, 2011)."""
        return (self.denoise(x, self.bandwidth) - x) / self.bandwidth**2

    def denoise(self, x: Tensor, sigma: float | Tensor, *, include_bandwidth: bool = False) -> Tensor:
        """Posterior mean D(x, sigma) = E[x_0 | x_0 + sigma e = x].

        By default x_0 is one of the N examples (point masses, whatever the bandwidth):
        D = sum_n r_n x_n with r_n = softmax_n(-|x - x_n|^2 / (2 sigma^2)). Where one r_n is 1 its Jacobian vanishes.
        With `include_bandwidth` x_0 follows the mixture of bandwidth b: r_n takes b^2 + sigma^2, and
        D = sum_n r_n [x_n + b^2 / (b^2 + sigma^2) (x - x_n)], whose Jacobian never vanishes.

        Source: Karras et al. (2022), appendix B.3 (point masses).

        Args:
            x: Noisy points, [B, d].
            sigma: Noise level, positive: a float, 0-d or [B].
            include_bandwidth: Denoise under the mixture of bandwidth b instead of the point masses.

        Returns:
            Denoised points, [B, d].

        Raises:
            TypeError, ValueError: Wrong shape or dtype, NaN, a level that is not positive.
        """
        x = self._point(x)
        variance = checks.noise_level(sigma, x).square()
        if not include_bandwidth:
            return self._points.mean(x, variance)
        own = self.bandwidth**2
        mean = self._points.mean(x, variance + own)
        return mean + own / (own + variance) * (x - mean)

    def responsibilities(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Probability that x [B, d] is a noisy copy of example n at level sigma, [B, N]; rows sum to 1."""
        x = self._point(x)
        return self._points.responsibilities(x, checks.noise_level(sigma, x).square())

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n samples of the mixture, [n, d]."""
        n, generator = checks.count("n", n), checks.random_source(generator, self.examples.device)
        pick = torch.randint(len(self.examples), (n,), generator=generator, device=self.examples.device)
        noise = torch.empty_like(self.examples[pick]).normal_(generator=generator)
        return self.examples[pick] + self.bandwidth * noise
