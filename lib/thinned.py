"""Fewer data from the same waves: traces low-passed and decimated, a linear view of a survey's records."""

from __future__ import annotations

import scipy
import torch
from torch import Tensor

from lib import checks
from lib.acquisition import Acquisition
from lib.checks import Forward


class Thinned:
    """Records of a survey after a zero-phase low-pass filter, every k-th sample kept.

    Tens of thousands of samples put the whole posterior weight on one training model. With a few dozen, several
    models share it, and a sampler's choice among them can be judged.

    Stands in for: a survey with few receivers and low frequencies only. Breaks down: the filter sees zeros before the
    first and after the last sample, so late arrivals near the end are damped.

    Args:
        wave: The wave equation or its Born operator, [B, nz, nx] -> [B, shot, receiver, time].
        cutoff: Frequency at which the filter has fallen to one half, Hz, below the Nyquist frequency that is left.
        every: Samples of the survey in each sample kept; the filter is twice as long.

    Raises:
        TypeError, ValueError: Not a wave operator, or a cutoff that the samples kept would alias.
    """

    def __init__(self, wave: Forward, *, cutoff: float, every: int):
        survey = getattr(wave, "acquisition", None)
        if not callable(wave) or not isinstance(survey, Acquisition):
            raise TypeError(f"wave must be an AcousticForward or a BornForward, got {type(wave).__name__}")
        cutoff, every = checks.positive("cutoff", cutoff), checks.count("every", every)
        nyquist = 1 / (2 * every * survey.dt)
        if cutoff >= nyquist:
            raise ValueError(f"cutoff must be below {nyquist:.4g} Hz, half the rate of the samples kept, got {cutoff}")
        self.wave, self.acquisition = wave, survey
        self.filter = _filter(survey.nt, survey.dt, cutoff, every)

    def __call__(self, velocity: Tensor) -> Tensor:
        """Thinned records of velocities (for a Born operator: perturbations) [B, nz, nx], [B, shot, receiver, k]."""
        records = self.wave(velocity)
        return records @ self.filter.to(records)


def _filter(nt: int, dt: float, cutoff: float, every: int) -> Tensor:
    """The matrix from nt samples to those kept, [nt, k], double precision."""
    taps = torch.from_numpy(scipy.signal.firwin(2 * every + 1, cutoff, fs=1 / dt))
    kept = torch.arange(0, nt, every)
    lag = torch.arange(nt)[:, None] - kept[None, :] + every
    inside = (lag >= 0) & (lag < len(taps))
    return torch.where(inside, taps[lag.clamp(0, len(taps) - 1)], torch.zeros((), dtype=taps.dtype))
