"""Gaussian mixtures with full covariances, the form of the linearized posterior."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from lib import checks


class GaussianMixture:
    """sum_n w_n N(x; mu_n, Sigma_n) with exact density, samples, moments and denoiser.

    Args:
        means: Component means mu_n, [N, d].
        covariances: Component covariances Sigma_n, symmetric positive definite, [N, d, d].
        log_weights: Log-weights, [N]; normalized here. -inf is a weight of zero.

    Raises:
        TypeError, ValueError: Wrong type, shape or dtype, non-finite entries, a covariance that is not symmetric
            positive definite, no component with a positive weight.
    """

    def __init__(self, means: Tensor, covariances: Tensor, log_weights: Tensor):
        self.means = checks.tensor("means", means, shape=(None, None))
        n, d = means.shape
        self.covariances = checks.tensor("covariances", covariances, shape=(n, d, d), like=means)
        self.log_weights = checks.log_weights(log_weights, means)
        asymmetry = float((covariances - covariances.mT).detach().abs().amax())
        if asymmetry > 1e3 * torch.finfo(means.dtype).eps * float(covariances.detach().abs().amax()):
            raise ValueError(f"covariances must be symmetric, got a largest difference of {asymmetry:.3g}")
        # One eigendecomposition serves every noise level: Sigma + sigma^2 I only shifts the eigenvalues. All that
        # follows runs in double precision, whatever the dtype of the tensors that go in and come out.
        self._variances, self._axes = torch.linalg.eigh(covariances.double())
        smallest = float(self._variances.detach().amin())
        if not smallest > 0:
            raise ValueError(f"covariances must be positive definite, got a smallest eigenvalue of {smallest:.3g}")

    @classmethod
    def from_axes(cls, means: Tensor, axes: Tensor, variances: Tensor, log_weights: Tensor) -> GaussianMixture:
        """The mixture with covariances V_n diag(variances_n) V_n^T, kept as they are.

        A variance far below the largest one keeps all its digits here; formed into a matrix it drowns in rounding.

        Args:
            means: Component means, [N, d].
            axes: Orthonormal principal axes as columns, [N, d, d], float64.
            variances: Variances along them, positive, [N, d], float64.
            log_weights: Log-weights, [N].
        """
        mixture = cls.__new__(cls)
        mixture.means = checks.tensor("means", means, shape=(None, None))
        n, d = means.shape
        mixture._axes = checks.tensor("axes", axes, shape=(n, d, d))
        mixture._variances = checks.tensor("variances", variances, shape=(n, d), like=axes)
        if not bool((variances > 0).all()):
            raise ValueError(f"variances must be positive, got a minimum of {float(variances.min()):.3g}")
        mixture.covariances = ((axes * variances[:, None]) @ axes.mT).to(means.dtype)
        mixture.log_weights = checks.log_weights(log_weights, means)
        return mixture

    @property
    def weights(self) -> Tensor:
        """Component weights, [N]; they sum to 1."""
        return self.log_weights.exp()

    @cached_property
    def mean(self) -> Tensor:
        """Mean of the mixture, [d]."""
        return self.weights @ self.means

    @cached_property
    def covariance(self) -> Tensor:
        """Covariance of the mixture: mean of the component covariances plus covariance of their means, [d, d]."""
        within = torch.einsum("n,nde->de", self.weights, self.covariances)
        offsets = self.means - self.mean
        return within + torch.einsum("n,nd,ne->de", self.weights, offsets, offsets)

    def _log_joint(self, x: Tensor, added: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log [w_n N(x; mu_n, Sigma_n + added I)] [B, N]; offsets and variances along the axes, [B or 1, N, d]."""
        variances = self._variances + added.double()[:, :, None]
        along = torch.einsum("nde,bnd->bne", self._axes, x[:, None].double() - self.means)
        # A distance that overflows would leave inf - inf behind; at the clamp every weight is zero or undecided anyway.
        quadratic = (along.square() / variances).sum(-1).clamp_max(1e300)
        log_det = variances.log().sum(-1) + x.shape[1] * math.log(2 * math.pi)
        return self.log_weights - 0.5 * (quadratic + log_det), along, variances

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density at x [B, d], [B]."""
        x = checks.tensor("x", x, shape=(None, self.means.shape[1]), like=self.means)
        return torch.logsumexp(self._log_joint(x, x.new_zeros(1, 1))[0], 1).to(x.dtype)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n samples, [n, d]."""
        n, generator = checks.count("n", n), checks.random_source(generator, self.means.device)
        pick = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.empty_like(self.means[pick]).normal_(generator=generator)
        steps = torch.einsum("nde,ne->nd", self._axes[pick], self._variances[pick].sqrt() * noise)
        return self.means[pick] + steps.to(noise.dtype)

    def denoise(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Posterior mean E[x_0 | x_0 + sigma e = x] for x_0 of this mixture.

        D = sum_n r_n [mu_n + Sigma_n (Sigma_n + sigma^2 I)^-1 (x - mu_n)],
        r_n = softmax_n(log w_n + log N(x; mu_n, Sigma_n + sigma^2 I)).

        Args:
            x: Noisy points, [B, d].
            sigma: Noise level, positive: a float, 0-d or [B].

        Returns:
            Denoised points, [B, d].
        """
        x = checks.tensor("x", x, shape=(None, self.means.shape[1]), like=self.means)
        log_joint, along, variances = self._log_joint(x, checks.noise_level(sigma, x).square())
        pulled = torch.einsum("nde,bne->bnd", self._axes, along * self._variances / variances)
        return torch.einsum("bn,bnd->bd", torch.softmax(log_joint, 1), self.means + pulled).to(x.dtype)
