"""Tensors and a few facts in one safetensors file: written whole or not at all, read without running anything."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from lib import checks

_FORMAT = "memorization-course 1"


def target(name: str, path: object) -> Path:
    """Return where a file shall be written as an absolute path, or say why it cannot be; `name` is the argument's.

    Raises:
        TypeError, ValueError, FileNotFoundError, PermissionError: Not a path, a folder, or in a folder that does not
            exist or is not ours to write to.
    """
    path = _path(name, path).resolve()
    if path.is_dir():
        raise ValueError(f"{name} must be a file, got the folder {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{name} must lie in an existing folder, got {path}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{name} must lie in a folder that may be written to, got {path}")
    return path


def write(path: str | Path, tensors: Mapping[str, Tensor], facts: dict) -> None:
    """Write named tensors and JSON facts; an existing file is replaced only once the new one is complete.

    Raises:
        TypeError, ValueError, FileNotFoundError, PermissionError: As `target`.
    """
    # Copies: safetensors refuses tensors that share memory.
    tensors = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    text = json.dumps(facts)
    data = safetensors.torch.save(tensors, {"format": _FORMAT, "facts": text, "digest": _digest(tensors, text)})
    write_bytes(path, data)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all; errors as those of `target`."""
    path = target("path", path)
    # A name of its own: two runs that write to one path by mistake each leave a whole file.
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read(path: str | Path, *, kind: str, name: str = "path") -> tuple[dict[str, Tensor], dict]:
    """Read what `write` wrote, on the CPU.

    Args:
        path: The file.
        kind: What facts["kind"] must be.
        name: What the caller calls the path.

    Raises:
        TypeError, FileNotFoundError: Not a path; there is no such file.
        ValueError: Corrupt, truncated, not written by `write`, or of another kind; the message names the file.
    """
    path = _path(name, path)
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be an existing file, got {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: the tensors of the file itself would change with it.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}
        text = metadata.get("facts", "null")
        facts, digest = json.loads(text), _digest(tensors, text)
    except (safetensors.SafetensorError, ValueError, TypeError, OSError, RuntimeError) as error:
        raise ValueError(f"{name} must be an intact safetensors file, but {path} is not: {error}") from error
    if metadata.get("format") != _FORMAT or not isinstance(facts, dict) or facts.get("kind") != kind:
        raise ValueError(f"{name} must be a file of kind {kind!r} written by this package, but {path} is not")
    if metadata.get("digest") != digest:
        raise ValueError(f"{name} must be an intact file, but the contents of {path} differ from their checksum")
    return tensors, facts


def fingerprint(*tensors: Tensor) -> str:
    """A short hash of shapes and values, to recognize the data and the weights that a run started from."""
    digest = hashlib.sha256()
    for value in tensors:
        digest.update(str((tuple(value.shape), value.dtype)).encode())
        digest.update(value.detach().cpu().resolve_neg().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def same_run(path: str | Path, found: dict, facts: dict) -> None:
    """Refuse a file whose facts differ from those wanted (ValueError, which names the first of them)."""
    for name, value in facts.items():
        if found.get(name) != value:
            raise ValueError(
                f"checkpoint must belong to this run, but {path} was written with another {name}: "
                f"{found.get(name)!r:.60} there, {value!r:.60} here"
            )


def match(what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors whose names, shapes or dtypes are not those expected (ValueError); `what` holds them."""
    for name in sorted(expected.keys() | found.keys()):
        rule, value = _layout(expected.get(name)), _layout(found.get(name))
        if rule != value:
            raise ValueError(f"{what} must have {rule} at {name}, got {value}")


def check_weights(what: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite float32 or float64 tensors, all of one dtype on one device."""
    weights = {name: value for name, value in tensors.items() if value.is_floating_point()}
    if not weights:
        raise ValueError(f"{what} must have weights, got none")
    for name, value in weights.items():
        checks.tensor(f"{what}'s {name}", value, shape=(None,) * value.ndim, like=next(iter(weights.values())))


def _path(name: str, path: object) -> Path:
    if not isinstance(path, (str, Path)):
        raise TypeError(f"{name} must be a str or a pathlib.Path, got {type(path).__name__}")
    return Path(path)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """Checksum of names, shapes, values and facts: safetensors has none."""
    names = sorted(tensors)
    return hashlib.sha256(json.dumps([text, names, fingerprint(*map(tensors.get, names))]).encode()).hexdigest()


def _layout(value: Tensor | None) -> str:
    return "nothing" if value is None else f"{value.dtype} {list(value.shape)}"
