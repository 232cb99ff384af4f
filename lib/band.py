"""The band of a survey: the few signals that its wavelet can make, and sampled gradients that keep to them."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from lib.acquisition import Acquisition
from lib.constants import Constant

_TOLERANCE = 1e-5  # singular values below this share of the largest carry nothing that the data would show
_LEVEL = 1e-3  # weight of all energy beside that above the rate: keeps V from growing large


class Band:
    """Span of all causal signals that a wavelet can make within a record, and residuals that keep to it.

    A trace is the wavelet convolved with the response of the ground, d = W g with the Toeplitz matrix W [nt, nt] of
    the wavelet, whatever the model. So F = U U^T F with the leading left singular vectors U of W, and the gradient
    J^T r = J^T U U^T r hears k numbers of a trace only: what lies across U (nearly all of white noise) changes no exact
    gradient. It does harm where the gradient's correlation is sampled in time, which mistakes high frequencies for low
    ones. There r is replaced by V U^T r with U^T V = I: of all residuals with the same exact gradient, the one with the
    least energy above half the sampling rate, its sudden end with the record included.

    Source: the sampling is that of Richardson, deepwave (2023); the replacement is ours, its tool, the energy of a time
    signal of finite length within a band, that of Slepian (1978).

    Args:
        survey: Its wavelet and time axis, and the interval at which the gradient is sampled.
    """

    def __init__(self, survey: Acquisition):
        self._survey = survey

    @cached_property
    def basis(self) -> Tensor:
        """U: orthonormal signals that span all but 1e-5 of what the wavelet can make, [nt, k], float64."""
        wavelet, lag = self._survey.wavelet, self._lag
        left, values, _ = torch.linalg.svd(torch.where(lag >= 0, wavelet[lag.clamp_min(0)], 0.0))
        return left[:, values > _TOLERANCE * values[0]].contiguous()

    @cached_property
    def quiet(self) -> Tensor:
        """V: the signals with U^T V = I of least energy above half the rate of the gradient's samples, [nt, k]."""
        low = torch.sinc(self._lag.double() / self._survey.gradient_interval) / self._survey.gradient_interval
        high = (1 + _LEVEL) * torch.eye(len(low), dtype=low.dtype) - low  # r^T high r: the energy above, and a little r
        spread = torch.linalg.solve(high, self.basis)
        return spread @ torch.linalg.inv(self.basis.T @ spread)

    @property
    def _lag(self) -> Tensor:
        steps = torch.arange(self._survey.nt)
        return steps[:, None] - steps

    def limit(self, records: Tensor) -> Tensor:
        """The records [..., nt] as they are; what flows back through them is replaced as above.

        With `gradient_interval` 1 the adjoint is exact and needs no help.
        """
        if self._survey.gradient_interval == 1 or not records.requires_grad:
            return records
        return _Limited.apply(records, *(held.like(records) for held in self._held))

    @cached_property
    def _held(self) -> tuple[Constant, Constant]:
        return Constant(self.basis), Constant(self.quiet)


class _Limited(torch.autograd.Function):
    """Identity with the adjoint r -> V U^T r."""

    @staticmethod
    def forward(records: Tensor, basis: Tensor, quiet: Tensor) -> Tensor:
        """The records."""
        return records.view_as(records)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep U and V."""
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor, None, None]:
        """The replacement."""
        basis, quiet = ctx.saved_tensors
        return cotangent @ basis @ quiet.T, None, None
