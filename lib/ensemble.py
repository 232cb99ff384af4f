"""Many independent tasks (samples, truths, training-set sizes) on one machine or a cluster, with the same results."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path

import joblib
import numpy as np
import torch
from joblib.externals.loky.process_executor import BrokenProcessPool
from joblib.parallel import get_active_backend
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.content import content
from lib.parts import part_path, read_part, write_part

Result = dict[str, np.ndarray]


def run_ensemble(
    task: Callable[[Hashable, torch.Generator], Mapping],
    keys: Iterable[Hashable],
    *,
    seed: int,
    jobs: int | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
    retries: int = 2,
) -> dict[Hashable, Result]:
    """Call `task(key, generator)` once for each key and return all results, whatever the machine and the order.

    The tasks run through joblib: here, in `jobs` processes, or wherever `joblib.parallel_config` says; with its
    backend "dask" on the cluster of the current `dask.distributed.Client`. Each task has one torch thread, gradients
    switched on, the caller's default dtype, and a generator seeded by `seed` and its key alone, so that on machines of
    one kind the results are the same bit for bit. Worker processes keep their one thread; the caller's are restored.
    Joblib's backend "threading" runs one task after the other: forward-mode derivatives of torch fail in two threads.

    Args:
        task: Gets a key and a CPU generator; for another device, `torch.Generator(device).manual_seed(
            generator.initial_seed())`. Returns a dict of tensors, arrays, numbers or text. `functools.partial` hands
            it arguments; they travel with each task.
        keys: What tells the tasks apart: text, whole numbers, finite numbers, or tuples of these.
        seed: Of the whole ensemble, 0 or more.
        jobs: Processes; -1 is one a core; None leaves it to `joblib.parallel_config`, and is 1 without one. A Dask
            cluster has its own number, and one thread a worker.
        folder: Keeps each finished task in a file, which a later call with the same task (source and arguments), key
            and seed reads instead of running it. Made where it does not exist; on a cluster, on a disk that all
            machines share. A change in the functions that the task *calls* is not seen: it wants another folder.
        progress: Show a bar.
        retries: How often in a row, with no task finished in between, a worker that died (killed, out of memory) is
            made up for. Tasks that are finished are not run again (without a folder: whose results have arrived).

    Returns:
        For each key, in the order of `keys`, a dict of arrays.

    Raises:
        TypeError, ValueError: An argument that breaks its rule; with `folder`, a task without readable content, or a
            file that belongs to another run.
        RuntimeError: A task failed (the message names its key), or workers died too often.
    """
    checks.function("task", task, "a key and a generator to a dict of arrays")
    keys, seed = _keys(keys), checks.count("seed", seed, minimum=0)
    jobs = jobs if jobs in (None, -1) else checks.count("jobs", jobs)
    retries = checks.count("retries", retries, minimum=0)
    facts, paths = {key: {"key": key, "seed": seed} for key in keys}, dict.fromkeys(keys)
    if folder is not None:
        folder, name = Path(folder).resolve(), content(task)
        folder.mkdir(parents=True, exist_ok=True)
        facts = {key: {"task": name, **facts[key]} for key in keys}
        paths = {key: part_path(folder, facts[key]) for key in keys}
    results, lost, death = {}, 0, None
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    try:
        with tqdm(total=len(keys), desc="ensemble", unit="task", disable=not progress) as bar:
            while True:
                for key in keys if folder is not None else ():
                    if key not in results and (made := read_part(paths[key], facts[key])) is not None:
                        results[key] = made
                bar.update(len(results) - bar.n)
                missing = [key for key in keys if key not in results]
                if not missing:
                    return {key: results[key] for key in keys}
                if lost > retries:
                    left = ", ".join(map(repr, missing))
                    raise RuntimeError(f"workers died {lost} times in a row (memory?); not done: {left}") from death
                calls = [(task, key, paths[key], facts[key], dtype) for key in missing]
                try:
                    with contextlib.closing(_finished(calls, jobs)) as finished:
                        for key, made in finished:
                            results[key], lost = made, 0
                            bar.update()
                except _death() as error:
                    lost, death = lost + 1, error
    finally:
        torch.set_num_threads(threads)


def task_seed(seed: int, key: Hashable) -> int:
    """The seed of one task, below 2^63: a hash of the ensemble's seed and the key, so neither the order nor others."""
    return int.from_bytes(hashlib.sha256(json.dumps([seed, key]).encode()).digest()[:8]) >> 1


def _finished(calls: list[tuple], jobs: int | None) -> Iterator[tuple[Hashable, Result]]:
    """Key and result of each call, as they finish."""
    backend, _ = get_active_backend()
    client = getattr(backend, "client", None)
    if client is None:
        if getattr(backend, "supports_sharedmem", False):
            jobs = 1  # torch's forward mode cannot run in two threads at a time
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        yield from parallel(joblib.delayed(_run)(*call) for call in calls)
        return
    # The client itself: joblib's loop waits for ever for a task that Dask has given up (KilledWorker).
    from distributed import as_completed

    futures, death = [client.submit(_run_on_dask, *call, pure=False) for call in calls], None
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except _death() as error:  # the others go on
                death = error
        if death is not None:
            raise death
    finally:
        client.cancel(futures)


def _run_on_dask(*call: object) -> tuple[Hashable, Result]:
    from distributed import get_worker

    threads = get_worker().state.nthreads
    if threads > 1:
        raise ValueError(f"a Dask worker must have one thread for tasks (threads_per_worker=1), got {threads}")
    return _run(*call)


def _death() -> tuple[type[Exception], ...]:
    """What is raised when a worker has died."""
    dask = sys.modules.get("distributed")
    return (BrokenProcessPool,) if dask is None else (BrokenProcessPool, dask.KilledWorker)


def _run(task: Callable, key: Hashable, path: Path | None, facts: dict, dtype: torch.dtype) -> tuple[Hashable, Result]:
    """One task on a worker."""
    torch.set_num_threads(1)
    torch.set_default_dtype(dtype)
    if path is not None and (made := read_part(path, facts)) is not None:  # its worker died afterwards
        return key, made
    generator = torch.Generator().manual_seed(task_seed(facts["seed"], key))
    try:
        with torch.inference_mode(False), torch.enable_grad():
            made = _arrays(task(key, generator))
    except Exception as error:
        raise RuntimeError(f"task {key!r} failed, {type(error).__name__}: {error}") from error
    if path is not None:
        write_part(path, facts, made)
    return key, made


def _arrays(made: object) -> Result:
    """Copies of what a task returned, as arrays that can be written without pickle."""
    if not isinstance(made, Mapping) or not all(isinstance(name, str) and name.isprintable() for name in made):
        raise TypeError(f"a task must return a dict with printable names, got {type(made).__name__}")
    arrays = {k: np.array(v.numpy(force=True) if isinstance(v, Tensor) else v) for k, v in made.items()}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"a task must return tensors, arrays, numbers or text, got {made[name]!r:.60} as {name!r}")
    return arrays


def _keys(keys: Iterable[Hashable]) -> list[Hashable]:
    """The keys as a list, each of a kind whose JSON text tells it apart."""
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise TypeError(f"keys must be a list of text, numbers or tuples of these, got {type(keys).__name__}")
    keys = list(keys)
    for key in keys:
        for part in _flat(key):
            if type(part) not in (str, int, float, bool):
                raise TypeError(f"keys must be text, numbers or tuples of these, got {type(part).__name__} in {key!r}")
            if isinstance(part, float) and not math.isfinite(part):
                raise ValueError(f"keys must be finite where they are numbers, got {key!r}")
    if len(set(keys)) < len(keys):
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise ValueError(f"keys must all differ, got {twice!r} twice")
    return keys


def _flat(key: Hashable) -> Iterator[object]:
    return (part for item in key for part in _flat(item)) if isinstance(key, tuple) else iter([key])
