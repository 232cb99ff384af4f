"""Posteriors under a memorized prior: the likelihood-weighted lookup, its linearizations and its exact denoiser."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.assembly import assemble
from lib.checks import Forward
from lib.linearization import Problem, checked_data, components
from lib.mixture import GaussianMixture, WeightedExamples
from lib.relinearized import relinearized_posterior

__all__ = ["ConditionalDenoiser", "linearized_posterior", "lookup_weights", "relinearized_posterior"]


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
    examples, d_obs, noise_std = checked_data(examples, d_obs, noise_std)
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
    max_rows: int | None = None,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
) -> GaussianMixture:
    """Posterior under a memorized prior of bandwidth b, with F replaced by its tangent at each example.

    Sigma_n = (I / b^2 + J_n^T J_n / gamma^2)^-1,  mu_n = x_n + Sigma_n J_n^T (d_obs - F(x_n)) / gamma^2,
    log w_n = log N(d_obs; F(x_n), gamma^2 I + b^2 J_n J_n^T), the log-determinant included: it differs between the
    examples whenever J_n does. Exact for a linear F.

    With a `rank` k below d and m each J_n is replaced by its k leading singular triplets, found without forming J_n;
    means, covariances and log-determinants follow from the triplets, and the posterior has the prior's width across
    them. In terms of rho = b^2 s^2 / (gamma^2 + b^2 s^2) the covariance is off by b^2 rho_{k+1} in the spectral norm,
    half the log-determinant by the sum of log(1 + b^2 s^2 / gamma^2) / 2 over what is dropped.

    Source: Siahkoohi and Sabeddu (2026), the linearized posterior; the determinant is ours. Low rank: Halko et al.
    (2011), Spantini et al. (2015).

    Args:
        examples: Training set, [N, d].
        bandwidth: Standard deviation b of the prior's components, positive.
        forward: Batched map [B, d] -> [B, m], differentiable in forward mode; for a low rank also in reverse mode.
        d_obs: Observed data, [m].
        noise_std: Standard deviation gamma of the noise in each datum, positive.
        rank: Singular directions of each J_n to keep, at most d; None, or as many as d or m, keeps all.
        max_rows: Rows of one call of `forward`; None: at most 2048, fewer where there are many data (2^23 numbers).
        generator: Source of the random directions of a low rank.
        checkpoint: File to write while it computes; if it exists, the computation goes on from it.

    Returns:
        The posterior as a `GaussianMixture` with N components; at a low rank it holds [N, d, k] numbers, no [d, d].

    Raises:
        TypeError, ValueError: As `lookup_weights`; a bandwidth that is not positive or underflows, a rank above d; a
            checkpoint that is corrupt or of another problem (it stays as it is).
        FileNotFoundError: The checkpoint's folder does not exist.
    """
    problem = Problem.checked(examples, bandwidth, forward, d_obs, noise_std, rank, max_rows, generator)
    return assemble(problem, _linearized, kind="linearized posterior", settings={}, checkpoint=checkpoint)[0]


def _linearized(problem: Problem, numbers: list[int]) -> dict[str, Tensor]:
    x = problem.examples[numbers]
    tangent = problem.tangent(x, numbers)
    return components(problem, x, x, tangent) | {"misfits": problem.residual(tangent.values).square().sum(1)}


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
        return self._points.mean(x, checks.noise_level(sigma, x).square())
