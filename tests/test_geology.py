"""The generators of layered geology."""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
        ((1, (8, 8)), {"generator": 0}, TypeError, "generator must be a torch.Generator or None, got int"),
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


def test_salt_is_one_body_of_one_velocity_inside_layers():
    models = draw(salt, 20, (40, 60), salt_velocity=5000.0)
    body = models == 5000.0
    share = body.double().mean((1, 2))
    assert ((share > 0.02) & (share < 0.4)).all()
    assert not body[:, [0, -1]].any()  # neither at the surface nor at the bottom
    assert (body.long().diff(dim=2).abs().sum(2) <= 2).all()  # one run of cells in each row
    again = draw(salt, 20, (40, 60), salt_velocity=4500.0)
    assert torch.equal(again[~body], models[~body])
