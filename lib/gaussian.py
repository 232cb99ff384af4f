"""Gaussian mixtures with full or low-rank covariances, the form of the linearized posterior."""

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
        self._spectrum = torch.linalg.eigh(covariances.double())
        self._rest = None
        smallest = float(self._variances.detach().amin())
        if not smallest > 0:
            raise ValueError(f"covariances must be positive definite, got a smallest eigenvalue of {smallest:.3g}")

    @classmethod
    def from_axes(
        cls, means: Tensor, axes: Tensor, variances: Tensor, log_weights: Tensor, *, rest: Tensor | None = None
    ) -> GaussianMixture:
        """The mixture with covariances V_n diag(variances_n) V_n^T + rest_n (I - V_n V_n^T), kept as they are.

        A variance far below the largest one keeps all its digits here; formed into a matrix it drowns in rounding.

        Args:
            means: Component means, [N, d].
            axes: Orthonormal principal axes as columns, [N, d, k], k <= d, float64.
            variances: Variances along them, positive, [N, k], float64.
            log_weights: Log-weights, [N].
            rest: Variances across the axes, positive, [N], float64; needed for k < d, without a meaning for k = d.
        """
        mixture = cls.__new__(cls)
        mixture.means = checks.tensor("means", means, shape=(None, None))
        n, d = means.shape
        k = checks.tensor("axes", axes, shape=(n, d, None)).shape[2]
        mixture._spectrum = checks.tensor("variances", variances, shape=(n, k), like=axes), axes
        mixture._rest = None
        if k != d:
            if k > d or rest is None:
                raise ValueError(f"axes must be as many as dimensions ({d}), or fewer with `rest` given, got {k}")
            mixture._rest = checks.tensor("rest", rest, shape=(n,), like=axes)
        for name, value in (("variances", variances), ("rest", mixture._rest)):
            if value is not None and not bool((value > 0).all()):
                raise ValueError(f"{name} must be positive, got a minimum of {float(value.min()):.3g}")
        mixture.log_weights = checks.log_weights(log_weights, means)
        return mixture

    @classmethod
    def from_precisions(cls, means: Tensor, precisions: Tensor, log_weights: Tensor) -> GaussianMixture:
        """The mixture whose covariances invert `precisions`, [N, d, d], float64, factored when first asked for."""
        mixture = cls.__new__(cls)
        mixture.means = checks.tensor("means", means, shape=(None, None))
        mixture._precisions = checks.tensor("precisions", precisions, shape=(*means.shape, means.shape[1]))
        mixture._rest = None
        mixture.log_weights = checks.log_weights(log_weights, means)
        return mixture

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        values, axes = torch.linalg.eigh(self._precisions)
        if not bool((values > 0).all()):
            raise ValueError(f"precisions must be positive definite, got an eigenvalue of {float(values.min()):.3g}")
        return 1 / values, axes

    @property
    def _variances(self) -> Tensor:
        return self._spectrum[0]

    @property
    def _axes(self) -> Tensor:
        return self._spectrum[1]

    @cached_property
    def covariances(self) -> Tensor:
        """Component covariances, [N, d, d]; those not given are formed when first asked for."""
        covariances = (self._axes * self._excess[:, None]) @ self._axes.mT
        if self._rest is not None:
            covariances.diagonal(dim1=1, dim2=2).add_(self._rest[:, None])
        return covariances.to(self.means.dtype)

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
        offsets, weights = self.means - self.mean, self.weights.double()
        scaled = self._axes * (weights[:, None] * self._excess)[:, None]
        within = torch.einsum("ndk,nek->de", scaled, self._axes)
        if self._rest is not None:
            within.diagonal().add_(weights @ self._rest)
        return within.to(self.means.dtype) + torch.einsum("n,nd,ne->de", self.weights, offsets, offsets)

    @property
    def _excess(self) -> Tensor:
        """Variances along the axes beyond those across, [N, k]."""
        return self._variances if self._rest is None else self._variances - self._rest[:, None]

    def _split(self, offsets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Coordinates [B, N, k] of offsets [B, N, d] along the axes, and what lies across them, if anything can."""
        along = torch.einsum("nde,bnd->bne", self._axes, offsets.double())
        return along, None if self._rest is None else offsets - torch.einsum("nde,bne->bnd", self._axes, along)

    def _log_joint(self, x: Tensor, added: Tensor) -> tuple[Tensor, tuple, tuple]:
        """log [w_n N(x; mu_n, Sigma_n + added I)] [B, N]; offsets along and across the axes, and their variances."""
        along, across = self._split(x[:, None].double() - self.means)
        variances, rest = self._variances + added.double()[:, :, None], None
        quadratic, log_det = (along.square() / variances).sum(-1), variances.log().sum(-1)
        if across is not None:
            rest = self._rest + added.double()
            quadratic = quadratic + across.square().sum(-1) / rest
            log_det = log_det + (x.shape[1] - self._axes.shape[2]) * rest.log()
        # A distance that overflows would leave inf - inf behind; at the clamp every weight is zero or undecided anyway.
        quadratic = quadratic.clamp_max(1e300) + x.shape[1] * math.log(2 * math.pi)
        return self.log_weights - 0.5 * (quadratic + log_det), (along, across), (variances, rest)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density at x [B, d], [B]."""
        x = checks.tensor("x", x, shape=(None, self.means.shape[1]), like=self.means)
        return torch.logsumexp(self._log_joint(x, x.new_zeros(1, 1))[0], 1).to(x.dtype)

    def lengths(self, vectors: Tensor) -> Tensor:
        """Lengths |Sigma_n^(1/2) v_n| of one vector a component, [N, d] -> [N], in double precision.

        Of a gradient of the log-posterior this is the step it asks for, in standard deviations of the component.
        """
        vectors = checks.tensor("vectors", vectors, shape=tuple(self.means.shape), like=self.means)
        along, across = self._split(vectors[None])
        squares = (self._variances * along.square()).sum(-1)
        if across is not None:
            squares = squares + self._rest * across.square().sum(-1)
        return squares.sqrt()[0]

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n samples, [n, d]."""
        n, generator = checks.count("n", n), checks.random_source(generator, self.means.device)
        pick = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.empty_like(self.means[pick]).normal_(generator=generator)
        axes, scales = self._axes[pick], self._variances[pick].sqrt()
        if self._rest is None:
            steps = torch.einsum("nde,ne->nd", axes, scales * noise)
        else:  # Sigma^(1/2) noise, without a basis of what lies across the axes
            across = self._rest[pick].sqrt()[:, None]
            inside = torch.einsum("nde,nd->ne", axes, noise.double())
            steps = across * noise + torch.einsum("nde,ne->nd", axes, (scales - across) * inside)
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
        log_joint, (along, across), (variances, rest) = self._log_joint(x, checks.noise_level(sigma, x).square())
        pulled = torch.einsum("nde,bne->bnd", self._axes, along * self._variances / variances)
        if across is not None:
            pulled = pulled + across * (self._rest / rest)[..., None]
        return torch.einsum("bn,bnd->bd", torch.softmax(log_joint, 1), self.means + pulled).to(x.dtype)
