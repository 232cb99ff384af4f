"""The cosine field: its modes, its variance, its bounds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lib.velocity
from lib.velocity import CosineField

SHAPE = (32, 32)


def variance_kept(field, modes):
    """Mean over fields, not over cells, of the share of a field's mean square that some of its modes hold."""
    share = field.basis.square().mean((1, 2))
    return float(share[modes].sum() / share.sum())


def test_basis_is_orthogonal_with_the_variances_of_the_spectrum():
    field = CosineField(SHAPE, 64, corr_length=5.0, std=250.0)
    gram = torch.einsum("kzx,lzx->kl", field.basis, field.basis) / (32 * 32)
    off = gram - torch.diag(gram.diagonal())
    assert off.abs().max() < 1e-12 * gram.diagonal().max()
    i, j = field.modes.T.double()
    spectrum = torch.exp(-0.5 * 25 * ((torch.pi * i / 32) ** 2 + (torch.pi * j / 32) ** 2))
    torch.testing.assert_close(gram.diagonal() / gram[0, 0], spectrum, rtol=1e-12, atol=0)
    assert (gram.diagonal().diff() <= 1e-9).all()


def test_few_modes_hold_their_own_share_of_the_variance_and_no_more():
    few, everything = (CosineField(SHAPE, count, corr_length=5.0, std=250.0) for count in (6, 32 * 32))
    torch.testing.assert_close(few.basis, everything.basis[:6])
    assert few.basis.square().mean((1, 2)).sum() < 0.6 * 250.0**2


def test_all_modes_together_have_the_standard_deviation_asked_for():
    field = CosineField((12, 15), 12 * 15, corr_length=2.0, std=250.0)
    assert field.basis.square().mean((1, 2)).sum() == pytest.approx(250.0**2, rel=1e-12)
    draws = field.field(field.sample(4000, generator=torch.Generator().manual_seed(0)))
    assert abs(float(draws.square().mean().sqrt()) - 250) < 5


@pytest.mark.parametrize("num_modes", [36, 64])
def test_trap_5_zero_index_modes_carry_the_variance(num_modes):
    field = CosineField(SHAPE, num_modes, corr_length=32 / 6)
    zero = (field.modes == 0).any(1)
    assert zero.any()
    assert (field.modes[0] == 0).all()  # the constant comes first
    assert variance_kept(field, zero) > 0.4
    # What the basis holds of the whole field, with them and without.
    everything = CosineField(SHAPE, 32 * 32, corr_length=32 / 6)
    kept = field.basis.square().mean((1, 2))
    total = everything.basis.square().mean((1, 2)).sum()
    assert kept.sum() / total > 0.95
    assert kept[~zero].sum() / total < 0.6


def test_trap_5_long_correlation_needs_them_more():
    # The setting of the trap: correlation over a good part of the model, where the mean and the stripes are most of it.
    field = CosineField(SHAPE, 64, corr_length=16.0)
    zero = (field.modes == 0).any(1)
    total = CosineField(SHAPE, 32 * 32, corr_length=16.0).basis.square().mean((1, 2)).sum()
    kept = field.basis.square().mean((1, 2))
    assert kept.sum() / total > 0.8
    assert kept[~zero].sum() / total < 0.1


@given(
    scale=st.floats(0, 1e30),
    seed=st.integers(0, 1000),
    low=st.floats(300, 1500),
    high=st.floats(3200, 9000),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_velocity_stays_inside_its_bounds_for_any_coefficients(scale, seed, low, high, dtype):
    field = CosineField((8, 9), 20, corr_length=3.0, min_vel=low, max_vel=high)
    x = scale * field.sample(3, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    velocity = field(x)
    assert velocity.dtype == dtype
    assert float(velocity.min()) >= low
    assert float(velocity.max()) <= high


def test_zero_coefficients_give_the_bent_background():
    field = CosineField((10, 4), 5)
    velocity = field(torch.zeros(1, 5, dtype=torch.float64))[0]
    middle, half = 2700.0, 1300.0
    trend = middle + half * torch.tanh((torch.linspace(1800, 3000, 10, dtype=torch.float64) - middle) / half)
    torch.testing.assert_close(velocity, trend[:, None].expand(10, 4))


def test_small_fields_pass_almost_unbent():
    field = CosineField(SHAPE, 64, corr_length=5.0, std=1.0, top=2699.0, bottom=2701.0)
    x = field.sample(2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(field(x), field.field(x) + field.background, rtol=1e-5, atol=0)


def test_velocity_is_differentiable_and_depends_on_every_mode():
    field = CosineField(SHAPE, 64, corr_length=5.0)
    x = field.sample(1, generator=torch.Generator().manual_seed(0))
    slopes = torch.func.jacfwd(lambda z: field(z)[0])(x)
    assert (slopes.abs().amax((0, 1, 2)) > 0).all()
    start = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(CosineField((4, 5), 3, corr_length=2.0), start)


def test_samples_are_standard_normal_and_reproducible():
    field = CosineField(SHAPE, 64)
    a, b = (field.sample(500, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(a, b)
    assert a.shape == (500, 64)
    assert abs(float(a.mean())) < 0.03  # five standard errors
    assert abs(float(a.std()) - 1) < 0.02
    assert field.sample(1, dtype=torch.float32).dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"shape": (1, 8)}, ValueError, "shape must be at least 2, got 1"),
        ({"shape": (8,)}, ValueError, r"shape must be \(nz, nx\), got \(8,\)"),
        ({"shape": 8}, TypeError, r"shape must be \(nz, nx\), got 8"),
        ({"num_modes": 0}, ValueError, "num_modes must be at least 1, got 0"),
        ({"num_modes": 65}, ValueError, r"num_modes must be at most the number of cells \(64\), got 65"),
        ({"corr_length": 0.0}, ValueError, "corr_length must be positive and finite, got 0.0"),
        ({"std": float("inf")}, ValueError, "std must be positive and finite, got inf"),
        ({"min_vel": 1900.0}, ValueError, r"0 < min_vel < top, bottom < max_vel, got 1900.0, 1800.0"),
        ({"max_vel": 3000.0}, ValueError, r"got 1400.0, 1800.0, 3000.0, 3000.0"),
    ],
)
def test_refuses_bad_settings(changes, error, message):
    with pytest.raises(error, match=message):
        CosineField(**{"shape": (8, 8), "num_modes": 5, **changes})


def test_refuses_bad_coefficients():
    field = CosineField((8, 8), 5)
    with pytest.raises(ValueError, match=r"coefficients must have shape \[\*, 5\], got \[5\]"):
        field(torch.zeros(5))
    with pytest.raises(ValueError, match="coefficients must be finite, got 5 NaN"):
        field(torch.full((1, 5), float("nan")))
    with pytest.raises(TypeError, match="coefficients must have a floating dtype, got torch.int64"):
        field(torch.zeros(1, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        field.sample(0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.complex64, "float64"])
def test_samples_are_refused_a_type_that_no_model_has(dtype):
    with pytest.raises(TypeError, match=f"dtype must be torch.float32 or torch.float64, got {dtype}"):
        CosineField((8, 8), 5).sample(2, dtype=dtype)


def test_samples_are_refused_a_seed_for_a_generator():
    with pytest.raises(TypeError, match="generator must be a torch.Generator or None, got int"):
        CosineField((8, 8), 5).sample(2, generator=0)


def test_only_models_of_the_grid_are_bent():
    field = CosineField((8, 9), 5)
    models = torch.full((2, 8, 9), 1e4, dtype=torch.float64)
    torch.testing.assert_close(field.bounded(models), torch.full_like(models, 4000.0), rtol=1e-3, atol=0)
    with pytest.raises(TypeError, match="velocity must be a torch.Tensor, got float"):
        field.bounded(3.0)
    with pytest.raises(ValueError, match=r"velocity must have shape \[\*, 8, 9\], got \[8, 9\]"):
        field.bounded(models[0])
    with pytest.raises(ValueError, match="velocity must be finite, got 72 NaN"):
        field.bounded(torch.cat([models[:1], models[1:] * math.nan]))


def test_generators_loader_and_resampling_are_importable_from_here():
    wanted = {"layered", "folded", "faulted", "salt", "load_velocity_models", "resample", "fetch_velocity_models"}
    assert wanted <= set(lib.velocity.__all__)
    assert all(hasattr(lib.velocity, name) for name in lib.velocity.__all__)


@pytest.mark.parametrize("name", ["corr_length", "std", "top", "bottom", "min_vel", "max_vel"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, "2000", None, True, torch.ones(2)])
def test_bad_numbers_are_refused_by_name(name, value):
    with pytest.raises((TypeError, ValueError), match=f"{name} must"):
        CosineField(SHAPE, 4, **{name: value})
