"""Where a data file comes from: commit and device, which every maker writes into it."""

import hashlib
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


def sources(*paths):
    """A hash of the text of lib and of the paths: what was made from the same text may be used again."""
    digest = hashlib.sha256()
    for path in sorted({Path(path).resolve() for path in [*(ROOT / "lib").glob("*.py"), *paths]}):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def device_name(device):
    """The card's name, or CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
