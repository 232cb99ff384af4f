"""Units and byte order are told from the range of the values."""

import re

import numpy as np
import pytest
import torch

from lib.loaders import load_velocity_models
from lib.units import UNITS, plausible

MODELS = np.random.default_rng(0).uniform(1500, 4700, (3, 6, 7))


def saved(folder, array):
    np.save(folder / "models.npy", array)
    return folder / "models.npy"


def test_speeds_of_soil_rock_and_mantle_pass_as_they_are(tmp_path):
    wide = np.linspace(100, 9000, 42).reshape(6, 7)
    assert torch.equal(load_velocity_models(saved(tmp_path, wide)), torch.from_numpy(wide.astype("f4"))[None])
    assert plausible(9000, 100)
    assert not plausible(99, 9000)
    assert not plausible(100, 9001)


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_kilometres_per_second_are_reported_and_where_density_is_possible_too(tmp_path, factor):
    path = saved(tmp_path, MODELS * factor / 1000)
    with pytest.warns(UserWarning, match="read as km/s") as warned:
        models = load_velocity_models(path)
    torch.testing.assert_close(models, torch.from_numpy(MODELS * factor).float())
    assert ("densities" in str(warned[0].message)) == (factor == 0.5)
    assert warned[0].filename == __file__  # it points at the caller's line


@pytest.mark.parametrize(
    ("change", "looks"),
    [
        (lambda v: v / 0.3048, "ft/s"),
        (lambda v: v / 304.8, "kft/s"),
        (lambda v: 1 / v, "slowness in s/m"),
        (lambda v: 304_800 / v, "slowness in us/ft"),
        (lambda v: 1e6 / v**2, "squared slowness in s2/km2"),
        (lambda v: 1 / v**2, "squared slowness in s2/m2"),
    ],
)
def test_another_unit_is_refused_and_named(tmp_path, change, looks):
    path = saved(tmp_path, change(MODELS))
    with pytest.raises(ValueError, match=re.escape(str(path)) + f".*between 100 and 9000 m/s.*could be .*{looks}"):
        load_velocity_models(path)


@pytest.mark.parametrize("change", [lambda v: 1e6 / v, lambda v: 1000 / v], ids=["us/m", "s/km"])
@pytest.mark.filterwarnings("ignore:.*read as km/s")
def test_slowness_that_looks_like_soil_is_reported(tmp_path, change):
    with pytest.warns(UserWarning, match="that of shear waves in soil; slowness in us/m or s/km would look the same"):
        load_velocity_models(saved(tmp_path, change(MODELS)))


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_what_no_unit_explains_is_refused_without_a_guess(tmp_path, scale):
    with pytest.raises(ValueError, match=r"between 100 and 9000 m/s, got [\d.e+-]+ to [\d.e+-]+ m/s$"):
        load_velocity_models(saved(tmp_path, MODELS * scale))


def test_a_few_values_in_another_unit_are_enough_to_refuse(tmp_path):
    mixed = MODELS.copy()
    mixed[1] /= 1000
    with pytest.raises(ValueError, match="between 100 and 9000 m/s, got 1.6"):
        load_velocity_models(saved(tmp_path, mixed))


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_that_is_given_is_used_without_a_word(tmp_path, unit):
    models = load_velocity_models(saved(tmp_path, MODELS / UNITS[unit]), unit=unit)
    torch.testing.assert_close(models, torch.from_numpy(MODELS).float())


def test_a_unit_that_is_given_must_fit_and_be_known(tmp_path):
    path = saved(tmp_path, MODELS)
    with pytest.raises(ValueError, match=r"got 15\d\d to 4\d\d\d km/s"):
        load_velocity_models(path, unit="km/s")
    for unit in ("mph", 1, ["m/s"]):
        with pytest.raises(ValueError, match="unit must be one of .*'ft/s'.* or None, got"):
            load_velocity_models(path, unit=unit)


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [*((dtype, 1) for dtype in ("<f4", ">f4", "<f8", ">f8", "<i2", ">u2", "<i4")), ("<f4", 1000), (">f8", 1000)],
)
def test_the_other_byte_order_is_found(tmp_path, dtype, factor):
    array = (MODELS / factor).astype(dtype)
    path = tmp_path / "models.bin"
    path.write_bytes(array.tobytes())
    other = np.dtype(dtype).newbyteorder().str
    with pytest.raises(ValueError, match=rf"models.bin.*in the other byte order \({dtype}\) they would run from 1"):
        load_velocity_models(path, shape=array.shape, dtype=other)
    wrong = saved(tmp_path, array.view(other))  # a header that says the wrong order
    with pytest.raises(ValueError, match=rf"models.npy.*in the other byte order \({dtype}\)"):
        load_velocity_models(wrong)


def test_no_byte_order_is_suggested_where_none_helps(tmp_path):
    noise = np.random.default_rng(1).standard_normal((3, 6, 7)).astype("f4")
    for array in (noise, (100 * noise).astype("i1")):
        with pytest.raises(ValueError, match=r"finite and positive, got \d+ other entries$"):
            load_velocity_models(saved(tmp_path, array))
