"""The generators of layered geology."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from lib.geology import faulted, folded, layered, salt

GENERATORS = [layered, folded, faulted]


def draw(make, n=5, shape=(40, 60), seed=0, **options):
    """Models of one generator."""
    return make(n, shape, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("make", GENERATORS)
@given(
    n=st.integers(1, 4),
    nz=st.integers(2, 30),
    nx=st.integers(2, 30),
    num_layers=st.integers(1, 12),
    top=st.floats(500, 3000),
    bottom=st.floats(500, 6000),
)
def test_models_have_their_shape_and_limits(make, n, nz, nx, num_layers, top, bottom):
    models = draw(make, n, (nz, nx), num_layers=num_layers, top=top, bottom=bottom)
    assert models.shape == (n, nz, nx)
    assert models.dtype == torch.float64
    assert (models >= 0.6 * min(top, bottom) - 1e-9).all()  # m/s
    assert (models <= 1.4 * max(top, bottom) + 1e-9).all()
    assert all(len(model.unique()) <= num_layers for model in models)


@pytest.mark.parametrize("make", [*GENERATORS, salt])
def test_seeds_reproduce_and_models_differ(make):
    first, again, other = draw(make), draw(make), draw(make, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert all(not torch.equal(first[0], model) for model in first[1:])


@pytest.mark.parametrize("make", GENERATORS)
def test_velocity_grows_with_depth_on_average(make):
    profile = draw(make, 300, (40, 8)).mean((0, 2))
    assert profile[-5:].mean() > 1.4 * profile[:5].mean()


def test_layers_have_no_lateral_change():
    models = draw(layered)
    assert torch.equal(models, models[:, :, :1].expand_as(models))


def test_folds_have_lateral_change_that_grows_with_the_amplitude():
    def spread(amplitude):
        return draw(folded, 40, amplitude=amplitude).std(2).mean()

    assert spread(1e-6) < 1e-2 * spread(0.1)
    assert spread(0.02) < spread(0.1) < spread(0.3)


def test_folds_bend_every_interface_alike():
    # Depth below the bent datum is one shift a column, so a column is another one moved up or down.
    model = draw(folded, 1, (200, 50), amplitude=0.05)[0]
    tops = torch.stack([(column.diff() != 0).nonzero()[:, 0] for column in model.T if len(column.unique()) == 6])
    assert len(tops) > 10
    assert (tops.diff(dim=1) - tops.diff(dim=1)[0]).abs().max() <= 1  # one cell of rounding


def test_faults_move_the_layers_across_the_fault():
    differ = 0
    for seed in range(8):
        # Wide enough for the fault to reach the bottom inside the model.
        still, moved = (draw(faulted, 1, (40, 120), amplitude=1e-6, throw=t, seed=seed)[0] for t in (1e-9, 0.3))
        assert torch.equal(still, still[:, :1].expand_as(still))  # no fold, no throw: flat
        left, right = moved[:, :1], moved[:, -1:]
        assert torch.equal(left, still[:, :1])  # only the far side moves
        differ += not torch.equal(left, right)
        # Each column is one of the two sides, or crosses the dipping fault once.
        sides = (moved == left) | (moved == right)
        assert sides.all()
    assert differ >= 5  # a small throw may cross no interface


def test_throw_moves_as_far_as_it_says():
    model = draw(faulted, 40, (100, 240), amplitude=1e-6, throw=0.1)
    for one in model:
        left, right = ((side.diff() != 0).nonzero()[:, 0] for side in (one[:, 0], one[:, -1]))
        if len(left) == len(right) and len(left):
            shift = (left - right).abs()
            assert shift.max() <= 0.1 * 100 + 1
            assert shift.max() - shift.min() <= 1


@pytest.mark.parametrize("make", [*GENERATORS, salt])
def test_docstrings_say_what_breaks_down(make):
    text = inspect.getdoc(make)
    assert "Stands in for:" in text
    assert "Breaks down:" in text


@pytest.mark.parametrize("make", [*GENERATORS, salt])
@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, (8, 8)), {}, ValueError, "n must be at least 1, got 0"),
        ((1.5, (8, 8)), {}, TypeError, "n must be a whole number, got float"),
        ((1, (8,)), {}, ValueError, r"shape must be \(nz, nx\), got \(8,\)"),
        ((1, (8, 1)), {}, ValueError, "shape must be at least 2, got 1"),
        ((1, 8), {}, TypeError, r"shape must be \(nz, nx\), got 8"),
        ((1, (8, 8)), {"num_layers": 0}, ValueError, "num_layers must be at least 1, got 0"),
        ((1, (8, 8)), {"top": -1.0}, ValueError, "top must be positive and finite, got -1.0"),
        ((1, (8, 8)), {"bottom": 0.0}, ValueError, "bottom must be positive and finite, got 0.0"),
    ],
)
def test_refuses_bad_arguments(make, arguments, options, error, message):
    with pytest.raises(error, match=message):
        make(*arguments, **options)


def test_refuses_bad_folds_and_throws():
    for make in (folded, faulted, salt):
        with pytest.raises(ValueError, match="amplitude must be positive and finite, got -0.1"):
            draw(make, amplitude=-0.1)
    with pytest.raises(ValueError, match="throw must be positive and finite, got nan"):
        draw(faulted, throw=float("nan"))


def test_salt_is_one_body_in_folded_layers():
    models = draw(salt, 30, (60, 80), salt_velocity=5000.0)
    layers = draw(folded, 30, (60, 80), amplitude=0.06, top=1600.0, bottom=3500.0)  # the same seed, drawn first
    for model, sediments in zip(models, layers, strict=True):
        body = model == 5000
        assert torch.equal(model[~body], sediments[~body])
        assert label(body.numpy(), np.ones((3, 3)))[1] == 1
        holes = label(np.pad(~body.numpy(), 1, constant_values=True))[1]
        assert holes == 1


@given(seed=st.integers(0, 10**6), roughness=st.floats(0.01, 0.3), nz=st.integers(2, 40), nx=st.integers(2, 40))
def test_salt_keeps_shape_limits_and_speeds(seed, roughness, nz, nx):
    models = draw(salt, 3, (nz, nx), seed=seed, roughness=roughness, size=0.5)
    assert models.shape == (3, nz, nx)
    sediments = models[models != 4500]
    assert len(sediments) > 0
    assert (sediments >= 0.6 * 1600 - 1e-9).all()
    assert (sediments <= 1.4 * 3500 + 1e-9).all()


def test_salt_grows_with_its_size_and_roughens():
    def area(**options):
        return (draw(salt, 400, (60, 60), **options) == 4500).double().mean((1, 2))

    # An ellipse half as high to once as high as wide: pi r^2 E[1 / flatness] = pi r^2 log 2, of the shorter side.
    for size in (0.1, 0.2):
        assert float(area(size=size, roughness=1e-3).mean()) == pytest.approx(math.pi * size**2 * math.log(2), rel=0.05)
    # The mean square of the radius is that of the ellipse times 1 + roughness^2.
    smooth, rough = (area(size=0.2, roughness=r) for r in (1e-3, 0.3))
    assert float(rough.mean() / smooth.mean()) == pytest.approx(1.09, rel=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"salt_velocity": 0.0}, "salt_velocity must be positive"),
        ({"size": -0.1}, "size must be positive"),
        ({"size": 0.6}, "size must be at most 0.5 .* got 0.6"),
        ({"roughness": 0.31}, "roughness at most 0.3, got 0.25 and 0.31"),
        ({"roughness": float("nan")}, "roughness must be positive"),
    ],
)
def test_refuses_bad_salt(options, message):
    with pytest.raises(ValueError, match=message):
        draw(salt, **options)
