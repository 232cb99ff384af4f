"""Diffusion posterior sampling with the reader's own velocity models as the memorized prior, from the shell.

    python -m lib.own_models MODELS.npy --hold-out 0 --grid 64 --grid-spacing 25

    python -m lib.own_models models.bin --shape 20 128 128 --dtype ">f4" --max-models 10

One model is held out as the truth; the others are the training set, in pixels. Survey and noise keep the dimensionless
numbers of the course's preset (cells per wavelength, Courant number, noise-to-signal ratio).
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from lib import checks
from lib.diagnostics import effective_sample_size, nearest_distances
from lib.mixture import MemorizedPrior
from lib.posterior import lookup_weights
from lib.samplers import dps
from lib.scale import Scale, device, scale
from lib.schedule import karras_sigmas
from lib.seismic import AcousticForward, VelocityForward, add_noise
from lib.velocity import load_velocity_models, resample

SIGMA_MAX, SIGMA_MIN = 5.0, 0.02


@dataclass(frozen=True)
class OwnModelsResult:
    """What posterior sampling returned when one model was held out.

    Attributes:
        chi2_truth: Misfit per datum of the held-out model.
        chi2_examples: Misfit per datum of each training model, [N].
        log_weights: Exact posterior log-weights of the training models, [N].
        landed: Index of the training model each sample ended on, [B].
        distances: Distance of the state before the last denoising to that model, in units of sigma_min sqrt(d), [B].
        chi2_samples: Misfit per datum of the samples, [B].
    """

    chi2_truth: float
    chi2_examples: Tensor
    log_weights: Tensor
    landed: Tensor
    distances: Tensor
    chi2_samples: Tensor


def matching_scale(preset: Scale, models: Tensor, grid_spacing: float) -> Scale:
    """The preset's dimensionless survey for models [n, nz, nz] of another cell size (m) and other speeds (m/s).

    Raises:
        TypeError, ValueError: Bad models, or a cell size that is not positive.
    """
    models = checks.tensor("models", models, shape=(None, None, None))
    grid_spacing = checks.positive("grid_spacing", grid_spacing, dtype=torch.float64)
    fastest, slowest = 1.02 * float(models.max()), 0.98 * float(models.min())
    grid = models.shape[-1]
    cells_per_wavelength = preset.min_vel / (preset.peak_freq * preset.grid_spacing)
    steps = preset.duration / preset.dt * grid / preset.grid
    sized = dataclasses.replace(preset, grid=grid, extent=grid * grid_spacing, max_vel=fastest, min_vel=slowest)
    peak_freq = slowest / (cells_per_wavelength * grid_spacing)
    return dataclasses.replace(sized, peak_freq=peak_freq, duration=steps * sized.dt)


def sample_with_own_models(models: Tensor, hold_out: int, survey: Scale, *, seed: int = 0) -> OwnModelsResult:
    """Hold out one of the models [n, nz, nz] (m/s) as the truth and run DPS with the others memorized in pixel space.

    Raises:
        ValueError: Fewer than three models, or `hold_out` outside them.
    """
    models = checks.tensor("models", models, shape=(None, survey.grid, survey.grid))
    hold_out = checks.count("hold_out", hold_out, minimum=0)
    if len(models) < 3 or hold_out >= len(models):
        raise ValueError(f"hold_out must be one of at least 3 models, got {hold_out} of {len(models)}")
    training = torch.cat([models[:hold_out], models[hold_out + 1 :]]).flatten(1)
    centre, spread = training.mean(), training.std()
    examples, truth = (training - centre) / spread, (models[hold_out].flatten() - centre) / spread
    forward = VelocityForward(
        lambda x: (x * spread + centre).reshape(-1, survey.grid, survey.grid), AcousticForward(survey.acquisition())
    )
    generator = torch.Generator(device=models.device).manual_seed(checks.count("seed", seed, minimum=0))
    with torch.no_grad():
        clean = forward(truth[None])[0]
    noise_std = survey.noise_to_signal * float(clean.std())
    d_obs = add_noise(clean, noise_std, generator=generator)

    def chi2(x: Tensor) -> Tensor:
        with torch.no_grad():
            return ((forward(x) - d_obs) / noise_std).square().mean(1)

    states: list[Tensor] = []
    sigmas = karras_sigmas(survey.num_levels, SIGMA_MAX, SIGMA_MIN, dtype=models.dtype, device=models.device)
    samples = dps(
        MemorizedPrior(examples, SIGMA_MIN).denoise,
        forward,
        d_obs,
        noise_std,
        sigmas,
        (survey.num_samples, examples.shape[1]),
        generator=generator,
        callback=lambda entry: states.append(entry["x"]) if entry["step"] == len(sigmas) - 1 else None,
    )
    away, landed = nearest_distances(states[-1], examples, 1)
    return OwnModelsResult(
        chi2_truth=float(chi2(truth[None])),
        chi2_examples=chi2(examples),
        log_weights=lookup_weights(examples, forward, d_obs, noise_std),
        landed=landed[:, 0],
        distances=away[:, 0] / (SIGMA_MIN * examples.shape[1] ** 0.5),
        chi2_samples=chi2(samples),
    )


def main(arguments: list[str] | None = None) -> None:
    """Command line: read the models, run, print a table."""
    parser = argparse.ArgumentParser(prog="python -m lib.own_models", description=__doc__.split("\n")[0])
    parser.add_argument("models", help="file or folder of velocity models, see load_velocity_models")
    parser.add_argument("--hold-out", type=int, default=0, help="index of the model that plays the truth")
    parser.add_argument("--grid", type=int, default=64, help="cells a side after resampling")
    parser.add_argument("--grid-spacing", type=float, default=25.0, help="size of such a cell, m")
    parser.add_argument("--seed", type=int, default=0, help="seed of noise and samples")
    reading = parser.add_argument_group("reading", "options of load_velocity_models")
    reading.add_argument("--shape", type=int, nargs="+", help="raw files: the sizes as stored")
    reading.add_argument("--dtype", help="raw files: type and byte order, such as '>f4'")
    reading.add_argument("--variable", help="MATLAB files: name of the array")
    reading.add_argument("--axes", help="what the stored axes are, such as 'xz'")
    reading.add_argument("--unit", choices=("m/s", "km/s", "ft/s"), help="unit of the values; found out if not given")
    reading.add_argument("--start", type=int, default=0, help="first model to read")
    reading.add_argument("--max-models", type=int, help="read at most so many")
    options = parser.parse_args(arguments)
    grid = checks.count("grid", options.grid, minimum=8)
    names = ("shape", "dtype", "variable", "axes", "unit", "start", "max_models")
    models = load_velocity_models(options.models, **{name: getattr(options, name) for name in names})
    if models.shape[1] != models.shape[2]:
        print(f"models of {models.shape[1]} x {models.shape[2]} cells are squeezed to a square")
    models = resample(models, (grid, grid)).to(device())
    survey = matching_scale(scale(), models, options.grid_spacing)
    found = sample_with_own_models(models, options.hold_out, survey, seed=options.seed)
    best, size = int(found.log_weights.argmax()), effective_sample_size(found.log_weights)
    print(f"{len(models) - 1} training models of {options.grid} x {options.grid} cells, peak {survey.peak_freq:.1f} Hz")
    print(f"misfit per datum: truth {found.chi2_truth:.3f}, best training model (number {best}) "
          f"{found.chi2_examples[best]:.3f}, median {found.chi2_examples.median():.3f}")
    print(f"exact posterior: effective sample size {size:.3f}, weight of number {best}: "
          f"{found.log_weights[best].exp():.3f}")
    for k, (model, away, misfit) in enumerate(zip(found.landed, found.distances, found.chi2_samples, strict=True)):
        print(f"sample {k}: training model {int(model)}, {away:.2f} sigma_min sqrt(d) away, misfit {misfit:.3f}")


if __name__ == "__main__":
    main()
