"""The reverse process that all samplers share: its levels, its start, its report, and one step of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.checks import Denoiser

Callback = Callable[[dict], None]
Advance = Callable[[Tensor, Tensor, Tensor, Callable[..., None]], Tensor]
Guide = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, dict]]


class Extrapolation:
    """D extrapolated in log sigma from this level and the one before: what makes a step second order.

    Source: Lu et al. (2022), DPM-Solver++(2M).
    """

    def __init__(self):
        self._before, self._log_step = None, None

    def __call__(self, x0: Tensor, sigma: Tensor, following: Tensor) -> Tensor:
        """The denoised x0 [B, d] of level sigma, extrapolated towards the next level; x0 itself the first time."""
        log_step = torch.log(sigma / following)
        extrapolated = x0
        if self._before is not None:
            extrapolated = x0 + 0.5 * log_step / self._log_step * (x0 - self._before)
        self._before, self._log_step = x0, log_step
        return extrapolated

    def select(self, rows: Tensor) -> None:
        """Keep the memory of these rows: for samplers that kill and copy their states."""
        if self._before is not None:
            self._before = self._before[rows]


def transition(x: Tensor, x0: Tensor, sigma: Tensor, following: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [B, d] and standard deviation of one step from sigma to the next level s, given the denoised x0 [B, d].

    p(x_s | x_sigma, x_0) = N(x_s; (1 - q) x_0 + q x_sigma, s^2 (1 - q) I), q = (s / sigma)^2.
    """
    kept = (following / sigma) ** 2
    return (1 - kept) * x0 + kept * x, following * (1 - kept).sqrt()


def guided(guide: Guide, generator: torch.Generator | None) -> Advance:
    """A step of the reverse process with a pull added.

    Args:
        guide: (x, sigma, sigma^2 - s^2) to the denoised x0 [B, d] that the step heads for, a displacement [B, d] and
            entries of the report, in which an `x0` stands for the denoised one where the two differ.
    """
    extrapolate = Extrapolation()

    def advance(x: Tensor, sigma: Tensor, following: Tensor, tell: Callable[..., None]) -> Tensor:
        x0, pull, report = guide(x, sigma, sigma**2 - following**2)
        tell(**{"x0": x0, **report})
        mean, std = transition(x, extrapolate(x0, sigma, following), sigma, following)
        return mean + std * normal(x.shape, x, generator) + pull

    return advance


def reverse_process(
    advance: Advance,
    denoise: Denoiser,
    sigmas: Tensor,
    shape: tuple[int, int],
    *,
    generator: torch.Generator | None,
    callback: Callback | None,
    denoise_last: bool,
    name: str,
    finish: Callable[[Tensor, Tensor], tuple[Tensor, dict]] | None = None,
) -> Tensor:
    """Start from N(0, sigmas[0]^2 I), advance level by level and report; the arguments are those of `sample`.

    Args:
        advance: (x, sigma, next sigma, tell) to the next state [B, d]; it calls tell(x0=, ...) once, which warns of a
            start that is too small and fills the callback's dict.
        name: What the progress bar says.
        finish: (state, denoised state) at the last level to the result [B, d] and entries of the last report.

    Returns:
        Samples, [B, d].
    """
    sigmas = checks.noise_levels(sigmas).detach()
    checks.function("denoise", denoise, "[B, d] and a level to [B, d]")
    if callback is not None:
        checks.function("callback", callback, "a dict to nothing")
    generator = checks.random_source(generator, sigmas.device)
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise ValueError(f"shape must be (number of samples, d), got {shape}")
    shape = tuple(checks.count("shape", side) for side in shape)
    x = sigmas[0] * normal(shape, sigmas, generator)

    def tell(x0: Tensor, **entries: object) -> None:
        if step == 0:
            _warn_of_a_small_start(x0, sigmas[0])
        if callback is not None:
            # Copies: a callback may rescale what it gets, the chain goes on with its own.
            callback({"x": x.clone(), "x0": x0.clone(), "sigma": float(sigmas[step]), "step": step, **entries})

    for step in tqdm(range(len(sigmas) - 1), desc=name, unit="level", delay=5, leave=False):
        x = advance(x, sigmas[step], sigmas[step + 1], tell)
    if callback is None and finish is None and not denoise_last:
        return x
    x0, entries, step = denoised(denoise, x, sigmas[-1]), {}, len(sigmas) - 1
    result = x0 if denoise_last else x
    if finish is not None:
        result, entries = finish(x, x0)
    tell(x0, **entries)
    return result


def observed(sigmas: Tensor, d_obs: Tensor, noise_std: float) -> tuple[Tensor, Tensor, float]:
    """Levels [K], data [m] and their noise as posterior samplers need them; errors as those of `sample` and `dps`."""
    sigmas = checks.noise_levels(sigmas)
    d_obs = checks.tensor("d_obs", d_obs, shape=(None,), like=sigmas).detach()
    return sigmas, d_obs, checks.positive("noise_std", noise_std, dtype=sigmas.dtype)


def variance_rule(
    name: str, rule: Callable[[float], float] | None, default: Callable[[Tensor], Tensor | float] | None
) -> Callable[[Tensor], Tensor | float] | None:
    """A level's variance from a rule of the reader's, checked at each level, or the default where there is none."""
    if rule is None:
        return default
    checks.function(name, rule, "sigma to a variance")
    return lambda sigma: checks.positive(name, rule(float(sigma)))


def normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers of a shape, with the dtype and on the device of `like`."""
    return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)


def denoised(denoise: Denoiser, x: Tensor, sigma: Tensor) -> Tensor:
    """D(x, sigma), [B, d], checked and without a graph."""
    with torch.no_grad():
        return checks.apply_denoiser(denoise, x, sigma)


def _warn_of_a_small_start(x0: Tensor, sigma: Tensor) -> None:
    """The start N(0, sigma^2 I) ignores the data; that is harmless only while sigma dwarfs them."""
    size = float(x0.square().mean().sqrt())
    if size > float(sigma) / 3:
        warnings.warn(
            f"sigmas[0] must be large against the data's mean and spread, got {float(sigma):.4g} where the denoised "
            f"start has a root mean square of {size:.4g}: centre and scale the data, or raise sigmas[0]",
            stacklevel=6,
        )
