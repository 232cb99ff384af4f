"""A posterior problem under a memorized prior, its tangents and the Gaussian components that they give."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lib import checks
from lib.checks import Forward
from lib.jacobian import jacobians
from lib.low_rank import leading
from lib.tangents import DenseTangent, SpectralTangent, whole

Tangent = DenseTangent | SpectralTangent

_OVERSAMPLING = 10
_MOST_ROWS, _MOST_NUMBERS = 2048, 2**23  # of one call, where the caller sets no limit


@dataclass(frozen=True)
class Problem:
    """What a posterior is computed from, checked; `rank` is None unless it is below d and m."""

    examples: Tensor
    bandwidth: float
    forward: Forward
    d_obs: Tensor
    noise_std: float
    rank: int | None
    max_rows: int
    seed: int

    @classmethod
    def checked(
        cls,
        examples: Tensor,
        bandwidth: float,
        forward: Forward,
        d_obs: Tensor,
        noise_std: float,
        rank: int | None,
        max_rows: int | None,
        generator: torch.Generator | None,
    ) -> Problem:
        """The problem, or what is wrong with it (TypeError, ValueError)."""
        examples, d_obs, noise_std = checked_data(examples, d_obs, noise_std)
        bandwidth = checks.positive("bandwidth", bandwidth, dtype=examples.dtype)
        d, m = examples.shape[1], len(d_obs)
        if rank is not None and checks.count("rank", rank) > d:
            raise ValueError(f"rank must be at most d = {d}, got {rank}")
        rank = None if rank is None or rank >= min(d, m) else int(rank)
        generator, seed = checks.random_source(generator, examples.device), 0
        if rank is not None:  # at full rank nothing is drawn
            seed = int(torch.randint(2**31, (1,), generator=generator, device=examples.device))
        if max_rows is None:
            max_rows = max(1, min(_MOST_ROWS, _MOST_NUMBERS // (d + m)))
        max_rows = checks.count("max_rows", max_rows)
        return cls(examples.detach(), bandwidth, forward, d_obs, noise_std, rank, max_rows, seed)

    @property
    def per_call(self) -> int:
        """Examples whose tangents come out of one forward-mode call."""
        d = self.examples.shape[1]
        columns = d if self.rank is None else min(self.rank + _OVERSAMPLING, d)
        return max(1, self.max_rows // columns)

    def residual(self, values: Tensor) -> Tensor:
        """(d_obs - F) / noise_std of values F [n, m], [n, m], in double precision."""
        return (self.d_obs.double() - values.detach().double()) / self.noise_std

    def tangent(self, z: Tensor, numbers: list[int]) -> Tangent:
        """The tangents at z [n, d]; at a low rank the `numbers` of their examples choose the random directions."""
        options = {"max_rows": self.max_rows, "num_data": len(self.d_obs)}
        ratio = self.bandwidth / self.noise_std
        try:
            if self.rank is None:
                values, slopes = jacobians(self.forward, z, **options)
                tangent = whole(values.detach().double(), slopes.detach().double(), ratio)
            else:
                start = torch.stack([self._start(number) for number in numbers])
                values, left, s, axes = leading(self.forward, z, start, self.rank, **options)
                s = ratio * s
                tangent = SpectralTangent(values.detach().double(), s[:, None] * left, s.square(), axes)
                if not bool(torch.isfinite(tangent.squares).all()):
                    raise OverflowError
            if not bool(torch.isfinite(torch.linalg.vector_norm(self.residual(values)).square())):
                raise OverflowError
        except OverflowError:
            raise ValueError(
                f"noise_std must not be so small that (d_obs - F)^2 / noise_std^2 or (bandwidth J)^2 / noise_std^2 "
                f"overflows, got {self.noise_std}"
            ) from None
        return tangent

    def _start(self, number: int) -> Tensor:
        generator = torch.Generator(self.examples.device).manual_seed(self.seed + number)
        d = self.examples.shape[1]
        shape = (min(self.rank + _OVERSAMPLING, d), d)
        return torch.randn(shape, generator=generator, dtype=torch.float64, device=self.examples.device)


def checked_data(examples: Tensor, d_obs: Tensor, noise_std: float) -> tuple[Tensor, Tensor, float]:
    """Examples [N, d], data [m] and their noise, or what is wrong with them (TypeError, ValueError)."""
    examples = checks.tensor("examples", examples, shape=(None, None))
    d_obs = checks.tensor("d_obs", d_obs, shape=(None,), like=examples)
    return examples, d_obs, checks.positive("noise_std", noise_std, dtype=examples.dtype)


def components(problem: Problem, x: Tensor, z: Tensor, tangent: Tangent) -> dict[str, Tensor]:
    """Posterior components of the prior N(x_n, bandwidth^2 I) with F replaced by its tangent at z_n.

    With A = (bandwidth / noise_std) J(z) and r = (d_obs - F(z) - J(z) (x - z)) / noise_std the step from x to the mean,
    in bandwidths, is c = (I + A^T A)^-1 A^T r. In units of the bandwidth the precision is I + A^T A.

    Args:
        problem: Data, noise and bandwidth.
        x: Centres of the prior, [n, d].
        z: Where the tangent was taken, [n, d].
        tangent: It.

    Returns:
        `means` [n, d] in x's dtype; in double precision the covariances in one of the forms of `GaussianMixture`,
        `log_weights` [n], not normalized, and `decrements` [n]: the length of the step from z to the mean in standard
        deviations of the component.
    """
    offset = (z - x).double() / problem.bandwidth
    shifted = tangent.apply(offset) if bool((offset != 0).any()) else 0
    residual = problem.residual(tangent.values) + shifted
    step = tangent.best_step(residual)
    predicted = tangent.apply(step)
    # r^T (I + A A^T)^-1 r = |r - A c|^2 + |c|^2 at the minimizer: no difference of large numbers.
    quadratic = (residual - predicted).square().sum(1) + step.square().sum(1)
    return tangent.spread(problem.bandwidth) | {
        "means": (x.double() + problem.bandwidth * step).to(x.dtype),
        "log_weights": -0.5 * (quadratic + tangent.log_det),
        "decrements": ((step - offset).square().sum(1) + (predicted - shifted).square().sum(1)).sqrt(),
    }


def by_axes(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Components with their covariances by axes and variances, where they are given by precisions."""
    if "axes" in parts:
        return parts
    values, axes = torch.linalg.eigh(parts["precisions"])
    others = {name: value for name, value in parts.items() if name != "precisions"}
    return others | {"axes": axes, "variances": 1 / values, "rest": 1 / values[:, 0]}
