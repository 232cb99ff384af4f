"""How do times grow: with the number and the size of the examples, with samples, shots and the grid?

    python bench/growth.py [--largest 1000000] [--repeats 7]

Each line of work is timed over a range (best of the repeats) and an exponent is fitted to log time against log size,
for N from 10^4 up, below which overhead counts. Beside the times of the mixture stand those of the bare products,
which at this small d are bound by memory (bench/mixture_score.py and bench/audit.py compare at d = 4096). Limits: the
exponent in N of score and nearest neighbours lies in .9 to 1.05, and beyond the examples, which are mapped from the
disk, at most 1 GB is taken; the exit status is 1 beyond them.
"""

# ruff: noqa: B023  (each closure is called before its loop goes on)
import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from _report import OwnMemory, environment, table  # noqa: E402
from tqdm import tqdm  # noqa: E402

from lib.diagnostics import nearest_distances  # noqa: E402
from lib.mapped import map_examples  # noqa: E402
from lib.mixture import MemorizedPrior  # noqa: E402
from lib.seismic import AcousticForward, Acquisition  # noqa: E402

DIM, BATCH, EXPONENT, BEYOND_GB = 256, 64, (0.9, 1.05), 1.0


def best(function, repeats):
    """Seconds of the fastest of some calls, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def fitted(sizes, seconds, start=0):
    """Exponent p of seconds ~ size^p over the sizes from `start` on."""
    kept = [(s, t) for s, t in zip(sizes, seconds, strict=True) if s >= start]
    return float(np.polyfit(*np.log(np.array(kept)).T, 1)[0])


def write_examples(path, n, dim):
    """A file of standard normal examples, written in blocks."""
    examples, rng = np.lib.format.open_memmap(path, "w+", np.float32, (n, dim)), np.random.default_rng(0)
    for start in range(0, n, 10_000):
        block = examples[start : start + 10_000]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
    examples.flush()


def mixture_rows(folder, largest, repeats, bar):
    """Times of score and neighbours over N for mapped examples, and whether the limits are kept."""
    write_examples(folder / "examples.npy", largest, DIM)
    everything = map_examples(folder / "examples.npy")
    x = everything[:BATCH] + 0.5 * torch.randn(BATCH, DIM, generator=torch.Generator().manual_seed(0))
    sizes = [10**k for k in range(2, 7) if 10**k <= largest]
    work = {"two products": [], "score": [], "one product": [], "nearest neighbours": []}
    memory = OwnMemory()
    for n in sizes:
        examples = everything[:n]
        prior, product = MemorizedPrior(examples, 0.5), torch.empty(BATCH, n)
        work["two products"].append(best(lambda: torch.mm(x, examples.T, out=product) @ examples, repeats))
        work["score"].append(best(lambda: prior.score(x), repeats))
        work["one product"].append(best(lambda: torch.mm(x, examples.T, out=product), repeats))
        work["nearest neighbours"].append(best(lambda: nearest_distances(x, examples, 2), repeats))
        bar.update()
    beyond = memory.peak_gb()
    exponents = {name: fitted(sizes, seconds, 10_000) for name, seconds in work.items()}
    rows = [("N", *map(str, sizes), "exponent")]
    rows += [(name, *[f"{t:.2g} s" for t in work[name]], f"{exponents[name]:.2f}") for name in work]
    print(table(f"N, at d = {DIM} and {BATCH} points; mapped from the disk", rows))
    print(f"{beyond:.2f} GB beyond the data (limit {BEYOND_GB:g}); limits of the exponents {EXPONENT}\n")
    grow = [exponents[name] for name in ("score", "nearest neighbours")]
    return beyond <= BEYOND_GB and all(EXPONENT[0] <= p <= EXPONENT[1] for p in grow)


def row(title, sizes, seconds):
    """One line of growth."""
    times = ", ".join(f"{t:.2g}" for t in seconds)
    return title, ", ".join(map(str, sizes)), times, f"{fitted(sizes, seconds):.2f}"


def dimension_rows(repeats, bar):
    """Times of a score over d and over the number of points."""
    out, generator = [], torch.Generator().manual_seed(0)
    for title, sizes, shape in (
        ("d, at N = 2000 and 64 points", (100, 1000, 10_000), lambda s: (2000, s, 64)),
        ("points, at N = 10000 and d = 256", (16, 64, 256, 1024), lambda s: (10_000, 256, s)),
    ):
        seconds = []
        for size in sizes:
            n, d, points = shape(size)
            examples = torch.randn(n, d, generator=generator)
            prior, x = MemorizedPrior(examples, 0.5), torch.randn(points, d, generator=generator)
            seconds.append(best(lambda: prior.score(x), repeats))
            bar.update()
        out.append(row(title, sizes, seconds))
    return out


def wave_rows(repeats, bar):
    """Times of the wave equation over models, shots and cells a side, the number of time steps kept."""
    out = []
    for title, sizes, shape in (
        ("models a call", (1, 4, 16), lambda s: (s, 1, 60)),
        ("shots", (1, 4, 16), lambda s: (1, s, 60)),
        ("cells a side, time steps kept", (100, 200, 400), lambda s: (1, 1, s)),
    ):
        seconds = []
        for size in sizes:
            models, shots, side = shape(size)
            survey = Acquisition.surface(
                (side, side), grid_spacing=20.0, dt=0.004, nt=250, peak_freq=5.0, num_shots=shots, num_receivers=20,
                max_vel=3000.0,
            )  # fmt: skip
            forward, velocity = AcousticForward(survey), torch.full((models, side, side), 2000.0)
            seconds.append(best(lambda: forward(velocity), repeats))
            bar.update()
        out.append(row(title, sizes, seconds))
    return out


def main():
    """Measure, print the tables, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(environment())
    bar = tqdm(total=sum(10**k <= options.largest for k in range(2, 7)) + 16, desc="growth", unit="point")
    with tempfile.TemporaryDirectory() as folder, bar:
        kept = mixture_rows(Path(folder), options.largest, options.repeats, bar)
        rows = dimension_rows(options.repeats, bar) + wave_rows(options.repeats, bar)
    print(table("growth of one score and of one wave simulation", [("in", "sizes", "seconds", "exponent"), *rows]))
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
