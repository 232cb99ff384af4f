"""Input checks shared by every module: each error names the argument, the rule and the value."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Forward = Callable[[Tensor], Tensor]


def tensor(name: str, value: object, *, shape: tuple[int | None, ...], like: Tensor | None = None) -> Tensor:
    """Return `value` if it is a finite floating tensor of the given shape.

    Args:
        name: Argument name, used in the message.
        value: What the caller passed.
        shape: Required sizes; None leaves an axis free (but never empty).
        like: Tensor whose dtype and device `value` must share.

    Raises:
        TypeError: Not a real floating tensor, or its dtype differs from `like`.
        ValueError: Wrong shape, an empty axis, another device, or NaN or infinite entries.
    """
    if not isinstance(value, Tensor):
        hint = "; torch.as_tensor converts arrays" if hasattr(value, "__array__") else ""
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}{hint}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must have a floating dtype, got {value.dtype}")
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
    """Refuse NaN and infinite entries (ValueError)."""
    value = value.detach()
    # The extremes are NaN or infinite if any entry is, and cost no table as large as `value`.
    if bool(torch.isfinite(torch.stack(torch.aminmax(value))).all()):
        return
    bad = int((~torch.isfinite(value)).sum())
    raise ValueError(f"{name} must be finite, got {bad} NaN or infinite of {value.numel()} entries")


def positive(name: str, value: object, *, dtype: torch.dtype | None = None) -> float:
    """Return `value` as a float if it is positive and finite, and its square survives in `dtype`.

    Raises:
        TypeError: Not a real number.
        ValueError: Not positive and finite, or its square is 0 or infinite in `dtype`.
    """
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or isinstance(value, Tensor):
        raise TypeError(f"{name} must be one positive number, got {type(value).__name__}")
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, got {number}")
    if dtype is not None:
        square = float(torch.tensor(number, dtype=dtype).square())
        if square == 0 or math.isinf(square):
            raise ValueError(f"{name} must have a square that {dtype} can hold (not 0, not infinite), got {number}")
    return number


def count(name: str, value: object, *, minimum: int = 1) -> int:
    """Return `value` as an int if it is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__}")
    number = value.__index__()
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    return number


def noise_level(sigma: object, x: Tensor) -> Tensor:
    """Return the noise level as a tensor [1, 1] or [B, 1] of x's kind; `sigma` is a float, 0-d or [B]."""
    if isinstance(sigma, Tensor) and sigma.ndim > 0:
        sigma = tensor("sigma", sigma, shape=(x.shape[0],), like=x)
        if not bool((sigma > 0).all()):
            raise ValueError(f"sigma must be positive, got a minimum of {float(sigma.min())}")
        for extreme in torch.aminmax(sigma.detach()):
            positive("sigma", extreme, dtype=x.dtype)
        return sigma[:, None]
    number = positive("sigma", sigma, dtype=x.dtype)
    return torch.full((1, 1), number, dtype=x.dtype, device=x.device)


def noise_levels(sigmas: object) -> Tensor:
    """Return a schedule if it is a tensor [K], K >= 2, positive and strictly falling."""
    sigmas = tensor("sigmas", sigmas, shape=(None,))
    if sigmas.numel() < 2 or not bool((sigmas > 0).all()) or not bool((sigmas.diff() < 0).all()):
        start = ", ".join(f"{level:.4g}" for level in sigmas[:5].tolist())
        raise ValueError(f"sigmas must hold at least two positive, strictly falling levels, got {start} ...")
    for name, level in (("sigmas[0]", sigmas[0]), ("sigmas[-1]", sigmas[-1])):
        positive(name, level.detach(), dtype=sigmas.dtype)
    return sigmas


def apply_forward(forward: Forward, x: Tensor, *, num_data: int | None = None) -> Tensor:
    """Evaluate `forward` on a batch [B, d] and return [B, m], or say what is wrong with it.

    Raises:
        TypeError: `forward` is not callable or does not return a tensor of x's dtype.
        ValueError: It fails on a batch, does not return [B, m] (or m != num_data), or returns NaN or infinity.
    """
    if not callable(forward):
        raise TypeError(f"forward must be a callable from [B, d] to [B, m], got {type(forward).__name__}")
    try:
        data = forward(x)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"forward must map a batch [B, d] to [B, m]; it failed on shape {list(x.shape)}: {error}"
        ) from error
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


def log_weights(log_weights: object, examples: Tensor) -> Tensor:
    """Return log-weights [N], normalized; -inf (a weight of zero) is allowed, NaN and +inf are not (ValueError)."""
    if not isinstance(log_weights, Tensor):
        raise TypeError(f"log_weights must be a torch.Tensor, got {type(log_weights).__name__}")
    if log_weights.shape != (len(examples),):
        raise ValueError(f"log_weights must have shape [{len(examples)}], got {list(log_weights.shape)}")
    same_kind("log_weights", log_weights, examples)
    if bool(torch.isnan(log_weights).any()) or bool((log_weights == math.inf).any()):
        raise ValueError("log_weights must not hold NaN or +inf")
    if bool((log_weights == -math.inf).all()):
        raise ValueError("log_weights must give at least one example a positive weight, all are -inf")
    return torch.log_softmax(log_weights, 0)
