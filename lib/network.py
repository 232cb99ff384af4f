"""Denoiser networks: a residual MLP for coefficients and a small U-Net for images, in the form of Karras et al. (2022).

A network is a denoiser D(x, sigma) like those in closed form: it goes wherever `prior.denoise` goes.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib import checks
from lib.checkpoints import read, write
from lib.layers import ConvBlock, MLPBlock, level_features, zeroed
from lib.training import Fit, fit

__all__ = ["Denoiser", "Fit", "ResidualMLP", "UNet", "fit", "load_network", "save_network"]


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
        if not torch._C._functorch.is_functorch_wrapped_tensor(x):  # dual numbers were checked before they were made
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
        total = sigma.square() + self.sigma_data**2
        x = x0 + sigma * noise
        target = (x0 - self.sigma_data**2 / total * x) * total.sqrt() / (sigma * self.sigma_data)
        return (self.core(x * total.rsqrt(), level_features(sigma)) - target).square().mean(1)


class ResidualMLP(Denoiser):
    """Denoiser of coefficient vectors: residual blocks of two layers, scaled and shifted by the noise level.

    Args:
        dim: Coefficients d.
        width: Units of every layer.
        depth: Residual blocks.
        sigma_data: Root mean square of the training data.
        seed: Of the initial weights; the global random numbers are left alone.
    """

    def __init__(self, dim: int, *, width: int = 128, depth: int = 2, sigma_data: float = 1.0, seed: int = 0):
        width, depth = checks.count("width", width), checks.count("depth", depth)
        super().__init__(dim, sigma_data, {"dim": dim, "width": width, "depth": depth})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(checks.count("seed", seed, minimum=0))
            self.enter = nn.Linear(self.dim, width)
            self.blocks = nn.ModuleList(MLPBlock(width) for _ in range(depth))
            self.leave = zeroed(nn.Linear(width, self.dim))

    def core(self, x: Tensor, level: Tensor) -> Tensor:
        """As in `Denoiser`."""
        hidden = self.enter(x)
        for block in self.blocks:
            hidden = block(hidden, level)
        return self.leave(functional.silu(hidden))


class UNet(Denoiser):
    """Denoiser of images, flattened to [B, nz nx]: convolutions at `levels` resolutions, each half of the last.

    Args:
        shape: (nz, nx), each a multiple of patch 2^(levels - 1).
        channels: Channels at the finest resolution, a multiple of 8; doubled once below.
        levels: Resolutions.
        patch: Side of the squares of cells that enter as channels of one cell: 2 makes a step four times cheaper.
        sigma_data: Root mean square of the training data.
        seed: Of the initial weights; the global random numbers are left alone.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        channels: int = 32,
        levels: int = 3,
        patch: int = 1,
        sigma_data: float = 1.0,
        seed: int = 0,
    ):
        channels, levels = checks.count("channels", channels), checks.count("levels", levels)
        coarsest = checks.count("patch", patch) * 2 ** (levels - 1)
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise ValueError(f"shape must be (nz, nx), got {shape!r}")
        sides = tuple(checks.count("shape", side) for side in shape)
        if any(side % coarsest for side in sides):
            raise ValueError(f"shape must hold multiples of patch 2^(levels - 1) = {coarsest}, got {sides}")
        if channels % 8:
            raise ValueError(f"channels must be a multiple of 8, got {channels}")
        config = {"shape": list(sides), "channels": channels, "levels": levels, "patch": patch}
        super().__init__(math.prod(sides), sigma_data, config)
        self.shape, self.patch = sides, patch
        widths = [channels] + [2 * channels] * (levels - 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(checks.count("seed", seed, minimum=0))
            # Depth as one more channel: geology is not the same at the surface and at depth.
            self.enter = nn.Conv2d(patch**2 + 1, channels, 3, padding=1)
            self.down = nn.ModuleList(ConvBlock(a, b) for a, b in zip([channels, *widths], widths, strict=False))
            self.middle = ConvBlock(widths[-1], widths[-1])
            self.up = nn.ModuleList(
                ConvBlock(below + here, here)
                for below, here in zip([widths[-1], *widths[:0:-1]], widths[::-1], strict=True)
            )
            self.leave = zeroed(nn.Conv2d(channels, patch**2, 3, padding=1))
        depth = torch.linspace(-1, 1, sides[0] // patch)[:, None].expand(-1, sides[1] // patch)
        self.register_buffer("depth", depth[None, None].clone(), persistent=False)

    def core(self, x: Tensor, level: Tensor) -> Tensor:
        """As in `Denoiser`."""
        image = functional.pixel_unshuffle(x.view(-1, 1, *self.shape), self.patch)
        hidden = self.enter(torch.cat([image, self.depth.expand(len(image), -1, -1, -1)], 1))
        kept = []
        for number, block in enumerate(self.down):
            hidden = block(functional.avg_pool2d(hidden, 2) if number else hidden, level)
            kept.append(hidden)
        hidden = self.middle(hidden, level)
        for number, block in enumerate(self.up):
            if number:
                hidden = functional.interpolate(hidden, scale_factor=2, mode="nearest")
            hidden = block(torch.cat([hidden, kept.pop()], 1), level)
        return functional.pixel_shuffle(self.leave(functional.silu(hidden)), self.patch).flatten(1)


def save_network(network: Denoiser, path: str | Path) -> None:
    """Write weights and architecture to a safetensors file, whole or not at all."""
    if not isinstance(network, Denoiser):
        raise TypeError(f"network must be a Denoiser, got {type(network).__name__}")
    write(path, network.state_dict(), {"kind": "network", "network": network.config})


def load_network(path: str | Path) -> Denoiser:
    """Build the network that `save_network` wrote; nothing in the file is executed.

    Raises:
        FileNotFoundError, ValueError: No file, or not one of `save_network`; the message names it.
    """
    tensors, facts = read(path, kind="network")
    try:
        config = dict(facts["network"])
        network = {"ResidualMLP": ResidualMLP, "UNet": UNet}[config.pop("class")](**config)
        network.to(next(iter(tensors.values())).dtype).load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
        raise ValueError(f"path must be a file of save_network, but {path} does not describe one: {error}") from error
    return network.eval()
