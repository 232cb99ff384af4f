"""Files of other formats than .npy: raw numbers, MATLAB, SEG-Y; every file is made here."""

import re
import sys

import h5py
import numpy as np
import pytest
import segyio
import torch
from scipy.io import savemat

from lib.loaders import load_velocity_models

MODELS = np.random.default_rng(0).uniform(1500, 4500, (3, 6, 7)).astype(np.float32)


def same(found, expected):
    """Are these the models, as the one type that every format gives?"""
    return found.dtype == torch.float32 and torch.equal(found, torch.from_numpy(np.array(expected, np.float32)))


def refused(path, message, error=ValueError, **options):
    """The file is refused, its name in the message, and stays as it is."""
    before = path.read_bytes()
    with pytest.raises(error, match=re.escape(path.name) + ".*" + message):
        load_velocity_models(path, **options)
    return path.read_bytes() == before


def raw(folder, array, name="models.bin"):
    path = folder / name
    path.write_bytes(np.ascontiguousarray(array).tobytes())
    return path


def hdf5(folder, name="models.mat", **arrays):
    """A MATLAB 7.3 file: HDF5 behind a header of 512 bytes, axes reversed."""
    path = folder / name
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, array in arrays.items():
            file[key] = np.asarray(array).T
            file[key].attrs["MATLAB_class"] = np.bytes_("char" if key == "note" else "double")
    return path


def segy(folder, array, name="models.sgy", form=5, endian="big"):
    """A SEG-Y line [nz, nx] or cube [n, nz, nx]."""
    path = folder / name
    cube = np.asarray(array, np.float32).reshape(-1, *array.shape[-2:]).swapaxes(1, 2)
    spec = segyio.spec()
    spec.format, spec.endian = form, endian
    spec.samples, spec.tracecount = range(cube.shape[2]), len(cube) * cube.shape[1]
    with segyio.create(path, spec) as file:
        for k, trace in enumerate(np.ascontiguousarray(cube.reshape(-1, cube.shape[2]))):
            file.header[k] = {189: 1 + k // cube.shape[1], 193: 1 + k % cube.shape[1], 37: 1}
            file.trace[k] = trace
    return path


@pytest.mark.parametrize("name", ["models.bin", "MODELS.BIN", "models.raw", "vp"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<i2", ">u2"])
def test_raw_numbers(tmp_path, dtype, name):
    path = raw(tmp_path, MODELS.astype(dtype), name)
    assert same(load_velocity_models(path, shape=MODELS.shape, dtype=dtype), MODELS.astype(dtype))
    assert same(load_velocity_models(path, shape=[3, 1, 6, 7], dtype=dtype), MODELS.astype(dtype))


def test_raw_numbers_are_little_endian_float32_unless_said(tmp_path):
    assert same(load_velocity_models(raw(tmp_path, MODELS.astype("<f4")), shape=MODELS.shape), MODELS)


def test_axes_say_how_the_numbers_lie(tmp_path):
    path = raw(tmp_path, MODELS[0].T)  # as Marmousi comes, trace by trace
    assert same(load_velocity_models(path, shape=(7, 6), axes="xz"), MODELS[:1])
    path = raw(tmp_path, MODELS.transpose(1, 2, 0))  # as MATLAB stacks
    assert same(load_velocity_models(path, shape=(6, 7, 3), axes="zxn"), MODELS)
    assert same(load_velocity_models(path, shape=(6, 7, 3), axes="zxn", start=1, max_models=1), MODELS[1:2])
    assert same(load_velocity_models(path, shape=(1, 6, 7, 3), axes="czxn"), MODELS)


@pytest.mark.parametrize("axes", ["", "z", "zz", "zxn ", "zxx", "nzxt", 3])
def test_axes_must_make_sense(tmp_path, axes):
    with pytest.raises(ValueError, match="axes"):
        load_velocity_models(raw(tmp_path, MODELS), shape=MODELS.shape, axes=axes)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 6, 8), r"shape \[3, 6, 8\] of float32 takes 576 bytes, the file has 504 \(0.875 times"),
        ((6, 7), r"takes 168 bytes, the file has 504 \(3 times"),
        ((3, 6, 7, 1), r"shape must be \[nz, nx\].*got \[3, 6, 7, 1\]"),
    ],
)
def test_raw_shape_must_be_that_of_the_file(tmp_path, shape, message):
    assert refused(raw(tmp_path, MODELS), message, shape=shape)


def test_raw_file_cut_short_or_of_wider_numbers(tmp_path):
    path = raw(tmp_path, MODELS)
    path.write_bytes(path.read_bytes()[:-2])
    assert refused(path, "the file has 502", shape=MODELS.shape)
    assert refused(raw(tmp_path, MODELS.astype("f8")), r"the file has 1008 \(2 times", shape=MODELS.shape)


@pytest.mark.parametrize("shape", [6, "6", (42,), (3, 6.0, 7), (0, 6, 7), (-1, 6, 7), (1, 1, 1, 6, 7)])
def test_raw_shape_must_be_sizes(tmp_path, shape):
    with pytest.raises((TypeError, ValueError), match="shape must be"):
        load_velocity_models(raw(tmp_path, MODELS), shape=shape)


@pytest.mark.parametrize("dtype", ["float", object, "U4", "c8", "bool", "V4", "nonsense"])
def test_raw_types_must_be_numbers(tmp_path, dtype):
    if dtype == "float":
        assert refused(raw(tmp_path, MODELS), "of float64 takes 1008", shape=MODELS.shape, dtype=dtype)
    else:
        with pytest.raises((TypeError, ValueError), match="dtype must"):
            load_velocity_models(raw(tmp_path, MODELS), shape=MODELS.shape, dtype=dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_matlab_files_of_both_versions(tmp_path, dtype):
    array = MODELS.astype(dtype)
    for compress in (False, True):
        contents = {"vp": array, "dx": 10.0, "x": np.arange(7.0), "note": "m/s"}
        savemat(tmp_path / "old.mat", contents, do_compression=compress)
        assert same(load_velocity_models(tmp_path / "old.mat"), array)
    new = hdf5(tmp_path, vp=array, dx=[[10.0]], x=np.arange(7.0)[None], note=np.full((4, 4), 109, "u2"))
    assert same(load_velocity_models(new), array)
    assert same(load_velocity_models(new, start=1, max_models=1), array[1:2])


def test_hdf5_without_the_header_of_matlab(tmp_path):
    with h5py.File(tmp_path / "bare.mat", "w") as file:
        file["vp"] = MODELS.T
        file["group/other"] = MODELS.T
    assert same(load_velocity_models(tmp_path / "bare.mat"), MODELS)


@pytest.mark.parametrize("version", [5, 7.3])
def test_matlab_variable_is_named_where_there_are_several(tmp_path, version):
    arrays = {"vp": MODELS, "vs": MODELS / 2}
    path = hdf5(tmp_path, **arrays) if version > 7 else tmp_path / "models.mat"
    if version < 7:
        savemat(path, arrays)
    assert refused(path, r"name one array with `variable=`.*vp \[3, 6, 7\], vs \[3, 6, 7\]")
    assert same(load_velocity_models(path, variable="vs"), MODELS / 2)
    assert refused(path, r"variable must be one of .*vp \[3, 6, 7\].*got 'rho'", variable="rho")


def test_matlab_files_without_models(tmp_path):
    savemat(tmp_path / "none.mat", {"note": "m/s", "dx": 1.0, "cell": np.array([[1, "a"]], object)})
    assert refused(tmp_path / "none.mat", r"name one array .*dx \[1, 1\]$")
    savemat(tmp_path / "complex.mat", {"vp": MODELS + 1j})
    assert refused(tmp_path / "complex.mat", "real numbers, got complex64")
    assert refused(hdf5(tmp_path, note=np.ones((4, 4), "u2")), "arrays of numbers in it: none")


@pytest.mark.parametrize("form", [1, 5])
@pytest.mark.parametrize("name", ["line.sgy", "line.SEGY"])
def test_segy_line_is_one_model_depth_first(tmp_path, name, form):
    found = load_velocity_models(segy(tmp_path, MODELS[0], name, form))
    torch.testing.assert_close(found, torch.from_numpy(MODELS[:1]), rtol=1e-6, atol=0)  # IBM floats round


def test_segy_cube_is_its_sections(tmp_path):
    path = segy(tmp_path, MODELS)
    assert same(load_velocity_models(path), MODELS)
    assert same(load_velocity_models(path, start=2), MODELS[2:])


def headed(path, **fields):
    """The file with these trace header fields, a list of values each."""
    with segyio.open(path, "r+", ignore_geometry=True) as file:
        for name, values in fields.items():
            for trace, value in enumerate(values):
                file.header[trace].update({getattr(segyio.TraceField, name): value})
    return path


def test_segy_cube_sorted_the_other_way_is_its_sections_too(tmp_path):
    path = segy(tmp_path, MODELS)
    slow, fast = [k // 7 + 1 for k in range(21)], [k % 7 + 1 for k in range(21)]
    assert same(load_velocity_models(headed(path, CROSSLINE_3D=slow, INLINE_3D=fast)), MODELS)


def test_segy_with_offsets_is_recorded_data(tmp_path):
    path = segy(tmp_path, MODELS[0, :, :4].repeat(2, 1))  # 8 traces: 2 inlines, 2 crosslines, 2 offsets
    headed(path, INLINE_3D=[1] * 4 + [2] * 4, CROSSLINE_3D=[1, 1, 2, 2] * 2, offset=[1, 2] * 4)
    assert refused(path, r"has one offset, got 2 \(recorded data")


def test_segy_of_the_other_byte_order_is_read(tmp_path):
    assert same(load_velocity_models(segy(tmp_path, MODELS[0], endian="little")), MODELS[:1])


def test_segy_with_empty_headers_is_one_line(tmp_path):
    segyio.tools.from_array2D(tmp_path / "plain.sgy", np.ascontiguousarray(MODELS[0].T))
    torch.testing.assert_close(load_velocity_models(tmp_path / "plain.sgy"), torch.from_numpy(MODELS[:1]))


def damaged(path, change):
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize("make", [segy, hdf5, savemat], ids=["SEG-Y", "MATLAB 7.3", "MATLAB 5"])
@pytest.mark.parametrize(
    "change",
    [lambda b: b"", lambda b: b"not a model", lambda b: b[: len(b) // 3], lambda b: b[:-40], lambda b: b[:140]],
    ids=["empty", "text", "a third", "end cut", "header only"],
)
def test_damaged_files(tmp_path, make, change):
    path = tmp_path / ("models.sgy" if make is segy else "models.mat")
    if make is savemat:
        savemat(path, {"vp": MODELS})
    elif make is hdf5:
        hdf5(tmp_path, vp=MODELS)
    else:
        segy(tmp_path, MODELS[0])
    assert refused(damaged(path, change), "(not a readable|damaged|empty|arrays of numbers in it)")


def test_empty_raw_file(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"")
    assert refused(tmp_path / "a.bin", r"is empty \(0 bytes\)", shape=(2, 2))


def test_bad_entries_are_refused_in_every_format(tmp_path):
    bad = MODELS.copy()
    bad[1, 2, 3] = np.nan
    savemat(tmp_path / "old.mat", {"vp": bad})
    paths = [raw(tmp_path, bad), hdf5(tmp_path, vp=bad), tmp_path / "old.mat", segy(tmp_path, bad)]
    for path in paths:
        assert refused(path, "got 1 other entries", **({"shape": bad.shape} if path.suffix == ".bin" else {}))


def test_options_of_another_format_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", MODELS)
    for options in ({"shape": MODELS.shape}, {"dtype": "f4"}):
        assert refused(tmp_path / "a.npy", "shape and dtype are for raw files, a .npy file has its own", **options)
    assert refused(tmp_path / "a.npy", "variable must be left out", variable="vp")
    assert refused(raw(tmp_path, MODELS), "the format must be one of .*or raw with `shape=`, got '.bin'")


@pytest.mark.parametrize(
    ("package", "make"),
    [("segyio", lambda folder: segy(folder, MODELS)), ("h5py", lambda folder: hdf5(folder, vp=MODELS))],
)
def test_absent_reader_is_named_with_its_extra(tmp_path, monkeypatch, package, make):
    path = make(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    assert refused(path, f"needs {package}: pip install {package} .extra `formats`", ImportError)
    np.save(tmp_path / "a.npy", MODELS)
    assert same(load_velocity_models(tmp_path / "a.npy"), MODELS)
