"""What an audit is given: arrays of any shape turned into tensors [N, d], with one clear message for what is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib import checks
from lib.checks import Denoiser, Forward

_OTHER_UNITS = 50.0  # no sampler is off by that factor: m/s and km/s are, or standardized and physical models
_OTHER_SCALE = 2.0


@dataclass(frozen=True)
class Models:
    """A set of models, flattened.

    Attributes:
        values: [N, d], finite.
        shape: Shape of one model.
    """

    values: Tensor
    shape: tuple[int, ...]

    def unflat(self, x: Tensor) -> Tensor:
        """States [B, d] in the shape of the models, [B, ...]."""
        return x.reshape(len(x), *self.shape)


def models(name: str, value: object, like: Models | None = None) -> Models:
    """Return tensors or arrays [N, ...] of real numbers as `Models`; of the shape, dtype and device of `like`.

    Raises:
        TypeError: Neither a tensor nor an array, or not of real numbers.
        ValueError: Empty, a single number for each model, NaN or infinity, or models of another shape than `like`.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiu":
            raise TypeError(f"{name} must hold real numbers, got an array of {value.dtype}")
        if np.ma.is_masked(value):
            raise ValueError(f"{name} must have no masked entries, got {np.ma.count_masked(value)} of {value.size}")
        narrow = value.dtype.kind != "f" or value.dtype.itemsize < 4
        dtype = np.float32 if narrow else {4: np.float32}.get(value.dtype.itemsize, np.float64)
        with np.errstate(over="ignore"):
            value = np.ascontiguousarray(value, dtype=dtype)
        value = torch.from_numpy(value if value.flags.writeable else value.copy())
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor or a numpy.ndarray [N, ...], got {type(value).__name__}")
    if value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} must hold real numbers, got a tensor of {value.dtype}")
    value = value.detach()
    if value.dtype not in (torch.float32, torch.float64):
        value = value.float()
    if value.ndim < 2 or value.numel() == 0:
        raise ValueError(f"{name} must have shape [N, ...] with at least one model, got {list(value.shape)}")
    shape = tuple(value.shape[1:])
    if like is not None and shape != like.shape:
        raise ValueError(f"{name} must hold models of shape {list(like.shape)} like the examples, got {list(shape)}")
    if like is not None:
        value = value.to(like.values)
    checks.finite(name, value)
    return Models(value.reshape(len(value), -1), shape)


def spread(values: Tensor) -> float:
    """Root mean square of models [N, d] about their mean model: the scale of everything in an audit."""
    centre, total = values.mean(0), 0.0
    for block in values.split(max(1, 2**22 // values.shape[1])):
        total += float((block - centre).double().square().sum())
    return math.sqrt(total / values.numel())


def compared_scale(name: str, found: Tensor, examples: Tensor) -> str | None:
    """A warning if models [B, d] have another mean or spread than the examples; ValueError if their units differ.

    Units are taken to differ where root mean squares about zero are a factor of 50 apart: then no distance between
    the two sets means anything.
    """
    size, wanted = (float(torch.linalg.vector_norm(v).double()) / v.numel() ** 0.5 for v in (found, examples))
    if not wanted / _OTHER_UNITS <= size <= wanted * _OTHER_UNITS:
        raise ValueError(
            f"{name} must be in the units of the examples: their root mean square is {size:.4g}, that of the examples "
            f"{wanted:.4g} (km/s and m/s? standardized models?)"
        )
    if len(found) < 2:
        return None
    width, wanted = spread(found), spread(examples)
    shift = float((found.mean(0) - examples.mean(0)).double().square().mean().sqrt())
    if shift > wanted or not wanted / _OTHER_SCALE <= width <= wanted * _OTHER_SCALE:
        return (
            f"{name} are on another scale than the examples: their spread is {width:.4g}, that of the examples "
            f"{wanted:.4g}; the means are {shift:.4g} apart"
        )
    return None


def flat_denoiser(denoiser: Denoiser, examples: Models, *, batch_size: int) -> Denoiser:
    """The reader's denoiser on states [B, d], called with the models' own shape, a 0-d sigma and at most a batch.

    A network with weights gets their dtype and device.
    """
    checks.function("denoiser", denoiser, "x [B, ...] and a level to [B, ...]")
    if isinstance(denoiser, type):
        raise TypeError(f"denoiser must be a network, not its class, got {denoiser.__name__}")
    weights = getattr(denoiser, "parameters", None)
    like = next((w for w in weights() if w.is_floating_point()), examples.values) if callable(weights) else None

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        found = []
        for part in examples.unflat(x).split(batch_size):
            inside = part if like is None else part.to(like)
            with torch.no_grad():
                try:
                    value = denoiser(inside.clone(), sigma.to(inside))
                except MemoryError:
                    raise
                except Exception as error:  # the reader's own code may raise anything
                    raise ValueError(
                        f"denoiser must map a batch x [B, ...] and a 0-d level to [B, ...]; it failed on shape "
                        f"{list(inside.shape)}, {inside.dtype}, sigma {float(sigma):.4g}: {error!r}"
                    ) from error
            if not isinstance(value, Tensor):
                raise TypeError(f"denoiser must return a torch.Tensor, got {type(value).__name__}")
            if value.shape != part.shape:
                raise ValueError(
                    f"denoiser must return the shape it was given (is it written for a single model?); it mapped "
                    f"{list(part.shape)} to {list(value.shape)}"
                )
            value = value.to(part)
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"denoiser must return finite values, got NaN or infinity at sigma {float(sigma):.4g}")
            found.append(value.flatten(1))
        return torch.cat(found)

    if hasattr(denoiser, "sigma_range"):
        denoise.sigma_range = denoiser.sigma_range
    return denoise


def depends_on_company(denoise: Denoiser, x: Tensor, sigma: float) -> bool:
    """Whether a model x [B, d] is denoised differently alone and in a batch: dropout, or batch statistics."""
    level = x.new_tensor(sigma)
    together, alone = denoise(x, level)[:1], denoise(x[:1], level)
    return float((together - alone).norm()) > 1e-2 * float((x[:1] - alone).norm() + together.std())


def flat_forward(forward: Forward, examples: Models) -> Forward:
    """The reader's forward map on states [B, d], called with the models' own shape; its data flattened to [B, m]."""
    checks.function("forward", forward, "[B, ...] to [B, ...]")

    def flat(x: Tensor) -> Tensor:
        data = forward(examples.unflat(x))
        if isinstance(data, Tensor) and data.ndim > 2 and len(data) == len(x):
            return data.flatten(1)
        return data

    return flat
