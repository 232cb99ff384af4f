"""What `lib.training.fit` is given: its checks, and the random draws made of it."""

from __future__ import annotations

import math
import numbers

import torch
from torch import Tensor, nn

from lib import checks
from lib.checkpoints import check_weights

_HELD_OUT_BATCHES = 8
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
        if not isinstance(settings[name], str) or settings[name] not in choices:
            raise ValueError(f"{name} must be one of {list(choices)}, got {settings[name]!r}")
    ema = settings["ema"]
    if isinstance(ema, bool) or not isinstance(ema, numbers.Real):
        raise TypeError(f"ema must be a number, got {type(ema).__name__}")
    if not 0 <= ema < 1:
        raise ValueError(f"ema must lie in [0, 1), got {ema}")
    pair = settings["log_sigma"]
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"log_sigma must be (mean, standard deviation), got {pair!r}")
    if isinstance(pair[0], bool) or not isinstance(pair[0], numbers.Real):
        raise TypeError(f"log_sigma must have a number as its mean, got {type(pair[0]).__name__}")
    settings["ema"] = float(ema)
    settings["log_sigma"] = [float(pair[0]), checks.positive("log_sigma's standard deviation", pair[1])]
    return settings


def checked_data(
    network: nn.Module, examples: Tensor, held_out: Tensor | None, settings: dict
) -> tuple[Tensor, Tensor | None]:
    """Return training and held-out models, detached, or say what is wrong with them.

    Raises:
        TypeError, ValueError: Not a denoiser network; tensors of another shape, dtype or device than it needs, not
            finite, all equal, or far from its scale; noise levels out of range; patience without held-out models;
            bf16 away from CUDA.
    """
    needs = ("config", "dim", "loss", "sigma_data")
    if not isinstance(network, nn.Module) or not all(hasattr(network, name) for name in needs):
        raise TypeError(f"network must be a denoiser of lib.network, got {type(network).__name__}")
    check_weights("network", dict(network.named_parameters()))
    weight = next(network.parameters())
    examples = _models("examples", examples, network, weight)
    if len(examples) > 1 and bool((examples == examples[0]).all()):
        raise ValueError(f"examples must differ, got {len(examples)} copies of one model")
    if held_out is not None:
        held_out = _models("held_out", held_out, network, weight)
    elif settings["patience"] is not None:
        raise ValueError(f"patience must be None without held_out models, got {settings['patience']}")
    center, spread = levels(network, settings)
    if not abs(center) + 6 * spread <= 40:
        raise ValueError(
            f"log_sigma must keep sigma^2 in the range of float32, |mean + log(sigma_data)| + 6 standard deviations "
            f"<= 40, got {tuple(settings['log_sigma'])} and a sigma_data of {network.sigma_data:.4g}"
        )
    if settings["precision"] == "bf16" and weight.device.type != "cuda":
        raise ValueError(f"precision must be 'float32' on a {weight.device.type} device, got 'bf16' (CUDA only)")
    return examples, held_out


def _models(name: str, models: object, network: nn.Module, weight: Tensor) -> Tensor:
    models = checks.tensor(name, models, shape=(None, network.dim), like=weight).detach()
    size = float(torch.linalg.vector_norm(models, dtype=torch.float64)) / math.sqrt(models.numel())
    if not network.sigma_data / 3 <= size <= network.sigma_data * 3:
        raise ValueError(
            f"{name} must be centred and scaled to a root mean square near the network's sigma_data "
            f"({network.sigma_data:.4g}), got {size:.4g}"
        )
    return models


def levels(network: nn.Module, settings: dict) -> tuple[float, float]:
    """Mean and standard deviation of log sigma."""
    center, spread = settings["log_sigma"]
    return center + math.log(network.sigma_data), spread


def draw(
    models: Tensor, count: int, log_sigma: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Random models [B, d], lognormal levels [B, 1] and standard normal noise [B, d]."""
    like = {"generator": generator, "dtype": models.dtype, "device": models.device}
    x0 = models[torch.randint(len(models), (count,), generator=generator, device=models.device)]
    sigma = torch.exp(log_sigma[0] + log_sigma[1] * torch.randn(count, 1, **like))
    return x0, sigma, torch.randn(x0.shape, **like)


def held_out_draws(
    held_out: Tensor, log_sigma: tuple[float, float], settings: dict
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Batches of held-out models, levels and noise, the same at every entry so that the losses compare.

    Each model as often as the others to within one; of more models than draws, a part spread evenly over them.
    """
    generator = torch.Generator(held_out.device).manual_seed(settings["seed"] + 1)
    count = _HELD_OUT_BATCHES * settings["batch_size"]
    _, sigma, noise = draw(held_out, count, log_sigma, generator)
    x0 = held_out[torch.arange(count, device=held_out.device) * len(held_out) // count]
    return list(zip(*(part.split(settings["batch_size"]) for part in (x0, sigma, noise)), strict=True))
