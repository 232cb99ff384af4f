"""Figures in one style: colour maps that read in grey and for the colour-blind, axes with units, depth downwards."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from lib import checks

# Okabe and Ito (2008): distinguishable with every common form of colour blindness.
COLORS = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "pink": "#CC79A7",
    "yellow": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
}


def use_style() -> None:
    """Set the course's figure style for this session: white ground (also on dark pages), the palette, no top spines."""
    mpl.rcParams.update(
        {
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.dpi": 110,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": mpl.cycler(color=list(COLORS.values())),
            "legend.frameon": False,
            "image.interpolation": "nearest",
        }
    )


def show_velocity(
    ax: Axes, velocity: Tensor, grid_spacing: float, *, limits: tuple[float, float] = (1400.0, 4000.0), title: str = ""
) -> AxesImage:
    """Draw a velocity model with kilometre axes; add the colour bar once per figure with `velocity_bar`.

    Args:
        ax: Where to draw.
        velocity: Wave speed, [nz, nx], m/s.
        grid_spacing: Cell size, m.
        limits: Colour limits, m/s; give compared panels the same.
        title: Title of the panel.
    """
    image = _image(ax, velocity, grid_spacing, "viridis", limits)
    ax.set(xlabel="distance (km)", ylabel="depth (km)", title=title)
    return image


def show_difference(ax: Axes, values: Tensor, grid_spacing: float, *, limit: float, title: str = "") -> AxesImage:
    """Draw a signed field [nz, nx] (a difference, a gradient) in red and blue, symmetric about 0 up to `limit`."""
    limit = checks.positive("limit", limit)
    image = _image(ax, values, grid_spacing, "RdBu_r", (-limit, limit))
    ax.set(xlabel="distance (km)", ylabel="depth (km)", title=title)
    return image


def show_spread(ax: Axes, values: Tensor, grid_spacing: float, *, limit: float, title: str = "") -> AxesImage:
    """Draw a pointwise standard deviation [nz, nx] from 0 to `limit`."""
    image = _image(ax, values, grid_spacing, "magma", (0.0, checks.positive("limit", limit)))
    ax.set(xlabel="distance (km)", ylabel="depth (km)", title=title)
    return image


def show_shot(
    ax: Axes, record: Tensor, dt: float, receiver_spacing: float, *, clip: float, title: str = ""
) -> AxesImage:
    """Draw a shot record, time downwards; amplitudes beyond +-clip saturate, and the title of the bar should say so.

    Args:
        ax: Where to draw.
        record: Pressure, [receiver, time].
        dt: Time step, s.
        receiver_spacing: Distance between receivers, m.
        clip: Largest amplitude drawn, in units of the data.
        title: Title of the panel.
    """
    record = checks.tensor("record", record, shape=(None, None))
    dt, clip = checks.positive("dt", dt), checks.positive("clip", clip)
    receiver_spacing = checks.positive("receiver_spacing", receiver_spacing)
    receivers, steps = record.shape
    image = ax.imshow(
        record.detach().cpu().T,
        cmap="gray",
        vmin=-clip,
        vmax=clip,
        aspect="auto",
        extent=(0, receivers * receiver_spacing / 1000, steps * dt, 0),
    )
    ax.set(xlabel="distance (km)", ylabel="time (s)", title=title)
    return image


def velocity_bar(image: AxesImage, axes: Axes | list[Axes] | np.ndarray, label: str = "velocity (m/s)") -> None:
    """One labelled colour bar for all `axes`."""
    owner = np.asarray(axes, dtype=object).flat[0]  # one axes, a list, or the array of plt.subplots
    owner.figure.colorbar(image, ax=axes, label=label, shrink=0.85)


def _image(ax: Axes, values: Tensor, spacing: float, cmap: str, limits: tuple[float, float]) -> AxesImage:
    values = checks.tensor("values", values, shape=(None, None))
    spacing = checks.positive("grid_spacing", spacing)
    nz, nx = values.shape
    extent = (0, nx * spacing / 1000, nz * spacing / 1000, 0)
    ax.spines[["top", "right"]].set_visible(True)
    return ax.imshow(values.detach().to("cpu", torch.float32), cmap=cmap, vmin=limits[0], vmax=limits[1], extent=extent)


def headline(result: Mapping[str, np.ndarray]) -> Figure:
    """Draw the picture that opens the book from the arrays of `data/headline.npz`.

    Rows: the training models that were copied, the memorized-prior samples, the population-prior samples; the truth on
    the left. The title of each sample holds its misfit per datum.
    """
    fig, axes = plt.subplots(3, 4, figsize=(8.5, 6.6), layout="constrained", sharex=True, sharey=True)
    spacing = float(result["grid_spacing"])
    rows = [("copied", "example"), ("memorized", "memorized"), ("population", "population")]
    for line, (key, name) in zip(axes, rows, strict=True):
        for k, ax in enumerate(line[1:]):
            copied = key == "copied"
            title = f"{name} {result['landed'][k]}" if copied else f"{name}\nmisfit {result['chi2_' + key][k]:.2f}"
            image = show_velocity(ax, torch.from_numpy(result[key][k]), spacing, title=title)
    for ax in axes[1:, 0]:
        ax.set_axis_off()
    title = f"truth\nmisfit {result['chi2_truth']:.2f}"
    show_velocity(axes[0, 0], torch.from_numpy(result["truth"]), spacing, title=title)
    for ax in axes.flat:
        ax.label_outer()
    for ax in axes[1:, 1]:  # their left neighbours are empty
        ax.tick_params(labelleft=True)
        ax.set_ylabel("depth (km)")
    axes[0, 0].tick_params(labelbottom=True)
    axes[0, 0].set_xlabel("distance (km)")
    velocity_bar(image, axes)
    return fig
