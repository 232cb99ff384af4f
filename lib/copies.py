"""Copies among models: duplicates in a training set, leaks into held-out models, rates of copies with their null."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.diagnostics import (
    RULES,
    MemorizationRate,
    nearest_distances,
    rate_of_ratios,
    ratio_of_distances,
)

_MOST_NEIGHBOURS = 50
_MOST_CHECKED = 10_000  # examples that are compared with all others; exact duplicates are found among all


@dataclass(frozen=True)
class Duplicates:
    """Models of the training set that repeat others.

    Attributes:
        exact: Examples that equal an earlier one.
        near: Further examples nearer than `distance` to another one.
        distance: A share (`Thresholds.near_duplicate`) of the median distance from an example to its nearest.
        checked: Examples that were compared with all others for `near`.
        pairs: Up to ten pairs (example, example, distance).
    """

    exact: int
    near: int
    distance: float
    checked: int
    pairs: tuple[tuple[int, int, float], ...]


def distinct(examples: Tensor, share: float, *, generator: torch.Generator | None = None) -> tuple[Tensor, Duplicates]:
    """Numbers of the examples [N, d] that stay when each group of duplicates is counted once, and the duplicates.

    Args:
        examples: Training set, [N, d].
        share: Near duplicates are closer than this share of the median distance to the nearest example.
    """
    first, pairs, keep = {}, [], []
    for start in range(0, len(examples), 1024):
        block = (examples[start : start + 1024] + 0.0).cpu().numpy()  # -0 and 0 are the same model
        for number, row in enumerate(block, start):
            other = first.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), number)
            if other == number:
                keep.append(number)
            else:
                pairs.append((other, number, 0.0))
    exact = len(pairs)
    numbers = torch.tensor(keep, device=examples.device)
    if len(keep) < 3:
        return numbers, Duplicates(exact, 0, 0.0, len(keep), tuple(pairs[:10]))
    unique = examples if not exact else examples[numbers]
    distances, neighbours, own = leave_one_out(unique, 1, generator=generator)
    limit = share * float(distances.median())
    dropped = set()
    for k in torch.nonzero(distances[:, 0] < limit)[:, 0].tolist():
        i, j = sorted((int(numbers[own[k]]), int(numbers[neighbours[k, 0]])))
        if j not in dropped:
            pairs.append((i, j, float(distances[k, 0])))
            dropped.add(j)
    if dropped:
        numbers = torch.tensor([n for n in keep if n not in dropped], device=examples.device)
    return numbers, Duplicates(exact, len(dropped), limit, len(own), tuple(pairs[:10]))


def leave_one_out(
    examples: Tensor, k: int, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances and numbers of the k nearest *other* examples, [M, k], and whose they are, [M].

    Of more than 10,000 examples a random 10,000 are looked at.
    """
    own = torch.arange(len(examples), device=examples.device)
    if len(own) > _MOST_CHECKED:
        pick = torch.randperm(len(own), generator=generator, device=examples.device)[:_MOST_CHECKED]
        own = pick.sort().values
    chosen = examples if len(own) == len(examples) else examples[own]
    distances, numbers = nearest_distances(chosen, examples, k + 1)
    distances = torch.where(numbers == own[:, None], torch.inf, distances)
    distances, order = distances.sort(dim=1)
    return distances[:, :k], numbers.gather(1, order)[:, :k], own


def touching(points: Tensor, examples: Tensor, limit: float) -> Tensor:
    """Which points [B, d] are equal to an example or nearer to one than `limit`, [B] of bools."""
    distances = nearest_distances(points, examples, 1)[0][:, 0]
    return (distances == 0) | (distances < limit)


@dataclass(frozen=True)
class Neighbourhood:
    """Distances of samples and of the null to their k nearest examples.

    Attributes:
        samples: [B, k].
        numbers: Of the nearest example of each sample, [B].
        null: The same distances for fresh models, [M, k].
        independent: Independent models among the M.
    """

    samples: Tensor
    numbers: Tensor
    null: Tensor
    independent: int

    @classmethod
    def measured(
        cls, samples: Tensor, examples: Tensor, held_out: Tensor | None, *, generator: torch.Generator | None
    ) -> Neighbourhood:
        """Against held-out models; without them each example against the others plays the fresh model.

        An example and its nearest are often each other's, so that N such outcomes count as N / 2.
        """
        k = min(_MOST_NEIGHBOURS, len(examples) - (held_out is None))
        if held_out is None:
            null, _, own = leave_one_out(examples, k, generator=generator)
            independent = max(1, len(own) // 2)
        else:
            null, independent = nearest_distances(held_out, examples, k)[0], len(held_out)
        distances, numbers = nearest_distances(samples, examples, k)
        return cls(distances, numbers[:, 0], null, independent)

    def ratios(self, rule: str) -> tuple[Tensor, Tensor]:
        """The ratios that a rule compares with its threshold: of samples [B] and null [M]."""
        k = 2 if rule == "d1/d2" else self.samples.shape[1]
        return ratio_of_distances(self.samples[:, :k]), ratio_of_distances(self.null[:, :k])

    def rates(self, confidence: float, *, generator: torch.Generator | None) -> tuple[MemorizationRate, ...]:
        """Each rule's rate; the intervals hold jointly with probability `confidence` (Bonferroni)."""
        each = 1 - (1 - confidence) / len(RULES)
        return tuple(
            rate_of_ratios(
                *self.ratios(rule), rule, threshold,
                confidence=each, independent=self.independent, generator=generator,
            )
            for rule, threshold in RULES.items()
        )  # fmt: skip
