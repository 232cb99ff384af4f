"""Memorized priors in closed form: Gaussian mixtures centred on training examples.

Everything goes through log-sum-exp and runs over the examples in blocks, so that memory stays small whatever N.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lib import checks
from lib.gaussian import GaussianMixture

__all__ = ["GaussianMixture", "MemorizedPrior", "WeightedExamples"]

_BLOCK = 2**20  # entries of one block of the [B, N] distance table
_SHIFTED = 2**20  # numbers of examples that are shifted at a time, in a copy that stays in the processor's cache
_DIRECT = 2**20  # up to so many entries x - x_n are formed one by one: exact, and as fast as the product


class WeightedExamples:
    """Weighted point masses sum_n w_n delta(x - x_n): the streamed sums that every closed form here needs.

    Args:
        examples: Point masses, [N, d].
        log_weights: Log-weights, [N]; None means equal weights. Masses of weight zero are left out.

    Raises:
        TypeError, ValueError: Wrong type, shape or dtype, non-finite entries, no examples.
    """

    def __init__(self, examples: Tensor, log_weights: Tensor | None = None):
        self.examples = checks.tensor("examples", examples, shape=(None, None))
        if log_weights is None:
            log_weights = examples.new_full((len(examples),), -math.log(len(examples)))
        else:
            log_weights = checks.log_weights(log_weights, examples)
            keep = torch.isfinite(log_weights)
            if not bool(keep.all()):
                self.examples, log_weights = examples[keep], log_weights[keep]
        self.log_weights = log_weights
        # The product form below rounds at the size of the vectors it is given: examples whose common mean outweighs
        # their spread (velocities in m/s) are shifted by it, block by block; centred ones stay as they are.
        self._centre = self.examples.mean(0)
        self._squares = torch.linalg.vector_norm(self.examples, dim=1).square()
        self._off_centre = bool(2 * self._centre.square().sum() > self._squares.mean())
        if self._off_centre:
            self._squares = torch.cat([part.square().sum(1) for part, _ in self._shifted(slice(None))])
        else:
            self._centre = torch.zeros_like(self._centre)

    def blocks(self, batch: int):
        """Slices that cut the examples into blocks for a batch of so many points."""
        step = max(1, _BLOCK // max(1, batch))
        return (slice(start, start + step) for start in range(0, len(self.examples), step))

    def _shifted(self, block: slice):
        """Yield a block less the centre, in parts, with their squares."""
        step = max(1, _SHIFTED // self.examples.shape[1]) if self._off_centre else len(self.examples)
        for part, squares in zip(self.examples[block].split(step), self._squares[block].split(step), strict=True):
            yield (part - self._centre if self._off_centre else part), squares

    def _direct(self, x: Tensor) -> bool:
        return len(x) * self.examples.numel() <= _DIRECT

    def squared_distances(self, x: Tensor, block: slice) -> Tensor:
        """Squared distances |x_b - x_n|^2 to the examples of a block, [B, n]; unless `_direct`, less |x_b - c|^2.

        What all examples share is left out of the product form: beside it the differences would drown in rounding.
        """
        if self._direct(x):
            return (x[:, None] - self.examples[block]).square().sum(-1)
        x = x - self._centre
        return torch.cat([torch.addmm(squares, x, part.T, alpha=-2.0) for part, squares in self._shifted(block)], 1)

    def moments(self, x: Tensor, variance: Tensor, *, with_mean: bool = True) -> tuple[Tensor, Tensor | None]:
        """Log-sum and mean of the examples under r_n ~ w_n exp(-|x - x_n|^2 / (2 variance)).

        Args:
            x: Points, [B, d].
            variance: Kernel variance, [1, 1] or [B, 1].
            with_mean: Also return the mean.

        Returns:
            log sum_n w_n exp(-|x - x_n|^2 / (2 variance)), [B]; sum_n r_n x_n, [B, d] or None.
        """
        nearest, logsum, means = [], [], []
        for block in self.blocks(len(x)):
            squares = self.squared_distances(x, block)
            # Measured from the nearest example, at least one exponent stays finite however small the variance.
            nearest.append(squares.detach().amin(1, keepdim=True))
            logits = self.log_weights[block] - (squares - nearest[-1]) / (2 * variance)
            top = logits.detach().amax(1, keepdim=True)
            terms = torch.exp(logits - top)
            mass = terms.sum(1, keepdim=True)
            logsum.append(top + mass.log())
            if with_mean:
                # Divided before the product: the derivative of a one-hot share is then exactly zero, not rounding.
                means.append((terms / mass) @ self.examples[block])
        _not_overflowed(torch.cat(nearest, 1))
        closest = torch.cat(nearest, 1).amin(1, keepdim=True)
        offsets = torch.cat(logsum, 1) - (torch.cat(nearest, 1) - closest) / (2 * variance)
        if not self._direct(x):
            closest = closest + (x - self._centre).square().sum(-1, keepdim=True)
        total = torch.logsumexp(offsets, 1) - (closest / (2 * variance))[:, 0]
        if len(means) < 2:
            return total, means[0] if with_mean else None
        return total, torch.einsum("bk,kbd->bd", torch.softmax(offsets, 1), torch.stack(means))

    def responsibilities(self, x: Tensor, variance: Tensor) -> Tensor:
        """Normalized r_n ~ w_n exp(-|x - x_n|^2 / (2 variance)), [B, N]; not streamed, its result is the table."""
        squares = torch.cat([self.squared_distances(x, block) for block in self.blocks(len(x))], 1)
        nearest = _not_overflowed(squares.detach().amin(1, keepdim=True))
        return torch.softmax(self.log_weights - (squares - nearest) / (2 * variance), 1)


def _not_overflowed(squares: Tensor) -> Tensor:
    if not bool(torch.isfinite(squares).all()):
        raise ValueError(f"x must be so near the examples that |x - x_n|^2 fits in {squares.dtype}, got an overflow")
    return squares


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
        total, _ = self._points.moments(x, variance, with_mean=False)
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
            return self._points.moments(x, variance)[1]
        own = self.bandwidth**2
        _, mean = self._points.moments(x, variance + own)
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
