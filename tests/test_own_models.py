import dataclasses

import numpy as np
import pytest
import torch

from lib.geology import layered
from lib.own_models import main, matching_scale, resample, sample_with_own_models
from lib.scale import scale

PRESET = dataclasses.replace(scale("quick"), num_samples=2, num_levels=8, num_shots=1)


def models(n=4, size=16):
    return layered(n, (size, size), generator=torch.Generator().manual_seed(0)).float()


def test_matching_scale_keeps_the_dimensionless_numbers():
    survey, preset = matching_scale(PRESET, models(), 30.0), PRESET
    new, old = survey.acquisition(), preset.acquisition()
    assert new.points_per_wavelength(survey.min_vel) == pytest.approx(old.points_per_wavelength(preset.min_vel))
    assert survey.dt * survey.max_vel / survey.grid_spacing == pytest.approx(
        preset.dt * preset.max_vel / preset.grid_spacing
    )
    assert new.nt / survey.grid == pytest.approx(old.nt / preset.grid)


def test_samples_end_on_training_models_whose_misfit_is_theirs():
    data = models()
    found = sample_with_own_models(data, 1, matching_scale(PRESET, data, 30.0))
    torch.testing.assert_close(found.chi2_samples, found.chi2_examples[found.landed], rtol=1e-3, atol=1e-3)
    assert found.log_weights.argmax() == found.chi2_examples.argmin()
    assert (found.distances < 4).all()


def test_the_held_out_model_is_not_in_the_training_set():
    data = models()
    found = sample_with_own_models(data, 1, matching_scale(PRESET, data, 30.0))
    assert len(found.chi2_examples) == len(found.log_weights) == len(data) - 1
    assert (found.chi2_examples > found.chi2_truth).all()


def test_resample_averages_cells():
    fine = torch.arange(256.0).reshape(1, 16, 16)
    assert torch.allclose(resample(fine, 8)[0, 0, 0], fine[0, :2, :2].mean())


@pytest.mark.parametrize("hold_out", [-1, 4])
def test_held_out_model_must_exist(hold_out):
    data = models()
    with pytest.raises(ValueError, match="hold_out"):
        sample_with_own_models(data, hold_out, matching_scale(PRESET, data, 30.0))


def test_a_grid_finer_than_the_models_is_refused():
    with pytest.raises(ValueError, match="grid must be at most"):
        resample(models(), 32)


def test_command_line_prints_a_line_for_each_sample(tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "models.npy", models().numpy())
    monkeypatch.setattr("lib.own_models.scale", lambda: PRESET)
    main([str(tmp_path / "models.npy"), "--grid", "16", "--hold-out", "2"])
    printed = capsys.readouterr().out
    assert printed.count("\nsample ") == 2
    assert "3 training models" in printed


def test_bad_models_and_cells_are_refused_by_name():
    for call in (lambda models: resample(models, 8), lambda models: matching_scale(PRESET, models, 30.0)):
        for value in (None, torch.ones(16), torch.full((4, 16, 16), float("nan"))):
            with pytest.raises((TypeError, ValueError), match="models must"):
                call(value)
    for value in (0.0, -1.0, float("nan"), "30"):
        with pytest.raises((TypeError, ValueError), match="grid_spacing must be"):
            matching_scale(PRESET, models(), value)
