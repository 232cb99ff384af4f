"""Ensembles: the same bits on every backend, no finished task lost, a part on disk used only for the task it is of."""

import contextlib
import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster
from ensemble_tasks import graded, light, mixed, posterior

from lib import ensemble
from lib.ensemble import run_ensemble

KEYS = ["stylized", ("waves", 0), ("waves", 1)]


def same(found, expected):
    """Equal keys in equal order, and arrays equal to the last bit."""
    assert list(found) == list(expected)
    for key, made in expected.items():
        assert found[key].keys() == made.keys()
        for name, array in made.items():
            assert (found[key][name].dtype, found[key][name].shape) == (array.dtype, array.shape)
            assert found[key][name].tobytes() == array.tobytes()
    return True


@pytest.fixture(scope="module")
def cluster():
    """Two Dask workers of this machine, whose torch would take two threads if nobody told it otherwise."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made, Client(made) as client:
        client.run(torch.set_num_threads, 2)
        yield made


@contextlib.contextmanager
def backend(name, request):
    """Keywords of an ensemble that runs there."""
    options = {"jobs": 2} if name == "loky" else {}
    if name == "dask":
        request.getfixturevalue("cluster")
    if name in ("serial", "loky"):
        yield options
    else:
        with joblib.parallel_config(backend=name, **({"n_jobs": 2} if name == "threading" else {})):
            yield options


@pytest.fixture(scope="module")
def examples():
    """Training models."""
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def reference(examples):
    """What the task gives outside any ensemble, with one thread."""
    before, runs = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    for key in KEYS:
        made = posterior(key, torch.Generator().manual_seed(ensemble.task_seed(5, key)), examples)
        runs[key] = {name: torch.as_tensor(value).numpy() for name, value in made.items()}
    torch.set_num_threads(before)
    return runs


@pytest.fixture
def two_threads():
    """A caller with two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


BACKENDS = ["serial", "threading", "loky", "dask"]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_gives_the_same_bits_with_one_thread_a_task(name, request, examples, reference):
    task = functools.partial(posterior, examples=examples)
    with backend(name, request) as options:
        found = run_ensemble(task, KEYS, seed=5, progress=False, **options)
    assert same(found, reference)
    assert all(made["threads"] == 1 for made in found.values())
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("name", BACKENDS)
def test_the_callers_precision_and_gradients_switched_off_change_nothing(name, request):
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), backend(name, request) as options:
            found = run_ensemble(graded, [1], seed=0, progress=False, **options)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found[1]["gradient"].dtype == np.float64
    assert found[1]["gradient"] == 6


def test_a_task_depends_on_seed_and_key_alone():
    found = run_ensemble(light, [1, "1", (1,), (1, 2)], seed=0, progress=False)
    assert same(run_ensemble(light, [(1, 2), 1], seed=0, progress=False), {key: found[key] for key in [(1, 2), 1]})
    other = run_ensemble(light, [1], seed=1, progress=False)
    assert len({made["x"].tobytes() for made in [*found.values(), *other.values()]}) == 5


@pytest.mark.parametrize("name", ["loky", "dask"])
def test_a_killed_worker_loses_nothing(name, request, tmp_path):
    keys, log, once, folder = list(range(8)), tmp_path / "log", tmp_path / "killed", tmp_path / "parts"
    task = functools.partial(light, log=str(log), deadly=4, after=(str(folder), 4), once=str(once))
    with backend(name, request) as options:
        found = run_ensemble(task, keys, seed=3, folder=folder, progress=False, retries=1, **options)
    assert same(found, run_ensemble(light, keys, seed=3, progress=False))
    assert once.exists()
    ran = [log.read_text().split().count(str(key)) for key in keys]
    assert ran[4] == 2
    assert sum(ran) <= len(keys) + 2  # beside the deadly one at most what the other worker was at
    if name == "loky":  # which starts tasks in order
        assert ran[:4] == [1] * 4


def test_a_task_that_dask_gives_up_is_tried_again(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    keys, task = list(range(5)), functools.partial(light, deadly=1, once=str(tmp_path / "killed"))
    with joblib.parallel_config(backend="dask"):
        found = run_ensemble(task, keys, seed=3, progress=False)
    assert same(found, run_ensemble(light, keys, seed=3, progress=False))


def test_dask_workers_with_several_threads_are_refused():
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as made, Client(made):
        with joblib.parallel_config(backend="dask"), pytest.raises(ValueError, match="one thread .* got 2"):
            run_ensemble(light, [1], seed=0, progress=False)


@pytest.mark.parametrize("name", ["loky", "dask"])
def test_a_task_that_always_kills_its_worker_is_named(name, request, tmp_path, monkeypatch):
    log, retries = tmp_path / "log", {"loky": 0, "dask": 1}[name]
    task = functools.partial(light, log=str(log), deadly="bad", after=(str(tmp_path), 1))
    with backend(name, request) as options:
        if name == "dask":
            monkeypatch.setattr(request.getfixturevalue("cluster").scheduler, "allowed_failures", 0)
        with pytest.raises(RuntimeError, match=rf"workers died {retries + 1} times in a row .*; not done: 'bad'$"):
            run_ensemble(task, ["good", "bad"], seed=0, folder=tmp_path, retries=retries, progress=False, **options)
    assert sorted(log.read_text().split()) == ["bad"] * (retries + 1) + ["good"]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", BACKENDS)
def test_a_failing_task_names_its_key_and_the_others_are_kept(name, request, tmp_path):
    task = functools.partial(light, failing=("truth", 2))
    with backend(name, request) as options:
        with pytest.raises(RuntimeError, match=r"task \('truth', 2\) failed, KeyError: 'no such model'"):
            run_ensemble(task, ["first", ("truth", 2)], seed=0, folder=tmp_path, progress=False, **options)
    assert torch.get_num_threads() == 2
    assert [path.name[:5] for path in tmp_path.glob("*.npz")] == ["first"] or name != "serial"
    assert not any("truth" in path.name for path in tmp_path.iterdir())


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "new" / "parts"
    with pytest.raises(KeyboardInterrupt):
        run_ensemble(functools.partial(stopped, log=str(log), stop=True), [1, 2, 3], seed=0, folder=folder)
    os.environ["GO_ON"] = "1"
    try:
        task = functools.partial(stopped, log=str(log), stop=True)
        found = run_ensemble(task, [3, 2, 1], seed=0, folder=folder, progress=False)
    finally:
        del os.environ["GO_ON"]
    assert log.read_text().split() == ["1", "2", "3", "2"]
    assert same(found, run_ensemble(light, [3, 2, 1], seed=0, progress=False))


def stopped(key, generator, log, stop):
    """As `light`, but the user interrupts the second task."""
    made = light(key, generator, log=log)
    if key == 2 and "GO_ON" not in os.environ:
        raise KeyboardInterrupt
    return made


def test_results_from_disk_are_the_same_bits(tmp_path):
    fresh = run_ensemble(mixed, ["a"], seed=0, progress=False)
    kept = run_ensemble(mixed, ["a"], seed=0, folder=tmp_path, progress=False)
    read = run_ensemble(mixed, ["a"], seed=0, folder=tmp_path, progress=False)
    assert same(kept, fresh)
    assert same(read, fresh)


def test_another_task_argument_seed_or_key_is_run_anew(tmp_path):
    log = str(tmp_path / "log")
    runs = [(light, {}, 0, "a"), (light, {"failing": "x"}, 0, "a"), (light, {}, 1, "a"), (light, {}, 0, "b")]
    for task, options, seed, key in runs:
        for _ in range(2):
            task_now = functools.partial(task, log=log, **options)
            run_ensemble(task_now, [key], seed=seed, folder=tmp_path, progress=False)
    assert Path(log).read_text().split() == ["a", "a", "a", "b"]
    assert len(list(tmp_path.glob("*.npz"))) == 4


def test_a_damaged_part_is_made_again_with_a_warning(tmp_path):
    expected = run_ensemble(light, [1, 2], seed=0, folder=tmp_path, progress=False)
    (path,) = tmp_path.glob("1-*.npz")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(UserWarning, match=f"{path} is not a whole result and its task is run again"):
        found = run_ensemble(light, [1, 2], seed=0, folder=tmp_path, progress=False)
    assert same(found, expected)
    assert same(run_ensemble(light, [1, 2], seed=0, folder=tmp_path, progress=False), expected)


def test_a_part_of_another_task_is_refused_and_stays(tmp_path):
    run_ensemble(light, [1, 2], seed=0, folder=tmp_path, progress=False)
    (first,), (second,) = tmp_path.glob("1-*.npz"), tmp_path.glob("2-*.npz")
    first.write_bytes(second.read_bytes())
    with pytest.raises(ValueError, match=f"folder must hold files of its own tasks, but {first} belongs to .*'key': 2"):
        run_ensemble(light, [1, 2], seed=0, folder=tmp_path, progress=False)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"task": 3}, TypeError, "task must be a callable"),
        ({"keys": "abc"}, TypeError, "keys must be a list"),
        ({"keys": 3}, TypeError, "keys must be a list"),
        ({"keys": [[1]]}, TypeError, "list in"),
        ({"keys": [(1, None)]}, TypeError, "NoneType in"),
        ({"keys": [np.int64(1)]}, TypeError, "int64 in"),
        ({"keys": [float("nan")]}, ValueError, "finite"),
        ({"keys": ["a", "b", "a"]}, ValueError, "'a' twice"),
        ({"keys": [1, True]}, ValueError, "True twice"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"seed": 1.5}, TypeError, "seed must be a whole"),
        ({"jobs": 0}, ValueError, "jobs must be at least 1"),
        ({"jobs": True}, TypeError, "jobs must be a whole"),
        ({"retries": -1}, ValueError, "retries must be at least 0"),
        ({"task": lambda key, generator: 3}, RuntimeError, "task 1 failed, TypeError: a task must return a dict.*int"),
        ({"task": lambda key, generator: {1: 2}}, RuntimeError, "printable names"),
        ({"task": lambda key, generator: {"a": object()}}, RuntimeError, "as 'a'"),
        ({"task": lambda key: {}}, RuntimeError, "task 1 failed, TypeError"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        run_ensemble(**{"task": light, "keys": [1], "seed": 0, "progress": False} | change)


def test_a_folder_that_is_a_file_and_a_task_without_content_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file"):
        run_ensemble(light, [1], seed=0, folder=tmp_path / "file", progress=False)
    with pytest.raises(TypeError, match="lock"):
        run_ensemble(functools.partial(light, log=threading.Lock()), [1], seed=0, folder=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_keys_give_no_results(tmp_path):
    assert run_ensemble(light, [], seed=0, folder=tmp_path, progress=False) == {}


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_counts_tasks_and_can_be_switched_off(progress, capsys, tmp_path):
    run_ensemble(light, [1, 2], seed=0, folder=tmp_path, progress=False)
    run_ensemble(light, [1, 2, 3], seed=0, folder=tmp_path, progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err if progress else err == ""


def test_dask_is_not_needed_where_it_is_not_used():
    code = "import sys, lib.ensemble; sys.exit('distributed' in sys.modules or 'dask' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
