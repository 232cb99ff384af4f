"""What does the exact lookup posterior cost beside the diffusion sampler that approximates it?

    python bench/lookup_cost.py [--examples 200] [--samples 64] [--levels 80] [--clock wall]

On the quick waveform problem: the lookup posterior of the training models, and `dps` under the memorized prior of the
same models, solving for all samples at every level; the same again as `dps` does it by default, leaving out samples
that have settled. Prints seconds, solves of the wave equation (an adjoint counts as one, forward mode as two: it
carries two fields), and how far the samples are from the posterior they approximate, all in one run. Limit: the lookup
takes at most 1/50 of the seconds of the first `dps`; the exit status is 1 above it. One thread; a progress bar counts
levels. Last, the lookup of other data of the same models with their records on disk (`lib.stored`).
"""

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import torch  # noqa: E402
from _report import environment, table  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402

from lib.diagnostics import total_variation  # noqa: E402
from lib.mixture import MemorizedPrior  # noqa: E402
from lib.posterior import lookup_weights  # noqa: E402
from lib.problem import waveform_problem  # noqa: E402
from lib.samplers import dps  # noqa: E402
from lib.scale import scale  # noqa: E402
from lib.schedule import karras_sigmas  # noqa: E402
from lib.seismic import AcousticForward, VelocityForward  # noqa: E402
from lib.stored import Stored  # noqa: E402

CLOCKS = {"wall": perf_counter, "processor": process_time}
LIMIT = 1 / 50
SIGMA_MAX, SIGMA_MIN = 5.0, 0.02  # as in the chapter on posterior sampling


class CountedAcoustic(AcousticForward):
    """The wave equation that counts solves of models: 1 for the data, 2 with the adjoint or in forward mode."""

    solves = 0

    def __call__(self, velocity):
        """Model the data as `AcousticForward` does."""
        tangent = forward_ad.unpack_dual(velocity).tangent is not None
        self.solves += len(velocity) * (2 if tangent or velocity.requires_grad else 1)
        return super().__call__(velocity)


def main():
    """Measure, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--levels", type=int, default=80)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    sizes = parser.parse_args()
    torch.set_num_threads(1)
    clock = CLOCKS[sizes.clock]
    print(environment())

    problem = waveform_problem(scale("quick"))
    wave = CountedAcoustic(problem.forward.acoustic.acquisition)
    forward = VelocityForward(problem.field, wave)
    examples = problem.examples(sizes.examples)
    prior = MemorizedPrior(examples, SIGMA_MIN)
    sigmas = karras_sigmas(sizes.levels, SIGMA_MAX, SIGMA_MIN, dtype=torch.float32)

    def look_up(forward=forward, d_obs=problem.d_obs):
        return lookup_weights(examples, forward, d_obs, problem.noise_std)

    def sample(skip_settled, sigmas=sigmas, samples=sizes.samples):
        return dps(prior.denoise, forward, problem.d_obs, problem.noise_std, sigmas, (samples, examples.shape[1]),
                   skip_settled=skip_settled, generator=torch.Generator().manual_seed(0))  # fmt: skip

    def measured(call):
        wave.solves, start = 0, clock()
        found = call()
        return found, clock() - start, wave.solves

    sample(False, sigmas[[0, 1, -1]], 1)  # first calls load and compile; they are no part of any run
    weights, seconds, solves = measured(look_up)
    rows = [("", f"{sizes.clock} s", "over lookup", "solves", "over lookup", "total variation to the lookup")]
    rows.append(("lookup, exact", f"{seconds:.2f}", "1", str(solves), "1", "0"))
    share = None
    for name, skip in (("dps, all samples at all levels", False), ("dps, as it is", True)):
        samples, took, made = measured(lambda skip=skip: sample(skip))
        nearest = torch.cdist(samples, examples).argmin(1)
        shares = torch.bincount(nearest, minlength=len(examples)).to(weights) / len(samples)
        gap = float(total_variation(shares, weights.exp()))
        rows.append((name, f"{took:.1f}", f"{took / seconds:.0f}", str(made), f"{made / solves:.0f}", f"{gap:.2f}"))
        share = seconds / took if share is None else share
    with tempfile.TemporaryDirectory() as folder:
        stored = Stored(forward, folder)
        for name, data in (("lookup, records written", 1.0), ("lookup of other data, records read", 1.1)):
            _, took, made = measured(lambda data=data: look_up(stored, data * problem.d_obs))
            rows.append((name, f"{took:.2f}", f"{took / seconds:.2f}", str(made), f"{made / solves:.0f}", ""))
    print(table(f"N = {sizes.examples}; dps with {sizes.samples} samples, {sizes.levels} levels", rows))
    print(f"\nlookup over dps: 1/{1 / share:.0f} (limit 1/{1 / LIMIT:.0f})")
    return int(share > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
