"""Tensors and a few facts in one safetensors file: written whole or not at all, read without running anything."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

_FORMAT = "memorization-course 1"


def write(path: str | Path, tensors: Mapping[str, Tensor], facts: dict) -> None:
    """Write named tensors and JSON facts; an existing file is replaced only once the new one is complete.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must lie in an existing folder, got {path}")
    data = safetensors.torch.save(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        {"format": _FORMAT, "facts": json.dumps(facts)},
    )
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: str | Path, *, kind: str) -> tuple[dict[str, Tensor], dict]:
    """Read what `write` wrote, on the CPU.

    Args:
        path: The file.
        kind: What facts["kind"] must be.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Corrupt, truncated, not written by `write`, or of another kind; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must be an existing file, got {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        facts = json.loads(metadata.get("facts", "null"))
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"path must be an intact safetensors file, but {path} is not: {error}") from error
    if metadata.get("format") != _FORMAT or not isinstance(facts, dict) or facts.get("kind") != kind:
        raise ValueError(f"path must be a file of kind {kind!r} written by this package, but {path} is not")
    return tensors, facts


def digest(**tensors: Tensor) -> str:
    """A short hash of names, shapes, dtypes and values: the data that a file belongs to."""
    data = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return hashlib.sha256(safetensors.torch.save(data)).hexdigest()[:16]


def same_run(path: str | Path, found: dict, facts: dict) -> None:
    """Refuse a file whose facts differ from those wanted (ValueError, which names the first of them)."""
    for name, value in facts.items():
        if found.get(name) != value:
            raise ValueError(
                f"checkpoint must belong to this run, but {path} was written with another {name}: "
                f"{found.get(name)!r:.60} there, {value!r:.60} here"
            )
