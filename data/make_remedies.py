"""Make data/remedies_quick.npz: remedies against memorization, measured against each other at equal data.

    python data/make_remedies.py [--jobs 2] [--parts FOLDER] [--only PATTERN]

Run from the root of the repository. The tasks are independent; each finished one is kept in FOLDER (by default
_build/remedies), so that a command that was stopped goes on where it was, as long as the code is the same.
"""

from pathlib import Path

import numpy as np
import torch
from _provenance import commit, device_name
from _remedies import FITS, score
from _remedies_problem import SEED, geology
from _sweep import sweep

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
    files = [__file__, *map(str, Path(__file__).parent.glob("_remedies*.py"))]
    made_at = commit(*files)
    parts, complete = sweep(__doc__.splitlines()[0], "remedies", task, TASKS, seed=SEED, files=files)
    if complete:
        made = {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}
        made |= {"commit": made_at, "device": device_name(torch.device("cpu")), "seed": SEED, "preset": scale().name}
        made |= {"command": "python data/make_remedies.py", "tasks": np.array(list(parts)), "unit": geology().unit}
        target = DATA / f"remedies_{scale().name}.npz"
        np.savez_compressed(target.with_suffix(".tmp.npz"), **made)
        target.with_suffix(".tmp.npz").rename(target)


def task(name):
    """What one task finds."""
    n, key, waves = TASKS[name]
    return score(n, key, waves=waves)


if __name__ == "__main__":
    main()
