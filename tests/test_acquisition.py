"""The survey: its geometry, its wavelet, and what it refuses."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.acquisition import Acquisition

SURVEY = {
    "grid_spacing": 50.0,
    "dt": 0.005,
    "nt": 60,
    "peak_freq": 3.5,
    "num_shots": 2,
    "num_receivers": 5,
    "max_vel": 4000.0,
}


def surface(shape=(16, 20), **changes):
    """A small survey with some of its settings changed."""
    return Acquisition.surface(shape, **{**SURVEY, **changes})


@given(nx=st.integers(2, 60), shots=st.integers(1, 60), receivers=st.integers(1, 60))
def test_surface_survey_is_inside_the_grid_and_symmetric(nx, shots, receivers):
    if max(shots, receivers) > nx:
        with pytest.raises(ValueError, match=rf"num_\w+ must be at most the number of cells in a row \({nx}\)"):
            surface((4, nx), num_shots=shots, num_receivers=receivers)
        return
    survey = surface((4, nx), num_shots=shots, num_receivers=receivers)
    assert survey.num_shots == shots
    assert survey.num_data == shots * receivers * survey.nt
    for cells in (survey.source_locations, survey.receiver_locations[0]):
        columns = cells[:, 1]
        assert (cells[:, 0] == 1).all()
        assert columns.min() >= 0
        assert columns.max() < nx
        assert len(columns.unique()) == len(columns)
        # Cells are whole, so a mirrored survey may be one cell off.
        assert (columns + columns.flip(0) - (nx - 1)).abs().max() <= 1


def test_wavelet_is_a_ricker_with_its_peak_at_one_and_a_half_periods():
    survey = surface(dt=0.001, nt=1500)
    wavelet, time = survey.wavelet, torch.arange(1500) * survey.dt
    argument = (torch.pi * survey.peak_freq * (time - 1.5 / survey.peak_freq)).double() ** 2
    torch.testing.assert_close(wavelet, (1 - 2 * argument) * torch.exp(-argument), atol=1e-6, rtol=0)
    spectrum = torch.fft.rfft(wavelet).abs()
    frequencies = torch.fft.rfftfreq(1500, survey.dt)
    assert abs(frequencies[spectrum.argmax()] - survey.peak_freq) <= frequencies[1]
    # The reason for the rule dt <= 1 / (6 peak_freq): beyond three peak frequencies there is almost nothing.
    assert spectrum[frequencies > 3 * survey.peak_freq].max() < 5e-3 * spectrum.max()


def test_internal_steps_grow_with_dt_above_the_stability_limit():
    # Stability needs dt < .6 h / (sqrt(2) max_vel) = 5.3 ms here.
    assert surface().internal_steps == 1
    assert surface(dt=0.01).internal_steps == 2
    assert surface(dt=0.04, nt=20).internal_steps == 8


def test_points_per_wavelength_counts_cells_of_the_shortest_wave():
    assert surface().points_per_wavelength(2100.0) == pytest.approx(2100 / (3 * 3.5) / 50)
    with pytest.raises(ValueError, match=r"min_vel must be positive.*got -1"):
        surface().points_per_wavelength(-1)


@pytest.mark.parametrize("name", ["grid_spacing", "dt", "peak_freq", "max_vel"])
@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1.0, ValueError), (float("nan"), ValueError), ("1", TypeError)]
)
def test_refuses_what_is_not_a_positive_number(name, value, error):
    with pytest.raises(error, match=f"{name} must be .*positive"):
        surface(**{name: value})


@pytest.mark.parametrize("name", ["nt", "pml_width", "gradient_interval", "num_shots", "num_receivers"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (2.5, TypeError), (True, TypeError)])
def test_refuses_what_is_not_a_count(name, value, error):
    with pytest.raises(error, match=f"{name} must be"):
        surface(**{name: value})


def test_refuses_dt_that_undersamples_the_wavelet():
    limit = 1 / (6 * 3.5)
    surface(dt=0.999 * limit)
    with pytest.raises(ValueError, match=r"dt must be at most 1 / \(6 peak_freq\) = 0.04762 s .* got 0.048 s"):
        surface(dt=0.048)


def test_refuses_dt_that_needs_too_many_internal_steps():
    with pytest.raises(ValueError, match=r"dt must need at most 20 internal steps .* got 0.04 s, which needs \d+"):
        surface(dt=0.04, grid_spacing=5.0)


def test_refuses_gradient_samples_below_nyquist():
    assert surface(gradient_interval=9, nt=90).gradient_interval == 9
    with pytest.raises(ValueError, match=r"gradient_interval must keep .* \(9\) and divide nt \(90\), got 10"):
        surface(gradient_interval=10, nt=90)


def test_refuses_gradient_samples_that_do_not_fill_the_record():
    with pytest.raises(ValueError, match=r"divide nt \(91\), got 9"):
        surface(gradient_interval=9, nt=91)


@pytest.mark.parametrize("shape", [(16,), (16, 20, 3), (1, 20)])
def test_refuses_a_grid_that_is_not_two_dimensional(shape):
    with pytest.raises(ValueError, match="shape must be"):
        surface(shape)


def test_refuses_a_grid_that_is_not_a_pair():
    with pytest.raises(TypeError, match=r"shape must be \(nz, nx\), got 16"):
        surface(16)


def replaced(**changes):
    """The survey with its fields, not the arguments of `surface`, changed."""
    return dataclasses.replace(surface(), **changes)


def test_refuses_locations_outside_the_grid():
    with pytest.raises(ValueError, match=r"source_locations must lie inside the grid \(16, 20\), got cell \[16, 3\]"):
        replaced(source_locations=torch.tensor([[1, 2], [16, 3]]))
    receivers = surface().receiver_locations.clone()
    receivers[1, 2, 1] = -1
    with pytest.raises(ValueError, match=r"receiver_locations must lie inside the grid .* got cell \[1, -1\]"):
        replaced(receiver_locations=receivers)
    with pytest.raises(ValueError, match=r"source_locations must lie inside the grid"):
        surface(depth=16)


def test_refuses_locations_of_wrong_type_or_shape():
    with pytest.raises(TypeError, match=r"source_locations must be a tensor of whole cell numbers, got torch.float32"):
        replaced(source_locations=torch.ones(2, 2))
    with pytest.raises(TypeError, match=r"receiver_locations must be a tensor .* got <class 'list'>"):
        replaced(receiver_locations=[[[1, 2]]])
    with pytest.raises(ValueError, match=r"source_locations must have shape \[shot, 2\], got \[2, 3\]"):
        replaced(source_locations=torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"receiver_locations must have shape \[shot, receiver, 2\], got \[5, 2\]"):
        replaced(receiver_locations=surface().receiver_locations[0])
    with pytest.raises(ValueError, match=r"one row a shot, got 1 and 2 shots"):
        replaced(source_locations=torch.ones(1, 2, dtype=torch.int64))


def test_refuses_a_receiver_given_twice():
    receivers = surface().receiver_locations.clone()
    receivers[0, 0] = receivers[0, 1]
    with pytest.raises(ValueError, match="receiver_locations must not hold a cell twice in one shot"):
        replaced(receiver_locations=receivers)


def test_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="pml_widht"):
        surface(pml_widht=5)


@pytest.mark.parametrize("name", ["grid_spacing", "dt", "peak_freq", "max_vel"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), 1e-300, 1e300, True, None, torch.ones(2)])
def test_refuses_numbers_by_name(name, value):
    with pytest.raises((TypeError, ValueError), match=f"{name} must"):
        surface(**{name: value})


@pytest.mark.parametrize(("depth", "error"), [(1.5, TypeError), (None, TypeError), (-1, ValueError)])
def test_depth_counts_cells(depth, error):
    with pytest.raises(error, match="depth must be .* got"):
        surface(depth=depth)
    with pytest.raises(ValueError, match="source_locations must hold values, got a tensor on device meta"):
        replaced(source_locations=torch.ones(2, 2, dtype=torch.int64, device="meta"))


def test_numbers_of_other_libraries_become_plain_ones():
    survey = surface(dt=torch.tensor(0.005, dtype=torch.float64), nt=torch.tensor(60))
    assert (type(survey.dt), survey.dt, type(survey.nt), survey.nt) == (float, 0.005, int, 60)
