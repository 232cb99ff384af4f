"""Do nearest neighbours of an audit cost more than the matrix product they cannot do without?

    python bench/audit.py [--samples 2000] [--examples 100000] [--dim 4096] [--neighbours 50] [--repeats 2]

Prints the time of `nearest_distances` over that of samples @ examples.T, taken in the same blocks and in turn (best of
the repeats, after a first call, whose time is shown), and the peak memory beyond the data. Limits: 1.25 and 1 GB; the
exit status is 1 beyond them.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import torch  # noqa: E402
from _report import environment, peak_memory_gb, table  # noqa: E402

from lib.diagnostics import nearest_distances  # noqa: E402

_BLOCK = 2048  # rows of a block of the product, whose whole table would need 4 GB at the target's sizes


def timed(function):
    """Seconds that one call takes, and what it returns."""
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def product(samples, examples):
    """The bare product, block by block, into the same room."""
    for part in samples.split(_BLOCK):
        for block in examples.split(_BLOCK):
            part @ block.T


def main():
    """Measure, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2_000)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=4_096)
    parser.add_argument("--neighbours", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=2)
    sizes = parser.parse_args()
    print(environment())

    # Wave speeds: a mean that outweighs the spread, and every tenth sample a copy.
    generator = torch.Generator().manual_seed(0)
    examples = torch.empty(sizes.examples, sizes.dim).normal_(2500.0, 500.0, generator=generator)
    samples = torch.empty(sizes.samples, sizes.dim).normal_(2500.0, 500.0, generator=generator)
    copied = torch.arange(0, sizes.samples, 10) % sizes.examples
    samples[::10] = examples[copied]
    data = (examples.nbytes + samples.nbytes) / 1e9

    before = peak_memory_gb()
    first, (distances, found) = timed(lambda: nearest_distances(samples, examples, sizes.neighbours))
    peak = peak_memory_gb() - before
    correct = bool((distances[::10, 0] == 0).all()) and torch.equal(found[::10, 0], copied)
    wanted, bare = [], []
    for _ in range(sizes.repeats):
        bare.append(timed(lambda: product(samples, examples))[0])
        wanted.append(timed(lambda: nearest_distances(samples, examples, sizes.neighbours))[0])
    ratio = min(wanted) / min(bare)
    rows = [
        ("matrix product", f"{min(bare):.1f} s", ""),
        ("nearest_distances", f"{min(wanted):.1f} s", "copies found" if correct else "copies NOT found"),
        ("its first call", f"{first:.1f} s", "takes fresh memory from the system"),
        ("time ratio", f"{ratio:.2f}", "limit 1.25"),
        ("peak memory beyond the data", f"{peak:.2f} GB", f"limit 1 GB, data {data:.2f} GB"),
    ]
    title = f"{sizes.samples} samples, N = {sizes.examples}, d = {sizes.dim}, k = {sizes.neighbours}, float32"
    print(table(title, rows))
    return int(ratio > 1.25 or peak > 1 or not correct)


if __name__ == "__main__":
    sys.exit(main())
