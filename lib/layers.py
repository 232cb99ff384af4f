"""Building blocks of the denoiser networks: residual blocks that a noise level scales and shifts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_FEATURES = 32


def level_features(level: Tensor) -> Tensor:
    """Sines and cosines of log sigma at periods from 25 to 0.8 e-folds: sigma [B, 1] to [B, 32]."""
    rates = torch.logspace(-2, 3, NUM_FEATURES // 2, base=2, dtype=level.dtype, device=level.device)
    angles = torch.log(level) * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


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
