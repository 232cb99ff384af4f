"""Classical full-waveform inversion: one best model by L-BFGS, with or without a Gaussian prior (MAP)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.checks import Forward
from lib.jacobian import vjp


@dataclass(frozen=True)
class InversionResult:
    """Outcome of `invert`.

    Attributes:
        x: The best parameters, [d].
        misfits: Data misfit per datum |d_obs - F(x)|^2 / (m noise_std^2) after each iteration, [iterations + 1].
        num_gradients: Evaluations of the forward map with its gradient.
        message: Why the optimizer stopped.
    """

    x: Tensor
    misfits: Tensor
    num_gradients: int
    message: str


def invert(
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    start: Tensor,
    *,
    num_iterations: int = 30,
    prior_std: float | None = None,
    callback: Callable[[dict], None] | None = None,
) -> InversionResult:
    """Minimize |d_obs - F(x)|^2 / (2 noise_std^2), plus |x|^2 / (2 prior_std^2) if a prior is given, by L-BFGS.

    Source: Tarantola (1984); Virieux and Operto (2009). The optimizer is SciPy's L-BFGS-B.

    Args:
        forward: Batched map [B, d] -> [B, m], differentiable.
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        start: First model, [d].
        num_iterations: Most iterations.
        prior_std: Standard deviation of a Gaussian prior N(0, prior_std^2 I): the MAP. None: no prior.
        callback: Called after each iteration with a dict of `x` [d], `misfit` and `step`.

    Raises:
        TypeError, ValueError: Bad arguments, or a forward map that is not batched, finite or differentiable.
    """
    start = checks.tensor("start", start, shape=(None,))
    d_obs = checks.tensor("d_obs", d_obs, shape=(None,), like=start).detach()
    noise_std = checks.positive("noise_std", noise_std, dtype=start.dtype)
    num_iterations = checks.count("num_iterations", num_iterations)
    if prior_std is not None:
        prior_std = checks.positive("prior_std", prior_std, dtype=start.dtype)
    if callback is not None:
        checks.function("callback", callback, "a dict to nothing")
    seen: dict[bytes, float] = {}
    count = 0

    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count
        count += 1
        x = torch.from_numpy(values).to(start)
        data, pullback = vjp(forward, x[None], num_data=len(d_obs), once=True)
        residual = (d_obs - data) / noise_std
        misfit = residual.square().sum()
        seen[values.tobytes()] = float(misfit) / len(d_obs)
        loss, gradient = misfit / 2, -pullback(residual / noise_std)[0]
        if prior_std is not None:
            loss = loss + (x / prior_std).square().sum() / 2
            gradient = gradient + x / prior_std / prior_std
        return float(loss), gradient.double().cpu().numpy()

    misfits = []
    bar = tqdm(total=num_iterations, desc="L-BFGS", unit="iteration", delay=5, leave=False)

    def record(values: np.ndarray) -> None:
        misfits.append(seen[values.tobytes()])
        bar.update()
        if callback is not None:
            callback({"x": torch.from_numpy(values.copy()).to(start), "misfit": misfits[-1], "step": len(misfits)})

    first = start.detach().double().cpu().numpy()
    with bar:
        found = scipy.optimize.minimize(
            objective, first, jac=True, method="L-BFGS-B", callback=record, options={"maxiter": num_iterations}
        )
    history = torch.tensor([seen[first.tobytes()], *misfits], dtype=torch.float64)
    return InversionResult(torch.from_numpy(found.x).to(start), history, count, str(found.message))
