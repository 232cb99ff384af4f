"""What does a gradient through the wave equation cost in forward solves, and what does it lose by sampling in time?

    python bench/wave_gradient.py [--batches 1 8 32] [--repeats 5] [--scale quick]

Times the forward solve of a batch of models, its gradient (forward, then adjoint) and its forward-mode derivative, with
the gradient's correlation taken at every time step and as the preset samples it; one thread, processor time, the best
of several rounds in which all take turns. The error is that of the gradient of the misfit of noisy data with respect
to the coefficients, relative to that at every step, the largest over models of three problems; beside it the same with
the residual left as it is. Exit status 1 if, at the preset's own number of samples, the sampled gradient costs more
than 3.0 forward solves, or if its error is above 1e-4.
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
from _report import environment, table  # noqa: E402
from tqdm import tqdm  # noqa: E402

from lib.jacobian import jvp, vjp  # noqa: E402
from lib.problem import waveform_problem  # noqa: E402
from lib.scale import scale  # noqa: E402
from lib.seismic import AcousticForward, VelocityForward  # noqa: E402

COST, ERROR = 3.0, 1e-4
MODELS = 3


def with_interval(problem, interval):
    """The forward map of a problem with its gradient sampled every so many steps."""
    survey = replace(problem.forward.acoustic.acquisition, gradient_interval=interval)
    return VelocityForward(problem.field, AcousticForward(survey))


def gradient(forward, x, d_obs):
    """Gradient of half the squared misfit, [B, d]."""
    data, pullback = vjp(forward, x)
    return pullback(data - d_obs)


def largest_error(found, exact):
    """Largest relative error over models."""
    return float(((found - exact).norm(dim=1) / exact.norm(dim=1)).max())


def errors(preset, interval):
    """Error of the sampled gradient over three problems, as it is and with the residual untouched."""
    limited, plain = [], []
    for seed in range(3):
        problem = waveform_problem(preset, seed=seed)
        x, exact = problem.fresh(MODELS), with_interval(problem, 1)
        sampled, untouched = with_interval(problem, interval), with_interval(problem, interval)
        untouched.acoustic._band.limit = lambda records: records
        full = gradient(exact, x, problem.d_obs)
        limited.append(largest_error(gradient(sampled, x, problem.d_obs), full))
        plain.append(largest_error(gradient(untouched, x, problem.d_obs), full))
    return max(limited), max(plain)


def seconds(calls, repeats, progress):
    """Best processor time of each call, s; they take turns, so that a busy machine is busy for all of them."""
    best = [float("inf")] * len(calls)
    for call in calls:
        call()
    for _ in range(repeats):
        for k, call in enumerate(calls):
            start = time.process_time()
            call()
            best[k] = min(best[k], time.process_time() - start)
        progress.update()
    return best


def costs(problem, batch, interval, repeats, progress):
    """Seconds of a forward solve, of the gradient at every step, of the sampled one, and of forward mode."""
    x, exact, sampled = problem.fresh(batch), with_interval(problem, 1), with_interval(problem, interval)

    def solve():
        with torch.no_grad():
            sampled(x)

    calls = [solve, lambda: gradient(exact, x, problem.d_obs), lambda: gradient(sampled, x, problem.d_obs),
             lambda: jvp(sampled, x, x)]  # fmt: skip
    return seconds(calls, repeats, progress)


def main():
    """Measure, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", default="quick")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(environment())

    preset = scale(options.scale)
    problem, interval = waveform_problem(preset), preset.gradient_interval
    batches = sorted({*options.batches, preset.num_samples})
    rows, ratio = [("models", "forward, ms", "gradient, every step", "gradient, sampled", "forward mode")], {}
    with tqdm(total=len(batches) * options.repeats, desc="rounds", delay=5, ascii=True) as progress:
        for batch in batches:
            forward, *others = costs(problem, batch, interval, options.repeats, progress)
            ratio[batch] = others[1] / forward
            rows.append((str(batch), f"{1e3 * forward:.0f}", *(f"{t / forward:.2f} forward" for t in others)))
    print(table(f"{preset.name} scale, gradient sampled every {interval} steps; one thread, processor time", rows))
    limited, plain = errors(preset, interval)
    print(f"\nerror of the sampled gradient: {limited:.1e} (limit {ERROR:g}); with the residual untouched: {plain:.1e}")
    cost = ratio[preset.num_samples]
    print(f"gradient over forward at {preset.num_samples} models: {cost:.2f} (limit {COST})")
    return int(cost > COST or limited > ERROR)


if __name__ == "__main__":
    sys.exit(main())
