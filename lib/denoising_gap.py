"""How near a denoiser is to the memorized one in closed form, and how much better it does on what it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from lib.checks import Denoiser
from lib.mixture import MemorizedPrior

_NUM_POINTS = 256
_STANDARD_ERRORS = 3.0  # of an interval at each level, as the lowest of many is looked at


@dataclass(frozen=True)
class DenoisingGap:
    """A denoiser D beside the memorized one M in closed form and a broad Gaussian's G, level by level.

    Distances are root mean squares over noised models, divided by that of M about the mean of the examples.

    Attributes:
        sigmas: Noise levels, rising, in units of the models.
        training, held_out: |D - M| on noised training and held-out models; held_out is None without such models.
        broad_training, broad_held_out: |G - M|, the size that tells small from large.
        loss_training, loss_held_out: |D - x_0|^2 per coordinate, in units of the models squared.
        loss_memorized, loss_broad: The same of M and of G on held-out models.
        ratio_low, ratio_high: Interval of loss_training / loss_held_out, three standard errors to either side; None
            without held-out models. For the population's denoiser the ratio is near 1, for M it falls to 0.
        nats: Mean log-likelihood of training models above that of held-out ones, at resolution sigmas[0], implied by
            the two losses; None without held-out models.
        nats_error: Its standard error; all points about one model count as one.
    """

    sigmas: tuple[float, ...]
    training: tuple[float, ...]
    broad_training: tuple[float, ...]
    loss_training: tuple[float, ...]
    held_out: tuple[float, ...] | None = None
    broad_held_out: tuple[float, ...] | None = None
    loss_held_out: tuple[float, ...] | None = None
    loss_memorized: tuple[float, ...] | None = None
    loss_broad: tuple[float, ...] | None = None
    ratio_low: tuple[float, ...] | None = None
    ratio_high: tuple[float, ...] | None = None
    nats: float | None = None
    nats_error: float | None = None

    def __post_init__(self):
        """Refuse columns of another length than the levels."""
        for name, value in vars(self).items():
            if isinstance(value, tuple) and len(value) != len(self.sigmas):
                raise ValueError(f"{name} must hold one value for each of {len(self.sigmas)} sigmas, got {len(value)}")

    def nearest_level(self) -> tuple[float, float] | None:
        """Smallest |D - M| / |G - M| on held-out models, and its level, where M denoises them worse than G does.

        There the population's denoiser P has |P - M| >= |G - P| in the root mean square, since the loss of any D
        exceeds that of P by |D - P|^2; so its ratio is at least 1/2. None: no such level, or no held-out models.
        """
        if self.held_out is None:
            return None
        found = [
            (ours / broad, sigma)
            for sigma, ours, broad, memorized, gaussian in zip(
                self.sigmas, self.held_out, self.broad_held_out, self.loss_memorized, self.loss_broad, strict=True
            )
            if memorized > gaussian
        ]
        return min(found, default=None)

    def smallest_ratio(self) -> tuple[float, float, float, float] | None:
        """loss_training / loss_held_out at the level where its interval ends lowest: ratio, both ends, level.

        None without held-out models.
        """
        if self.loss_held_out is None:
            return None
        ratios = (ours / fresh for ours, fresh in zip(self.loss_training, self.loss_held_out, strict=True))
        high, ratio, low, sigma = min(zip(self.ratio_high, ratios, self.ratio_low, self.sigmas, strict=True))
        return ratio, low, high, sigma


def denoising_gap(
    denoise: Denoiser,
    examples: Tensor,
    held_out: Tensor | None,
    sigmas: Tensor,
    *,
    num_points: int = _NUM_POINTS,
    generator: torch.Generator | None = None,
) -> DenoisingGap:
    """Compare D with the memorized denoiser and a broad Gaussian's on noised models.

    The Gaussian has the mean and the variance of each coordinate of the examples. The losses imply a difference of
    log-likelihoods: with p_s the density of x_0 + s e under the prior whose denoiser D is,
    E log p_s(x + s e) over training models less the same over held-out ones is
    integral from s of (loss_held_out - loss_training) / sigma^2 d log sigma, by the pointwise I-MMSE relation
    d/dsnr KL(N(x, s^2 I), p_s) = |D - x|^2 / 2 on average, snr = s^-2.

    Source: Karras et al. (2022), appendix B.3, for M; Guo et al. (2005) and Venkat and Weissman (2012) for I-MMSE.

    Args:
        denoise: D(x, sigma) from [B, d] and a 0-d sigma to [B, d].
        examples: Distinct training models, [N, d].
        held_out: Models never trained on, [M, d], or None.
        sigmas: Levels, [K], positive, rising.
        num_points: Noised models at each level, drawn with replacement; the same models and noise at all levels.
    """
    prior = MemorizedPrior(examples, float(sigmas[0]))
    centre, variance = examples.mean(0), examples.var(0)
    sets = [_noised(models, num_points, generator) for models in (examples, held_out) if models is not None]
    tables: list[list[tuple[float, ...]]] = [[] for _ in sets]
    losses: list[list[Tensor]] = [[] for _ in sets]
    for sigma in tqdm(sigmas, desc="gap to the memorized denoiser", unit="level", delay=5, leave=False):
        for (x0, noise, _), table, loss in zip(sets, tables, losses, strict=True):
            x = x0 + sigma * noise
            ours, memorized = denoise(x, sigma), prior.denoise(x, sigma)
            broad = centre + variance / (variance + sigma**2) * (x - centre)
            size = _rms(memorized - centre)
            loss.append((ours - x0).double().square().sum(1))
            table.append((
                _rms(ours - memorized) / size, _rms(broad - memorized) / size,
                _rms(ours - x0) ** 2, _rms(memorized - x0) ** 2, _rms(broad - x0) ** 2,
            ))  # fmt: skip
    levels = tuple(float(sigma) for sigma in sigmas)
    near, broad, loss, _, _ = zip(*tables[0], strict=True)
    if held_out is None:
        return DenoisingGap(levels, near, broad, loss)
    errors, picks = [torch.stack(loss, 1) for loss in losses], [pick for _, _, pick in sets]
    nats = [_nats(e, sigmas.double())[:, None] for e in errors]
    difference = float(nats[1].mean() - nats[0].mean())
    error = float(sum(_variance(n, pick) for n, pick in zip(nats, picks, strict=True)) ** 0.5)
    means = [e.mean(0).clamp_min(torch.finfo(e.dtype).tiny) for e in errors]
    spread = sum(_variance(e / mean, pick) for e, mean, pick in zip(errors, means, picks, strict=True)).sqrt()
    ratio, reach = errors[0].mean(0) / means[1], torch.exp(_STANDARD_ERRORS * spread)  # on a logarithmic scale
    ends = (tuple((ratio / reach).tolist()), tuple((ratio * reach).tolist()))
    return DenoisingGap(levels, near, broad, loss, *zip(*tables[1], strict=True), *ends, difference, error)


def _noised(models: Tensor, number: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
    pick = torch.randint(len(models), (number,), generator=generator, device=models.device)
    x0 = models[pick]
    return x0, torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device), pick


def _variance(values: Tensor, pick: Tensor) -> Tensor:
    """Variance of the mean of values [B, K] whose rows belong to drawn models [B]; a model's rows are dependent."""
    sums = values.new_zeros(int(pick.max()) + 1, values.shape[1]).index_add_(0, pick, values - values.mean(0))
    return (sums / len(values)).square().sum(0)


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())


def _nats(losses: Tensor, sigmas: Tensor) -> Tensor:
    """KL(N(x, s^2 I), p_s) at s = sigmas[0] from squared errors [B, K]; beyond sigmas[-1] the error is constant."""
    rates = losses / sigmas**2
    return torch.trapezoid(rates, sigmas.log()) + rates[:, -1] / 2
