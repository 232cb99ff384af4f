"""Reading models: what is accepted, converted, refused; the file itself is never touched."""

import io
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.loaders import load_velocity_models

MODELS = np.random.default_rng(0).uniform(1500, 4500, (3, 6, 7))


def saved(folder, array, name="models.npy", **options):
    """Path of a file with this array."""
    path = folder / name
    np.save(path, array, **options)
    return path


@pytest.mark.parametrize("array", [MODELS[0], MODELS, MODELS[:, None]], ids=["[nz, nx]", "[n, nz, nx]", "OpenFWI"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", ">f8", "<f2", "<i2", "<i4", "<u2"])
def test_accepted_shapes_and_types(tmp_path, array, dtype):
    models = load_velocity_models(saved(tmp_path, array.astype(dtype)))
    expected = array.astype(dtype).astype(np.float32).reshape(-1, 6, 7)
    assert models.dtype == torch.float32
    assert torch.equal(models, torch.from_numpy(expected))


def test_column_major_files_keep_their_axes(tmp_path):
    models = load_velocity_models(saved(tmp_path, np.asfortranarray(MODELS)))
    assert torch.equal(models, torch.from_numpy(MODELS.astype(np.float32)))


def test_path_may_be_a_string_and_the_suffix_may_shout(tmp_path):
    path = saved(tmp_path, MODELS)
    loud = path.rename(tmp_path / "LOUD.NPY")
    assert load_velocity_models(str(loud)).shape == (3, 6, 7)


def test_kilometres_per_second_are_converted_with_a_warning(tmp_path):
    path = saved(tmp_path, MODELS / 1000)
    with pytest.warns(UserWarning, match=re.escape(str(path)) + r".*km/s"):
        models = load_velocity_models(path)
    torch.testing.assert_close(models, torch.from_numpy(MODELS.astype(np.float32)))


def test_result_is_a_copy_and_the_file_stays_as_it_was(tmp_path):
    path = saved(tmp_path, MODELS)
    before = path.read_bytes()
    load_velocity_models(path).zero_()
    assert path.read_bytes() == before
    assert float(load_velocity_models(path).min()) > 1000


def changed(index, value):
    """The models with one entry replaced."""
    array = MODELS.copy()
    array.flat[index] = value
    return array


BAD_ARRAYS = {
    "nan": (changed(5, np.nan), "finite and positive, got 1 other"),
    "infinite": (changed(5, np.inf), "finite and positive, got 1 other"),
    "negative": (changed(5, -1500.0), "finite and positive, got 1 other"),
    "zero": (changed(5, 0.0), "finite and positive, got 1 other"),
    "too large for float32": (changed(5, 1e300), "finite and positive, got 1 other"),
    "complex": (MODELS + 1j, "one array of real numbers, got complex128"),
    "text": (np.array([["a", "b"], ["c", "d"]]), "one array of real numbers, got <U1"),
    "boolean": (MODELS > 2000, "one array of real numbers, got bool"),
    "dates": (np.zeros((2, 2), "datetime64[s]"), "one array of real numbers"),
    "records": (np.zeros((2, 2), [("v", "f4")]), "one array of real numbers"),
    "one axis": (MODELS[0, 0], r"shape must be .*got \[7\]"),
    "scalar": (np.float64(2000), r"shape must be .*got \[\]"),
    "two channels": (MODELS[:, None].repeat(2, 1), r"shape must be .*got \[3, 2, 6, 7\]"),
    "five axes": (MODELS[None, None], r"shape must be .*got \[1, 1, 3, 6, 7\]"),
    "no model": (MODELS[:0], "not a readable|shape must be"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_refuses_arrays_that_are_no_models(tmp_path, case):
    array, message = BAD_ARRAYS[case]
    path = saved(tmp_path, array)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=re.escape(str(path)) + f".*({message})"):
        load_velocity_models(path)
    assert path.read_bytes() == before


def good_bytes():
    """A good file's content."""
    stream = io.BytesIO()
    np.save(stream, MODELS)
    return stream.getvalue()


BAD_FILES = {
    "empty": b"",
    "only the magic string": b"\x93NUMPY",
    "header cut": good_bytes()[:60],
    "data cut": good_bytes()[:-8],
    "text": b"1500, 1600\n1700, 1800\n",
    "another version": b"\x93NUMPY\x09\x00" + good_bytes()[8:],
    "bad header": good_bytes().replace(b"'descr'", b"'drscr'"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_refuses_broken_files(tmp_path, case):
    path = tmp_path / "broken.npy"
    path.write_bytes(BAD_FILES[case])
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*not a readable .npy file"):
        load_velocity_models(path)
    assert path.read_bytes() == BAD_FILES[case]


class Trap:
    """Would leave a mark if it were ever unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def test_never_unpickles(tmp_path):
    path = saved(tmp_path, np.array([Trap(), None], dtype=object), allow_pickle=True)
    bare = tmp_path / "bare.npy"
    bare.write_bytes(pickle.dumps(Trap()))
    for one in (path, bare):
        with pytest.raises(ValueError, match=re.escape(str(one)) + ".*not a readable"):
            load_velocity_models(one)


def test_refuses_archives_under_another_name(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, a=MODELS)
    path = tmp_path / "archive.npy"
    path.write_bytes(stream.getvalue())
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*one array"):
        load_velocity_models(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(place=st.integers(0, 127), value=st.integers(0, 255))
def test_a_changed_header_byte_gives_models_or_a_named_error(tmp_path, place, value):
    content = bytearray(good_bytes())
    content[place] = value
    path = tmp_path / "flipped.npy"
    path.write_bytes(content)
    outcome = None
    try:
        models = load_velocity_models(path)
    except ValueError as error:
        outcome = str(error)
    assert (str(path) in outcome) if outcome else (models.ndim == 3 and bool((models > 0).all()))


def test_refuses_missing_files_folders_and_other_formats(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path must name a file .*nowhere.npy"):
        load_velocity_models(tmp_path / "nowhere.npy")
    with pytest.raises(FileNotFoundError, match="path must name a file"):
        load_velocity_models(tmp_path)
    other = tmp_path / "models.pkl"
    other.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"models.pkl: the format must be one of .*got '.pkl'"):
        load_velocity_models(other)


@pytest.mark.parametrize("path", [None, 3, b"models.npy", ["models.npy"]])
def test_what_is_no_path(path):
    with pytest.raises(TypeError, match="path must be a str or a pathlib.Path, got"):
        load_velocity_models(path)
