"""Are these numbers wave speeds in m/s? Units and byte order found from their range."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lib.formats import Stored

UNITS = {"m/s": 1.0, "km/s": 1000.0, "ft/s": 0.3048}
PLAUSIBLE = (100.0, 9000.0)  # m/s: shear waves in loose soil, compressional waves in the upper mantle
_SLOWEST_P = 1000.0  # m/s: a whole model below this holds shear waves, or something else
_DENSEST = 3.3  # g/cm3: below it, km/s and densities share their range
_OTHER = {
    "ft/s": lambda value: 0.3048 * value,
    "kft/s": lambda value: 304.8 * value,
    "slowness in s/m": lambda value: 1 / value,
    "slowness in us/m": lambda value: 1e6 / value,
    "slowness in us/ft": lambda value: 304_800 / value,
    "squared slowness in s2/m2": lambda value: value**-0.5,
    "squared slowness in s2/km2": lambda value: 1000 * value**-0.5,
}


def plausible(low: float, high: float) -> bool:
    """Do speeds between two values (m/s, in either order) occur in rock?"""
    return PLAUSIBLE[0] <= min(low, high) and max(low, high) <= PLAUSIBLE[1]


def to_metres_per_second(
    path: Path, low: float, high: float, unit: str | None, hint: Callable[[], str] = str
) -> float:
    """The factor that turns a file's values into m/s, from their range, or from `unit` if it is given.

    Args:
        path: The file, for messages.
        low, high: Smallest and largest value, positive.
        unit: A key of `UNITS`, or None to find out.
        hint: Gives more to say where the values are refused.

    Raises:
        ValueError: Not wave speeds of rock in the unit given, in m/s or in km/s.
    """
    if unit is None and plausible(1000 * low, 1000 * high):
        densities = " (densities in g/cm3 look the same)" if high < _DENSEST else ""
        warnings.warn(f"{path}: a largest wave speed of {high:.3g} is read as km/s{densities}", stacklevel=3)
        unit = "km/s"
    return _checked(path, low, high, unit or "m/s", hint)


def _checked(path: Path, low: float, high: float, unit: str, hint: Callable[[], str]) -> float:
    factor = UNITS[unit]
    if not plausible(factor * low, factor * high):
        others = [name for name, speed in _OTHER.items() if plausible(speed(low), speed(high))]
        looks = f"; they could be {' or '.join(others)}" if others else ""
        raise ValueError(
            f"{path}: wave speeds must lie between {PLAUSIBLE[0]:g} and {PLAUSIBLE[1]:g} m/s, "
            f"got {low:.4g} to {high:.4g} {unit}{looks}{hint()}"
        )
    if factor * high < _SLOWEST_P:
        warnings.warn(
            f"{path}: a largest wave speed of {factor * high:.3g} m/s is that of shear waves in soil; "
            "slowness in us/m or s/km would look the same",
            stacklevel=4,
        )
    return factor


def byte_order_hint(stored: Stored, unit: str | None) -> str:
    """A remark if the first model of a file is plausible in the other byte order, else an empty text."""
    whole = [slice(None)] * len(stored.shape)
    sample = np.ascontiguousarray(stored[tuple([slice(0, 1), *whole[1:]] if len(whole) > 2 else whole)])
    other = sample.dtype.newbyteorder()
    with np.errstate(all="ignore"):
        swapped = sample.view(other).astype(np.float64)
        low, high = float(swapped.min()), float(swapped.max())
    if sample.itemsize == 1 or not math.isfinite(low + high) or low <= 0:
        return ""
    if not any(plausible(factor * low, factor * high) for name, factor in UNITS.items() if unit in (None, name)):
        return ""
    return f"; in the other byte order ({other.str}) they would run from {low:.4g} to {high:.4g}"
