"""How a submission is shut in, as far as this system allows, and what the report says about it."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
UNSHARE = ["unshare", "--user", "--map-root-user", "--net"]
LEVELS = ("full", "network", "none")
SAYS = {
    "full": "submissions ran without a network, saw neither solutions nor other submissions, and could write to a "
    "folder of their own only",
    "network": "submissions ran without a network; files could not be hidden from them on this system: reading "
    "solutions and writing elsewhere was refused to Python, not to other programs",
    "none": "network was not blocked: this system allows no namespaces; only what Python itself opens was refused, so "
    "grade submissions of strangers in a container or a virtual machine",
}


def prefix(level):
    """Beginning of the command that starts a kernel at this level of isolation."""
    if level == "none":
        return []
    if level == "network":
        return UNSHARE
    return [*UNSHARE, "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]


def works(level):
    """Try a level with a program that does nothing."""
    if level == "none":
        return True
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        return False
    program = [sys.executable, "-I", str(HERE / "jail.py")] if level == "full" else ["true"]
    try:
        done = subprocess.run([*prefix(level), *program], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def best_level():
    """The strongest level that works here."""
    return next(level for level in LEVELS if works(level))
