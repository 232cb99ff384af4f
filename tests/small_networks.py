"""A small denoiser network, and the same with weights that no training and no file may hold."""

import math

import torch

from lib.network import ResidualMLP


def mlp(dim=4, **options):
    return ResidualMLP(dim, **{"width": 8, "depth": 1, **options})


def _mixed():
    network = mlp()
    network.leave.double()
    return network


def _spoiled(layer, value):
    network = mlp()
    with torch.no_grad():
        getattr(network, layer).weight[2, 1] = value
    return network


# What is wrong with the weights, and the error that names it.
BAD_WEIGHTS = [
    (mlp().half(), TypeError, "network's enter.weight must have dtype torch.float32 or torch.float64, got"),
    (mlp().to("meta"), ValueError, "network's enter.weight must hold values, got a tensor on device meta"),
    (_mixed(), TypeError, "network's leave.weight must have dtype torch.float32 like the other tensors"),
    *[
        (_spoiled(layer, value), ValueError, f"network's {layer}.weight must be finite, got 1 NaN")
        for layer in ("enter", "leave")
        for value in (math.nan, math.inf)
    ],
]
