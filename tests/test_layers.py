"""Building blocks: features of the level, blocks that start as the identity, weights from a seed alone."""

import math

import pytest
import torch

from lib.layers import ConvBlock, Denoiser, MLPBlock, initialized, level_features, zeroed


def test_features_are_sines_and_cosines_at_sixteen_octaves_of_log_sigma():
    sigma = torch.tensor([[0.01], [1.0], [30.0]], dtype=torch.float64)
    features = level_features(sigma)
    rates = [2 ** (-2 + 5 * k / 15) for k in range(16)]
    angles = torch.tensor([[math.log(float(s)) * rate for rate in rates] for s in sigma], dtype=torch.float64)
    torch.testing.assert_close(features, torch.cat([angles.sin(), angles.cos()], 1))
    assert 2 * math.pi / rates[0] == pytest.approx(25, abs=0.2)
    assert 2 * math.pi / rates[-1] == pytest.approx(0.8, abs=0.02)


def test_features_tell_the_levels_of_training_apart():
    features = level_features(torch.logspace(-3, 2, 400)[:, None])
    apart = torch.cdist(features, features) + 10 * torch.eye(400)
    assert float(apart.min()) > 0.03


@pytest.mark.parametrize("levels", [1, 5])
def test_a_fresh_block_is_the_identity_for_one_level_or_one_for_each_row(levels):
    features = torch.randn(levels, 32)
    hidden, image = torch.randn(5, 16), torch.randn(5, 8, 4, 6)
    assert torch.equal(MLPBlock(16)(hidden, features), hidden)
    assert torch.equal(ConvBlock(8, 8)(image, features), image)
    widened = ConvBlock(8, 16)
    assert torch.equal(widened(image, features), widened.shortcut(image))


def test_a_level_scales_and_shifts_the_normalized_units():
    torch.manual_seed(0)
    block, hidden, features = MLPBlock(16), torch.randn(3, 16), torch.randn(3, 32)
    for layer in (block.second, block.modulate):
        torch.nn.init.normal_(layer.weight)
    normalized = (hidden - hidden.mean(1, keepdim=True)) / (hidden.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    modulation = features @ block.modulate.weight.T
    inner = block.first((1 + modulation[:, :16]) * normalized + modulation[:, 16:])
    expected = hidden + block.second(inner * torch.sigmoid(inner))
    torch.testing.assert_close(block(hidden, features), expected)


def test_zeroed_clears_weights_and_biases():
    layer = zeroed(torch.nn.Conv2d(8, 8, 3))
    assert not any(bool(parameter.any()) for parameter in layer.parameters())


def test_weights_come_from_the_seed_and_no_generator_of_any_device_moves(monkeypatch):
    """`torch.manual_seed` inside a fork of the processor's generator would still reseed every GPU."""

    def refuse(seed):
        raise AssertionError("seeds all devices")

    monkeypatch.setattr(torch, "manual_seed", refuse)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    before, drawn = torch.get_rng_state(), []
    for seed in (3, 3, 4):
        network = torch.nn.Module()
        with initialized(network, seed):
            network.layer = torch.nn.Linear(4, 4)
        drawn.append(network.layer.weight)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_go_to_the_default_device():
    with torch.device("meta"):
        network = Denoiser(4, 0.5, {})
        with initialized(network, 0):
            network.layer = torch.nn.Linear(4, 4)
    assert network.layer.weight.is_meta
    assert network.sigma_data == 0.5
