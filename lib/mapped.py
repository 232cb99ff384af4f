"""Examples that stay on the disk: a file mapped into memory, of which only what is being read takes room."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["map_examples"]


def map_examples(path: str | PathLike) -> Tensor:
    """Map the examples of a .npy file: a tensor for `MemorizedPrior` and `nearest_distances`, never loaded whole.

    The operating system reads pages as they are asked for and drops them again when memory is short, so that a training
    set may be larger than the memory. What is written to the tensor stays in memory and does not reach the file.

    Args:
        path: A .npy file that holds one array [N, d] of float32 or float64 in the machine's byte order, row by row.

    Returns:
        The examples, [N, d], in the file's dtype, on the processor.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a readable .npy file, or its array has another shape, dtype or order.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must name a .npy file, there is none at {path}")
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:  # a damaged header makes NumPy raise almost anything
        raise ValueError(f"{path}: not a readable .npy file of numbers: {error}") from error
    if not isinstance(array, np.memmap) or array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{path}: must hold one array [N, d], got {getattr(array, 'shape', type(array).__name__)}")
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        raise ValueError(f"{path}: must hold float32 or float64 in this machine's byte order, got {array.dtype.str}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{path}: must be stored row by row, got Fortran order; save np.ascontiguousarray(examples)")
    return torch.from_numpy(array)
