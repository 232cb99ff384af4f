import dataclasses

import numpy as np
import pytest
import torch

from lib.geology import layered
from lib.own_models import main, matching_scale, sample_with_own_models
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
    # As long a record, rounded up to whole intervals between gradient samples.
    assert 0 <= new.nt - old.nt * survey.grid / preset.grid < survey.gradient_interval


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


@pytest.mark.parametrize("hold_out", [-1, 4])
def test_held_out_model_must_exist(hold_out):
    data = models()
    with pytest.raises(ValueError, match="hold_out"):
        sample_with_own_models(data, hold_out, matching_scale(PRESET, data, 30.0))


def test_command_line_prints_a_line_for_each_sample(tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "models.npy", models().numpy())
    monkeypatch.setattr("lib.own_models.scale", lambda: PRESET)
    main([str(tmp_path / "models.npy"), "--grid", "16", "--hold-out", "2"])
    printed = capsys.readouterr().out
    assert printed.count("\nsample ") == 2
    assert "3 training models" in printed


def test_command_line_reads_raw_files_and_says_that_it_squeezes(tmp_path, capsys, monkeypatch):
    wide = layered(5, (16, 20), generator=torch.Generator().manual_seed(0)).numpy()
    (tmp_path / "models.bin").write_bytes(wide.transpose(0, 2, 1).astype(">f4").tobytes())
    monkeypatch.setattr("lib.own_models.scale", lambda: PRESET)
    reading = "--shape 5 20 16 --axes nxz --dtype >f4 --unit m/s --start 1 --max-models 3".split()
    main([str(tmp_path / "models.bin"), "--grid", "16", *reading])
    printed = capsys.readouterr().out
    assert "models of 16 x 20 cells are squeezed to a square" in printed
    assert "2 training models of 16 x 16 cells" in printed


@pytest.mark.parametrize(("grid", "message"), [("7", "grid must be at least 8"), ("17", "shape must be at most")])
def test_command_line_refuses_grids_too_coarse_or_too_fine(tmp_path, grid, message):
    np.save(tmp_path / "models.npy", models().numpy())
    with pytest.raises(ValueError, match=message):
        main([str(tmp_path / "models.npy"), "--grid", grid])


def test_bad_models_and_cells_are_refused_by_name():
    for value in (None, torch.ones(16), torch.full((4, 16, 16), float("nan"))):
        with pytest.raises((TypeError, ValueError), match="models must"):
            matching_scale(PRESET, value, 30.0)
    for value in (0.0, -1.0, float("nan"), "30"):
        with pytest.raises((TypeError, ValueError), match="grid_spacing must be"):
            matching_scale(PRESET, models(), value)
