"""How much of the wall time of `dps` is spent in the wave equation?

    python bench/dps_overhead.py [--samples 8 64] [--levels 9] [--clock wall]

Runs `dps` on the quick waveform problem, with the population prior and with a memorized prior, and times every call of
the wave equation from outside: forward (with what the adjoint needs), adjoint, and forward mode. Prints the count and
the time of each and their share of the wall time, in one run; all samples are solved for at every level. On a machine
that others use, `--clock processor` counts the time of this process alone (with one thread that is its wall time).
What is outside takes 5 to 9 ms a level whatever the number of samples: its operations are small, and the waves have
taken the caches. Limit: 97 % at the largest number of samples; the exit status is 1 below it.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from time import perf_counter, process_time

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import torch  # noqa: E402
from _report import environment, table  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402

from lib.mixture import MemorizedPrior  # noqa: E402
from lib.problem import waveform_problem  # noqa: E402
from lib.samplers import dps  # noqa: E402
from lib.scale import scale  # noqa: E402
from lib.schedule import karras_sigmas  # noqa: E402
from lib.seismic import AcousticForward, VelocityForward  # noqa: E402

KINDS = ("forward", "adjoint", "forward mode")
CLOCKS = {"wall": perf_counter, "processor": process_time}
LIMIT = 0.97


class Mark(torch.autograd.Function):
    """Identity whose backward pass calls `action`: two of them around the waves bracket the adjoint."""

    @staticmethod
    def forward(ctx, x, action):
        ctx.action = action
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        ctx.action()
        return grad, None


class TimedAcoustic(AcousticForward):
    """The wave equation with a stopwatch: `.seconds[kind]` lists every call."""

    def __init__(self, acquisition, clock):
        super().__init__(acquisition)
        self.seconds, self.clock = defaultdict(list), clock

    def __call__(self, velocity):
        """Model the data as `AcousticForward` does, and note how long it took."""
        tangent = forward_ad.unpack_dual(velocity).tangent is not None
        adjoint = velocity.requires_grad and not tangent
        if adjoint:
            velocity = Mark.apply(velocity, self.end_adjoint)
        start = self.clock()
        data = super().__call__(velocity)
        self.seconds["forward mode" if tangent else "forward"].append(self.clock() - start)
        return Mark.apply(data, self.start_adjoint) if adjoint else data

    def start_adjoint(self):
        """Called by autograd before the adjoint."""
        self.started = self.clock()

    def end_adjoint(self):
        """Called by autograd after the adjoint."""
        self.seconds["adjoint"].append(self.clock() - self.started)


def measure(name, denoise, problem, sizes):
    """Run `dps` once; return table rows and the share of its wall time inside wave calls."""
    clock = CLOCKS[sizes.clock]
    acoustic = TimedAcoustic(problem.forward.acoustic.acquisition, clock)
    forward = VelocityForward(problem.field, acoustic)
    sigmas = karras_sigmas(sizes.levels, 5.0, 0.5, dtype=torch.float32)
    shape, generator = (sizes.samples, len(problem.truth)), torch.Generator().manual_seed(0)
    start = clock()
    dps(denoise, forward, problem.d_obs, problem.noise_std, sigmas, shape, skip_settled=False, generator=generator)
    wall = clock() - start
    rows = []
    for kind in KINDS:
        calls = acoustic.seconds[kind]
        each = 1e3 * sum(calls) / len(calls) if calls else 0.0
        rows.append((name, kind, str(len(calls)), f"{each:.0f}", f"{sum(calls):.2f}", f"{sum(calls) / wall:.1%}"))
    inside = sum(map(sum, acoustic.seconds.values()))
    rows.append((name, "all wave calls", str(sum(map(len, acoustic.seconds.values()))), "", f"{inside:.2f}",
                 f"{inside / wall:.1%}"))  # fmt: skip
    rows.append((name, f"all, {sizes.clock} time", "", "", f"{wall:.2f}", "100.0%"))
    return rows, inside / wall


def main():
    """Measure, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--levels", type=int, default=9)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    sizes = parser.parse_args()
    torch.set_num_threads(1)  # one shot of 32 x 32 cells is too small to share
    print(environment())

    problem = waveform_problem(scale("quick"))
    prior = MemorizedPrior(problem.examples(200), 0.02)
    problem.chi2(problem.examples(1))  # first calls load and compile; they are no part of either run
    priors = {"population": lambda x, sigma: x / (1 + sigma**2), "memorized": prior.denoise}
    for samples in sorted(sizes.samples):
        rows, shares = [("prior", "wave call", "calls", "ms each", "s", "share")], []
        for name, denoise in priors.items():
            measure(name, denoise, problem, argparse.Namespace(samples=1, levels=3, clock=sizes.clock))
            run = argparse.Namespace(samples=samples, levels=sizes.levels, clock=sizes.clock)
            found, share = measure(name, denoise, problem, run)
            rows += found
            shares.append(share)
        print(table(f"{samples} samples, {sizes.levels} levels, m = {len(problem.d_obs)} data", rows) + "\n")
    what = f"share of the {sizes.clock} time inside wave calls, {samples} samples"
    print(f"{what}: {min(shares):.1%} (limit {LIMIT:.0%})")
    return int(min(shares) < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
