"""The survey: geometry, time axis and wavelet, checked before any wave is computed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import deepwave
import torch
from deepwave.discretisation import cfl_condition
from torch import Tensor

from lib import checks
from lib.geology import grid

_BAND = 3.0  # a Ricker wavelet holds .3 % of its peak amplitude at three times its peak frequency
_MAX_INTERNAL_STEPS = 20


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Geometry, time axis and wavelet of a survey; cells are counted depth first.

    Args:
        shape: Grid (nz, nx), cells.
        grid_spacing: Cell size, m.
        dt: Time step of source and data, s.
        nt: Time steps.
        peak_freq: Peak frequency of the Ricker wavelet, Hz.
        source_locations: Cells of the sources, [shot, 2], integers.
        receiver_locations: Cells of the receivers, [shot, receiver, 2], integers.
        max_vel: Largest wave speed any model may have, m/s; fixes the internal time step and the absorbing layer, so
            that they do not change from model to model.
        pml_width: Cells of the absorbing layer.
        gradient_interval: Time steps between two samples of the gradient's correlation; 1 is exact.

    Raises:
        TypeError, ValueError: A value that breaks its rule: not positive, a location outside the grid or given twice,
            a time step that undersamples the wavelet or needs more than 20 internal steps.
    """

    shape: tuple[int, int]
    grid_spacing: float
    dt: float
    nt: int
    peak_freq: float
    source_locations: Tensor
    receiver_locations: Tensor
    max_vel: float
    pml_width: int = 10
    gradient_interval: int = 1

    def __post_init__(self):
        for name in ("grid_spacing", "dt", "peak_freq", "max_vel"):
            # The dataclass is frozen: values are kept as plain numbers, which the solver expects.
            object.__setattr__(self, name, checks.positive(name, getattr(self, name), dtype=torch.float64))
        for name in ("nt", "pml_width", "gradient_interval"):
            object.__setattr__(self, name, checks.count(name, getattr(self, name)))
        grid(self.shape)
        self._check_locations("source_locations", self.source_locations, ndim=2)
        self._check_locations("receiver_locations", self.receiver_locations, ndim=3)
        if len(self.source_locations) != len(self.receiver_locations):
            raise ValueError(
                "source_locations and receiver_locations must have one row a shot, "
                f"got {len(self.source_locations)} and {len(self.receiver_locations)} shots"
            )
        limit = 1 / (2 * _BAND * self.peak_freq)
        if self.dt > limit:
            raise ValueError(
                f"dt must be at most 1 / (6 peak_freq) = {limit:.4g} s to sample the wavelet, got {self.dt:.4g} s"
            )
        if self.internal_steps > _MAX_INTERNAL_STEPS:
            raise ValueError(
                f"dt must need at most {_MAX_INTERNAL_STEPS} internal steps at max_vel and grid_spacing, "
                f"got {self.dt:.4g} s, which needs {self.internal_steps}"
            )
        largest = max(1, int(limit / self.dt))
        if self.gradient_interval > largest or self.nt % self.gradient_interval:
            raise ValueError(
                f"gradient_interval must keep the gradient's samples at most 1 / (6 peak_freq) apart ({largest}) "
                f"and divide nt ({self.nt}), got {self.gradient_interval}"
            )

    def _check_locations(self, name: str, cells: Tensor, *, ndim: int) -> None:
        if not isinstance(cells, Tensor) or cells.dtype not in (torch.int64, torch.int32):
            found = getattr(cells, "dtype", type(cells))
            raise TypeError(f"{name} must be a tensor of whole cell numbers, got {found}")
        if cells.ndim != ndim or cells.shape[-1] != 2 or cells.numel() == 0:
            wanted = "[shot, 2]" if ndim == 2 else "[shot, receiver, 2]"
            raise ValueError(f"{name} must have shape {wanted}, got {list(cells.shape)}")
        if cells.is_meta:
            raise ValueError(f"{name} must hold values, got a tensor on device meta")
        inside = (cells >= 0) & (cells < torch.tensor(self.shape, device=cells.device))
        if not bool(inside.all()):
            outside = cells[~inside.all(-1)][0].tolist()
            raise ValueError(f"{name} must lie inside the grid {tuple(self.shape)}, got cell {outside}")
        if ndim == 3 and any(len(torch.unique(row, dim=0)) < len(row) for row in cells):
            raise ValueError(f"{name} must not hold a cell twice in one shot")

    @classmethod
    def surface(
        cls,
        shape: tuple[int, int],
        *,
        grid_spacing: float,
        dt: float,
        nt: int,
        peak_freq: float,
        num_shots: int,
        num_receivers: int,
        max_vel: float,
        depth: int = 1,
        **options: int,
    ) -> Acquisition:
        """Sources and fixed receivers spread evenly along one row of cells near the surface.

        Args:
            num_shots: Shots, at most nx.
            num_receivers: Receivers, the same for all shots, at most nx.
            depth: Row of all sources and receivers, cells.
            options: `pml_width`, `gradient_interval`.

        Raises:
            TypeError, ValueError: As the class; more shots or receivers than cells in a row, a depth outside the grid.
        """
        _, nx = grid(shape)
        depth = checks.count("depth", depth, minimum=0)
        sources = _spread(nx, num_shots, "num_shots")
        receivers = _spread(nx, num_receivers, "num_receivers")
        return cls(
            shape=tuple(shape),
            grid_spacing=grid_spacing,
            dt=dt,
            nt=nt,
            peak_freq=peak_freq,
            source_locations=torch.stack([torch.full_like(sources, depth), sources], -1),
            receiver_locations=torch.stack([torch.full_like(receivers, depth), receivers], -1).repeat(num_shots, 1, 1),
            max_vel=max_vel,
            **options,
        )

    @property
    def num_shots(self) -> int:
        """Number of shots."""
        return len(self.source_locations)

    @property
    def num_data(self) -> int:
        """Number of data of one model: shots x receivers x time steps."""
        return self.num_shots * self.receiver_locations.shape[1] * self.nt

    @cached_property
    def internal_steps(self) -> int:
        """Steps the solver takes for each dt, to stay stable at max_vel; above 1, gradients are sampled at dt."""
        spacing = self.grid_spacing
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deepwave tells again when it computes; here a count is asked for
            return cfl_condition(spacing, spacing, self.dt, self.max_vel)[1]

    @cached_property
    def wavelet(self) -> Tensor:
        """Ricker wavelet with its peak at 1.5 / peak_freq, [nt], float64."""
        return deepwave.wavelets.ricker(self.peak_freq, self.nt, self.dt, 1.5 / self.peak_freq, dtype=torch.float64)

    def checked_velocity(self, name: str, velocity: Tensor) -> Tensor:
        """Return wave speeds [B, nz, nx] within [1, max_vel] m/s, or say what is wrong (TypeError, ValueError)."""
        velocity = checks.tensor(name, velocity, shape=(None, *self.shape))
        slowest, fastest = float(velocity.detach().min()), float(velocity.detach().max())
        if slowest < 1 or fastest > self.max_vel:
            raise ValueError(
                f"{name} must lie in [1, max_vel = {self.max_vel:g}] m/s, got {slowest:.4g} to {fastest:.4g}"
            )
        return velocity

    def solver_options(self, models: Tensor) -> dict:
        """What deepwave's propagators need to fire all shots of each of the models [B, nz, nx], shot by shot."""
        batch = len(models)
        return {
            "source_amplitudes": self.wavelet.to(models).expand(batch * self.num_shots, 1, -1),
            "source_locations": self.source_locations.to(models.device)[:, None].repeat(batch, 1, 1),
            "accuracy": 4,
            "pml_width": self.pml_width,
            "pml_freq": self.peak_freq,
            "max_vel": self.max_vel,
            "model_gradient_sampling_interval": self.gradient_interval,
            "check_output_finite": False,
        }

    def points_per_wavelength(self, min_vel: float) -> float:
        """Cells in the shortest wavelength (three times the peak frequency) at the slowest speed, m/s."""
        return checks.positive("min_vel", min_vel) / (_BAND * self.peak_freq * self.grid_spacing)


def _spread(nx: int, n: int, name: str) -> Tensor:
    n = checks.count(name, n)
    if n > nx:
        raise ValueError(f"{name} must be at most the number of cells in a row ({nx}), got {n}")
    return ((torch.arange(n, dtype=torch.float64) + 0.5) * nx / n).floor().long()
