"""One short name for what a computation depends on: functions by their source, arguments by their values."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import types
from collections.abc import Iterator, Mapping
from pathlib import PurePath

import numpy as np
import torch
from torch import Tensor

from lib import checkpoints

_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, torch.dtype, torch.device, PurePath)


def content(value: object) -> str:
    """A digest of `value` that is the same in another process, and another one where any part of the value differs.

    Numbers, text, arrays and tensors count with type, shape and entries, wherever they live; mappings, sequences, sets,
    data classes and other objects with their members; functions with their name, source, defaults and the values they
    close over, `functools.partial` and methods with what they hold. What a function calls or reads as a global is
    *not* seen.

    Args:
        value: Anything made of these.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: Something in it has no content to read (an open file, a random generator), or holds itself.
    """
    try:
        return _digest(value)
    except RecursionError as error:
        raise TypeError(f"value must not hold itself, got a {_name(type(value))} that does") from error


def _digest(value: object) -> str:
    digest = hashlib.sha256(_name(type(value)).encode())
    for part in _parts(value):
        digest.update(f"\0{part}".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _parts(value: object) -> Iterator[str]:
    """What one value is made of, each part as plain text or as a digest of its own."""
    if isinstance(value, _PLAIN):
        yield repr(value)
    elif isinstance(value, Tensor):
        yield checkpoints.fingerprint(value)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        yield f"{value.dtype.str} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    elif isinstance(value, (type, types.BuiltinFunctionType, types.ModuleType)):
        yield _name(value)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(map(_digest, value))
    else:
        yield from map(_digest, _members(value))


def _members(value: object) -> list:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [_name(value), _source(value), value.__defaults__, value.__kwdefaults__, cells]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    if hasattr(value, "__dict__"):
        return [vars(value).keys() - _cached(value), *(v for k, v in vars(value).items() if k not in _cached(value))]
    raise TypeError(f"value must be made of numbers, text, arrays, tensors and functions, got a {_name(type(value))}")


def _cached(value: object) -> set[str]:
    """Names of members that are computed when first asked for: no content of their own."""
    return {k for k in vars(value) if isinstance(getattr(type(value), k, None), functools.cached_property)}


def _source(function: types.FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise TypeError(f"the source of {_name(function)} must be in a file or a notebook's cell: {error}") from error


def _name(value: object) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}"
