"""Denoiser networks: their form, their loss, derivatives, use in the samplers, the U-Net's geometry, files."""

import math

import pytest
import torch
from torch.nn import functional

from lib.jacobian import dot_test, jacobian, jvp
from lib.layers import level_features
from lib.network import ResidualMLP, UNet, load_network, save_network
from lib.samplers import dps, sample
from lib.schedule import karras_sigmas

BUILD = {
    "mlp": lambda **options: ResidualMLP(24, width=16, depth=2, **options),
    "unet": lambda **options: UNet((4, 6), channels=8, levels=2, **options),
}
LEVELS = torch.tensor([0.02, 0.3, 0.9, 4.0, 50.0], dtype=torch.float64)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def as_if_trained(network, size=0.1):
    """Weights that are zero in a fresh network move too."""
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter += size * torch.randn(parameter.shape, generator=seeded(number), dtype=parameter.dtype)
    return network


@pytest.fixture(params=BUILD)
def build(request):
    return BUILD[request.param]


@pytest.fixture
def x():
    return torch.randn(5, 24, generator=seeded(9), dtype=torch.float64)


def test_an_untrained_network_is_the_posterior_mean_under_a_normal_prior(build, x):
    network = build(sigma_data=0.7).double()
    torch.testing.assert_close(network(x, LEVELS), 0.49 / (0.49 + LEVELS[:, None] ** 2) * x)
    for sigma in LEVELS:
        expected = 0.49 / (0.49 + float(sigma) ** 2) * x
        for level in (float(sigma), sigma, sigma.expand(5), sigma.float()):
            torch.testing.assert_close(network(x, level), expected, rtol=1e-6, atol=0)


def test_the_denoiser_is_c_skip_x_plus_c_out_g_of_c_in_x(build, x):
    network = as_if_trained(build(sigma_data=0.7).double())
    for row, sigma in zip(x, LEVELS.tolist(), strict=True):
        raw = network.core(row[None] / math.hypot(sigma, 0.7), level_features(torch.tensor([[sigma]]).double()))
        skip, out = 1 / (1 + (sigma / 0.7) ** 2), sigma * 0.7 / math.hypot(sigma, 0.7)
        torch.testing.assert_close(network(row[None], sigma), skip * row + out * raw)
    alone = torch.cat([network(row[None], sigma) for row, sigma in zip(x, LEVELS, strict=True)])
    torch.testing.assert_close(network(x, LEVELS), alone)


def test_the_loss_is_the_squared_error_over_c_out_squared(build, x):
    network, noise = as_if_trained(build(sigma_data=0.7).double()), torch.randn_like(x)
    error = network(x + LEVELS[:, None] * noise, LEVELS) - x
    out = LEVELS * 0.7 / (LEVELS**2 + 0.49).sqrt()
    expected = error.square().mean(1) / out**2
    torch.testing.assert_close(network.loss(x, LEVELS[:, None], noise), expected, rtol=1e-8, atol=0)


def test_the_loss_starts_at_one_at_every_level(build):
    network = build(sigma_data=0.7)
    x0, noise = (torch.randn(5000, 24, generator=seeded(seed)) for seed in (0, 1))
    for sigma in (0.01, 0.7, 50.0):
        loss = network.loss(0.7 * x0, torch.full((5000, 1), sigma), noise)
        assert float(loss.detach().mean()) == pytest.approx(1, abs=0.02)


def test_single_precision_keeps_the_loss_at_small_levels(build, x):
    """x_0 - c_skip x is a difference of nearly equal numbers: formed in float32 it is noise at sigma = 1e-6."""
    network, noise = as_if_trained(build()), torch.randn(5, 24, generator=seeded(0))
    sigma = torch.tensor([[1e-8], [1e-6], [1e-4], [1e-2], [1.0]])
    single = network.loss(x.float(), sigma, noise)
    double = network.double().loss(x.float().double(), sigma.double(), noise.double())
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=0)


def test_without_noise_nothing_is_removed(build, x):
    network = as_if_trained(build().double())
    for sigma in (1e-3, 1e-6):
        torch.testing.assert_close(network(x, sigma), x, rtol=0, atol=10 * sigma)


def test_derivatives_in_both_modes_agree_with_differences(build, x):
    network = as_if_trained(build().double())

    def denoise(z):
        return network(z, 0.5)

    assert dot_test(denoise, x[0], generator=seeded(0)) < 1e-13
    tangent = torch.randn(5, 24, generator=seeded(1), dtype=torch.float64)
    _, slope = jvp(denoise, x, tangent)
    difference = (denoise(x + 1e-5 * tangent) - denoise(x - 1e-5 * tangent)) / 2e-5
    assert (slope - difference).norm() < 1e-8 * slope.norm()
    by_rows = torch.func.vmap(torch.func.jacrev(lambda z: denoise(z[None])[0]))(x)
    torch.testing.assert_close(by_rows[2], jacobian(denoise, x[2]))


def test_gradients_reach_x_through_frozen_weights(build, x):
    network, leaf = as_if_trained(build().double()).requires_grad_(False), x.clone().requires_grad_()
    network(leaf, LEVELS).square().sum().backward()
    assert bool((leaf.grad.abs().sum(1) > 0).all())
    assert torch.equal(leaf.detach(), x)


def test_each_row_is_denoised_by_itself(build, x):
    for network, points, tolerance in ((build().double(), x, 1e-12), (build(), x.float(), 1e-5)):
        as_if_trained(network)
        alone = torch.cat([network(row[None], 0.4) for row in points])
        torch.testing.assert_close(network(points, 0.4), alone, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(network(points.flip(0), 0.4).flip(0), alone, rtol=tolerance, atol=tolerance)


def test_memory_layout_and_mode_do_not_matter(build, x):
    network = as_if_trained(build().double())
    expected = network.train()(x, LEVELS)
    strided = x.T.contiguous().T
    assert not strided.is_contiguous()
    torch.testing.assert_close(network(strided, LEVELS), expected)
    torch.testing.assert_close(network.eval()(x, LEVELS), expected)
    torch.testing.assert_close(network(x[:1].expand(3, -1), 0.3), network(x[:1], 0.3).expand(3, -1))


def test_the_dtype_of_the_weights_is_all_that_changes_with_precision(build, x):
    network = as_if_trained(build())
    single = network(x.float(), LEVELS.float())
    torch.testing.assert_close(single.double(), network.double()(x, LEVELS), rtol=1e-4, atol=1e-5)
    back = network.float()(x.float(), LEVELS.float())
    assert torch.equal(single, back)


def test_seed_fixes_the_weights_and_the_global_generator_stays(build):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = (torch.nn.utils.parameters_to_vector(build(seed=s).parameters()) for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_samplers_take_a_network_as_they_take_a_formula(build):
    """Untrained it is the denoiser of N(0, I): with the same seed both give the same samples."""
    network, sigmas = build().double(), karras_sigmas(12, 20.0, 0.05)
    select = torch.zeros(3, 24, dtype=torch.float64)
    select[0, 0] = select[1, 9] = select[2, 23] = 1
    y = torch.tensor([2.0, -1, 0], dtype=torch.float64)

    def normal(x, sigma):
        return x / (1 + sigma**2)

    def runs(denoise):
        yield sample(denoise, sigmas, (50, 24), generator=seeded(0), denoise_last=False)
        for guidance in ("likelihood", "normalized"):
            forward = lambda z: z @ select.T  # noqa: E731
            yield dps(denoise, forward, y, 0.5, sigmas, (20, 24), guidance, generator=seeded(0))

    for found, expected in zip(runs(network), runs(normal), strict=True):
        torch.testing.assert_close(found, expected)
        assert not found.requires_grad
    free, *guided = [(run[:20] @ select.T - y).abs().mean() for run in runs(as_if_trained(network, 0.02))]
    assert max(guided) < 0.5 * free


@pytest.mark.parametrize(
    ("shape", "options"),
    [((8, 12), {}), ((12, 4), {"levels": 3}), ((5, 7), {"levels": 1}), ((8, 12), {"patch": 2}), ((8, 16), {"patch": 4}),
     ((2, 4), {}), ((1, 2), {"levels": 1}), ([8, 8], {"channels": 16})],
)  # fmt: skip
def test_an_image_keeps_its_shape(shape, options):
    network = as_if_trained(UNet(shape, **{"channels": 8, "levels": 2, **options}))
    assert network.dim == math.prod(shape)
    channels = network.config["channels"]
    assert [block.first.out_channels for block in network.down] == [channels] + [2 * channels] * (len(network.down) - 1)
    for rows in (1, 3):
        assert network(torch.randn(rows, network.dim), 1.0).shape == (rows, network.dim)


@pytest.mark.parametrize("patch", [1, 2])
def test_a_cell_comes_back_in_its_place(patch):
    """With centre taps only and the blocks as they start, G is the sum over `enter` and `leave` of one cell alone."""
    network = UNet((4, 6), channels=8, levels=1, patch=patch)
    with torch.no_grad():
        for layer in (network.enter, network.leave, network.up[0].shortcut):
            layer.weight.zero_()
            layer.bias.zero_()
        for channel in range(patch**2):
            network.enter.weight[channel, channel, 1, 1] = 1
            network.leave.weight[channel, channel, 1, 1] = 1
        for channel in range(8):
            network.up[0].shortcut.weight[channel, channel] = 1
    torch.testing.assert_close(network.core(torch.eye(24), torch.zeros(1, 32)), functional.silu(torch.eye(24)))
    image = torch.arange(24.0)[None]
    torch.testing.assert_close(network.core(image, torch.zeros(1, 32)), functional.silu(image))


def test_neighbours_in_the_image_matter_most():
    """Flattened row by row: read as (nx, nz), or shuffled, the near cells of an image would not be near."""
    network = as_if_trained(UNet((6, 12), channels=8, levels=2).double()).requires_grad_(False)
    point = torch.randn(1, 72, generator=seeded(0), dtype=torch.float64)
    strength = torch.func.jacrev(lambda z: network.core(z, torch.zeros(1, 32).double()))(point)[0, :, 0].abs()
    rows, columns = torch.arange(72) // 12, torch.arange(72) % 12
    distance = torch.maximum((rows[:, None] - rows).abs(), (columns[:, None] - columns).abs())
    assert float(strength[distance <= 1].mean()) > 2 * float(strength[distance > 4].mean())


def test_every_cell_knows_its_depth():
    network, seen = UNet((8, 4), channels=8, levels=2, patch=2), []
    network.enter.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    network(torch.zeros(3, 32), 1.0)
    assert seen[0].shape == (3, 5, 4, 2)
    torch.testing.assert_close(seen[0][:, -1], torch.linspace(-1, 1, 4)[:, None].expand(3, 4, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_file_brings_the_network_back_bit_by_bit(build, dtype, tmp_path, x):
    network = as_if_trained(build(sigma_data=0.3, seed=4)).to(dtype)
    assert save_network(network, tmp_path / "a") is None
    found = load_network(str(tmp_path / "a"))
    assert type(found) is type(network)
    assert found.config == network.config
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    assert all(map(torch.equal, found.state_dict().values(), network.state_dict().values()))
    assert torch.equal(found(x.to(dtype), LEVELS.to(dtype)), network(x.to(dtype), LEVELS.to(dtype)))


def test_a_loaded_network_needs_its_file_no_more(build, tmp_path, x):
    network = as_if_trained(build())
    save_network(network, tmp_path / "a")
    found = load_network(tmp_path / "a")
    with open(tmp_path / "a", "r+b") as file:
        file.write(bytes((tmp_path / "a").stat().st_size))
    assert torch.equal(found(x.float(), 0.3), network(x.float(), 0.3))
    assert all(value.untyped_storage().nbytes() == value.nbytes for value in found.state_dict().values())


def test_a_file_does_not_depend_on_the_default_dtype(build, tmp_path, x, monkeypatch):
    save_network(as_if_trained(build()), tmp_path / "a")
    expected = load_network(tmp_path / "a")(x.float(), 0.3)
    torch.set_default_dtype(torch.float64)
    try:
        found = load_network(tmp_path / "a")
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found(x.float(), 0.3), expected)


def test_weights_that_share_one_vector_are_saved_too(build, tmp_path):
    network = as_if_trained(build())
    vector = torch.nn.utils.parameters_to_vector(network.parameters())
    torch.nn.utils.vector_to_parameters(vector, network.parameters())
    save_network(network, tmp_path / "a")
    assert torch.equal(torch.nn.utils.parameters_to_vector(load_network(tmp_path / "a").parameters()), vector)
