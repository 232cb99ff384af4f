"""Results of tasks as files: each says which task it belongs to, is written whole or not at all, and runs no code."""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lib import checkpoints


def part_path(folder: Path, facts: Mapping) -> Path:
    """The file of a task: a readable beginning made of facts["key"], then a hash of all facts (JSON values)."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", str(facts["key"])).strip("_.")[:40]
    return folder / f"{readable}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.npz"


def write_part(path: Path, facts: Mapping, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays and the facts of their task; errors as `lib.checkpoints.target`."""
    file = io.BytesIO()
    # A prefix of their own: np.savez has arguments with names, too.
    members = {f"made/{name}": array for name, array in arrays.items()}
    np.savez(file, facts=np.array(json.dumps([facts, list(members)])), **members)
    checkpoints.write_bytes(path, file.getvalue())


def read_part(path: Path, facts: Mapping) -> dict[str, np.ndarray] | None:
    """The arrays that `write_part` wrote; None where there is no file, or none that is whole.

    A file that is not whole is removed, with a warning.

    Raises:
        ValueError: The file belongs to another task.
    """
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        found, members = json.loads(str(arrays.pop("facts")))
        arrays = {name.removeprefix("made/"): arrays[name] for name in members}
    except (ValueError, TypeError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        warnings.warn(f"{path} is not a whole result and its task is run again: {error}", stacklevel=3)
        path.unlink(missing_ok=True)
        return None
    if found != json.loads(json.dumps(facts)):
        raise ValueError(f"folder must hold files of its own tasks, but {path} belongs to {found}, not to {facts}")
    return arrays
