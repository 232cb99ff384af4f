"""Posteriors under a memorized prior: the likelihood-weighted lookup, its linearization and its exact denoiser."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.checks import Forward
from lib.jacobian import jacobians
from lib.mixture import GaussianMixture, WeightedExamples


def lookup_weights(
    examples: Tensor, forward: Forward, d_obs: Tensor, noise_std: float, *, batch_size: int = 64
) -> Tensor:
    """Posterior weights of the training examples when the prior is their empirical distribution.

    w_n ~ exp(-|d_obs - F(x_n)|^2 / (2 noise_std^2)). The forward map sees each example exactly once.

    Source: Siahkoohi and Sabeddu (2026), the lookup posterior.

    Args:
        examples: Training set, [N, d].
        forward: Batched map [B, d] -> [B, m].
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive, in units of the data.
        batch_size: Examples in one call of `forward`.

    Returns:
        Normalized log-weights, [N].

    Raises:
        TypeError, ValueError: Bad arguments, or a forward map that is not batched, not finite, or of another dtype.
    """
    examples, d_obs, noise_std = _checked(examples, d_obs, noise_std)
    batch_size = checks.count("batch_size", batch_size)
    misfits = []
    batches = examples.split(batch_size)
    for batch in tqdm(batches, desc="lookup", unit="batch", delay=5, leave=False):
        data = checks.apply_forward(forward, batch, num_data=len(d_obs))
        # Sums of 10^5 squares: double precision keeps differences of a fraction of a nat.
        misfits.append((data.detach() - d_obs).double().square().sum(1))
    misfit = torch.cat(misfits)
    if not bool(torch.isfinite(misfit.min())):
        raise ValueError(f"d_obs must be so near some F(x_n) that its squared misfit is finite, got {misfit.min():.3g}")
    # Measured from the best example, so that one exponent stays 0 however precise the data are.
    return torch.log_softmax((misfit.min() - misfit) / (2 * noise_std**2), 0).to(examples.dtype)


def linearized_posterior(
    examples: Tensor,
    bandwidth: float,
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    rank: int | None = None,
    *,
    max_rows: int = 256,
) -> GaussianMixture:
    """Posterior under a memorized prior of bandwidth b, with F replaced by its tangent at each example.

    Sigma_n = (I / b^2 + J_n^T J_n / gamma^2)^-1,  mu_n = x_n + Sigma_n J_n^T (d_obs - F(x_n)) / gamma^2,
    log w_n = log N(d_obs; F(x_n), gamma^2 I + b^2 J_n J_n^T), the log-determinant included: it differs between the
    examples whenever J_n does. Exact for a linear F.

    Source: Siahkoohi and Sabeddu (2026), the linearized posterior; the determinant is ours.

    Args:
        examples: Training set, [N, d].
        bandwidth: Standard deviation b of the prior's components, positive.
        forward: Batched map [B, d] -> [B, m], differentiable in forward mode.
        d_obs: Observed data, [m].
        noise_std: Standard deviation gamma of the noise in each datum, positive.
        rank: Keep only so many leading singular directions of each J_n, up to d; the posterior has the prior's width
            along the others. None keeps all.
        max_rows: Rows of one call of `forward`; bounds the memory.

    Returns:
        The posterior as a `GaussianMixture` with N components.

    Raises:
        TypeError, ValueError: As `lookup_weights`, and a bandwidth that is not positive or underflows.
    """
    examples, d_obs, noise_std = _checked(examples, d_obs, noise_std)
    bandwidth = checks.positive("bandwidth", bandwidth, dtype=examples.dtype)
    if rank is not None and checks.count("rank", rank) > examples.shape[1]:
        raise ValueError(f"rank must be at most d = {examples.shape[1]}, got {rank}")
    per_call = max(1, checks.count("max_rows", max_rows) // examples.shape[1])
    parts = []
    for batch in tqdm(examples.split(per_call), desc="Jacobians", unit="batch", delay=5, leave=False):
        values, slopes = jacobians(forward, batch, max_rows=max_rows, num_data=len(d_obs))
        parts.append(_components(batch, bandwidth, values.detach(), slopes.detach(), d_obs, noise_std, rank))
    means, axes, variances, log_weights = (torch.cat(part) for part in zip(*parts, strict=True))
    log_weights = torch.log_softmax(log_weights, 0)
    return GaussianMixture.from_axes(means, axes, variances, log_weights.to(examples.dtype))


def _components(
    x: Tensor, bandwidth: float, values: Tensor, slopes: Tensor, d_obs: Tensor, noise_std: float, rank: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means, axes, variances and unnormalized log-weights of the components at x [n, d], in double precision."""
    residual = (d_obs.double() - values.double()) / noise_std
    scaled = bandwidth * slopes.double() / noise_std
    if not bool(torch.isfinite(residual.square().sum() + scaled.square().sum())):
        raise ValueError(
            f"noise_std must not be so small that (d_obs - F)^2 / noise_std^2 or (bandwidth J)^2 / noise_std^2 "
            f"overflows, got {noise_std}"
        )
    # A = U S V^T. In units of the bandwidth the precision is I + A^T A: along V it is 1 + s^2, 1 where s runs out.
    # (Forming A^T A would drown the 1 of the prior where the data are precise.)
    left, s, right = torch.linalg.svd(scaled, full_matrices=scaled.shape[1] < scaled.shape[2])
    rank = min(s.shape[1], rank or s.shape[1])
    left, s, axes = left[..., :rank], s[:, :rank], right.mT
    step = torch.einsum("ndk,nk->nd", axes[..., :rank], s / (1 + s**2) * torch.einsum("nmk,nm->nk", left, residual))
    shares = torch.ones(axes.shape[::2], dtype=s.dtype, device=s.device)
    shares[:, :rank] = 1 / (1 + s**2)
    log_det = torch.log1p(s**2).sum(1)
    # r^T (I + A A^T)^-1 r = |r - A step|^2 + |step|^2 at the minimizer: no difference of large numbers.
    quadratic = (residual - torch.einsum("nmd,nd->nm", scaled, step)).square().sum(1) + step.square().sum(1)
    return (x + bandwidth * step).to(x.dtype), axes, bandwidth**2 * shares, -0.5 * (quadratic + log_det)


class ConditionalDenoiser:
    """Exact E[x_0 | x_sigma = x, y] when the prior is the empirical distribution of the examples.

    D(x, sigma) = sum_n softmax_n(log w_n - |x - x_n|^2 / (2 sigma^2)) x_n with the lookup weights w_n. The reverse
    process with this denoiser samples the exact posterior without another evaluation of the forward map.

    Source: Karras et al. (2022), appendix B.3, with the weights of the lookup posterior.

    Args:
        examples: Training set, [N, d].
        log_weights: Log-weights of `lookup_weights`, [N]; normalized here.

    Raises:
        TypeError, ValueError: Bad examples or log-weights; when called, bad points or a level that is not positive.
    """

    def __init__(self, examples: Tensor, log_weights: Tensor):
        examples = checks.tensor("examples", examples, shape=(None, None))
        self._points = WeightedExamples(examples, checks.log_weights(log_weights, examples))
        self.examples, self.log_weights = self._points.examples, self._points.log_weights

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Denoise x [B, d] at level sigma (a float, 0-d or [B]); returns [B, d]."""
        x = checks.tensor("x", x, shape=(None, self.examples.shape[1]), like=self.examples)
        return self._points.moments(x, checks.noise_level(sigma, x).square())[1]


def _checked(examples: Tensor, d_obs: Tensor, noise_std: float) -> tuple[Tensor, Tensor, float]:
    examples = checks.tensor("examples", examples, shape=(None, None))
    d_obs = checks.tensor("d_obs", d_obs, shape=(None,), like=examples)
    return examples, d_obs, checks.positive("noise_std", noise_std, dtype=examples.dtype)
