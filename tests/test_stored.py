"""Records on disk: found again whatever the batch, never stale, never damaged, never in the way of a derivative."""

from dataclasses import replace

import pytest
import torch

from lib.jacobian import dot_test, jvp
from lib.posterior import lookup_weights
from lib.scale import scale
from lib.seismic import AcousticForward, BornForward, Thinned, VelocityForward
from lib.stored import Stored

QUICK = scale("quick")
SURVEY = replace(QUICK.acquisition(num_shots=1, num_receivers=4), nt=60, gradient_interval=1)
FIELD = QUICK.velocity_field()
MODELS = FIELD.sample(6, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
PLAIN = VelocityForward(FIELD, AcousticForward(SURVEY))


def waves(**changes):
    """The same map under a changed survey."""
    return VelocityForward(FIELD, AcousticForward(replace(SURVEY, **changes)))


@pytest.fixture
def solved(monkeypatch):
    """Rows of each call of the wave equation itself."""
    rows, solve = [], AcousticForward.__call__
    monkeypatch.setattr(AcousticForward, "__call__", lambda self, v: rows.append(len(v)) or solve(self, v))
    return rows


def test_a_second_lookup_costs_no_wave_whatever_the_data_and_the_size(tmp_path, solved):
    stored, d_obs = Stored(PLAIN, tmp_path), PLAIN(MODELS[:1])[0]
    expected = lookup_weights(MODELS, PLAIN, d_obs, 1.0)
    solved.clear()
    first = lookup_weights(MODELS[:4], stored, d_obs, 1.0)
    assert solved == [4]
    torch.testing.assert_close(lookup_weights(MODELS, stored, d_obs, 1.0), expected, rtol=1e-5, atol=1e-3)
    assert solved == [4, 2]  # the larger set contains the smaller
    other = Stored(PLAIN, tmp_path)
    lookup_weights(MODELS.flip(0), other, 2 * d_obs, 0.1, batch_size=1)
    assert torch.equal(lookup_weights(MODELS[:4], other, d_obs, 1.0), first)
    assert solved == [4, 2]
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize(
    "change", [{"dt": 0.004}, {"peak_freq": 3.0}, {"pml_width": 9}, {"max_vel": 4100.0}, {"grid_spacing": 51.0}]
)
def test_another_survey_finds_nothing(tmp_path, solved, change):
    x = MODELS[:1]
    Stored(PLAIN, tmp_path)(x)
    changed = Stored(waves(**change), tmp_path)(x)
    assert torch.equal(changed, waves(**change)(x))
    assert solved == [1, 1, 1]


def test_another_receiver_filter_or_dtype_finds_nothing_but_another_interval_does(tmp_path, solved):
    x, moved = MODELS[:1], SURVEY.receiver_locations + 1
    Stored(PLAIN, tmp_path)(x)
    Stored(waves(receiver_locations=moved), tmp_path)(x)
    Stored(PLAIN, tmp_path)(x.double())
    assert solved == [1, 1, 1]
    for cutoff in (4.0, 3.0):
        thinned = VelocityForward(FIELD, Thinned(AcousticForward(SURVEY), cutoff=cutoff, every=20))
        stored = Stored(thinned, tmp_path)
        assert torch.equal(stored(x), stored(x))
    assert solved == [1, 1, 1, 1, 1]
    Stored(waves(gradient_interval=5), tmp_path)(x)  # changes gradients only
    assert solved == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_a_damaged_file_is_computed_and_written_again(tmp_path, solved, damage):
    x, stored = MODELS[:1], Stored(PLAIN, tmp_path)
    whole = stored(x)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    bad = {"truncated": good[:-40], "flipped": good[:-5] + b"\x00\x01\x02\x03\x04", "empty": b"", "foreign": b"x" * 99}
    path.write_bytes(bad[damage])
    assert torch.equal(stored(x), whole)
    assert path.stat().st_size == len(good)
    assert torch.equal(stored(x), whole)  # read
    assert solved == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_derivatives_are_those_of_the_waves(tmp_path):
    stored, x = Stored(PLAIN, tmp_path), MODELS[:1].double()
    values = stored(x)
    assert dot_test(stored, x[0], generator=torch.Generator().manual_seed(0)) < 1e-12
    plain = jvp(PLAIN, x, x)
    torch.testing.assert_close(jvp(stored, x, x), plain, rtol=0, atol=0)
    assert torch.equal(values, plain[0])


def test_what_cannot_be_a_folder_or_a_map_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder must exist, got .*nowhere"):
        Stored(PLAIN, tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="folder must be a folder"):
        Stored(PLAIN, tmp_path / "file")
    with pytest.raises(TypeError, match="folder must be a path, got int"):
        Stored(PLAIN, 3)
    born = VelocityForward(FIELD.field, BornForward(SURVEY, FIELD(MODELS)[0]))
    for wrong in (None, born, lambda x: x):
        with pytest.raises(TypeError, match="forward must be a VelocityForward of the wave equation, got"):
            Stored(wrong, tmp_path)
