"""Reading a part of the models, more than the memory holds, and folders of files."""

import tracemalloc

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from lib.formats import Stored
from lib.loaders import load_velocity_models

MODELS = np.random.default_rng(0).uniform(1500, 4500, (3, 6, 7))


def saved(folder, array, name="models.npy"):
    """Path of a file with this array."""
    np.save(folder / name, array)
    return folder / name


def test_part_of_a_file_is_read(tmp_path):
    path, expected = saved(tmp_path, MODELS[:, None]), torch.from_numpy(MODELS.astype(np.float32))
    assert torch.equal(load_velocity_models(path, start=1), expected[1:])
    assert torch.equal(load_velocity_models(path, max_models=2), expected[:2])
    assert torch.equal(load_velocity_models(path, start=1, max_models=1), expected[1:2])
    assert torch.equal(load_velocity_models(path, max_models=99), expected)
    with pytest.raises(ValueError, match=r"models.npy: start must be below the number of models \(3\), got 3"):
        load_velocity_models(path, start=3)
    for options in ({"start": -1}, {"max_models": 0}, {"start": 1.5}, {"max_models": "2"}):
        with pytest.raises((TypeError, ValueError), match=f"{next(iter(options))} must be"):
            load_velocity_models(path, **options)


def test_only_the_models_asked_for_are_looked_at(tmp_path):
    bad = MODELS.copy()
    bad[[0, 2]] = np.nan
    path = saved(tmp_path, bad)
    assert load_velocity_models(path, start=1, max_models=1).shape == (1, 6, 7)
    with pytest.raises(ValueError, match="got 84 other entries"):
        load_velocity_models(path)


@pytest.mark.parametrize("block", [1, 400, 10**9])
def test_blocks_do_not_show(tmp_path, monkeypatch, block):
    monkeypatch.setattr("lib.loaders._BLOCK", block)
    models = np.random.default_rng(1).uniform(1500, 4500, (11, 4, 5))
    assert torch.equal(load_velocity_models(saved(tmp_path, models)), torch.from_numpy(models.astype(np.float32)))
    models[[0, 10], 1, 1] = -1, np.nan
    with pytest.raises(ValueError, match="got 2 other entries"):
        load_velocity_models(saved(tmp_path, models))


@pytest.mark.parametrize(("suffix", "times"), [("npy", 1), ("mat", 3)])  # 7.3: the part in float64, and the result
def test_memory_is_that_of_the_models_asked_for(tmp_path, monkeypatch, suffix, times):
    monkeypatch.setattr("lib.loaders._BLOCK", 2**16)
    path, models = tmp_path / f"models.{suffix}", np.full((400, 1, 64, 64), 2000, np.float64)
    if suffix == "npy":
        np.save(path, models)
    else:
        with h5py.File(path, "w") as file:
            file["vp"] = models.T
    load_velocity_models(path, max_models=1)  # imports and caches are not what is measured
    for count in (400, 40):
        tracemalloc.start()
        found = load_velocity_models(path, max_models=count)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        size = found.numel() * 4
        assert size < peak < times * size + 2**19  # a block, and small things


@pytest.mark.parametrize(("suffix", "expected"), [("npy", 3), ("mat", 1)])
def test_blocks_are_read_once_and_in_one_go_where_each_costs_a_file(tmp_path, monkeypatch, suffix, expected):
    path, reads, read = tmp_path / f"models.{suffix}", [], Stored.__getitem__
    if suffix == "npy":
        saved(tmp_path, MODELS)
    else:
        with h5py.File(path, "w") as file:
            file["vp"] = MODELS.T
    monkeypatch.setattr("lib.loaders._BLOCK", 1)
    monkeypatch.setattr(Stored, "__getitem__", lambda stored, index: reads.append(index) or read(stored, index))
    load_velocity_models(path)
    assert len(reads) == expected


def test_more_than_the_memory_holds_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = saved(tmp_path, np.full((3, 6, 7), np.nan))  # reading would find the NaN
    monkeypatch.setattr("lib.loaders.available_memory", lambda: 3 * 42 * 4 - 1)
    message = r"models.npy: 3 models of 6 x 7 cells take 5.04e-07 GB to read, 5.03e-07 GB are free; .*max_models="
    with pytest.raises(ValueError, match=message):
        load_velocity_models(path)
    assert load_velocity_models(saved(tmp_path, MODELS), max_models=2).shape == (2, 6, 7)
    monkeypatch.setattr("lib.loaders.available_memory", lambda: None)
    assert load_velocity_models(saved(tmp_path, MODELS)).shape == (3, 6, 7)


def test_memory_counts_formats_that_are_read_at_once(tmp_path, monkeypatch):
    savemat(tmp_path / "models.mat", {"vp": MODELS})
    monkeypatch.setattr("lib.loaders.available_memory", lambda: MODELS.nbytes + 42 * 4)
    assert load_velocity_models(tmp_path / "models.mat", max_models=1).shape == (1, 6, 7)
    with pytest.raises(ValueError, match="2 models of 6 x 7 cells take"):
        load_velocity_models(tmp_path / "models.mat", max_models=2)
    with h5py.File(tmp_path / "models.mat", "w") as file:  # 7.3, where a part can be read
        file["vp"] = MODELS.T
    monkeypatch.setattr("lib.loaders.available_memory", lambda: 2 * 42 * (8 + 4))
    assert load_velocity_models(tmp_path / "models.mat", max_models=2).shape == (2, 6, 7)
    with pytest.raises(ValueError, match="3 models of 6 x 7 cells take"):
        load_velocity_models(tmp_path / "models.mat")


def shards(folder, names=("model1.npy", "model2.npy", "model10.npy"), arrays=MODELS):
    for name, array in zip(names, arrays, strict=True):
        saved(folder, array.reshape(-1, 1, 6, 7), name)
    return folder


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    (shards(tmp_path) / "readme.txt").write_text("no model")
    expected = torch.from_numpy(MODELS.astype(np.float32))
    assert torch.equal(load_velocity_models(tmp_path), expected)
    assert torch.equal(load_velocity_models(tmp_path, start=1, max_models=1), expected[1:2])
    assert torch.equal(load_velocity_models(tmp_path, pattern="model1*.npy"), expected[[0, 2]])
    saved(tmp_path, np.zeros((2, 5, 6, 7)), "data1.npy")  # recorded data beside the models
    with pytest.raises(ValueError, match=r"data1.npy: shape must be .*got \[2, 5, 6, 7\]"):
        load_velocity_models(tmp_path)


def test_slices_cross_the_files_of_a_folder(tmp_path):
    many = np.random.default_rng(2).uniform(1500, 4500, (7, 6, 7))
    shards(tmp_path, ("a1.npy", "a2.npy", "a3.npy"), (many[:3], many[3:5], many[5:]))
    for start in range(7):
        for count in range(1, 8):
            found = load_velocity_models(tmp_path, start=start, max_models=count)
            assert torch.equal(found, torch.from_numpy(many[start : start + count].astype(np.float32)))


def test_files_of_a_folder_must_agree(tmp_path):
    shards(tmp_path)
    saved(tmp_path, MODELS[:1] / 1000, "model3.npy")
    with pytest.warns(UserWarning, match="model3.npy.*km/s"), pytest.raises(ValueError, match="in different units"):
        load_velocity_models(tmp_path)
    saved(tmp_path, np.full((1, 6, 8), 2000.0), "model3.npy")
    with pytest.raises(ValueError, match=r"model3.npy: models of \[6, 8\] cells, in .*model1.npy \[6, 7\]"):
        load_velocity_models(tmp_path)
    saved(tmp_path, np.full((1, 6, 7), np.nan), "model3.npy")
    with pytest.raises(ValueError, match="model3.npy: wave speeds must be finite"):
        load_velocity_models(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"or a folder with \*.sgy"):
        load_velocity_models(tmp_path, pattern="*.sgy")
