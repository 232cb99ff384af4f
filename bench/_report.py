"""What the benchmarks print beside their numbers: machine, versions, commit, peak memory, and one table."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


def environment():
    """One paragraph: processor, cores, versions and commit."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True)
        changed = subprocess.check_output([*git, "status", "--porcelain", "lib"], text=True)
    except (OSError, subprocess.CalledProcessError):
        commit, changed = "unknown", ""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "deepwave"))
    return (
        f"machine  {processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {platform.system()}\n"
        f"versions python {platform.python_version()}, {versions}\n"
        f"commit   {commit.strip()}{' (lib changed since)' if changed.strip() else ''}\n"
    )


def peak_memory_gb():
    """Largest resident memory of this process so far, GB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6 / 1.024)


def table(title, rows):
    """Rows of strings as aligned columns under a title."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, "-" * max(map(len, [title, *lines])), *lines])
