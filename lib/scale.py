"""Quick and full: one frozen preset of sizes for every chapter, chosen by COURSE_SCALE; the device, chosen once."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from lib.seismic import Acquisition
from lib.velocity import CosineField

DATA = Path(__file__).resolve().parent.parent / "data"
"""Folder of the small result files that the chapters show."""


@dataclass(frozen=True)
class Scale:
    """Sizes of the experiments; everything dimensionless (cells per wavelength, steps per period) is equal in all.

    Attributes:
        name: "quick" or "full".
        grid: Cells per side of the velocity models.
        extent: Side of the square model, m.
        duration: Recording time, s.
        peak_freq: Peak frequency of the wavelet, Hz.
        num_shots: Shots.
        num_modes: Coefficients of a velocity model.
        training_sizes: Sizes N of the training sets of the posterior-sampling chapter.
        num_samples: Posterior samples a run.
        num_levels: Noise levels a run.
        noise_to_signal: Standard deviation of the data noise over that of the noise-free data.
        field_std: Standard deviation of the velocity field before it is bounded, m/s.
        max_vel: Upper bound of all velocities, m/s.
        min_vel: Lower bound of all velocities, m/s.
        thinned_receivers: Receivers of the single shot in the problem with few data.
        thinned_every: Time steps between its samples.
        thinned_noise_to_signal: Its noise: for some truths the lookup posterior spreads over 3 to 5 of 50 examples.
    """

    name: str
    grid: int
    extent: float
    duration: float
    peak_freq: float
    num_shots: int
    num_modes: int
    training_sizes: tuple[int, ...]
    num_samples: int
    num_levels: int
    noise_to_signal: float = 0.3
    field_std: float = 400.0
    max_vel: float = 4000.0
    min_vel: float = 1400.0
    thinned_receivers: int = 4
    thinned_every: int = 20
    thinned_noise_to_signal: float = 0.5

    @property
    def grid_spacing(self) -> float:
        """Cell size, m."""
        return self.extent / self.grid

    @property
    def dt(self) -> float:
        """Time step, s: a fixed share of the time a wave of max_vel takes to cross a cell."""
        return 0.4 * self.grid_spacing / self.max_vel

    @property
    def gradient_interval(self) -> int:
        """Steps between gradient samples: a ninth of the peak period, two thirds of what Nyquist allows."""
        return max(1, int(1 / (9 * self.peak_freq * self.dt)))

    def acquisition(self, *, num_shots: int | None = None, num_receivers: int | None = None) -> Acquisition:
        """The survey of the waveform-inversion chapters: sources and receivers along the surface, or fewer of them."""
        every = self.gradient_interval
        return Acquisition.surface(
            (self.grid, self.grid),
            grid_spacing=self.grid_spacing,
            dt=self.dt,
            nt=every * math.ceil(round(self.duration / self.dt) / every),  # whole intervals between gradient samples
            peak_freq=self.peak_freq,
            num_shots=self.num_shots if num_shots is None else num_shots,
            num_receivers=self.grid if num_receivers is None else num_receivers,
            max_vel=self.max_vel,
            gradient_interval=self.gradient_interval,
            pml_width=8,  # sends back a thousandth of the records' size: less than a hundredth of the noise
        )

    def velocity_field(self) -> CosineField:
        """The population of velocity models; its correlation length is a fixed share of the model."""
        return CosineField(
            (self.grid, self.grid),
            self.num_modes,
            corr_length=self.grid / 6,
            std=self.field_std,
            min_vel=self.min_vel,
            max_vel=self.max_vel,
        )


# `full` has twice the cells over the same ground and twice the frequency: the same cells per wavelength.
_PRESETS = {
    "quick": Scale("quick", 32, 1600.0, 1.2, 3.5, 4, 64, (20, 200), 8, 50),
    "full": Scale("full", 64, 1600.0, 1.2, 7.0, 8, 64, (20, 50, 200), 32, 200),
}


@dataclass(frozen=True)
class LearningScale:
    """Sizes of the experiments with trained networks.

    Attributes:
        name: "quick" or "full".
        dim: Coefficients of the anisotropic Gaussian population.
        sizes: Training set sizes N of the crossover.
        steps: Training steps of a network.
        timing_sizes: N for the count of steps until half the samples are copies.
        timing_steps: The most steps of that count.
        widths: Widths of the network in the capacity experiment.
        num_samples: Samples behind each rate.
        image_grid: Cells per side of the geology images.
        image_sizes: N of the image experiment.
        image_channels: Channels of the U-Net.
        image_steps: Its training steps.
        wave_sizes: N of the learned priors for waveform inversion.
        wave_width: Width of their networks.
        wave_steps: Their training steps.
        wave_samples: Posterior samples a run.
    """

    name: str
    dim: int
    sizes: tuple[int, ...]
    steps: int
    timing_sizes: tuple[int, ...]
    timing_steps: int
    widths: tuple[int, ...]
    num_samples: int
    image_grid: int
    image_sizes: tuple[int, ...]
    image_channels: int
    image_steps: int
    wave_sizes: tuple[int, ...]
    wave_width: int
    wave_steps: int
    wave_samples: int


_LEARNING = {
    "quick": LearningScale(
        "quick", 16, (10, 30, 100, 1000), 2000, (10, 20, 40), 2000, (32, 128, 512), 500,
        32, (8,), 16, 1000, (50, 200, 1000), 256, 2000, 32,
    ),
    "full": LearningScale(
        "full", 16, (10, 30, 100, 300, 1000, 3000), 10000, (10, 20, 40, 80, 160, 320), 40000, (32, 64, 128, 256, 512),
        2000, 64, (20, 200, 2000), 64, 40000, (50, 200, 1000), 512, 10000, 64,
    ),
}  # fmt: skip


def scale(name: str | None = None) -> Scale:
    """The preset called `name`, by default that of the environment variable COURSE_SCALE, by default "quick".

    Raises:
        ValueError: An unknown name.
    """
    return _PRESETS[_known(name)]


def learning_scale(name: str | None = None) -> LearningScale:
    """The same for the experiments with trained networks."""
    return _LEARNING[_known(name)]


def device() -> torch.device:
    """The first CUDA device where there is one, else the CPU; COURSE_DEVICE overrides.

    Raises:
        ValueError: COURSE_DEVICE names no device of torch.
    """
    chosen = os.environ.get("COURSE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(chosen)
    except RuntimeError as error:
        raise ValueError(f"COURSE_DEVICE must be a device of torch such as cpu or cuda:0, got {chosen!r}") from error


def _known(name: str | None) -> str:
    name = os.environ.get("COURSE_SCALE") or "quick" if name is None else name
    if not isinstance(name, str) or name not in _PRESETS:
        raise ValueError(f"COURSE_SCALE must be one of {sorted(_PRESETS)}, got {name!r}")
    return name
