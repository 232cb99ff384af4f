"""Figures: colour maps, limits, axes with units, one bar."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from lib import plotting


@pytest.fixture
def ax():
    """Empty axes."""
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


MODEL = torch.linspace(1500, 3500, 12).reshape(3, 4)


def test_velocity_has_kilometre_axes_with_depth_downwards(ax):
    image = plotting.show_velocity(ax, MODEL, 50.0, title="model")
    assert image.get_cmap().name == "viridis"
    assert image.get_clim() == (1400.0, 4000.0)
    assert ax.get_xlim() == (0, 0.2)
    assert ax.get_ylim() == (pytest.approx(0.15), 0)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("distance (km)", "depth (km)", "model")
    np.testing.assert_allclose(image.get_array(), MODEL.numpy())


def test_signed_fields_are_symmetric_and_spread_starts_at_zero(ax):
    signed = plotting.show_difference(ax, MODEL - 2500, 50.0, limit=300.0)
    spread = plotting.show_spread(ax, MODEL, 50.0, limit=300.0)
    assert (signed.get_cmap().name, signed.get_clim()) == ("RdBu_r", (-300.0, 300.0))
    assert (spread.get_cmap().name, spread.get_clim()) == ("magma", (0.0, 300.0))


def test_shot_record_runs_downwards_in_time_with_its_clip(ax):
    record = torch.arange(15.0).reshape(3, 5)  # [receiver, time]
    image = plotting.show_shot(ax, record, 0.004, 25.0, clip=2.0)
    assert (image.get_cmap().name, image.get_clim()) == ("gray", (-2.0, 2.0))
    assert image.get_array().shape == (5, 3)
    assert float(image.get_array()[4, 0]) == 4.0  # last time of the first receiver
    assert ax.get_xlim() == (0, pytest.approx(0.075))
    assert ax.get_ylim() == (pytest.approx(0.02), 0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("distance (km)", "time (s)")


@pytest.mark.parametrize("shape", ["one", "list", "array"])
def test_one_labelled_bar_serves_one_or_many_axes(shape):
    fig, axes = plt.subplots(1, 2, layout="constrained")
    image = plotting.show_velocity(axes[0], MODEL, 50.0)
    plotting.velocity_bar(image, {"one": axes[0], "list": list(axes), "array": axes}[shape])
    assert len(fig.axes) == 3
    assert fig.axes[-1].get_ylabel() == "velocity (m/s)"
    fig.canvas.draw()
    plt.close(fig)


def test_double_precision_and_gradients_are_drawn_and_left_alone(ax):
    model = MODEL.double().requires_grad_()
    kept = model.detach().clone()
    plotting.show_velocity(ax, model, 50.0)
    plotting.show_shot(ax, model, 0.004, 25.0, clip=1.0)
    assert torch.equal(model, kept)


def test_style_is_white_without_jet_and_safe_for_the_colour_blind():
    with mpl.rc_context():
        plotting.use_style()
        assert mpl.rcParams["figure.facecolor"] == "white"
        assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(plotting.COLORS.values())
    assert plotting.COLORS["blue"] == "#0072B2"
    assert len(set(plotting.COLORS.values())) == len(plotting.COLORS)


def test_refuses_what_is_no_image(ax):
    with pytest.raises(ValueError, match=r"values must have shape \[\*, \*\], got \[1, 3, 4\]"):
        plotting.show_velocity(ax, MODEL[None], 50.0)
    with pytest.raises(TypeError, match=r"values must be a torch.Tensor, got ndarray; torch.as_tensor"):
        plotting.show_velocity(ax, MODEL.numpy(), 50.0)
    with pytest.raises(ValueError, match="values must be finite, got 12 NaN"):
        plotting.show_spread(ax, MODEL * float("nan"), 50.0, limit=1.0)
    with pytest.raises(ValueError, match=r"record must have shape \[\*, \*\], got \[3\]"):
        plotting.show_shot(ax, MODEL[:, 0], 0.004, 25.0, clip=1.0)
    with pytest.raises(ValueError, match="grid_spacing must be positive and finite, got 0.0"):
        plotting.show_difference(ax, MODEL, 0.0, limit=1.0)


def test_headline_draws_the_arrays_it_is_given():
    random = np.random.default_rng(0)
    result = {key: random.uniform(1500, 3500, (3, 8, 8)) for key in ("copied", "memorized", "population")}
    result |= {"truth": result["copied"][0], "landed": np.array([4, 4, 7]), "grid_spacing": 50.0}
    result |= {"chi2_truth": 1.0, "chi2_memorized": [1.5, 2.5, 3.5], "chi2_population": [1.01, 1.02, 1.03]}
    fig = plotting.headline(result)
    titles = [ax.get_title() for ax in fig.axes]
    assert "truth\nmisfit 1.00" in titles
    assert "example 7" in titles
    assert "memorized\nmisfit 2.50" in titles
    assert "population\nmisfit 1.03" in titles
    assert len({image.get_clim() for ax in fig.axes[:12] for image in ax.images}) == 1
    fig.canvas.draw()
    plt.close(fig)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), None, True])
def test_sizes_and_limits_are_positive(ax, value):
    for name in ("dt", "receiver_spacing", "clip"):
        with pytest.raises((TypeError, ValueError), match=f"{name} must be"):
            plotting.show_shot(ax, MODEL, **{"dt": 0.004, "receiver_spacing": 25.0, "clip": 2.0, name: value})
    for show in (plotting.show_difference, plotting.show_spread):
        with pytest.raises((TypeError, ValueError), match="limit must be"):
            show(ax, MODEL, 50.0, limit=value)
