"""Train a denoiser network by denoising score matching: running average, early stopping, checkpoints."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lib import checks
from lib.checkpoints import target
from lib.training_input import checked_data, checked_settings, draw, held_out_draws, levels
from lib.training_state import TrainingState, run_facts

_WARM_UP = 100


@dataclass(frozen=True)
class Fit:
    """What `fit` returns.

    Attributes:
        network: The trained denoiser (average weights, frozen), a new object.
        steps: Steps at which the losses were taken, [K].
        loss: Mean training loss since the entry before, [K]; 1 is no better than the prior N(0, sigma_data^2 I).
        held_out_loss: Loss of the average weights on held-out models, [K]; NaN without them.
        best_step: Step of the lowest held-out loss (without held-out models: the last step).
    """

    network: nn.Module
    steps: Tensor
    loss: Tensor
    held_out_loss: Tensor
    best_step: int


@torch.inference_mode(False)  # autograd works inside, whatever the caller switched off
def fit(
    network: nn.Module,
    examples: Tensor,
    *,
    steps: int = 2000,
    batch_size: int = 128,
    learning_rate: float = 4e-3,
    schedule: str = "cosine",
    ema: float = 0.999,
    log_sigma: tuple[float, float] = (-0.6, 1.2),
    held_out: Tensor | None = None,
    patience: int | None = None,
    every: int = 100,
    callback: Callable[[dict], object] | None = None,
    checkpoint: str | Path | None = None,
    precision: str = "float32",
    seed: int = 0,
) -> Fit:
    """Minimize E |D(x_0 + sigma e, sigma) - x_0|^2 / c_out^2 over examples, noise levels and noise, with Adam.

    The minimizer over all functions is the denoiser of `MemorizedPrior(examples)`; how near a network comes to it
    depends on the number of examples, the steps and the width. The network given is left as it is.

    Source: Karras et al. (2022), eq. (8) and table 1; Vincent (2011).

    Args:
        network: A `lib.network.Denoiser`; all its weights train, in its own dtype and on its own device.
        examples: Training set, [N, d], centred, with a root mean square near network.sigma_data.
        steps: Adam steps.
        batch_size: Draws a step, with replacement: it may exceed N.
        learning_rate: Largest step size, reached after a warm-up of 100 steps.
        schedule: "cosine" (falls to 0 at `steps`) or "constant".
        ema: Decay of the running average of the weights (shorter early on), in [0, 1).
        log_sigma: Mean and standard deviation of log(sigma / sigma_data) in training.
        held_out: Models that are not trained on, [M, d], for a loss beside the training loss.
        patience: Stop after so many entries without a lower held-out loss and return the best weights, not the last.
        every: Steps between entries of the history and calls of `callback`.
        callback: Called with a dict of `step`, `loss`, `held_out_loss` and `network`, a copy of the average so far.
            Training ends if it returns True.
        checkpoint: File written at every entry. If it exists, training goes on from it and ends with the same weights
            as if it had never stopped, bit by bit on one CPU; the callback is not called again for what is done.
        precision: "float32" (the network's own dtype) or "bf16" (mixed, on CUDA only).
        seed: Of examples, levels and noise.

    Raises:
        TypeError, ValueError: Bad tensors or numbers, examples that are all equal or far from the network's scale, a
            loss that is no longer finite, a checkpoint that is corrupt or of another run.
    """
    settings = checked_settings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule,
        ema=ema,
        log_sigma=log_sigma,
        patience=patience,
        every=every,
        precision=precision,
        seed=seed,
    )
    examples, held_out = checked_data(network, examples, held_out, settings)
    if callback is not None:
        checks.function("callback", callback, "a dict to True or nothing")
    state, facts = TrainingState.start(network, settings["learning_rate"], settings["seed"]), {}
    if checkpoint is not None:
        checkpoint = target("checkpoint", checkpoint)
        facts = run_facts(network, examples, held_out, settings)
        if checkpoint.exists():
            state.resume(checkpoint, facts)

    log_sigma = levels(network, settings)
    draws = None if held_out is None else held_out_draws(held_out, log_sigma, settings)
    with tqdm(total=settings["steps"], initial=state.step, desc="training", unit="step", delay=5, leave=False) as bar:
        while not state.finished:
            loss = _train(state, examples, log_sigma, settings)
            held_out_loss = math.nan if draws is None else _mean_loss(state.average, draws)
            _refuse_divergence(state, [loss] if draws is None else [loss, held_out_loss], settings)
            _record(state, loss, held_out_loss, settings)
            bar.update(state.step - bar.n)
            bar.set_postfix(loss=f"{loss:.3f}", held_out=f"{held_out_loss:.3f}")
            if callback is not None:
                report = {"step": state.step, "loss": loss, "held_out_loss": held_out_loss}
                enough = callback({**report, "network": copy.deepcopy(state.average)})
                state.finished |= (enough.item() if getattr(enough, "ndim", None) == 0 else enough) is True
            if checkpoint is not None:
                state.save(checkpoint, facts)
    taken, losses, held_out_losses = torch.tensor(state.history, dtype=torch.float64).unbind(1)
    kept = state.average if patience is None else state.best
    return Fit(kept, taken.long(), losses, held_out_losses, state.best_step)


def _train(state: TrainingState, examples: Tensor, log_sigma: tuple[float, float], settings: dict) -> float:
    """Take the steps up to the next entry; return their mean loss."""
    network = state.network
    weights, averages = list(network.parameters()), list(state.average.parameters())
    mixed = settings["precision"] == "bf16"
    count = min(settings["every"], settings["steps"] - state.step)
    total = torch.zeros((), dtype=examples.dtype, device=examples.device)
    for _ in range(count):
        for group in state.optimizer.param_groups:
            group["lr"] = _learning_rate(state.step, settings)
        x0, sigma, noise = draw(examples, settings["batch_size"], log_sigma, state.generator)
        with torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext():
            loss = network.loss(x0, sigma, noise).mean()
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        # A shorter memory early on: an average of 1000 steps would show the first weights for 3000.
        decay = min(settings["ema"], (1 + state.step) / (10 + state.step))
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1 - decay)
        total += loss.detach()
        state.step += 1
    return float(total) / count


def _refuse_divergence(state: TrainingState, losses: list[float], settings: dict) -> None:
    """A loss is that before a step: the weights after the last one may be beyond all numbers already."""
    size = float(torch.stack(torch._foreach_norm(list(state.average.parameters()))).sum())
    if not all(map(math.isfinite, [*losses, size])):
        raise ValueError(
            f"learning_rate must be small enough for a finite loss, got {settings['learning_rate']} and at step "
            f"{state.step} losses of {losses} and weights of norm {size:.3g}; an earlier checkpoint is kept"
        )


def _record(state: TrainingState, loss: float, held_out_loss: float, settings: dict) -> None:
    """Add an entry to the history, keep the best weights, and see whether the run is over."""
    lowest = min((entry[2] for entry in state.history), default=math.inf)
    if math.isnan(held_out_loss) or held_out_loss < lowest:
        state.best_step = state.step
        state.best.load_state_dict(state.average.state_dict())
    state.history.append((state.step, loss, held_out_loss))
    late = sum(step > state.best_step for step, _, _ in state.history)
    out_of_patience = settings["patience"] is not None and late >= settings["patience"]
    state.finished = out_of_patience or state.step >= settings["steps"]


def _learning_rate(step: int, settings: dict) -> float:
    rate = settings["learning_rate"] * min(1.0, (step + 1) / _WARM_UP)
    if settings["schedule"] == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * step / settings["steps"]))
    return rate


@torch.no_grad()
def _mean_loss(network: nn.Module, batches: list[tuple[Tensor, ...]]) -> float:
    return sum(float(network.loss(*batch).mean()) for batch in batches) / len(batches)
