"""Input checks shared by every module: each error names the argument, the rule and the value."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

import torch
from torch import Tensor

Forward = Callable[[Tensor], Tensor]
Denoiser = Callable[[Tensor, Tensor], Tensor]


def tensor(name: str, value: object, *, shape: tuple[int | None, ...], like: Tensor | None = None) -> Tensor:
    """Return `value` if it is a finite, dense float32 or float64 tensor of the given shape.

    Args:
        name: Argument name, used in the message.
        value: What the caller passed.
        shape: Required sizes; None leaves an axis free (but never empty).
        like: Tensor whose dtype and device `value` must share.

    Raises:
        TypeError: Not a dense tensor of float32 or float64, or its dtype differs from `like`.
        ValueError: Wrong shape, an empty axis, another device or none, or NaN or infinite entries.
    """
    if not isinstance(value, Tensor):
        hint = "; torch.as_tensor converts arrays" if hasattr(value, "__array__") else ""
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}{hint}")
    if value.dtype not in (torch.float32, torch.float64):
        wanted = "dtype torch.float32 or torch.float64" if value.is_floating_point() else "a floating dtype"
        raise TypeError(f"{name} must have {wanted}, got {value.dtype}")
    if value.is_nested or value.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got {'nested' if value.is_nested else value.layout}")
    wanted = "[" + ", ".join("*" if s is None else str(s) for s in shape) + "]"
    if value.ndim != len(shape) or any(s is not None and s != v for s, v in zip(shape, value.shape, strict=True)):
        raise ValueError(f"{name} must have shape {wanted}, got {list(value.shape)}")
    if value.numel() == 0:
        raise ValueError(f"{name} must not be empty, got shape {list(value.shape)}")
    if like is not None:
        same_kind(name, value, like)
    finite(name, value)
    return value


def same_kind(name: str, value: Tensor, like: Tensor) -> None:
    """Refuse a tensor whose dtype (TypeError) or device (ValueError) differs from that of `like`."""
    if value.dtype != like.dtype:
        raise TypeError(f"{name} must have dtype {like.dtype} like the other tensors, got {value.dtype}")
    if value.device != like.device:
        raise ValueError(f"{name} must be on device {like.device} like the other tensors, got {value.device}")


def finite(name: str, value: Tensor) -> None:
    """Refuse NaN and infinite entries, and a tensor without entries on the meta device (ValueError)."""
    _not_meta(name, value)
    value = value.detach()
    # The extremes are NaN or infinite if any entry is, and cost no table as large as `value`.
    if all(map(math.isfinite, torch.stack(torch.aminmax(value)).tolist())):
        return
    bad = int((~torch.isfinite(value)).sum())
    raise ValueError(f"{name} must be finite, got {bad} NaN or infinite of {value.numel()} entries")


def _not_meta(name: str, value: Tensor) -> None:
    if value.is_meta:
        raise ValueError(f"{name} must hold values, got a tensor on device meta")


def _scalar(name: str, value: object) -> object:
    """The Python number in a 0-d tensor or array, anything else as it is."""
    if isinstance(value, Tensor):
        _not_meta(name, value)
    return value.item() if getattr(value, "ndim", None) == 0 else value


def positive(name: str, value: object, *, dtype: torch.dtype | None = None) -> float:
    """Return `value` as a float if it is a positive, finite number whose square is not 0 or infinite in `dtype`."""
    value = _scalar(name, value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be one positive number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, got {number}")
    if dtype is not None:
        square = float(torch.tensor(number, dtype=dtype).square())
        if square == 0 or math.isinf(square):
            raise ValueError(f"{name} must have a square that {dtype} can hold (not 0, not infinite), got {number}")
    return number


def count(name: str, value: object, *, minimum: int = 1) -> int:
    """Return `value` as an int if it is a whole number of at least `minimum`."""
    value = _scalar(name, value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__}")
    if not minimum <= value < 2**63:
        rule = f"at least {minimum}" if value < minimum else "below 2^63"
        raise ValueError(f"{name} must be {rule}, got {value}")
    return int(value)


def random_source(generator: object, device: torch.device) -> torch.Generator | None:
    """Return `generator` if it is None or a torch.Generator on `device` (TypeError, ValueError)."""
    if not isinstance(generator, (torch.Generator, type(None))):
        raise TypeError(f"generator must be a torch.Generator or None, got {type(generator).__name__}")
    if generator is not None and generator.device.type != device.type:
        raise ValueError(f"generator must be on device {device.type} like the tensors, got {generator.device.type}")
    return generator


def noise_level(sigma: object, x: Tensor) -> Tensor:
    """Return the noise level as a tensor [1, 1] or [B, 1] of x's kind; `sigma` is a float, 0-d or [B]."""
    if isinstance(sigma, Tensor) and sigma.ndim > 0:
        sigma = tensor("sigma", sigma, shape=(x.shape[0],), like=x)
        if not bool((sigma > 0).all()):
            raise ValueError(f"sigma must be positive, got a minimum of {float(sigma.min())}")
        for extreme in torch.aminmax(sigma.detach()):
            positive("sigma", extreme, dtype=x.dtype)
        return sigma[:, None]
    if isinstance(sigma, Tensor):  # it may be differentiated
        positive("sigma", sigma.detach(), dtype=x.dtype)
        return sigma.to(x).reshape(1, 1)
    return torch.full((1, 1), positive("sigma", sigma, dtype=x.dtype), dtype=x.dtype, device=x.device)


def noise_levels(sigmas: object) -> Tensor:
    """Return a schedule if it is a tensor [K], K >= 2, positive and strictly falling."""
    sigmas = tensor("sigmas", sigmas, shape=(None,))
    if sigmas.numel() < 2 or not bool((sigmas > 0).all()) or not bool((sigmas.diff() < 0).all()):
        start = ", ".join(f"{level:.4g}" for level in sigmas[:5].tolist())
        raise ValueError(f"sigmas must hold at least two positive, strictly falling levels, got {start} ...")
    for name, level in (("sigmas[0]", sigmas[0]), ("sigmas[-1]", sigmas[-1])):
        positive(name, level.detach(), dtype=sigmas.dtype)
    return sigmas


def function(name: str, value: object, ends: str) -> None:
    """Refuse what cannot be called, or is not meant to be (TypeError); `ends` says from what to what it leads."""
    if not callable(value):
        raise TypeError(f"{name} must be a callable from {ends}, got {type(value).__name__}")


def _call(name: str, value: Callable, ends: str, x: Tensor, *level: Tensor) -> object:
    """Call a map of the reader's on a copy of x, so that one that works in place spoils nothing."""
    function(name, value, ends)
    try:
        return value(x.clone(), *level)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"{name} must map a batch {ends}; it failed on shape {list(x.shape)}: {error}") from error


def apply_forward(forward: Forward, x: Tensor, *, num_data: int | None = None) -> Tensor:
    """Evaluate `forward` on a batch [B, d] and return [B, m], or say what is wrong with it.

    Raises:
        TypeError: `forward` is not callable or does not return a tensor of x's dtype.
        ValueError: It fails on a batch, does not return [B, m] (or m != num_data), or returns NaN or infinity.
    """
    data = _call("forward", forward, "[B, d] to [B, m]", x)
    if not isinstance(data, Tensor):
        raise TypeError(f"forward must return a torch.Tensor, got {type(data).__name__}")
    if data.ndim != 2 or data.shape[0] != x.shape[0]:
        raise ValueError(
            f"forward must map a batch [B, d] to [B, m] (is it written for a single model?); "
            f"it mapped {list(x.shape)} to {list(data.shape)}"
        )
    if num_data is not None and data.shape[1] != num_data:
        raise ValueError(f"forward must return as many data as d_obs has ({num_data}), got {data.shape[1]}")
    same_kind("forward's output", data, x)
    finite("forward's output", data)
    return data


def apply_denoiser(denoise: Denoiser, x: Tensor, sigma: Tensor) -> Tensor:
    """Denoise x [B, d] at one level and return [B, d], finite and of x's kind; errors as in `apply_forward`."""
    x0 = _call("denoise", denoise, "[B, d] and a level to [B, d]", x, sigma)
    return tensor("denoise's output", x0, shape=tuple(x.shape), like=x)


def log_weights(log_weights: object, examples: Tensor) -> Tensor:
    """Return log-weights [N], normalized; -inf (a weight of zero) is allowed, NaN and +inf are not (ValueError)."""
    if not isinstance(log_weights, Tensor):
        raise TypeError(f"log_weights must be a torch.Tensor, got {type(log_weights).__name__}")
    if log_weights.shape != (len(examples),):
        raise ValueError(f"log_weights must have shape [{len(examples)}], got {list(log_weights.shape)}")
    same_kind("log_weights", log_weights, examples)
    _not_meta("log_weights", log_weights)
    if bool(torch.isnan(log_weights).any()) or bool((log_weights == math.inf).any()):
        raise ValueError("log_weights must not hold NaN or +inf")
    if bool((log_weights == -math.inf).all()):
        raise ValueError("log_weights must give at least one example a positive weight, all are -inf")
    return torch.log_softmax(log_weights, 0)
