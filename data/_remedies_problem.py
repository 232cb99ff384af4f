"""The inverse problems of make_remedies.py: few data of one shot, from the Born operator and from the wave equation."""

import time
from functools import cache

import torch

from lib.conditioning import LinearPosterior
from lib.diagnostics import coverage
from lib.geology import salt
from lib.geology_field import GeologyField
from lib.jacobian import jacobian
from lib.problem import WaveformProblem
from lib.samplers import dps
from lib.scale import scale
from lib.schedule import karras_sigmas
from lib.seismic import AcousticForward, BornForward, Thinned, VelocityForward

SEED, COPIES = 7, 9
GRID_SPACING = scale().grid_spacing
NUM_INSIDE, NUM_OUTSIDE, DRAWS, LEVELS = 30, 15, 31, 40  # under the Born operator
WAVES_INSIDE, WAVES_OUTSIDE, WAVE_DRAWS, WAVE_LEVELS = 4, 2, 8, 20
CONFIDENCE = (0.5, 0.9)


def seeded(seed=SEED):
    """A fresh random stream."""
    return torch.Generator().manual_seed(seed)


@cache
def geology():
    """The population."""
    return GeologyField((scale().grid, scale().grid), scale().num_modes)


@cache
def truths():
    """Coefficients of truths: fresh draws of the population, then salt, of which no training set knows, [R, d]."""
    inside = geology().sample(NUM_INSIDE, generator=seeded(8))
    bodies = salt(NUM_OUTSIDE, geology().shape, salt_velocity=3900.0, top=1700.0, bottom=3400.0, generator=seeded(9))
    return torch.cat([inside, geology().encode(bodies)])


def thinned(operator, to_velocity, *settings):
    """The map from coefficients to a few dozen low-passed samples of one shot."""
    survey = scale().acquisition(num_shots=1, num_receivers=scale().thinned_receivers)
    few = Thinned(operator(survey, *settings), cutoff=1.15 * scale().peak_freq, every=scale().thinned_every)
    return VelocityForward(to_velocity, few)


@cache
def born_matrix():
    """The Born operator about the population's mean, as a matrix [m, d]."""
    forward = thinned(BornForward, geology().field, geology().centre)
    return jacobian(forward, torch.zeros(geology().num_modes, dtype=torch.float64))


def judge_born(prior, denoise):
    """Posteriors of linear data for every truth: exact under a mixture, by DPS where a denoiser is given."""
    x, matrix = truths(), born_matrix()
    clean = x @ matrix.T
    noise_std = scale().thinned_noise_to_signal * float(clean[:NUM_INSIDE].std())
    d_obs = clean + noise_std * torch.randn(clean.shape, generator=seeded(10), dtype=clean.dtype)
    found = {}
    if prior.mixture is not None:
        start, posterior = time.perf_counter(), LinearPosterior(prior.mixture, matrix, noise_std)
        found["exact"] = torch.stack([posterior(row).sample(DRAWS, generator=seeded()) for row in d_obs])
        seconds = {"born_exact_seconds": (time.perf_counter() - start) / found["exact"][..., 0].numel()}
    else:
        seconds = {}
    if denoise is not None:
        # All truths in one run: the rows of the batch carry their own data.
        rows, start = d_obs.repeat_interleave(DRAWS, 0).float(), time.perf_counter()
        levels, shape = karras_sigmas(LEVELS, 40.0, 0.02, dtype=torch.float32), (len(rows), x.shape[1])
        data = (lambda z: z @ matrix.T.float() - rows, torch.zeros(d_obs.shape[1]), noise_std)
        draws = dps(denoise, *data, levels, shape, generator=seeded())
        found["dps"] = draws.double().reshape(len(x), DRAWS, -1)
        seconds["born_dps_seconds"] = (time.perf_counter() - start) / len(rows)
    made = {"born_noise_std": noise_std}
    for name, samples in found.items():
        chi2 = ((samples @ matrix.T - d_obs[:, None]) / noise_std).square().mean(2)
        made |= {f"born_{name}_{key}": value for key, value in _judged(samples, x).items()}
        made[f"born_{name}_chi2"] = chi2.mean(1)
    return made | seconds


def judge_waves(denoise):
    """The same for the wave equation, by DPS, for a few of the truths."""
    x = truths()[[*range(WAVES_INSIDE), *range(NUM_INSIDE, NUM_INSIDE + WAVES_OUTSIDE)]].float()
    forward = thinned(AcousticForward, geology())
    with torch.no_grad():
        clean, velocity = forward(x), geology()(x)
    noise_std = scale().thinned_noise_to_signal * float(clean[:WAVES_INSIDE].std())
    d_obs = clean + noise_std * torch.randn(clean.shape, generator=seeded(11))
    levels, samples, chi2 = karras_sigmas(WAVE_LEVELS, 40.0, 0.02, dtype=torch.float32), [], []
    start = time.perf_counter()
    for truth, image, data in zip(x, velocity, d_obs, strict=True):
        problem = WaveformProblem(geology(), forward, truth, image, data, noise_std)
        shape = (WAVE_DRAWS, x.shape[1])
        samples.append(dps(denoise, forward, data, noise_std, levels, shape, generator=seeded()))
        chi2.append(problem.chi2(samples[-1]))
    seconds = (time.perf_counter() - start) / (len(x) * WAVE_DRAWS)
    samples = torch.stack(samples)
    made = {f"waves_{key}": value for key, value in _judged(samples, x).items()}
    made |= {"waves_chi2": torch.stack(chi2), "waves_seconds": seconds, "waves_noise_std": noise_std}
    made |= {"waves_truths": velocity, "waves_means": torch.stack([geology()(draws).mean(0) for draws in samples])}
    made["waves_error"] = (made["waves_means"] - velocity).square().mean((1, 2)).sqrt()  # m/s, of the velocities
    return made


def _judged(samples, x):
    """Coverage [truths, 2], error of the mean [truths] in m/s, spread [truths] in m/s."""
    confidence = torch.tensor(CONFIDENCE, dtype=samples.dtype)
    covered = [coverage(draws[None], truth[None], confidence, generator=seeded(0)).mean(1)
               for draws, truth in zip(samples, x, strict=True)]  # fmt: skip
    unit = geology().unit
    return {
        "coverage": torch.stack(covered),
        "error": unit * (samples.mean(1) - x).norm(dim=1),
        "spread": unit * samples.var(1).sum(1).sqrt(),
    }
