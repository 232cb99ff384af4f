"""Can the linearized posterior have 4900 pixels for parameters?

    python bench/large_posterior.py [--grid 70] [--examples 2] [--bandwidth 20] [--rank 64]

The quick waveform problem on 70 x 70 cells, the speed of each a parameter; J is never formed. Prints the time over that
of as many bare wave simulations as a Jacobian has columns, and the memory taken. As a check from the definition,
J^T J is applied once more by one forward- and one reverse-mode call: (I / b^2 + J^T J / gamma^2) Sigma v = v up to
b^2 s_k^2 / gamma^2, the smallest that was kept, for any direction v. The exit status is 1 where that fails.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import torch  # noqa: E402
from _report import OwnMemory, environment, table  # noqa: E402

from lib.jacobian import low_rank_jacobian  # noqa: E402
from lib.posterior import linearized_posterior  # noqa: E402
from lib.problem import waveform_problem  # noqa: E402
from lib.scale import scale  # noqa: E402
from lib.seismic import VelocityForward  # noqa: E402


def pixels(grid, examples):
    """Examples near the truth [N, d], m/s, and the problem with its forward map."""
    preset = replace(scale("quick"), grid=grid)
    block = preset.gradient_interval * preset.dt  # the record holds whole intervals between gradient samples
    preset = replace(preset, duration=block * round(preset.duration / block))
    problem = waveform_problem(preset)
    forward = VelocityForward(lambda x: x.reshape(-1, grid, grid), problem.forward.acoustic)
    near = problem.truth + 0.01 * problem.examples(examples)
    return problem.field(near).flatten(1), (forward, problem.d_obs, problem.noise_std)


def main():
    """Measure, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=int, default=70)
    parser.add_argument("--examples", type=int, default=2)
    parser.add_argument("--bandwidth", type=float, default=20.0, help="m/s")
    parser.add_argument("--rank", type=int, default=64)
    sizes = parser.parse_args()
    print(environment())
    examples, data = pixels(sizes.grid, sizes.examples)
    forward, _, noise_std = data
    generator, b = torch.Generator().manual_seed(0), sizes.bandwidth

    forward(examples[:1])
    start = time.perf_counter()
    forward(examples[:1])
    bare = time.perf_counter() - start

    memory, start = OwnMemory(), time.perf_counter()
    mixture = linearized_posterior(examples, b, *data, sizes.rank, max_rows=16, generator=generator)
    seconds, peak = time.perf_counter() - start, memory.peak_gb()

    x, covariance = examples[0], mixture.covariances[0]
    smallest = low_rank_jacobian(forward, x, sizes.rank, generator=generator, max_rows=16)[1][-1]
    bound, v = float((b * smallest / noise_std) ** 2), torch.randn(len(x), generator=generator)
    moved = covariance @ v
    pushed = torch.func.jvp(forward, (x[None],), (moved[None],))[1]
    leaf = x[None].clone().requires_grad_()
    pulled = torch.autograd.grad(forward(leaf), leaf, pushed)[0][0]
    back = moved / b**2 + pulled / noise_std**2
    error = float((back - v).norm() / v.norm())
    d = len(x)
    rows = [
        ("linearized_posterior", f"{seconds:.0f} s", f"{seconds / sizes.examples:.0f} s an example"),
        ("over d bare simulations an example", f"{seconds / (sizes.examples * d * bare):.2f}", f"one: {bare:.3f} s"),
        ("memory beyond what was there", f"{peak:.2f} GB", f"J alone: {4 * d * len(data[1]) / 1e9:.2f} GB"),
        ("(prior + data) x covariance - 1", f"{error:.1e}", f"limit {bound:.1e}"),
    ]
    print(table(f"d = {d}, m = {len(data[1])}, N = {sizes.examples}, b = {b:g} m/s, rank {sizes.rank}", rows))
    return int(error > bound)


if __name__ == "__main__":
    sys.exit(main())
