"""Make data/league_quick.npz: samplers, linearizations and calibration against exact posteriors on waves.

    python data/make_league.py [--jobs 2] [--parts FOLDER] [--only PATTERN]

Run from the root of the repository. The tasks are independent; each finished one is kept in FOLDER (by default
_build/league), so that a command that was stopped goes on where it was.
"""

import argparse
import time
from fnmatch import fnmatch
from pathlib import Path

import _league_bandwidth as bandwidth
import _league_calibration as calibration
import _league_samplers as samplers
import numpy as np
import torch
from _league import SEED
from _provenance import commit, device_name
from joblib import Parallel, delayed
from tqdm import tqdm

from lib.scale import DATA, scale

# Longest first, so that two workers end together. Truths 0 and 4 are those below 5 whose lookup spreads over 3 to 5 of
# the 50 examples and that come first.
TASKS = {
    "points_0": (samplers.points, 0),
    "points_4": (samplers.points, 4),
    "wide_0": (samplers.wide, 0),
    "bandwidth": (bandwidth.sweep, 0),
    "population": (samplers.full_data_population, 0),
    "calibration_learned": (calibration.learned, 0),
    "calibration_population": (calibration.population, 0),
    "full_points_0": (samplers.full_data_points, 0),
    "copies": (bandwidth.copies, 0),
    "noise": (calibration.wrong_noise, 0),
    "calibration_lookup": (calibration.lookup, 0),
    "born_0": (samplers.born, 0),
}


def main():
    """Run what is missing, two tasks at a time, then write one small file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", type=Path, default=DATA.parent / "_build" / "league")
    parser.add_argument("--only", default="*", help="run the tasks of this name (a shell pattern), write no file")
    options = parser.parse_args()
    made_at = commit(__file__, *(str(path) for path in Path(__file__).parent.glob("_league*.py")))
    folder = options.parts / scale().name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in TASKS if fnmatch(name, options.only)]
    tasks = Parallel(n_jobs=options.jobs, return_as="generator")(delayed(_part)(name, folder) for name in wanted)
    parts = dict(zip(wanted, tqdm(tasks, total=len(wanted), desc="league", unit="task"), strict=True))
    for name, part in parts.items():
        print(f"{name}: {float(part['task_seconds']):.0f} s, {float(part['task_cpu_seconds']):.0f} s of processor time")
    if options.only == "*":
        made = {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}
        made |= {"commit": made_at, "device": device_name(torch.device("cpu")), "seed": SEED, "preset": scale().name}
        made |= {"command": "python data/make_league.py"}
        np.savez_compressed(DATA / f"league_{scale().name}.npz", **made)


def _part(name, folder):
    """One task: read from its file, or run and written."""
    torch.set_num_threads(1)
    path = folder / f"{name}.npz"
    if not path.exists():
        function, argument = TASKS[name]
        start, processor = time.perf_counter(), time.process_time()
        made = function(argument)
        made |= {"task_seconds": time.perf_counter() - start, "task_cpu_seconds": time.process_time() - processor}
        small = {key: np.asarray(value) for key, value in made.items()}
        small = {key: value.astype(np.float32) if value.dtype == np.float64 and value.ndim else value
                 for key, value in small.items()}  # fmt: skip
        np.savez(path.with_suffix(".tmp.npz"), **small)
        path.with_suffix(".tmp.npz").rename(path)
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


if __name__ == "__main__":
    main()
