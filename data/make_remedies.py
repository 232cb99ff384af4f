"""Make data/remedies_quick.npz: remedies against memorization, measured against each other at equal data.

    python data/make_remedies.py [--jobs 2] [--parts FOLDER] [--only PATTERN]

Run from the root of the repository. The tasks are independent; each finished one is kept in FOLDER (by default
_build/remedies), so that a command that was stopped goes on where it was.
"""

import argparse
import time
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from _provenance import commit, device_name
from _remedies import FITS, score
from _remedies_problem import SEED, geology
from joblib import Parallel, delayed
from tqdm import tqdm

from lib.scale import DATA, scale

MAIN, FEW, MORE, MANY = 50, 10, 500, 5000
# Size of the training set, prior, and whether its waves are modelled. The wave equation sees all remedies at the main
# size and the priors with more data; ten models and their remedies see the Born operator alone.
TASKS = {f"{MAIN} {key}": (MAIN, key, True) for key in FITS}
TASKS |= {f"{MORE} {key}": (MORE, key, True) for key in ("early", "kde", "ppca")}
TASKS |= {f"{MANY} early": (MANY, "early", True)}
TASKS |= {f"{FEW} {key}": (FEW, key, False) for key in ("memorized", "early", "kde", "ppca", "hedge")}


def main():
    """Run what is missing, some tasks at a time, then write one small file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", type=Path, default=DATA.parent / "_build" / "remedies")
    parser.add_argument("--only", default="*", help="run the tasks of this name (a shell pattern), write no file")
    options = parser.parse_args()
    made_at = commit(__file__, *(str(path) for path in Path(__file__).parent.glob("_remedies*.py")))
    folder = options.parts / f"{scale().name}_{made_at}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in TASKS if fnmatch(name, options.only)]
    tasks = Parallel(n_jobs=options.jobs, return_as="generator")(delayed(_part)(name, folder) for name in wanted)
    parts = dict(zip(wanted, tqdm(tasks, total=len(wanted), desc="remedies", unit="task"), strict=True))
    for name, part in parts.items():
        print(f"{name}: {float(part['task_seconds']):.0f} s, {float(part['task_cpu_seconds']):.0f} s of a processor")
    if options.only == "*":
        made = {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}
        made |= {"commit": made_at, "device": device_name(torch.device("cpu")), "seed": SEED, "preset": scale().name}
        made |= {"command": "python data/make_remedies.py", "tasks": np.array(wanted), "unit": geology().unit}
        target = DATA / f"remedies_{scale().name}.npz"
        np.savez_compressed(target.with_suffix(".tmp.npz"), **made)
        target.with_suffix(".tmp.npz").rename(target)


def _part(name, folder):
    """One task: read from its file, or run and written."""
    torch.set_num_threads(1)
    path = folder / f"{name.replace(' ', '_')}.npz"
    if not path.exists():
        n, key, waves = TASKS[name]
        start, used = time.perf_counter(), time.process_time()
        made = score(n, key, waves=waves)
        made |= {"task_seconds": time.perf_counter() - start, "task_cpu_seconds": time.process_time() - used}
        small = {key: np.asarray(value) for key, value in made.items()}
        small = {key: value.astype(np.float32) if value.dtype == np.float64 and value.ndim else value
                 for key, value in small.items()}  # fmt: skip
        np.savez(path.with_suffix(".tmp.npz"), **small)
        path.with_suffix(".tmp.npz").rename(path)
    with np.load(path, allow_pickle=False) as part:
        return dict(part)


if __name__ == "__main__":
    main()
