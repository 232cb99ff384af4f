"""Make data/learned_quick.npz (or learned_full.npz): learned priors at several N, and what DPS returns with them.

    COURSE_SCALE=full python data/make_learned.py [--samples 64] [--levels 200] [--steps 10000] [--parts FOLDER]

Run from the root of the repository. One network is trained for each N; each draws from its prior and then samples the
posterior of four truths: three fresh draws of the population, and a faulted stack of layers from outside it. The
population prior N(0, I) goes through the same runs: its samples are the null of the posterior rates. Each finished run
is kept in FOLDER (by default _build/learned), so that a command that was stopped goes on where it was. At quick scale:
24 minutes on one core of a busy machine.
"""

import argparse
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lib.diagnostics import memorization_rate, nearest_distances
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
    parser.add_argument("--parts", type=Path, default=DATA.parent / "_build" / "learned")
    options = parser.parse_args()
    git = ["git", "-C", str(DATA.parent)]
    commit = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    if subprocess.check_output([*git, "status", "--porcelain", "lib", __file__], text=True).strip():
        commit += f"+{time.time():.0f}"  # changed code: parts of another run must not be reused
    folder = options.parts / f"{preset.name}_{options.samples}_{options.levels}_{options.steps}_{commit}"
    folder.mkdir(parents=True, exist_ok=True)

    problems = [waveform_problem(preset, seed=seed, device=dev) for seed in TRUTH_SEEDS]
    problems.append(waveform_problem(preset, seed=OUTSIDE_SEED, velocity=outside_truth(preset), device=dev))
    sigmas = karras_sigmas(options.levels, SIGMA_MAX, SIGMA_MIN, dtype=torch.float32, device=dev)
    examples, fresh = problems[0].examples(max(sizes.wave_sizes)), problems[0].fresh(NUM_FRESH)

    def seeded():
        return torch.Generator(dev).manual_seed(SAMPLER_SEED)

    def pixels(x):
        # Distances between models are distances between their velocities, in km/s.
        return problems[0].field(x).flatten(1) / 1000

    def kept(name, make):
        """The arrays of a run: read from its part, or made and written."""
        part = folder / f"{name}.npz"
        if not part.exists():
            arrays = make()
            np.savez(part.with_suffix(".tmp.npz"), **arrays)
            part.with_suffix(".tmp.npz").rename(part)
        with np.load(part, allow_pickle=False) as stored:
            return dict(stored)

    start = time.perf_counter()
    networks, priors = {}, {}
    for n in sizes.wave_sizes:
        network = ResidualMLP(preset.num_modes, width=sizes.wave_width).to(dev)
        checkpoint = folder / f"network_{n}.safetensors"
        networks[n] = fit(network, examples[:n], steps=options.steps, checkpoint=checkpoint).network
        priors[n] = sample(networks[n], sigmas, (NUM_PRIOR, preset.num_modes), generator=seeded())
    networks["population"] = lambda x, sigma: x / (1 + sigma**2)

    def posterior(network, problem):
        shape = (options.samples, preset.num_modes)
        data = (problem.d_obs, problem.noise_std)
        return dps(network, problem.forward, *data, sigmas, shape, generator=seeded())

    runs = [(name, truth) for name in networks for truth in range(len(problems))]
    samples = {}
    for name, truth in tqdm(runs, desc="posteriors", unit="run"):
        problem = problems[truth]
        stored = kept(f"{name}_{truth}", lambda: {"x": posterior(networks[name], problem).cpu().numpy()})  # noqa: B023
        samples[name, truth] = torch.from_numpy(stored["x"]).to(dev)

    made = summarize(problems, examples, fresh, priors, samples, pixels)
    made |= {"names": np.array([str(name) for name in networks]), "grid_spacing": preset.grid_spacing, "top": TOP}
    made |= {"preset": preset.name, "levels": options.levels, "seed": SAMPLER_SEED, "commit": commit}
    made |= {"device": torch.cuda.get_device_name(dev) if dev.type == "cuda" else "CPU"}
    made |= {"command": f"COURSE_SCALE={preset.name} python data/make_learned.py "
                        f"--samples {options.samples} --levels {options.levels} --steps {options.steps}"}  # fmt: skip
    np.savez_compressed(DATA / f"learned_{preset.name}.npz", **made)
    print(f"{len(runs)} runs of {options.samples} samples in {time.perf_counter() - start:.0f} s")


@torch.no_grad()
def chi2_truth(problem):
    """Misfit per datum of the truth, also of one that has no coefficients."""
    clean = problem.forward.acoustic(problem.velocity[None])[0].flatten()
    return ((clean - problem.d_obs) / problem.noise_std).square().mean().item()


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

    def table(function, rows=everything):
        cells = [[function(problems[truth], x) for truth, x in enumerate(row)] for row in rows]
        return torch.stack([torch.stack(row) for row in cells]).cpu().numpy().astype(np.float32)

    first = [[row[truth][:1] for truth in truths] for row in everything[:-1]]
    nearest = [
        [examples[:n][nearest_distances(pixels(x), pixels(examples[:n]), 1)[1][:, 0]] for x in row]
        for n, row in zip(priors, first, strict=True)
    ]
    return {
        "sizes": np.array(list(priors)),
        "rules": np.array(RULES),
        # Last axis: rate, null rate, and the bootstrap interval of their difference.
        "prior_rates": np.array([rates(x, n, fresh) for n, x in priors.items()]),
        "posterior_rates": np.array([[rates(samples[n, t], n, fresh) for t in truths] for n in priors]),
        "posterior_rates_against_population": np.array(
            [[rates(samples[n, t], n, samples["population", t]) for t in truths] for n in priors]
        ),
        "truths": np.stack([problem.velocity.cpu().numpy() for problem in problems]).astype(np.float32),
        "chi2_truth": np.array([chi2_truth(problem) for problem in problems]),
        "chi2": table(lambda problem, x: problem.chi2(x)),
        "chi2_examples": table(lambda problem, x: problem.chi2(x), [[examples for _ in truths]])[0],
        "error_top": table(lambda problem, x: problem.errors(x, max_depth=TOP)),
        "error": table(lambda problem, x: problem.errors(x)),
        "error_fresh": table(lambda problem, x: problem.errors(x, max_depth=TOP), [[fresh for _ in truths]])[0],
        "mean": np.array([[v.mean(0).cpu().numpy() for v in row] for row in velocities], dtype=np.float32),
        "std": np.array([[v.std(0).cpu().numpy() for v in row] for row in velocities], dtype=np.float32),
        "sample": table(lambda problem, x: problem.field(x)[0], first),
        "nearest": table(lambda problem, x: problem.field(x)[0], nearest),
    }


if __name__ == "__main__":
    main()
