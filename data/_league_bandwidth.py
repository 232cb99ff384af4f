"""Parts of make_league.py: where linearization holds on waves as the bandwidth grows, and where DPS ends then."""

from functools import partial

import torch
from _league import LEVELS, SIGMA_MAX, SIGMA_MIN, run, seeded

from lib.diagnostics import effective_sample_size, nearest_distances
from lib.mixture import MemorizedPrior
from lib.posterior import linearized_posterior, lookup_weights, relinearized_posterior
from lib.problem import waveform_problem
from lib.samplers import mcmc
from lib.scale import scale
from lib.validity import validity

NUM_EXAMPLES = 20
BANDWIDTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
NOISE_FACTORS = (1.0, 10.0)
COPY_BANDWIDTHS = (0.01, 0.03, 0.1, 0.3)
CHAIN_BANDWIDTHS = (0.01, 0.1)


def sweep(seed):
    """Linearized and re-linearized components of all data at each bandwidth; the tangent also with louder noise."""
    problem = waveform_problem(scale(), seed=seed)
    examples = problem.examples(NUM_EXAMPLES)
    made = {"bandwidths": BANDWIDTHS, "noise_factors": NOISE_FACTORS}
    made["lookup"] = lookup_weights(examples, problem.forward, problem.d_obs, problem.noise_std).numpy()
    for row, b in enumerate(BANDWIDTHS):
        for column, factor in enumerate(NOISE_FACTORS):
            data = (problem.forward, problem.d_obs, factor * problem.noise_std)
            mixture = linearized_posterior(examples, b, *data)
            found = validity(mixture, examples, b, *data)
            key = f"{row}_{column}"
            made |= {f"shift_{key}": found.shift, f"remainder_{key}": found.remainder, f"gap_{key}": found.gap,
                     f"pull_{key}": found.pull, f"nats_{key}": found.log_likelihood_error, f"valid_{key}": found.valid,
                     f"weights_{key}": mixture.log_weights, f"chi2_{key}": _chi2(problem, mixture.means)}  # fmt: skip
        mixture = relinearized_posterior(examples, b, problem.forward, problem.d_obs, problem.noise_std)
        top = int(mixture.log_weights.argmax())
        made |= {f"moved_{row}": mixture.log_weights, f"moved_shift_{row}": (mixture.means - examples).norm(dim=1) / b,
                 f"moved_chi2_{row}": _chi2(problem, mixture.means),
                 f"share_{row}": _share(problem, examples, mixture, b, top),
                 f"order_{row}": nearest_distances(mixture.means, examples, 1)[1][:, 0]}  # fmt: skip
        if b in CHAIN_BANDWIDTHS:
            made |= {f"{key}_{row}": value for key, value in _chains(problem, examples, mixture, b, top).items()}
    return made


def copies(seed):
    """All data: DPS under the mixture prior of each bandwidth, and under point masses; where it ends."""
    problem = waveform_problem(scale(), seed=seed)
    examples = problem.examples(NUM_EXAMPLES)
    made = {"bandwidths": COPY_BANDWIDTHS, "chi2_examples": _chi2(problem, examples)}
    made |= {"levels": LEVELS, "sigma_max": SIGMA_MAX}

    def kept(key, denoise, b):
        x, _ = run("DPS", denoise, problem, number=8)
        away, chosen = nearest_distances(x, examples, 1)
        return {f"distance_{key}": away[:, 0] / (b * examples.shape[1] ** 0.5), f"chosen_{key}": chosen[:, 0],
                f"chi2_{key}": _chi2(problem, x)}  # fmt: skip

    made |= kept("points", MemorizedPrior(examples, SIGMA_MIN).denoise, SIGMA_MIN)
    for row, b in enumerate(COPY_BANDWIDTHS):
        made |= kept(f"mixture_{row}", partial(MemorizedPrior(examples, b).denoise, include_bandwidth=True), b)
    return made


def _chi2(problem, x):
    return problem.chi2(x)


def _energy(problem, x, centre, b):
    """-log of the unnormalized posterior of one component, up to its constant, [B]."""
    return problem.chi2(x).double() * len(problem.d_obs) / 2 + ((x - centre).double() / b).square().sum(1) / 2


def _share(problem, examples, mixture, b, top, number=200):
    """Effective share of draws of one component, weighted to the posterior of its own Gaussian prior."""
    covariance = mixture.covariances[top].double()
    normal = torch.distributions.MultivariateNormal(mixture.means[top].double(), covariance)
    factor = torch.linalg.cholesky(covariance)
    white = torch.randn(number, len(factor), generator=seeded(), dtype=factor.dtype)
    draws = mixture.means[top].double() + white @ factor.T
    logs = -_energy(problem, draws.to(examples), examples[top], b) - normal.log_prob(draws)
    return effective_sample_size(logs) / number


def _chains(problem, examples, mixture, b, top):
    """Chains on one component against its Laplace approximation: R-hat, offset of the means, ratio of variances."""
    alone = MemorizedPrior(examples[top : top + 1], b)
    chains = mcmc(problem.forward, problem.d_obs, problem.noise_std, mixture.means[top], log_prior=alone.log_prob,
                  num_warmup=20, num_draws=60, num_chains=4, generator=seeded())  # fmt: skip
    draws, width = chains.samples.flatten(0, 1), mixture.covariances[top].diagonal().sqrt()
    offset = (draws.mean(0) - mixture.means[top]) / width
    return {"chain_rhat": chains.rhat, "chain_ess": chains.ess, "chain_offset": offset,
            "chain_variance": (draws.std(0) / width).square()}  # fmt: skip
