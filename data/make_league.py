"""Make data/league_quick.npz: samplers, linearizations and calibration against exact posteriors on waves.

    python data/make_league.py [--jobs 2] [--parts FOLDER] [--only PATTERN]

Run from the root of the repository. The tasks are independent; each finished one is kept in FOLDER (by default
_build/league), so that a command that was stopped goes on where it was, as long as the code is the same.
"""

from pathlib import Path

import _league_bandwidth as bandwidth
import _league_calibration as calibration
import _league_samplers as samplers
import numpy as np
import torch
from _league import SEED
from _provenance import commit, device_name
from _sweep import sweep

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
    files = [__file__, *map(str, Path(__file__).parent.glob("_league*.py"))]
    made_at = commit(*files)
    parts, complete = sweep(__doc__.splitlines()[0], "league", task, TASKS, seed=SEED, files=files)
    if complete:
        made = {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}
        made |= {"commit": made_at, "device": device_name(torch.device("cpu")), "seed": SEED, "preset": scale().name}
        made |= {"command": "python data/make_league.py"}
        np.savez_compressed(DATA / f"league_{scale().name}.npz", **made)


def task(name):
    """What one task finds."""
    function, argument = TASKS[name]
    return function(argument)


if __name__ == "__main__":
    main()
