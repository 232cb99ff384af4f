"""Where the linearized posterior holds: each component judged at its own mean, where the data have moved it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.autodiff import jvp, vjp
from lib.checks import Forward
from lib.gaussian import GaussianMixture
from lib.linearization import checked_data

_PULL, _SHARE = 0.1, 0.1


@dataclass(frozen=True)
class Validity:
    """What the tangent of F at x_n says of the component's mean mu_n, against F; r = F(mu) - F(x) - J (mu - x).

    Attributes:
        shift: |mu_n - x_n| in bandwidths, [N]; a draw of the prior has sqrt(d).
        remainder: |r| / (noise_std sqrt(m)), [N]: the tangent's error in each datum, in units of the noise.
        log_likelihood_error: (|d_obs - F(mu)|^2 - |d_obs - F(x) - J (mu - x)|^2) / (2 noise_std^2), nats, [N].
        pull: |Sigma_n^(1/2) J^T r| / noise_std^2, [N]: how far r pulls the mean, in its standard deviations.
        gap: Difference of the two largest log-weights, nats; infinite for one component.
    """

    shift: Tensor
    remainder: Tensor
    log_likelihood_error: Tensor
    pull: Tensor
    gap: float

    @property
    def valid(self) -> Tensor:
        """Components with a pull below 0.1 and a log-likelihood error below a tenth of the gap, [N], bool."""
        return (self.pull < _PULL) & (self.log_likelihood_error.abs() < _SHARE * self.gap)


def validity(
    mixture: GaussianMixture,
    examples: Tensor,
    bandwidth: float,
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    *,
    batch_size: int = 32,
) -> Validity:
    """Judge a linearized posterior at its components' own means.

    At random points a bandwidth from an example a tangent can look good, although many precise data put the mean far
    from there. This costs two evaluations, one forward-mode and one reverse-mode product an example, no Jacobian.

    Source: the criterion is ours; compare the validity checks of Laplace's approximation.

    Args:
        mixture: The result of `lib.posterior.linearized_posterior` for the arguments that follow.
        examples: Training set, [N, d].
        bandwidth: Standard deviation of the prior's components.
        forward: Batched map [B, d] -> [B, m], differentiable in both modes.
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum.
        batch_size: Examples in one call of `forward`.

    Returns:
        The numbers, in double precision, and which components are valid.

    Raises:
        TypeError, ValueError: Bad arguments, or a mixture that has not one component an example.
    """
    examples, d_obs, noise_std = checked_data(examples, d_obs, noise_std)
    bandwidth = checks.positive("bandwidth", bandwidth, dtype=examples.dtype)
    if not isinstance(mixture, GaussianMixture):
        raise TypeError(f"mixture must be a GaussianMixture, got {type(mixture).__name__}")
    means = checks.tensor("mixture.means", mixture.means, shape=tuple(examples.shape), like=examples)
    batch_size, examples = checks.count("batch_size", batch_size), examples.detach()
    misfit, remainder, gradients = [], [], []
    for x, mean in tqdm(
        list(zip(examples.split(batch_size), means.split(batch_size), strict=True)),
        desc="validity", unit="batch", delay=5, leave=False,
    ):  # fmt: skip
        with torch.no_grad():
            reached = checks.apply_forward(forward, mean, num_data=len(d_obs))
        values, slope = jvp(forward, x, mean - x, num_data=len(d_obs))
        left = (reached.double() - values.double() - slope.double()).detach() / noise_std
        predicted = (d_obs.double() - values.double() - slope.double()).detach() / noise_std
        # |p - r|^2 - |p|^2, without the difference of two large squares
        misfit.append((left * (left - 2 * predicted)).sum(1) / 2)
        remainder.append(left.norm(dim=1) / len(d_obs) ** 0.5)
        gradients.append(vjp(forward, x, num_data=len(d_obs), once=True)[1](left.to(x.dtype)))
    pull = mixture.lengths(torch.cat(gradients)) / noise_std
    top = torch.topk(mixture.log_weights, min(2, len(means))).values.tolist()
    return Validity(
        shift=(means - examples).double().norm(dim=1) / bandwidth,
        remainder=torch.cat(remainder),
        log_likelihood_error=torch.cat(misfit),
        pull=pull,
        gap=top[0] - top[1] if len(top) == 2 else float("inf"),
    )
