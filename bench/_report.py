"""What the benchmarks print beside their numbers: machine, versions, commit, peak memory, and one table."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import threading
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


class OwnMemory:
    """Peak of what this process alone takes since now: pages of a mapped file do not count, they can be dropped."""

    def __init__(self):
        self._start = self._peak = self._now()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @staticmethod
    def _now():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    def _watch(self):
        while not self._done.wait(0.01):
            self._peak = max(self._peak, self._now())

    def peak_gb(self):
        """Stop watching: the largest growth seen, GB."""
        self._done.set()
        self._watcher.join()
        return (max(self._peak, self._now()) - self._start) * 1024 / 1e9


def table(title, rows):
    """Rows of strings as aligned columns under a title."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, "-" * max(map(len, [title, *lines])), *lines])
