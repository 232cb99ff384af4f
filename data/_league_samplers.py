"""Parts of make_league.py: every sampler against a known posterior, on waves."""

import time

import numpy as np
import torch
from _league import (
    NUM_EXAMPLES,
    SAMPLERS,
    SIGMA_MIN,
    Counted,
    against_mixture,
    exact_runs,
    levels,
    run,
    seeded,
    thinned_problem,
)  # fmt: skip

from lib.diagnostics import effective_sample_size, nearest_distances
from lib.inversion import invert
from lib.jacobian import jacobian
from lib.mixture import MemorizedPrior
from lib.posterior import ConditionalDenoiser, linearized_posterior, lookup_weights, relinearized_posterior
from lib.problem import waveform_problem
from lib.samplers import mcmc, sample
from lib.scale import scale
from lib.seismic import BornForward, Thinned, VelocityForward

BANDWIDTH = 0.2
CHAINS = {"num_warmup": 30, "num_draws": 150, "num_chains": 4}


def points(seed):
    """Point masses, few data: which training models each sampler returns, beside the exact weights."""
    problem = thinned_problem(seed)
    examples = problem.examples(NUM_EXAMPLES)
    log_weights = lookup_weights(examples, problem.forward, problem.d_obs, problem.noise_std)
    prior, shape = MemorizedPrior(examples, SIGMA_MIN), (1000, examples.shape[1])
    made = {"log_weights": log_weights.numpy(), "ess": effective_sample_size(log_weights)}
    exact = sample(ConditionalDenoiser(examples, log_weights), levels(), shape, generator=seeded())
    made["chosen_exact"] = _nearest(exact, examples)
    for name in SAMPLERS:
        x, cost = run(name, prior.denoise, problem)
        made |= {f"chosen_{name}": _nearest(x, examples), f"cost_{name}": cost}
    return made


def wide(seed):
    """A bandwidth, few data: the re-linearized mixture, corrected by importance weights, is the reference."""
    problem = thinned_problem(seed, torch.float64)
    examples = problem.examples(NUM_EXAMPLES)
    data = (problem.forward, problem.d_obs, problem.noise_std)
    prior, made = MemorizedPrior(examples, BANDWIDTH), {}

    def potential(x):
        with torch.no_grad():
            return problem.chi2(x) * len(problem.d_obs) / 2 - prior.log_prob(x)

    for name, posterior in (("c4", linearized_posterior), ("relinearized", relinearized_posterior)):
        mixture = posterior(examples, BANDWIDTH, *data)
        draws = mixture.sample(4000, generator=seeded())
        logs = -potential(draws) - mixture.log_prob(draws)
        made |= {f"weights_{name}": mixture.weights.numpy(), f"share_{name}": effective_sample_size(logs) / len(logs)}
    chosen = torch.multinomial(torch.softmax(logs, 0), 4000, replacement=True, generator=seeded())
    reference = draws[chosen]
    made["weights_exact"] = torch.bincount(nearest_distances(reference, examples, 1)[1][:, 0], minlength=NUM_EXAMPLES)
    sizes = sorted({size for _, size in SAMPLERS.values()})
    made |= {"floor": exact_runs(mixture, examples, reference, potential, sizes), "floor_sizes": sizes}

    def denoise(x, sigma):
        return prior.denoise(x, sigma, include_bandwidth=True)

    for name in SAMPLERS:
        x, cost = run(name, denoise, problem)
        made |= {f"scores_{name}": against_mixture(x, examples, mixture, reference, potential), f"cost_{name}": cost}
    return made


def born(seed):
    """The Born operator, few data: linear, so that the linearized mixture is the posterior itself."""
    preset = scale()
    field = preset.velocity_field()
    survey = preset.acquisition(num_shots=1, num_receivers=preset.thinned_receivers)
    operator = BornForward(survey, field.background)
    thin = Thinned(operator, cutoff=1.15 * preset.peak_freq, every=preset.thinned_every)
    forward = VelocityForward(field.field, thin)
    examples = thinned_problem(seed, torch.float64).examples(NUM_EXAMPLES)
    matrix = jacobian(forward, torch.zeros_like(examples[0]))
    with torch.no_grad():
        waves = forward(examples[:5])
    made = {"matrix_error": float((examples[:5] @ matrix.T - waves).abs().max() / waves.abs().max())}
    truth = field.sample(1, generator=seeded(1000 + seed))[0]
    clean = matrix @ truth
    noise_std = preset.thinned_noise_to_signal * float(clean.std())
    d_obs = clean + noise_std * torch.randn(clean.shape, generator=seeded(2000 + seed), dtype=clean.dtype)

    def linear(x):
        return x @ matrix.T

    mixture = linearized_posterior(examples, BANDWIDTH, linear, d_obs, noise_std)
    prior, reference = MemorizedPrior(examples, BANDWIDTH), mixture.sample(4000, generator=seeded())
    made |= {"ess": effective_sample_size(mixture.log_weights), "weights": mixture.weights.numpy()}

    def potential(x):
        return (linear(x) - d_obs).square().sum(1) / (2 * noise_std**2) - prior.log_prob(x)

    def denoise(x, sigma):
        return prior.denoise(x, sigma, include_bandwidth=True)

    problem = type("Linear", (), {"forward": staticmethod(linear), "d_obs": d_obs, "noise_std": noise_std})
    made["floor"] = exact_runs(mixture, examples, reference, potential, [1000])
    for name in SAMPLERS:
        x, cost = run(name, denoise, problem, number=1000)
        made |= {f"scores_{name}": against_mixture(x, examples, mixture, reference, potential), f"cost_{name}": cost}
    return made


def full_data_points(seed):
    """All data, point masses: the log-weight of each model that was returned, in nats below the best."""
    problem = waveform_problem(scale(), seed=seed)
    examples = problem.examples(max(scale().training_sizes))
    log_weights = lookup_weights(examples, problem.forward, problem.d_obs, problem.noise_std)
    made = {"ess": effective_sample_size(log_weights), "log_weights": log_weights.numpy()}
    prior = MemorizedPrior(examples, SIGMA_MIN)
    for name in SAMPLERS:
        if name != "DAPS":  # at the price of DAPS on all data nothing new was seen
            x, cost = run(name, prior.denoise, problem, number=8)
            made |= {f"chosen_{name}": _nearest(x, examples), f"cost_{name}": cost}
    return made


def full_data_population(seed):
    """All data, the population prior N(0, I): potentials above the MAP, beside those of converged chains."""
    problem = waveform_problem(scale(), seed=seed)
    data = (problem.forward, problem.d_obs, problem.noise_std)
    start = time.perf_counter()
    best = invert(*data, torch.zeros_like(problem.truth), num_iterations=60, prior_std=1.0).x
    counted = Counted(problem.forward)
    chains = mcmc(counted, *data[1:], best, **CHAINS, generator=seeded())
    size = chains.samples.shape[0] * chains.samples.shape[1]
    cost = [counted.calls / size, counted.adjoints / size, (time.perf_counter() - start) / size]
    draws = chains.samples.flatten(0, 1)

    def potential(x):
        return problem.chi2(x).double() * len(problem.d_obs) / 2 + x.double().square().sum(1) / 2

    floor = float(potential(best[None]))
    made = {
        "rhat": chains.rhat.numpy(), "ess": chains.ess.numpy(), "cost_MCMC": cost,
        "excess_MCMC": (potential(draws[::5]) - floor).numpy(), "chi2_truth": float(problem.chi2(problem.truth[None])),
        "std_MCMC": draws.std(0).numpy(), "acceptance": float(chains.acceptance.mean()),
    }  # fmt: skip
    for name in SAMPLERS:
        if name != "TMPD":  # under N(0, I) it is PiGDM
            x, cost = run(name, lambda x, sigma: x / (1 + sigma**2), problem, number=8)
            made |= {f"excess_{name}": (potential(x) - floor).numpy(), f"cost_{name}": cost}
            made[f"off_{name}"] = ((x.mean(0) - draws.mean(0)) / draws.std(0)).numpy()
            made[f"std_{name}"] = x.std(0).numpy()
    return made


def _nearest(x, examples):
    return nearest_distances(x, examples, 1)[1][:, 0].numpy().astype(np.int16)
