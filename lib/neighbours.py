"""Nearest neighbours among examples, exact also for copies, streamed so that memory stays small whatever N."""

from __future__ import annotations

import torch
from torch import Tensor

from lib import checks

_TABLE = 2**23  # entries of one block of the distance table
_BLOCK = 2**22  # numbers in a block of examples, which is centred in a copy of its own ...
_LONG = 2**24  # ... and in one of long examples: each block is another round through all samples
_FOLD = 16  # entries of the table that are compared before the smallest are sorted out
_CACHED = 2**20  # numbers of a block that stays in the processor's cache
_AMID = 1000  # examples whose mean is a point amid them all
_ROUNDING = 16  # a squared distance by the product is off by less than so many units in the last place of |x|^2


@torch.no_grad()
def nearest_distances(samples: Tensor, examples: Tensor, k: int, *, block: int = 2048) -> tuple[Tensor, Tensor]:
    """Distances to the k nearest examples, [B, k], ascending, and their indices, [B, k].

    Blocks of samples meet blocks of examples. A matrix product picks k + 4 candidates; once more in double precision
    where more than these are as near as it can tell. Where their distance is a small difference of large numbers it is
    formed once more, from x - x_n itself: an exact copy is at distance 0. No gradient is kept.

    Args:
        samples: Points, [B, d].
        examples: Points among which neighbours are looked for, [N, d]; never copied as a whole.
        k: Neighbours, 1 to N.
        block: Samples compared at a time; bounds the memory.

    Raises:
        TypeError, ValueError: Bad tensors, k outside 1..N, or distances that overflow the dtype.
    """
    examples = checks.tensor("examples", examples, shape=(None, None))
    samples = checks.tensor("samples", samples, shape=(None, examples.shape[1]), like=examples)
    k, block = checks.count("k", k), checks.count("block", block)
    if k > len(examples):
        raise ValueError(f"k must be at most the number of examples ({len(examples)}), got {k}")
    number = min(k + 4, len(examples))
    squares, near, own = _candidates(samples, examples, number, block, samples.dtype)
    if samples.dtype != torch.float64 and number < len(examples):
        kth = squares.kthvalue(k, 1).values
        blurred = squares.amax(1) - kth < _ROUNDING * torch.finfo(samples.dtype).eps * own
        again = (blurred & (kth < own / 4)).nonzero()[:, 0]
        if len(again):
            found = _candidates(samples[again], examples, number, block, torch.float64)
            squares[again], near[again] = found[0].to(samples.dtype), found[1]
    # Elsewhere |x| is at most 2 and |x_n| at most 3 distances long: no term of the sum |x|^2 + |x_n|^2 - 2 x.x_n is
    # more than 12 times the square, and its rounding stays small.
    close = squares < own[:, None] / 4
    distances = squares.clamp_min(0).sqrt()
    rows = max(1, _CACHED // (near.shape[1] * examples.shape[1]))
    for start in range(0, len(samples), rows):
        here, which = slice(start, start + rows), close[start : start + rows]
        pairs = samples[here].repeat_interleave(which.sum(1), 0) - examples[near[here][which]]
        distances[here][which] = torch.linalg.vector_norm(pairs, dim=-1)
    distances, order = distances.sort(dim=1)
    distances, indices = distances[:, :k].contiguous(), near.gather(1, order[:, :k])
    checks.finite("distance from samples to examples", distances)
    return distances, indices


def _candidates(
    samples: Tensor, examples: Tensor, k: int, block: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Squared distances |x|^2 + |x_n|^2 - 2 x.x_n and indices of the k nearest examples, in no order, and |x|^2, [B].

    Everything is measured from a point amid the examples, or the differences would drown in the rounding of the
    product. The large blocks are written into the same room again and again: fresh memory costs as much as the work.
    """
    centre = examples[:: max(1, len(examples) // _AMID)].mean(0).to(dtype)
    parts = samples.split(block)
    width = max(k, _TABLE // block)
    step = max(k, _BLOCK // examples.shape[1], min(width, _LONG // examples.shape[1]))
    best = [(centre.new_empty(len(part), 0), centre.new_empty(len(part), 0).long()) for part in parts]
    shifted, centred = centre.new_empty(min(step, len(examples)), len(centre)), centre.new_empty(parts[0].shape)
    table = centre.new_empty(len(parts[0]) * min(width, len(shifted)))
    for start in range(0, len(examples), step):
        rows = torch.sub(examples[start : start + step], centre, out=shifted[: len(examples) - start])
        squares = torch.linalg.vector_norm(rows, dim=1).square()
        for number, part in enumerate(parts):
            here = centred[: len(part)]
            if start == 0 or len(parts) > 1:
                torch.sub(part, centre, out=here)
            for first in range(0, len(rows), width):
                piece = rows[first : first + width]
                values = table[: len(here) * len(piece)].view(len(here), len(piece))
                torch.addmm(squares[first : first + width], here, piece.T, alpha=-2.0, out=values)
                best[number] = _merged(best[number], values, start + first, k)
    values, places = (torch.cat(parts) for parts in zip(*best, strict=True))
    own = torch.cat([torch.linalg.vector_norm(part - centre, dim=1).square() for part in parts])
    return values + own[:, None], places, own


def _merged(best: tuple[Tensor, Tensor], values: Tensor, first: int, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest values of the rows so far and their places, [B, k], with those of a block [B, n] taken in.

    A block is folded: column j of [fold, width] holds every width-th value from j on. The k smallest values stand in
    the k columns of smallest minima, and minima are found sooner than values are sorted.
    """
    # A later block seldom holds many of the k smallest, and fewer are sooner found: a guess, and whether it was enough.
    length = values.shape[1]
    guess = min(k, length, 8 + 2 * k * length // (first + 1)) if first else min(k, length)
    fold = _FOLD if length >= 2 * _FOLD * guess else 1
    width = length // fold
    folded = values[:, : fold * width].unflatten(1, (fold, width))
    minima = folded.amin(1) if fold > 1 else values
    found = minima.topk(guess, largest=False, sorted=False)
    if guess < min(k, width) and bool((found.values.amax(1) < best[0].amax(1)).any()):
        found = minima.topk(min(k, width), largest=False, sorted=False)
    columns = found.indices[:, None].expand(-1, fold, -1)
    numbers = torch.arange(length, device=values.device)
    places = (columns + numbers[::width][:fold, None]).flatten(1)
    rest = slice(fold * width, None)  # fewer than `fold` values that no column holds
    values = torch.cat([best[0], folded.gather(2, columns).flatten(1), values[:, rest]], 1)
    places = torch.cat([best[1], places + first, (numbers[rest] + first).expand(len(values), -1)], 1)
    kept = values.topk(min(k, values.shape[1]), largest=False, sorted=False)
    return kept.values, places.gather(1, kept.indices)


def nearest_ratio(samples: Tensor, examples: Tensor, k: int) -> Tensor:
    """Distance to the nearest example over the mean distance to the next ones, d1 / mean(d2..dk), [B].

    Small for a copy, near 1 for a point no closer to one example than to others. An exact copy scores 0. The value
    of a *fresh* draw depends on N, k and the dimension: never read it without a null (`memorization_rate`).

    Args:
        samples: Samples, [B, d].
        examples: Training set, [N, d], N >= 2.
        k: Neighbours used, 2 to N; 2 gives d1 / d2.

    Raises:
        TypeError, ValueError: Bad tensors, a single example, or k outside 2..N.
    """
    k = checks.count("k", k, minimum=2)
    return ratio_of_distances(nearest_distances(samples, examples, k)[0])


def ratio_of_distances(distances: Tensor) -> Tensor:
    """d1 / mean(d2..dk) of ascending distances [B, k], [B]; 0 where d1 is."""
    nearest, others = distances[:, 0], distances[:, 1:].mean(1)
    return torch.where(nearest == 0, torch.zeros_like(nearest), nearest / others)
