"""Reading velocity models from files into one tensor in m/s."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.formats import Stored, opened
from lib.memory import available_memory
from lib.units import UNITS, byte_order_hint, to_metres_per_second

_BLOCK = 2**24  # bytes read and checked at a time
_DEFAULT_AXES = {2: "zx", 3: "nzx", 4: "nczx"}


def load_velocity_models(
    path: str | Path,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: str | None = None,
    variable: str | None = None,
    axes: str | None = None,
    unit: str | None = None,
    start: int = 0,
    max_models: int | None = None,
    pattern: str = "*.npy",
) -> Tensor:
    """Read velocity models into one float32 tensor in m/s, depth first.

    Formats: `.npy`; MATLAB `.mat` (version 7.3 with h5py); SEG-Y `.sgy`, `.segy` (with segyio; traces are columns,
    samples are depth; a cube gives its sections); raw numbers with `shape`; a folder of such files of one grid, as
    OpenFWI comes, in the order of the numbers in their names. A file is read once, block by block, beside the tensor
    that is returned, and only the models asked for.

    Values must be wave speeds of rock, 100 to 9000 m/s. Those that are plausible in km/s (.1 to 9) are converted, with
    a warning; others are refused, and the message says which unit or byte order would make them plausible. Densities
    in kg/m3 cannot be told from speeds.

    Args:
        path: The file, or a folder.
        shape: Raw files: the sizes as stored, 2 to 4 of them.
        dtype: Raw files: type and byte order, "<f4" (little-endian float32) if None, ">f4" for big-endian.
        variable: `.mat`: name of the array, if the file has several.
        axes: What the stored axes are, slowest first (in MATLAB: in the order of its indices): n a model, z depth,
            x distance, c a channel of size 1. None is "zx", "nzx" or "nczx" (OpenFWI); Marmousi's raw file is "xz".
        unit: "m/s", "km/s" or "ft/s" if known; None finds out.
        start: First model to read, counted from 0.
        max_models: At most so many; None reads all.
        pattern: Folders: which files.

    Returns:
        Wave speeds, [n, nz, nx], m/s, finite and positive.

    Raises:
        TypeError: An argument of another type.
        FileNotFoundError: No such file, or none in the folder.
        ImportError: The reader of the format is not installed.
        ValueError: Another format, an empty, damaged or pickled file, a wrong shape or type, no model, more than
            the memory holds, entries that are not wave speeds, files that differ. The message names the file.
    """
    if not isinstance(path, (str, Path)):
        raise TypeError(f"path must be a str or a pathlib.Path, got {type(path).__name__}")
    if unit is not None and unit not in tuple(UNITS):
        raise ValueError(f"unit must be one of {tuple(UNITS)} or None, got {unit!r}")
    start = checks.count("start", start, minimum=0)
    max_models = math.inf if max_models is None else checks.count("max_models", max_models)
    options = {"shape": shape, "dtype": dtype, "variable": variable}
    parts = []
    for file in _files(Path(path), pattern):
        with opened(file, **options) as stored:
            order, (n, *cells) = _layout(stored, axes)
            if parts and cells != parts[0][3]:
                raise ValueError(f"{file}: models of {cells} cells, in {parts[0][0]} {parts[0][3]}")
            parts.append((file, order, n, cells, stored))
    total = sum(n for _, _, n, _, _ in parts)
    if start >= total:
        raise ValueError(f"{path}: start must be below the number of models ({total}), got {start}")
    stop = int(min(total, start + max_models))
    wanted = (stop - start, *parts[0][3])
    beside = max(stored.bytes_beside(min(1, wanted[0] / n)) for _, _, n, _, stored in parts)
    _refuse_what_does_not_fit(path, wanted, 4 * math.prod(wanted) + beside)

    models, done, passed, factors = np.empty(wanted, np.float32), 0, 0, {}
    with tqdm(total=len(models), desc="reading", unit="model", delay=5, leave=False) as bar:
        for file, order, n, _, _ in parts:
            first, last = max(start - passed, 0), min(stop - passed, n)
            passed += n
            if first >= last:
                continue
            with opened(file, **options) as stored:
                low, high = _read(stored, order, first, models[done : done + last - first], bar)
                factors[to_metres_per_second(file, low, high, unit, lambda s=stored: byte_order_hint(s, unit))] = file
            done += last - first
    if len(factors) > 1:
        raise ValueError(f"{path}: files in different units, such as " + " and ".join(map(str, factors.values())))
    factor = next(iter(factors))
    if factor != 1:  # a product by one would touch all of the memory again
        models *= np.float32(factor)
    return torch.from_numpy(models)


def _files(path: Path, pattern: str) -> list[Path]:
    """The file, or the files of a folder in the order of the numbers in their names."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"path must name a file of velocity models or a folder of them, got {path}")
    found = [file for file in path.glob(pattern) if file.is_file()]
    if not found:
        raise FileNotFoundError(f"path must name a file of velocity models, or a folder with {pattern}, got {path}")
    return sorted(found, key=lambda file: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", file.name)])


def _layout(stored: Stored, axes: str | None) -> tuple[list[int], tuple[int, int, int]]:
    """Where the axes of [n, channel, nz, nx] are among the stored ones, and the size (n, nz, nx)."""
    if axes is not None and not (isinstance(axes, str) and {"z", "x"} <= set(axes) <= set("nczx")):
        raise ValueError(f"axes must be letters of 'nczx', each once, z and x among them, got {axes!r}")
    letters = axes or _DEFAULT_AXES.get(len(stored.shape), "zx")
    size = dict(zip(letters, stored.shape, strict=False))
    if not len(size) == len(stored.shape) == len(letters) or size.get("c", 1) != 1 or 0 in stored.shape:
        wanted = f"that of axes={axes!r}" if axes else "[nz, nx], [n, nz, nx] or [n, 1, nz, nx]"
        raise ValueError(f"{stored.path}: shape must be {wanted}, got {list(stored.shape)}")
    return [letters.index(letter) for letter in "nczx" if letter in letters], (size.get("n", 1), size["z"], size["x"])


def _refuse_what_does_not_fit(path: str | Path, wanted: tuple[int, ...], needed: float) -> None:
    free = available_memory()
    if free is not None and needed > free:
        raise ValueError(
            f"{path}: {wanted[0]} models of {wanted[1]} x {wanted[2]} cells take {needed / 1e9:.3g} GB to read, "
            f"{free / 1e9:.3g} GB are free; read fewer with max_models="
        )


def _read(stored: Stored, order: list[int], first: int, models: np.ndarray, bar: tqdm) -> tuple[float, float]:
    """Fill models [n, nz, nx] from the file, block by block, and return the smallest and the largest value."""
    step = len(models) if stored.at_once else max(1, _BLOCK // models[0].nbytes)
    low, high, bad = math.inf, -math.inf, 0
    for at in range(0, len(models), step):
        index = [slice(None)] * len(stored.shape)
        if len(index) > 2:
            index[order[0]] = slice(first + at, first + min(at + step, len(models)))
        part = models[at : at + step]
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            part[...] = stored[tuple(index)].transpose(order).reshape(part.shape)
        smallest, largest = float(part.min()), float(part.max())  # NaN if any entry is
        if not (smallest > 0 and math.isfinite(largest)):
            bad += int((~(np.isfinite(part) & (part > 0))).sum())
        low, high = min(low, smallest), max(high, largest)
        bar.update(len(part))
    if bad:
        hint = byte_order_hint(stored, None)
        raise ValueError(f"{stored.path}: wave speeds must be finite and positive, got {bad} other entries{hint}")
    return low, high
