"""Changes of velocity models that keep them geology: where a cell goes, and which velocities may appear."""

import pytest
import torch

from lib.augmentation import augment, mirror, shift, stretch
from lib.geology import faulted

SPACING = 50.0


def models(n=4, shape=(12, 20)):
    """Faulted layers, m/s."""
    return faulted(n, shape, generator=torch.Generator().manual_seed(0))


def numbers(*values):
    """A double tensor."""
    return torch.tensor(values, dtype=torch.float64)


def test_mirror_exchanges_left_and_right_and_undoes_itself():
    v = models()
    assert torch.equal(mirror(v)[:, :, 0], v[:, :, -1])
    assert torch.equal(mirror(mirror(v)), v)


def test_shift_moves_whole_cells_exactly_and_continues_the_edge():
    v = models(2)
    moved = shift(v, numbers(100.0, 0.0), numbers(0.0, -150.0), grid_spacing=SPACING)
    torch.testing.assert_close(moved[0, 2:], v[0, :-2])
    torch.testing.assert_close(moved[0, :2], v[0, :1].expand(2, -1))
    torch.testing.assert_close(moved[1, :, :-3], v[1, :, 3:])


def test_stretch_keeps_the_surface_and_thickens_layers():
    # Twelve cells of 50 m; an interface at 200 m, between cells 3 and 4, goes to 400 m, between cells 7 and 8.
    v = torch.where(torch.arange(12) < 4, 1500.0, 3000.0).double()[None, :, None].expand(1, 12, 6)
    thick = stretch(v, numbers(2.0), numbers(1.0))[0, :, 0]
    expected = torch.tensor([1500.0] * 7 + [1875.0, 2625.0] + [3000.0] * 3).double()  # linear at the interface
    torch.testing.assert_close(thick, expected)


def test_lateral_stretch_is_about_the_middle():
    ramp = torch.arange(20).double().expand(1, 5, 20) * 100 + 1000
    wide = stretch(ramp, numbers(1.0), numbers(2.0))
    assert float(wide.mean()) == pytest.approx(float(ramp.mean()))
    torch.testing.assert_close(wide[0, 0].diff(), torch.full((19,), 50.0).double())


def test_augmented_models_start_with_the_originals_and_stay_in_their_range():
    v = models(5)
    many = augment(v, 6, grid_spacing=SPACING, generator=torch.Generator().manual_seed(1))
    assert many.shape == (35, 12, 20)
    assert torch.equal(many[:5], v)
    low, high = v.amin((1, 2)).repeat(7) - 1e-6, v.amax((1, 2)).repeat(7) + 1e-6
    assert ((many >= low[:, None, None]) & (many <= high[:, None, None])).all()  # no new velocity is invented
    assert len(torch.unique(many, dim=0)) == 35
    assert torch.equal(many, augment(v, 6, grid_spacing=SPACING, generator=torch.Generator().manual_seed(1)))


def test_velocity_still_grows_downwards():
    many = augment(models(50), 4, grid_spacing=SPACING, generator=torch.Generator().manual_seed(1))
    assert (many.mean((0, 2)).diff() > 0).all()


def test_nothing_moves_where_nothing_may():
    v = models()
    still = augment(v, 3, grid_spacing=SPACING, max_shift=(0.0, 0.0), max_stretch=(1.0, 1.0))
    assert all(min(float((m - v[k % 4]).abs().max()), float((m - mirror(v)[k % 4]).abs().max())) < 1e-6
               for k, m in enumerate(still))  # fmt: skip


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="grid_spacing"):
        augment(models(), 1, grid_spacing=0.0)
    with pytest.raises(ValueError, match="depth must be positive"):
        stretch(models(1), numbers(-1.0), numbers(1.0))
    with pytest.raises(ValueError, match="down must have shape"):
        shift(models(2), numbers(1.0), numbers(1.0, 2.0), grid_spacing=SPACING)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("max_shift", 100.0, TypeError, "a pair of numbers, got 100.0"),
        ("max_shift", None, TypeError, "a pair of numbers, got None"),
        ("max_shift", ("50", 400.0), TypeError, "a pair of numbers, got"),
        ("max_shift", (1.0, 2.0, 3.0), ValueError, r"a pair of numbers, got \(1.0, 2.0, 3.0\)"),
        ("max_shift", (float("nan"), 2.0), ValueError, r"finite and at least 0, got \(nan, 2.0\)"),
        ("max_shift", (1.0, float("inf")), ValueError, r"finite and at least 0, got \(1.0, inf\)"),
        ("max_shift", (-1.0, 2.0), ValueError, r"finite and at least 0, got \(-1.0, 2.0\)"),
        ("max_stretch", 1.1, TypeError, "a pair of numbers, got 1.1"),
        ("max_stretch", (1.1,), ValueError, r"a pair of numbers, got \(1.1,\)"),
        ("max_stretch", (True, 1.1), TypeError, "a pair of numbers, got"),
        ("max_stretch", (0.5, 1.0), ValueError, r"finite and at least 1, got \(0.5, 1.0\)"),
        ("max_stretch", (1.1, float("nan")), ValueError, r"finite and at least 1, got \(1.1, nan\)"),
    ],
)
def test_bad_bounds_are_named(name, value, error, message):
    with pytest.raises(error, match=f"{name} must be {message}"):
        augment(models(1), 1, grid_spacing=SPACING, **{name: value})
