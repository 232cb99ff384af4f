"""The population of low-passed geology: an orthogonal basis, units, and a law that is no Gaussian."""

import pytest
import torch

from lib.geology_field import GeologyField
from lib.jacobian import dot_test


@pytest.fixture(scope="module")
def field():
    """A small field."""
    return GeologyField((16, 16), 40)


def draws(field, n, seed=1):
    """Coefficients of a population of models."""
    return field.sample(n, generator=torch.Generator().manual_seed(seed))


def test_coefficients_are_centred_and_of_unit_mean_square(field):
    x = draws(field, 2000)
    assert float(x.square().mean()) == pytest.approx(1, abs=0.08)  # five standard errors
    assert float(x.mean(0).abs().max()) < 5 * float(x.std(0).max()) / 2000**0.5
    assert float(x.var(0).max() / x.var(0).min()) > 100  # very unequal


def test_encoding_inverts_the_linear_map_and_distances_are_kept(field):
    x = draws(field, 5)
    torch.testing.assert_close(field.encode(field.field(x) + field.centre), x)
    pixels = (field.field(x[:1]) - field.field(x[1:2])).square().mean().sqrt()
    torch.testing.assert_close(pixels, field.unit * (x[0] - x[1]).norm())


def test_velocities_stay_inside_the_bounds(field):
    for scale in (1.0, 100.0):
        v = field(scale * draws(field, 50).float())
        assert v.shape == (50, 16, 16)
        assert 1400 <= float(v.min()) <= float(v.max()) <= 4000


def test_population_is_not_gaussian(field):
    # A single Gaussian knows no kinds: of a flat layered model all coefficients of lateral modes vanish at once.
    flat = draws(field, 300)[:, (field.basis[:, 0] - field.basis[:, 0, :1]).abs().amax(1) > 1e-9].abs().amax(1) < 1e-9
    assert 0.25 < float(flat.double().mean()) < 0.42


def test_draws_follow_their_generator(field):
    assert torch.equal(draws(field, 7), draws(field, 7))
    assert not torch.equal(draws(field, 7), draws(field, 7, seed=2))


def test_map_is_differentiable(field):
    generator = torch.Generator().manual_seed(0)
    assert dot_test(lambda x: field(x).flatten(1), draws(field, 1)[0], generator=generator) < 1e-10


def test_bad_input_is_named(field):
    with pytest.raises(ValueError, match="velocity must have shape"):
        field.encode(torch.ones(2, 16, 15))
    with pytest.raises(ValueError, match="coefficients must have shape"):
        field(torch.ones(2, 39))
    with pytest.raises(ValueError, match="num_modes"):
        GeologyField((4, 4), 17)
    with pytest.raises(ValueError, match=r"num_modes must be at most 2913 on a grid of \(54, 54\): .*, got 2916"):
        GeologyField((54, 54), 54 * 54)
    with pytest.raises(TypeError, match="generator must be a torch.Generator or None, got int"):
        field.sample(2, generator=0)
