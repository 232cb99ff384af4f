"""Full-scale diffusion posterior sampling on one card: how near to the memory's floor, and how much memory?

    python bench/gpu.py [--samples 256] [--levels 200] [--sizes 20 50 200] [--seed 0]
    python bench/gpu.py --tiny          # the same path in seconds, on any machine; writes nothing

Runs `dps` on the full waveform problem under memorized priors of three training sizes N and prints, for each, the
seconds, the share of them inside the wave equation (forward, adjoint, forward mode) and those seconds over the floor:
the time that the card needs to copy as many bytes as the fields must move at least. A forward step reads two fields and
the speed and writes one; the adjoint reads and writes as much, and each sampled step of the gradient a stored field
written, read, and added to the gradient; forward mode carries two fields and a perturbation. The bandwidth is that of a
large copy in the same run. Then, by the number of samples, the memory of one gradient and of one level.

With a card and without `--tiny` the tables go to bench/gpu_results.md, with device, commit and seed. One process, one
card; the device is that of COURSE_DEVICE or the first card. A progress bar counts levels.
"""

import argparse
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import torch  # noqa: E402
from _report import environment, table  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402

from lib.guidance import denoise_and_gradient  # noqa: E402
from lib.mixture import MemorizedPrior  # noqa: E402
from lib.problem import waveform_problem  # noqa: E402
from lib.samplers import dps  # noqa: E402
from lib.scale import device, scale  # noqa: E402
from lib.schedule import karras_sigmas  # noqa: E402
from lib.seismic import AcousticForward, VelocityForward  # noqa: E402

RESULTS = ROOT / "bench" / "gpu_results.md"
WORDS = {"forward": 4, "adjoint": 4, "forward mode": 9}  # numbers a cell and step that have to move
KEPT = {"forward": 1, "adjoint": 3, "forward mode": 0}  # the same for each sampled step of the gradient


class Mark(torch.autograd.Function):
    """Identity whose backward pass calls `action`."""

    @staticmethod
    def forward(ctx, x, action):
        ctx.action = action
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        ctx.action()
        return grad, None


class Watched(AcousticForward):
    """The wave equation with a stopwatch that waits for the card: `.seconds` and `.rows` of models by kind."""

    def __init__(self, acquisition, wait):
        super().__init__(acquisition)
        self.wait, self.seconds, self.rows = wait, defaultdict(float), defaultdict(int)

    def __call__(self, velocity):
        """Model the data as `AcousticForward` does."""
        tangent = forward_ad.unpack_dual(velocity).tangent is not None
        adjoint = velocity.requires_grad and not tangent
        kind, rows = ("forward mode" if tangent else "forward"), len(velocity)
        if adjoint:
            velocity = Mark.apply(velocity, lambda: self.note("adjoint", rows))
        self.start()
        data = super().__call__(velocity)
        self.note(kind, rows)
        return Mark.apply(data, self.start) if adjoint else data

    def start(self):
        """Start the watch once the card has done all it was asked for."""
        self.wait()
        self.started = time.perf_counter()

    def note(self, kind, rows):
        """Stop it."""
        self.wait()
        self.seconds[kind] += time.perf_counter() - self.started
        self.rows[kind] += rows


def copy_bandwidth(where, wait, numbers):
    """Bytes a second that a copy of so many float32 numbers moves, read and written; the best of five."""
    source = torch.ones(numbers, device=where)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(6):
        wait()
        start = time.perf_counter()
        target.copy_(source)
        wait()
        best = min(best, time.perf_counter() - start)
    return 8 * numbers / best


def floor_seconds(survey, rows, bandwidth):
    """Least seconds of so many solves of each kind, float32."""
    cells = (survey.shape[0] + 2 * survey.pml_width) * (survey.shape[1] + 2 * survey.pml_width)
    steps = survey.nt * survey.internal_steps
    words = {kind: WORDS[kind] * steps + KEPT[kind] * survey.nt / survey.gradient_interval for kind in WORDS}
    return sum(4 * cells * survey.num_shots * words[kind] * rows[kind] for kind in WORDS) / bandwidth


def sampled(problem, size, options, wait, bandwidth):
    """One run of `dps` with N = size: a row of the table."""
    wave = Watched(problem.forward.acoustic.acquisition, wait)
    forward = VelocityForward(problem.field, wave)
    prior = MemorizedPrior(problem.examples(size), 0.02)
    sigmas = karras_sigmas(options.levels, 5.0, 0.02, dtype=torch.float32, device=problem.d_obs.device)
    generator = torch.Generator(sigmas.device).manual_seed(options.seed)
    shape = (options.samples, prior.examples.shape[1])
    wait()
    start = time.perf_counter()
    dps(prior.denoise, forward, problem.d_obs, problem.noise_std, sigmas, shape, generator=generator)
    wait()
    wall = time.perf_counter() - start
    inside, least = sum(wave.seconds.values()), floor_seconds(wave.acquisition, wave.rows, bandwidth)
    solves = wave.rows["forward"] + wave.rows["adjoint"] + 2 * wave.rows["forward mode"]
    return str(size), str(solves), f"{wall:.1f}", f"{inside / wall:.1%}", f"{least:.2f}", f"{inside / least:.1f}"


def memory(problem, samples, where):
    """Stored fields of one gradient by its formula, and the card's peak in it and beyond what it held, GB."""
    survey = problem.forward.acoustic.acquisition
    cells = (survey.shape[0] + 2 * survey.pml_width + 4) * (survey.shape[1] + 2 * survey.pml_width + 4)
    stored = 4e-9 * samples * survey.num_shots * (survey.nt // survey.gradient_interval) * cells
    if where.type != "cuda":
        return str(samples), f"{stored:.3f}", "no card"
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(where)
    held = torch.cuda.memory_allocated(where)
    x, level = problem.fresh(samples), torch.tensor(5.0, device=where)
    denoise = MemorizedPrior(problem.examples(20), 0.02).denoise
    denoise_and_gradient(denoise, problem.forward, problem.d_obs, x, level)
    peak = torch.cuda.max_memory_allocated(where) - held
    return str(samples), f"{stored:.3f}", f"{1e-9 * peak:.2f}"


def main():
    """Measure, print two tables, write them where they come from a card; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--levels", type=int, default=200)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50, 200])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="2 samples, 4 levels at quick scale, on any device")
    options = parser.parse_args()
    if options.tiny:
        options.samples, options.levels, options.sizes = 2, 4, [2, 3, 4]
    where = device()
    if where.type != "cuda" and not options.tiny:
        print("no card: the full run needs one (--tiny runs anywhere)")
        return 1
    wait = torch.cuda.synchronize if where.type == "cuda" else lambda: None

    preset = scale("quick" if options.tiny else "full")
    problem = waveform_problem(preset, seed=options.seed, device=where)
    problem.chi2(problem.examples(1))  # first calls load and compile; they are no part of any run
    bandwidth = copy_bandwidth(where, wait, 2**20 if options.tiny else 2**28)
    rows = [("N", "solves", "s", "share in waves", "copy floor of waves, s", "waves over floor")]
    rows += [sampled(problem, size, options, wait, bandwidth) for size in options.sizes]
    title = f"dps, {preset.name} scale: {options.samples} samples, {options.levels} levels"
    sizes = sorted({max(1, options.samples // 2**k) for k in range(5)})
    held = [("samples", "stored fields, GB", "peak of a gradient, GB"), *(memory(problem, n, where) for n in sizes)]
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu"
    text = "\n".join([
        f"device   {name}, copies {1e-9 * bandwidth:.0f} GB/s\n{environment()}seed     {options.seed}\n",
        table(title, rows), "", table("memory of one gradient", held),
    ])  # fmt: skip
    print(text)
    if where.type == "cuda" and not options.tiny:
        when = datetime.now(UTC).strftime("%Y-%m-%d")
        command = f"python bench/gpu.py {' '.join(sys.argv[1:])}".strip()
        part = RESULTS.with_suffix(".part")
        part.write_text(f"# One card\n\n`{command}`, {when}\n\n```text\n{text}\n```\n", encoding="utf8")
        part.replace(RESULTS)
        print(f"\nwritten to {RESULTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
