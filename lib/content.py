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
    data classes and other objects with what pickle would keep of them; functions with their name, source, defaults and
    the values they close over. What a function calls or reads as a global is *not* seen.

    Args:
        value: Anything made of these.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: Something in it has no content to read (an open file, a lock), or holds itself.
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
        return [_name(value), _source(value), _code(value.__code__), value.__defaults__, value.__kwdefaults__, cells]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return _state(value)


def _state(value: object) -> list:
    """What pickle would keep of an object, without members that are computed when first asked for."""
    try:
        made_by, arguments, state, *items = [*value.__reduce_ex__(2), None, None, None][:5]
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"value must be made of numbers, text, arrays, tensors and functions, got a {_name(type(value))}"
        ) from error
    if isinstance(state, dict):
        cached = (k for k in state if isinstance(getattr(type(value), k, None), functools.cached_property))
        state = {k: v for k, v in state.items() if k not in set(cached)}
    return [made_by, arguments, state, *(item if item is None else list(item) for item in items)]


def _source(function: types.FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise TypeError(f"the source of {_name(function)} must be in a file or a notebook's cell: {error}") from error


def _code(code: types.CodeType) -> list:
    """What tells functions apart that share a line of source: lambdas side by side."""
    inside = [_code(part) if isinstance(part, types.CodeType) else part for part in code.co_consts]
    return [code.co_code, code.co_names, inside]


def _name(value: object) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}"
