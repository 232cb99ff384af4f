"""Constants are converted once for each dtype and device."""

import torch

from lib.constants import Constant


def test_a_constant_is_converted_once_and_keeps_its_values():
    value = torch.arange(6, dtype=torch.float64).reshape(2, 3) / 7
    constant, single = Constant(value), torch.zeros(1)
    assert constant.like(single).dtype == torch.float32
    assert constant.like(single) is constant.like(single)
    assert torch.equal(constant.like(value), value)
    torch.testing.assert_close(constant.like(single), value.float(), rtol=0, atol=0)
    assert constant.like(single.to("meta")).device.type == "meta"
