"""Parts of make_league.py: calibration over many truths and wrong noise models, with few data."""

from dataclasses import replace

import torch
from _league import NUM_EXAMPLES, SIGMA_MIN, levels, run, seeded, thinned_problem

from lib.diagnostics import coverage, nearest_distances, rank_histogram, rank_uniformity, sbc_ranks
from lib.inversion import invert
from lib.mixture import MemorizedPrior
from lib.network import ResidualMLP, fit
from lib.posterior import lookup_weights
from lib.samplers import dps, mcmc
from lib.scale import learning_scale, scale
from lib.seismic import AcousticForward, Thinned, VelocityForward

TRUTHS, DRAWS, REPETITIONS, BINS = 24, 31, 2000, 4
LEVELS_OF_COVERAGE = (0.5, 0.9)
CORRELATION = 0.8  # of neighbouring samples of a trace
FREQUENCY_ERROR = 1.1  # of the wavelet's peak


def lookup(_):
    """The lookup posterior: truths from its own examples, and from the population."""
    problem = thinned_problem(0, torch.float64)
    examples = problem.examples(NUM_EXAMPLES)
    generator = seeded(3)
    truths = torch.randn(REPETITIONS, examples.shape[1], generator=generator, dtype=torch.float64)
    data, outside = _modelled(problem.forward, examples), _modelled(problem.forward, truths)
    own = torch.randint(NUM_EXAMPLES, (REPETITIONS,), generator=generator)
    made = {}
    for name, means, models in (("memorized", data[own], examples[own]), ("population", outside, truths)):
        noise = problem.noise_std * torch.randn(means.shape, generator=generator, dtype=means.dtype)
        made |= _ranked(name, means + noise, models, examples, data, problem.noise_std, generator)
    return made


def wrong_noise(_):
    """A wrong noise model: lookup weights and ranks when the truth is an example; what DPS returns for one truth."""
    problem = thinned_problem(0, torch.float64)
    examples, gamma = problem.examples(NUM_EXAMPLES), problem.noise_std
    wave = problem.forward.acoustic
    survey = replace(wave.acquisition, peak_freq=FREQUENCY_ERROR * wave.acquisition.peak_freq)
    thin = Thinned(AcousticForward(survey), cutoff=1.15 * scale().peak_freq, every=scale().thinned_every)
    wrong_wavelet = VelocityForward(problem.field, thin)
    data, wrong = _modelled(problem.forward, examples), _modelled(wrong_wavelet, examples)
    generator = seeded(4)
    own = torch.randint(NUM_EXAMPLES, (REPETITIONS,), generator=generator)
    white = torch.randn(REPETITIONS, data.shape[1], generator=generator, dtype=data.dtype)
    colored = _correlated(white, wave.filter.shape[1])
    observed = {"right": data[own] + gamma * white, "correlated": data[own] + gamma * colored}
    cases = {
        "right": (observed["right"], data, gamma),
        "half": (observed["right"], data, gamma / 2),
        "double": (observed["right"], data, 2 * gamma),
        "correlated": (observed["correlated"], data, gamma),
        "wavelet": (observed["right"], wrong, gamma),
    }
    made = {"cases": list(cases), "correlation": CORRELATION, "frequency_error": FREQUENCY_ERROR}
    for name, (d_obs, table, std) in cases.items():
        made |= _ranked(name, d_obs, examples[own], examples, table, std, generator)
        logs = torch.log_softmax(-torch.cdist(d_obs, table).square() / (2 * std**2), 1)
        made[f"size_{name}"] = torch.exp(-torch.logsumexp(2 * logs, 1)).mean()
        made[f"on_truth_{name}"] = logs.exp().gather(1, own[:, None]).mean()
    prior = MemorizedPrior(examples.float(), SIGMA_MIN)
    single = thinned_problem(0)
    clean = _modelled(single.forward, single.truth[None])
    colored = (clean + _correlated((single.d_obs - clean), wave.filter.shape[1]))[0]
    settings = {
        "right": single,
        "half": replace(single, noise_std=gamma / 2),
        "double": replace(single, noise_std=2 * gamma),
        "correlated": replace(single, d_obs=colored),
        "wavelet": replace(single, forward=wrong_wavelet),
    }
    for name, case in settings.items():
        x, _ = run("DPS", prior.denoise, case)
        made[f"dps_{name}"] = nearest_distances(x, examples.float(), 1)[1][:, 0]
        made[f"dps_weights_{name}"] = lookup_weights(examples.float(), case.forward, case.d_obs, case.noise_std)
    return made


def population(_):
    """The population prior N(0, I): chains, which are exact, and DPS; truths from the population."""
    problems = [thinned_problem(seed) for seed in range(TRUTHS)]
    chains = []
    for problem in problems:
        data = (problem.forward, problem.d_obs, problem.noise_std)
        best = invert(*data, torch.zeros_like(problem.truth), num_iterations=40, prior_std=1.0).x
        draws = mcmc(*data, best, num_warmup=20, num_draws=80, num_chains=4, generator=seeded())
        chains.append((draws.samples[:, 9::10].flatten(0, 1)[:DRAWS], float(draws.rhat.max())))
    made = _summary("chains", torch.stack([draws for draws, _ in chains]), problems)
    made["rhat"] = [rhat for _, rhat in chains]
    return made | _summary("dps", _sampled(lambda x, sigma: x / (1 + sigma**2), problems), problems)


def learned(_):
    """A network that has memorized 50 models: DPS; truths from the population."""
    problems = [thinned_problem(seed) for seed in range(TRUTHS)]
    sizes, examples = learning_scale(), problems[0].examples(NUM_EXAMPLES)
    torch.manual_seed(0)
    network = fit(ResidualMLP(scale().num_modes, width=sizes.wave_width), examples, steps=sizes.wave_steps).network
    made = _summary("learned", _sampled(network, problems), problems)
    prior = MemorizedPrior(examples, SIGMA_MIN)
    return made | _summary("memorized", _sampled(prior.denoise, problems), problems)


def _sampled(denoise, problems):
    """DPS samples of every problem, [truths, draws, d]."""
    sigmas, shape = levels(number=30), (DRAWS, scale().num_modes)
    runs = [
        dps(denoise, problem.forward, problem.d_obs, problem.noise_std, sigmas, shape, generator=seeded(seed))
        for seed, problem in enumerate(problems)
    ]
    return torch.stack(runs)


def _summary(name, draws, problems):
    """Ranks, coverages, misfits and errors of draws [truths, draws, d]."""
    truths = torch.stack([problem.truth for problem in problems])
    ranks = sbc_ranks(draws, truths, generator=seeded(0))
    wanted = torch.tensor(LEVELS_OF_COVERAGE, dtype=draws.dtype)
    return {
        f"histogram_{name}": rank_histogram(ranks, DRAWS, num_bins=BINS),
        f"coverage_{name}": coverage(draws, truths, wanted, generator=seeded(0)),
        f"chi2_{name}": torch.stack([problem.chi2(x) for problem, x in zip(problems, draws, strict=True)]),
        f"error_{name}": (draws.mean(1) - truths).norm(dim=1) / truths.shape[1] ** 0.5,
        f"spread_{name}": draws.std(1).square().mean(1).sqrt(),
    }


def _ranked(name, d_obs, truths, examples, data, noise_std, generator):
    """Rank histograms and p-values of lookup posteriors of data [R, m]."""
    logs = torch.log_softmax(-torch.cdist(d_obs, data).square() / (2 * noise_std**2), 1)
    chosen = torch.multinomial(logs.exp(), DRAWS, replacement=True, generator=generator)
    ranks = sbc_ranks(examples[chosen], truths, generator=generator)
    levels_wanted = torch.tensor(LEVELS_OF_COVERAGE, dtype=torch.float64)
    return {
        f"histogram_{name}": rank_histogram(ranks, DRAWS, num_bins=16),
        f"p_{name}": rank_uniformity(ranks, DRAWS, num_bins=16, generator=generator),
        f"coverage_{name}": coverage(examples[chosen], truths, levels_wanted, generator=generator),
    }


def _modelled(forward, x):
    with torch.no_grad():
        return torch.cat([forward(rows) for rows in x.split(200)])


def _correlated(white, per_trace):
    """Noise whose neighbours in a trace are correlated, of the same variance, from white noise [R, m]."""
    noise = white.reshape(len(white), -1, per_trace).clone()
    for k in range(1, per_trace):
        noise[..., k] = CORRELATION * noise[..., k - 1] + (1 - CORRELATION**2) ** 0.5 * noise[..., k]
    return noise.reshape(white.shape)
