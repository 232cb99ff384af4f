"""Make data/learned_quick.npz (or learned_full.npz): learned priors at several N, and what DPS returns with them.

    COURSE_SCALE=full python data/make_learned.py [--samples 64] [--levels 200] [--steps 10000] [--jobs 1]
        [--parts FOLDER]

Run from the root of the repository. One network is trained for each N; each draws from its prior and then samples the
posterior of four truths: three fresh draws of the population, and a faulted stack of layers from outside it. The
population prior N(0, I) goes through the same runs: its samples are the null of the posterior rates. Each finished run
is kept in FOLDER (by default _build/learned), so that a command that was stopped goes on where it was, as long as the
code is the same. A run uses one core; several go on at a time with --jobs. At quick scale: 24 minutes on one core of a
busy machine.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _provenance import commit, device_name, sources

from lib.diagnostics import memorization_rate
from lib.ensemble import run_ensemble
from lib.network import ResidualMLP, fit
from lib.problem import outside_truth, waveform_problem
from lib.samplers import dps, sample
from lib.scale import DATA, device, learning_scale, scale
from lib.schedule import karras_sigmas

RULES = ("d1/d2", "nearest-ratio")
TRUTH_SEEDS, OUTSIDE_SEED, SAMPLER_SEED = (0, 1, 2), 9, 7
SIGMA_MAX, SIGMA_MIN, TOP = 5.0, 0.02, 500.0
NUM_PRIOR, NUM_FRESH = 500, 1000


def main():
    """Run what is missing, then write one small file."""
    preset, sizes, dev = scale(), learning_scale(), device()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=sizes.wave_samples)
    parser.add_argument("--levels", type=int, default=preset.num_levels)
    parser.add_argument("--steps", type=int, default=sizes.wave_steps)
    parser.add_argument("--jobs", type=int, default=1, help="posterior runs at a time, each in a process")
    parser.add_argument("--parts", type=Path, default=DATA.parent / "_build" / "learned")
    options = parser.parse_args()
    made_at = commit(__file__)
    sizes_of_run = f"{options.samples}_{options.levels}_{options.steps}"
    folder = options.parts / f"{preset.name}_{sizes_of_run}_{sources(__file__)}"
    folder.mkdir(parents=True, exist_ok=True)

    problems = [waveform_problem(preset, seed=seed, device=dev) for seed in TRUTH_SEEDS]
    problems.append(waveform_problem(preset, seed=OUTSIDE_SEED, velocity=outside_truth(preset), device=dev))
    sigmas = karras_sigmas(options.levels, SIGMA_MAX, SIGMA_MIN, dtype=torch.float32, device=dev)
    examples, fresh = problems[0].examples(max(sizes.wave_sizes)), problems[0].fresh(NUM_FRESH)

    def pixels(x):
        # Distances between models are distances between their velocities, in km/s.
        return problems[0].field(x).flatten(1) / 1000

    start = time.perf_counter()
    networks, priors = {}, {}
    for n in sizes.wave_sizes:
        network = ResidualMLP(preset.num_modes, width=sizes.wave_width).to(dev)
        checkpoint = folder / f"network_{n}.safetensors"
        networks[n] = fit(network, examples[:n], steps=options.steps, checkpoint=checkpoint).network
        priors[n] = sample(networks[n], sigmas, (NUM_PRIOR, preset.num_modes), generator=seeded(dev))
    networks["population"] = population

    runs = [(name, truth) for name in networks for truth in range(len(problems))]
    task = partial(posterior, networks=networks, problems=problems, sigmas=sigmas, num_samples=options.samples)
    parts = run_ensemble(task, runs, seed=SAMPLER_SEED, jobs=options.jobs, folder=folder)
    samples = {run: torch.from_numpy(part["x"]).to(dev) for run, part in parts.items()}

    made = summarize(problems, examples, fresh, priors, samples, pixels)
    made |= {"names": np.array([str(name) for name in networks]), "grid_spacing": preset.grid_spacing, "top": TOP}
    made |= {"preset": preset.name, "levels": options.levels, "seed": SAMPLER_SEED, "commit": made_at}
    made |= {"device": device_name(dev)}
    made |= {"command": f"COURSE_SCALE={preset.name} python data/make_learned.py "
                        f"--samples {options.samples} --levels {options.levels} --steps {options.steps}"}  # fmt: skip
    np.savez_compressed(DATA / f"learned_{preset.name}.npz", **made)
    print(f"{len(runs)} runs of {options.samples} samples in {time.perf_counter() - start:.0f} s")


def seeded(dev):
    """The random stream of every run: they differ in nothing but network and truth."""
    return torch.Generator(dev).manual_seed(SAMPLER_SEED)


def population(x, sigma):
    """The denoiser of the prior N(0, I)."""
    return x / (1 + sigma**2)


def posterior(run, _, networks, problems, sigmas, num_samples):
    """Samples of one network's posterior for one truth."""
    name, truth = run
    problem, shape = problems[truth], (num_samples, problems[truth].field.num_modes)
    data = (problem.d_obs, problem.noise_std)
    return {"x": dps(networks[name], problem.forward, *data, sigmas, shape, generator=seeded(sigmas.device))}


def summarize(problems, examples, fresh, priors, samples, pixels):
    """Rates, misfits, errors and maps of all runs as arrays; the axes are [prior, truth, ...]."""

    def rates(x, n, null):
        found = [memorization_rate(pixels(x), pixels(examples[:n]), pixels(null), rule=rule,
                                   generator=torch.Generator(x.device).manual_seed(0)) for rule in RULES]  # fmt: skip
        return [(rate.rate, rate.null_rate, *rate.interval) for rate in found]

    truths = range(len(problems))
    names = [*priors, "population"]
    everything = [[samples[name, truth] for truth in truths] for name in names]
    velocities = [[problems[truth].field(x) for truth, x in enumerate(row)] for row in everything]

    def table(function):
        cells = [[function(problems[truth], x) for truth, x in enumerate(row)] for row in everything]
        return torch.stack([torch.stack(row) for row in cells]).cpu().numpy().astype(np.float32)

    return {
        "sizes": np.array(list(priors)),
        "rules": np.array(RULES),
        # Last axis: rate, null rate, and the bootstrap interval of their difference.
        "prior_rates": np.array([rates(x, n, fresh) for n, x in priors.items()]),
        "posterior_rates_against_population": np.array(
            [[rates(samples[n, t], n, samples["population", t]) for t in truths] for n in priors]
        ),
        "truths": np.stack([problem.velocity.cpu().numpy() for problem in problems]).astype(np.float32),
        "chi2": table(lambda problem, x: problem.chi2(x)),
        "error_top": table(lambda problem, x: problem.errors(x, max_depth=TOP)),
        "mean": np.array([[v.mean(0).cpu().numpy() for v in row] for row in velocities], dtype=np.float32),
        "std": np.array([[v.std(0).cpu().numpy() for v in row] for row in velocities], dtype=np.float32),
    }


if __name__ == "__main__":
    main()
