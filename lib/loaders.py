"""Reading velocity models from files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_SUFFIXES = (".npy",)
_KM_PER_S_BELOW = 20.0  # no rock carries waves this slowly in m/s, none this fast in km/s


def load_velocity_models(path: str | Path) -> Tensor:
    """Read velocity models into one float32 tensor in m/s.

    Accepts a `.npy` file of shape [nz, nx], [n, nz, nx] or [n, 1, nz, nx] (the layout of OpenFWI), depth first.
    Files in km/s are converted, with a warning.

    Args:
        path: The file.

    Returns:
        Wave speeds, [n, nz, nx], m/s, finite and positive.

    Raises:
        TypeError: Not a path.
        FileNotFoundError: No such file.
        ValueError: Another format, an unreadable or pickled file, a wrong shape or type, no model, entries that are
            not finite and positive. The message names the file.
    """
    if not isinstance(path, (str, Path)):
        raise TypeError(f"path must be a str or a pathlib.Path, got {type(path).__name__}")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must name a file of velocity models, got {path}")
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"{path}: the format must be one of {_SUFFIXES}, got {path.suffix!r}")
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except Exception as error:  # a damaged header makes NumPy raise almost anything, tokenize.TokenError included
        raise ValueError(f"{path}: not a readable .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: must hold one array of real numbers, got {getattr(array, 'dtype', type(array))}")
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    elif array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"{path}: shape must be [nz, nx], [n, nz, nx] or [n, 1, nz, nx], got {list(array.shape)}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
        models = torch.from_numpy(np.array(array, dtype=np.float32))
    if not bool(torch.isfinite(models).all()) or not bool((models > 0).all()):
        bad = int((~(torch.isfinite(models) & (models > 0))).sum())
        raise ValueError(f"{path}: wave speeds must be finite and positive, got {bad} other entries")
    if float(models.max()) < _KM_PER_S_BELOW:
        warnings.warn(f"{path}: a largest wave speed of {float(models.max()):.3g} is read as km/s", stacklevel=2)
        models = models * 1000
    return models
