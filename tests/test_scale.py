"""The presets: only sizes differ, everything dimensionless is equal."""

import dataclasses

import pytest
import torch

from lib.network import ResidualMLP, UNet
from lib.scale import device, learning_scale, scale

QUICK, FULL = scale("quick"), scale("full")
LEARN_QUICK, LEARN_FULL = learning_scale("quick"), learning_scale("full")


def test_default_is_quick_and_the_environment_chooses(monkeypatch):
    monkeypatch.delenv("COURSE_SCALE", raising=False)
    assert scale().name == "quick"
    monkeypatch.setenv("COURSE_SCALE", "full")
    assert scale().name == "full"
    assert scale("quick").name == "quick"
    monkeypatch.setenv("COURSE_SCALE", "huge")
    with pytest.raises(ValueError, match=r"COURSE_SCALE must be one of \['full', 'quick'\], got 'huge'"):
        scale()


def test_points_per_wavelength_courant_number_and_noise_are_equal():
    for preset in (QUICK, FULL):
        survey = preset.acquisition()
        assert survey.points_per_wavelength(preset.min_vel) == pytest.approx(1400 / (3 * 3.5) / 50)
        assert preset.max_vel * survey.dt / survey.grid_spacing == pytest.approx(0.4)
        assert survey.internal_steps == 1  # below the stability limit: gradients are exact at interval 1
        assert preset.noise_to_signal == QUICK.noise_to_signal
        assert preset.extent == QUICK.extent
        assert survey.dt * survey.nt == pytest.approx(preset.duration, rel=1e-2)


@pytest.mark.parametrize("preset", [QUICK, FULL], ids=lambda p: p.name)
def test_survey_and_field_fit_each_other(preset):
    survey, field = preset.acquisition(), preset.velocity_field()
    assert survey.shape == field.shape == (preset.grid, preset.grid)
    assert survey.grid_spacing * preset.grid == preset.extent
    assert survey.num_data == preset.num_shots * preset.grid * survey.nt
    assert field.num_modes == preset.num_modes
    assert field.bounds[1] <= survey.max_vel
    assert survey.gradient_interval == preset.gradient_interval
    # At least six samples a period of three times the peak frequency would be 18 a peak period; Nyquist asks for 6.
    assert survey.gradient_interval * survey.dt <= 1 / (6 * preset.peak_freq)


def test_population_is_the_same_at_both_scales():
    x = QUICK.velocity_field().sample(1, generator=torch.Generator().manual_seed(0))
    small, large = QUICK.velocity_field()(x)[0], FULL.velocity_field()(x)[0]
    averaged = torch.nn.functional.avg_pool2d(large[None], 2)[0]
    assert (averaged - small).norm() < 0.03 * (small - small.mean()).norm()


def test_presets_are_frozen_and_grow():
    with pytest.raises(dataclasses.FrozenInstanceError):
        QUICK.grid = 64
    assert FULL.grid > QUICK.grid
    assert FULL.num_samples >= QUICK.num_samples
    assert set(QUICK.training_sizes) <= set(FULL.training_sizes)


def test_learning_sizes_follow_the_same_choice(monkeypatch):
    monkeypatch.delenv("COURSE_SCALE", raising=False)
    assert learning_scale() is LEARN_QUICK
    monkeypatch.setenv("COURSE_SCALE", "full")
    assert learning_scale() is LEARN_FULL
    assert [preset.name for preset in (LEARN_QUICK, LEARN_FULL)] == ["quick", "full"]
    for name in ("huge", "", 3, ["quick"]):
        with pytest.raises(ValueError, match=r"COURSE_SCALE must be one of \['full', 'quick'\], got "):
            learning_scale(name)


def test_learning_presets_are_frozen_and_grow():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LEARN_QUICK.steps = 1
    for field in dataclasses.fields(LEARN_QUICK)[1:]:
        small, large = getattr(LEARN_QUICK, field.name), getattr(LEARN_FULL, field.name)
        if isinstance(small, tuple):
            assert list(small) == sorted(set(small))
            assert list(large) == sorted(set(large))
            assert len(small) <= len(large)
            assert max(small) <= max(large)
        else:
            assert 0 < small <= large
    assert LEARN_QUICK.dim == LEARN_FULL.dim
    for name in ("sizes", "timing_sizes", "widths"):  # a curve at full goes through the points of quick
        assert set(getattr(LEARN_QUICK, name)) <= set(getattr(LEARN_FULL, name))


@pytest.mark.parametrize("preset", [LEARN_QUICK, LEARN_FULL], ids=lambda p: p.name)
def test_networks_of_the_learning_presets_can_be_built(preset):
    with torch.device("meta"):
        UNet((preset.image_grid, preset.image_grid), channels=preset.image_channels)
        for width in (*preset.widths, preset.wave_width):
            ResidualMLP(preset.dim, width=width)


def test_device_follows_the_environment(monkeypatch):
    for name in ("cpu", "meta"):
        monkeypatch.setenv("COURSE_DEVICE", name)
        assert device() == torch.device(name)
    monkeypatch.delenv("COURSE_DEVICE")
    assert device().type == ("cuda" if torch.cuda.is_available() else "cpu")
