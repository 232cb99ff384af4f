"""Constant tensors that a loop uses again and again: converted and moved once."""

from __future__ import annotations

import torch
from torch import Tensor


class Constant:
    """A tensor that is kept once for each dtype and device it is asked for, so that no loop copies it to a card.

    Args:
        value: The tensor; it must not be changed afterwards.
    """

    def __init__(self, value: Tensor):
        self._value, self._kept = value, {}

    def like(self, other: Tensor) -> Tensor:
        """The tensor in the dtype and on the device of another."""
        key: tuple[torch.dtype, torch.device] = other.dtype, other.device
        if key not in self._kept:
            self._kept[key] = self._value.to(dtype=other.dtype, device=other.device)
        return self._kept[key]
