"""Samples in an audit: drawn from a denoiser in any unit, and what is shown of those given."""

from __future__ import annotations

import torch
from torch import Tensor

from lib.audit_report import Pair
from lib.checks import Denoiser
from lib.copies import Neighbourhood
from lib.samplers import sample
from lib.schedule import karras_sigmas

_NUM_LEVELS = 40
_LOWEST = 0.02  # of the spread
_MOST_FOR_AXIS = 500  # examples from which the longest principal axis is found
_SIDE = 96  # cells a side of a model that is shown
_BINS = 20


def default_levels(examples: Tensor, scale: float, denoise: Denoiser | None) -> Tensor:
    """Falling levels for sampling, [40], in units of the examples [N, d], inside the denoiser's `sigma_range` if any.

    They start at 10 times the spread, or 5 times the standard deviation along the longest principal axis if that is
    more: the start N(0, sigma^2 I) must drown the data in every direction.
    """
    some = examples[:_MOST_FOR_AXIS]
    axis = float(torch.linalg.matrix_norm(some - some.mean(0), 2)) / len(some) ** 0.5
    wanted = low, high = _LOWEST * scale, max(10 * scale, 5 * axis)
    bounds = getattr(denoise, "sigma_range", None)
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
        if low >= high:
            raise ValueError(
                f"denoiser must know levels between {wanted[0]:.3g} and {wanted[1]:.3g}, in units of the examples, got "
                f"the range {bounds[0]:.3g} to {bounds[1]:.3g} (is it in other units?)"
            )
    return karras_sigmas(_NUM_LEVELS, high, low, dtype=examples.dtype, device=examples.device)


def sampled(
    denoise: Denoiser,
    levels: Tensor,
    number: int,
    centre: Tensor,
    scale: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Samples [number, d] of a denoiser in the units of the examples, by the reverse process in standardized units.

    The process runs on z = (x - centre) / scale, where D_z(z, s) = (D(centre + scale z, scale s) - centre) / scale.
    """

    def standardized(z: Tensor, s: Tensor) -> Tensor:
        return (denoise(centre + scale * z, scale * s) - centre) / scale

    return centre + scale * sample(standardized, levels / scale, (number, len(centre)), generator=generator)


def histogram(*ratios: Tensor) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """Edges [21] and, for each set of ratios in [0, 1], the share in each bin [20]."""
    shares = (torch.histc(r.double().clamp(0, 1), _BINS, 0, 1) / len(r) for r in ratios)
    edges = tuple(k / _BINS for k in range(_BINS + 1))
    return edges, tuple(tuple(share.tolist()) for share in shares)


def closest_pairs(
    around: Neighbourhood, samples: Tensor, examples: Tensor, numbers: Tensor, shape: tuple[int, ...], most: int = 4
) -> tuple[Pair, ...]:
    """The samples of smallest d1/d2, each with another nearest example where there are so many.

    Args:
        around: Of samples among examples.
        samples: [B, d].
        examples: [N, d].
        numbers: Of the examples in the array that the reader gave, [N].
        shape: Of one model.
        most: Pairs.
    """
    ratios = around.ratios("d1/d2")[0]
    order, chosen, seen = ratios.argsort().tolist(), [], set()
    for number in order:
        nearest = int(around.numbers[number])
        if nearest not in seen and len(chosen) < most:
            chosen.append(number)
            seen.add(nearest)
    pairs = []
    for number in chosen:
        nearest = int(around.numbers[number])
        size, sample_values = _thinned(samples[number], shape)
        pairs.append(
            Pair(
                sample=number,
                example=int(numbers[nearest]),
                distance=float(around.samples[number, 0]),
                ratio=float(ratios[number]),
                shape=size,
                sample_values=sample_values,
                example_values=_thinned(examples[nearest], shape)[1],
            )
        )
    return tuple(pairs)


def _thinned(model: Tensor, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """A model as an image of its last two axes (the first of any others) or a line, every n-th cell kept."""
    sides = tuple(side for side in shape if side > 1)
    image = model.reshape(sides or (1,))
    while image.ndim > 2:
        image = image[0]
    for axis, side in enumerate(image.shape):
        most = _SIDE if image.ndim == 2 else 4 * _SIDE
        keep = torch.arange(0, side, -(-side // most), device=model.device)
        image = image.index_select(axis, keep)
    # Six digits: enough for a picture.
    return tuple(image.shape), tuple(float(f"{value:.6g}") for value in image.flatten().tolist())
