"""A mixture posterior put together example by example, with a progress bar and a file to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from lib import checkpoints, checks
from lib.gaussian import GaussianMixture
from lib.linearization import Problem, by_axes

_SAVE_EVERY = 20.0  # s from one write of the file to the next
_SAME = 1e-3  # relative difference of a misfit that another device or precision may make


def assemble(
    problem: Problem,
    compute: Callable[[Problem, list[int]], dict[str, Tensor]],
    *,
    kind: str,
    settings: dict,
    checkpoint: str | Path | None,
) -> tuple[GaussianMixture, dict[str, Tensor]]:
    """Compute the components of all examples in batches, and make the mixture.

    Args:
        problem: The problem.
        compute: Gives a batch of example numbers its tensors, each with a row an example: those of
            `linearization.components`, `misfits` |d_obs - F(x_n)|^2 / noise_std^2 and perhaps more.
        kind: Name of the computation, in the file and on the progress bar.
        settings: Further choices that the result depends on, fit for JSON.
        checkpoint: File to go on from and to write every few seconds and at the end; None for none.

    Returns:
        The mixture, and all tensors that `compute` gave, with a row an example.

    Raises:
        FileNotFoundError, ValueError: The checkpoint's folder does not exist; its file is corrupt, incomplete, or of
            another problem. It is left as it is.
    """
    facts = {
        "kind": kind,
        "data": checkpoints.fingerprint(problem.examples, problem.d_obs),
        "noise_std": problem.noise_std,
        "bandwidth": problem.bandwidth,
        "rank": problem.rank,
        **settings,
    }
    blocks, done, total = [], 0, len(problem.examples)
    if checkpoint is not None:
        checkpoint = checkpoints.target("checkpoint", checkpoint)
        problem, blocks = _resume(problem, facts, checkpoint)
        done = sum(len(block["means"]) for block in blocks)
    written, saved_at = done, time.monotonic()

    def save() -> None:
        nonlocal written, saved_at
        if checkpoint is not None and done > written:
            checkpoints.write(checkpoint, _joined(blocks), {**facts, "seed": problem.seed})
            written, saved_at = done, time.monotonic()

    with tqdm(total=total, initial=done, desc=kind, unit="example", delay=5, leave=False) as bar:
        try:
            while done < total:
                numbers = list(range(done, min(total, done + problem.per_call)))
                blocks.append(compute(problem, numbers))
                done += len(numbers)
                bar.update(len(numbers))
                if time.monotonic() - saved_at > _SAVE_EVERY:
                    save()
        finally:  # also of what an error or an impatient reader stops
            save()
    held = _joined(blocks)
    means, log_weights = held["means"], torch.log_softmax(held["log_weights"], 0).to(held["means"].dtype)
    if "precisions" in held:
        return GaussianMixture.from_precisions(means, held["precisions"], log_weights), held
    return GaussianMixture.from_axes(means, held["axes"], held["variances"], log_weights, rest=held["rest"]), held


def _joined(blocks: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """All examples in one block, in the form of the tangents by singular values if any of them has it."""
    if any("axes" in block for block in blocks):
        blocks = [by_axes(block) for block in blocks]
    return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}


def _resume(problem: Problem, facts: dict, path: Path) -> tuple[Problem, list[dict[str, Tensor]]]:
    """The problem with the file's seed and what the file holds, in one block; nothing where there is no file."""
    if not path.exists():
        return problem, []
    held, found = checkpoints.read(path, kind=facts["kind"], name="checkpoint")
    checkpoints.same_run(path, found, facts)
    n, d = problem.examples.shape
    done, k = len(held.get("means", ())), held["axes"].shape[-1] if "axes" in held else 0
    form = {"axes": (d, k), "variances": (k,), "rest": ()} if k else {"precisions": (d, d)}
    shapes = {"means": (d,), "log_weights": (), "misfits": (), "decrements": ()} | form
    wrong = [name for name, shape in shapes.items() if name not in held or held[name].shape != (done, *shape)]
    wrong += [] if isinstance(found.get("seed"), int) else ["seed"]
    if wrong or not 0 < done <= n or not all(bool(torch.isfinite(value).all()) for value in held.values()):
        raise ValueError(f"checkpoint must be complete, but {path} is not: {wrong or 'its numbers are no result'}")
    held = {name: value.to(problem.examples.device) for name, value in held.items()}
    values = checks.apply_forward(problem.forward, problem.examples[:1], num_data=len(problem.d_obs))
    there, here = float(held["misfits"][0]), float(problem.residual(values).square().sum())
    if abs(there - here) > _SAME * max(there, here):
        raise ValueError(
            f"checkpoint must belong to this forward map, but {path} was written with another: the first example's "
            f"squared misfit was {there:.6g} there and is {here:.6g} here"
        )
    return replace(problem, seed=found["seed"]), [held]
