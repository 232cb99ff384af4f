"""What makers of many independent tasks share: their options, and a run whose finished tasks are kept."""

import argparse
import time
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import numpy as np
from _provenance import sources

from lib.ensemble import run_ensemble
from lib.scale import DATA, scale


def sweep(description, name, task, names, *, seed, files):
    """Read the command line, run `task(name)` for each of the names it asks for, and tell what each cost.

    `files` are those that the results depend on, beside lib: parts made from another text of them are not used.
    Returns the parts by name, and whether they are all.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", type=Path, default=DATA.parent / "_build" / name)
    parser.add_argument("--only", default="*", help="run the tasks of this name (a shell pattern), write no file")
    options = parser.parse_args()
    wanted = [key for key in names if fnmatch(key, options.only)]
    folder = options.parts / f"{scale().name}_{sources(*files)}"
    parts = run_ensemble(partial(timed, task), wanted, seed=seed, jobs=options.jobs, folder=folder)
    for key, part in parts.items():
        print(f"{key}: {float(part['task_seconds']):.0f} s, {float(part['task_cpu_seconds']):.0f} s of processor time")
    return parts, options.only == "*"


def timed(task, name, _):
    """A part: what the task found (it has random streams of its own), arrays in single precision, and its cost."""
    start, processor = time.perf_counter(), time.process_time()
    made = task(name)
    made |= {"task_seconds": time.perf_counter() - start, "task_cpu_seconds": time.process_time() - processor}
    arrays = {key: np.asarray(value) for key, value in made.items()}
    return {key: a.astype(np.float32) if a.dtype == np.float64 and a.ndim else a for key, a in arrays.items()}
