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
from lib.checkpoints import check_weights, match, read, write
from lib.layers import ConvBlock, Denoiser, MLPBlock, initialized, zeroed
from lib.training import Fit, fit

__all__ = ["Denoiser", "Fit", "ResidualMLP", "UNet", "fit", "load_network", "save_network"]


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
        with initialized(self, checks.count("seed", seed, minimum=0)):
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
        patch = checks.count("patch", patch)
        coarsest = patch << min(levels - 1, 63)  # beyond 2^63 there are no sides
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise ValueError(f"shape must be (nz, nx), got {shape!r}")
        sides = tuple(checks.count("shape", side) for side in shape)
        if any(side % coarsest for side in sides):
            raise ValueError(f"shape must hold multiples of patch 2^(levels - 1) = {coarsest}, got {sides}")
        if sides == (coarsest, coarsest):  # the norm of one cell erases it
            raise ValueError(f"shape must leave more than one cell at the coarsest of {levels} levels, got {sides}")
        if channels % 8:
            raise ValueError(f"channels must be a multiple of 8, got {channels}")
        config = {"shape": list(sides), "channels": channels, "levels": levels, "patch": patch}
        super().__init__(math.prod(sides), sigma_data, config)
        self.shape, self.patch = sides, patch
        widths = [channels] + [2 * channels] * (levels - 1)
        with initialized(self, checks.count("seed", seed, minimum=0)):
            # Depth as one more channel: geology is not the same at the surface and at depth.
            self.enter = nn.Conv2d(patch**2 + 1, channels, 3, padding=1)
            self.down = nn.ModuleList(ConvBlock(a, b) for a, b in zip([channels, *widths], widths, strict=False))
            self.middle = ConvBlock(widths[-1], widths[-1])
            self.up = nn.ModuleList(
                ConvBlock(below + here, here)
                for below, here in zip([widths[-1], *widths[:0:-1]], widths[::-1], strict=True)
            )
            self.leave = zeroed(nn.Conv2d(channels, patch**2, 3, padding=1))

    def core(self, x: Tensor, level: Tensor) -> Tensor:
        """As in `Denoiser`."""
        image = functional.pixel_unshuffle(x.reshape(-1, 1, *self.shape), self.patch)
        depth = torch.linspace(-1, 1, image.shape[2], dtype=x.dtype, device=x.device)[:, None]
        hidden = self.enter(torch.cat([image, depth.expand_as(image[:, :1])], 1))
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
    """Write weights and architecture to a safetensors file, whole or not at all.

    Raises:
        TypeError, ValueError: Not a network that `load_network` could build again, weights that are not finite, or a
            path that is a folder.
        FileNotFoundError, PermissionError: No such folder, or not one to write to.
    """
    if type(network) not in (ResidualMLP, UNet):
        raise TypeError(f"network must be a ResidualMLP or a UNet, got {type(network).__name__}")
    weights = network.state_dict()
    check_weights("network", weights)
    match("network", weights, _blank(network.config, weights).state_dict())
    write(path, weights, {"kind": "network", "network": network.config})


def load_network(path: str | Path) -> Denoiser:
    """Build the network that `save_network` wrote, frozen as `fit` returns it; nothing in the file is executed.

    Raises:
        FileNotFoundError, ValueError: No file, or not one of `save_network`; the message names it.
    """
    weights, facts = read(path, kind="network")
    try:
        check_weights("its network", weights)
        network = _blank(facts["network"], weights)
        match("it", weights, network.state_dict())
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"path must be a file of save_network, but {path} is not: {error}") from error
    network.load_state_dict(weights, assign=True)
    return network.eval().requires_grad_(False)


def _blank(config: dict, weights: dict[str, Tensor]) -> Denoiser:
    """The network of a config in the dtype of the weights, without memory for its own: a file may ask for any size."""
    config = dict(config)
    if any(isinstance(value, int) and value > len(weights) for value in (config.get("depth"), config.get("levels"))):
        raise ValueError(f"it must have weights for each of its blocks, got {len(weights)} tensors for {config}")
    with torch.device("meta"):
        network = {"ResidualMLP": ResidualMLP, "UNet": UNet}[config.pop("class")](**config)
    return network.to(next(iter(weights.values())).dtype)
