"""The audit of a learned prior: what was trained on, against samples or a denoiser."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from lib import checks
from lib.audit_input import Models, compared_scale, depends_on_company, flat_denoiser, flat_forward, models, spread
from lib.audit_report import AuditReport
from lib.audit_samples import closest_pairs, default_levels, histogram, sampled
from lib.checks import Denoiser, Forward
from lib.copies import Duplicates, Neighbourhood, distinct, touching
from lib.denoising_gap import DenoisingGap, denoising_gap
from lib.likelihood_gap import likelihood_gap
from lib.lookup_change import LookupChange, lookup_change
from lib.verdict import Thresholds, verdict

_GAP_LEVELS = 16
_LOWEST = 0.05  # level of the gap, of the spread


def audit_prior(
    examples: Tensor | np.ndarray,
    *,
    samples: Tensor | np.ndarray | None = None,
    denoiser: Denoiser | None = None,
    held_out: Tensor | np.ndarray | None = None,
    forward: Forward | None = None,
    d_obs: Tensor | np.ndarray | None = None,
    noise_std: float | None = None,
    sigmas: Tensor | None = None,
    num_samples: int = 256,
    batch_size: int = 64,
    thresholds: Thresholds | None = None,
    generator: torch.Generator | None = None,
) -> AuditReport:
    """Compare a learned prior with its training set and say in words whether it is memorized.

    Duplicates in the training set are counted once, and held-out models that are copies of training models are left
    out; both are reported. Copies among the samples are then counted by each rule of
    `lib.diagnostics.memorization_rate`, beside a null: the held-out models, or without them each example against the
    others, which takes the examples for independent draws of the population. Samples should be independent too.

    Args:
        examples: Training set, [N, ...], at least three different models (two with `held_out`), in any unit.
        samples: Samples of the prior, [B, ...]. None: drawn from `denoiser` by `lib.samplers.sample`.
        denoiser: D(x, sigma) = E[x_0 | x_0 + sigma e = x] in the units of the examples: from x [B, ...] and a 0-d
            sigma to [B, ...]. `lib.adapters` makes one from networks of another convention.
        held_out: Models of the same population that were never trained on, [M, ...].
        forward: Batched forward map of models [B, ...]; with `d_obs` and `noise_std`.
        d_obs: Observed data, of the shape of one of the forward map's data.
        noise_std: Standard deviation of the noise in each datum.
        sigmas: Strictly falling noise levels for sampling, in the units of the examples, [K]; their ends bound the
            levels of the gap. None: from .02 to at least 10 times the spread of the examples.
        num_samples: Samples drawn from a denoiser.
        batch_size: Models in one call of `denoiser` or `forward`.
        thresholds: What the verdict follows from; None: the defaults.
        generator: Source of all random numbers, on the device of the examples.

    Raises:
        TypeError, ValueError: Bad arguments; the message names the argument, the rule and the value.
    """
    thresholds = Thresholds() if thresholds is None else thresholds
    if not isinstance(thresholds, Thresholds):
        raise TypeError(f"thresholds must be a lib.verdict.Thresholds, got {type(thresholds).__name__}")
    if samples is None and denoiser is None:
        raise ValueError("samples or denoiser must be given: there is nothing to audit")
    if len({value is None for value in (forward, d_obs, noise_std)}) > 1:
        raise ValueError("forward, d_obs and noise_std must be given together")
    batch_size, num_samples = checks.count("batch_size", batch_size), checks.count("num_samples", num_samples)
    given = models("examples", examples)
    generator = checks.random_source(generator, given.values.device)
    numbers, duplicates = distinct(given.values, thresholds.near_duplicate, generator=generator)
    unique = _enough(given, numbers, 3 if held_out is None else 2)
    notes, doubts = _of_duplicates(duplicates), []
    fresh, leaked = None, 0
    if held_out is not None:
        fresh, leaked = _not_leaked(models("held_out", held_out, given).values, unique, duplicates.distance, notes)
    scale, flat = spread(unique), None
    levels = None if sigmas is None else checks.noise_levels(sigmas).to(unique)
    if denoiser is not None:
        flat = flat_denoiser(denoiser, given, batch_size=batch_size)
        levels = default_levels(unique, scale, flat) if levels is None else levels
        if depends_on_company(flat, unique[:4], scale / 2):
            notes.append("denoiser gives a model alone another result than in a batch: is the network in eval mode?")
    if samples is not None:
        drawn = models("samples", samples, given).values
    else:
        drawn = sampled(flat, levels, num_samples, unique.mean(0), scale, generator)
    origin = "samples" if samples is not None else "samples drawn from the denoiser"
    doubts += filter(None, [compared_scale(origin, drawn, unique)])
    in_held_out = 0 if fresh is None else int(touching(drawn, fresh, duplicates.distance).sum())
    if in_held_out:
        doubts.append(
            f"{in_held_out} of {len(drawn)} samples are copies of held-out models: these were trained on, or the "
            f"samples are not the prior's"
        )
    around = Neighbourhood.measured(drawn, unique, fresh, generator=generator)
    copied = int((around.samples[:, 0] <= duplicates.distance).sum())
    if copied:  # few as they may be: no fresh model is left that would be one
        doubts.append(f"{copied} of {len(drawn)} samples are copies of training models, equal or as near as duplicates")
    num_held_out = 0 if fresh is None else len(fresh)
    notes += doubts + _few(len(unique), len(drawn), num_held_out, thresholds.fewest)

    rates = around.rates(thresholds.confidence, generator=generator)
    gap = None if flat is None else _gap(flat, unique, fresh, levels, scale, generator)
    lookup = None if forward is None else _lookup(given, unique, numbers, forward, d_obs, noise_std, batch_size)
    outcome, reasons = verdict(rates, gap, num_held_out, tuple(doubts), thresholds)
    edges, shares = histogram(*around.ratios("d1/d2"))
    return AuditReport(
        verdict=outcome,
        reasons=reasons,
        warnings=tuple(notes),
        thresholds=thresholds,
        shape=given.shape,
        num_examples=len(given.values),
        num_samples=len(drawn),
        num_held_out=num_held_out,
        spread=scale,
        samples_from="denoiser" if samples is None else "given",
        null="leave-one-out" if fresh is None else "held-out models",
        rates=rates,
        exact_copies=copied,
        leaked=leaked,
        samples_in_held_out=in_held_out,
        neighbours=around.samples.shape[1],
        ratio_edges=edges,
        ratio_samples=shares[0],
        ratio_null=shares[1],
        distances=(float(around.samples[:, 0].median()), float(around.null[:, 0].median())),
        pairs=closest_pairs(around, drawn, unique, numbers, given.shape),
        duplicates=duplicates,
        gap=gap,
        likelihood=None if fresh is None else likelihood_gap(drawn, unique, fresh, scale),
        lookup=lookup,
    )


def _enough(given: Models, numbers: Tensor, least: int) -> Tensor:
    if len(numbers) < least:
        raise ValueError(
            f"examples must hold at least {least} different models{' without held_out' if least == 3 else ''}, got "
            f"{len(numbers)} among {len(given.values)}"
        )
    return given.values if len(numbers) == len(given.values) else given.values[numbers]


def _of_duplicates(found: Duplicates) -> list[str]:
    if not found.exact + found.near:
        return []
    return [f"examples hold {found.exact} exact and {found.near} near duplicates; each model was counted once"]


def _not_leaked(held_out: Tensor, examples: Tensor, limit: float, notes: list[str]) -> tuple[Tensor, int]:
    """Held-out models that are no copies of examples, and how many are; adds to the notes."""
    notes += filter(None, [compared_scale("held_out", held_out, examples)])
    copies = touching(held_out, examples, limit)
    leaked = int(copies.sum())
    if leaked == len(held_out):
        raise ValueError(f"held_out must hold models that were not trained on, but all {leaked} are among the examples")
    if leaked:
        notes.append(f"held_out overlaps the examples: {leaked} of {len(held_out)} models are copies and were left out")
    return (held_out[~copies] if leaked else held_out), leaked


def _few(examples: int, samples: int, held_out: int, fewest: int) -> list[str]:
    sizes = {"examples": examples, "samples": samples, "held-out models": held_out}
    found = [f"{size} {name} are few (below {fewest})" for name, size in sizes.items() if 0 < size < fewest]
    if not held_out:
        found.append("no held_out: each example against the others is the null, as if they were independent draws")
    return found


def _gap(
    denoise: Denoiser, examples: Tensor, fresh: Tensor | None, levels: Tensor, scale: float, generator: object
) -> DenoisingGap:
    low, high = max(_LOWEST * scale, float(levels[-1])), float(levels[0])
    ends = torch.tensor([low, high], dtype=torch.float64).log10()
    grid = torch.logspace(*ends.tolist(), _GAP_LEVELS, dtype=torch.float64).clamp(low, high)
    return denoising_gap(denoise, examples, fresh, grid.to(examples), generator=generator)


def _lookup(
    given: Models,
    examples: Tensor,
    numbers: Tensor,
    forward: Forward,
    d_obs: object,
    noise_std: float,
    batch_size: int,
) -> LookupChange:
    data = torch.as_tensor(d_obs) if isinstance(d_obs, np.ndarray) else d_obs
    data = checks.tensor("d_obs", data, shape=(None,) * getattr(data, "ndim", 1)).detach().flatten().to(examples)
    found = lookup_change(examples, flat_forward(forward, given), data, noise_std, batch_size=batch_size)
    return dataclasses.replace(found, top=int(numbers[found.top]))
