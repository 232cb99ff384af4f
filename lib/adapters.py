"""Denoisers D(x, sigma) made from networks of another convention: epsilon, v or x0, variance preserving, rescaled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib import checks
from lib.checks import Denoiser
from lib.schedule import alpha_bar_from_sigma, sigma_from_alpha_bar

_PREDICTIONS = ("epsilon", "v", "x0")
_BISECTIONS = 60  # halvings of [0, 1]: below the spacing of double precision


class VPDenoiser:
    """D(x, sigma) from a network of a variance-preserving schedule; made by `denoiser_from_vp`.

    Attributes:
        sigma_range: Smallest and largest level of the schedule, in units of x.
    """

    def __init__(self, network: Callable, alphas_bar: Tensor | Callable, prediction: str, timestep: str):
        self._network, self._alphas_bar, self._prediction, self._timestep = network, alphas_bar, prediction, timestep
        if callable(alphas_bar):
            ends = torch.stack([self._signal(torch.tensor(t, dtype=torch.float64)) for t in (1e-5, 1.0)])
            if not ends[0] > ends[1]:
                raise ValueError(f"alphas_bar must fall from t = 0 to 1, got {ends.tolist()} at the ends")
            levels = sigma_from_alpha_bar(ends)
        else:
            levels = sigma_from_alpha_bar(alphas_bar)
        self._table = levels.log()
        self.sigma_range = (float(levels[0]), float(levels[-1]))

    def _signal(self, t: Tensor) -> Tensor:
        try:
            value = torch.as_tensor(self._alphas_bar(t), dtype=torch.float64)
        except Exception as error:  # the reader's own code may raise anything
            raise ValueError(f"alphas_bar must map tensors of times, failed: {error!r}") from error
        if value.shape != t.shape or not bool(((value > 0) & (value <= 1)).all()):
            raise ValueError(f"alphas_bar must map times in [0, 1] to values in (0, 1] of the same shape, got {value}")
        return value

    def timesteps(self, sigma: Tensor) -> Tensor:
        """What the network is given as its time at levels sigma [B]: whole numbers, or floats if interpolated."""
        low, high = self.sigma_range
        if bool((sigma < low * (1 - 1e-4)).any()) or bool((sigma > high * (1 + 1e-4)).any()):
            raise ValueError(
                f"sigma must lie in the schedule's range [{low:.4g}, {high:.4g}], "
                f"got {float(sigma.min()):.4g} to {float(sigma.max()):.4g}"
            )
        logs = sigma.double().log()
        if callable(self._alphas_bar):
            wanted = alpha_bar_from_sigma(sigma.double())
            below, above = torch.zeros_like(wanted), torch.ones_like(wanted)
            for _ in range(_BISECTIONS):
                middle = (below + above) / 2
                early = self._signal(middle) > wanted
                below, above = torch.where(early, middle, below), torch.where(early, above, middle)
            return ((below + above) / 2).to(sigma)
        table = self._table.to(logs.device)
        after = torch.searchsorted(table, logs).clamp(1, len(table) - 1)
        part = ((logs - table[after - 1]) / (table[after] - table[after - 1])).clamp(0, 1)
        time = after - 1 + part
        return time.round().long() if self._timestep == "nearest" else time.to(sigma)

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Denoise x [B, ...] at level sigma (a float, 0-d or [B]); returns [B, ...]."""
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 1:
            raise TypeError(f"x must be a floating tensor [B, ...], got {getattr(x, 'dtype', type(x).__name__)}")
        level = checks.noise_level(sigma, x).expand(len(x), 1)[:, 0].detach()
        column = level.reshape(-1, *[1] * (x.ndim - 1))
        root = alpha_bar_from_sigma(column).sqrt()  # sqrt(alpha_bar); sqrt(1 - alpha_bar) is sigma times it
        state = root * x
        found = self._network(state, self.timesteps(level))
        if not isinstance(found, Tensor) or found.shape != x.shape:
            shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"network must return a tensor of the state's shape {list(x.shape)}, got {shape}")
        if self._prediction == "epsilon":
            return x - column * found
        if self._prediction == "v":
            return root * state - column * root * found
        return found


def denoiser_from_vp(
    network: Callable[[Tensor, Tensor], Tensor],
    alphas_bar: Tensor | Callable[[Tensor], Tensor],
    prediction: str = "epsilon",
    *,
    timestep: str = "nearest",
) -> VPDenoiser:
    """D(x, sigma) = E[x_0 | x_0 + sigma e = x] from a network trained on x_t = sqrt(a) x_0 + sqrt(1 - a) e.

    Here a is alpha_bar at the time t. The state x is scaled to x_t = sqrt(a) x with a = 1 / (1 + sigma^2), exactly;
    only the time that the network is told is rounded. Then x_0 = x - sigma eps, or sqrt(a) x_t - sqrt(1 - a) v, or
    what an x0-network returns.

    Source: Ho et al. (2020) for epsilon, Salimans and Ho (2022) for v; Karras et al. (2022), appendix C.

    Args:
        network: (x_t [B, ...], t [B]) to a prediction [B, ...].
        alphas_bar: Table [T], strictly falling in (0, 1), whose index is the network's time t; or a callable, falling
            in continuous t from t = 0 to 1, then t is found by bisection and passed as a float.
        prediction: "epsilon", "v" or "x0".
        timestep: For a table: "nearest" entry in log sigma, as a whole number, or "interpolated", as a float.

    Raises:
        TypeError, ValueError: Not such a table, or an unknown option; when called, levels outside the schedule.
    """
    checks.function("network", network, "x_t [B, ...] and t [B] to [B, ...]")
    if prediction not in _PREDICTIONS:
        raise ValueError(f"prediction must be one of {list(_PREDICTIONS)}, got {prediction!r}")
    if timestep not in ("nearest", "interpolated"):
        raise ValueError(f"timestep must be 'nearest' or 'interpolated', got {timestep!r}")
    if not callable(alphas_bar):
        alphas_bar = checks.tensor("alphas_bar", alphas_bar, shape=(None,)).detach().double()
        if len(alphas_bar) < 2 or not bool((alphas_bar.diff() < 0).all()):
            raise ValueError(
                f"alphas_bar must hold at least two strictly falling values, one for each time step, got "
                f"{len(alphas_bar)} from {alphas_bar[:1].tolist()} to {alphas_bar[-1:].tolist()} "
                "(betas? then cumprod(1 - betas))"
            )
        if not 0 < alphas_bar[-1] < alphas_bar[0] < 1:
            raise ValueError(
                f"alphas_bar must lie in (0, 1), got {float(alphas_bar[0])} to {float(alphas_bar[-1])} "
                "(no noise at 1, no signal at 0)"
            )
    return VPDenoiser(network, alphas_bar, prediction, timestep)


class _Rescaled:
    def __init__(self, denoise: Denoiser, mean: Tensor | float, std: float):
        self._denoise, self._mean, self._std = denoise, mean, std
        low, high = getattr(denoise, "sigma_range", (None, None))
        if low is not None:
            self.sigma_range = (std * low, std * high)

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        mean = self._mean
        if isinstance(mean, Tensor):
            try:
                mean = mean.to(x).expand_as(x)
            except RuntimeError as error:
                raise ValueError(
                    f"mean must broadcast against x of shape {list(x.shape)}, got shape {list(mean.shape)}"
                ) from error
        return mean + self._std * self._denoise((x - mean) / self._std, sigma / self._std)


def denoiser_in_units(denoise: Denoiser, mean: Tensor | float, std: float) -> Denoiser:
    """A denoiser for models in their own units from one for standardized models z = (x - mean) / std.

    D(x, sigma) = mean + std D_z((x - mean) / std, sigma / std): the noise is in the models' units too.

    Args:
        denoise: D_z(z, sigma_z), any shape [B, ...].
        mean: Number, or tensor that broadcasts against a model.
        std: One positive number: noise that is equal in all cells must stay so.

    Raises:
        TypeError, ValueError: Not a callable, a mean that is not finite, or a std that is not one positive number.
    """
    checks.function("denoise", denoise, "[B, ...] and a level to [B, ...]")
    try:
        mean = torch.as_tensor(mean, dtype=None if isinstance(mean, Tensor) else torch.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"mean must be a number or a tensor, got {type(mean).__name__}") from error
    checks.finite("mean", mean)
    return _Rescaled(denoise, float(mean) if mean.ndim == 0 else mean, checks.positive("std", std))
