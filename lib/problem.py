"""The waveform-inversion problem that several chapters share: a population, one truth, its noisy data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lib import checks
from lib.geology import faulted
from lib.scale import Scale
from lib.seismic import AcousticForward, Thinned, VelocityForward, add_noise
from lib.velocity import CosineField

# Streams of random numbers that never overlap, whatever the seed of the truth.
_EXAMPLES, _FRESH, _TRUTHS = 1, 2, 1000
_CUTOFF = 1.15  # of the low-pass filter, in peak frequencies: below the Nyquist frequency of the samples kept


@dataclass(frozen=True)
class WaveformProblem:
    """One inverse problem: find the coefficients behind noisy shot records.

    Attributes:
        field: Map from coefficients [B, d] to velocity models [B, nz, nx], m/s; the population is N(0, I).
        forward: Forward map F, [B, d] -> [B, m].
        truth: Coefficients that made the data, a fresh draw of the population, [d]; None where no coefficients did.
        velocity: The velocity model that made the data, [nz, nx], m/s.
        d_obs: Observed data, [m].
        noise_std: Standard deviation of their noise, in units of the data.
    """

    field: CosineField
    forward: VelocityForward
    truth: Tensor | None
    velocity: Tensor
    d_obs: Tensor
    noise_std: float

    def examples(self, n: int) -> Tensor:
        """The first n models of one fixed training stream, [n, d]: a larger training set contains the smaller."""
        return self._stream(n, _EXAMPLES)

    def fresh(self, n: int) -> Tensor:
        """Draws of the same population that are in no training set, [n, d]: the null of every rate."""
        return self._stream(n, _FRESH)

    def chi2(self, x: Tensor) -> Tensor:
        """Misfit per datum |d_obs - F(x)|^2 / (m noise_std^2) of models x [B, d], [B]; near 1 for the truth."""
        with torch.no_grad():
            data = checks.apply_forward(self.forward, x, num_data=len(self.d_obs))
        return ((data - self.d_obs) / self.noise_std).square().mean(1)

    def errors(self, x: Tensor, *, max_depth: float | None = None) -> Tensor:
        """Root-mean-square velocity error of models x [B, d] above `max_depth` (m; None: everywhere), [B], m/s."""
        rows = len(self.velocity)
        if max_depth is not None:
            spacing = self.forward.acoustic.acquisition.grid_spacing
            rows = max(1, min(rows, round(checks.positive("max_depth", max_depth) / spacing)))
        return (self.field(x) - self.velocity)[:, :rows].square().mean((1, 2)).sqrt()

    def _stream(self, n: int, seed: int) -> Tensor:
        # Drawn one by one in double precision, so that neither n, dtype nor device changes the first models.
        generator = torch.Generator().manual_seed(seed)
        rows = [self.field.sample(1, generator=generator) for _ in range(checks.count("n", n))]
        return torch.cat(rows).to(self.d_obs)


def outside_truth(preset: Scale) -> Tensor:
    """A faulted stack of layers, [nz, nx], m/s, double precision: sharp edges that no model of the field has."""
    generator = torch.Generator().manual_seed(3)
    layers = faulted(1, (preset.grid, preset.grid), top=1700.0, bottom=3300.0, throw=0.2, generator=generator)
    return layers[0].clamp(preset.min_vel, preset.max_vel)


def waveform_problem(
    preset: Scale,
    *,
    seed: int = 0,
    velocity: Tensor | None = None,
    thinned: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> WaveformProblem:
    """Draw a truth from the population (or take the one given), model its data and add noise.

    Data and inversion share grid and solver (the inverse crime): it keeps the exact posterior exact.

    Args:
        preset: Sizes, from `lib.scale.scale`.
        seed: Chooses the truth and its noise.
        velocity: A truth of your own instead, [nz, nx], m/s, from outside the population perhaps; the seed then
            chooses the noise.
        thinned: Keep one shot, few receivers, low frequencies and few samples, with louder noise: so few data that
            several training models share the posterior.
        dtype: Precision of parameters and data.
        device: Where the waves are computed.
    """
    field = preset.velocity_field()
    forward = VelocityForward(field, _thinned(preset) if thinned else AcousticForward(preset.acquisition()))
    generator = torch.Generator().manual_seed(_TRUTHS + checks.count("seed", seed, minimum=0))
    truth = None
    if velocity is None:
        truth = field.sample(1, generator=generator).to(dtype=dtype, device=device)[0]
        velocity = field(truth[None])[0]
    velocity = checks.tensor("velocity", velocity, shape=field.shape).to(dtype=dtype, device=device)
    with torch.no_grad():
        clean = forward.acoustic(velocity[None])[0].flatten()
    ratio = preset.thinned_noise_to_signal if thinned else preset.noise_to_signal
    noise_std = ratio * float(clean.std())
    d_obs = add_noise(clean.double().cpu(), noise_std, generator=generator).to(clean)
    return WaveformProblem(field, forward, truth, velocity, d_obs, noise_std)


def _thinned(preset: Scale) -> Thinned:
    survey = preset.acquisition(num_shots=1, num_receivers=preset.thinned_receivers)
    return Thinned(AcousticForward(survey), cutoff=_CUTOFF * preset.peak_freq, every=preset.thinned_every)
