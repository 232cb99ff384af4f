"""Make data/headline.npz and data/headline.png, the picture that opens the book (a minute or two on two cores).

Run from the root of the repository: python data/make_headline.py
The chapter on posterior sampling repeats these calls and asserts that the file still says the same.
"""

import numpy as np
import torch
from _provenance import commit, device_name

from lib import plotting
from lib.diagnostics import nearest_distances
from lib.mixture import MemorizedPrior
from lib.problem import waveform_problem
from lib.samplers import dps
from lib.scale import DATA, device, scale
from lib.schedule import karras_sigmas

SEED, SIGMA_MIN, SHOWN = 7, 0.02, 3


def main() -> None:
    """Sample with both priors, then write the arrays and the picture."""
    preset, dev = scale(), device()
    problem = waveform_problem(preset, seed=0, device=dev)
    examples = problem.examples(max(preset.training_sizes))
    sigmas = karras_sigmas(preset.num_levels, 5.0, SIGMA_MIN, dtype=torch.float32, device=dev)

    def posterior_samples(denoise):
        generator = torch.Generator(device=dev).manual_seed(SEED)
        shape = (preset.num_samples, preset.num_modes)
        data = (problem.d_obs, problem.noise_std)
        return dps(denoise, problem.forward, *data, sigmas, shape, "likelihood", generator=generator)[:SHOWN]

    memorized = posterior_samples(MemorizedPrior(examples, SIGMA_MIN).denoise)
    population = posterior_samples(lambda x, sigma: x / (1 + sigma**2))
    landed = nearest_distances(memorized, examples, 1)[1][:, 0]
    models = {"memorized": memorized, "copied": examples[landed], "population": population}
    arrays = {name: problem.field(x).cpu().numpy().astype(np.float32) for name, x in models.items()}
    chi2 = {f"chi2_{name}": problem.chi2(x).cpu().numpy() for name, x in models.items()}
    made = {
        "truth": problem.field(problem.truth[None])[0].cpu().numpy().astype(np.float32),
        "chi2_truth": problem.chi2(problem.truth[None]).item(),
        "landed": landed.cpu().numpy(),
        "grid_spacing": preset.grid_spacing,
        "preset": preset.name,
        "guidance": "likelihood",
        "seed": SEED,
        "device": device_name(dev),
        "commit": commit(__file__),
        "command": "python data/make_headline.py",
    }
    np.savez_compressed(DATA / "headline.npz", **arrays, **chi2, **made)
    plotting.use_style()
    with np.load(DATA / "headline.npz", allow_pickle=False) as stored:
        plotting.headline(stored).savefig(DATA / "headline.png", dpi=110)
    print(f"copies of {landed.tolist()}: misfits {chi2['chi2_memorized']}; population: {chi2['chi2_population']}")


if __name__ == "__main__":
    main()
