"""Does a posterior with all its Jacobians cost seconds, for a cheap map and for waves?

    python bench/linearized_posterior.py [--examples 50] [--repeats 9] [--waves 20] [--modes 36]

First a map made of torch operations (a network with three hidden layers, 100 parameters, 400 data): the time of
`linearized_posterior`, which gives Jacobians, means, covariances and weights, over that of a loop with one backward
pass a datum, which gives the Jacobians alone, in the same run (best of the repeats, taken in turn). Then the quick
waveform problem. Limits: 1/25 of the loop, and 60 s; the exit status is 1 beyond them.
"""

import argparse
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import torch  # noqa: E402
from _report import environment, table  # noqa: E402

from lib.posterior import linearized_posterior  # noqa: E402
from lib.problem import waveform_problem  # noqa: E402
from lib.scale import scale  # noqa: E402

RATIO, SECONDS = 1 / 25, 60.0


def timed(function):
    """Seconds that one call takes, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def loop(forward, examples):
    """Jacobians [N, m, d], one backward pass for each datum of each example."""
    slopes = []
    for x in examples:
        leaf = x[None].clone().requires_grad_()
        data = forward(leaf)[0]
        rows = [torch.autograd.grad(data[k], leaf, retain_graph=True)[0] for k in range(len(data))]
        slopes.append(torch.cat(rows))
    return torch.stack(slopes)


def cheap_map(sizes):
    """Rows of the table for a network, and whether it keeps the limit."""
    torch.manual_seed(0)
    widths = (100, 128, 128, 128, 400)
    layers = [layer for a, b in pairwise(widths) for layer in (torch.nn.Linear(a, b), torch.nn.Tanh())]
    network = torch.nn.Sequential(*layers[:-1])
    examples = torch.randn(sizes.examples, 100)
    d_obs, bandwidth, noise_std = network(examples[:1])[0].detach() + 0.1, 0.3, 0.1
    ours, loops = [], []
    for _ in range(sizes.repeats):
        seconds, mixture = timed(lambda: linearized_posterior(examples, bandwidth, network, d_obs, noise_std))
        ours.append(seconds)
        seconds, slopes = timed(lambda: loop(network, examples))
        loops.append(seconds)
    eye, slopes = torch.eye(100, dtype=torch.float64), slopes.double()
    expected = torch.linalg.inv(eye / bandwidth**2 + slopes.mT @ slopes / noise_std**2)
    error = float((mixture.covariances - expected).norm() / expected.norm())
    ratio = min(ours) / min(loops)
    rows = [
        ("loop of backward passes", f"{min(loops):.3f} s", "Jacobians alone"),
        ("linearized_posterior", f"{min(ours):.3f} s", f"covariances differ by {error:.0e}"),
        ("time ratio", f"1/{1 / ratio:.0f}", "limit 1/25"),
    ]
    return rows, ratio <= RATIO


def waves(sizes):
    """Rows of the table for the quick waveform problem, and whether it keeps the limit."""
    problem = waveform_problem(replace(scale("quick"), num_modes=sizes.modes))
    examples = problem.examples(sizes.waves)
    before = time.process_time()
    seconds, mixture = timed(
        lambda: linearized_posterior(examples, 0.05, problem.forward, problem.d_obs, problem.noise_std)
    )
    busy = time.process_time() - before
    best = int(mixture.log_weights.argmax())
    rows = [
        ("linearized_posterior", f"{seconds:.1f} s", f"limit {SECONDS:.0f} s"),
        ("processor time", f"{busy:.1f} s", "where far below the line above, the machine was busy"),
        ("best component", f"{best}", f"chi^2 {float(problem.chi2(mixture.means[best : best + 1])):.3f} at its mean"),
    ]
    return rows, seconds <= SECONDS


def main():
    """Measure, print two tables, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--waves", type=int, default=20)
    parser.add_argument("--modes", type=int, default=36)
    sizes = parser.parse_args()
    print(environment())
    rows, fast = cheap_map(sizes)
    print(table(f"network, N = {sizes.examples}, d = 100, m = 400, float32", rows), end="\n\n")
    rows, soon = waves(sizes)
    print(table(f"quick waveform problem, N = {sizes.waves}, d = {sizes.modes}", rows))
    return int(not (fast and soon))


if __name__ == "__main__":
    sys.exit(main())
