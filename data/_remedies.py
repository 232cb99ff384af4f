"""What make_remedies.py compares: the priors at equal data, their fits, and the scores of each."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from _remedies_problem import COPIES, GRID_SPACING, SEED, geology, judge_born, judge_waves, seeded

from lib.augmentation import augment
from lib.density import cross_validated, fit_bandwidth, likelihood_bound
from lib.diagnostics import memorization_rate
from lib.mixture import GaussianMixture, MemorizedPrior
from lib.network import ResidualMLP, fit
from lib.ppca import ppca_mixture
from lib.remedies import SmoothedScore, hedged_prior, tikhonov
from lib.samplers import sample
from lib.schedule import karras_sigmas

STEPS, WIDTH, SIGMA_MIN = 2000, 192, 0.02
COMPONENTS, RANKS = (1, 2, 4), (2, 5, 8, 12, 20, 30)
WEIGHTS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
SMOOTHINGS, CONSTANTS = (0.5, 1.0, 1.5, 2.0, 3.0), (0.03, 0.1, 0.2, 0.4, 0.8)
NUM_TEST, NUM_PRIOR = 200, 300


@dataclass
class Prior:
    """A fitted prior: its denoiser, what it was trained on, what was chosen, and its density where it has one."""

    denoise: object
    trained_on: torch.Tensor
    chosen: tuple = ()
    log_prob: object = None
    mixture: object = None  # where the posterior of linear data is known exactly


def models(n):
    """The first n training images, [n, 32, 32]: a larger training set contains the smaller."""
    return geology().images(1000, generator=seeded(1))[:n] if n <= 1000 else geology().images(n, generator=seeded(4))


def split(n):
    """Training and held-out numbers of a budget of n: one in five is held out."""
    held_out = torch.arange(n) % 5 == 4
    return ~held_out, held_out


def kernels(examples, bandwidth):
    """A kernel density as a Gaussian mixture with an exact posterior."""
    n, d = examples.shape
    axes = torch.eye(d, dtype=torch.float64).expand(n, d, d)
    variances = torch.full((n, d), bandwidth**2, dtype=torch.float64)
    return GaussianMixture.from_axes(examples, axes, variances, torch.zeros(n, dtype=torch.float64))


def memorized(images):
    """Point masses at the examples: the baseline."""
    x = geology().encode(images)
    return Prior(MemorizedPrior(x, SIGMA_MIN).denoise, x, mixture=kernels(x, SIGMA_MIN))


def kde(images, *, copies=0):
    """A kernel density of best held-out bandwidth; with copies, of augmented models."""
    x = geology().encode(images)
    if not copies:
        prior = MemorizedPrior(x, bandwidth := fit_bandwidth(x))
    else:
        train, held_out = split(len(images))
        bandwidth = fit_bandwidth(augmented(images[train], copies), x[held_out])
        x = augmented(images, copies)
        prior = MemorizedPrior(x, bandwidth)
    denoise = partial(prior.denoise, include_bandwidth=True)
    return Prior(denoise, x, (bandwidth,), prior.log_prob, kernels(x, bandwidth))


def ppca(images, *, copies=0):
    """Mixtures of probabilistic PCA, components and rank by cross-validation."""
    shape = images.shape[1:]

    def coefficients(flat):
        cut = flat.reshape(-1, *shape)
        return augmented(cut, copies) if copies else geology().encode(cut)

    def predict(flat, k, rank):
        mixture = ppca_mixture(coefficients(flat), k, rank, num_iterations=15, generator=seeded())
        return lambda held_out: mixture.log_prob(geology().encode(held_out.reshape(-1, *shape)))

    flat = images.flatten(1)
    pairs = [(k, rank) for k in COMPONENTS for rank in RANKS if k * rank < 0.8 * len(images)]
    best = max(pairs, key=lambda pair: cross_validated(lambda train: predict(train, *pair), flat))
    mixture = ppca_mixture(x := coefficients(flat), *best, generator=seeded())
    return Prior(mixture.denoise, x, best, mixture.log_prob, mixture)


def hedge(images):
    """Kernel density and broad Gaussian, the weight by cross-validation."""
    x = geology().encode(images)

    def predict(train, weight):
        return hedged_prior(train, fit_bandwidth(train), weight).log_prob

    best = max(WEIGHTS, key=lambda weight: cross_validated(lambda train: predict(train, weight), x))
    mixture = hedged_prior(x, bandwidth := fit_bandwidth(x), best)
    return Prior(mixture.denoise, x, (best, bandwidth), mixture.log_prob, mixture)


def smoothed(images):
    """The smoothed memorized score, its size by the held-out bound."""
    return _by_bound(images, SMOOTHINGS, lambda x, s: SmoothedScore(
        x, s, num_perturbations=16, generator=seeded()).denoise)  # fmt: skip


def damped(images):
    """The memorized score under a Tikhonov penalty, its constant by the held-out bound."""
    return _by_bound(images, CONSTANTS, lambda x, c: tikhonov(MemorizedPrior(x, 1.0).denoise, c))


def _by_bound(images, values, make):
    x = geology().encode(images)
    train, held_out = split(len(x))
    best = max(values, key=lambda value: float(bound(make(x[train], value), x[held_out]).mean()))
    return Prior(make(x, best), x, (best,))


def network(images, *, copies=0, stop=True, steps=STEPS):
    """A trained network: to the end on all models, or stopped by the held-out loss on four fifths of them."""
    x, (train, held_out) = geology().encode(images), split(len(images))
    if not stop:
        train = torch.ones_like(train)
    trained_on = augmented(images[train], copies) if copies else x[train]
    options = {"held_out": x[held_out].float(), "patience": 8} if stop else {}
    every = 25 if len(images) <= 50 else 100  # many models are learned slowly, and the loss falls to the end
    found = fit(ResidualMLP(x.shape[1], width=WIDTH), trained_on.float(), steps=steps, every=every, **options)
    return Prior(found.network, trained_on, (found.best_step,))


def augmented(images, copies):
    """Coefficients of images and of changed copies of them."""
    return geology().encode(augment(images, copies, grid_spacing=GRID_SPACING, generator=seeded(2)))


def bound(denoise, x):
    """The likelihood bound of models x, [M]."""
    like = next(denoise.parameters()).dtype if hasattr(denoise, "parameters") else x.dtype
    return likelihood_bound(denoise, x.to(like), sigma_min=SIGMA_MIN, num_levels=64, generator=seeded())


FITS = {
    "memorized": memorized, "network": partial(network, stop=False), "early": network, "kde": kde, "smoothed": smoothed,
    "damped": damped, "ppca": ppca, "hedge": hedge, "augmented kde": partial(kde, copies=COPIES),
    "augmented ppca": partial(ppca, copies=COPIES), "augmented network": partial(network, copies=COPIES),
}  # fmt: skip


def score(n, key, *, waves):
    """Fit one prior to n models and score it: density, copies, posteriors under Born data and under waves."""
    start = time.perf_counter()
    prior = FITS[key](models(n))
    made = {"fit_seconds": time.perf_counter() - start, "chosen": np.array(prior.chosen, dtype=float)}
    test, fresh = geology().sample(NUM_TEST, generator=seeded(5)), geology().sample(500, generator=seeded(6))
    if prior.log_prob is not None:
        made["log_likelihood"] = prior.log_prob(test)
    made["bound"] = bound(prior.denoise, test)
    levels, start = karras_sigmas(30, 80.0, SIGMA_MIN, dtype=torch.float32), time.perf_counter()
    x = sample(in_single(prior.denoise), levels, (NUM_PRIOR, test.shape[1]), generator=seeded()).double()
    made["prior_seconds"] = (time.perf_counter() - start) / NUM_PRIOR
    for name, examples in (("", geology().encode(models(n))), ("_own", prior.trained_on)):
        found = memorization_rate(x, examples, fresh, generator=seeded(0))
        made[f"rate{name}"] = [found.rate, found.null_rate, *found.interval]
    # DPS where nothing else samples the posterior; beside the exact one for two priors, as a measure of the sampler.
    sampler = in_single(prior.denoise) if prior.mixture is None or (waves and key in ("kde", "ppca")) else None
    made |= judge_born(prior, sampler)
    return made | (judge_waves(in_single(prior.denoise)) if waves else {}) | {"seed": SEED}


def in_single(denoise):
    """The denoiser in single precision, that of the waves; a closed form computes in double."""
    if hasattr(denoise, "parameters"):
        return denoise
    return lambda x, sigma: denoise(x.double(), sigma.double()).to(x)
