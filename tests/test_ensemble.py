"""Ensembles: the same bits on every backend, no finished task lost, a part on disk used only for the task it is of."""

import contextlib
import functools
import os
import signal
import sys
import time

import joblib
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

from lib import ensemble
from lib.ensemble import run_ensemble
from lib.forward import stylized_2d
from lib.mixture import MemorizedPrior
from lib.samplers import dps
from lib.schedule import karras_sigmas
from lib.seismic import AcousticForward, Acquisition, VelocityForward
from lib.velocity import CosineField

KEYS = ["stylized", ("waves", 0), ("waves", 1)]


def posterior(key, generator, examples):
    """Posterior samples of a stylized problem or of waves, and the number of threads that drew them."""
    forward, x = stylized_2d, examples[:, :2]
    if key != "stylized":
        survey = Acquisition.surface((12, 12), grid_spacing=25.0, dt=0.004, nt=60, peak_freq=8.0, num_shots=2,
                                     num_receivers=6, max_vel=4000.0)  # fmt: skip
        forward, x = VelocityForward(CosineField((12, 12), 6, corr_length=3.0), AcousticForward(survey)), examples
    truth = torch.randn(1, x.shape[1], generator=generator)
    data = forward(truth)[0]
    samples = dps(MemorizedPrior(x, 0.1).denoise, forward, data, 0.3 * float(data.std()), karras_sigmas(4, 5.0, 0.1),
                  (3, x.shape[1]), generator=generator)  # fmt: skip
    return {"samples": samples, "truth": truth, "threads": torch.get_num_threads()}


def light(key, generator, log=None, deadly=None, once=None, failing=None):
    """A few random numbers; on request it notes that it ran, kills its own process (once or always), or fails."""
    if log:
        with open(log, "a") as file:
            file.write(f"{key}\n")
    if key == deadly and not (once and os.path.exists(once)):
        time.sleep(0.5)  # so that other tasks are on their way, and some are done
        if once:
            open(once, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if key == failing:
        raise KeyError("no such model")
    return {"x": torch.randn(3, generator=generator), "plain": torch.zeros(2), "name": f"task {key}"}


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
    """Two Dask workers of this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made, Client(made):
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
        generator = torch.Generator().manual_seed(ensemble.task_seed(5, key))
        runs[key] = {name: np.asarray(value) for name, value in posterior(key, generator, examples).items()}
    torch.set_num_threads(before)
    return runs


@pytest.fixture
def two_threads():
    """A caller with two threads and double precision by default."""
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


def graded(key, generator):
    """The slope of x^2 at 3."""
    x = torch.tensor(3.0, requires_grad=True)
    x.square().backward()
    return {"gradient": x.grad}


def test_a_task_depends_on_seed_and_key_alone():
    found = run_ensemble(light, [1, "1", (1,), (1, 2)], seed=0, progress=False)
    assert same(run_ensemble(light, [(1, 2), 1], seed=0, progress=False), {key: found[key] for key in [(1, 2), 1]})
    other = run_ensemble(light, [1], seed=1, progress=False)
    assert len({made["x"].tobytes() for made in [*found.values(), *other.values()]}) == 5


@pytest.mark.parametrize("kept", [True, False], ids=["with a folder", "in memory"])
@pytest.mark.parametrize("name", ["loky", "dask"])
def test_a_killed_worker_loses_no_finished_task(name, kept, request, tmp_path):
    keys, log, once = list(range(8)), str(tmp_path / "log"), str(tmp_path / "killed")
    expected = run_ensemble(light, keys, seed=3, progress=False)
    task = functools.partial(light, log=log, deadly=4, once=once)
    with backend(name, request) as options:
        folder = tmp_path / "parts" if kept else None
        found = run_ensemble(task, keys, seed=3, folder=folder, progress=False, retries=1, **options)
    assert same(found, expected)
    assert os.path.exists(once)
    ran = [open(log).read().split().count(str(key)) for key in keys]
    assert ran[4] == 2
    assert ran[:4] == [1] * 4  # finished before
    assert sum(ran) <= len(keys) + 2  # beside the deadly one at most the other worker's


def test_a_task_that_dask_gives_up_is_tried_again(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    keys, task = list(range(5)), functools.partial(light, deadly=1, once=str(tmp_path / "killed"))
    with joblib.parallel_config(backend="dask"):
        found = run_ensemble(task, keys, seed=3, progress=False)
    assert same(found, run_ensemble(light, keys, seed=3, progress=False))


@pytest.mark.parametrize("name", ["loky", "dask"])
def test_a_task_that_always_kills_its_worker_is_named(name, request, tmp_path, monkeypatch):
    log, task = str(tmp_path / "log"), functools.partial(light, log=str(tmp_path / "log"), deadly="bad")
    with backend(name, request) as options:
        if name == "dask":
            monkeypatch.setattr(request.getfixturevalue("cluster").scheduler, "allowed_failures", 0)
        with pytest.raises(RuntimeError, match="workers died 2 times in a row .*; not done: 'bad'$"):
            run_ensemble(task, ["good", "bad"], seed=0, retries=1, progress=False, **options)
    assert open(log).read().split().count("good") == 1


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", BACKENDS)
def test_a_failing_task_names_its_key_and_the_others_are_kept(name, request, tmp_path):
    task = functools.partial(light, failing=("truth", 2))
    with backend(name, request) as options:
        with pytest.raises(RuntimeError, match=r"task \('truth', 2\) failed, KeyError: 'no such model'"):
            run_ensemble(task, ["first", ("truth", 2)], seed=0, folder=tmp_path, progress=False, **options)
    assert torch.get_num_threads() == 2
    assert [path.name[:5] for path in tmp_path.glob("*.npz")] == ["first"] or name in ("loky", "dask")
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
    assert same(found, {key: light(key, torch.Generator()) and found[key] for key in [3, 2, 1]})
    assert same(run_ensemble(light, [1], seed=0, progress=False), {1: found[1]})


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


def mixed(key, generator):
    """One entry of each kind."""
    return {
        "file": torch.tensor([float("nan"), -0.0]), "bits": torch.ones(2, 2, requires_grad=True)[:, :1], "whole": 3,
        "text": "é", "list": ["a", "bcd"], "truth": True, "empty": np.zeros((0, 3), np.float16), "f 2/3": 1j,
    }  # fmt: skip


def test_another_task_argument_seed_or_key_is_run_anew(tmp_path):
    log = str(tmp_path / "log")
    runs = [(light, {}, 0, "a"), (light, {"failing": "x"}, 0, "a"), (light, {}, 1, "a"), (light, {}, 0, "b")]
    for task, options, seed, key in runs:
        for _ in range(2):
            task_now = functools.partial(task, log=log, **options)
            run_ensemble(task_now, [key], seed=seed, folder=tmp_path, progress=False)
    assert open(log).read().split() == ["a", "a", "a", "b"]
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
    with pytest.raises(TypeError, match="Generator"):
        run_ensemble(functools.partial(light, log=torch.Generator()), [1], seed=0, folder=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_keys_give_no_results(tmp_path):
    assert run_ensemble(light, [], seed=0, folder=tmp_path, progress=False) == {}


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_counts_tasks_and_can_be_switched_off(progress, capsys, tmp_path):
    run_ensemble(light, [1, 2], seed=0, folder=tmp_path, progress=False)
    run_ensemble(light, [1, 2, 3], seed=0, folder=tmp_path, progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("3/3" in err and "2/3" in err) if progress else err == ""


def test_dask_is_not_needed_where_it_is_not_used():
    code = "import sys, lib.ensemble; sys.exit('distributed' in sys.modules or 'dask' in sys.modules)"
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", code) == 0
