"""Weighted training examples: the streamed sums over point masses that every closed form here needs.

Everything goes through log-sum-exp and runs over the examples in blocks, so that memory stays small whatever N.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import threshold, threshold_

from lib import checks

_BLOCK = 2**20  # entries of one block of the [B, N] distance table
_SHIFTED = 2**20  # numbers of examples that are shifted at a time, in a copy that stays in the processor's cache
_DIRECT = 2**20  # up to so many entries x - x_n are formed one by one: exact, and the product costs as much


class WeightedExamples:
    """Weighted point masses sum_n w_n delta(x - x_n): the streamed sums that every closed form here needs.

    Args:
        examples: Point masses, [N, d]: constants, whose norms are kept; not to be changed afterwards, and without
            gradients. Derivatives are those in the points, the variance and the log-weights.
        log_weights: Log-weights, [N]; None means equal weights. Masses of weight zero are left out.

    Raises:
        TypeError, ValueError: Wrong type, shape or dtype, non-finite entries, no examples.
    """

    def __init__(self, examples: Tensor, log_weights: Tensor | None = None):
        self.examples = examples = checks.tensor("examples", examples, shape=(None, None)).detach()
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

    def blocks(self, batch: int) -> Iterator[slice]:
        """Slices that cut the examples into blocks for a batch of so many points."""
        step = max(1, _BLOCK // max(1, batch))
        return (slice(start, start + step) for start in range(0, len(self.examples), step))

    def _shifted(self, block: slice) -> Iterator[tuple[Tensor, Tensor]]:
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
        offset = x - self._centre
        by_product = [torch.addmm(own, offset, part.T, alpha=-2.0) for part, own in self._shifted(block)]
        squares = by_product[0] if len(by_product) == 1 else torch.cat(by_product, 1)
        if not self._direct(x):
            return squares
        # Exact values, and the derivatives of the product form: differentiated, the differences take ten times as long.
        slopes = squares + offset.square().sum(-1, keepdim=True)
        return (x.detach()[:, None] - self.examples[block]).square().sum(-1) + (slopes - slopes.detach())

    def log_sum(self, x: Tensor, variance: Tensor) -> Tensor:
        """log sum_n w_n exp(-|x - x_n|^2 / (2 variance)), [B].

        Args:
            x: Points, [B, d].
            variance: Kernel variance, [1, 1] or [B, 1].
        """
        total, closest = None, None
        for _, shares, top, nearest in self._shares(x, variance):
            log = top - shares.amax(1, keepdim=True).log()
            if total is None:
                total, closest = log, nearest
            else:
                total, closest, _, _ = _together(total, closest, log, nearest, variance)
        if not self._direct(x):
            closest = closest + (x - self._centre).square().sum(-1, keepdim=True)
        return (total - closest / (2 * variance))[:, 0]

    def mean(self, x: Tensor, variance: Tensor) -> Tensor:
        """sum_n r_n x_n with r_n ~ w_n exp(-|x - x_n|^2 / (2 variance)), [B, d]; arguments as those of `log_sum`."""
        total, closest, mean = None, None, None
        for block, shares, top, nearest in self._shares(x, variance):
            here = shares @ self.examples[block]
            if block.stop - block.start >= len(self.examples):
                return here
            log = top - shares.amax(1, keepdim=True).log()
            if total is None:
                total, closest, mean = log, nearest, here
            else:
                total, closest, kept, added = _together(total, closest, log, nearest, variance)
                mean = kept * mean + added * here
        return mean

    def _shares(self, x: Tensor, variance: Tensor) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """By block of examples: its slice, their shares r_n / sum r_n [B, n], log max r_n [B, 1], and its reference.

        Each r_n is measured from the nearest example, whose squared distance is the reference [B, 1]: at least one
        exponent stays finite however small the variance. The log of the sum is that of the largest r_n less that of the
        largest share. Where one share is 1, the derivative of all is exactly zero, not rounding. What is too small for
        a normal number is no share at all: exp takes ten times as long where it underflows, a product three times.
        """
        for block in self.blocks(len(x)):
            squares = self.squared_distances(x, block)
            nearest = _not_overflowed(squares.detach().amin(1, keepdim=True))
            least = math.log(torch.finfo(x.dtype).tiny * squares.shape[1])
            if any(part.requires_grad for part in (squares, variance, self.log_weights)):
                logits = self.log_weights[block] - (squares - nearest) / (2 * variance)
                top = logits.amax(1, keepdim=True)
                logits = threshold(logits - top, least, -math.inf)
            else:  # in the room that is there: fresh memory costs as much as the work
                logits = squares.sub_(nearest).div_(-2 * variance).add_(self.log_weights[block])
                top = logits.amax(1, keepdim=True)
                logits = threshold_(logits.sub_(top), least, -math.inf)
            yield block, torch.softmax(logits, 1), top, nearest

    def responsibilities(self, x: Tensor, variance: Tensor) -> Tensor:
        """Normalized r_n ~ w_n exp(-|x - x_n|^2 / (2 variance)), [B, N]; not streamed, its result is the table."""
        squares = torch.cat([self.squared_distances(x, block) for block in self.blocks(len(x))], 1)
        nearest = _not_overflowed(squares.detach().amin(1, keepdim=True))
        return torch.softmax(self.log_weights - (squares - nearest) / (2 * variance), 1)


def _together(
    one: Tensor, near_one: Tensor, two: Tensor, near_two: Tensor, variance: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two log-sums, each measured from a squared distance, as one from the smaller distance, and their shares of it.

    All [B, 1]. Distances are subtracted before they are divided: over a tiny variance both would be infinite.
    """
    near = torch.minimum(near_one, near_two)
    one, two = (log - (far - near) / (2 * variance) for log, far in ((one, near_one), (two, near_two)))
    total = torch.logaddexp(one, two)
    return total, near, (one - total).exp(), (two - total).exp()


def _not_overflowed(squares: Tensor) -> Tensor:
    if not bool(torch.isfinite(squares).all()):
        raise ValueError(f"x must be so near the examples that |x - x_n|^2 fits in {squares.dtype}, got an overflow")
    return squares
