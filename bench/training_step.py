"""What does a step of training cost beyond the matrix products it cannot do without?

    python bench/training_step.py [--width 128] [--depth 2] [--dim 16] [--steps 200] [--repeats 7]

For each batch size, in one run, the time of every part of a step over that of its bare matrix products: each linear
layer forward, the gradient of its weights, and the gradient of its input where weights come before it. Processor time
of one thread, best of the repeats, taken in turn. torch.compile is left out where there is no C++ compiler.

Tried, and what became of it (batch 128, one core of a Xeon with AVX-512, matrix products 0.40 ms):

- Adam: fused (0.13 ms). torch's default on a processor loops over the weights (0.45), foreach takes lists (0.35).
- Running average: torch._foreach_lerp_ (0.03 ms). AveragedModel does the same with bookkeeping of its own (0.13).
- Batches drawn by index (0.03 ms): nothing to gain from a loader with workers.
- torch.compile: not used. Forward and backward take 1.0 instead of 1.3 ms, after some ten seconds of compiling for
  each batch size, and a set-up of the course need not have a compiler.
- What is left are the activations, norms and modulations between the products, and the calls themselves.

Limit: a step of `fit` at batch 256 takes at most 4 times as long as its matrix products; the exit status is 1 beyond.
Measured: 3.2 to 3.3. The rest is for processors with faster products, beside which all else weighs more.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench"))

import torch  # noqa: E402
from _report import environment, table  # noqa: E402
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # noqa: E402

from lib.network import ResidualMLP, fit  # noqa: E402
from lib.training_input import draw  # noqa: E402
from lib.training_state import TrainingState  # noqa: E402

LIMIT = 4.0
BATCHES = (64, 128, 256)
COMPILED = "forward and backward, compiled"


def seconds(function, count):
    """Mean processor seconds of a call, of so many in a row: on one thread they do not count what others run."""
    start = time.process_time()
    for _ in range(count):
        function()
    return (time.process_time() - start) / count


def products(network, batch):
    """A call that does the matrix products of one step and nothing else."""
    terms = []
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Linear):
            x, gradient = torch.randn(batch, layer.in_features), torch.randn(batch, layer.out_features)
            weight = layer.weight.detach()
            terms += [(x, weight.T), (gradient.T, x)]
            if name != "enter" and not name.endswith("modulate"):
                terms.append((gradient, weight))

    def run():
        for left, right in terms:
            torch.mm(left, right)

    return run


def parts(network, examples, batch, steps):
    """Named calls, each with how often it does its part of a step."""
    generator = torch.Generator().manual_seed(0)
    x0, sigma, noise = draw(examples, batch, (-0.6, 1.2), generator)
    weights = list(network.parameters())
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    averages, detached = ([p.detach().clone() for p in weights], [p.detach() for p in weights])

    def forward_backward(loss=network.loss):
        network.zero_grad()
        loss(x0, sigma, noise).mean().backward()

    forward_backward()
    found = {"matrix products (floor)": (products(network, batch), 1), "forward and backward": (forward_backward, 1)}
    for name in ("default", "foreach", "fused"):
        options = {} if name == "default" else {name: True}
        found[f"Adam, {name}"] = (torch.optim.Adam(weights, lr=1e-9, betas=(0.9, 0.99), **options).step, 1)
    found["average, foreach lerp"] = (lambda: torch._foreach_lerp_(averages, detached, 1e-3), 1)
    found["average, AveragedModel"] = (lambda: average.update_parameters(network), 1)
    found["drawing a batch"] = (lambda: draw(examples, batch, (-0.6, 1.2), generator), 1)
    found["a step of fit"] = (lambda: fit(network, examples, steps=steps, every=steps, batch_size=batch), steps)
    if shutil.which("g++") or shutil.which("clang++"):
        torch._dynamo.reset()
        compiled = torch.compile(network.loss, dynamic=False)
        try:
            forward_backward(compiled)
            found[COMPILED] = (lambda: forward_backward(compiled), 1)
        except Exception as error:  # a compiler that does not work is none
            print(f"torch.compile failed: {str(error).splitlines()[0]}")
    return found


def measure(sizes, batch):
    """Best seconds of every part of a step for one batch size."""
    network = ResidualMLP(sizes.dim, width=sizes.width, depth=sizes.depth)
    examples = torch.randn(100, sizes.dim, generator=torch.Generator().manual_seed(0))
    calls, best = parts(network, examples, batch, sizes.steps), {}
    for function, per_call in calls.values():
        seconds(function, max(1, 20 // per_call))
    for _ in range(sizes.repeats):
        for name, (function, per_call) in calls.items():
            spent = seconds(function, max(1, sizes.steps // per_call)) / per_call
            best[name] = min(best.get(name, spent), spent)
    return best


def writing(sizes):
    """Seconds that one checkpoint takes to write, without waiting for the disk."""
    network = ResidualMLP(sizes.dim, width=sizes.width, depth=sizes.depth)
    state = TrainingState.start(network, 1e-3, 0)
    with tempfile.TemporaryDirectory() as folder:
        return min(seconds(lambda: state.save(Path(folder) / "run", {}), 1) for _ in range(sizes.repeats))


def main():
    """Measure, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    sizes = parser.parse_args()
    torch.set_num_threads(1)
    print(environment())

    results = {batch: measure(sizes, batch) for batch in BATCHES}
    floors = {batch: best["matrix products (floor)"] for batch, best in results.items()}
    rows = [("part of a step", *(f"batch {batch}" for batch in BATCHES), *(f"ms at {batch}" for batch in BATCHES))]
    written = writing(sizes)
    for batch in BATCHES:
        results[batch]["writing a checkpoint"] = written
    for name in results[BATCHES[0]]:
        times = [results[batch][name] for batch in BATCHES]
        ratios = [f"{time / floors[batch]:.2f}" for time, batch in zip(times, BATCHES, strict=True)]
        rows.append((name, *ratios, *(f"{1e3 * time:.3f}" for time in times)))
    print(table(f"time over the matrix products, MLP {sizes.width} x {sizes.depth}, d = {sizes.dim}, 1 thread", rows))
    if COMPILED not in results[BATCHES[0]]:
        print("\nno C++ compiler that works here: torch.compile left out")
    ratio = results[256]["a step of fit"] / floors[256]
    print(f"\na step of fit at batch 256 over its matrix products: {ratio:.2f} (limit {LIMIT})")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
