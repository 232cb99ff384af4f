"""Gaussian mixtures given linear data: the exact posterior, prepared once for many data sets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lib import checks
from lib.gaussian import GaussianMixture


class LinearPosterior:
    """p(x | y) for x ~ sum_k w_k N(mu_k, Sigma_k) and y = G x + e, e ~ N(0, gamma^2 I): again a mixture, exactly.

    With S_k = G Sigma_k G^T + gamma^2 I and K_k = Sigma_k G^T S_k^-1 its components are
    N(mu_k + K_k (y - G mu_k), Sigma_k - K_k G Sigma_k), weighted by w_k N(y; G mu_k, S_k). Covariances and gains do not
    depend on the data: they are found once.

    Source: Bishop (2006), Pattern Recognition and Machine Learning, section 2.3.3, component by component.

    Args:
        prior: The mixture.
        matrix: G, [m, d].
        noise_std: Standard deviation gamma of the noise in each datum, positive.

    Raises:
        TypeError, ValueError: Not a mixture, or a matrix or noise that does not fit it.
    """

    def __init__(self, prior: GaussianMixture, matrix: Tensor, noise_std: float):
        if not isinstance(prior, GaussianMixture):
            raise TypeError(f"prior must be a GaussianMixture, got {type(prior).__name__}")
        matrix = checks.tensor("matrix", matrix, shape=(None, prior.means.shape[1]), like=prior.means).double()
        noise_std = checks.positive("noise_std", noise_std, dtype=matrix.dtype)
        self._dtype = prior.means.dtype
        self._means, self._log_weights = prior.means.double(), prior.log_weights.double()
        covariances = prior.covariances.double()
        self._modelled, spread = self._means @ matrix.T, covariances @ matrix.T
        scatter = matrix @ spread
        scatter.diagonal(dim1=1, dim2=2).add_(noise_std**2)
        checks.finite("covariance of the data", scatter)
        self._factor, failed = torch.linalg.cholesky_ex(scatter)
        if bool(failed.any()):
            raise ValueError(
                "noise_std must be large enough to keep G Sigma G^T + noise_std^2 I positive definite under rounding, "
                f"where a datum has a variance of {float(scatter.detach().amax()):.3g}; got {noise_std}"
            )
        self._gain = torch.cholesky_solve(spread.mT, self._factor).mT
        # Joseph's form, (I - K G) Sigma (I - K G)^T + gamma^2 K K^T, stays positive definite under rounding.
        left = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device) - self._gain @ matrix
        within = left @ covariances @ left.mT + noise_std**2 * self._gain @ self._gain.mT
        values, self._axes = torch.linalg.eigh((within + within.mT) / 2)
        self._variances = values.clamp_min(torch.finfo(values.dtype).tiny)

    def __call__(self, d_obs: Tensor) -> GaussianMixture:
        """The posterior of data [m]."""
        d_obs = checks.tensor("d_obs", d_obs, shape=(self._modelled.shape[1],)).double()
        residual = d_obs - self._modelled
        whitened = torch.linalg.solve_triangular(self._factor, residual[..., None], upper=False)[..., 0]
        log_det = self._factor.diagonal(dim1=1, dim2=2).log().sum(1)
        logs = self._log_weights - 0.5 * whitened.square().sum(1) - log_det - 0.5 * len(d_obs) * math.log(2 * math.pi)
        means = self._means + torch.einsum("kdm,km->kd", self._gain, residual)
        return GaussianMixture.from_axes(means.to(self._dtype), self._axes, self._variances, logs.to(self._dtype))
