"""The band of a survey: the few signals that its wavelet can make, and a gradient that keeps to them."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from lib.acquisition import Acquisition

_TOLERANCE = 1e-5  # singular values below this share of the largest carry nothing that the data would show


class Band:
    """Span of all causal signals that a wavelet can make within a record, and the projection onto it.

    A trace is the wavelet convolved with the response of the ground, d = W g with the Toeplitz matrix W [nt, nt] of
    the wavelet, whatever the model. So F = P F with the orthogonal projection P onto the leading left singular
    vectors of W, and J^T r = J^T P r: what of a residual lies across them (nearly all of white noise) changes no
    gradient. It does harm where the gradient's correlation is sampled in time, which mistakes high frequencies for low
    ones; so there it is taken away first.

    Source: the sampling is that of Richardson, deepwave (2023); the projection is ours, the idea that of Slepian
    (1978): signals of limited band and duration fill few dimensions.

    Args:
        survey: Its wavelet and time axis, and the interval at which the gradient is sampled.
    """

    def __init__(self, survey: Acquisition):
        self._survey = survey

    @cached_property
    def basis(self) -> Tensor:
        """Orthonormal signals that span all but 1e-5 of what the wavelet can make, [nt, k], float64."""
        wavelet = self._survey.wavelet
        lag = torch.arange(len(wavelet))[:, None] - torch.arange(len(wavelet))
        left, values, _ = torch.linalg.svd(torch.where(lag >= 0, wavelet[lag.clamp_min(0)], 0.0))
        return left[:, values > _TOLERANCE * values[0]].contiguous()

    def limit(self, records: Tensor) -> Tensor:
        """The records [..., nt] as they are; gradients that flow back through them keep to the band.

        With `gradient_interval` 1 the adjoint is exact and needs no help.
        """
        if self._survey.gradient_interval == 1 or not records.requires_grad:
            return records
        return _Limited.apply(records, self.basis.to(records))


class _Limited(torch.autograd.Function):
    """Identity whose adjoint projects onto the columns of a basis."""

    @staticmethod
    def forward(records: Tensor, basis: Tensor) -> Tensor:
        """The records."""
        return records.view_as(records)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep the basis."""
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor, None]:
        """The projection."""
        (basis,) = ctx.saved_tensors
        return cotangent @ basis @ basis.T, None
