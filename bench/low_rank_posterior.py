"""Is the low-rank posterior the dense one, with the pixels of a velocity model for parameters?

    python bench/low_rank_posterior.py [--examples 2] [--bandwidth 20] [--rank 256] [--spread 0.01]

The quick waveform problem with the speed in each of its 32 x 32 cells a parameter: d = 1024, m = 30,720. The examples
are models so near the truth that they share the posterior. Limits: 1e-3 in the total variation of the weights and in
the covariances (spectral norm, relative) at a rank of d / 4. A covariance of rank k is off by rho_{k+1} = b^2 s_{k+1}^2
/ (gamma^2 + b^2 s_{k+1}^2), the best that this rank can do: where it is above 1e-3 the spectrum forbids the limit. The
second table says at which bandwidths it does, and which rank each of them needs. The exit status is 1 where a limit
that the spectrum allows is not kept, or where the error is not rho_{k+1}.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import torch  # noqa: E402
from _report import environment, table  # noqa: E402

from lib.diagnostics import effective_sample_size, total_variation  # noqa: E402
from lib.posterior import linearized_posterior  # noqa: E402
from lib.problem import waveform_problem  # noqa: E402
from lib.scale import scale  # noqa: E402
from lib.seismic import VelocityForward  # noqa: E402

LIMIT, BANDWIDTHS = 1e-3, (20.0, 50.0, 100.0, 200.0, 400.0)  # m/s; 400 is the standard deviation of the population


def timed(function):
    """Seconds of processor time that one call takes, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def pixels(sizes):
    """Examples [N, d], m/s, and the problem with its forward map."""
    preset = scale("quick")
    problem = waveform_problem(preset)
    forward = VelocityForward(lambda x: x.reshape(-1, preset.grid, preset.grid), problem.forward.acoustic)
    near = problem.truth + sizes.spread * problem.examples(sizes.examples)
    return problem.field(near).flatten(1), (forward, problem.d_obs, problem.noise_std)


def spectrum(covariances, bandwidth):
    """The largest b^2 s^2 / gamma^2 of any example, falling, [d]."""
    return (bandwidth**2 / torch.linalg.eigvalsh(covariances.double()) - 1).max(0).values.clamp_min(0)


def against_dense(examples, data, sizes):
    """Rows of a table, whether the limits are kept or forbidden, and the spectrum."""
    arguments, generator = (examples, sizes.bandwidth, *data), torch.Generator().manual_seed(0)
    dense_seconds, dense = timed(lambda: linearized_posterior(*arguments))
    seconds, cut = timed(lambda: linearized_posterior(*arguments, sizes.rank, generator=generator))
    squares = spectrum(dense.covariances, sizes.bandwidth)
    best = float(squares[sizes.rank] / (1 + squares[sizes.rank]))
    weights = total_variation(cut.weights, dense.weights)
    logs = (cut.log_weights - dense.log_weights).double()
    largest = torch.linalg.matrix_norm(dense.covariances.double(), 2)
    error = float((torch.linalg.matrix_norm((cut.covariances - dense.covariances).double(), 2) / largest).max())
    kept, allowed = weights <= LIMIT and error <= LIMIT, best <= LIMIT
    rows = [
        ("total variation of the weights", f"{weights:.1e}", "limit 1e-3"),
        ("log-weights", f"{float(logs.max() - logs.min()):.1e} nats", ""),
        ("covariances", f"{error:.1e}", f"limit 1e-3; rho_{{k+1}} {best:.1e}"),
        ("verdict", "kept" if kept else "missed" if allowed else "forbidden by the spectrum", ""),
        ("effective sample size", f"{float(effective_sample_size(dense.log_weights)):.1f}", f"of {len(examples)}"),
        ("time ratio, low rank over dense", f"{seconds / dense_seconds:.1f}", f"dense {dense_seconds:.0f} s"),
    ]
    return rows, (kept or not allowed) and abs(error - best) <= 0.05 * best + 1e-5, squares


def forbidden(squares, sizes):
    """Rows of a table: what the spectrum allows at other bandwidths."""
    rows = [("bandwidth", "rho_{k+1}", "rank that 1e-3 needs")]
    for bandwidth in BANDWIDTHS:
        scaled = squares * (bandwidth / sizes.bandwidth) ** 2
        rho = scaled / (1 + scaled)
        rows.append((f"{bandwidth:g} m/s", f"{float(rho[sizes.rank]):.1e}", f"{int((rho > LIMIT).sum())}"))
    return rows


def main():
    """Measure, print two tables, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=2)
    parser.add_argument("--bandwidth", type=float, default=20.0, help="m/s")
    parser.add_argument("--rank", type=int, default=256)
    parser.add_argument("--spread", type=float, default=0.01, help="of the examples about the truth, of the population")
    sizes = parser.parse_args()
    print(environment())
    examples, data = pixels(sizes)
    rows, good, squares = against_dense(examples, data, sizes)
    title = f"d = {examples.shape[1]}, m = {len(data[1])}, N = {len(examples)}, b = {sizes.bandwidth:g} m/s"
    print(table(f"{title}, rank {sizes.rank}", rows), end="\n\n")
    print(table(f"the spectrum at rank {sizes.rank}", forbidden(squares, sizes)))
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
