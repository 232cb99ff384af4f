"""Figures of an audit report, as PNG in base64 with their alt texts; narrow, so that a phone can show them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

_WIDTH = 4.2  # inches: on a phone of 360 pixels the letters keep four fifths of their size
_FLOOR = 1e-3  # of logarithmic axes
_BLUE, _ORANGE, _BLACK = "#0072B2", "#D55E00", "#000000"


@dataclass(frozen=True)
class Picture:
    """A figure for a page.

    Attributes:
        data: PNG, base64.
        alt: What it shows, for those who do not see it.
        caption: What is drawn.
    """

    data: str
    alt: str
    caption: str


def pictures(report) -> list[Picture]:
    """All figures of an `AuditReport`."""
    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    with rc_context(style):
        found = [rates(report), ratios(report)]
        if report.gap is not None:
            found += [gap(report), losses(report)]
        return found + [pair(report, number) for number in range(len(report.pairs))]


def rates(report) -> Picture:
    """Rate and null of each rule, and the interval of the difference."""
    fig, axes = _figure(1.4 + 0.6 * len(report.rates))
    for place, rate in enumerate(report.rates):
        low, high = rate.interval
        names = ("interval of the difference", "samples", "null") if place == 0 else (None,) * 3
        axes.plot([low, high], [place, place], color=_BLUE, lw=4, label=names[0])
        axes.plot(rate.rate, place + 0.22, "o", color=_ORANGE, label=names[1])
        axes.plot(rate.null_rate, place + 0.22, "s", mfc="white", color=_BLACK, label=names[2])
    axes.axvline(report.thresholds.excess, color=_BLACK, lw=1, ls=":")
    axes.set(
        yticks=range(len(report.rates)), yticklabels=[rate.rule for rate in report.rates],
        ylim=(-0.5, len(report.rates)), xlim=(-0.25, 1.05), xlabel="share called copies",
    )  # fmt: skip
    axes.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, columnspacing=1, handlelength=1)
    alt = "; ".join(
        f"{r.rule}: samples {r.rate:.1%}, null {r.null_rate:.1%}, difference from {r.interval[0]:+.1%} to "
        f"{r.interval[1]:+.1%}"
        for r in report.rates
    )
    text = f"Share of copies by each rule. Dotted: a difference of {report.thresholds.excess:.0%}."
    return _picture(fig, f"Rates. {alt}.", text)


def ratios(report) -> Picture:
    """Histogram of d1/d2."""
    fig, axes = _figure(2.6)
    edges = np.array(report.ratio_edges)
    axes.stairs(report.ratio_samples, edges, fill=True, color=_ORANGE, alpha=0.6, label="samples")
    axes.stairs(report.ratio_null, edges, color=_BLACK, lw=1.5, label="null")
    axes.axvline(report.rates[0].threshold, color=_BLACK, lw=1, ls=":")
    axes.set(xlabel="nearest over second nearest distance", ylabel="share", xlim=(0, 1))
    axes.legend(fontsize=8)
    middle = (edges[1:] + edges[:-1]) / 2
    means = [float((middle * shares).sum()) for shares in (report.ratio_samples, report.ratio_null)]
    alt = f"Histograms of d1/d2: the samples' mean is {means[0]:.2f}, that of the null {means[1]:.2f}."
    return _picture(fig, alt, f"Ratio d1/d2 of samples and of the null ({report.null}). Dotted: the rule's threshold.")


def gap(report) -> Picture:
    """Distance of the denoiser from the memorized one at each level."""
    found, (fig, axes) = report.gap, _figure(2.9)
    sigmas = np.array(found.sigmas)
    axes.loglog(sigmas, np.maximum(found.training, _FLOOR), "o-", ms=3, color=_ORANGE, label="training")
    axes.loglog(sigmas, found.broad_training, "--", color=_ORANGE, lw=1, label="Gaussian, training")
    if found.held_out is not None:
        axes.loglog(sigmas, np.maximum(found.held_out, _FLOOR), "s-", ms=3, color=_BLUE, label="held-out")
        axes.loglog(sigmas, found.broad_held_out, "--", color=_BLUE, lw=1, label="Gaussian, held-out")
    axes.set(xlabel="noise level (units of the models)", ylabel="relative distance")
    axes.legend(fontsize=8)
    share = np.array(found.training) / np.array(found.broad_training)
    alt = (
        f"Relative distance of the denoiser from the memorized one over noise levels from {sigmas[0]:.3g} to "
        f"{sigmas[-1]:.3g}; on training models it is {share.min():.2f} to {share.max():.2f} times a Gaussian's."
    )
    text = "Distance from the memorized denoiser in closed form, drawn at .001 where it is less; dashed: a Gaussian's."
    return _picture(fig, alt, text)


def losses(report) -> Picture:
    """Denoising loss on training and held-out models."""
    found, (fig, axes) = report.gap, _figure(2.7)
    sigmas = np.array(found.sigmas)
    error = np.sqrt(found.loss_training) / report.spread
    axes.loglog(sigmas, np.maximum(error, _FLOOR), "o-", ms=3, color=_ORANGE, label="training")
    alt = f"Error after denoising training models at noise levels from {sigmas[0]:.3g} to {sigmas[-1]:.3g}."
    if found.loss_held_out is not None:
        axes.loglog(sigmas, np.sqrt(found.loss_held_out) / report.spread, "s-", ms=3, color=_BLUE, label="held-out")
        most = float(np.max(np.sqrt(np.array(found.loss_held_out) / np.maximum(found.loss_training, 1e-300))))
        alt += f" On held-out models it is up to {most:.3g} times as large."
    axes.set(xlabel="noise level (units of the models)", ylabel="error / spread")
    axes.legend(fontsize=8)
    text = "Root mean square error after denoising, over the spread of the examples; drawn at .001 where it is less."
    return _picture(fig, alt, text)


def pair(report, number: int) -> Picture:
    """A sample beside its nearest example."""
    shown = report.pairs[number]
    values = [np.reshape(v, shown.shape) for v in (shown.sample_values, shown.example_values)]
    if len(shown.shape) == 2:
        fig, _ = _figure(2.2, axes=False)
        axes = fig.subplots(1, 2)
        low, high = min(v.min() for v in values), max(v.max() for v in values)
        for ax, value, title in zip(axes, values, ("sample", "example"), strict=True):
            image = ax.imshow(value, cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
            ax.set(title=f"{title} {getattr(shown, title)}", xticks=[], yticks=[])
        fig.colorbar(image, ax=axes, shrink=0.8)
    else:
        fig, axes = _figure(2.2)
        axes.plot(values[1], color=_BLACK, lw=2.5, alpha=0.5, label=f"example {shown.example}")
        axes.plot(values[0], color=_ORANGE, lw=1, label=f"sample {shown.sample}")
        axes.set(xlabel="parameter", ylabel="value")
        axes.legend(fontsize=8)
    alt = f"Sample {shown.sample} and its nearest example {shown.example}, {shown.distance:.4g} apart."
    return _picture(fig, alt, f"{alt} d1/d2 = {shown.ratio:.3f}.")


def _figure(height: float, *, axes: bool = True):
    fig = Figure((_WIDTH, height), dpi=160, layout="constrained", facecolor="white")
    return fig, fig.add_subplot() if axes else None


def _picture(fig: Figure, alt: str, caption: str) -> Picture:
    stream = io.BytesIO()
    fig.savefig(stream, format="png", metadata={"Software": None})
    return Picture(base64.b64encode(stream.getvalue()).decode(), alt, caption)
