"""Where a data file comes from: commit and device, which every maker writes into it."""

import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


def commit(*paths):
    """Short name of the current commit; with a "+" where lib or one of the paths has changed since."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    changed = subprocess.check_output([*git, "status", "--porcelain", "lib", *paths], text=True).strip()
    return name + "+" * bool(changed)


def device_name(device):
    """The card's name, or CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
