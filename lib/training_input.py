"""Checks of what `lib.training.fit` is given."""

from __future__ import annotations

import numbers

from torch import Tensor, nn

from lib import checks

_CHOICES = {"schedule": ("cosine", "constant"), "precision": ("float32", "bf16")}


def checked_settings(**settings: object) -> dict:
    """Return the settings of a run as plain numbers and strings, fit for JSON, or say what is wrong with one."""
    for name in ("steps", "batch_size", "every"):
        settings[name] = checks.count(name, settings[name])
    settings["seed"] = checks.count("seed", settings["seed"], minimum=0)
    settings["learning_rate"] = checks.positive("learning_rate", settings["learning_rate"])
    if settings["patience"] is not None:
        settings["patience"] = checks.count("patience", settings["patience"])
    for name, choices in _CHOICES.items():
        if settings[name] not in choices:
            raise ValueError(f"{name} must be one of {list(choices)}, got {settings[name]!r}")
    ema = settings["ema"]
    if isinstance(ema, bool) or not isinstance(ema, numbers.Real):
        raise TypeError(f"ema must be a number, got {type(ema).__name__}")
    if not 0 <= ema < 1:
        raise ValueError(f"ema must lie in [0, 1), got {ema}")
    pair = settings["log_sigma"]
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"log_sigma must be (mean, standard deviation), got {pair!r}")
    if isinstance(pair[0], bool) or not isinstance(pair[0], numbers.Real) or not abs(pair[0]) < 50:
        raise ValueError(f"log_sigma must have a mean between -50 and 50, got {pair[0]!r}")
    settings["ema"] = float(ema)
    settings["log_sigma"] = [float(pair[0]), checks.positive("log_sigma's standard deviation", pair[1])]
    return settings


def checked_data(
    network: nn.Module, examples: Tensor, held_out: Tensor | None, settings: dict
) -> tuple[Tensor, Tensor | None]:
    """Return training and held-out models, detached, or say what is wrong with them.

    Raises:
        TypeError, ValueError: Not a denoiser network; tensors of another shape, dtype or device than it needs, not
            finite, all equal, or far from its scale; patience without held-out models; bf16 away from CUDA.
    """
    if not isinstance(network, nn.Module) or not hasattr(network, "loss") or not hasattr(network, "sigma_data"):
        raise TypeError(f"network must be a denoiser of lib.network, got {type(network).__name__}")
    weight = next(network.parameters())
    checks.finite("network's weights", weight)
    examples = checks.tensor("examples", examples, shape=(None, network.dim), like=weight).detach()
    size = float(examples.double().square().mean().sqrt())
    if len(examples) > 1 and bool((examples == examples[0]).all()):
        raise ValueError(f"examples must differ, got {len(examples)} copies of one model")
    if not network.sigma_data / 3 <= size <= network.sigma_data * 3:
        raise ValueError(
            f"examples must be centred and scaled to a root mean square near the network's sigma_data "
            f"({network.sigma_data:.4g}), got {size:.4g}"
        )
    if held_out is not None:
        held_out = checks.tensor("held_out", held_out, shape=(None, network.dim), like=weight).detach()
    elif settings["patience"] is not None:
        raise ValueError(f"patience must be None without held_out models, got {settings['patience']}")
    if settings["precision"] == "bf16" and weight.device.type != "cuda":
        raise ValueError(f"precision must be 'float32' on a {weight.device.type} device, got 'bf16' (CUDA only)")
    return examples, held_out
