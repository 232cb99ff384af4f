"""Coarser grids: no aliasing, nothing new, and an average with a reason."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.geology import faulted
from lib.resampling import resample

AVERAGES = ["squared slowness", "slowness", "velocity"]


def models(n=3, shape=(40, 60), seed=0):
    return faulted(n, shape, generator=torch.Generator().manual_seed(seed))


def pattern(frequency, ratio, n=480, mean=3000.0, height=1.0):
    """A small cosine down a model, `frequency` cycles per new cell of `ratio` old ones."""
    depth = (torch.arange(n, dtype=torch.float64) + 0.5) / ratio
    return (mean + height * torch.cos(2 * math.pi * frequency * depth + 0.3))[None, :, None].expand(1, n, 6)


@pytest.mark.parametrize("ratio", [2, 4, 6])
@pytest.mark.parametrize("average", AVERAGES)
def test_what_the_new_grid_cannot_carry_does_not_alias(average, ratio):
    for frequency in torch.linspace(0.75, ratio / 2, 9).tolist():  # from 1.5 times the new Nyquist to the old one
        fine = pattern(frequency, ratio)
        coarse = resample(fine, (480 // ratio, 6), average=average)[0, 2:-2, 0] - 3000
        picked = fine[0, ratio // 2 :: ratio, 0] - 3000
        means = fine.reshape(480 // ratio, ratio, 6)[:, :, 0].mean(1) - 3000
        assert coarse.abs().max() < 0.091  # sinc(.75)^2 = .0901
        if frequency < 1:
            assert picked.square().mean().sqrt() == pytest.approx(0.5**0.5, rel=0.05)  # all of it, aliased
        if frequency == 0.75:
            assert means.abs().max() > 0.25


@pytest.mark.parametrize("frequency", [0.1, 0.25, 0.4, 0.5, 0.75])
def test_damping_is_the_square_of_a_sinc(frequency):
    found = resample(pattern(frequency, 24), (20, 6), average="velocity")[0, 2:-2, 0] - 3000
    centres = torch.arange(2, 18, dtype=torch.float64) + 0.5
    expected = torch.cos(2 * math.pi * frequency * centres + 0.3) * float(torch.sinc(torch.tensor(frequency))) ** 2
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-3)  # the triangle is sampled at 48 cells


@pytest.mark.parametrize("average", AVERAGES)
@given(
    nz=st.integers(2, 30),
    nx=st.integers(2, 30),
    new=st.tuples(st.integers(2, 30), st.integers(2, 30)),
    speed=st.floats(100, 9000),
)
def test_a_constant_stays_constant(average, nz, nx, new, speed):
    shape = (min(new[0], nz), min(new[1], nx))
    found = resample(torch.full((2, nz, nx), speed, dtype=torch.float64), shape, average=average)
    torch.testing.assert_close(found, torch.full((2, *shape), speed, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("average", AVERAGES)
def test_no_speed_lies_beyond_those_of_the_models_and_the_dtype_stays(average):
    for dtype in (torch.float32, torch.float64):
        fine = models().to(dtype)
        coarse = resample(fine, (13, 17), average=average)
        assert coarse.dtype == dtype
        assert coarse.shape == (3, 13, 17)
        low, high = (extreme(fine.flatten(1), 1).values[:, None, None] for extreme in (torch.min, torch.max))
        assert (coarse >= low * (1 - 1e-6)).all()
        assert (coarse <= high * (1 + 1e-6)).all()


def test_velocity_average_agrees_with_the_antialiased_interpolation_of_torch():
    fine = models()
    for shape in ((20, 30), (13, 17), (40, 60), (2, 3), (40, 7)):
        theirs = torch.nn.functional.interpolate(fine[:, None], shape, mode="bilinear", antialias=True)[:, 0]
        torch.testing.assert_close(resample(fine, shape, average="velocity"), theirs, rtol=1e-10, atol=0)


def test_the_same_grid_gives_the_models_back():
    fine = models()
    torch.testing.assert_close(resample(fine, (40, 60)), fine, rtol=1e-12, atol=0)


def test_slowness_keeps_the_vertical_time_through_layers():
    # Layers thicker than two new cells; the outermost half cells are weighted differently, so they are of one speed.
    fine = torch.tensor([2000.0, 2500.0, 1800.0, 4000.0, 3000.0], dtype=torch.float64).repeat_interleave(16)
    fine = fine[None, :, None].expand(1, 80, 4)
    times = {name: (4 / resample(fine, (20, 4), average=name)[0, :, 0]).sum() for name in AVERAGES}
    exact = (1 / fine[0, :, 0]).sum()
    assert abs(times["slowness"] / exact - 1) < 1e-12
    assert times["velocity"] < exact * (1 - 1e-3)
    assert times["squared slowness"] > exact * (1 + 1e-3)


def test_default_is_the_speed_of_waves_much_longer_than_the_cells():
    # Exact dispersion of alternating layers of one cell, equal density: with z = v2 / v1,
    # cos(2 k h) = cos(w h / v1) cos(w h / v2) - (z + 1 / z) / 2 sin(w h / v1) sin(w h / v2).
    v1, v2, h, w = 1500.0, 4500.0, 1.0, 5.0  # a wavelength of 2500 cells
    a, b = w * h / v1, w * h / v2
    cosine = math.cos(a) * math.cos(b) - (v1 / v2 + v2 / v1) / 2 * math.sin(a) * math.sin(b)
    exact = w * 2 * h / math.acos(cosine)
    fine = torch.tensor([v1, v2], dtype=torch.float64).repeat(64)[None, :, None].expand(1, 128, 8)
    found = {name: float(resample(fine, (16, 4), average=name)[0, 8, 2]) for name in AVERAGES}
    assert found["squared slowness"] == pytest.approx(exact, rel=1e-4)
    assert float(resample(fine, (16, 4))[0, 8, 2]) == found["squared slowness"]
    assert min(found["slowness"], found["velocity"]) > 1.06 * exact


@pytest.mark.parametrize("cells", [32, 27, 21, 8])
def test_new_cells_divide_the_extent_evenly(cells):
    # Squared slowness that grows linearly with depth: its weighted mean is that of the centre.
    depth = (torch.arange(80, dtype=torch.float64) + 0.5) * 10
    fine = (1e-7 + 1e-10 * depth)[None, :, None].expand(1, 80, 80) ** -0.5
    coarse = resample(fine, (cells, cells))[0, 1:-1, 0]
    centres = (torch.arange(len(coarse), dtype=torch.float64) + 1.5) * 800 / cells
    torch.testing.assert_close((coarse**-2 - 1e-7) / 1e-10, centres, rtol=0, atol=0.5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: resample(models(), (41, 60)), ValueError, r"at most the models' \[40, 60\], got \[41, 60\]"),
        (lambda: resample(models(), (20, 61)), ValueError, "shape must be at most"),
        (lambda: resample(models(), 20), TypeError, r"shape must be \(nz, nx\), got 20"),
        (lambda: resample(models(), (1, 20)), ValueError, "shape must be at least 2, got 1"),
        (lambda: resample(models(), (20, 20), average="mean"), ValueError, "average must be one of .*got 'mean'"),
        (lambda: resample(models()[0], (20, 20)), ValueError, r"models must have shape \[\*, \*, \*\]"),
        (lambda: resample(models() * 0, (20, 20)), ValueError, "models must be positive, got a smallest speed of 0"),
        (lambda: resample(models() / 0, (20, 20)), ValueError, "models must be finite"),
        (lambda: resample(None, (20, 20)), TypeError, "models must be a torch.Tensor"),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
