"""Building blocks of the denoiser networks: the form they share, and residual blocks that a noise level modulates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib import checks

NUM_FEATURES = 32


def level_features(level: Tensor) -> Tensor:
    """Sines and cosines of log sigma at periods from 25 to 0.8 e-folds: sigma [B, 1] to [B, 32]."""
    rates = torch.logspace(-2, 3, NUM_FEATURES // 2, base=2, dtype=level.dtype, device=level.device)
    angles = torch.log(level) * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class Denoiser(nn.Module):
    """D(x, sigma) = c_skip x + c_out G(c_in x, log sigma), with the network G kept at unit scale at every level.

    c_skip = s^2 / (sigma^2 + s^2), c_out = sigma s / sqrt(sigma^2 + s^2), c_in = 1 / sqrt(sigma^2 + s^2), and
    s = sigma_data. An untrained G is zero: D is then the posterior mean under the prior N(0, s^2 I).

    Source: Karras et al. (2022), eq. (7) and table 1.

    Args:
        dim: Number of parameters d of a model.
        sigma_data: Root mean square of the training data, which should be centred.

    Attributes:
        config: Class name and arguments, all that `load_network` needs to build it again.
    """

    def __init__(self, dim: int, sigma_data: float, config: dict):
        super().__init__()
        self.dim = checks.count("dim", dim)
        with torch.device("cpu"):  # a number, wherever the layers go
            self.sigma_data = checks.positive("sigma_data", sigma_data, dtype=torch.float32)
        self.config = {"class": type(self).__name__, **config, "sigma_data": self.sigma_data}

    def core(self, x: Tensor, level: Tensor) -> Tensor:
        """The raw network G, from scaled states [B, d] and features of the level [B or 1, 32] to [B, d]."""
        raise NotImplementedError

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Denoise states x [B, d] at a level sigma > 0 (float, 0-d or [B]): the estimated mean of x_0, [B, d].

        Raises:
            TypeError, ValueError: A state that is not finite, not [B, d], or not of the network's dtype and device.
        """
        # Dual numbers were checked before they were made.
        if not (isinstance(x, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(x)):
            x = checks.tensor("x", x, shape=(None, self.dim), like=next(self.parameters()))
        level = checks.noise_level(sigma, x)
        total = level.square() + self.sigma_data**2
        raw = self.core(x * total.rsqrt(), level_features(level))
        return self.sigma_data**2 / total * x + level * self.sigma_data * total.rsqrt() * raw

    def loss(self, x0: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """Denoising loss of each example, [B]: the mean of |D - x0|^2 / c_out^2 over d, near 1 at the start.

        Args:
            x0: Clean examples, [B, d].
            sigma: Noise levels, [B, 1].
            noise: Standard normal numbers, [B, d].

        Source: Karras et al. (2022), eq. (8), with the weight that makes all levels count alike.
        """
        if x0.shape[1:] != (self.dim,) or noise.shape != x0.shape or sigma.shape != (len(x0), 1):
            got = ", ".join(str(list(value.shape)) for value in (x0, sigma, noise))
            raise ValueError(f"x0, sigma, noise must be [B, {self.dim}], [B, 1], [B, {self.dim}], got {got}")
        scale = (sigma.square() + self.sigma_data**2).rsqrt()
        # (x0 - c_skip x) / c_out without the difference, of which rounding leaves nothing at small sigma.
        target = scale * (sigma / self.sigma_data * x0 - self.sigma_data * noise)
        return (self.core(scale * (x0 + sigma * noise), level_features(sigma)) - target).square().mean(1)


class MLPBlock(nn.Module):
    """h + W2 silu(W1 (scale norm(h) + shift)), with scale and shift from the level; the identity before training."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.first, self.second = nn.Linear(width, width), zeroed(nn.Linear(width, width))
        self.modulate = zeroed(nn.Linear(NUM_FEATURES, 2 * width))

    def forward(self, hidden: Tensor, features: Tensor) -> Tensor:
        """Hidden units [B, width] and features of the level [B or 1, 32] to [B, width]."""
        scale, shift = self.modulate(features).chunk(2, dim=1)
        return hidden + self.second(functional.silu(self.first(torch.addcmul(shift, self.norm(hidden), 1 + scale))))


class ConvBlock(nn.Module):
    """The same with two 3 x 3 convolutions, group normalization, and a 1 x 1 shortcut where channels change."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()
        self.norm_in, self.norm_out = nn.GroupNorm(8, channels_in), nn.GroupNorm(8, channels_out, affine=False)
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.second = zeroed(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        self.modulate = zeroed(nn.Linear(NUM_FEATURES, 2 * channels_out))

    def forward(self, hidden: Tensor, features: Tensor) -> Tensor:
        """Channels [B, in, nz, nx] and features of the level [B or 1, 32] to [B, out, nz, nx]."""
        scale, shift = self.modulate(features)[:, :, None, None].chunk(2, dim=1)
        inner = self.norm_out(self.first(functional.silu(self.norm_in(hidden))))
        inner = self.second(functional.silu(torch.addcmul(shift, inner, 1 + scale)))
        return self.shortcut(hidden) + inner


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all its weights at zero, so that its block starts as if it were not there."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


@contextmanager
def initialized(network: nn.Module, seed: int) -> Iterator[None]:
    """Draw the layers added to `network` inside from `seed` alone: no global random numbers change, on no device."""
    device = torch.get_default_device()
    place = device if device.type == "meta" else torch.device("cpu")
    with torch.random.fork_rng(devices=[]), place:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU too
        yield
    if place.type != device.type:
        network.to(device)
