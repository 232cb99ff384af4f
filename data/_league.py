"""What the parts of make_league.py share: the samplers, a count of wave solves, distances to an exact mixture."""

import time
from functools import partial

import torch

from lib.diagnostics import nearest_distances, total_variation, wasserstein
from lib.problem import waveform_problem
from lib.samplers import daps, dps, pigdm, sample, tmpd, twisted_smc
from lib.scale import scale
from lib.schedule import karras_sigmas

SEED, SIGMA_MAX, SIGMA_MIN, LEVELS = 7, 40.0, 0.02, 50
# A posterior lies about 4 from the origin, where each run starts: at sigma_max = 5 even the exact sampler chose weights
# .09 off, at 40 within .02.
NUM_EXAMPLES = 50
# Samples a run: those that solve a linear system or run Langevin steps at each level cost ten times as many solves.
SAMPLERS = {
    "DPS": (dps, 32),
    "DPS, normalized": (partial(dps, guidance="normalized"), 32),
    "PiGDM": (pigdm, 16),
    "TMPD": (tmpd, 16),
    "DAPS": (partial(daps, num_langevin_steps=10), 16),
    "twisted SMC": (twisted_smc, 128),
}


def seeded(seed=SEED):
    """A fresh random stream."""
    return torch.Generator().manual_seed(seed)


def levels(last=SIGMA_MIN, number=LEVELS, dtype=torch.float32):
    """The noise levels of every run."""
    return karras_sigmas(number, SIGMA_MAX, last, dtype=dtype)


def thinned_problem(seed, dtype=torch.float32):
    """The problem with few data."""
    return waveform_problem(scale(), seed=seed, thinned=True, dtype=dtype)


class Counted:
    """A forward map that counts models: those it is called for (with a tangent or without) and their adjoints."""

    def __init__(self, forward):
        self.forward, self.calls, self.adjoints = forward, 0, 0

    def __call__(self, x):
        """Data of x [B, d], [B, m]."""
        self.calls += len(x)
        return _Tally.apply(self.forward(x), self)


class _Tally(torch.autograd.Function):
    """The identity; its adjoint is counted."""

    @staticmethod
    def forward(x, counter):
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.counter = inputs[1]

    @staticmethod
    def backward(ctx, cotangent):
        ctx.counter.adjoints += len(cotangent)
        return cotangent, None

    @staticmethod
    def jvp(ctx, tangent, _):
        return tangent.view_as(tangent)


def run(name, denoise, problem, *, last=SIGMA_MIN, number=None, denoise_last=True, forward=None):
    """Samples of one sampler, and its cost: solves and adjoints a sample, seconds a sample."""
    sampler, size = SAMPLERS[name]
    size = number or size
    counted = Counted(forward or problem.forward)
    start = time.perf_counter()
    x = sampler(denoise, counted, problem.d_obs, problem.noise_std, levels(last).to(problem.d_obs),
                (size, scale().num_modes), generator=seeded(), denoise_last=denoise_last)  # fmt: skip
    seconds = time.perf_counter() - start
    return x, [counted.calls / size, counted.adjoints / size, seconds / size]


def against_mixture(x, examples, mixture, reference, potential):
    """Distances of samples x [S, d] to an exact posterior given by a mixture of the examples' components.

    In this order: total variation of the shares of the examples; mean squared distance to the component's mean over d,
    in the component's own metric (1 is right, less is too narrow); potential above that of exact draws, nats, mean and
    standard error; sliced Wasserstein distance to exact draws.
    """
    nearest = nearest_distances(x, examples, 1)[1][:, 0]
    shares = torch.bincount(nearest, minlength=len(examples)).double() / len(x)
    exact = torch.bincount(nearest_distances(reference, examples, 1)[1][:, 0], minlength=len(examples)).double()
    offset = (x - mixture.means[nearest]).double()
    metric = torch.linalg.solve(mixture.covariances[nearest].double(), offset)
    energy, exact_energy = potential(x).double(), potential(reference).double()
    return [
        total_variation(shares, exact / exact.sum()),
        float((offset * metric).sum(1).mean() / x.shape[1]),
        float(energy.mean() - exact_energy.mean()),
        float(energy.std() / len(x) ** 0.5),
        wasserstein(x.double(), reference.double(), generator=seeded(0)),
    ]


def exact_runs(mixture, examples, reference, potential, sizes):
    """The reverse process with the exact denoiser of the mixture, at the sizes of the samplers: the floor."""
    draws = [
        sample(mixture.denoise, levels(1e-3, dtype=examples.dtype), (size, examples.shape[1]), generator=seeded(size))
        for size in sizes
    ]
    return [against_mixture(x, examples, mixture, reference, potential) for x in draws]
