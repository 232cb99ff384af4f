"""The guidance dies exactly where a point-mass prior has decided; the chapter on posterior sampling rests on it."""

import pytest
import torch

from lib.guidance import denoise_and_gradient
from lib.mixture import MemorizedPrior


@pytest.mark.parametrize("direct", [2**20, 0])
def test_guidance_is_exactly_zero_where_one_example_holds_the_responsibility(direct, monkeypatch):
    # Not merely small: rounding divided by sigma^2 would push the state off its example.
    monkeypatch.setattr("lib.mixture._DIRECT", direct)
    drawn = torch.Generator().manual_seed(0)
    examples = torch.randn(20, 64, generator=drawn)
    x = examples[:4] + 0.02 * torch.randn(4, 64, generator=drawn)
    prior = MemorizedPrior(examples, 0.02)
    _, gradient, _ = denoise_and_gradient(prior.denoise, lambda z: z**3, torch.ones(64), x, torch.tensor(0.02))
    assert (gradient == 0).all()
