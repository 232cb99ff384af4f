"""Does the score of a memorized prior cost more than the two matrix products it cannot do without?

    python bench/mixture_score.py [--examples 100000] [--dim 4096] [--batch 64] [--repeats 5]

Prints the time of `MemorizedPrior.score` over that of x @ examples.T and weights @ examples in the same run (best of
the repeats, taken in turn), and the peak memory of building the prior and scoring, beyond the examples themselves.
Limits: 1.25 and 1 GB; the exit status is 1 beyond them.
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

from lib.mixture import MemorizedPrior  # noqa: E402


def timed(function):
    """Seconds that one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    """Measure, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    sizes = parser.parse_args()
    print(environment())

    generator = torch.Generator().manual_seed(0)
    examples = torch.empty(sizes.examples, sizes.dim).normal_(generator=generator)  # in place: no second copy
    x = examples[: sizes.batch] + 0.5 * torch.randn(sizes.batch, sizes.dim, generator=generator)
    data_only = peak_memory_gb()

    prior = MemorizedPrior(examples, 0.5)
    score = prior.score(x)  # before the bare products, whose own table would hide its memory
    beyond = peak_memory_gb() - data_only
    expected = (examples[: sizes.batch].double() - x) / 0.25  # far apart in so many dimensions: one example each
    error = float((score - expected).norm() / expected.norm())

    products, scores, shifted = [], [], []
    for _ in range(sizes.repeats):
        products.append(timed(lambda: (x @ examples.T) @ examples))
        scores.append(timed(lambda: prior.score(x)))
    ratio = min(scores) / min(products)
    examples += 10.0  # in place: examples with a mean, which are shifted block by block
    prior = MemorizedPrior(examples, 0.5)
    for _ in range(sizes.repeats):
        shifted.append(timed(lambda: prior.score(x + 10.0)))
    rows = [
        ("two matrix products", f"{min(products):.2f} s", ""),
        ("MemorizedPrior.score", f"{min(scores):.2f} s", f"relative error {error:.1e}"),
        ("time ratio", f"{ratio:.2f}", "limit 1.25"),
        ("time ratio, mean of 10", f"{min(shifted) / min(products):.2f}", "no limit: centre your examples"),
        ("peak memory beyond the data", f"{beyond:.2f} GB", "limit 1 GB"),
    ]
    print(table(f"N = {sizes.examples}, d = {sizes.dim}, batch {sizes.batch}, float32", rows))
    return int(ratio > 1.25 or beyond > 1)


if __name__ == "__main__":
    sys.exit(main())
