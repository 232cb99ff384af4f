"""How much memory a program can have: what the machine has free, and what its container grants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def available_memory(root: str | Path = "/") -> int | None:
    """Bytes of memory that this program can still take.

    On Linux the smallest of what the machine has available and what the limits of its control groups leave: a container
    (Docker, Binder, a JupyterHub, a Slurm job) ends a program that takes more. On macOS all of the machine's memory.

    Source: Linux kernel documentation, cgroup-v2 (memory.max, memory.current) and cgroup-v1 (memory.limit_in_bytes).

    Args:
        root: Where /proc and /sys are.

    Returns:
        A number of bytes, or None where nothing is known.
    """
    root = Path(root)
    free = [*_machine(root), *_control_groups(root)]
    if free:
        return max(0, min(free))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _lines(path: Path) -> list[str]:
    """Lines of a file of the kernel's; none where it is missing or not for us."""
    try:
        return path.read_text(encoding="utf8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable"):
            yield int(line.split()[1]) * 1024


def _control_groups(root: Path) -> Iterator[int]:
    """What each limited group that this program is in, and each above it, still grants."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            base, limit, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, used = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # Inside a container the path may be that outside of it: then only the base is there.
        parts = Path(path.lstrip("/")).parts
        for depth in range(len(parts) + 1):
            group = base.joinpath(*parts[:depth])
            most, taken = _lines(group / limit), _lines(group / used)
            if most and taken and most[0] != "max":
                yield int(most[0]) - int(taken[0]) + _droppable(group)


def _droppable(group: Path) -> int:
    """Bytes of files that the group keeps in memory for speed alone: they count as taken, but give way."""
    return sum(int(line.split()[1]) for line in _lines(group / "memory.stat") if line.startswith("inactive_file "))
