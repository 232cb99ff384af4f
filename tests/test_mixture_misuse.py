"""Data that are not centred: what the denoiser does with velocities in m/s."""

import pytest
import torch

from lib.mixture import MemorizedPrior
from lib.posterior import ConditionalDenoiser


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_single_precision_survives_a_common_offset(offset):
    """|x|^2 + |x_n|^2 - 2 x.x_n at 3000 m/s rounds away the differences between models."""
    generator = torch.Generator().manual_seed(0)
    examples = offset + 100 * torch.randn(300, 1024, generator=generator)
    x = 0.5 * (examples[:32] + examples[32:64]) + 20 * torch.randn(32, 1024, generator=generator)
    assert x.numel() * len(examples) > 2**20  # the product form, not the sum of differences
    prior, exact = MemorizedPrior(examples, 5.0), MemorizedPrior(examples.double(), 5.0)
    for sigma in (5.0, 20.0):
        wrong = prior.responsibilities(x, sigma).double() - exact.responsibilities(x.double(), sigma)
        assert wrong.abs().sum(1).max() < 0.02
        wrong = prior.denoise(x, sigma).double() - exact.denoise(x.double(), sigma)
        assert wrong.abs().max() < 1.0
    torch.testing.assert_close(prior.log_prob(x).double(), exact.log_prob(x.double()), rtol=1e-5, atol=0)
    even = ConditionalDenoiser(examples, torch.zeros(300))
    torch.testing.assert_close(even(x, 20.0), prior.denoise(x, 20.0))
