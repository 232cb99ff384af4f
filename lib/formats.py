"""Files of velocity models, opened without being read: NumPy, MATLAB, SEG-Y and raw numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lib import checks

SUFFIXES = (".npy", ".mat", ".sgy", ".segy")
_NUMBERS = {"double", "single"} | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_HDF5 = b"\x89HDF\r\n\x1a\n"


class Stored:
    """An array in a file: its shape and type, and a block of it for `stored[slices]`.

    Attributes:
        shape, dtype: Those of the array in the file.
        at_once: "all" where any block makes the format read the whole array, "part" where each block may cost as much
            as the whole part that is wanted, "" where blocks are cheap.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: object, read: Callable, *, at_once: str = ""):
        self.path, self.shape, self.dtype = path, tuple(int(side) for side in shape), np.dtype(dtype)
        self.at_once = at_once
        self._read = read

    def bytes_beside(self, share: float) -> float:
        """Memory that reading a share of the array takes beside the result."""
        return {"all": 1, "part": share, "": 0}[self.at_once] * math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a block.

        Raises:
            ValueError: The file is damaged there, or does not hold real numbers.
        """
        try:
            block = np.asarray(self._read(index))
        except Exception as error:  # zlib.error, OSError, TypeError ...: readers raise almost anything on damage
            raise ValueError(f"{self.path}: damaged, a block of it cannot be read: {error}") from error
        if block.dtype.kind not in "fiu":
            raise ValueError(f"{self.path}: must hold one array of real numbers, got {block.dtype}")
        return block


@contextmanager
def opened(path: Path, *, shape: object = None, dtype: object = None, variable: str | None = None) -> Iterator[Stored]:
    """Open a file of velocity models by its suffix; a file with a `shape` is raw numbers. Nothing is unpickled.

    Raises:
        ValueError: Empty, damaged, of another format; an option that the format does not have; no array, or several.
        ImportError: The reader of this format (extra `formats`) is not installed.
    """
    suffix = path.suffix.lower()
    raw = shape is not None and suffix not in SUFFIXES
    if not raw and suffix not in SUFFIXES:
        raise ValueError(f"{path}: the format must be one of {SUFFIXES}, or raw with `shape=`, got {path.suffix!r}")
    if not raw and (shape is not None or dtype is not None):
        raise ValueError(f"{path}: shape and dtype are for raw files, a {suffix} file has its own")
    if variable is not None and suffix != ".mat":
        raise ValueError(f"{path}: variable must be left out, only a .mat file has named variables, got {variable!r}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: not a readable {suffix} file: it is empty (0 bytes)")
    if raw:
        yield _raw(path, shape, dtype)
    elif suffix == ".npy":
        yield _npy(path)
    elif suffix != ".mat":
        with _segy(path) as stored:
            yield stored
    elif _is_hdf5(path):
        with _matlab_hdf5(path, variable) as stored:
            yield stored
    else:
        yield _matlab(path, variable)


def _npy(path: Path) -> Stored:
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except Exception as error:  # a damaged header makes NumPy raise almost anything, tokenize.TokenError included
        raise ValueError(f"{path}: not a readable .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: must hold one array of real numbers, got {getattr(array, 'dtype', type(array))}")
    # Mapped anew for each block: pages of a map that is kept count as memory until it is closed.
    return Stored(path, array.shape, array.dtype, lambda index: np.load(path, mmap_mode="r", allow_pickle=False)[index])


def _raw(path: Path, shape: object, dtype: object) -> Stored:
    if not isinstance(shape, (tuple, list)) or not 2 <= len(shape) <= 4:
        raise ValueError(f"shape must be the 2 to 4 sizes stored in {path}, as in (n, nz, nx), got {shape!r}")
    shape = tuple(checks.count("shape", side) for side in shape)
    try:
        dtype = np.dtype("<f4" if dtype is None else dtype)
    except TypeError as error:
        raise TypeError(f"dtype must name a type of numbers, such as '<f4' or '>f4', got {dtype!r}") from error
    if dtype.kind not in "fiu":
        raise ValueError(f"dtype must be a type of real numbers, got {dtype}")
    found, wanted = path.stat().st_size, math.prod(shape) * dtype.itemsize
    if found != wanted:
        ratio = f"{found / wanted:.6g} times as many; a wrong shape or dtype, or a file cut short"
        raise ValueError(f"{path}: shape {list(shape)} of {dtype} takes {wanted} bytes, the file has {found} ({ratio})")
    return Stored(path, shape, dtype, lambda index: np.memmap(path, dtype, "r", shape=shape)[index])


def _is_hdf5(path: Path) -> bool:
    """Is this MATLAB 7.3? HDF5 begins with its signature, at 0 or behind MATLAB's own header of 512 bytes."""
    with path.open("rb") as stream:
        start = stream.read(512 + len(_HDF5))
    return start.startswith(_HDF5) or start.endswith(_HDF5)


def _chosen(path: Path, found: dict[str, tuple[int, ...]], variable: str | None) -> str:
    """The variable asked for, or the only one with two axes of more than one cell."""
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in found.items()) or "none"
    if variable is None:
        likely = [name for name, shape in found.items() if 2 <= len(shape) <= 4 and sum(n > 1 for n in shape) >= 2]
        if len(likely) != 1:
            raise ValueError(f"{path}: name one array with `variable=`; arrays of numbers in it: {listed}")
        variable = likely[0]
    elif variable not in found:
        raise ValueError(f"{path}: variable must be one of its arrays of numbers ({listed}), got {variable!r}")
    return variable


def _matlab(path: Path, variable: str | None) -> Stored:
    from scipy.io import loadmat, whosmat  # slow to import, and only this format needs it

    try:
        contents = [entry for entry in whosmat(path, appendmat=False) if entry[2] in _NUMBERS]
    except Exception as error:  # as for .npy
        raise ValueError(f"{path}: not a readable .mat file: {error}") from error
    name = _chosen(path, {entry[0]: entry[1] for entry in contents}, variable)
    shape, kind = next(entry[1:] for entry in contents if entry[0] == name)
    dtype = np.dtype({"double": "f8", "single": "f4"}.get(kind, kind))
    load = functools.cache(lambda: loadmat(path, appendmat=False, variable_names=[name])[name])
    return Stored(path, shape, dtype, lambda index: load()[index], at_once="all")


@contextmanager
def _matlab_hdf5(path: Path, variable: str | None) -> Iterator[Stored]:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f"{path}: a MATLAB 7.3 file needs h5py: pip install h5py (extra `formats`)") from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not a readable .mat file (version 7.3): {error}") from error

    def is_numbers(entry: object) -> bool:
        kind = entry.attrs.get("MATLAB_class", b"double")  # text and truth values are stored as numbers too
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        return isinstance(entry, h5py.Dataset) and entry.dtype.kind in "fiu" and kind in _NUMBERS

    with file:
        arrays = {name: entry for name, entry in file.items() if is_numbers(entry)}
        # MATLAB writes its arrays column by column: to HDF5 the axes are reversed, and models are not blocks of a file.
        name = _chosen(path, {name: entry.shape[::-1] for name, entry in arrays.items()}, variable)
        array = arrays[name]
        yield Stored(path, array.shape[::-1], array.dtype, lambda index: array[index[::-1]].T, at_once="part")


@contextmanager
def _segy(path: Path) -> Iterator[Stored]:
    """Sections [n, nz, nx]: a line is one, a cube one for each inline (or crossline, as it is sorted)."""
    try:
        import segyio
    except ImportError as error:
        raise ImportError(f"{path}: a SEG-Y file needs segyio: pip install segyio (extra `formats`)") from error
    with path.open("rb") as stream:
        code = stream.read(3226)[3224:]  # the sample format, 1 to 16, tells the byte order
    little = not 1 <= int.from_bytes(code, "big") <= 16 and 1 <= int.from_bytes(code, "little") <= 16
    try:
        file = segyio.open(path, strict=False, endian="little" if little else "big")
    except Exception as error:  # RuntimeError, OSError, ValueError, by the kind of damage
        raise ValueError(f"{path}: not a readable SEG-Y file: {error}") from error
    with file:
        n, nz = 1, len(file.samples)
        if not file.unstructured and min(len(file.ilines), len(file.xlines)) > 1:
            inline_by_inline = file.sorting == segyio.TraceSortingFormat.INLINE_SORTING
            n = len(file.ilines if inline_by_inline else file.xlines)
            if len(file.offsets) > 1:
                raise ValueError(f"{path}: a velocity model has one offset, got {len(file.offsets)} (recorded data?)")
        nx = file.tracecount // n

        def read(index: tuple[slice, ...]) -> np.ndarray:
            first, last, _ = index[0].indices(n)
            traces = file.trace.raw[first * nx : last * nx]
            return traces.reshape(-1, nx, nz).swapaxes(1, 2)[(slice(None), *index[1:])]

        yield Stored(path, (n, nz, nx), file.dtype, read)
